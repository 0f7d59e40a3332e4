/* SPDX-License-Identifier: Apache-2.0 */
/* tests/vectors/semver.json holds what npm's `semver` package answers. */

#include "tests/support/vectors.h"

#include "engine/semver.h"

static bool parses(const char *text)
{
	struct semver version;
	return semver_parse(text, strlen(text), &version);
}

static int compare(const char *a, const char *b)
{
	struct semver left, right;
	assert_true(semver_parse(a, strlen(a), &left));
	assert_true(semver_parse(b, strlen(b), &right));
	const int order = semver_compare(&left, &right);
	return (order > 0) - (order < 0);
}

static bool range_parses(const char *text)
{
	struct semver_range range;
	return semver_range_parse(text, strlen(text), &range);
}

static bool in_range(const char *range_text, const char *version_text)
{
	struct semver_range range;
	struct semver version;
	assert_true(semver_range_parse(range_text, strlen(range_text), &range));
	assert_true(semver_parse(version_text, strlen(version_text), &version));
	return semver_range_match(&range, &version);
}

static void valid_and_invalid_versions(void **state)
{
	(void)state;
	struct vectors vectors;
	struct json text = JSON_NONE;
	struct json root = vectors_open(&vectors, "semver.json");
	assert_true(json_count(json_get(root, "valid")) > 20);
	while (json_next(json_get(root, "valid"), NULL, &text)) {
		char *version = vectors_string(text, NULL);
		if (!parses(version)) {
			fail_msg("`%s` is a version", version);
		}
		free(version);
	}
	assert_true(json_count(json_get(root, "invalid")) > 20);
	text = JSON_NONE;
	while (json_next(json_get(root, "invalid"), NULL, &text)) {
		char *version = vectors_string(text, NULL);
		if (parses(version)) {
			fail_msg("`%s` is not a version", version);
		}
		free(version);
	}
	vectors_close(&vectors);
}

static void precedence_is_npms(void **state)
{
	(void)state;
	struct vectors vectors;
	struct json row = JSON_NONE;
	struct json rows = json_get(vectors_open(&vectors, "semver.json"), "compare");
	assert_true(json_count(rows) >= 300);
	while (json_next(rows, NULL, &row)) {
		struct json a = JSON_NONE;
		int64_t wanted = 0;
		assert_true(json_next(row, NULL, &a));
		struct json b = a;
		assert_true(json_next(row, NULL, &b));
		struct json order = b;
		assert_true(json_next(row, NULL, &order));
		assert_true(json_int64(order, &wanted));
		char *left = vectors_string(a, NULL);
		char *right = vectors_string(b, NULL);
		if (compare(left, right) != wanted || compare(right, left) != -wanted) {
			fail_msg("`%s` to `%s` is not %d", left, right, (int)wanted);
		}
		free(left);
		free(right);
	}
	vectors_close(&vectors);
}

static bool holds(struct json array, const char *string)
{
	struct json value = JSON_NONE;
	while (json_next(array, NULL, &value)) {
		if (json_equals(value, string)) {
			return true;
		}
	}
	return false;
}

static void ranges_are_npms(void **state)
{
	(void)state;
	struct vectors vectors;
	struct json row = JSON_NONE;
	struct json root = vectors_open(&vectors, "semver.json");
	assert_true(json_count(json_get(root, "ranges")) >= 80);
	assert_true(json_count(json_get(root, "versions")) >= 60);
	while (json_next(json_get(root, "ranges"), NULL, &row)) {
		char *range = vectors_string(json_get(row, "range"), NULL);
		struct json text = JSON_NONE;
		while (json_next(json_get(root, "versions"), NULL, &text)) {
			char *version = vectors_string(text, NULL);
			if (in_range(range, version) != holds(json_get(row, "yes"), version)) {
				fail_msg("npm says otherwise about `%s` in `%s`", version, range);
			}
			free(version);
		}
		free(range);
	}
	vectors_close(&vectors);
}

static void invalid_ranges(void **state)
{
	(void)state;
	struct vectors vectors;
	struct json text = JSON_NONE;
	struct json ranges = json_get(vectors_open(&vectors, "semver.json"), "invalid_ranges");
	assert_true(json_count(ranges) >= 10);
	while (json_next(ranges, NULL, &text)) {
		char *range = vectors_string(text, NULL);
		if (range_parses(range)) {
			fail_msg("`%s` is not a range", range);
		}
		free(range);
	}
	vectors_close(&vectors);
	/* What npm takes and we do not. */
	const char *const ours[] = { "",      " ",        "1.2 - 2.3", "^1 || ^2", "1.x.3", "x.1",
		                     "~>1.2", ">=1.2,<2", "latest",    "1.2-beta", "^1.x-0" };
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
		if (range_parses(ours[i])) {
			fail_msg("`%s` is not a range", ours[i]);
		}
	}
}

static void parts_may_be_left_out(void **state)
{
	(void)state;
	struct semver version;
	assert_true(semver_parse("7", 1, &version));
	assert_int_equal(version.parts, 1);
	assert_int_equal(version.major, 7);
	assert_true(semver_parse("v7.8", 4, &version));
	assert_int_equal(version.parts, 2);
	assert_int_equal(version.minor, 8);
	assert_true(semver_parse("7.8.9-a.1+b", 11, &version));
	assert_int_equal(version.parts, 3);
	assert_int_equal(version.patch, 9);
	assert_int_equal(version.prerelease_length, 3);
	assert_memory_equal(version.prerelease, "a.1", 3);
	assert_int_equal(compare("1", "1.0.0"), 0);
	assert_int_equal(compare("1.2", "1.2.0-rc.1"), 1);
	assert_int_equal(compare("v1.2", "1.2.0"), 0);
	const char *const wrong[] = { "1.",  "1.2.", ".1", "1..2",     "1.2-rc", "1+b", "V1", " 1", "1 ",
		                      "1\t", "+1",   "-1", "1.2.3-\n", "0x1",    "1e3", "v",  "" };
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		if (parses(wrong[i])) {
			fail_msg("`%s` is not a version", wrong[i]);
		}
	}
}

static void numbers_have_limits(void **state)
{
	(void)state;
	assert_true(parses("18446744073709551615.18446744073709551615.18446744073709551615"));
	assert_false(parses("18446744073709551616.0.0"));
	assert_false(parses("0.99999999999999999999.0"));
	assert_int_equal(compare("18446744073709551614.0.0", "18446744073709551615.0.0"), -1);
	assert_true(in_range("^18446744073709551615.1.0", "18446744073709551615.2.0"));
	assert_false(in_range(">18446744073709551615", "18446744073709551615.2.0"));
	assert_true(in_range("<=18446744073709551615", "18446744073709551615.2.0"));
	assert_int_equal(
	        compare("1.0.0-99999999999999999999999999999998", "1.0.0-99999999999999999999999999999999"),
	        -1);
	char text[SEMVER_MAX_BYTES + 2];
	memset(text, 'a', sizeof(text));
	memcpy(text, "1.2.3-", 6);
	struct semver version;
	assert_true(semver_parse(text, SEMVER_MAX_BYTES, &version));
	assert_false(semver_parse(text, SEMVER_MAX_BYTES + 1, &version));
	struct semver_range range;
	assert_true(semver_range_parse(text, SEMVER_MAX_BYTES, &range));
	assert_false(semver_range_parse(text, SEMVER_MAX_BYTES + 1, &range));
}

/* Text that does not end in a NUL is not read behind its end. */
static void length_is_the_end(void **state)
{
	(void)state;
	static const char full[] = "1.2.3-alpha.7+build";
	for (size_t length = 0; length < sizeof(full); length++) {
		char *text = malloc(length == 0 ? 1 : length);
		assert_non_null(text);
		memcpy(text, full, length);
		struct semver version;
		struct semver_range range;
		const bool is_version = semver_parse(text, length, &version);
		assert_int_equal(is_version, semver_range_parse(text, length, &range));
		assert_true(!is_version || semver_range_match(&range, &version));
		free(text);
	}
}

static void failure_leaves_the_result_alone(void **state)
{
	(void)state;
	struct semver version = { .major = 5 };
	struct semver_range range = { .has_low = true, .low.major = 5 };
	assert_false(semver_parse("1.2.3.4", 7, &version));
	assert_int_equal(version.major, 5);
	assert_false(semver_range_parse("^1 oops", 7, &range));
	assert_int_equal(range.low.major, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(valid_and_invalid_versions),
		cmocka_unit_test(precedence_is_npms),
		cmocka_unit_test(ranges_are_npms),
		cmocka_unit_test(invalid_ranges),
		cmocka_unit_test(parts_may_be_left_out),
		cmocka_unit_test(numbers_have_limits),
		cmocka_unit_test(length_is_the_end),
		cmocka_unit_test(failure_leaves_the_result_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
