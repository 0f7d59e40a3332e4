/* SPDX-License-Identifier: Apache-2.0 */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/number.h"

/* Zeros of different sign are not. */
static bool is_identical(double a, double b)
{
	return a == b && signbit(a) == signbit(b);
}

/* The program runs in the C locale, where strtod() is the reference. */
static void parse_expect_strtod(const char *text)
{
	const size_t length = strlen(text);
	char *copy = malloc(length);
	assert_non_null(copy);
	memcpy(copy, text, length);
	const double value = number_parse(copy, length);
	if (!is_identical(value, strtod(text, NULL))) {
		fail_msg("%.60s…: %.17g instead of %.17g", text, value, strtod(text, NULL));
	}
	free(copy);
}

static uint64_t random_next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static void numbers_of_usual_length(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"0",
		"-0",
		"0.0",
		"1",
		"-1.5",
		"0.1",
		"0.30000000000000004",
		"123456789012345678",
		"1234567890123456789",
		"9007199254740991",
		"9007199254740993",
		"9007199254740992.5",
		"0.000000000000000001",
		"0.0000000000000000001",
		"123456789.123456789",
		"1e22",
		"1e23",
		"8.41e21",
		"1E-7",
		"1.7976931348623157e308",
		"1.7976931348623159e308",
		"2.2250738585072014e-308",
		"4.9e-324",
		"2e-324",
		"1e-999",
		"1e999",
		"-1e999",
		"0e999999999999999999999",
	};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		parse_expect_strtod(texts[i]);
	}
	uint64_t seed = 4711;
	for (int i = 0; i < 20000; i++) {
		char text[64];
		const uint64_t bits = random_next(&seed);
		(void)snprintf(text, sizeof(text), "%s%u.%0*u", (bits & 1) != 0 ? "-" : "",
		               (unsigned)(bits >> 32) % 100000, (int)(bits >> 1) % 9 + 1,
		               (unsigned)(bits >> 4) % 10);
		parse_expect_strtod(text);
	}
}

/* @digits digits between @head and @tail. */
static char *long_number(const char *head, char digit, size_t digits, const char *tail)
{
	char *text = malloc(strlen(head) + digits + strlen(tail) + 1);
	assert_non_null(text);
	memcpy(text, head, strlen(head));
	memset(text + strlen(head), digit, digits);
	memcpy(text + strlen(head) + digits, tail, strlen(tail) + 1);
	return text;
}

/* Halfway between two doubles, any digit however far behind decides. */
static void numbers_of_any_length(void **state)
{
	(void)state;
	static const struct {
		const char *head, *tail;
		char digit;
	} parts[] = {
		{ "9007199254740993.", "", '0' },
		{ "9007199254740993.", "1", '0' },
		{ "9007199254740993.", "0e-3", '0' },
		{ "-9007199254740993.", "1e2", '0' },
		{ "0.", "1", '0' },
		{ "0.", "1e400", '0' },
		{ "0.", "1e1020", '0' },
		{ "1", "", '0' },
		{ "1", "e-900", '0' },
		{ "1", "e-1300", '0' },
		{ "0.1", "", '3' },
		{ "3", ".5", '7' },
		{ "0.", "0", '0' },
		{ "-0.", "0e99", '0' },
		{ "9007199254740993", "e-1000", '0' },
		{ "9007199254740993", "1e-1000", '0' },
		{ "1.", "e99999999999999999999", '9' },
		{ "1.", "e-99999999999999999999", '9' },
		{ "0.", "e99999999999999999999", '0' },
	};
	static const size_t lengths[] = { 1,   300, 780, 799, 800,  801,  825,
		                          831, 832, 833, 900, 1000, 5000, 60000 };
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		for (size_t j = 0; j < sizeof(lengths) / sizeof(lengths[0]); j++) {
			char *text = long_number(parts[i].head, parts[i].digit, lengths[j], parts[i].tail);
			parse_expect_strtod(text);
			free(text);
		}
	}
}

static void format_expect(double value, const char *expected)
{
	char text[NUMBER_TEXT_SIZE];
	assert_int_equal(number_format(value, text), strlen(expected));
	assert_string_equal(text, expected);
}

static void the_shortest_text_is_written(void **state)
{
	(void)state;
	format_expect(0.0, "0.0");
	format_expect(-0.0, "-0.0");
	format_expect(1.0, "1.0");
	format_expect(-1.0, "-1.0");
	format_expect(0.1, "0.1");
	format_expect(0.5, "0.5");
	format_expect(1.0 / 3.0, "0.3333333333333333");
	format_expect(2.0 / 3.0, "0.6666666666666666");
	format_expect(0.1 + 0.2, "0.30000000000000004");
	format_expect(100000.0, "100000.0");
	format_expect(999999999999999.0, "999999999999999.0");
	format_expect(9007199254740993.0, "9007199254740992.0");
	format_expect(1e15, "1e+15");
	format_expect(1e21, "1e+21");
	format_expect(1e300, "1e+300");
	format_expect(1e-7, "1e-07");
	format_expect(123456789.125, "123456789.125");
	format_expect(DBL_MAX, "1.7976931348623157e+308");
	format_expect(DBL_MIN, "2.2250738585072014e-308");
	format_expect(4.9406564584124654e-324, "5e-324");
	format_expect(1e-320, "1e-320");
	/* Powers of two whose shortest text is not their nearest decimal of that length. */
	format_expect(0x1p-1017, "7.120236347223045e-307");
	format_expect(-0x1p-1007, "-7.291122019556398e-304");
	format_expect(0x1p-957, "8.209073602596753e-289");
	format_expect(0x1p-489, "6.256509672447191e-148");
}

static void format_expect_round_trip(double value)
{
	char text[NUMBER_TEXT_SIZE];
	const size_t length = number_format(value, text);
	assert_true(length < sizeof(text) && strlen(text) == length);
	if (!is_identical(number_parse(text, length), value)) {
		fail_msg("%.17g: %s", value, text);
	}
	if (strpbrk(text, ".e") == NULL) {
		fail_msg("%s looks like an integer", text);
	}
}

static void every_double_reads_back(void **state)
{
	(void)state;
	for (int exponent = -1074; exponent <= 1023; exponent++) {
		const double power = ldexp(1.0, exponent);
		format_expect_round_trip(power);
		format_expect_round_trip(nextafter(power, 0.0));
		format_expect_round_trip(-nextafter(power, INFINITY));
	}
	uint64_t seed = 42;
	for (int i = 0; i < 50000; i++) {
		const uint64_t bits = random_next(&seed);
		double value;
		memcpy(&value, &bits, sizeof(value));
		if (isfinite(value)) {
			format_expect_round_trip(value);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_of_usual_length),
		cmocka_unit_test(numbers_of_any_length),
		cmocka_unit_test(the_shortest_text_is_written),
		cmocka_unit_test(every_double_reads_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
