/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers are read and written with a point where the process's locale has a comma. */
#include "tests/unit/base/document.h"

#include <locale.h>

#include "base/json_write.h"
#include "base/number.h"

static void numbers_do_not_follow_the_locale(void **state)
{
	(void)state;
	static const char *const names[] = { "de_DE.UTF-8", "de_DE.utf8", "de_DE", "fr_FR.UTF-8",
		                             "fr_FR.utf8" };
	const char *locale = NULL;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && locale == NULL; i++) {
		locale = setlocale(LC_ALL, names[i]);
	}
	if (locale == NULL || localeconv()->decimal_point[0] != ',') {
		skip();
	}
	struct document document;
	struct buf buf;
	struct json_writer w;
	double value = 0;
	struct json root = document_open(&document, "[1.5e0,1234567.25]");
	struct json number = JSON_NONE;
	assert_true(json_next(root, NULL, &number));
	assert_true(json_double(number, &value));
	assert_true(value == 1.5);
	buf_init(&buf, 100);
	json_writer_init(&w, &buf);
	json_begin_array(&w);
	json_put_double(&w, 0.1);
	json_put_double(&w, 1.7976931348623157e308);
	json_put_double(&w, 2.0);
	json_end_array(&w);
	assert_string_equal(buf.data, "[0.1,1.7976931348623157e+308,2.0]");
	/* The locale of the process is as before. */
	char text[16];
	(void)snprintf(text, sizeof(text), "%.1f", 0.5);
	assert_string_equal(text, "0,5");
	buf_deinit(&buf);
	document_close(&document);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_do_not_follow_the_locale),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
