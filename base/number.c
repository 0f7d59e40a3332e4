/* SPDX-License-Identifier: Apache-2.0 */
#include "base/number.h"

#include <float.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* No double needs more digits than 768 to be told from its neighbours. */
#define NUMBER_MAX_DIGITS   800
#define NUMBER_COPY_SIZE    (NUMBER_MAX_DIGITS + 32)
#define NUMBER_MAX_EXPONENT 100000

static pthread_once_t number_once = PTHREAD_ONCE_INIT;
static locale_t number_c_locale;

static void number_locale_create(void)
{
	number_c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	if (number_c_locale == (locale_t)0) {
		abort(); /* the C locale is built in and costs no memory */
	}
}

static locale_t number_locale(void)
{
	(void)pthread_once(&number_once, number_locale_create);
	return number_c_locale;
}

static bool number_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Both operands are exact, so the one division rounds correctly. False: this is not such a number. */
static bool number_parse_exact(const char *p, const char *end, double *ret)
{
	static const double powers[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8, 1e9,
		                         1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18 };
	bool is_negative = *p == '-';
	p += is_negative;
	uint64_t mantissa = 0;
	const char *first = p;
	for (; p < end && number_is_digit(*p); p++) {
		mantissa = mantissa * 10 + (uint64_t)(*p - '0');
	}
	size_t fraction = 0;
	if (p < end && *p == '.') {
		const char *point = p;
		for (p++; p < end && number_is_digit(*p); p++) {
			mantissa = mantissa * 10 + (uint64_t)(*p - '0');
		}
		fraction = (size_t)(p - point) - 1;
	}
	if (p < end || p - first > 19 || mantissa > UINT64_C(1) << 53 || fraction > 18 ||
	    FLT_EVAL_METHOD != 0) {
		return false;
	}
	double value = (double)mantissa / powers[fraction];
	*ret = is_negative ? -value : value;
	return true;
}

static int64_t number_parse_exponent(const char *p, const char *end)
{
	bool is_negative = p < end && *p == '-';
	if (p < end && !number_is_digit(*p)) {
		p++;
	}
	int64_t exponent = 0;
	for (; p < end && exponent < INT64_MAX / 100; p++) {
		exponent = exponent * 10 + (*p - '0');
	}
	return is_negative ? -exponent : exponent;
}

/*
 * Rewrites a very long number with at most NUMBER_MAX_DIGITS digits. Digits that are dropped can only
 * decide which side of a tie the number is on; one more digit 1 keeps that.
 */
static void number_condense(const char *p, const char *end, char *out)
{
	size_t at = 0;
	size_t digits = 0;
	int64_t exponent = 0;
	bool in_fraction = false;
	bool is_inexact = false;
	if (*p == '-') {
		out[at++] = *p++;
	}
	for (; p < end && (number_is_digit(*p) || *p == '.'); p++) {
		if (*p == '.') {
			in_fraction = true;
			continue;
		}
		bool keeps = digits < NUMBER_MAX_DIGITS && (digits > 0 || *p != '0');
		if (keeps) {
			out[at++] = *p;
			digits++;
		} else if (digits > 0) {
			is_inexact |= *p != '0';
		}
		exponent += (digits == NUMBER_MAX_DIGITS && !keeps) - in_fraction;
	}
	if (digits == 0) {
		out[at++] = '0';
	} else if (is_inexact) {
		out[at++] = '1';
		exponent--;
	}
	exponent += p < end ? number_parse_exponent(p + 1, end) : 0;
	exponent = exponent > NUMBER_MAX_EXPONENT    ? NUMBER_MAX_EXPONENT
	           : exponent < -NUMBER_MAX_EXPONENT ? -NUMBER_MAX_EXPONENT
	                                             : exponent;
	(void)snprintf(out + at, NUMBER_COPY_SIZE - at, "e%" PRId64, exponent);
}

double number_parse(const char *text, size_t length)
{
	double value;
	if (number_parse_exact(text, text + length, &value)) {
		return value;
	}
	char copy[NUMBER_COPY_SIZE];
	if (length < sizeof(copy)) {
		memcpy(copy, text, length);
		copy[length] = '\0';
	} else {
		number_condense(text, text + length, copy);
	}
	return strtod_l(copy, NULL, number_locale());
}

/*
 * Adds one to the last digit in @text. Below a power of two doubles are twice as dense as above it, so
 * the decimal next above can be the same double when the nearest one, below, is not.
 */
static void number_increment(char *text)
{
	char *p = strchr(text, 'e');
	for (p = p != NULL ? p : text + strlen(text); p > text; p--) {
		char *digit = p - 1;
		if (*digit == '9') {
			*digit = '0';
		} else if (number_is_digit(*digit)) {
			(*digit)++;
			return;
		}
	}
}

static bool number_is_power_of_two(double value)
{
	int exponent;
	return fabs(frexp(value, &exponent)) == 0.5;
}

/* Writes @precision digits; false when they read back as another double. */
static bool number_print(char out[static NUMBER_TEXT_SIZE], int precision, double value)
{
	(void)snprintf(out, NUMBER_TEXT_SIZE, "%.*g", precision, value);
	if (strtod(out, NULL) == value) {
		return true;
	}
	if (precision != DBL_DECIMAL_DIG - 1 || !number_is_power_of_two(value)) {
		return false;
	}
	(void)snprintf(out, NUMBER_TEXT_SIZE, "%#.*g", precision, value); /* # keeps zeros at the end */
	number_increment(out);
	return strtod(out, NULL) == value;
}

size_t number_format(double value, char out[static NUMBER_TEXT_SIZE])
{
	if (fabs(value) < 1e15 && value == (double)(int64_t)value && !(value == 0 && signbit(value))) {
		return (size_t)snprintf(out, NUMBER_TEXT_SIZE, "%" PRId64 ".0", (int64_t)value);
	}
	/* Every decimal of 15 digits survives in a normal double, so no shorter one has to be tried. */
	int precision = fabs(value) < DBL_MIN ? 1 : DBL_DIG;
	locale_t previous = uselocale(number_locale());
	while (!number_print(out, precision, value) && precision < DBL_DECIMAL_DIG) {
		precision++;
	}
	(void)uselocale(previous);
	size_t length = strlen(out);
	if (strpbrk(out, ".e") == NULL) {
		memcpy(out + length, ".0", sizeof(".0"));
		length += 2;
	}
	return length;
}
