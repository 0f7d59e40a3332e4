/* SPDX-License-Identifier: Apache-2.0 */
/* The cases of tests/vectors/operators.json, which clients and the HTTP interface run too; then limits. */
#include <math.h>

#include "tests/support/heap.h"
#include "tests/support/vectors.h"

#include "engine/flag.h"
#include "engine/match.h"

#define ATTRIBUTES_MAX 8

/* A condition with what it was compiled in. */
struct compiled {
	struct arena arena;
	const char *names[ATTRIBUTES_MAX];
	struct match_attributes attributes;
	struct condition condition;
	struct error err;
	enum status status;
};

static void compile_bounded(struct compiled *ret, struct json condition, size_t max_bytes)
{
	*ret = (struct compiled){ 0 };
	arena_init(&ret->arena, max_bytes);
	ret->attributes = (struct match_attributes){ .names = ret->names, .capacity = ATTRIBUTES_MAX };
	ret->status = match_compile(condition, &ret->attributes, &ret->arena, &ret->condition, &ret->err);
}

static void compile(struct compiled *ret, struct json condition)
{
	compile_bounded(ret, condition, 16 * 1024 * 1024);
}

static void compile_text(struct compiled *ret, struct vectors *vectors, const char *text)
{
	*vectors = (struct vectors){ 0 };
	vectors_parse(vectors, text, strlen(text));
	compile(ret, json_root(&vectors->doc));
}

static void release(struct compiled *compiled)
{
	if (compiled->status == STATUS_OK) {
		match_release(&compiled->condition, 1);
	}
	arena_deinit(&compiled->arena);
}

static enum match_outcome evaluate(const struct compiled *compiled, const struct context *context)
{
	const char *name = compiled->names[compiled->condition.attribute];
	for (size_t i = 0; i < context->attribute_count; i++) {
		const struct context_attribute *attribute = &context->attributes[i];
		if (strcmp(attribute->name, name) == 0) {
			const size_t length =
			        attribute->type == CONTEXT_STRING ? strlen(attribute->value.string) : 0;
			return match_evaluate(&compiled->condition, attribute, length);
		}
	}
	return match_evaluate(&compiled->condition, NULL, 0);
}

static enum match_outcome wanted_outcome(struct json expect)
{
	if (json_is(expect, JSON_STRING)) {
		assert_true(json_equals(expect, "exceeded"));
		return MATCH_EXCEEDED;
	}
	assert_int_equal(json_type(expect), JSON_BOOLEAN);
	return json_boolean(expect) ? MATCH_YES : MATCH_NO;
}

static void check_case(struct json test)
{
	struct compiled compiled;
	struct arena arena;
	struct context context;
	char *name = vectors_string(json_get(test, "name"), NULL);
	compile(&compiled, json_get(test, "condition"));
	if (compiled.status != STATUS_OK) {
		fail_msg("%s: %s", name, compiled.err.message);
	}
	arena_init(&arena, 1024 * 1024);
	assert_int_equal(context_read(json_get(test, "context"), &arena, &context, NULL), STATUS_OK);
	const size_t allocations = atomic_load(&heap_allocations);
	const enum match_outcome outcome = evaluate(&compiled, &context);
	if (atomic_load(&heap_allocations) != allocations) {
		fail_msg("%s: memory was allocated", name);
	}
	if (outcome != wanted_outcome(json_get(test, "expect"))) {
		fail_msg("%s: the outcome is %d", name, (int)outcome);
	}
	free(name);
	arena_deinit(&arena);
	release(&compiled);
}

static void operators_answer_as_the_vectors_say(void **state)
{
	(void)state;
	struct vectors vectors;
	struct json test = JSON_NONE;
	struct json cases = json_get(vectors_open(&vectors, "operators.json"), "cases");
	assert_true(json_count(cases) >= 400);
	while (json_next(cases, NULL, &test)) {
		check_case(test);
	}
	vectors_close(&vectors);
}

static bool ends_with(const char *text, const char *end)
{
	const size_t length = strlen(text), end_length = strlen(end);
	return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

static void wrong_conditions_are_named(void **state)
{
	(void)state;
	struct vectors vectors;
	uint32_t number = 0;
	struct json test = JSON_NONE;
	struct json tests = json_get(vectors_open(&vectors, "operators.json"), "invalid");
	assert_true(json_count(tests) >= 70);
	for (; json_next(tests, NULL, &test); number++) {
		struct compiled compiled;
		char path[64];
		char *end = vectors_string(json_get(test, "path"), NULL);
		char *message = vectors_string(json_get(test, "message_contains"), NULL);
		(void)snprintf(path, sizeof(path), "/invalid/%u/condition%s", number, end);
		compile(&compiled, json_get(test, "condition"));
		assert_int_equal(compiled.condition.attribute, 0); /* as it was before */
		if (compiled.status != STATUS_INVALID || strcmp(compiled.err.path, path) != 0 ||
		    strstr(compiled.err.message, message) == NULL || ends_with(compiled.err.message, ".")) {
			fail_msg("%s %s: %d, %s: %s", path, message, (int)compiled.status, compiled.err.path,
			         compiled.err.message);
		}
		free(end);
		free(message);
		release(&compiled);
	}
	vectors_close(&vectors);
}

/* Each operator stands in the vectors, but for the two that the evaluator answers. */
static void every_operator_is_tested(void **state)
{
	(void)state;
	struct vectors vectors;
	struct json cases = json_get(vectors_open(&vectors, "operators.json"), "cases");
	for (int op = 0; op < MATCH_OPERATOR_COUNT; op++) {
		uint32_t count[2] = { 0 };
		struct json test = JSON_NONE;
		const char *name = match_operator_name((enum match_operator)op);
		while (json_next(cases, NULL, &test)) {
			if (json_equals(json_get(json_get(test, "condition"), "op"), name)) {
				count[json_boolean(json_get(test, "expect"))]++;
			}
		}
		if (op != MATCH_IN_SEGMENT && op != MATCH_FLAG && (count[0] < 2 || count[1] < 2)) {
			fail_msg("`%s` needs more cases", name);
		}
	}
	vectors_close(&vectors);
}

static void segments_and_flags_keep_their_keys(void **state)
{
	(void)state;
	struct vectors vectors;
	struct compiled compiled;
	compile_text(&compiled, &vectors,
	             "{\"op\":\"in_segment\",\"values\":[\"beta\",\"st\\u0061ff\"],\"negate\":true}");
	assert_int_equal(compiled.status, STATUS_OK);
	assert_int_equal(compiled.condition.op, MATCH_IN_SEGMENT);
	assert_int_equal(compiled.condition.attribute, UINT32_MAX);
	assert_int_equal(compiled.condition.count, 2);
	assert_string_equal(compiled.condition.operand.keys[0], "beta");
	assert_string_equal(compiled.condition.operand.keys[1], "staff");
	assert_true(compiled.condition.is_negated);
	assert_int_equal(compiled.attributes.count, 0);
	/* Who evaluates this here gets an error, not a wrong answer. */
	const struct context_attribute attribute = { .name = "a", .type = CONTEXT_BOOLEAN };
	assert_int_equal(match_evaluate(&compiled.condition, &attribute, 0), MATCH_EXCEEDED);
	release(&compiled);
	vectors_close(&vectors);

	compile_text(&compiled, &vectors, "{\"op\":\"flag\",\"flag\":\"site\",\"value\":\"on\"}");
	assert_int_equal(compiled.status, STATUS_OK);
	assert_string_equal(compiled.condition.flag, "site");
	assert_int_equal(compiled.condition.count, 1);
	assert_string_equal(compiled.condition.operand.keys[0], "on");
	release(&compiled);
	vectors_close(&vectors);
}

static void attributes_are_collected_once(void **state)
{
	(void)state;
	static const char *const conditions[] = {
		"{\"attribute\":\"a\",\"op\":\"exists\"}",
		"{\"attribute\":\"b\",\"op\":\"exists\"}",
		"{\"attribute\":\"\\u0061\",\"op\":\"eq\",\"value\":1}",
		"{\"attribute\":\"c\",\"op\":\"exists\"}",
	};
	static const uint32_t wanted[] = { 0, 1, 0, 2 };
	const char *names[2] = { 0 };
	struct match_attributes attributes = { .names = names, .capacity = 2 };
	struct arena arena;
	arena_init(&arena, 65536);
	for (size_t i = 0; i < 4; i++) {
		struct vectors vectors = { 0 };
		struct condition condition;
		struct error err = ERROR_INIT;
		vectors_parse(&vectors, conditions[i], strlen(conditions[i]));
		const enum status status =
		        match_compile(json_root(&vectors.doc), &attributes, &arena, &condition, &err);
		if (i < 3) {
			assert_int_equal(status, STATUS_OK);
			assert_int_equal(condition.attribute, wanted[i]);
		} else {
			assert_int_equal(status, STATUS_INVALID);
			assert_string_equal(err.path, "/attribute");
			assert_string_equal(err.message, "More than 2 different attributes are looked at");
		}
		vectors_close(&vectors);
	}
	assert_int_equal(attributes.count, 2);
	assert_string_equal(names[0], "a");
	assert_string_equal(names[1], "b");
	arena_deinit(&arena);
}

/* {"attribute":"a","op":"in","values":["x", …]} */
static char *condition_with_values(size_t count)
{
	static const char start[] = "{\"attribute\":\"a\",\"op\":\"in\",\"values\":[";
	char *json = malloc(sizeof(start) + 4 * count + 2);
	assert_non_null(json);
	memcpy(json, start, sizeof(start));
	size_t length = sizeof(start) - 1;
	for (size_t i = 0; i < count; i++) {
		memcpy(json + length, "\"x\",", 4);
		length += 4;
	}
	memcpy(json + length - 1, "]}", 3);
	return json;
}

static void values_have_a_limit(void **state)
{
	(void)state;
	for (size_t extra = 0; extra <= 1; extra++) {
		struct vectors vectors;
		struct compiled compiled;
		char *json = condition_with_values(FLAG_MAX_VALUES + extra);
		compile_text(&compiled, &vectors, json);
		assert_int_equal(compiled.status, extra == 0 ? STATUS_OK : STATUS_INVALID);
		assert_string_equal(compiled.err.path, extra == 0 ? "" : "/values");
		release(&compiled);
		vectors_close(&vectors);
		free(json);
	}
}

/* What only a C program can hand in. */
static void odd_attributes_of_c_programs(void **state)
{
	(void)state;
	static const struct {
		const char *condition;
		double number;
		enum match_outcome wanted;
	} cases[] = {
		{ "{\"attribute\":\"a\",\"op\":\"lt\",\"value\":1}", (double)NAN, MATCH_NO },
		{ "{\"attribute\":\"a\",\"op\":\"ge\",\"value\":1}", (double)NAN, MATCH_NO },
		{ "{\"attribute\":\"a\",\"op\":\"eq\",\"value\":1}", (double)NAN, MATCH_NO },
		{ "{\"attribute\":\"a\",\"op\":\"ne\",\"value\":1}", (double)NAN, MATCH_NO },
		{ "{\"attribute\":\"a\",\"op\":\"ne\",\"value\":1,\"negate\":true}", (double)NAN, MATCH_YES },
		{ "{\"attribute\":\"a\",\"op\":\"exists\"}", (double)NAN, MATCH_YES },
		{ "{\"attribute\":\"a\",\"op\":\"before\",\"value\":1}", (double)NAN, MATCH_NO },
		{ "{\"attribute\":\"a\",\"op\":\"gt\",\"value\":9223372036854775807}", (double)INFINITY,
		  MATCH_YES },
		{ "{\"attribute\":\"a\",\"op\":\"lt\",\"value\":-9223372036854775808}", -(double)INFINITY,
		  MATCH_YES },
		{ "{\"attribute\":\"a\",\"op\":\"gt\",\"value\":1e308}", (double)INFINITY, MATCH_YES },
		{ "{\"attribute\":\"a\",\"op\":\"after\",\"value\":1}", (double)INFINITY, MATCH_NO },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vectors vectors;
		struct compiled compiled;
		const struct context_attribute attribute = { .name = "a",
			                                     .type = CONTEXT_NUMBER,
			                                     .value.number = cases[i].number };
		compile_text(&compiled, &vectors, cases[i].condition);
		assert_int_equal(compiled.status, STATUS_OK);
		if (match_evaluate(&compiled.condition, &attribute, 0) != cases[i].wanted) {
			fail_msg("%s with %f", cases[i].condition, cases[i].number);
		}
		release(&compiled);
		vectors_close(&vectors);
	}
}

/* Every place where the arena can be full, for each kind of operand; nothing may leak. */
static void a_full_arena_is_reported(void **state)
{
	(void)state;
	static const char *const conditions[] = {
		"{\"attribute\":\"a\",\"op\":\"in\",\"values\":[\"x\",1,true]}",
		"{\"attribute\":\"a\",\"op\":\"contains\",\"values\":[\"x\",\"y\"]}",
		"{\"attribute\":\"a\",\"op\":\"matches\",\"values\":[\"x\",\"y\",\"z\"]}",
		"{\"attribute\":\"a\",\"op\":\"semver_ge\",\"value\":\"1.2.3\"}",
		"{\"attribute\":\"a\",\"op\":\"semver_match\",\"values\":[\"^1\",\"^2\"]}",
		"{\"attribute\":\"a\",\"op\":\"in_cidr\",\"values\":[\"10.0.0.0/8\",\"::1\"]}",
		"{\"op\":\"in_segment\",\"values\":[\"x\",\"y\"]}",
		"{\"op\":\"flag\",\"flag\":\"f\",\"values\":[\"x\",\"y\"]}",
	};
	for (size_t i = 0; i < sizeof(conditions) / sizeof(conditions[0]); i++) {
		struct vectors vectors = { 0 };
		int failures = 0;
		vectors_parse(&vectors, conditions[i], strlen(conditions[i]));
		for (size_t max = 0; max < 640; max += 16) {
			struct compiled compiled;
			compile_bounded(&compiled, json_root(&vectors.doc), max);
			failures += compiled.status == STATUS_NO_MEMORY;
			assert_true(compiled.status == STATUS_OK || compiled.status == STATUS_NO_MEMORY);
			release(&compiled);
		}
		assert_in_range(failures, 3, 39);
		vectors_close(&vectors);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(operators_answer_as_the_vectors_say),
		cmocka_unit_test(wrong_conditions_are_named),
		cmocka_unit_test(every_operator_is_tested),
		cmocka_unit_test(segments_and_flags_keep_their_keys),
		cmocka_unit_test(attributes_are_collected_once),
		cmocka_unit_test(values_have_a_limit),
		cmocka_unit_test(odd_attributes_of_c_programs),
		cmocka_unit_test(a_full_arena_is_reported),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
