/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/match_number.h"

#include <math.h>

#define TIME_MIN_S (-62167219200LL) /* 0000-01-01T00:00:00Z */
#define TIME_MAX_S 253402300799LL   /* 9999-12-31T23:59:59Z */

bool match_number_from_json(struct json value, struct match_number *ret)
{
	struct match_number number = { .is_integer = true };
	if (!json_int64(value, &number.value.integer)) {
		number.is_integer = false;
		if (!json_double(value, &number.value.number)) {
			return false;
		}
	}
	*ret = number;
	return true;
}

bool match_number_from_attribute(const struct context_attribute *attribute, struct match_number *ret)
{
	if (attribute->type == CONTEXT_INTEGER) {
		*ret = (struct match_number){ .is_integer = true, .value.integer = attribute->value.integer };
		return true;
	}
	if (attribute->type == CONTEXT_NUMBER && !isnan(attribute->value.number)) {
		*ret = (struct match_number){ .value.number = attribute->value.number };
		return true;
	}
	return false;
}

static int compare_integer_to_double(int64_t integer, double number)
{
	if (number >= 0x1p63) {
		return -1;
	}
	if (number < -0x1p63) {
		return 1;
	}
	/* In range, so that cutting the fraction is defined; what it cut is exact. */
	const int64_t whole = (int64_t)number;
	if (integer != whole) {
		return integer < whole ? -1 : 1;
	}
	const double fraction = number - (double)whole;
	return (fraction < 0) - (fraction > 0);
}

int match_number_compare(const struct match_number *a, const struct match_number *b)
{
	if (a->is_integer && b->is_integer) {
		return (a->value.integer > b->value.integer) - (a->value.integer < b->value.integer);
	}
	if (a->is_integer) {
		return compare_integer_to_double(a->value.integer, b->value.number);
	}
	if (b->is_integer) {
		return -compare_integer_to_double(b->value.integer, a->value.number);
	}
	return (a->value.number > b->value.number) - (a->value.number < b->value.number);
}

bool match_number_to_time(const struct match_number *seconds, int64_t *ret_unix_ms)
{
	if (seconds->is_integer) {
		const int64_t whole = seconds->value.integer;
		if (whole < TIME_MIN_S || whole > TIME_MAX_S) {
			return false;
		}
		*ret_unix_ms = whole * 1000;
		return true;
	}
	const double number = seconds->value.number;
	if (number < (double)TIME_MIN_S || number >= (double)(TIME_MAX_S + 1)) {
		return false;
	}
	*ret_unix_ms = llrint(number * 1000);
	return true;
}
