/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/vectors.h"

#include "engine/context.h"

struct fixture {
	struct arena arena;
	struct vectors vectors;
	struct context context;
	struct error err;
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	assert_non_null(fixture);
	arena_init(&fixture->arena, 16 * 1024 * 1024);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	arena_deinit(&fixture->arena);
	vectors_close(&fixture->vectors);
	free(fixture);
	return 0;
}

/* Reads the context of {"context": @json}. */
static enum status read_context(struct fixture *fixture, const char *json)
{
	const size_t size = strlen(json) + 16;
	vectors_close(&fixture->vectors);
	fixture->vectors = (struct vectors){ .text = malloc(size) };
	assert_non_null(fixture->vectors.text);
	const int length = snprintf(fixture->vectors.text, size, "{\"context\":%s}", json);
	vectors_parse(&fixture->vectors, fixture->vectors.text, (size_t)length);
	return context_read(json_get(json_root(&fixture->vectors.doc), "context"), &fixture->arena,
	                    &fixture->context, &fixture->err);
}

static const struct context_attribute *find(const struct fixture *fixture, const char *name)
{
	for (size_t i = 0; i < fixture->context.attribute_count; i++) {
		if (strcmp(fixture->context.attributes[i].name, name) == 0) {
			return &fixture->context.attributes[i];
		}
	}
	fail_msg("there is no `%s`", name);
	return NULL;
}

static void nothing_is_an_empty_context(void **state)
{
	struct fixture *fixture = *state;
	fixture->context.attribute_count = 7;
	assert_int_equal(context_read(JSON_NONE, &fixture->arena, &fixture->context, NULL), STATUS_OK);
	assert_int_equal(fixture->context.attribute_count, 0);
	assert_null(fixture->context.targeting_key);
	assert_int_equal(read_context(fixture, "null"), STATUS_OK);
	assert_int_equal(fixture->context.attribute_count, 0);
	assert_int_equal(read_context(fixture, "{}"), STATUS_OK);
	assert_int_equal(fixture->context.attribute_count, 0);
	assert_null(fixture->context.targeting_key);
}

static void values_keep_their_types(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(read_context(fixture,
	                              "{\"targetingKey\":\"user-1\",\"s\":\"a\\u00e9\\\"\\n\",\"i\":-42,"
	                              "\"max\":9223372036854775807,\"over\":9223372036854775808,"
	                              "\"n\":1.5,\"whole\":1.0,\"e\":1e3,\"t\":true,\"f\":false,"
	                              "\"z\":null,\"empty\":\"\"}"),
	                 STATUS_OK);
	assert_string_equal(fixture->context.targeting_key, "user-1");
	assert_int_equal(fixture->context.attribute_count, 12);
	assert_string_equal(find(fixture, "targetingKey")->value.string, "user-1");
	assert_int_equal(find(fixture, "s")->type, CONTEXT_STRING);
	assert_string_equal(find(fixture, "s")->value.string, "aé\"\n");
	assert_int_equal(find(fixture, "i")->type, CONTEXT_INTEGER);
	assert_true(find(fixture, "i")->value.integer == -42);
	assert_true(find(fixture, "max")->value.integer == INT64_MAX);
	assert_int_equal(find(fixture, "over")->type, CONTEXT_NUMBER);
	assert_true(find(fixture, "over")->value.number >= 0x1p63 &&
	            find(fixture, "over")->value.number <= 0x1p63);
	assert_int_equal(find(fixture, "n")->type, CONTEXT_NUMBER);
	assert_int_equal(find(fixture, "whole")->type, CONTEXT_NUMBER);
	assert_int_equal(find(fixture, "e")->type, CONTEXT_NUMBER);
	assert_int_equal(find(fixture, "t")->type, CONTEXT_BOOLEAN);
	assert_true(find(fixture, "t")->value.boolean);
	assert_false(find(fixture, "f")->value.boolean);
	assert_int_equal(find(fixture, "z")->type, CONTEXT_NULL);
	assert_string_equal(find(fixture, "empty")->value.string, "");
}

static void objects_are_flattened(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(read_context(fixture,
	                              "{\"app\":{\"version\":\"1.2\",\"os\":{\"n\\u0061me\":\"linux\"},"
	                              "\"none\":{}},\"a.b\":1,\"a\":{\"b\":2},\"\":{\"\":3},"
	                              "\"sub\":{\"targetingKey\":5}}"),
	                 STATUS_OK);
	assert_null(fixture->context.targeting_key);
	assert_int_equal(find(fixture, "app")->type, CONTEXT_OBJECT);
	assert_string_equal(find(fixture, "app.version")->value.string, "1.2");
	assert_int_equal(find(fixture, "app.os")->type, CONTEXT_OBJECT);
	assert_string_equal(find(fixture, "app.os.name")->value.string, "linux");
	assert_int_equal(find(fixture, "app.none")->type, CONTEXT_OBJECT);
	assert_true(find(fixture, "a.b")->value.integer == 1);
	assert_true(find(fixture, ".")->value.integer == 3);
	assert_true(find(fixture, "sub.targetingKey")->value.integer == 5);
	assert_int_equal(fixture->context.attribute_count, 12);
}

static void arrays_hold_scalars(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(
	        read_context(fixture,
	                     "{\"a\":[\"x\",1,1.5,true,null,[1,[2]],{\"b\":[3]},\"last\"],\"e\":[]}"),
	        STATUS_OK);
	assert_int_equal(fixture->context.attribute_count, 2);
	const struct context_attribute *array = find(fixture, "a");
	static const enum context_type types[] = { CONTEXT_STRING,  CONTEXT_INTEGER, CONTEXT_NUMBER,
		                                   CONTEXT_BOOLEAN, CONTEXT_NULL,    CONTEXT_OBJECT,
		                                   CONTEXT_OBJECT,  CONTEXT_STRING };
	assert_int_equal(array->type, CONTEXT_ARRAY);
	assert_int_equal(array->value.array.count, 8);
	for (size_t i = 0; i < 8; i++) {
		assert_int_equal(array->value.array.items[i].type, types[i]);
	}
	assert_string_equal(array->value.array.items[7].value.string, "last");
	assert_int_equal(find(fixture, "e")->type, CONTEXT_ARRAY);
	assert_int_equal(find(fixture, "e")->value.array.count, 0);
}

static void assert_refused(struct fixture *fixture, const char *json, const char *path, const char *message)
{
	fixture->context.attribute_count = 99;
	assert_int_equal(read_context(fixture, json), STATUS_INVALID);
	assert_int_equal(fixture->context.attribute_count, 99);
	assert_string_equal(fixture->err.path, path);
	if (strstr(fixture->err.message, message) == NULL) {
		fail_msg("`%s` does not say `%s`", fixture->err.message, message);
	}
}

static void what_is_wrong_is_named(void **state)
{
	struct fixture *fixture = *state;
	assert_refused(fixture, "[]", "/context", "must be an object, not an array");
	assert_refused(fixture, "\"a\"", "/context", "must be an object, not a string");
	assert_refused(fixture, "{\"targetingKey\":5}", "/context/targetingKey",
	               "must be a string, not a number");
	assert_refused(fixture, "{\"targetingKey\":[\"a\"]}", "/context/targetingKey", "not an array");
	assert_refused(fixture, "{\"targetingKey\":{\"a\":1}}", "/context/targetingKey", "not an object");
	assert_refused(fixture, "{\"targeting\\u004bey\":true}", "/context/targetingKey", "not a boolean");
	assert_int_equal(read_context(fixture, "{\"targetingKey\":null}"), STATUS_OK);
	assert_null(fixture->context.targeting_key);
	assert_int_equal(read_context(fixture, "{\"targetingKey\":\"\"}"), STATUS_OK);
	assert_string_equal(fixture->context.targeting_key, "");
}

static void keys_have_a_limit(void **state)
{
	struct fixture *fixture = *state;
	char json[CONTEXT_MAX_KEY_BYTES + 64];
	char key[CONTEXT_MAX_KEY_BYTES + 2];
	memset(key, 'k', sizeof(key));
	key[CONTEXT_MAX_KEY_BYTES] = '\0';
	(void)snprintf(json, sizeof(json), "{\"targetingKey\":\"%s\"}", key);
	assert_int_equal(read_context(fixture, json), STATUS_OK);
	assert_string_equal(fixture->context.targeting_key, key);
	key[CONTEXT_MAX_KEY_BYTES] = 'k';
	key[CONTEXT_MAX_KEY_BYTES + 1] = '\0';
	(void)snprintf(json, sizeof(json), "{\"targetingKey\":\"%s\"}", key);
	assert_refused(fixture, json, "/context/targetingKey", "longer than 1024 bytes");
}

/* One name too long for any condition must not fail the request, and its members must not cost much. */
static void names_too_long_are_left_out(void **state)
{
	struct fixture *fixture = *state;
	char json[4096];
	char name[CONTEXT_MAX_NAME_BYTES + 2];
	memset(name, 'n', sizeof(name));
	name[CONTEXT_MAX_NAME_BYTES + 1] = '\0';
	(void)snprintf(json, sizeof(json),
	               "{\"%s\":1,\"%s\":2,\"%s\":{\"x\":3,\"\":4},\"%s\":{\"a\":5},\"b\":6}", name, name + 1,
	               name + 3, name + 2);
	assert_int_equal(read_context(fixture, json), STATUS_OK);
	assert_int_equal(fixture->context.attribute_count, 6);
	assert_true(find(fixture, name + 1)->value.integer == 2);
	assert_int_equal(find(fixture, name + 3)->type, CONTEXT_OBJECT);
	(void)snprintf(json, sizeof(json), "%s.x", name + 3);
	assert_true(find(fixture, json)->value.integer == 3);
	assert_int_equal(find(fixture, name + 2)->type, CONTEXT_OBJECT);
	assert_true(find(fixture, "b")->value.integer == 6);
}

static void attributes_have_a_limit(void **state)
{
	struct fixture *fixture = *state;
	char *json = malloc(32 * (size_t)CONTEXT_MAX_ATTRIBUTES);
	assert_non_null(json);
	for (int count = CONTEXT_MAX_ATTRIBUTES; count <= CONTEXT_MAX_ATTRIBUTES + 1; count++) {
		size_t length = 0;
		for (int i = 0; i < count; i++) {
			length += (size_t)snprintf(json + length, 32, "%c\"a%d\":[%d]", i == 0 ? '{' : ',', i,
			                           i);
		}
		memcpy(json + length, "}", 2);
		if (count > CONTEXT_MAX_ATTRIBUTES) {
			assert_refused(fixture, json, "/context/a1024", "more than 1024 attributes");
		} else {
			assert_int_equal(read_context(fixture, json), STATUS_OK);
			assert_int_equal(fixture->context.attribute_count, count);
		}
	}
	free(json);
}

static void deep_objects_end(void **state)
{
	struct fixture *fixture = *state;
	char json[2 * 60 * 5 + 2] = "";
	size_t length = 0;
	for (int i = 0; i < 60; i++) {
		memcpy(json + length, "{\"a\":", 5);
		length += 5;
	}
	json[length++] = '1';
	memset(json + length, '}', 60);
	assert_int_equal(read_context(fixture, json), STATUS_OK);
	assert_int_equal(fixture->context.attribute_count, 60);
	assert_int_equal(strlen(fixture->context.attributes[59].name), 119);
	assert_true(fixture->context.attributes[59].value.integer == 1);
}

/* Every place where the arena can be full. */
static void a_full_arena_is_reported(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(
	        read_context(fixture, "{\"targetingKey\":\"u\",\"a\":{\"b\":{\"c\":[1,2,3]}},\"d\":[\"x\"]}"),
	        STATUS_OK);
	const struct json object = json_get(json_root(&fixture->vectors.doc), "context");
	int failures = 0;
	for (size_t max = 0; max < 1024; max += 16) {
		struct arena arena;
		arena_init(&arena, max);
		const enum status status = context_read(object, &arena, &fixture->context, &fixture->err);
		failures += status == STATUS_NO_MEMORY;
		assert_true(status == STATUS_OK || status == STATUS_NO_MEMORY);
		arena_deinit(&arena);
	}
	assert_in_range(failures, 20, 60);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_is_an_empty_context, set_up, tear_down),
		cmocka_unit_test_setup_teardown(values_keep_their_types, set_up, tear_down),
		cmocka_unit_test_setup_teardown(objects_are_flattened, set_up, tear_down),
		cmocka_unit_test_setup_teardown(arrays_hold_scalars, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_wrong_is_named, set_up, tear_down),
		cmocka_unit_test_setup_teardown(keys_have_a_limit, set_up, tear_down),
		cmocka_unit_test_setup_teardown(names_too_long_are_left_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(attributes_have_a_limit, set_up, tear_down),
		cmocka_unit_test_setup_teardown(deep_objects_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_full_arena_is_reported, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
