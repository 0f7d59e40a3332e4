/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/utf8.h"

static void fail_stores_and_returns_the_status(void **state)
{
	(void)state;
	struct error err = ERROR_INIT;
	assert_int_equal(err.status, STATUS_OK);
	assert_string_equal(err.message, "");
	error_path_set(&err, "/old");
	assert_int_equal(error_fail(&err, STATUS_CONFLICT, "The flag `%s` exists", "a"), STATUS_CONFLICT);
	assert_int_equal(err.status, STATUS_CONFLICT);
	assert_string_equal(err.message, "The flag `a` exists");
	assert_string_equal(err.path, "");
}

static void null_is_allowed_everywhere(void **state)
{
	(void)state;
	assert_int_equal(error_fail(NULL, STATUS_GONE, "%d", 1), STATUS_GONE);
	error_path_set(NULL, "/a");
	error_path_prefix(NULL, "/a");
	error_wrap(NULL, "text");
}

static void paths_are_set_prefixed_and_cleared(void **state)
{
	(void)state;
	struct error err = ERROR_INIT;
	error_path_set(&err, "/rules/0");
	error_path_prefix(&err, "/environments/prod");
	assert_string_equal(err.path, "/environments/prod/rules/0");
	error_path_prefix(&err, "");
	assert_string_equal(err.path, "/environments/prod/rules/0");
	error_path_set(&err, "");
	assert_string_equal(err.path, "");
	error_path_prefix(&err, "/a");
	assert_string_equal(err.path, "/a");
}

static void wrap_says_what_was_being_done(void **state)
{
	(void)state;
	struct error err = ERROR_INIT;
	error_set(&err, STATUS_CORRUPT, "Short read");
	error_path_set(&err, "/a");
	error_wrap(&err, "Reading the header");
	error_wrap(&err, "Loading the snapshot");
	assert_string_equal(err.message, "Loading the snapshot: Reading the header: Short read");
	assert_string_equal(err.path, "/a");
	assert_int_equal(err.status, STATUS_CORRUPT);
}

static void long_texts_are_cut(void **state)
{
	(void)state;
	char text[2000];
	struct error err = ERROR_INIT;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	error_set(&err, STATUS_INVALID, "%s", text);
	assert_int_equal(strlen(err.message), ERROR_MESSAGE_SIZE - 1);
	error_wrap(&err, "Reading");
	assert_int_equal(strlen(err.message), ERROR_MESSAGE_SIZE - 1);
	assert_int_equal(strncmp(err.message, "Reading: xxx", 12), 0);
	error_wrap(&err, text);
	assert_int_equal(strlen(err.message), ERROR_MESSAGE_SIZE - 1);
	error_path_set(&err, text);
	assert_int_equal(strlen(err.path), ERROR_PATH_SIZE - 1);
	error_path_prefix(&err, "/a");
	assert_int_equal(strlen(err.path), ERROR_PATH_SIZE - 1);
	assert_int_equal(strncmp(err.path, "/axxx", 5), 0);
	error_path_prefix(&err, text);
	assert_int_equal(strlen(err.path), ERROR_PATH_SIZE - 1);
}

/* Whatever the alignment of the cut to the four bytes of a character. */
static void cut_texts_stay_valid_utf8(void **state)
{
	(void)state;
	for (size_t shift = 0; shift < 8; shift++) {
		char text[1000];
		size_t length = 0;
		memset(text, 'x', shift);
		for (length = shift; length + 4 < sizeof(text); length += 4) {
			memcpy(text + length, "\xf0\x9f\x9a\xa9", 4);
		}
		text[length] = '\0';
		struct error err = ERROR_INIT;
		error_set(&err, STATUS_INVALID, "%s", text);
		assert_true(utf8_is_valid(err.message, strlen(err.message)));
		assert_in_range(strlen(err.message), ERROR_MESSAGE_SIZE - 4, ERROR_MESSAGE_SIZE - 1);
		error_wrap(&err, "Reading");
		assert_true(utf8_is_valid(err.message, strlen(err.message)));
		error_path_set(&err, text);
		assert_true(utf8_is_valid(err.path, strlen(err.path)));
		error_path_prefix(&err, "/ab");
		assert_true(utf8_is_valid(err.path, strlen(err.path)));
		assert_in_range(strlen(err.path), ERROR_PATH_SIZE - 8, ERROR_PATH_SIZE - 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fail_stores_and_returns_the_status),
		cmocka_unit_test(null_is_allowed_everywhere),
		cmocka_unit_test(paths_are_set_prefixed_and_cleared),
		cmocka_unit_test(wrap_says_what_was_being_done),
		cmocka_unit_test(long_texts_are_cut),
		cmocka_unit_test(cut_texts_stay_valid_utf8),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
