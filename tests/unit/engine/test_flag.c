/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/engine/fixture.h"

#include <sodium.h>

/* A flag with everything that it needs, and more members behind. */
#define FLAG(more)                                                                       \
	"{'key':'f','type':'boolean','variants':{'on':true,'off':false},'enabled':true," \
	"'default':{'variant':'on'}" more "}"
#define TYPED(type, variants)                                                    \
	"{'key':'f','type':'" type "','variants':{" variants "},'enabled':true," \
	"'default':{'variant':'a'}}"
#define SERVING(serve)                                                                   \
	"{'key':'f','type':'boolean','variants':{'on':true,'off':false},'enabled':true," \
	"'default':" serve "}"

static enum status try_compile(enum item_kind kind, const char *quoted, struct item **ret, struct error *err)
{
	char *text = fixture_text(quoted);
	struct json_doc doc = { 0 };
	static const struct json_limits limits = { 1 << 24, 1 << 20, 64 };
	fixture_ok(json_parse(text, strlen(text), &limits, &doc, err), err);
	struct flag *flag = NULL;
	struct segment *segment = NULL;
	enum status status = kind == ITEM_FLAG ? flag_compile(json_root(&doc), &flag, err)
	                                       : segment_compile(json_root(&doc), &segment, err);
	if (status == STATUS_OK) {
		*ret = kind == ITEM_FLAG ? &flag->item : &segment->item;
	}
	json_doc_deinit(&doc);
	free(text);
	return status;
}

static void test_whole_document(void **state)
{
	(void)state;
	const struct flag *flag = (const struct flag *)fixture_item(
	        "{'key':'banner','type':'string','version':'3','variants':{'red':'#f00','blue':'#\\u00e9'},"
	        "'enabled':true,'off_variant':'blue',"
	        "'prerequisites':[{'flag':'site','variants':['on','half']}],"
	        "'targets':[{'variant':'red','keys':['user-1','user-2']},{'variant':'blue','keys':[]}],"
	        "'rules':[{'name':'ops first','if':[{'attribute':'role','op':'in','values':['ops']},"
	        "{'op':'in_segment','values':['beta','gamma']}],'serve':{'variant':'red'}},"
	        "{'if':[],'serve':{'split':[{'variant':'red','weight':1},{'variant':'blue','weight':0}]}}],"
	        "'default':{'split':[{'variant':'red','weight':25000},{'variant':'blue','weight':75000}],"
	        "'bucket_by':'company','salt':'s'}}");
	assert_null(flag->item.broken);
	assert_string_equal(flag->item.key, "banner");
	assert_int_equal(flag->item.key_length, 6);
	assert_string_equal(flag->item.version, "3");
	assert_int_equal(flag->type, FLAG_STRING);
	assert_true(flag->is_enabled);
	assert_false(flag->is_open);
	assert_int_equal(flag->variant_count, 2);
	assert_string_equal(flag->variants[1].value.string.text, "#\xc3\xa9");
	assert_int_equal(flag->variants[1].value.string.length, 3);
	assert_memory_equal(flag->variants[1].json, "\"#\\u00e9\"", flag->variants[1].json_length);
	assert_int_equal(flag->off_variant, 1);
	assert_int_equal(flag->prerequisite_count, 1);
	assert_string_equal(flag->prerequisites[0].variants[1], "half");
	assert_int_equal(flag->target_count, 2);
	assert_int_equal(flag->targets[0].key_count, 2);
	assert_int_equal(flag->rule_count, 2);
	assert_string_equal(flag->rules[0].name, "ops first");
	assert_int_equal(flag->rules[0].condition_count, 2);
	assert_string_equal(flag->rules[1].name, "");
	assert_int_equal(flag->rules[1].serve.whole_variant, 0);
	assert_int_equal(flag->fallthrough.part_count, 2);
	assert_int_equal(flag->fallthrough.total_weight, 100000);
	assert_int_equal(flag->fallthrough.parts[0].end, 25000);
	assert_int_equal(flag->fallthrough.whole_variant, FLAG_NO_VARIANT);
	assert_string_equal(flag->fallthrough.salt_text, "s");
	assert_int_equal(flag->attribute_count, 2);
	assert_string_equal(flag->attributes[flag->fallthrough.bucket_by], "company");
	assert_int_equal(flag->key_attribute, FLAG_BY_KEY);
	assert_int_equal(flag->item.reference_count, 3);
	assert_string_equal(flag->item.references[0].key, "site");
	assert_int_equal(flag->item.references[0].use, REFERENCE_PREREQUISITE);
	assert_string_equal(flag->item.references[2].key, "gamma");
	assert_int_equal(flag->item.references[2].kind, ITEM_SEGMENT);
	item_unref((struct item *)&flag->item);
}

static void test_defaults(void **state)
{
	(void)state;
	const struct flag *flag = (const struct flag *)fixture_item(SERVING(
	        "{'split':[{'variant':'on','weight':1},{'variant':'off','weight':1}]},'off_variant':null"));
	assert_null(flag->item.broken);
	assert_string_equal(flag->item.version, "");
	assert_int_equal(flag->off_variant, FLAG_NO_VARIANT);
	assert_true(flag->is_open);
	assert_string_equal(flag->fallthrough.salt_text, "f");
	assert_int_equal(flag->fallthrough.bucket_by, FLAG_BY_KEY);
	assert_int_equal(flag->attribute_count, 0);
	assert_int_equal(flag->item.reference_count, 0);
	item_unref((struct item *)&flag->item);
}

static void test_exact_text_and_digest(void **state)
{
	(void)state;
	static const char text[] = "{\"key\":\"a\" , \"type\":\"boolean\",\"variants\":{\"on\":true},"
	                           "\"enabled\":true,\"default\":{\"variant\":\"on\"}}";
	struct error err = ERROR_INIT;
	struct flag *flag = NULL;
	fixture_ok(flag_load(text, strlen(text), &flag, &err), &err);
	assert_string_equal(flag->item.text, text);
	assert_int_equal(flag->item.text_length, sizeof(text) - 1);
	/* hashlib.blake2b(text, digest_size=32) */
	char hex[2 * FLAG_DIGEST_BYTES + 1];
	sodium_bin2hex(hex, sizeof(hex), flag->item.digest, sizeof(flag->item.digest));
	assert_string_equal(hex, "321c5cb3e3ad50b4d4dda78d1f786fa2d37f104090c1457abc353faa4fe9a89e");
	item_unref(&flag->item);
}

static void test_path_in_a_larger_document(void **state)
{
	(void)state;
	char *text = fixture_text("{'a':[0,{'b/c':" TYPED("boolean", "'a':1") "}]}");
	struct json_doc doc = { 0 };
	struct error err = ERROR_INIT;
	fixture_ok(json_parse(text, strlen(text), &json_limits_default, &doc, &err), &err);
	struct json last = JSON_NONE;
	for (struct json at = JSON_NONE; json_next(json_get(json_root(&doc), "a"), NULL, &at);) {
		last = at;
	}
	struct flag *flag = NULL;
	assert_int_equal(flag_compile(json_get(last, "b/c"), &flag, &err), STATUS_INVALID);
	assert_string_equal(err.path, "/variants/a");
	assert_null(flag);
	json_doc_deinit(&doc);
	free(text);
}

/* ---- Values ---- */

static void assert_value(const char *type, const char *value, const char *json)
{
	char quoted[512];
	(void)snprintf(quoted, sizeof(quoted),
	               "{'key':'f','type':'%s','variants':{'a':%s},'enabled':true,"
	               "'default':{'variant':'a'}}",
	               type, value);
	struct item *item = NULL;
	struct error err = ERROR_INIT;
	enum status status = try_compile(ITEM_FLAG, quoted, &item, &err);
	if (json == NULL) {
		assert_int_equal(status, STATUS_INVALID);
		assert_string_equal(err.path, "/variants/a");
		return;
	}
	fixture_ok(status, &err);
	const struct variant *variant = &((const struct flag *)item)->variants[0];
	assert_int_equal(variant->json_length, strlen(json));
	assert_memory_equal(variant->json, json, strlen(json));
	item_unref(item);
}

static void test_values(void **state)
{
	(void)state;
	static const struct {
		const char *type, *value, *json; /* NULL: refused */
	} rows[] = {
		{ "boolean", "true", "true" },
		{ "boolean", "false", "false" },
		{ "boolean", "1", NULL },
		{ "boolean", "null", NULL },
		{ "boolean", "'true'", NULL },
		{ "integer", "1", "1" },
		{ "integer", "0", "0" },
		{ "integer", "-0", "0" },
		{ "integer", "-7", "-7" },
		{ "integer", "9007199254740991", "9007199254740991" },
		{ "integer", "-9007199254740991", "-9007199254740991" },
		{ "integer", "9007199254740992", NULL },
		{ "integer", "9007199254740993", NULL },
		{ "integer", "-9007199254740992", NULL },
		{ "integer", "99999999999999999999", NULL },
		{ "integer", "1.0", NULL },
		{ "integer", "1e3", NULL },
		{ "integer", "'1'", NULL },
		{ "integer", "true", NULL },
		{ "number", "1", "1.0" },
		{ "number", "1.0", "1.0" },
		{ "number", "-0.50", "-0.5" },
		{ "number", "0.1", "0.1" },
		{ "number", "3.0000000000000004", "3.0000000000000004" },
		{ "number", "1e300", "1e+300" },
		{ "number", "'1'", NULL },
		{ "string", "''", "\"\"" },
		{ "string", "'a\\n'", "\"a\\n\"" },
		{ "string", "1", NULL },
		{ "string", "null", NULL },
		{ "object", "{}", "{}" },
		{ "object", "{'a':[1.50,{'b':null}]}", "{\"a\":[1.50,{\"b\":null}]}" },
		{ "object", "[]", NULL },
		{ "object", "'a'", NULL },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_value(rows[i].type, rows[i].value, rows[i].json);
	}
}

/* ---- What is refused ---- */

struct refusal {
	const char *document;
	const char *path;
	const char *message; /* part of it */
};

static void assert_refused(enum item_kind kind, const struct refusal *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct item *item = NULL;
		struct error err = ERROR_INIT;
		if (try_compile(kind, rows[i].document, &item, &err) == STATUS_OK) {
			fail_msg("accepted: %s", rows[i].document);
		}
		if (err.status != STATUS_INVALID || strcmp(err.path, rows[i].path) != 0 ||
		    strstr(err.message, rows[i].message) == NULL) {
			fail_msg("%s\n%s: %s", rows[i].document, err.path, err.message);
		}
		assert_null(item);
	}
}

static const struct refusal flag_refusals[] = {
	{ "[]", "", "must be an object, not an array" },
	{ "{}", "/key", "The key must be" },
	{ "{'key':'a b'}", "/key", "The key must be" },
	{ "{'key':'-a'}", "/key", "The key must be" },
	{ "{'key':''}", "/key", "The key must be" },
	{ "{'key':7}", "/key", "The key must be" },
	{ FLAG(",'colour':1"), "/colour", "Unknown field" },
	{ FLAG(",'version':3"), "/version", "" },
	{ FLAG(",'version':'x'"), "/version", "a string of digits" },
	{ FLAG(",'version':''"), "/version", "a string of digits" },
	{ FLAG(",'version':'123456789012345678901'"), "/version", "a string of digits" },
	{ FLAG(",\n'version':'1'"), "", "one line" },
	{ "{'key':'f','type':'bool','variants':{'a':1},'enabled':true,'default':{'variant':'a'}}", "/type",
	  "boolean, string, integer, number or object" },
	{ "{'key':'f','type':'integer','variants':{},'enabled':true,'default':{'variant':'a'}}", "/variants",
	  "at least one variant" },
	{ "{'key':'f','type':'integer','variants':{'':1},'enabled':true,'default':{'variant':'a'}}",
	  "/variants/", "1 to 64 bytes" },
	{ "{'key':'f','type':'integer','variants':{'a\\nb':1},'enabled':true,"
	  "'default':{'variant':'a'}}",
	  "/variants/a\nb", "control" },
	{ TYPED("boolean", "'a':true,'b':1"), "/variants/b", "must be true or false" },
	{ TYPED("integer", "'a':1.5"), "/variants/a", "between -9007199254740991 and 9007199254740991" },
	{ "{'key':'f','type':'boolean','variants':{'on':true},'default':{'variant':'on'}}", "/enabled", "" },
	{ "{'key':'f','type':'boolean','variants':{'on':true},'enabled':1,'default':{}}", "/enabled", "" },
	{ "{'key':'f','type':'boolean','variants':{'on':true},'enabled':true}", "/default", "" },
	{ FLAG(",'off_variant':'red'"), "/off_variant", "no variant `red`" },
	{ FLAG(",'off_variant':1"), "/off_variant", "" },
	{ SERVING("{}"), "/default", "Either `variant` or `split`" },
	{ SERVING("{'variant':'on','split':[]}"), "/default", "not both" },
	{ SERVING("{'variant':'red'}"), "/default/variant", "no variant `red`" },
	{ SERVING("{'variant':'on','salt':'a'}"), "/default/salt", "Only a split" },
	{ SERVING("{'variant':'on','bucket_by':'a'}"), "/default/bucket_by", "Only a split" },
	{ SERVING("{'split':[]}"), "/default/split", "at least one part" },
	{ SERVING("{'split':[{'variant':'on','weight':0}]}"), "/default/split", "above 0" },
	{ SERVING("{'split':[{'variant':'on','weight':-1}]}"), "/default/split/0/weight", "between 0 and" },
	{ SERVING("{'split':[{'variant':'on','weight':1.5}]}"), "/default/split/0/weight",
	  "must be an integer" },
	{ SERVING("{'split':[{'variant':'on','weight':1000000001}]}"), "/default/split/0/weight",
	  "between 0 and 1000000000" },
	{ SERVING("{'split':[{'variant':'on','weight':1000000000},{'variant':'off','weight':1}]}"),
	  "/default/split/1/weight", "sum up to more" },
	{ SERVING("{'split':[{'variant':'on'}]}"), "/default/split/0/weight", "" },
	{ SERVING("{'split':[{'variant':'x','weight':1}]}"), "/default/split/0/variant", "no variant `x`" },
	{ SERVING("{'split':[{'variant':'on','weight':1}],'bucket_by':''}"), "/default/bucket_by", "" },
	{ SERVING("{'split':[{'variant':'on','weight':1}],'percent':1}"), "/default/percent",
	  "Unknown field" },
	{ FLAG(",'prerequisites':[{'flag':'a'}]"), "/prerequisites/0/variants", "" },
	{ FLAG(",'prerequisites':[{'flag':'a','variants':[]}]"), "/prerequisites/0/variants",
	  "At least one" },
	{ FLAG(",'prerequisites':[{'flag':'a','variants':[1]}]"), "/prerequisites/0/variants/0",
	  "must be a string" },
	{ FLAG(",'prerequisites':[{'flag':'a b','variants':['on']}]"), "/prerequisites/0/flag",
	  "not a flag's key" },
	{ FLAG(",'targets':[{'variant':'on'}]"), "/targets/0/keys", "" },
	{ FLAG(",'targets':[{'variant':'x','keys':[]}]"), "/targets/0/variant", "no variant" },
	{ FLAG(",'targets':[{'variant':'on','keys':['a',1]}]"), "/targets/0/keys/1",
	  "must be a string, not a number" },
	{ FLAG(",'targets':[{'variant':'on','keys':['a','b','a']}]"), "/targets/0/keys/2",
	  "already at /targets/0/keys/0" },
	{ FLAG(",'targets':[{'variant':'on','keys':['a','b']},{'variant':'off','keys':['\\u0062']}]"),
	  "/targets/1/keys/0", "already at /targets/0/keys/1" },
	{ FLAG(",'rules':[{'if':[]}]"), "/rules/0/serve", "" },
	{ FLAG(",'rules':[{'serve':{'variant':'on'}}]"), "/rules/0/if", "" },
	{ FLAG(",'rules':[{'if':[],'serve':{'variant':'on'}},{'if':[],'serve':{'variant':'x'}}]"),
	  "/rules/1/serve/variant", "no variant" },
	{ FLAG(",'rules':[{'if':[{'attribute':'a','op':'exists'},{'attribute':'a','op':'sounds_like',"
	       "'value':1}],'serve':{'variant':'on'}}]"),
	  "/rules/0/if/1/op", "sounds_like" },
	{ FLAG(",'rules':[{'if':[{'attribute':'a','op':'matches','value':'a+'},"
	       "{'attribute':'a','op':'matches','value':'('}],'serve':{'variant':'on'}}]"),
	  "/rules/0/if/1/value", "" },
};

static void test_flags_that_are_refused(void **state)
{
	(void)state;
	assert_refused(ITEM_FLAG, flag_refusals, sizeof(flag_refusals) / sizeof(flag_refusals[0]));
}

static void test_segments_that_are_refused(void **state)
{
	(void)state;
	static const struct refusal rows[] = {
		{ "[]", "", "must be an object" },
		{ "{'key':'s','rules':[]}", "/rules", "Unknown field" },
		{ "{'key':'s','included':'a'}", "/included", "" },
		{ "{'key':'s','included':[1]}", "/included/0", "must be a string" },
		{ "{'key':'s','included':['a','b','b']}", "/included/2", "already at /included/1" },
		{ "{'key':'s','excluded':['a','a']}", "/excluded/1", "already at /excluded/0" },
		{ "{'key':'s','if':[{'attribute':'a','op':'eq'}]}", "/if/0/value", "needs" },
		{ "{'key':'s','version':'v'}", "/version", "digits" },
	};
	assert_refused(ITEM_SEGMENT, rows, sizeof(rows) / sizeof(rows[0]));
}

/* ---- Limits ---- */

/* @prefix, then @count times @format with the number, comma between, then @suffix; in the heap. */
static char *repeated(const char *prefix, const char *format, unsigned count, const char *suffix)
{
	struct buf text;
	buf_init(&text, 1 << 24);
	buf_append_string(&text, prefix);
	for (unsigned i = 0; i < count; i++) {
		char part[256];
		char number[16];
		(void)snprintf(number, sizeof(number), "%u", i);
		const char *hash = strchr(format, '#');
		(void)snprintf(part, sizeof(part), "%s%.*s%s%s", i > 0 ? "," : "", (int)(hash - format),
		               format, number, hash + 1);
		buf_append_string(&text, part);
	}
	buf_append_string(&text, suffix);
	assert_false(text.failed);
	return buf_steal(&text, NULL);
}

static void assert_limit(const char *prefix, const char *format, unsigned limit, const char *suffix,
                         const char *path)
{
	struct error err = ERROR_INIT;
	struct item *item = NULL;
	char *good = repeated(prefix, format, limit, suffix);
	fixture_ok(try_compile(ITEM_FLAG, good, &item, &err), &err);
	item_unref(item);
	char *bad = repeated(prefix, format, limit + 1, suffix);
	assert_int_equal(try_compile(ITEM_FLAG, bad, &item, &err), STATUS_INVALID);
	assert_string_equal(err.path, path);
	free(good);
	free(bad);
}

static void test_limits(void **state)
{
	(void)state;
	assert_limit("{'key':'f','type':'integer','enabled':true,'default':{'variant':'v0'},'variants':{",
	             "'v#':1", FLAG_MAX_VARIANTS, "}}", "/variants");
	assert_limit("{'key':'f','type':'integer','enabled':true,'variants':{'a':1},'default':{'split':[",
	             "{'variant':'a','weight':1#}", FLAG_MAX_PARTS, "]}}", "/default/split");
#define BEGIN "{'key':'f','type':'integer','enabled':true,'variants':{'a':1},'default':{'variant':'a'},"
	assert_limit(BEGIN "'rules':[", "{'name':'#','if':[],'serve':{'variant':'a'}}", FLAG_MAX_RULES, "]}",
	             "/rules");
	assert_limit(BEGIN "'targets':[", "{'variant':'a','keys':['#']}", FLAG_MAX_TARGETS, "]}", "/targets");
	assert_limit(BEGIN "'targets':[{'variant':'a','keys':[", "'#'", FLAG_MAX_VALUES, "]}]}",
	             "/targets/0/keys");
	assert_limit(BEGIN "'prerequisites':[", "{'flag':'f#','variants':['on']}", FLAG_MAX_PREREQUISITES,
	             "]}", "/prerequisites");
	assert_limit(BEGIN "'rules':[{'serve':{'variant':'a'},'if':[",
	             "{'attribute':'a','op':'eq','value':#}", FLAG_MAX_CONDITIONS, "]}]}", "/rules/0/if");
	assert_limit(BEGIN "'rules':[", "{'if':[{'attribute':'a#','op':'exists'}],'serve':{'variant':'a'}}",
	             FLAG_MAX_ATTRIBUTES, "]}", "/rules/64/if/0/attribute");
}

static void assert_length_limit(const char *prefix, size_t limit, const char *suffix, const char *path)
{
	for (size_t length = limit; length <= limit + 1; length++) {
		char *text = malloc(strlen(prefix) + length + strlen(suffix) + 1);
		assert_non_null(text);
		size_t used = strlen(prefix);
		memcpy(text, prefix, used);
		memset(text + used, 'a', length);
		memcpy(text + used + length, suffix, strlen(suffix) + 1);
		struct error err = ERROR_INIT;
		struct item *item = NULL;
		enum status status = try_compile(ITEM_FLAG, text, &item, &err);
		assert_int_equal(status, length == limit ? STATUS_OK : STATUS_INVALID);
		if (length == limit) {
			item_unref(item);
		} else if (path != NULL) {
			assert_string_equal(err.path, path);
		}
		free(text);
	}
}

static void test_length_limits(void **state)
{
	(void)state;
	assert_length_limit("{'type':'integer','enabled':true,'variants':{'a':1},'default':{'variant':'a'},"
	                    "'key':'",
	                    FLAG_KEY_MAX_BYTES, "'}", "/key");
	assert_length_limit("{'key':'f','type':'integer','enabled':true,'default':{'variant':'x'},"
	                    "'variants':{'x':1,'",
	                    FLAG_VARIANT_MAX_BYTES, "':1}}", NULL);
	assert_length_limit(BEGIN "'rules':[{'if':[],'serve':{'variant':'a'},'name':'", FLAG_RULE_MAX_BYTES,
	                    "'}]}", "/rules/0/name");
	assert_length_limit(BEGIN "'targets':[{'variant':'a','keys':['", CONTEXT_MAX_KEY_BYTES, "']}]}",
	                    "/targets/0/keys/0");
	assert_length_limit("{'key':'f','type':'integer','enabled':true,'variants':{'a':1},"
	                    "'default':{'split':[{'variant':'a','weight':1}],'salt':'",
	                    FLAG_SALT_MAX_BYTES, "'}}", "/default/salt");
}

static void test_too_large(void **state)
{
	(void)state;
	char *text = malloc(FLAG_MAX_TEXT_BYTES + 2);
	assert_non_null(text);
	memset(text, ' ', FLAG_MAX_TEXT_BYTES + 1);
	text[0] = '{';
	text[FLAG_MAX_TEXT_BYTES] = '}';
	text[FLAG_MAX_TEXT_BYTES + 1] = '\0';
	struct item *item = NULL;
	struct error err = ERROR_INIT;
	assert_int_equal(try_compile(ITEM_FLAG, text, &item, &err), STATUS_TOO_LARGE);
	assert_int_equal(item_load(ITEM_FLAG, text, strlen(text), &item, &err), STATUS_TOO_LARGE);
	assert_null(item);
	free(text);
}

/* ---- Broken items ---- */

static void assert_broken(enum item_kind kind, const char *quoted, const char *message)
{
	char *text = fixture_text(quoted);
	struct item *item = NULL;
	struct error err = ERROR_INIT;
	fixture_ok(item_load(kind, text, strlen(text), &item, &err), &err);
	assert_string_equal(item->broken, message);
	assert_string_equal(item->key, "f");
	assert_string_equal(item->text, text);
	assert_int_equal(item->reference_count, 0);
	item_unref(item);
	free(text);
}

static void test_broken_items(void **state)
{
	(void)state;
	assert_broken(ITEM_FLAG, TYPED("boolean", "'a':1"),
	              "/variants/a: The value of a boolean flag must be true or false");
	assert_broken(ITEM_FLAG, FLAG(",'version':'x'"), "/version: The version must be a string of digits");
	assert_broken(ITEM_FLAG,
	              FLAG(",'rules':[{'if':[{'attribute':'a','op':'matches','value':'a'},"
	                   "{'op':'flag','flag':'g','values':['on']}],'serve':{'variant':'x'}}]"),
	              "/rules/0/serve/variant: The flag has no variant `x`");
	assert_broken(ITEM_SEGMENT, "{'key':'f','included':['a','a']}",
	              "/included/1: This key is listed already at /included/0");
	struct flag *flag = (struct flag *)fixture_item(TYPED("integer", "'a':1.5"));
	assert_int_equal(flag->type, FLAG_INTEGER);
	assert_int_equal(flag->off_variant, FLAG_NO_VARIANT);
	assert_int_equal(flag->variant_count, 0);
	assert_false(flag->is_open);
	item_unref(&flag->item);
}

static void test_what_cannot_be_loaded(void **state)
{
	(void)state;
	static const char *const texts[] = { "",
		                             "{",
		                             "{}",
		                             "[]",
		                             "null",
		                             "{\"key\":\"a b\"}",
		                             "{\"key\":1}",
		                             "{\"key\":\"a\"} x",
		                             "{\"key\":\"a\",\"key\":\"a\"}" };
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct flag *flag = NULL;
		struct segment *segment = NULL;
		struct error err = ERROR_INIT;
		assert_int_not_equal(flag_load(texts[i], strlen(texts[i]), &flag, &err), STATUS_OK);
		assert_int_not_equal(err.status, STATUS_OK);
		assert_true(err.message[0] != '\0');
		assert_int_not_equal(segment_load(texts[i], strlen(texts[i]), &segment, NULL), STATUS_OK);
		assert_null(flag);
		assert_null(segment);
	}
}

/* ---- The rest ---- */

static void test_variant_find(void **state)
{
	(void)state;
	const struct flag *flag = (const struct flag *)fixture_item(TYPED("integer", "'a':1,'ab':2,'b':3"));
	assert_int_equal(flag_variant_find(flag, "ab", 2), 1);
	assert_int_equal(flag_variant_find(flag, "ab", 1), 0);
	assert_int_equal(flag_variant_find(flag, "abc", 3), FLAG_NO_VARIANT);
	assert_int_equal(flag_variant_find(flag, "", 0), FLAG_NO_VARIANT);
	item_unref((struct item *)&flag->item);
}

static void test_whole_splits(void **state)
{
	(void)state;
	static const struct {
		const char *serve;
		uint32_t whole;
	} rows[] = {
		{ "{'split':[{'variant':'on','weight':1},{'variant':'off','weight':0}]}", 0 },
		{ "{'split':[{'variant':'on','weight':0},{'variant':'off','weight':5}]}", 1 },
		{ "{'split':[{'variant':'off','weight':3},{'variant':'off','weight':5}]}", 1 },
		{ "{'split':[{'variant':'on','weight':1},{'variant':'off','weight':1}]}", FLAG_NO_VARIANT },
		{ "{'split':[{'variant':'on','weight':1},{'variant':'off','weight':1},"
		  "{'variant':'on','weight':1}]}",
		  FLAG_NO_VARIANT },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char quoted[512];
		(void)snprintf(quoted, sizeof(quoted),
		               "{'key':'f','type':'boolean','variants':{'on':true,'off':false},"
		               "'enabled':true,'default':%s}",
		               rows[i].serve);
		struct item *item = fixture_item(quoted);
		assert_null(item->broken);
		assert_int_equal(((struct flag *)item)->fallthrough.whole_variant, rows[i].whole);
		item_unref(item);
	}
}

static void test_keys(void **state)
{
	(void)state;
	assert_true(flag_key_is_valid("a", 1));
	assert_true(flag_key_is_valid("A9._-", 5));
	assert_false(flag_key_is_valid("", 0));
	assert_false(flag_key_is_valid(".a", 2));
	assert_false(flag_key_is_valid("a/b", 3));
	assert_false(flag_key_is_valid("\xc3\xa9", 2));
	assert_false(flag_key_is_valid("a\0b", 3));
}

static void test_references_count(void **state)
{
	(void)state;
	struct item *item = fixture_item(FLAG(""));
	assert_ptr_equal(item_ref(item), item);
	item_unref(item);
	assert_string_equal(item->key, "f");
	item_unref(item);
	item_unref(NULL);
}

static void test_type_names(void **state)
{
	(void)state;
	assert_string_equal(flag_type_name(FLAG_BOOLEAN), "boolean");
	assert_string_equal(flag_type_name(FLAG_OBJECT), "object");
	enum flag_type type = FLAG_STRING;
	assert_false(flag_type_parse(JSON_NONE, &type));
	assert_int_equal(type, FLAG_STRING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_document),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_exact_text_and_digest),
		cmocka_unit_test(test_path_in_a_larger_document),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_flags_that_are_refused),
		cmocka_unit_test(test_segments_that_are_refused),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_length_limits),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_broken_items),
		cmocka_unit_test(test_what_cannot_be_loaded),
		cmocka_unit_test(test_variant_find),
		cmocka_unit_test(test_whole_splits),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_references_count),
		cmocka_unit_test(test_type_names),
	};
	return cmocka_run_group_tests_name("flag", tests, NULL, NULL);
}
