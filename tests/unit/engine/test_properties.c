/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must hold for every flag and user, tried on many. The users and the random flags are the same in
 * every run, so that a failure can be looked at.
 */
#include "tests/unit/engine/fixture.h"

#include "tests/support/vectors.h"

#include "base/json_write.h"

#define USERS 100000

static uint64_t random_state;

/* splitmix64 */
static uint32_t random_below(uint32_t limit)
{
	random_state += UINT64_C(0x9e3779b97f4a7c15);
	uint64_t z = random_state;
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t)(((z ^ z >> 31) >> 32) * limit >> 32);
}

/* A flag of the variants on and off, with @on of @total for on. */
static struct ruleset *split_ruleset(const char *key, uint32_t on, uint32_t total)
{
	char quoted[512];
	(void)snprintf(quoted, sizeof(quoted),
	               "{'key':'%s','type':'boolean','variants':{'on':true,'off':false},'enabled':true,"
	               "'default':{'split':[{'variant':'on','weight':%u},{'variant':'off','weight':%u}]}}",
	               key, on, total - on);
	return FIXTURE_RULESET(quoted);
}

static bool is_on(const struct ruleset *ruleset, const char *key, const char *user)
{
	const struct context context = { .targeting_key = user };
	struct eval_result result;
	eval_flag(ruleset, key, strlen(key), &context, &result);
	assert_int_equal(result.error, EVAL_ERROR_NONE);
	assert_int_equal(result.reason, EVAL_REASON_SPLIT);
	return result.variant->value.boolean;
}

static void user_name(unsigned index, char out[static 16])
{
	(void)snprintf(out, 16, "user-%u", index);
}

/* ---- Splits ---- */

static void test_raising_moves_nobody_out(void **state)
{
	(void)state;
	static const uint32_t weights[] = { 0,     1,     7,     100,   1000,  5000,
		                            25000, 50000, 75000, 99000, 99999, 100000 };
	bool *was_on = calloc(USERS, sizeof(*was_on));
	assert_non_null(was_on);
	for (size_t i = 0; i < sizeof(weights) / sizeof(weights[0]); i++) {
		struct ruleset *ruleset = split_ruleset("rollout", weights[i], FLAG_TOTAL_WEIGHT);
		double count = 0;
		for (unsigned user = 0; user < USERS; user++) {
			char name[16];
			user_name(user, name);
			bool on = is_on(ruleset, "rollout", name);
			assert_true(on || !was_on[user]);
			was_on[user] = on;
			count += on;
		}
		/* Five standard deviations of a fair draw, and exact at both ends. */
		double share = weights[i] / (double)FLAG_TOTAL_WEIGHT;
		double deviation = count - share * USERS;
		assert_true(deviation * deviation <= 25 * USERS * share * (1 - share));
		ruleset_unref(ruleset);
	}
	free(was_on);
}

static void test_nobody_and_everybody_need_no_key(void **state)
{
	(void)state;
	struct ruleset *none = split_ruleset("f", 0, FLAG_TOTAL_WEIGHT);
	struct ruleset *all = split_ruleset("f", FLAG_TOTAL_WEIGHT, FLAG_TOTAL_WEIGHT);
	struct ruleset *almost = split_ruleset("f", FLAG_TOTAL_WEIGHT - 1, FLAG_TOTAL_WEIGHT);
	assert_false(is_on(none, "f", NULL));
	assert_true(is_on(all, "f", NULL));
	assert_int_equal(fixture_eval(almost, "f", "{}").error, EVAL_ERROR_TARGETING_KEY_MISSING);
	for (unsigned user = 0; user < USERS; user++) {
		char name[16];
		user_name(user, name);
		assert_false(is_on(none, "f", name));
		assert_true(is_on(all, "f", name));
	}
	ruleset_unref(none);
	ruleset_unref(all);
	ruleset_unref(almost);
}

/* Chi-square of the two-by-two table, one degree of freedom; 15.1 is exceeded once in ten thousand. */
static double dependence(const char *first, const char *second, uint32_t weight)
{
	struct ruleset *a = split_ruleset(first, weight, FLAG_TOTAL_WEIGHT);
	struct ruleset *b = split_ruleset(second, weight, FLAG_TOTAL_WEIGHT);
	double table[2][2] = { { 0 } };
	for (unsigned user = 0; user < USERS; user++) {
		char name[16];
		user_name(user, name);
		table[is_on(a, first, name)][is_on(b, second, name)]++;
	}
	double rows[2] = { table[0][0] + table[0][1], table[1][0] + table[1][1] };
	double columns[2] = { table[0][0] + table[1][0], table[0][1] + table[1][1] };
	double determinant = table[0][0] * table[1][1] - table[0][1] * table[1][0];
	ruleset_unref(a);
	ruleset_unref(b);
	return USERS * determinant * determinant / (rows[0] * rows[1] * columns[0] * columns[1]);
}

static void test_flags_are_independent(void **state)
{
	(void)state;
	assert_true(dependence("new-checkout", "dark-mode", 50000) < 15.1);
	assert_true(dependence("new-checkout", "new-checkout-2", 50000) < 15.1);
	assert_true(dependence("flag-1", "flag-2", 10000) < 15.1);
	assert_true(dependence("a", "b", 1000) < 15.1);
	/* The test sees what is dependent: the same flag twice. */
	assert_true(dependence("a", "a", 1000) > 15.1);
}

/* The smallest step of a percentage is a thousandth of a percent, of a weight one in a billion. */
static void test_smallest_steps_count(void **state)
{
	(void)state;
	static const uint32_t totals[] = { FLAG_TOTAL_WEIGHT, FLAG_MAX_WEIGHT };
	struct bucket_prefix salt;
	bucket_prefix_init(&salt, "fine", strlen("fine"));
	for (unsigned user = 0; user < 500; user++) {
		char name[16];
		user_name(user, name);
		for (size_t i = 0; i < 2; i++) {
			uint32_t bucket = bucket_of(bucket_hash(&salt, name, strlen(name)), totals[i]);
			struct ruleset *below = split_ruleset("fine", bucket, totals[i]);
			struct ruleset *above = split_ruleset("fine", bucket + 1, totals[i]);
			assert_false(is_on(below, "fine", name));
			assert_true(is_on(above, "fine", name));
			ruleset_unref(below);
			ruleset_unref(above);
		}
	}
}

/* A split of another evaluator's `fractional`, version 2: same input bytes and weights, same variant. */
static void fractional_check(struct json row)
{
	char *input = vectors_string(json_get(row, "hash_input_utf8"), NULL);
	struct buf quoted;
	buf_init(&quoted, 4096);
	buf_append_string(&quoted, "{'key':'f','type':'integer','enabled':true,'variants':{");
	struct json weight = JSON_NONE;
	for (unsigned i = 0; json_next(json_get(row, "weights"), NULL, &weight); i++) {
		buf_append_format(&quoted, "%s'v%u':%u", i > 0 ? "," : "", i, i);
	}
	buf_append_string(&quoted, "},'default':{'salt':'','split':[");
	weight = JSON_NONE;
	for (unsigned i = 0; json_next(json_get(row, "weights"), NULL, &weight); i++) {
		buf_append_format(&quoted, "%s{'variant':'v%u','weight':%u}", i > 0 ? "," : "", i,
		                  vectors_uint32(weight));
	}
	buf_append_string(&quoted, "]}}");
	struct ruleset *ruleset = FIXTURE_RULESET(quoted.data);
	const struct context context = { .targeting_key = input };
	struct eval_result result;
	eval_flag(ruleset, "f", 1, &context, &result);
	assert_int_equal(result.error, EVAL_ERROR_NONE);
	assert_int_equal(result.variant->value.integer, vectors_uint32(json_get(row, "variant_index")));
	ruleset_unref(ruleset);
	buf_deinit(&quoted);
	free(input);
}

static void test_another_evaluator_agrees(void **state)
{
	(void)state;
	struct vectors vectors;
	struct json rows = json_get(vectors_open(&vectors, "bucketing.json"), "fractional_v2");
	assert_true(json_count(rows) >= 14);
	struct json row = JSON_NONE;
	while (json_next(rows, NULL, &row)) {
		fractional_check(row);
	}
	vectors_close(&vectors);
}

/* ---- Rules ---- */

static const char *const random_values[] = { "'a'", "'b'",     "'abc'",      "'abd'",     "'long-value-1'",
	                                     "''",  "'ABC'",   "1",          "2.5",       "true",
	                                     "'1'", "'1.2.3'", "'10.0.0.1'", "'user-17'", "'long-value-2'" };
static const char *const random_contexts[] = { "null", "['a','b']", "{}", "-1", "'user-18'" };
static const char *const random_names[] = { "x", "y", "z", "targetingKey" };

#define PICK(list) ((list)[random_below((uint32_t)(sizeof(list) / sizeof((list)[0])))])

static void random_condition(struct buf *text)
{
	static const char *const operators[] = { "eq",     "ne",       "in",          "not_in",
		                                 "any_of", "contains", "starts_with", "exists" };
	const char *op = PICK(operators);
	bool is_text = strcmp(op, "contains") == 0 || strcmp(op, "starts_with") == 0;
	buf_append_format(text, "{'attribute':'%s','op':'%s'", PICK(random_names), op);
	if (strcmp(op, "eq") == 0 || strcmp(op, "ne") == 0) {
		buf_append_format(text, ",'value':%s", PICK(random_values));
	} else if (is_text) {
		buf_append_format(text, ",'value':'%c'", (int)('a' + random_below(3)));
	} else if (strcmp(op, "exists") != 0) {
		buf_append_format(text, ",'values':[%s,%s]", PICK(random_values), PICK(random_values));
	}
	if (strcmp(op, "exists") != 0 && random_below(5) == 0) {
		buf_append_string(text, ",'ignore_case':true");
	}
	buf_append_string(text, random_below(5) == 0 ? ",'negate':true}" : "}");
}

static struct ruleset *random_ruleset(void)
{
	struct buf text;
	buf_init(&text, 1 << 16);
	buf_append_string(&text, "{'key':'f','type':'integer','variants':{'v0':0,'v1':1,'v2':2,'v3':3,'v4':4,"
	                         "'v5':5,'v6':6,'v7':7,'none':8},'enabled':true,"
	                         "'default':{'variant':'none'},'rules':[");
	uint32_t rules = 1 + random_below(8);
	for (uint32_t i = 0; i < rules; i++) {
		buf_append_string(&text, i > 0 ? ",{'if':[" : "{'if':[");
		uint32_t conditions = 1 + random_below(3);
		for (uint32_t k = 0; k < conditions; k++) {
			buf_append_string(&text, k > 0 ? "," : "");
			random_condition(&text);
		}
		buf_append_format(&text, "],'serve':{'variant':'v%u'}}", i);
	}
	buf_append_string(&text, "]}");
	struct ruleset *ruleset = FIXTURE_RULESET(text.data);
	if (ruleset_problem_count(ruleset) > 0) {
		fail_msg("%s\n%s", text.data, ruleset_problem_at(ruleset, 0)->message);
	}
	buf_deinit(&text);
	return ruleset;
}

static struct context random_context(struct arena *arena)
{
	struct buf text;
	buf_init(&text, 4096);
	buf_append_string(&text, "{");
	for (size_t i = 0; i < 4; i++) {
		const char *value =
		        i < 3 && random_below(4) == 0 ? PICK(random_contexts) : PICK(random_values);
		bool is_fitting = i < 3 || value[0] == '\'';
		if (is_fitting && random_below(4) != 0) {
			buf_append_format(&text, "%s'%s':%s", text.length > 1 ? "," : "", random_names[i],
			                  value);
		}
	}
	buf_append_string(&text, "}");
	struct context context = fixture_context(text.data, arena);
	buf_deinit(&text);
	return context;
}

/* The guards of rules change nothing: the walk that explain records does without them. */
static void test_short_cuts_change_nothing(void **state)
{
	(void)state;
	random_state = 2026;
	unsigned matches = 0;
	for (int round = 0; round < 400; round++) {
		struct ruleset *ruleset = random_ruleset();
		for (int i = 0; i < 25; i++) {
			struct arena arena;
			arena_init(&arena, 1 << 20);
			struct context context = random_context(&arena);
			struct eval_result result;
			eval_flag(ruleset, "f", 1, &context, &result);
			struct buf text;
			struct json_writer w;
			buf_init(&text, 1 << 16);
			json_writer_init(&w, &text);
			eval_explain(ruleset, "f", 1, &context, &w);
			struct vectors explained = { 0 };
			vectors_parse(&explained, text.data, text.length);
			struct json variant = JSON_NONE;
			struct json steps = json_get(json_root(&explained.doc), "steps");
			const char *outcome = fixture_steps_outcome(steps, &variant);
			assert_string_equal(outcome, eval_reason_name(result.reason));
			assert_true(json_equals(variant, result.variant->name));
			matches += result.reason == EVAL_REASON_TARGETING_MATCH;
			vectors_close(&explained);
			buf_deinit(&text);
			arena_deinit(&arena);
		}
		ruleset_unref(ruleset);
	}
	assert_in_range(matches, 3000, 9000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_raising_moves_nobody_out),
		cmocka_unit_test(test_nobody_and_everybody_need_no_key),
		cmocka_unit_test(test_flags_are_independent),
		cmocka_unit_test(test_smallest_steps_count),
		cmocka_unit_test(test_another_evaluator_agrees),
		cmocka_unit_test(test_short_cuts_change_nothing),
	};
	return cmocka_run_group_tests_name("properties", tests, NULL, NULL);
}
