/* SPDX-License-Identifier: Apache-2.0 */
/* What tests/vectors/evaluation.json cannot say: contexts that only C can make, and explain's very text. */
#include "tests/unit/engine/fixture.h"

#include <math.h>

#include "base/json_write.h"

#define BOOLEAN(key, more)                                                                     \
	"{'key':'" key "','type':'boolean','variants':{'on':true,'off':false},'enabled':true," \
	"'off_variant':'off','default':{'variant':'on'}" more "}"

/* ---- Keys ---- */

static void test_keys_that_no_flag_has(void **state)
{
	(void)state;
	struct ruleset *ruleset = FIXTURE_RULESET(BOOLEAN("a", ""), BOOLEAN("abcdefgh", ""));
	const struct context context = { 0 };
	struct eval_result result;
	char *long_key = calloc(1, 100000);
	assert_non_null(long_key);
	memset(long_key, 'a', 99999);
	const struct {
		const char *key;
		size_t length;
	} rows[] = { { "", 0 },           { "a\0", 2 },      { "a\0\0\0\0\0\0\0", 8 },
		     { "abcdefgh\0", 9 }, { "abcdefg", 7 },  { long_key, 99999 },
		     { "\xff", 1 },       { long_key, 200 }, { long_key, 128 } };
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		eval_flag(ruleset, rows[i].key, rows[i].length, &context, &result);
		assert_int_equal(result.error, EVAL_ERROR_FLAG_NOT_FOUND);
		assert_int_equal(result.reason, EVAL_REASON_ERROR);
		assert_null(result.flag);
		assert_null(result.variant);
		assert_non_null(result.cause);
	}
	/* A key is not ended by NUL. */
	eval_flag(ruleset, "abcdefghi", 8, &context, &result);
	assert_int_equal(result.error, EVAL_ERROR_NONE);
	assert_string_equal(result.variant->name, "on");
	free(long_key);
	ruleset_unref(ruleset);
}

/* ---- Contexts of C programs ---- */

static void test_numbers_that_json_has_not(void **state)
{
	(void)state;
	struct ruleset *ruleset = FIXTURE_RULESET(
	        "{'key':'f','type':'boolean','variants':{'on':true,'off':false},'enabled':true,"
	        "'rules':[{'if':[{'attribute':'n','op':'gt','value':1}],'serve':{'variant':'on'}}],"
	        "'default':{'split':[{'variant':'on','weight':1},{'variant':'off','weight':1}],"
	        "'bucket_by':'n'}}");
	const double rows[] = { NAN, INFINITY, -INFINITY };
	for (size_t i = 0; i < 3; i++) {
		const struct context_attribute attribute = { .name = "n",
			                                     .type = CONTEXT_NUMBER,
			                                     .value.number = rows[i] };
		const struct context context = { .attributes = &attribute, .attribute_count = 1 };
		struct eval_result result;
		eval_flag(ruleset, "f", 1, &context, &result);
		if (result.reason != EVAL_REASON_TARGETING_MATCH) {
			assert_int_equal(result.error, EVAL_ERROR_TARGETING_KEY_MISSING);
		}
	}
	ruleset_unref(ruleset);
}

static void test_key_beats_attribute_of_its_name(void **state)
{
	(void)state;
	struct ruleset *ruleset = FIXTURE_RULESET(
	        BOOLEAN("f", ",'rules':[{'if':[{'attribute':'targetingKey','op':'eq','value':'u1'}],"
	                     "'serve':{'variant':'off'}}]"));
	const struct context_attribute attribute = { .name = "targetingKey",
		                                     .type = CONTEXT_STRING,
		                                     .value.string = "u1" };
	struct context context = { .targeting_key = "u2", .attributes = &attribute, .attribute_count = 1 };
	struct eval_result result;
	eval_flag(ruleset, "f", 1, &context, &result);
	assert_string_equal(result.variant->name, "on");
	context.targeting_key = "u1";
	eval_flag(ruleset, "f", 1, &context, &result);
	assert_string_equal(result.variant->name, "off");
	/* Without a key the attribute is one like any other. */
	context.targeting_key = NULL;
	eval_flag(ruleset, "f", 1, &context, &result);
	assert_string_equal(result.variant->name, "off");
	ruleset_unref(ruleset);
}

static void test_all_attributes_at_once(void **state)
{
	(void)state;
	struct buf text;
	buf_init(&text, 1 << 16);
	buf_append_string(&text,
	                  "{'key':'f','type':'boolean','variants':{'on':true,'off':false},'enabled':true,"
	                  "'default':{'variant':'off'},'rules':[{'serve':{'variant':'on'},'if':[");
	struct context_attribute attributes[FLAG_MAX_ATTRIBUTES];
	char names[FLAG_MAX_ATTRIBUTES][8];
	for (int i = 0; i < FLAG_MAX_ATTRIBUTES; i++) {
		buf_append_format(&text, "%s{'attribute':'a%d','op':'eq','value':%d}", i > 0 ? "," : "", i,
		                  i);
		(void)snprintf(names[i], sizeof(names[i]), "a%d", i);
		attributes[i] = (struct context_attribute){ .name = names[i],
			                                    .type = CONTEXT_INTEGER,
			                                    .value.integer = i };
	}
	buf_append_string(&text, "]}]}");
	struct ruleset *ruleset = fixture_ruleset((const char *const[]){ text.data, NULL });
	assert_int_equal(ruleset_problem_count(ruleset), 0);
	struct context context = { .attributes = attributes, .attribute_count = FLAG_MAX_ATTRIBUTES };
	struct eval_result result;
	eval_flag(ruleset, "f", 1, &context, &result);
	assert_string_equal(result.variant->name, "on");
	attributes[FLAG_MAX_ATTRIBUTES - 1].value.integer = -1;
	eval_flag(ruleset, "f", 1, &context, &result);
	assert_string_equal(result.variant->name, "off");
	buf_deinit(&text);
	ruleset_unref(ruleset);
}

/* ---- Explain ---- */

static char *explain(const struct ruleset *ruleset, const char *key, const struct context *context)
{
	struct buf text;
	struct json_writer w;
	buf_init(&text, 1 << 16);
	json_writer_init(&w, &text);
	eval_explain(ruleset, key, strlen(key), context, &w);
	assert_false(text.failed);
	assert_int_equal(w.depth, 0);
	return buf_steal(&text, NULL);
}

static void assert_explained(const struct ruleset *ruleset, const char *key, const char *context_quoted,
                             const char *expected_quoted)
{
	struct arena arena;
	arena_init(&arena, 1 << 20);
	struct context context = fixture_context(context_quoted, &arena);
	char *actual = explain(ruleset, key, &context);
	char *expected = fixture_text(expected_quoted);
	assert_string_equal(actual, expected);
	free(expected);
	free(actual);
	arena_deinit(&arena);
}

static struct ruleset *explained_ruleset(void)
{
	return FIXTURE_RULESET(
	        BOOLEAN("site", ""), "{'key':'beta','included':['u1']}",
	        "{'key':'banner','type':'string','variants':{'red':'#f00','blue':'#00f'},'enabled':true,"
	        "'off_variant':null,"
	        "'prerequisites':[{'flag':'site','variants':['on','off']}],"
	        "'targets':[{'variant':'red','keys':['vip']}],"
	        "'rules':[{'name':'ops first','if':[{'attribute':'role','op':'in','values':['ops']},"
	        "{'attribute':'age','op':'ge','value':18}],'serve':{'variant':'red'}},"
	        "{'if':[{'op':'in_segment','values':['beta']},"
	        "{'op':'flag','flag':'site','value':'off','negate':true}],'serve':{'variant':'blue'}},"
	        "{'name':'by company','if':[{'attribute':'company','op':'exists'}],"
	        "'serve':{'split':[{'variant':'red','weight':1},{'variant':'blue','weight':0}],"
	        "'bucket_by':'company','salt':'s'}}],"
	        "'default':{'split':[{'variant':'red','weight':25000},{'variant':'blue','weight':75000}]}}");
}

#define STEPS_BEFORE_RULES(target)                                                                  \
	"'steps':[{'step':'enabled','result':true},"                                                \
	"{'step':'prerequisite','flag':'site','variant':'on','wanted':['on','off'],'result':true}," \
	"{'step':'target','index':0,'variant':'red','result':" target "}"

static void test_explain_rules(void **state)
{
	(void)state;
	struct ruleset *ruleset = explained_ruleset();
	assert_explained(ruleset, "banner", "{'targetingKey':'vip'}",
	                 "{'key':'banner','reason':'TARGETING_MATCH','variant':'red','value':'#f00'," //
	                 STEPS_BEFORE_RULES("true") "]}");
	assert_explained(
	        ruleset, "banner", "{'targetingKey':'u1','role':['ops',1,2.5,true],'age':17}",
	        "{'key':'banner','reason':'TARGETING_MATCH','variant':'blue','value':'#00f'," //
	        STEPS_BEFORE_RULES("false")                                                   //
	        ",{'step':'rule','index':0,'name':'ops first','conditions':[{'op':'in','attribute':'role',"
	        "'actual':['ops',1,2.5,true],'result':false}],'result':false},"
	        "{'step':'rule','index':1,'name':'','conditions':[{'op':'in_segment','segments':['beta'],"
	        "'result':true},{'op':'flag','flag':'site','wanted':['off'],'actual':'on','negate':true,"
	        "'result':true}],'result':true,'variant':'blue'}]}");
	ruleset_unref(ruleset);
}

static void test_explain_splits(void **state)
{
	(void)state;
	struct ruleset *ruleset = explained_ruleset();
#define RULE_0                                                                                        \
	",{'step':'rule','index':0,'name':'ops first','conditions':[{'op':'in','attribute':'role',"   \
	"'actual':null,'result':false}],'result':false},"                                             \
	"{'step':'rule','index':1,'name':'','conditions':[{'op':'in_segment','segments':['beta'],"    \
	"'result':false}],'result':false},{'step':'rule','index':2,'name':'by company','conditions':" \
	"[{'op':'exists','attribute':'company',"
	/* murmur3 of "banneruser-7" and of "s42", from another implementation */
	assert_explained(
	        ruleset, "banner", "{'targetingKey':'user-7'}",
	        "{'key':'banner','reason':'SPLIT','variant':'blue','value':'#00f'," //
	        STEPS_BEFORE_RULES("false") RULE_0
	        "'actual':null,'result':false}],'result':false},"
	        "{'step':'split','bucket_by':'targetingKey','salt':'banner','total':100000,"
	        "'value':'user-7','hash':1863898756,'bucket':43397,'boundary':100000,'variant':'blue'},"
	        "{'step':'default','variant':'blue'}]}");
	assert_explained(ruleset, "banner", "{'company':42}",
	                 "{'key':'banner','reason':'SPLIT','variant':'red','value':'#f00'," //
	                 STEPS_BEFORE_RULES("false") RULE_0
	                 "'actual':42,'result':true}],'result':true},"
	                 "{'step':'split','bucket_by':'company','salt':'s','total':1,"
	                 "'value':'42','hash':3462673641,'bucket':0,'boundary':1,'variant':'red'}]}");
	assert_explained(ruleset, "banner", "{'company':{'a':1}}",
	                 "{'key':'banner','reason':'SPLIT','variant':'red','value':'#f00'," //
	                 STEPS_BEFORE_RULES("false") RULE_0
	                 "'actual':{},'result':true}],'result':true},"
	                 "{'step':'split','bucket_by':'company','salt':'s','total':1,'variant':'red'}]}");
	assert_explained(ruleset, "banner", "{}",
	                 "{'key':'banner','reason':'ERROR','error_code':'TARGETING_KEY_MISSING',"
	                 "'cause':'The split goes by the targeting key, which the context does not have'," //
	                 STEPS_BEFORE_RULES("false") RULE_0
	                 "'actual':null,'result':false}],'result':false},"
	                 "{'step':'split','bucket_by':'targetingKey','salt':'banner','total':100000,"
	                 "'variant':null},{'step':'default','variant':null}]}");
	ruleset_unref(ruleset);
}

static void test_explain_ends_early(void **state)
{
	(void)state;
	struct ruleset *ruleset = FIXTURE_RULESET(
	        "{'key':'off','type':'integer','variants':{'a':1},'enabled':false,'off_variant':'a',"
	        "'default':{'variant':'a'}}",
	        BOOLEAN("page", ",'prerequisites':[{'flag':'off','variants':['b','a']},"
	                        "{'flag':'off2','variants':['b']}]"),
	        "{'key':'off2','type':'integer','variants':{'b':1},'enabled':false,"
	        "'default':{'variant':'b'}}",
	        "{'key':'bad','type':'integer','variants':{'a':'x'},'enabled':true,"
	        "'default':{'variant':'a'}}",
	        BOOLEAN("slow", ",'rules':[{'if':[{'attribute':'t','op':'matches','value':'^(a+)+$'}],"
	                        "'serve':{'variant':'off'}}]"));
	assert_explained(ruleset, "off", "{}",
	                 "{'key':'off','reason':'DISABLED','variant':'a','value':1,"
	                 "'steps':[{'step':'enabled','result':false}]}");
	assert_explained(ruleset, "off2", "{}",
	                 "{'key':'off2','reason':'DISABLED','steps':[{'step':'enabled','result':false}]}");
	assert_explained(ruleset, "nope", "{}",
	                 "{'key':'nope','reason':'ERROR','error_code':'FLAG_NOT_FOUND',"
	                 "'cause':'There is no flag of this key','steps':[]}");
	assert_explained(ruleset, "bad", "{}",
	                 "{'key':'bad','reason':'ERROR','error_code':'PARSE_ERROR','cause':'/variants/a: "
	                 "The value of an integer flag must be an integer between -9007199254740991 and "
	                 "9007199254740991','steps':[]}");
	assert_explained(ruleset, "slow",
	                 "{'t':'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!'}",
	                 "{'key':'slow','reason':'ERROR','error_code':'GENERAL',"
	                 "'cause':'A regular expression took too many steps',"
	                 "'steps':[{'step':'enabled','result':true},{'step':'rule','index':0,'name':'',"
	                 "'conditions':[{'op':'matches','attribute':'t','actual':"
	                 "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!','result':null}],"
	                 "'result':false}]}");
	ruleset_unref(ruleset);
}

static void test_explain_prerequisites(void **state)
{
	(void)state;
	struct ruleset *ruleset =
	        FIXTURE_RULESET("{'key':'null','type':'integer','variants':{'b':1},'enabled':false,"
	                        "'default':{'variant':'b'}}",
	                        BOOLEAN("page", ",'prerequisites':[{'flag':'null','variants':['b']}]"));
	assert_explained(ruleset, "page", "{}",
	                 "{'key':'page','reason':'DISABLED','variant':'off','value':false,'cause':'null',"
	                 "'steps':[{'step':'enabled','result':true},{'step':'prerequisite','flag':'null',"
	                 "'variant':null,'wanted':['b'],'result':false}]}");
	ruleset_unref(ruleset);
}

/* A C program may hand in any bytes; what is shown is JSON all the same. */
static void test_explain_bytes_that_are_no_text(void **state)
{
	(void)state;
	struct ruleset *ruleset =
	        FIXTURE_RULESET(BOOLEAN("f", ",'rules':[{'if':[{'attribute':'a','op':'exists'},"
	                                     "{'attribute':'b','op':'exists'}],'serve':{'variant':'off'}}]"));
	const struct context_attribute attributes[] = {
		{ .name = "a", .type = CONTEXT_STRING, .value.string = "x\xff\xc3\xa9\xc3" },
		{ .name = "b", .type = CONTEXT_NUMBER, .value.number = NAN },
	};
	const struct context context = { .attributes = attributes, .attribute_count = 2 };
	char *text = explain(ruleset, "f", &context);
	assert_non_null(strstr(text, "\"actual\":\"x\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\""));
	assert_non_null(strstr(text, "\"actual\":null"));
	free(text);
	text = explain(ruleset, "\xfe", &context);
	assert_non_null(strstr(text, "{\"key\":\"\xef\xbf\xbd\","));
	free(text);
	ruleset_unref(ruleset);
}

static void test_explain_into_a_full_buffer(void **state)
{
	(void)state;
	struct ruleset *ruleset = explained_ruleset();
	const struct context context = { .targeting_key = "u1" };
	for (size_t size = 0; size < 300; size += 13) {
		struct buf text;
		struct json_writer w;
		buf_init(&text, size);
		json_writer_init(&w, &text);
		eval_explain(ruleset, "banner", strlen("banner"), &context, &w);
		assert_int_equal(buf_status(&text, "explanation", NULL), STATUS_TOO_LARGE);
		buf_deinit(&text);
	}
	ruleset_unref(ruleset);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(eval_reason_name(EVAL_REASON_UNKNOWN), "UNKNOWN");
	assert_string_equal(eval_reason_name(EVAL_REASON_TARGETING_MATCH), "TARGETING_MATCH");
	assert_string_equal(eval_error_name(EVAL_ERROR_NONE), "NONE");
	assert_string_equal(eval_error_name(EVAL_ERROR_PROVIDER_NOT_READY), "PROVIDER_NOT_READY");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys_that_no_flag_has),
		cmocka_unit_test(test_numbers_that_json_has_not),
		cmocka_unit_test(test_key_beats_attribute_of_its_name),
		cmocka_unit_test(test_all_attributes_at_once),
		cmocka_unit_test(test_explain_rules),
		cmocka_unit_test(test_explain_splits),
		cmocka_unit_test(test_explain_ends_early),
		cmocka_unit_test(test_explain_prerequisites),
		cmocka_unit_test(test_explain_bytes_that_are_no_text),
		cmocka_unit_test(test_explain_into_a_full_buffer),
		cmocka_unit_test(test_names),
	};
	return cmocka_run_group_tests_name("eval", tests, NULL, NULL);
}
