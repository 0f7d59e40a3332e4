/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"

static bool parse(const char *text, int64_t *ret)
{
	const size_t length = strlen(text);
	char *copy = malloc(length > 0 ? length : 1);
	assert_non_null(copy);
	memcpy(copy, text, length);
	bool is_valid = clock_rfc3339_parse(copy, length, ret);
	free(copy);
	return is_valid;
}

static void the_system_clock_runs(void **state)
{
	(void)state;
	const int64_t wall = clock_wall_ms(&clock_system);
	const int64_t monotonic = clock_monotonic_ms(&clock_system);
	assert_true(wall / 1000 - (int64_t)time(NULL) <= 1 && (int64_t)time(NULL) - wall / 1000 <= 1);
	assert_true(monotonic > 0);
	assert_true(clock_monotonic_ms(&clock_system) >= monotonic);
}

static int64_t fixed_ms(void *user)
{
	return *(int64_t *)user;
}

static void a_clock_can_be_handed_in(void **state)
{
	(void)state;
	int64_t now = 7;
	const struct clock clock = { fixed_ms, fixed_ms, &now };
	assert_int_equal(clock_wall_ms(&clock), 7);
	now = -8;
	assert_int_equal(clock_monotonic_ms(&clock), -8);
}

static const struct {
	int64_t unix_ms;
	const char *text;
} moments[] = {
	{ 0, "1970-01-01T00:00:00.000Z" },
	{ -1, "1969-12-31T23:59:59.999Z" },
	{ 1795253400125, "2026-11-21T09:30:00.125Z" },
	{ 951827696789, "2000-02-29T12:34:56.789Z" },
	{ -2203891200000, "1900-03-01T00:00:00.000Z" },
	{ 4107542399999, "2100-02-28T23:59:59.999Z" },
	{ 4107542400000, "2100-03-01T00:00:00.000Z" },
	{ 1709164800000, "2024-02-29T00:00:00.000Z" },
	{ 253402300799999, "9999-12-31T23:59:59.999Z" },
	{ -62167219200000, "0000-01-01T00:00:00.000Z" },
	{ -62162035200001, "0000-02-29T23:59:59.999Z" },
};

static void moments_are_written_and_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(moments) / sizeof(moments[0]); i++) {
		char text[CLOCK_RFC3339_SIZE];
		int64_t unix_ms = 0;
		clock_rfc3339_format(moments[i].unix_ms, text);
		assert_string_equal(text, moments[i].text);
		assert_true(parse(text, &unix_ms));
		assert_int_equal(unix_ms, moments[i].unix_ms);
	}
}

static void moments_beyond_the_years_are_clamped(void **state)
{
	(void)state;
	char text[CLOCK_RFC3339_SIZE];
	clock_rfc3339_format(INT64_MAX, text);
	assert_string_equal(text, "9999-12-31T23:59:59.999Z");
	clock_rfc3339_format(253402300800000, text);
	assert_string_equal(text, "9999-12-31T23:59:59.999Z");
	clock_rfc3339_format(INT64_MIN, text);
	assert_string_equal(text, "0000-01-01T00:00:00.000Z");
}

/* A day at a time through ten thousand years, with libc's calendar as the reference. */
static void every_day_reads_back(void **state)
{
	(void)state;
	for (int64_t day = -719528; day <= 2932896; day += 7) {
		const time_t seconds = day * 86400 + 43261;
		const int64_t unix_ms = (int64_t)seconds * 1000 + 7;
		char text[CLOCK_RFC3339_SIZE];
		char expected[CLOCK_RFC3339_SIZE];
		int64_t back = 0;
		struct tm tm;
		assert_non_null(gmtime_r(&seconds, &tm));
		(void)snprintf(expected, sizeof(expected), "%04u-%02u-%02uT%02u:%02u:%02u.007Z",
		               (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)tm.tm_mon % 12 + 1,
		               (unsigned)tm.tm_mday % 32, (unsigned)tm.tm_hour % 24, (unsigned)tm.tm_min % 60,
		               (unsigned)tm.tm_sec % 61);
		clock_rfc3339_format(unix_ms, text);
		assert_string_equal(text, expected);
		assert_true(clock_rfc3339_parse(text, strlen(text), &back));
		assert_int_equal(back, unix_ms);
	}
}

static void forms_that_are_read(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t unix_ms;
	} forms[] = {
		{ "2026-11-21", 1795219200000 },
		{ "2026-11-21T09:30:00Z", 1795253400000 },
		{ "2026-11-21t09:30:00z", 1795253400000 },
		{ "2026-11-21T09:30:00.1Z", 1795253400100 },
		{ "2026-11-21T09:30:00.12Z", 1795253400120 },
		{ "2026-11-21T09:30:00.1259Z", 1795253400125 },
		{ "2026-11-21T09:30:00.999999999Z", 1795253400999 },
		{ "2026-11-21T09:30:00.000000001Z", 1795253400000 },
		{ "2026-11-21T10:30:00+01:00", 1795253400000 },
		{ "2026-11-21T04:00:00.5-05:30", 1795253400500 },
		{ "2026-11-21T09:30:00-00:00", 1795253400000 },
		{ "2026-11-22T09:29:00+23:59", 1795253400000 },
		{ "2024-02-29T00:00:00Z", 1709164800000 },
		{ "2000-02-29", 951782400000 },
		{ "1969-12-31T23:59:59.5Z", -500 },
		{ "2016-12-31T23:59:60Z", 1483228800000 },
		{ "2016-12-31T23:59:60.25Z", 1483228800250 },
		{ "2017-01-01T00:59:60+01:00", 1483228800000 },
	};
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		int64_t unix_ms = -1;
		if (!parse(forms[i].text, &unix_ms)) {
			fail_msg("%s is refused", forms[i].text);
		}
		if (unix_ms != forms[i].unix_ms) {
			fail_msg("%s is read as %lld", forms[i].text, (long long)unix_ms);
		}
	}
}

static const char *const refused_forms[] = {
	"",
	"2",
	"2026",
	"2026-11",
	"2026-11-2",
	"2026-11-211",
	"2026-11-21 ",
	" 2026-11-21",
	"2026/11/21",
	"20261121",
	"26-11-21",
	"+2026-11-21",
	"-026-11-21",
	"12026-11-21",
	"2026-00-21",
	"2026-13-21",
	"2026-11-00",
	"2026-11-31",
	"2025-02-29",
	"1900-02-29",
	"2100-02-29",
	"2000-02-30",
	"2026-11-21T",
	"2026-11-21T09",
	"2026-11-21T09:30",
	"2026-11-21T09:30Z",
	"2026-11-21T09:30:00",
	"2026-11-21 09:30:00Z",
	"2026-11-21T9:30:00Z",
	"2026-11-21T24:00:00Z",
	"2026-11-21T09:60:00Z",
	"2026-11-21T09:30:61Z",
	"2026-11-21T09:30:60Z",
	"2026-11-21T23:59:60+01:00",
	"2026-11-21T09:30:00.Z",
	"2026-11-21T09:30:00,5Z",
	"2026-11-21T09:30:00.1234567890Z",
	"2026-11-21T09:30:00.5",
	"2026-11-21T09:30:00ZZ",
	"2026-11-21T09:30:00Z+01:00",
	"2026-11-21T09:30:00+1:00",
	"2026-11-21T09:30:00+0100",
	"2026-11-21T09:30:00+01",
	"2026-11-21T09:30:00+24:00",
	"2026-11-21T09:30:00+01:60",
	"2026-11-21T09:30:00+01:00x",
	"2026-11-21T0x:30:00Z",
	"2026-11-21T09:30:0\xd9\xa1Z",
	"now",
};

static void forms_that_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(refused_forms) / sizeof(refused_forms[0]); i++) {
		int64_t unix_ms = 4711;
		if (parse(refused_forms[i], &unix_ms)) {
			fail_msg("`%s` is read", refused_forms[i]);
		}
		assert_int_equal(unix_ms, 4711);
	}
	int64_t unix_ms = 0;
	assert_false(clock_rfc3339_parse("2026-11-21\0", 11, &unix_ms));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_system_clock_runs),
		cmocka_unit_test(a_clock_can_be_handed_in),
		cmocka_unit_test(moments_are_written_and_read),
		cmocka_unit_test(moments_beyond_the_years_are_clamped),
		cmocka_unit_test(every_day_reads_back),
		cmocka_unit_test(forms_that_are_read),
		cmocka_unit_test(forms_that_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
