/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void error_set(struct error *err, enum status status, const char *format, ...)
{
	if (err == NULL) {
		return;
	}
	err->status = status;
	err->path[0] = '\0';
	va_list args;
	va_start(args, format);
	(void)vsnprintf(err->message, sizeof(err->message), format, args);
	va_end(args);
}

void error_path_set(struct error *err, const char *path)
{
	if (err != NULL) {
		(void)snprintf(err->path, sizeof(err->path), "%s", path);
	}
}

void error_path_prefix(struct error *err, const char *prefix)
{
	if (err == NULL) {
		return;
	}
	char joined[2 * ERROR_PATH_SIZE];
	(void)snprintf(joined, sizeof(joined), "%.*s%s", ERROR_PATH_SIZE - 1, prefix, err->path);
	(void)snprintf(err->path, sizeof(err->path), "%.*s", ERROR_PATH_SIZE - 1, joined);
}

void error_wrap(struct error *err, const char *text)
{
	if (err == NULL) {
		return;
	}
	char joined[2 * ERROR_MESSAGE_SIZE];
	(void)snprintf(joined, sizeof(joined), "%.*s: %s", ERROR_MESSAGE_SIZE - 3, text, err->message);
	(void)snprintf(err->message, sizeof(err->message), "%.*s", ERROR_MESSAGE_SIZE - 1, joined);
}
