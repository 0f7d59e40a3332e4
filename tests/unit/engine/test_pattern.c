/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/heap.h"

#include "engine/pattern.h"

static struct pattern *pattern_of(const char *text, bool ignore_case)
{
	struct pattern *pattern = NULL;
	struct error err = ERROR_INIT;
	if (pattern_new(text, strlen(text), ignore_case, &pattern, &err) != STATUS_OK) {
		fail_msg("`%s`: %s", text, err.message);
	}
	return pattern;
}

static enum pattern_result match_with(const char *text, bool ignore_case, const char *subject, size_t length)
{
	struct pattern *pattern = pattern_of(text, ignore_case);
	const enum pattern_result result = pattern_match(pattern, subject, length);
	pattern_free(pattern);
	return result;
}

static enum pattern_result match(const char *text, const char *subject)
{
	return match_with(text, false, subject, strlen(subject));
}

static void assert_refused(const char *text, size_t length, const char *message)
{
	struct pattern *pattern = NULL;
	struct error err = ERROR_INIT;
	assert_int_equal(pattern_new(text, length, false, &pattern, &err), STATUS_INVALID);
	assert_null(pattern);
	if (strstr(err.message, message) == NULL) {
		fail_msg("`%s` does not say `%s`", err.message, message);
	}
}

static void finds_anywhere(void **state)
{
	(void)state;
	assert_int_equal(match("b+", "aabbcc"), PATTERN_MATCH);
	assert_int_equal(match("^b+", "aabbcc"), PATTERN_NO_MATCH);
	assert_int_equal(match("c$", "aabbcc"), PATTERN_MATCH);
	assert_int_equal(match("^$", ""), PATTERN_MATCH);
	assert_int_equal(match("a|b", ""), PATTERN_NO_MATCH);
	assert_int_equal(match("(?<year>\\d{4})-\\k<year>", "2026-2026"), PATTERN_MATCH);
	assert_int_equal(match("(?<=@)example\\.(?!org)", "me@example.com"), PATTERN_MATCH);
	assert_int_equal(match("(?i)ADMIN", "an admin"), PATTERN_MATCH);
}

static void dollar_is_the_very_end(void **state)
{
	(void)state;
	assert_int_equal(match("^admin$", "admin\n"), PATTERN_NO_MATCH);
	assert_int_equal(match("^admin.$", "admin\n"), PATTERN_NO_MATCH);
	assert_int_equal(match("(?s)^admin.$", "admin\n"), PATTERN_MATCH);
	assert_int_equal(match("(?m)^b$", "a\nb\nc"), PATTERN_MATCH);
	assert_int_equal(match("^a.b$", "a\rb"), PATTERN_MATCH);
}

static void text_is_utf8(void **state)
{
	(void)state;
	assert_int_equal(match("^.$", "é"), PATTERN_MATCH);
	assert_int_equal(match("^.$", "😀"), PATTERN_MATCH);
	assert_int_equal(match("^[à-ü]+$", "éü"), PATTERN_MATCH);
	assert_int_equal(match_with("GRÜSSE", true, "grüsse", strlen("grüsse")), PATTERN_MATCH);
	assert_int_equal(match("^\\w+$", "é"), PATTERN_NO_MATCH); /* \w and \d are ASCII */
	assert_int_equal(match("\\p{Lu}", "É"), PATTERN_MATCH);
}

/* A C program may hand in any bytes. */
static void bytes_that_are_not_utf8_match_nothing(void **state)
{
	(void)state;
	assert_int_equal(match_with("Firefox", false, "\xff\xfe Firefox \xc3", 12), PATTERN_MATCH);
	assert_int_equal(match_with("^.$", false, "\xff", 1), PATTERN_NO_MATCH);
	assert_int_equal(match_with("é", false, "\xc3", 1), PATTERN_NO_MATCH);
	assert_int_equal(match_with("(?<=.)b", false,
	                            "\xe2\x82"
	                            "b",
	                            3),
	                 PATTERN_NO_MATCH);
	assert_int_equal(match_with(".+", false, "\xf0\x9f\x98", 3), PATTERN_NO_MATCH);
	assert_int_equal(match_with("b", false, "a\0b", 3), PATTERN_MATCH);
}

static void wrong_patterns_are_named(void **state)
{
	(void)state;
	assert_refused("(a", 2, "at byte 2: missing closing parenthesis");
	assert_refused("a[", 2, "missing terminating ]");
	assert_refused("*a", 2, "quantifier does not follow a repeatable item");
	assert_refused("a\\Cb", 4, "\\C");
	assert_refused("(*UCP)a", 7, "UCP");
	assert_refused("(a)\\1", 5, "reference to non-existent subpattern");
	assert_refused("\xff", 1, "UTF-8");
	assert_refused("", 0, "1 to 512 bytes");
	assert_refused("a{1,70000}", 10, "too big");
	assert_refused("(?<=a+)b", 8, "lookbehind");
	struct pattern *pattern = NULL;
	assert_int_equal(pattern_new("(", 1, false, &pattern, NULL), STATUS_INVALID);
}

static void sizes_have_limits(void **state)
{
	(void)state;
	char text[PATTERN_MAX_BYTES + 1];
	memset(text, 'a', sizeof(text));
	struct pattern *pattern = NULL;
	assert_int_equal(pattern_new(text, PATTERN_MAX_BYTES, false, &pattern, NULL), STATUS_OK);
	pattern_free(pattern);
	pattern_free(NULL);
	assert_refused(text, sizeof(text), "1 to 512 bytes");
	memset(text, '(', 100);
	memset(text + 100, ')', 100);
	assert_refused(text, 200, "nest");
	assert_refused("((?:[à-ü]{1,200}){1,200}){1,2}", strlen("((?:[à-ü]{1,200}){1,200}){1,2}"),
	               "too large");
	char groups[200] = "";
	size_t length = 0;
	for (int i = 0; i <= PATTERN_MAX_GROUPS; i++) {
		length += (size_t)snprintf(groups + length, sizeof(groups) - length, "(?<n%d>a)", i);
	}
	assert_refused(groups, length, "more than 16 named groups");
}

static void long_subjects_are_not_searched(void **state)
{
	(void)state;
	static char subject[PATTERN_SUBJECT_MAX_BYTES + 1];
	memset(subject, 'a', sizeof(subject));
	assert_int_equal(match_with("^a+$", false, subject, PATTERN_SUBJECT_MAX_BYTES), PATTERN_MATCH);
	assert_int_equal(match_with("b", false, subject, PATTERN_SUBJECT_MAX_BYTES), PATTERN_NO_MATCH);
	assert_int_equal(match_with("a", false, subject, PATTERN_SUBJECT_MAX_BYTES + 1), PATTERN_EXCEEDED);
}

/* Left alone PCRE2 works on these from 20 ms to ages, and some it would answer in the end. */
static void work_is_bounded(void **state)
{
	(void)state;
	static char same[PATTERN_SUBJECT_MAX_BYTES], lines[PATTERN_SUBJECT_MAX_BYTES];
	memset(same, 'a', sizeof(same));
	memset(lines, 'a', sizeof(lines));
	for (size_t i = 440; i < sizeof(lines); i += 441) {
		lines[i] = '\n';
	}
	static const struct {
		const char *text;
		bool in_lines;
	} cases[] = {
		{ "(a+)+[!?]", false },
		{ "^(a|aa)+[!?]$", false },
		{ "(.*a){20}[xy]", false },
		{ "[ab]*[xy]", false },
		{ "a*a*[xy]", true },
		{ ".*a.*[xy]", true },
		{ "a{500}[xy]", false },
		{ "(?:a{4000}b|a{4000}c|a{4000}d|a{4000}e|a{4000}f|a{4000}g)[xy]", false },
		{ "(?:a{2000}[xy]|a{2001}[xy]|a{2002}[xy]|a{2003}[xy]|a{2004}[xy])", false },
		{ "^(?:a?){500}a{500}[xy]", false },
		{ "(?<x>a*)*\\k<x>[xy]", false },
		{ "(?=(?:a+)+[xy])a", false },
		{ "(?R)?a[xy]", false },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *subject = cases[i].in_lines ? lines : same;
		const enum pattern_result result =
		        match_with(cases[i].text, false, subject, PATTERN_SUBJECT_MAX_BYTES);
		if (result != PATTERN_EXCEEDED) {
			fail_msg("`%s` gives %d", cases[i].text, (int)result);
		}
	}
	assert_int_equal(match("(a+)+$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"), PATTERN_EXCEEDED);
}

static void deep_backtracking_is_not_silent(void **state)
{
	(void)state;
	static char subject[4000];
	memset(subject, 'a', sizeof(subject));
	assert_int_equal(match_with("^(?:a|b)*$", false, subject, 20), PATTERN_MATCH);
	assert_int_equal(match_with("^(?:a|b)*$", false, subject, sizeof(subject)), PATTERN_EXCEEDED);
	assert_int_equal(match_with("^[ab]*$", false, subject, sizeof(subject)), PATTERN_MATCH);
}

static void matching_never_touches_the_heap(void **state)
{
	(void)state;
	static char subject[PATTERN_SUBJECT_MAX_BYTES];
	static const char *const texts[] = { "^ops-[0-9]+$", "a+b", "(a+)+$", "^(?:a|b)*$",
		                             "(?<a>a)(?<b>a)(?<c>a)" };
	memset(subject, 'a', sizeof(subject));
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct pattern *pattern = pattern_of(texts[i], i % 2 == 0);
		const size_t before = atomic_load(&heap_allocations);
		assert_true(before > 0);
		for (size_t length = 0; length <= sizeof(subject); length = length * 2 + 1) {
			(void)pattern_match(pattern, subject, length);
		}
		assert_int_equal(atomic_load(&heap_allocations), before);
		pattern_free(pattern);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_anywhere),
		cmocka_unit_test(dollar_is_the_very_end),
		cmocka_unit_test(text_is_utf8),
		cmocka_unit_test(bytes_that_are_not_utf8_match_nothing),
		cmocka_unit_test(wrong_patterns_are_named),
		cmocka_unit_test(sizes_have_limits),
		cmocka_unit_test(long_subjects_are_not_searched),
		cmocka_unit_test(work_is_bounded),
		cmocka_unit_test(deep_backtracking_is_not_silent),
		cmocka_unit_test(matching_never_touches_the_heap),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
