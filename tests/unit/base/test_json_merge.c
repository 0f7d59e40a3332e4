/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/base/document.h"

static void merge_expect(const char *target_text, const char *patch_text, const char *expected)
{
	struct document target, patch;
	struct buf out;
	buf_init(&out, 10000);
	json_merge_patch(document_open(&target, target_text), document_open(&patch, patch_text), &out);
	assert_int_equal(buf_status(&out, "merge", NULL), STATUS_OK);
	assert_string_equal(buf_string(&out), expected);
	document_close(&target);
	document_close(&patch);
	buf_deinit(&out);
}

static void the_examples_of_rfc_7396(void **state)
{
	(void)state;
	static const struct {
		const char *target, *patch, *result;
	} examples[] = {
		{ "{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
		{ "{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}" },
		{ "{\"a\":\"b\"}", "{\"a\":null}", "{}" },
		{ "{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}" },
		{ "{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
		{ "{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}" },
		{ "{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}" },
		{ "{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}" },
		{ "[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]" },
		{ "{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]" },
		{ "{\"a\":\"foo\"}", "null", "null" },
		{ "{\"a\":\"foo\"}", "\"bar\"", "\"bar\"" },
		{ "{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}" },
		{ "[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}" },
		{ "{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}" },
	};
	for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
		merge_expect(examples[i].target, examples[i].patch, examples[i].result);
	}
}

static void texts_and_order_are_kept(void **state)
{
	(void)state;
	merge_expect("{\"z\":1.50,\"a\":9007199254740993,\"m\":\"\\u00e4\"}",
	             "{\"n\":-0.0e+1,\"a\":1E40,\"b\":\"\\/\"}",
	             "{\"z\":1.50,\"a\":1E40,\"m\":\"\\u00e4\",\"n\":-0.0e+1,\"b\":\"\\/\"}");
}

static void names_match_after_unescaping(void **state)
{
	(void)state;
	merge_expect("{\"a\":1,\"\\u0062\":2}", "{\"\\u0061\":null,\"b\":3}", "{\"\\u0062\":3}");
	merge_expect("{\"a\":{\"x\":1}}", "{\"\\u0061\":{\"y\":2}}", "{\"a\":{\"x\":1,\"y\":2}}");
}

static void white_space_goes(void **state)
{
	(void)state;
	merge_expect(" { \"a\" : [ 1 , 2 ] , \"b\" : { \"c\" : \" d \" } } ", "{ \"e\" :\n{ \"f\" : [ ] } }",
	             "{\"a\":[1,2],\"b\":{\"c\":\" d \"},\"e\":{\"f\":[]}}");
}

static void the_target_may_be_absent(void **state)
{
	(void)state;
	struct document patch;
	struct buf out;
	buf_init(&out, 100);
	json_merge_patch(JSON_NONE, document_open(&patch, "{\"a\":{\"b\":null,\"c\":1},\"d\":null}"), &out);
	assert_string_equal(buf_string(&out), "{\"a\":{\"c\":1}}");
	document_close(&patch);
	buf_deinit(&out);
}

static void the_output_is_bounded(void **state)
{
	(void)state;
	struct document target, patch;
	struct buf out;
	buf_init(&out, 12);
	json_merge_patch(document_open(&target, "{\"a\":1}"), document_open(&patch, "{\"b\":22}"), &out);
	assert_int_equal(buf_status(&out, "merge", NULL), STATUS_TOO_LARGE);
	document_close(&target);
	document_close(&patch);
	buf_deinit(&out);
}

/* Objects that are looked up through a hash table: every third member goes, the others change. */
static void large_objects(void **state)
{
	(void)state;
	enum { COUNT = 3000 };
	struct buf target_text, patch_text, expected, out;
	struct document target, patch;
	buf_init(&target_text, 1 << 20);
	buf_init(&patch_text, 1 << 20);
	buf_init(&expected, 1 << 20);
	buf_init(&out, 1 << 20);
	for (int i = 0; i < COUNT; i++) {
		buf_append_format(&target_text, "%c\"m%d\":%d", i == 0 ? '{' : ',', i, i);
		const int patched = COUNT - 1 - i;
		buf_append_format(&patch_text, "%c\"m%d\":", i == 0 ? '{' : ',', patched);
		if (patched % 3 == 0) {
			buf_append_string(&patch_text, "null");
		} else {
			buf_append_format(&patch_text, "[%d]", patched);
		}
		if (i % 3 != 0) {
			buf_append_format(&expected, "%c\"m%d\":[%d]", i == 1 ? '{' : ',', i, i);
		}
	}
	buf_append_string(&target_text, "}");
	buf_append_string(&patch_text, ",\"new\":{}}");
	buf_append_string(&expected, ",\"new\":{}}");
	json_merge_patch(document_open(&target, target_text.data), document_open(&patch, patch_text.data),
	                 &out);
	assert_string_equal(out.data, expected.data);
	document_close(&target);
	document_close(&patch);
	buf_deinit(&target_text);
	buf_deinit(&patch_text);
	buf_deinit(&expected);
	buf_deinit(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_examples_of_rfc_7396),
		cmocka_unit_test(texts_and_order_are_kept),
		cmocka_unit_test(names_match_after_unescaping),
		cmocka_unit_test(white_space_goes),
		cmocka_unit_test(the_target_may_be_absent),
		cmocka_unit_test(the_output_is_bounded),
		cmocka_unit_test(large_objects),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
