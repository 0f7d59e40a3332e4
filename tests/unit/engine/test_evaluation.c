/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/vectors/evaluation.json: suites of flags and segments with cases. The client library and the
 * daemon run the same file; suites with "only":"engine" hold what the daemon would refuse to store.
 * Every case is explained, too, and what its steps say must lead to the result. None allocates.
 */
#include "tests/unit/engine/fixture.h"

#include "tests/support/heap.h"
#include "tests/support/vectors.h"

#include "base/json_write.h"

#define SUITE_MAX_ITEMS 128

static void suite_items(struct json array, enum item_kind kind, struct ruleset_edit *edits, size_t *count)
{
	struct json document = JSON_NONE;
	while (json_next(array, NULL, &document)) {
		assert_true(*count < SUITE_MAX_ITEMS);
		size_t length = 0;
		const char *text = json_raw(document, &length);
		struct item *item = NULL;
		struct error err = ERROR_INIT;
		fixture_ok(item_load(kind, text, length, &item, &err), &err);
		edits[(*count)++] = (struct ruleset_edit){ kind, item->key, item };
	}
}

static struct ruleset *suite_ruleset(struct json suite)
{
	struct ruleset_edit edits[SUITE_MAX_ITEMS] = { 0 };
	size_t count = 0;
	suite_items(json_get(suite, "flags"), ITEM_FLAG, edits, &count);
	suite_items(json_get(suite, "segments"), ITEM_SEGMENT, edits, &count);
	struct ruleset *ruleset = NULL;
	struct error err = ERROR_INIT;
	fixture_ok(ruleset_new(NULL, edits, count, &ruleset, &err), &err);
	for (size_t i = 0; i < count; i++) {
		item_unref(edits[i].item);
	}
	return ruleset;
}

/* An absent expectation is NULL. */
static bool is_text(struct json expected, const char *actual)
{
	if (json_type(expected) == JSON_ABSENT) {
		return actual == NULL;
	}
	return actual != NULL && json_equals(expected, actual);
}

static bool is_value(struct json expected, const struct variant *variant)
{
	if (variant == NULL || json_type(expected) == JSON_ABSENT) {
		return variant == NULL && json_type(expected) == JSON_ABSENT;
	}
	struct vectors value = { 0 };
	vectors_parse(&value, variant->json, variant->json_length);
	struct json actual = json_root(&value.doc);
	double a = 0;
	double b = 0;
	bool is_same =
	        json_double(expected, &a) && json_double(actual, &b) ? a == b : json_same(expected, actual);
	vectors_close(&value);
	return is_same;
}

static bool is_as_expected(struct json expect, const struct eval_result *result)
{
	const char *error = result->error != EVAL_ERROR_NONE ? eval_error_name(result->error) : NULL;
	bool is_cause = json_type(json_get(expect, "cause")) == JSON_ABSENT ||
	                is_text(json_get(expect, "cause"), result->cause);
	return is_cause && is_text(json_get(expect, "reason"), eval_reason_name(result->reason)) &&
	       is_text(json_get(expect, "error_code"), error) &&
	       is_text(json_get(expect, "variant"), result->variant != NULL ? result->variant->name : NULL) &&
	       is_value(json_get(expect, "value"), result->variant);
}

/* ---- Explain ---- */

static void explain_check(const struct ruleset *ruleset, const char *key, const struct context *context,
                          const struct eval_result *result)
{
	struct buf text;
	struct json_writer w;
	buf_init(&text, 1 << 20);
	json_writer_init(&w, &text);
	eval_explain(ruleset, key, strlen(key), context, &w);
	assert_false(text.failed);
	struct vectors explained = { 0 };
	vectors_parse(&explained, text.data, text.length);
	struct json root = json_root(&explained.doc);
	assert_true(json_equals(json_get(root, "key"), key));
	assert_true(json_equals(json_get(root, "reason"), eval_reason_name(result->reason)));
	assert_true(
	        is_text(json_get(root, "variant"), result->variant != NULL ? result->variant->name : NULL));
	assert_true(is_value(json_get(root, "value"), result->variant));
	assert_true(is_text(json_get(root, "cause"), result->cause));
	struct json variant = JSON_NONE;
	const char *outcome = fixture_steps_outcome(json_get(root, "steps"), &variant);
	if (result->error == EVAL_ERROR_NONE) {
		const char *reason = eval_reason_name(
		        result->reason == EVAL_REASON_STATIC ? EVAL_REASON_DEFAULT : result->reason);
		assert_string_equal(outcome, reason);
	}
	if (result->error == EVAL_ERROR_NONE && result->reason != EVAL_REASON_DISABLED) {
		assert_true(json_equals(variant, result->variant->name));
	}
	vectors_close(&explained);
	buf_deinit(&text);
}

/* ---- Running ---- */

static void case_run(const struct ruleset *ruleset, struct json row)
{
	struct arena arena;
	arena_init(&arena, 1 << 20);
	struct context context = { 0 };
	struct error err = ERROR_INIT;
	fixture_ok(context_read(json_get(row, "context"), &arena, &context, &err), &err);
	char *key = vectors_string(json_get(row, "flag"), NULL);
	struct eval_result result;
	memset(&result, 0xa5, sizeof(result));
	size_t allocations = atomic_load(&heap_allocations);
	eval_flag(ruleset, key, strlen(key), &context, &result);
	assert_int_equal(atomic_load(&heap_allocations), allocations);
	if (!is_as_expected(json_get(row, "expect"), &result)) {
		size_t length = 0;
		const char *text = json_raw(row, &length);
		fail_msg("%.*s\nreason %s, error %s, variant %s, cause %s", (int)length, text,
		         eval_reason_name(result.reason), eval_error_name(result.error),
		         result.variant != NULL ? result.variant->name : "(none)",
		         result.cause != NULL ? result.cause : "(none)");
	}
	explain_check(ruleset, key, &context, &result);
	free(key);
	arena_deinit(&arena);
}

static void test_vectors(void **state)
{
	(void)state;
	struct vectors vectors;
	struct json suites = json_get(vectors_open(&vectors, "evaluation.json"), "suites");
	struct json suite = JSON_NONE;
	unsigned count = 0;
	while (json_next(suites, NULL, &suite)) {
		struct ruleset *ruleset = suite_ruleset(suite);
		if (json_type(json_get(suite, "only")) == JSON_ABSENT) {
			assert_int_equal(ruleset_problem_count(ruleset), 0);
		}
		struct json row = JSON_NONE;
		while (json_next(json_get(suite, "cases"), NULL, &row)) {
			case_run(ruleset, row);
			count++;
		}
		ruleset_unref(ruleset);
	}
	assert_true(count >= 240);
	vectors_close(&vectors);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
	};
	return cmocka_run_group_tests_name("evaluation", tests, NULL, NULL);
}
