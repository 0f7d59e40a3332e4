/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/doc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "flagd/doc_diff.h"

/* A parsed literal; the test frees it. */
static struct json parse(struct json_doc *doc, const char *text)
{
	struct error err = ERROR_INIT;
	if (json_parse(text, strlen(text), &doc_limits, doc, &err) != STATUS_OK) {
		fail_msg("%s: %s", text, err.message);
	}
	return json_root(doc);
}

typedef enum status make_function(struct json body, struct buf *out, struct error *err);

static void expect_text(make_function *make, const char *body, const char *expected)
{
	struct json_doc doc = { 0 };
	struct buf out;
	struct error err = ERROR_INIT;
	buf_init(&out, 65536);
	enum status status = make(parse(&doc, body), &out, &err);
	if (status != STATUS_OK) {
		fail_msg("%s: %s (%s)", body, err.message, err.path);
	}
	assert_string_equal(buf_string(&out), expected);
	buf_deinit(&out);
	json_doc_deinit(&doc);
}

static void expect_error(make_function *make, const char *body, const char *path, const char *sentence)
{
	struct json_doc doc = { 0 };
	struct buf out;
	struct error err = ERROR_INIT;
	buf_init(&out, 65536);
	assert_int_equal(make(parse(&doc, body), &out, &err), STATUS_INVALID);
	assert_string_equal(err.path, path);
	if (strstr(err.message, sentence) == NULL) {
		fail_msg("`%s` is not in `%s`", sentence, err.message);
	}
	buf_deinit(&out);
	json_doc_deinit(&doc);
}

static void new_flag_is_canonical(void **state)
{
	(void)state;
	expect_text(doc_flag_new, "{\"type\":\"boolean\", \"key\":\"a\", \"tags\":[ \"x\" ]}",
	            "{\"type\":\"boolean\",\"variants\":{\"on\":true,\"off\":false},\"description\":\"\","
	            "\"owner\":\"\","
	            "\"tags\":[\"x\"],\"kind\":\"release\",\"expected_lifetime_days\":null}");
	expect_text(
	        doc_flag_new,
	        "{\"key\":\"n\",\"type\":\"number\",\"variants\":{\"a\" : 1.50},\"kind\":\"configuration\"}",
	        "{\"type\":\"number\",\"variants\":{\"a\":1.50},\"description\":\"\",\"owner\":\"\",\"tags\":"
	        "[],"
	        "\"kind\":\"configuration\",\"expected_lifetime_days\":null}");
}

static void new_flag_names_what_is_wrong(void **state)
{
	(void)state;
	expect_error(doc_flag_new, "{\"type\":\"boolean\"}", "/key", "`key` is required");
	expect_error(doc_flag_new, "{\"key\":\"\",\"type\":\"boolean\"}", "/key", "1 to 128");
	expect_error(doc_flag_new, "{\"key\":\"a b\",\"type\":\"boolean\"}", "/key", "1 to 128");
	expect_error(doc_flag_new, "{\"key\":\"a\",\"type\":\"bool\"}", "/type", "boolean, string");
	expect_error(doc_flag_new, "{\"key\":\"a\",\"type\":\"string\"}", "/variants",
	             "needs its `variants`");
	expect_error(doc_flag_new, "{\"key\":\"a\",\"type\":\"boolean\",\"kind\":\"x\"}", "/kind",
	             "kill_switch");
	expect_error(doc_flag_new, "{\"key\":\"a\",\"type\":\"boolean\",\"tags\":[\"\"]}", "/tags/0",
	             "1 to 64");
	expect_error(doc_flag_new, "{\"key\":\"a\",\"type\":\"boolean\",\"tags\":[1]}", "/tags/0",
	             "a string");
	expect_error(doc_flag_new, "{\"key\":\"a\",\"type\":\"boolean\",\"expected_lifetime_days\":0}",
	             "/expected_lifetime_days", "1 to 36500");
}

static enum status patch_flag(struct json body, struct buf *out, struct error *err)
{
	struct json_doc old = { 0 };
	struct json root =
	        parse(&old, "{\"type\":\"string\",\"variants\":{\"a\":\"1\",\"b\":\"2\"},\"description\":"
	                    "\"d\",\"owner\":\"o\","
	                    "\"tags\":[\"t\"],\"kind\":\"release\",\"expected_lifetime_days\":30}");
	enum status status = doc_flag_patch(root, "k", body, out, err);
	json_doc_deinit(&old);
	return status;
}

static void flag_patch_merges(void **state)
{
	(void)state;
	expect_text(patch_flag,
	            "{\"variants\":{\"a\":null,\"c\":\"3\"},\"expected_lifetime_days\":null,\"description\":"
	            "null}",
	            "{\"type\":\"string\",\"variants\":{\"b\":\"2\",\"c\":\"3\"},\"description\":\"\","
	            "\"owner\":\"o\",\"tags\":[\"t\"],"
	            "\"kind\":\"release\",\"expected_lifetime_days\":null}");
	expect_error(patch_flag, "{\"type\":\"boolean\"}", "/type", "cannot be changed");
	expect_error(patch_flag, "{\"key\":\"other\"}", "/key", "cannot be changed");
	expect_error(patch_flag, "{\"environments\":{}}", "/environments", "/api/v1/flags/k/environments/");
}

static enum status patch_setting(struct json body, struct buf *out, struct error *err)
{
	struct json_doc old = { 0 };
	struct json root = parse(
	        &old,
	        "{\"enabled\":true,\"off_variant\":\"off\",\"prerequisites\":[],\"targets\":[],\"rules\":[],"
	        "\"default\":{\"split\":[{\"variant\":\"on\",\"weight\":1}]}}");
	enum status status = doc_setting_patch(root, body, out, err);
	json_doc_deinit(&old);
	return status;
}

static void setting_patch_replaces_the_default_whole(void **state)
{
	(void)state;
	const char *expected =
	        "{\"enabled\":true,\"off_variant\":\"off\",\"prerequisites\":[],\"targets\":[],\"rules\":[],"
	        "\"default\":{\"variant\":\"on\"}}";
	expect_text(patch_setting, "{\"default\":{\"variant\":\"on\"}}", expected);
	expect_text(patch_setting, "{\"default\":{\"variant\":\"on\",\"split\":null}}", expected);
	expect_error(patch_setting, "{\"default\":null}", "/default", "must be an object");
	expect_error(patch_setting, "{\"enabled\":null}", "/enabled", "must be");
	expect_error(patch_setting, "{\"version\":\"2\"}", "/version", "version");
}

static void setting_patch_can_empty_lists(void **state)
{
	(void)state;
	expect_text(
	        patch_setting, "{\"off_variant\":null,\"rules\":null,\"enabled\":false}",
	        "{\"enabled\":false,\"off_variant\":null,\"prerequisites\":[],\"targets\":[],\"rules\":[],"
	        "\"default\":{\"split\":[{\"variant\":\"on\",\"weight\":1}]}}");
}

static enum status new_string_setting(struct json body, struct buf *out, struct error *err)
{
	struct json_doc flag = { 0 };
	struct json root = parse(&flag, "{\"type\":\"string\",\"variants\":{\"red\":\"r\",\"blue\":\"b\"}}");
	enum status status = doc_setting_new(root, body, out, err);
	json_doc_deinit(&flag);
	return status;
}

static void new_setting_is_off(void **state)
{
	(void)state;
	expect_text(
	        new_string_setting, "{}",
	        "{\"enabled\":false,\"off_variant\":null,\"prerequisites\":[],\"targets\":[],\"rules\":[],"
	        "\"default\":{\"variant\":\"red\"}}");
}

static void expect_diff(const char *before, const char *after, const char *expected)
{
	struct json_doc a = { 0 };
	struct json_doc b = { 0 };
	struct buf out;
	struct json_writer w;
	buf_init(&out, 65536);
	json_writer_init(&w, &out);
	doc_diff(before != NULL ? parse(&a, before) : JSON_NONE, after != NULL ? parse(&b, after) : JSON_NONE,
	         &w);
	assert_string_equal(buf_string(&out), expected);
	buf_deinit(&out);
	json_doc_deinit(&a);
	json_doc_deinit(&b);
}

static void diff_names_the_smallest_places(void **state)
{
	(void)state;
	expect_diff("{\"a\":1,\"b\":[1,2],\"c\":{\"d\":true}}",
	            "{\"a\":1,\"b\":[1,3],\"c\":{\"d\":false,\"e/f\":null}}",
	            "[{\"path\":\"/b/1\",\"from\":2,\"to\":3},{\"path\":\"/c/d\",\"from\":true,\"to\":false},"
	            "{\"path\":\"/c/e~1f\",\"to\":null}]");
	expect_diff("{\"a\":[1]}", "{\"a\":[1,2]}", "[{\"path\":\"/a\",\"from\":[1],\"to\":[1,2]}]");
	expect_diff("{\"a\":1}", "{\"a\":1}", "[]");
	expect_diff(NULL, "{\"a\":1}", "[{\"path\":\"/a\",\"to\":1}]");
	expect_diff("{\"a\":1}", NULL, "[{\"path\":\"/a\",\"from\":1}]");
}

/* A name has no limit of its own but the document's. */
static void diff_names_long_members(void **state)
{
	(void)state;
	char before[16384];
	char after[16384];
	char expected[16384];
	char name[5001];
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	(void)snprintf(before, sizeof(before), "{\"a\":{\"%s1\":1,\"%s2\":2}}", name, name);
	expect_diff(before, before, "[]");
	(void)snprintf(after, sizeof(after), "{\"a\":{\"%s1\":1,\"%s2\":3}}", name, name);
	(void)snprintf(expected, sizeof(expected), "[{\"path\":\"/a/%s2\",\"from\":2,\"to\":3}]", name);
	expect_diff(before, after, expected);
}

static void new_flag_may_have_long_members(void **state)
{
	(void)state;
	char body[8192];
	char name[5001];
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	(void)snprintf(body, sizeof(body),
	               "{\"key\":\"k\",\"type\":\"object\",\"variants\":{\"a\":{\"%s\":1}}}", name);
	struct json_doc doc = { 0 };
	struct buf out;
	struct error err = ERROR_INIT;
	buf_init(&out, 65536);
	assert_int_equal(doc_flag_new(parse(&doc, body), &out, &err), STATUS_OK);
	assert_non_null(strstr(buf_string(&out), name));
	buf_deinit(&out);
	json_doc_deinit(&doc);
}

static void environment_keys(void **state)
{
	(void)state;
	assert_true(doc_environment_key_is_valid("prod-eu-1"));
	assert_false(doc_environment_key_is_valid(""));
	assert_false(doc_environment_key_is_valid("-a"));
	assert_false(doc_environment_key_is_valid("Prod"));
	assert_false(doc_environment_key_is_valid("a.b"));
	assert_false(doc_environment_key_is_valid(
	        "a2345678901234567890123456789012345678901234567890123456789012345"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_flag_is_canonical),
		cmocka_unit_test(new_flag_names_what_is_wrong),
		cmocka_unit_test(flag_patch_merges),
		cmocka_unit_test(setting_patch_replaces_the_default_whole),
		cmocka_unit_test(setting_patch_can_empty_lists),
		cmocka_unit_test(new_flag_may_have_long_members),
		cmocka_unit_test(diff_names_long_members),
		cmocka_unit_test(new_setting_is_off),
		cmocka_unit_test(diff_names_the_smallest_places),
		cmocka_unit_test(environment_keys),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
