/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"

/* Lets an allocation that is far too large fail as it does without the sanitizer. */
__attribute__((visibility("default"), used)) const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

static void appends_keep_a_nul_behind(void **state)
{
	(void)state;
	struct buf buf;
	buf_init(&buf, 1000);
	assert_string_equal(buf_string(&buf), "");
	assert_null(buf.data);
	buf_append(&buf, "abc", 3);
	buf_append_char(&buf, 'd');
	buf_append_string(&buf, "ef");
	buf_append_string(&buf, "");
	buf_append(&buf, NULL, 0);
	buf_append_format(&buf, "%d-%s", 7, "g");
	assert_string_equal(buf_string(&buf), "abcdef7-g");
	assert_int_equal(buf.length, 9);
	buf_append(&buf, "\0x", 2);
	assert_int_equal(buf.length, 11);
	assert_memory_equal(buf.data, "abcdef7-g\0x", 12);
	assert_int_equal(buf_status(&buf, "text", NULL), STATUS_OK);
	buf_deinit(&buf);
}

static void the_maximum_is_reached_but_not_passed(void **state)
{
	(void)state;
	struct buf buf;
	struct error err = ERROR_INIT;
	buf_init(&buf, 5);
	buf_append_string(&buf, "12345");
	assert_false(buf.failed);
	buf_append(&buf, "", 0);
	assert_false(buf.failed);
	buf_append_char(&buf, '6');
	assert_true(buf.failed);
	assert_false(buf.no_memory);
	assert_string_equal(buf_string(&buf), "12345");
	assert_int_equal(buf_status(&buf, "answer", &err), STATUS_TOO_LARGE);
	assert_string_equal(err.message, "The answer would be longer than 5 bytes");
	buf_deinit(&buf);
}

static void failure_is_sticky_until_reset(void **state)
{
	(void)state;
	struct buf buf;
	buf_init(&buf, 4);
	buf_append_string(&buf, "ab");
	buf_append_string(&buf, "cde");
	buf_append_char(&buf, 'x');
	buf_append_format(&buf, "%s", "y");
	assert_false(buf_reserve(&buf, 1));
	assert_string_equal(buf_string(&buf), "ab");
	buf_reset(&buf);
	assert_false(buf.failed);
	assert_int_equal(buf.length, 0);
	assert_string_equal(buf_string(&buf), "");
	buf_append_string(&buf, "abcd");
	assert_string_equal(buf_string(&buf), "abcd");
	buf_deinit(&buf);
}

static void formats_of_any_length(void **state)
{
	(void)state;
	static const int widths[] = { 0, 1, 255, 511, 512, 513, 4000 };
	for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
		struct buf buf;
		buf_init(&buf, 5000);
		buf_append_char(&buf, '<');
		buf_append_format(&buf, "%*s", widths[i], "");
		buf_append_char(&buf, '>');
		assert_int_equal(buf.length, widths[i] + 2);
		assert_int_equal(buf.data[buf.length - 1], '>');
		assert_int_equal(strlen(buf.data), buf.length);
		buf_deinit(&buf);
	}
	struct buf small;
	buf_init(&small, 100);
	buf_append_format(&small, "%600s", "");
	assert_true(small.failed);
	assert_int_equal(small.length, 0);
	buf_deinit(&small);
}

static void reserve_gives_room_that_does_not_move(void **state)
{
	(void)state;
	struct buf buf;
	buf_init(&buf, 100000);
	assert_true(buf_reserve(&buf, 50000));
	const char *data = buf.data;
	assert_string_equal(data, "");
	for (int i = 0; i < 50000; i++) {
		buf_append_char(&buf, 'x');
	}
	assert_ptr_equal(buf.data, data);
	assert_false(buf_reserve(&buf, 50001));
	assert_true(buf.failed);
	buf_deinit(&buf);
}

static void huge_lengths_do_not_overflow(void **state)
{
	(void)state;
	static const size_t lengths[] = { SIZE_MAX, SIZE_MAX - 1, SIZE_MAX / 2 + 1, PTRDIFF_MAX };
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct buf buf;
		buf_init(&buf, SIZE_MAX);
		buf_append_char(&buf, 'x');
		assert_false(buf_reserve(&buf, lengths[i]));
		assert_string_equal(buf_string(&buf), "x");
		buf_deinit(&buf);
	}
}

static void running_out_of_memory_is_told_apart(void **state)
{
	(void)state;
	struct buf buf;
	struct error err = ERROR_INIT;
	buf_init(&buf, SIZE_MAX);
	buf_append_string(&buf, "kept");
	assert_false(buf_reserve(&buf, (size_t)1 << 60));
	assert_true(buf.no_memory);
	assert_string_equal(buf_string(&buf), "kept");
	assert_int_equal(buf_status(&buf, "answer", &err), STATUS_NO_MEMORY);
	assert_string_equal(err.message, "Out of memory while writing answer");
	buf_reset(&buf);
	assert_false(buf.no_memory);
	buf_deinit(&buf);
}

static void steal_hands_the_bytes_over(void **state)
{
	(void)state;
	struct buf buf;
	size_t length = 99;
	buf_init(&buf, 10);
	assert_null(buf_steal(&buf, &length));
	assert_int_equal(length, 0);
	buf_append(&buf, "a\0b", 3);
	char *bytes = buf_steal(&buf, &length);
	assert_int_equal(length, 3);
	assert_memory_equal(bytes, "a\0b", 4);
	free(bytes);
	assert_int_equal(buf.length, 0);
	assert_string_equal(buf_string(&buf), "");
	buf_append_string(&buf, "0123456789");
	assert_false(buf.failed);
	buf_append_char(&buf, 'x');
	assert_true(buf.failed);
	bytes = buf_steal(&buf, NULL);
	assert_string_equal(bytes, "0123456789");
	free(bytes);
	buf_deinit(&buf);
}

static void a_zeroed_buffer_is_deinitialised_and_empty(void **state)
{
	(void)state;
	struct buf buf = { 0 };
	buf_deinit(&buf);
	assert_string_equal(buf_string(&buf), "");
	buf_append_char(&buf, 'x');
	assert_int_equal(buf_status(&buf, "text", NULL), STATUS_TOO_LARGE);
	buf_deinit(&buf);
	buf_deinit(&buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(appends_keep_a_nul_behind),
		cmocka_unit_test(the_maximum_is_reached_but_not_passed),
		cmocka_unit_test(failure_is_sticky_until_reset),
		cmocka_unit_test(formats_of_any_length),
		cmocka_unit_test(reserve_gives_room_that_does_not_move),
		cmocka_unit_test(huge_lengths_do_not_overflow),
		cmocka_unit_test(running_out_of_memory_is_told_apart),
		cmocka_unit_test(steal_hands_the_bytes_over),
		cmocka_unit_test(a_zeroed_buffer_is_deinitialised_and_empty),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
