/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/base/document.h"

#include <float.h>
#include <math.h>

static void types_and_their_names(void **state)
{
	(void)state;
	static const char *const names[] = { "nothing",  "null",     "a boolean", "a number",
		                             "a string", "an array", "an object" };
	struct document document;
	struct json root = document_open(&document, "[null,true,1,\"a\",[],{}]");
	struct json value = JSON_NONE;
	enum json_type type = JSON_ABSENT;
	assert_string_equal(json_type_name(JSON_ABSENT), names[0]);
	while (json_next(root, NULL, &value)) {
		type = (enum json_type)(type + 1);
		assert_int_equal(json_type(value), type);
		assert_true(json_is(value, type));
		assert_false(json_is(value, JSON_ABSENT));
		assert_string_equal(json_type_name(type), names[type]);
	}
	assert_int_equal(type, JSON_OBJECT);
	document_close(&document);
}

static void an_absent_value_answers_everything(void **state)
{
	(void)state;
	struct json value = JSON_NONE;
	int64_t integer = 7;
	double number = 7;
	size_t length = 7;
	char path[8] = "x";
	assert_int_equal(json_type(JSON_NONE), JSON_ABSENT);
	assert_int_equal(json_count(JSON_NONE), 0);
	assert_false(json_next(JSON_NONE, NULL, &value));
	assert_int_equal(json_type(json_get(json_get(JSON_NONE, "a"), "b")), JSON_ABSENT);
	assert_false(json_boolean(JSON_NONE));
	assert_false(json_int64(JSON_NONE, &integer));
	assert_false(json_double(JSON_NONE, &number));
	assert_int_equal(integer, 7);
	assert_true(number == 7);
	assert_string_equal(json_raw(JSON_NONE, &length), "");
	assert_int_equal(length, 0);
	assert_false(json_equals(JSON_NONE, ""));
	json_path(JSON_NONE, path, sizeof(path));
	assert_string_equal(path, "");
	assert_true(json_same(JSON_NONE, JSON_NONE));
	const struct json_doc empty = { 0 };
	assert_int_equal(json_type(json_root(&empty)), JSON_ABSENT);
}

static void walking_visits_each_child_once(void **state)
{
	(void)state;
	struct document document;
	struct json root = document_open(&document, "{\"a\":[1,[2,3]],\"b\":{\"x\":{}},\"c\":null}");
	struct json name, value = JSON_NONE;
	char names[8] = "";
	uint32_t count = 0;
	while (json_next(root, &name, &value)) {
		assert_int_equal(json_string_copy(name, names + count, 2), 1);
		count++;
	}
	assert_string_equal(names, "abc");
	assert_int_equal(json_count(root), 3);
	assert_int_equal(json_count(json_get(root, "a")), 2);
	value = JSON_NONE;
	name = root;
	assert_true(json_next(json_get(root, "a"), &name, &value));
	assert_int_equal(json_type(name), JSON_ABSENT);
	value = JSON_NONE;
	assert_false(json_next(json_get(root, "c"), NULL, &value));
	assert_false(json_next(json_get(json_get(root, "b"), "x"), &name, &value));
	document_close(&document);
}

static void members_are_found_however_they_are_written(void **state)
{
	(void)state;
	struct document document;
	struct json root = document_open(&document, "{\"a\":1,\"\\u0062\":2,\"\":3,\"\xc3\xa4\":4,\"ab\":5}");
	static const char *const names[] = { "a", "b", "", "\xc3\xa4", "ab" };
	for (int64_t i = 0; i < 5; i++) {
		int64_t value = 0;
		assert_true(json_int64(json_get(root, names[i]), &value));
		assert_int_equal(value, i + 1);
	}
	assert_int_equal(json_type(json_get(root, "abc")), JSON_ABSENT);
	assert_int_equal(json_type(json_get(root, "\\u0062")), JSON_ABSENT);
	assert_int_equal(json_type(json_get(json_get(root, "a"), "x")), JSON_ABSENT);
	document_close(&document);
}

static void strings_are_unescaped(void **state)
{
	(void)state;
	static const struct {
		const char *raw, *text;
	} strings[] = {
		{ "", "" },
		{ "plain", "plain" },
		{ "\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t" },
		{ "\\u0041\\u00e4\\u20AC\\ud83d\\udEA9", "A\xc3\xa4\xe2\x82\xac\xf0\x9f\x9a\xa9" },
		{ "\\u0001\\u007f\\u0080\\u07ff\\u0800\\uffff",
		  "\x01\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf" },
		{ "\\ud800\\udc00\\udbff\\udfff", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf" },
		{ "\\\\u0041", "\\u0041" },
		{ "\xe2\x82\xac\\n\xf0\x9f\x9a\xa9", "\xe2\x82\xac\n\xf0\x9f\x9a\xa9" },
	};
	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
		char text[200];
		char out[100];
		struct document document;
		(void)snprintf(text, sizeof(text), "\"%s\"", strings[i].raw);
		struct json string = document_open(&document, text);
		const size_t length = strlen(strings[i].text);
		assert_int_equal(json_string_copy(string, out, sizeof(out)), length);
		assert_string_equal(out, strings[i].text);
		assert_int_equal(json_string_copy(string, NULL, 0), length);
		assert_true(json_equals(string, strings[i].text));
		assert_false(json_equals(string, "plain text"));
		(void)snprintf(out, sizeof(out), "%sx", strings[i].text);
		assert_false(json_equals(string, out));
		if (length > 0) {
			out[length - 1] = '\0';
			assert_false(json_equals(string, out));
		}
		document_close(&document);
	}
}

/* Room for every size: with too little nothing is written behind it, with enough all and a NUL is. */
static void copies_respect_the_room(void **state)
{
	(void)state;
	static const char *const texts[] = { "\"abc\xf0\x9f\x9a\xa9xyz\"", "\"abc\\ud83d\\udea9xy\\u007a\"" };
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct document document;
		struct json string = document_open(&document, texts[i]);
		for (size_t size = 1; size < 16; size++) {
			char *out = malloc(size);
			assert_non_null(out);
			assert_int_equal(json_string_copy(string, out, size), 10);
			if (size > 10) {
				assert_string_equal(out, "abc\xf0\x9f\x9a\xa9xyz");
			}
			free(out);
		}
		document_close(&document);
	}
}

static void long_escaped_strings(void **state)
{
	(void)state;
	enum { REPEATS = 1000 };
	char raw[REPEATS * 6 + 3] = "\"";
	char text[REPEATS + 1];
	for (size_t i = 0; i < REPEATS; i++) {
		memcpy(raw + 1 + i * 6, "\\u0061", 6);
		text[i] = 'a';
	}
	memcpy(raw + 1 + REPEATS * 6, "\"", 2);
	text[REPEATS] = '\0';
	struct document document;
	struct json string = document_open(&document, raw);
	char out[REPEATS + 1];
	assert_true(json_equals(string, text));
	assert_int_equal(json_string_copy(string, out, sizeof(out)), REPEATS);
	assert_string_equal(out, text);
	text[REPEATS - 1] = 'b';
	assert_false(json_equals(string, text));
	document_close(&document);
}

static void strings_are_duplicated_into_an_arena(void **state)
{
	(void)state;
	struct document document;
	struct arena arena;
	size_t length = 0;
	struct json root =
	        document_open(&document, "[\"abc\",\"\\u0061\\n\",\"0123456789012345678901234567890123\"]");
	struct json value = JSON_NONE;
	arena_init(&arena, 32);
	assert_true(json_next(root, NULL, &value));
	assert_string_equal(json_string_dup(value, &arena, &length), "abc");
	assert_int_equal(length, 3);
	assert_true(json_next(root, NULL, &value));
	assert_string_equal(json_string_dup(value, &arena, NULL), "a\n");
	assert_true(json_next(root, NULL, &value));
	length = 99;
	assert_null(json_string_dup(value, &arena, &length));
	assert_int_equal(length, 99);
	arena_deinit(&arena);
	document_close(&document);
}

static void integers(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t value;
		bool fits;
	} numbers[] = {
		{ "0", 0, true },
		{ "-0", 0, true },
		{ "-1", -1, true },
		{ "9007199254740993", 9007199254740993, true },
		{ "9223372036854775807", INT64_MAX, true },
		{ "-9223372036854775808", INT64_MIN, true },
		{ "9223372036854775808", 0, false },
		{ "-9223372036854775809", 0, false },
		{ "99999999999999999999999999", 0, false },
		{ "1.0", 0, false },
		{ "1e2", 0, false },
		{ "\"1\"", 0, false },
		{ "true", 0, false },
		{ "[1]", 0, false },
	};
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct document document;
		int64_t value = 4711;
		struct json number = document_open(&document, numbers[i].text);
		assert_int_equal(json_int64(number, &value), numbers[i].fits);
		assert_int_equal(value, numbers[i].fits ? numbers[i].value : 4711);
		document_close(&document);
	}
}

static void doubles(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		double value;
	} numbers[] = {
		{ "0", 0.0 },
		{ "-0", -0.0 },
		{ "-0.0", -0.0 },
		{ "1.5", 1.5 },
		{ "0.1", 0.1 },
		{ "9007199254740993", 9007199254740992.0 },
		{ "1e308", 1e308 },
		{ "1.7976931348623157e308", DBL_MAX },
		{ "-1.7976931348623158e308", -DBL_MAX },
		{ "2.2250738585072011e-308", 2.2250738585072011e-308 },
		{ "5e-324", 4.9406564584124654e-324 },
		{ "1e-999", 0.0 },
		{ "0e999", 0.0 },
		{ "-0e99999999999999999999", -0.0 },
		{ "123456789012345678901234567890", 123456789012345678901234567890.0 },
	};
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct document document;
		double value = NAN;
		assert_true(json_double(document_open(&document, numbers[i].text), &value));
		if (value != numbers[i].value || signbit(value) != signbit(numbers[i].value)) {
			fail_msg("%s: %.17g", numbers[i].text, value);
		}
		document_close(&document);
	}
	struct document document;
	double value = 7;
	assert_false(json_double(document_open(&document, "\"1\""), &value));
	assert_true(value == 7);
	document_close(&document);
}

static void booleans(void **state)
{
	(void)state;
	static const char *const texts[] = { "true", "false", "null", "1", "\"true\"", "[true]" };
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct document document;
		assert_int_equal(json_boolean(document_open(&document, texts[i])), i == 0);
		document_close(&document);
	}
}

static void text_as_it_is_and_compact(void **state)
{
	(void)state;
	struct document document;
	struct buf buf;
	size_t length = 0;
	struct json root = document_open(
	        &document, " { \"\\u0061\" : [ 1.50 , -0 , { } , [ ] ] ,\n \"b c\" : \" x \" } ");
	buf_init(&buf, 1000);
	json_raw_append(root, &buf);
	assert_string_equal(buf.data, "{ \"\\u0061\" : [ 1.50 , -0 , { } , [ ] ] ,\n \"b c\" : \" x \" }");
	const char *raw = json_raw(json_get(root, "b c"), &length);
	assert_int_equal(length, 5);
	assert_memory_equal(raw, "\" x \"", 5);
	buf_reset(&buf);
	json_compact_append(root, &buf);
	assert_string_equal(buf.data, "{\"\\u0061\":[1.50,-0,{},[]],\"b c\":\" x \"}");
	buf_reset(&buf);
	json_compact_append(json_get(root, "a"), &buf);
	json_compact_append(JSON_NONE, &buf);
	assert_string_equal(buf.data, "[1.50,-0,{},[]]");
	buf_deinit(&buf);
	document_close(&document);
}

static void paths(void **state)
{
	(void)state;
	struct document document;
	char path[64];
	struct json root = document_open(
	        &document,
	        "{\"a\":[0,{\"b/c~d\":{\"\":[[],[true]]}}],\"\\u00e4\\n\":1,\"last\":{\"x\":null}}");
	json_path(root, path, sizeof(path));
	assert_string_equal(path, "");
	struct json list = json_get(root, "a");
	struct json value = JSON_NONE;
	assert_true(json_next(list, NULL, &value));
	assert_true(json_next(list, NULL, &value));
	json_path(value, path, sizeof(path));
	assert_string_equal(path, "/a/1");
	struct json name, inner = JSON_NONE;
	assert_true(json_next(value, &name, &inner));
	json_path(name, path, sizeof(path));
	assert_string_equal(path, "/a/1/b~1c~0d");
	list = json_get(inner, "");
	value = JSON_NONE;
	assert_true(json_next(list, NULL, &value));
	assert_true(json_next(list, NULL, &value));
	inner = JSON_NONE;
	assert_true(json_next(value, NULL, &inner));
	json_path(inner, path, sizeof(path));
	assert_string_equal(path, "/a/1/b~1c~0d//1/0");
	json_path(json_get(root, "\xc3\xa4\n"), path, sizeof(path));
	assert_string_equal(path, "/\xc3\xa4\n");
	json_path(json_get(json_get(root, "last"), "x"), path, sizeof(path));
	assert_string_equal(path, "/last/x");
	document_close(&document);
}

/* A path that is too long is a prefix of the whole one, without a part of a character or escape. */
static void long_paths_are_cut(void **state)
{
	(void)state;
	struct document document;
	struct json root = document_open(&document, "{\"ab\xe2\x82\xac~\":{\"c/\":[1]}}");
	struct json value = JSON_NONE;
	static const char whole[] = "/ab\xe2\x82\xac~0/c~1/0";
	assert_true(json_next(json_get(json_get(root, "ab\xe2\x82\xac~"), "c/"), NULL, &value));
	for (size_t size = 1; size <= sizeof(whole); size++) {
		char *path = malloc(size);
		assert_non_null(path);
		json_path(value, path, size);
		const size_t length = strlen(path);
		assert_true(length < size && strncmp(path, whole, length) == 0);
		assert_true(length != 4 && length != 5 && length != 7 && length != 11);
		assert_true(length + 3 >= size);
		free(path);
	}
	json_path(value, NULL, 0);
	document_close(&document);
}

static void errors_carry_the_place(void **state)
{
	(void)state;
	struct document document;
	struct error err = ERROR_INIT;
	struct json root = document_open(&document, "{\"rules\":[{\"if\":1}]}");
	struct json rule = JSON_NONE;
	assert_true(json_next(json_get(root, "rules"), NULL, &rule));
	assert_int_equal(json_fail(&err, STATUS_INVALID, json_get(rule, "if"), "It is %d", 1),
	                 STATUS_INVALID);
	assert_string_equal(err.message, "It is 1");
	assert_string_equal(err.path, "/rules/0/if");
	assert_int_equal(json_fail_member(&err, STATUS_CONFLICT, rule, "serve/it", "Missing"),
	                 STATUS_CONFLICT);
	assert_string_equal(err.path, "/rules/0/serve~1it");
	assert_int_equal(json_fail(&err, STATUS_INVALID, JSON_NONE, "Nowhere"), STATUS_INVALID);
	assert_string_equal(err.path, "");
	assert_int_equal(json_fail(NULL, STATUS_INVALID, rule, "Nobody listens"), STATUS_INVALID);
	document_close(&document);
}

static void sameness(void **state)
{
	(void)state;
	static const struct {
		const char *a, *b;
		bool is_same;
	} pairs[] = {
		{ "null", "null", true },
		{ "null", "false", false },
		{ "true", "true", true },
		{ "true", "false", false },
		{ "1", "1", true },
		{ "1", "1.0", false },
		{ "1e2", "100", false },
		{ "9007199254740993", "9007199254740992", false },
		{ "\"a\"", "\"a\"", true },
		{ "\"a\"", "\"\\u0061\"", true },
		{ "\"\\u0061\\/\"", "\"a\\u002f\"", true },
		{ "\"\\ud83d\\udea9\"", "\"\xf0\x9f\x9a\xa9\"", true },
		{ "\"\\ud83d\\udea9x\"", "\"\\ud83d\\udea9\"", false },
		{ "\"\\u0061b\"", "\"a\\u0063\"", false },
		{ "\"1\"", "1", false },
		{ "[]", "[]", true },
		{ "[]", "{}", false },
		{ "[1,2]", "[1, 2]", true },
		{ "[1,2]", "[2,1]", false },
		{ "[1]", "[1,1]", false },
		{ "{\"a\":1,\"b\":[2]}", "{\"b\":[2],\"\\u0061\":1}", true },
		{ "{\"a\":1}", "{\"a\":1,\"b\":2}", false },
		{ "{\"a\":1}", "{\"b\":1}", false },
		{ "{\"a\":{\"b\":1}}", "{\"a\":{\"b\":2}}", false },
	};
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct document a, b;
		struct json left = document_open(&a, pairs[i].a);
		struct json right = document_open(&b, pairs[i].b);
		assert_int_equal(json_same(left, right), pairs[i].is_same);
		assert_int_equal(json_same(right, left), pairs[i].is_same);
		assert_true(json_same(left, left));
		assert_false(json_same(left, JSON_NONE));
		document_close(&a);
		document_close(&b);
	}
}

/* The other order of many members, with one value changed on request. */
static void put_members(struct buf *buf, int count, bool is_reversed, int changed)
{
	for (int i = 0; i < count; i++) {
		const int member = is_reversed ? count - 1 - i : i;
		buf_append_format(buf, "%c\"%s%d\":%d", i == 0 ? '{' : ',', is_reversed ? "\\u006d" : "m",
		                  member, member == changed ? -1 : member);
	}
	buf_append_char(buf, '}');
}

static void sameness_of_large_objects(void **state)
{
	(void)state;
	enum { COUNT = 5000 };
	for (int changed = -1; changed < COUNT; changed += COUNT / 2) {
		struct buf a, b;
		struct document left, right;
		buf_init(&a, 1 << 20);
		buf_init(&b, 1 << 20);
		put_members(&a, COUNT, false, -1);
		put_members(&b, COUNT, true, changed);
		assert_true(json_same(document_open(&left, a.data), document_open(&right, b.data)) ==
		            (changed < 0));
		document_close(&left);
		document_close(&right);
		buf_deinit(&a);
		buf_deinit(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(types_and_their_names),
		cmocka_unit_test(an_absent_value_answers_everything),
		cmocka_unit_test(walking_visits_each_child_once),
		cmocka_unit_test(members_are_found_however_they_are_written),
		cmocka_unit_test(strings_are_unescaped),
		cmocka_unit_test(copies_respect_the_room),
		cmocka_unit_test(long_escaped_strings),
		cmocka_unit_test(strings_are_duplicated_into_an_arena),
		cmocka_unit_test(integers),
		cmocka_unit_test(doubles),
		cmocka_unit_test(booleans),
		cmocka_unit_test(text_as_it_is_and_compact),
		cmocka_unit_test(paths),
		cmocka_unit_test(long_paths_are_cut),
		cmocka_unit_test(errors_carry_the_place),
		cmocka_unit_test(sameness),
		cmocka_unit_test(sameness_of_large_objects),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
