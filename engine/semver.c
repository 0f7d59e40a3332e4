/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/semver.h"

#include <string.h>

/* What is still to be read. */
struct cursor {
	const char *at, *end;
};

static bool cursor_is(const struct cursor *cursor, char c)
{
	return cursor->at < cursor->end && *cursor->at == c;
}

static bool cursor_skip(struct cursor *cursor, char c)
{
	if (!cursor_is(cursor, c)) {
		return false;
	}
	cursor->at++;
	return true;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_identifier_char(char c)
{
	return is_digit(c) || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-';
}

static bool cursor_read_number(struct cursor *cursor, uint64_t *ret)
{
	const char *start = cursor->at;
	uint64_t number = 0;
	while (cursor->at < cursor->end && is_digit(*cursor->at)) {
		if (__builtin_mul_overflow(number, 10, &number) ||
		    __builtin_add_overflow(number, (uint64_t)(*cursor->at - '0'), &number)) {
			return false;
		}
		cursor->at++;
	}
	const size_t length = (size_t)(cursor->at - start);
	if (length == 0 || (length > 1 && *start == '0')) {
		return false;
	}
	*ret = number;
	return true;
}

static bool is_numeric(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (!is_digit(text[i])) {
			return false;
		}
	}
	return true;
}

/* Dot-separated identifiers; numbers among them have no leading zeros unless it is build metadata. */
static bool cursor_read_identifiers(struct cursor *cursor, bool is_build)
{
	do {
		const char *start = cursor->at;
		while (cursor->at < cursor->end && is_identifier_char(*cursor->at)) {
			cursor->at++;
		}
		const size_t length = (size_t)(cursor->at - start);
		if (length == 0 || (!is_build && length > 1 && *start == '0' && is_numeric(start, length))) {
			return false;
		}
	} while (cursor_skip(cursor, '.'));
	return true;
}

/* What may follow patch: -pre.release+build */
static bool cursor_read_suffix(struct cursor *cursor, struct semver *version)
{
	if (cursor_skip(cursor, '-')) {
		version->prerelease = cursor->at;
		if (!cursor_read_identifiers(cursor, false)) {
			return false;
		}
		version->prerelease_length = (size_t)(cursor->at - version->prerelease);
	}
	return !cursor_skip(cursor, '+') || cursor_read_identifiers(cursor, true);
}

static bool is_wildcard(char c)
{
	return c == 'x' || c == 'X' || c == '*';
}

/*
 * A version up to the end or a space. Where @wildcards are allowed they stand for the parts that are
 * left out: nothing but more of them may follow.
 */
static bool cursor_read_version(struct cursor *cursor, bool wildcards, struct semver *ret)
{
	struct semver version = { 0 };
	uint64_t *const numbers[] = { &version.major, &version.minor, &version.patch };
	bool is_wild = false;
	(void)cursor_skip(cursor, 'v');
	for (int i = 0; i < 3; i++) {
		if (i > 0 && !cursor_skip(cursor, '.')) {
			break;
		}
		if (wildcards && cursor->at < cursor->end && is_wildcard(*cursor->at)) {
			cursor->at++;
			is_wild = true;
		} else if (is_wild || !cursor_read_number(cursor, numbers[i])) {
			return false;
		} else {
			version.parts = i + 1;
		}
	}
	if (version.parts == 3 && !cursor_read_suffix(cursor, &version)) {
		return false;
	}
	if (cursor->at < cursor->end && !(wildcards && *cursor->at == ' ')) {
		return false;
	}
	*ret = version;
	return true;
}

bool semver_parse(const char *text, size_t length, struct semver *ret)
{
	struct cursor cursor = { text, text + length };
	return length <= SEMVER_MAX_BYTES && cursor_read_version(&cursor, false, ret);
}

static int compare_numbers(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int semver_compare_core(const struct semver *a, const struct semver *b)
{
	int order = compare_numbers(a->major, b->major);
	if (order == 0) {
		order = compare_numbers(a->minor, b->minor);
	}
	return order != 0 ? order : compare_numbers(a->patch, b->patch);
}

/* Numbers stand below other identifiers; without leading zeros the longer number is the greater. */
static int compare_identifiers(const char *a, size_t a_length, const char *b, size_t b_length)
{
	const bool a_numeric = is_numeric(a, a_length);
	const bool b_numeric = is_numeric(b, b_length);
	if (a_numeric != b_numeric) {
		return a_numeric ? -1 : 1;
	}
	if (a_numeric && a_length != b_length) {
		return compare_numbers(a_length, b_length);
	}
	const int order = memcmp(a, b, a_length < b_length ? a_length : b_length);
	return order != 0 ? order : compare_numbers(a_length, b_length);
}

static size_t identifier_length(const char *at, const char *end)
{
	const char *dot = memchr(at, '.', (size_t)(end - at));
	return (size_t)((dot != NULL ? dot : end) - at);
}

static int compare_prereleases(const struct semver *a, const struct semver *b)
{
	const char *at_a = a->prerelease, *end_a = at_a + a->prerelease_length;
	const char *at_b = b->prerelease, *end_b = at_b + b->prerelease_length;
	for (;;) {
		const size_t length_a = identifier_length(at_a, end_a);
		const size_t length_b = identifier_length(at_b, end_b);
		const int order = compare_identifiers(at_a, length_a, at_b, length_b);
		if (order != 0) {
			return order;
		}
		at_a += length_a;
		at_b += length_b;
		if (at_a == end_a || at_b == end_b) {
			return (at_a != end_a) - (at_b != end_b);
		}
		at_a++;
		at_b++;
	}
}

int semver_compare(const struct semver *a, const struct semver *b)
{
	const int order = semver_compare_core(a, b);
	if (order != 0) {
		return order;
	}
	if (a->prerelease == NULL || b->prerelease == NULL) {
		return (a->prerelease == NULL) - (b->prerelease == NULL);
	}
	return compare_prereleases(a, b);
}

/* ---- Ranges ---- */

enum comparator {
	COMPARE_EQUAL,
	COMPARE_LESS,
	COMPARE_LESS_EQUAL,
	COMPARE_GREATER,
	COMPARE_GREATER_EQUAL,
	COMPARE_CARET,
	COMPARE_TILDE
};

static enum comparator cursor_read_comparator(struct cursor *cursor)
{
	if (cursor_skip(cursor, '^')) {
		return COMPARE_CARET;
	}
	if (cursor_skip(cursor, '~')) {
		return COMPARE_TILDE;
	}
	if (cursor_skip(cursor, '<')) {
		return cursor_skip(cursor, '=') ? COMPARE_LESS_EQUAL : COMPARE_LESS;
	}
	if (cursor_skip(cursor, '>')) {
		return cursor_skip(cursor, '=') ? COMPARE_GREATER_EQUAL : COMPARE_GREATER;
	}
	(void)cursor_skip(cursor, '=');
	return COMPARE_EQUAL;
}

/* Makes the lower end at least @low. */
static void range_raise(struct semver_range *range, struct semver low, bool is_open)
{
	const int order = range->has_low ? semver_compare(&low, &range->low) : 1;
	if (order > 0 || (order == 0 && is_open)) {
		range->low = low;
		range->has_low = true;
		range->is_low_open = is_open;
	}
}

/* Makes the upper end at most @high. */
static void range_lower(struct semver_range *range, struct semver high, bool is_closed)
{
	const int order = range->has_high ? semver_compare(&high, &range->high) : -1;
	if (order < 0 || (order == 0 && !is_closed)) {
		range->high = high;
		range->has_high = true;
		range->is_high_closed = is_closed;
	}
}

/*
 * The lowest version, pre-releases included, whose first @parts numbers are above those of @version.
 * False when there is none: the last of them is the highest number, or no part is fixed.
 */
static bool semver_next(const struct semver *version, int parts, struct semver *ret)
{
	struct semver next = { .prerelease = "0", .prerelease_length = 1, .parts = 3 };
	next.major = version->major;
	next.minor = parts > 1 ? version->minor : 0;
	next.patch = parts > 2 ? version->patch : 0;
	uint64_t *number = parts == 3 ? &next.patch : parts == 2 ? &next.minor : &next.major;
	if (parts == 0 || *number == UINT64_MAX) {
		return false;
	}
	(*number)++;
	*ret = next;
	return true;
}

/* v < the next version of the first @parts numbers */
static void range_lower_below_next(struct semver_range *range, const struct semver *version, int parts)
{
	struct semver next;
	if (semver_next(version, parts, &next)) {
		range_lower(range, next, false);
	}
}

/* v >= the next version: nothing when there is none */
static void range_raise_to_next(struct semver_range *range, const struct semver *version)
{
	struct semver next;
	if (semver_next(version, version->parts, &next)) {
		next.prerelease = NULL;
		next.prerelease_length = 0;
		range_raise(range, next, false);
	} else {
		range_lower(range, (struct semver){ .prerelease = "0", .prerelease_length = 1 }, false);
	}
}

/* A caret keeps the first number that is not zero, or all that are written. */
static int caret_parts(const struct semver *version)
{
	if (version->parts == 0 || version->major != 0) {
		return version->parts == 0 ? 0 : 1;
	}
	if (version->parts == 1 || version->minor != 0) {
		return version->parts == 1 ? 1 : 2;
	}
	return version->parts;
}

static void range_add(struct semver_range *range, enum comparator comparator, const struct semver *version)
{
	const bool is_partial = version->parts < 3;
	struct semver before_first = *version; /* below every pre-release of a partial version */
	if (is_partial) {
		before_first.prerelease = "0";
		before_first.prerelease_length = 1;
	}
	switch (comparator) {
	case COMPARE_EQUAL:
		range_raise(range, *version, false);
		if (is_partial) {
			range_lower_below_next(range, version, version->parts);
		} else {
			range_lower(range, *version, true);
		}
		break;
	case COMPARE_LESS:
		range_lower(range, before_first, false);
		break;
	case COMPARE_LESS_EQUAL:
		if (is_partial) {
			range_lower_below_next(range, version, version->parts);
		} else {
			range_lower(range, *version, true);
		}
		break;
	case COMPARE_GREATER:
		if (is_partial) {
			range_raise_to_next(range, version);
		} else {
			range_raise(range, *version, true);
		}
		break;
	case COMPARE_GREATER_EQUAL:
		range_raise(range, *version, false);
		break;
	case COMPARE_CARET:
		range_raise(range, *version, false);
		range_lower_below_next(range, version, caret_parts(version));
		break;
	case COMPARE_TILDE:
		range_raise(range, *version, false);
		range_lower_below_next(range, version, version->parts > 2 ? 2 : version->parts);
		break;
	}
}

static void cursor_skip_spaces(struct cursor *cursor)
{
	while (cursor_skip(cursor, ' ')) {
	}
}

bool semver_range_parse(const char *text, size_t length, struct semver_range *ret)
{
	struct cursor cursor = { text, text + length };
	struct semver_range range = { 0 };
	cursor_skip_spaces(&cursor);
	if (length > SEMVER_MAX_BYTES || cursor.at == cursor.end) {
		return false;
	}
	while (cursor.at < cursor.end) {
		struct semver version;
		const enum comparator comparator = cursor_read_comparator(&cursor);
		cursor_skip_spaces(&cursor);
		if (!cursor_read_version(&cursor, true, &version)) {
			return false;
		}
		range_add(&range, comparator, &version);
		cursor_skip_spaces(&cursor);
	}
	*ret = range;
	return true;
}

static bool names_prerelease(const struct semver *end, const struct semver *version)
{
	return end->prerelease != NULL && semver_compare_core(end, version) == 0;
}

bool semver_range_match(const struct semver_range *range, const struct semver *version)
{
	if (range->has_low) {
		const int order = semver_compare(version, &range->low);
		if (order < 0 || (order == 0 && range->is_low_open)) {
			return false;
		}
	}
	if (range->has_high) {
		const int order = semver_compare(version, &range->high);
		if (order > 0 || (order == 0 && !range->is_high_closed)) {
			return false;
		}
	}
	return version->prerelease == NULL || (range->has_low && names_prerelease(&range->low, version)) ||
	       (range->has_high && names_prerelease(&range->high, version));
}
