/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/base/document.h"

struct flag_fields {
	struct json key;
	struct json tags;
	struct json note;
	struct json variants;
	struct json enabled;
};

static const struct json_field fields[] = {
	JSON_FIELD(flag_fields, key, JSON_BIT(JSON_STRING), true, 8),
	JSON_FIELD(flag_fields, tags, JSON_BIT(JSON_ARRAY), false, 2),
	JSON_FIELD(flag_fields, note, JSON_BIT(JSON_STRING) | JSON_BIT(JSON_NULL), false, 0),
	JSON_FIELD(flag_fields, variants, JSON_BIT(JSON_OBJECT), false, 1),
	JSON_FIELD(flag_fields, enabled,
	           JSON_BIT(JSON_BOOLEAN) | JSON_BIT(JSON_NUMBER) | JSON_BIT(JSON_STRING), false, 0),
};

#define FIELD_COUNT (sizeof(fields) / sizeof(fields[0]))

static void fields_are_stored(void **state)
{
	(void)state;
	struct document document;
	struct flag_fields target;
	struct error err = ERROR_INIT;
	memset(&target, 0x5a, sizeof(target));
	struct json root =
	        document_open(&document, "{\"enabled\":true,\"\\u006bey\":\"12345678\",\"note\":null}");
	assert_int_equal(json_fields(root, fields, FIELD_COUNT, &target, &err), STATUS_OK);
	assert_true(json_equals(target.key, "12345678"));
	assert_true(json_boolean(target.enabled));
	assert_true(json_is(target.note, JSON_NULL));
	assert_int_equal(json_type(target.tags), JSON_ABSENT);
	assert_int_equal(json_type(target.variants), JSON_ABSENT);
	assert_int_equal(err.status, STATUS_OK);
	document_close(&document);
}

static void what_is_wrong_is_named(void **state)
{
	(void)state;
	static const struct {
		const char *text, *path, *message;
	} cases[] = {
		{ "{\"key\":\"a\",\"enabeld\":true}", "/enabeld", "Unknown field `enabeld`" },
		{ "{}", "/key", "The field `key` is required" },
		{ "{\"key\":\"a\",\"tags\":\"x\"}", "/tags",
		  "The field `tags` must be an array, not a string" },
		{ "{\"key\":null}", "/key", "The field `key` must be a string, not null" },
		{ "{\"key\":\"a\",\"note\":[]}", "/note",
		  "The field `note` must be a string or null, not an array" },
		{ "{\"key\":\"a\",\"enabled\":{}}", "/enabled",
		  "The field `enabled` must be a boolean, a number or a string, not an object" },
		{ "{\"key\":\"123456789\"}", "/key", "The field `key` must be at most 8 bytes long" },
		{ "{\"key\":\"a\",\"tags\":[1,2,3]}", "/tags",
		  "The field `tags` must have at most 2 elements" },
		{ "{\"key\":\"a\",\"variants\":{\"a\":1,\"b\":2}}", "/variants",
		  "The field `variants` must have at most 1 members" },
		{ "[]", "", "This must be an object, not an array" },
		{ "null", "", "This must be an object, not null" },
		{ "{\"KEY\":\"a\"}", "/KEY", "Unknown field `KEY`" },
		{ "{\"ke\":\"a\"}", "/ke", "Unknown field `ke`" },
		{ "{\"a/b\\n\":1}", "/a~1b\n", "Unknown field `a/b\\n`" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct document document;
		struct flag_fields target, untouched;
		struct error err = ERROR_INIT;
		memset(&target, 0x5a, sizeof(target));
		memset(&untouched, 0x5a, sizeof(untouched));
		struct json root = document_open(&document, cases[i].text);
		assert_int_equal(json_fields(root, fields, FIELD_COUNT, &target, &err), STATUS_INVALID);
		assert_string_equal(err.message, cases[i].message);
		assert_string_equal(err.path, cases[i].path);
		assert_memory_equal(&target, &untouched, sizeof(target));
		assert_int_equal(json_fields(root, fields, FIELD_COUNT, &target, NULL), STATUS_INVALID);
		document_close(&document);
	}
}

static void nested_objects_are_named_by_their_path(void **state)
{
	(void)state;
	struct document document;
	struct flag_fields target;
	struct error err = ERROR_INIT;
	struct json root = document_open(&document, "{\"flags\":[{\"key\":\"a\"},{\"key\":1}]}");
	struct json flag = JSON_NONE;
	assert_true(json_next(json_get(root, "flags"), NULL, &flag));
	assert_int_equal(json_fields(flag, fields, FIELD_COUNT, &target, &err), STATUS_OK);
	assert_true(json_next(json_get(root, "flags"), NULL, &flag));
	assert_int_equal(json_fields(flag, fields, FIELD_COUNT, &target, &err), STATUS_INVALID);
	assert_string_equal(err.path, "/flags/1/key");
	assert_int_equal(json_fields(JSON_NONE, fields, FIELD_COUNT, &target, &err), STATUS_INVALID);
	assert_string_equal(err.message, "This must be an object, not nothing");
	document_close(&document);
}

static void long_unknown_names_are_cut(void **state)
{
	(void)state;
	char text[400] = "{\"";
	struct document document;
	struct flag_fields target;
	struct error err = ERROR_INIT;
	for (int i = 0; i < 100; i++) {
		memcpy(text + 2 + 3 * i, "\xe2\x82\xac", 3);
	}
	memcpy(text + 302, "\":1}", 5);
	struct json root = document_open(&document, text);
	assert_int_equal(json_fields(root, fields, FIELD_COUNT, &target, &err), STATUS_INVALID);
	assert_int_equal(strlen(err.message), strlen("Unknown field ``") + 63);
	document_close(&document);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_stored),
		cmocka_unit_test(what_is_wrong_is_named),
		cmocka_unit_test(nested_objects_are_named_by_their_path),
		cmocka_unit_test(long_unknown_names_are_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
