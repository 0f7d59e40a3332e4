/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/vectors.h"

#include "engine/string_set.h"

#define ARENA_BYTES (16 * 1024 * 1024)

struct fixture {
	struct arena arena;
	struct vectors vectors;
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	assert_non_null(fixture);
	arena_init(&fixture->arena, ARENA_BYTES);
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

static const struct string_set *build(struct fixture *fixture, const char *json, bool ignore_case)
{
	vectors_close(&fixture->vectors);
	fixture->vectors = (struct vectors){ 0 };
	vectors_parse(&fixture->vectors, json, strlen(json));
	const struct string_set *set =
	        string_set_build(json_root(&fixture->vectors.doc), ignore_case, &fixture->arena);
	assert_non_null(set);
	return set;
}

/* Asked with memory of the string's very size; both ways of asking must agree. */
static bool contains(const struct string_set *set, const char *string)
{
	const size_t length = strlen(string);
	char *exact = malloc(length == 0 ? 1 : length);
	assert_non_null(exact);
	memcpy(exact, string, length);
	const bool is_there = string_set_contains(set, exact, length);
	assert_int_equal(string_set_find(set, exact, length) != STRING_SET_NONE, is_there);
	free(exact);
	return is_there;
}

static void small_sets_are_lists(void **state)
{
	const struct string_set *set =
	        build(*state, "[\"ops\",\"admin\",\"\",\"a\",\"abcd\",\"abcde\"]", false);
	assert_false(set->is_table);
	assert_int_equal(string_set_count(set), 6);
	static const char *const inside[] = { "ops", "admin", "", "a", "abcd", "abcde" };
	static const char *const outside[] = { "op",   "opsy",  "Ops",    "admix", "b",
		                               "abce", "abcdf", "abcdef", "xbcde" };
	for (size_t i = 0; i < sizeof(inside) / sizeof(inside[0]); i++) {
		assert_true(contains(set, inside[i]));
	}
	for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
		assert_false(contains(set, outside[i]));
	}
}

/* Every string of up to three letters out of two, against sets of one. */
static void short_strings_are_told_apart(void **state)
{
	static const char *const strings[] = { "",    "a",   "b",   "aa",  "ab",  "ba",  "bb", "aaa",
		                               "aab", "aba", "abb", "baa", "bab", "bba", "bbb" };
	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
		char json[16];
		(void)snprintf(json, sizeof(json), "\"%s\"", strings[i]);
		const struct string_set *set = build(*state, json, false);
		assert_int_equal(string_set_count(set), 1);
		for (size_t k = 0; k < sizeof(strings) / sizeof(strings[0]); k++) {
			assert_int_equal(contains(set, strings[k]), i == k);
		}
	}
}

static void strings_are_unescaped_and_counted_once(void **state)
{
	const struct string_set *set = build(*state, "[\"a\\u00e9\\n\",\"aé\\n\",\"x\",\"x\",\"x\"]", false);
	assert_int_equal(string_set_count(set), 2);
	assert_true(contains(set, "aé\n"));
	assert_true(contains(set, "x"));
}

static void other_values_are_left_out(void **state)
{
	const struct string_set *set = build(*state, "[1,\"1\",true,null,[\"a\"],{\"b\":\"c\"}]", false);
	assert_int_equal(string_set_count(set), 1);
	assert_true(contains(set, "1"));
	assert_false(contains(set, "a"));
	assert_false(contains(set, "b"));
	set = build(*state, "[]", false);
	assert_int_equal(string_set_count(set), 0);
	assert_false(contains(set, ""));
	assert_false(contains(set, "a"));
	set = build(*state, "[]", true);
	assert_false(contains(set, ""));
}

static void ignoring_case_folds_ascii_only(void **state)
{
	const struct string_set *set = build(*state, "[\"Ops\",\"[`{@Z\",\"É\"]", true);
	assert_true(contains(set, "oPS"));
	assert_true(contains(set, "OPS"));
	assert_true(contains(set, "[`{@z"));
	assert_false(contains(set, "{@[`z"));
	assert_true(contains(set, "É"));
	assert_false(contains(set, "é"));
	assert_int_equal(string_set_count(build(*state, "[\"a\",\"A\",\"b\"]", true)), 2);
}

/* As JSON: ["<prefix>0", "<prefix>1", …] */
static char *many(const char *prefix, int count)
{
	char *json = malloc((strlen(prefix) + 16) * (size_t)count + 3);
	assert_non_null(json);
	size_t length = 0;
	for (int i = 0; i < count; i++) {
		length += (size_t)snprintf(json + length, strlen(prefix) + 16, "%c\"%s%d\"",
		                           i == 0 ? '[' : ',', prefix, i);
	}
	memcpy(json + length, "]", 2);
	return json;
}

static void check_table(struct fixture *fixture, const char *prefix, int count, bool ignore_case)
{
	char *json = many(prefix, count);
	const struct string_set *set = build(fixture, json, ignore_case);
	free(json);
	assert_int_equal(string_set_count(set), count);
	assert_int_equal(set->is_table, count > STRING_SET_LIST_MAX);
	assert_true(set->slots <= 4u * (unsigned)count || !set->is_table);
	char string[1024];
	for (int i = -count; i < 2 * count; i++) {
		(void)snprintf(string, sizeof(string), "%s%d", prefix, i);
		assert_int_equal(contains(set, string), i >= 0 && i < count);
		string[0] = 'K'; /* the prefixes start with k */
		assert_int_equal(contains(set, string), ignore_case && i >= 0 && i < count);
	}
	assert_false(contains(set, prefix));
	assert_false(contains(set, ""));
}

static void sets_of_every_size(void **state)
{
	char longest[700];
	memset(longest, 'k', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	static const int counts[] = { 1, 7, 8, 9, 16, 17, 100, 10000 };
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		check_table(*state, "key-", counts[i], false);
		check_table(*state, "key-", counts[i], true);
	}
	check_table(*state, longest, 100, false);
	check_table(*state, longest, 100, true);
}

/* all_of ticks slots off: they must be the string's own. */
static void slots_are_different(void **state)
{
	char *json = many("k", 200);
	const struct string_set *set = build(*state, json, true);
	free(json);
	char *seen = calloc(set->slots, 1);
	assert_non_null(seen);
	for (int i = 0; i < 200; i++) {
		char string[16];
		const int length = snprintf(string, sizeof(string), "k%d", i);
		const uint32_t slot = string_set_find(set, string, (size_t)length);
		assert_true(slot < set->slots);
		assert_int_equal(seen[slot]++, 0);
		string[0] = 'K';
		assert_int_equal(string_set_find(set, string, (size_t)length), slot);
	}
	free(seen);
}

static void a_full_arena_is_reported(void **state)
{
	struct fixture *fixture = *state;
	char *json = many("key-", 100);
	vectors_parse(&fixture->vectors, json, strlen(json));
	const struct json root = json_root(&fixture->vectors.doc);
	int failures = 0;
	for (size_t max = 512; max < 16384; max += 512) {
		struct arena arena;
		arena_init(&arena, max);
		const struct string_set *set = string_set_build(root, false, &arena);
		failures += set == NULL;
		assert_true(set == NULL || string_set_count(set) == 100);
		arena_deinit(&arena);
	}
	assert_in_range(failures, 2, 30);
	json_doc_deinit(&fixture->vectors.doc);
	free(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(small_sets_are_lists, set_up, tear_down),
		cmocka_unit_test_setup_teardown(short_strings_are_told_apart, set_up, tear_down),
		cmocka_unit_test_setup_teardown(strings_are_unescaped_and_counted_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(other_values_are_left_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ignoring_case_folds_ascii_only, set_up, tear_down),
		cmocka_unit_test_setup_teardown(sets_of_every_size, set_up, tear_down),
		cmocka_unit_test_setup_teardown(slots_are_different, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_full_arena_is_reported, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
