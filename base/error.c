/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* What was cut to fit must still be valid UTF-8: it goes into JSON. */
static void text_trim(char *text, int wanted, size_t size)
{
	if (wanted >= 0 && (size_t)wanted >= size) {
		text[utf8_trim(text, size - 1)] = '\0';
	}
}

void error_set(struct error *err, enum status status, const char *format, ...)
{
	if (err == NULL) {
		return;
	}
	err->status = status;
	err->path[0] = '\0';
	va_list args;
	va_start(args, format);
	int wanted = vsnprintf(err->message, sizeof(err->message), format, args);
	va_end(args);
	text_trim(err->message, wanted, sizeof(err->message));
}

void error_path_set(struct error *err, const char *path)
{
	if (err != NULL) {
		int wanted = snprintf(err->path, sizeof(err->path), "%s", path);
		text_trim(err->path, wanted, sizeof(err->path));
	}
}

void error_path_prefix(struct error *err, const char *prefix)
{
	if (err == NULL) {
		return;
	}
	char joined[2 * ERROR_PATH_SIZE];
	(void)snprintf(joined, sizeof(joined), "%.*s%s", ERROR_PATH_SIZE - 1, prefix, err->path);
	error_path_set(err, joined);
}

void error_wrap(struct error *err, const char *text)
{
	if (err == NULL) {
		return;
	}
	char joined[2 * ERROR_MESSAGE_SIZE];
	(void)snprintf(joined, sizeof(joined), "%.*s: %s", ERROR_MESSAGE_SIZE - 3, text, err->message);
	int wanted = snprintf(err->message, sizeof(err->message), "%s", joined);
	text_trim(err->message, wanted, sizeof(err->message));
}
