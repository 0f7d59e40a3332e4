/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"

/* Every scalar value survives; nothing else is encodable by accident. */
static void every_code_point_round_trips(void **state)
{
	(void)state;
	for (uint32_t c = 0; c <= 0x10ffff; c++) {
		if (c >= 0xd800 && c <= 0xdfff) {
			continue;
		}
		char bytes[4];
		const size_t length = utf8_encode(c, bytes);
		const size_t expected = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
		if (length != expected || utf8_sequence(bytes, bytes + length) != length ||
		    utf8_decode(bytes, length) != c) {
			fail_msg("U+%04X", c);
		}
		for (size_t cut = 1; cut < length; cut++) {
			assert_int_equal(utf8_sequence(bytes, bytes + cut), 0);
		}
	}
}

/*
 * Counts the valid two-, three- and four-byte sequences among all that there are. There are as many as
 * code points of that length: no overlong form, surrogate or large value is among them.
 */
static void exactly_the_scalar_values_are_valid(void **state)
{
	(void)state;
	unsigned two = 0, three = 0, four = 0;
	for (uint32_t i = 0; i < UINT32_C(1) << 24; i++) {
		const char bytes[3] = { (char)(i >> 16), (char)(i >> 8), (char)i };
		if ((i & 0xff) == 0) {
			two += utf8_sequence(bytes, bytes + 2) == 2;
		}
		three += utf8_sequence(bytes, bytes + 3) == 3;
	}
	/* The last byte of four is a mere continuation; its 64 values are sampled at their borders. */
	for (uint32_t i = 0; i < UINT32_C(1) << 24; i++) {
		const char low[4] = { (char)(i >> 16), (char)(i >> 8), (char)i, (char)0x80 };
		four += utf8_sequence(low, low + 4) == 4;
	}
	assert_int_equal(two, 0x800 - 0x80);
	assert_int_equal(three, 0x10000 - 0x800 - 0x800);
	assert_int_equal(four, (0x110000 - 0x10000) / 64);
}

static void invalid_sequences(void **state)
{
	(void)state;
	static const char *const invalid[] = {
		"\x80",
		"\xbf",
		"\xc0\x80",
		"\xc1\xbf",
		"\xc2",
		"\xc2\x41",
		"\xe0\x80\x80",
		"\xe0\x9f\xbf",
		"\xed\xa0\x80",
		"\xed\xbf\xbf",
		"\xe1\x80",
		"\xe1\x80\x41",
		"\xf0\x80\x80\x80",
		"\xf0\x8f\xbf\xbf",
		"\xf4\x90\x80\x80",
		"\xf1\x80\x80",
		"\xf5\x80\x80",
		"\xfc\x80\x80\x80",
		"\xfe",
		"\xff",
		"\xf1\x80\x80\xc0",
	};
	for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++) {
		const size_t length = strlen(invalid[i]);
		assert_int_equal(utf8_sequence(invalid[i], invalid[i] + length), 0);
		assert_false(utf8_is_valid(invalid[i], length));
	}
	assert_true(utf8_is_valid("", 0));
	assert_true(utf8_is_valid("a\0b", 3));
	assert_true(utf8_is_valid("\xc3\xa4\xe2\x82\xac\xf0\x9f\x9a\xa9", 9));
	assert_false(utf8_is_valid("abc\xc3", 4));
}

static void cut_keeps_whole_characters(void **state)
{
	(void)state;
	static const char text[] = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x9a\xa9z"; /* 1, 2, 3, 4, 1 bytes */
	static const size_t expected[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11, 11 };
	for (size_t max = 0; max < sizeof(expected) / sizeof(expected[0]); max++) {
		assert_int_equal(utf8_cut(text, sizeof(text) - 1, max), expected[max]);
	}
	for (size_t length = 0; length < sizeof(text); length++) {
		assert_int_equal(utf8_trim(text, length), expected[length]);
	}
}

static void trim_keeps_what_is_not_utf8(void **state)
{
	(void)state;
	assert_int_equal(utf8_trim("", 0), 0);
	assert_int_equal(utf8_trim("\x80\x80\x80\x80\x80", 5), 5);
	assert_int_equal(utf8_trim("\x80", 1), 1);
	assert_int_equal(utf8_trim("ab\xf0", 3), 2);
	assert_int_equal(utf8_trim("ab\xf0\x9f\x9a", 5), 2);
	assert_int_equal(utf8_trim("ab\xe2\x82", 4), 2);
	assert_int_equal(utf8_trim("\xc3", 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_point_round_trips),
		cmocka_unit_test(exactly_the_scalar_values_are_valid),
		cmocka_unit_test(invalid_sequences),
		cmocka_unit_test(cut_keeps_whole_characters),
		cmocka_unit_test(trim_keeps_what_is_not_utf8),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
