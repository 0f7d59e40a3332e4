/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_FIRST_CAPACITY 256

void buf_init(struct buf *buf, size_t max_length)
{
	/* No object is larger, and the sums below cannot overflow. */
	*buf = (struct buf){ .max_length = max_length < PTRDIFF_MAX ? max_length : PTRDIFF_MAX - 1 };
}

void buf_deinit(struct buf *buf)
{
	free(buf->data);
	*buf = (struct buf){ 0 };
}

void buf_reset(struct buf *buf)
{
	buf->length = 0;
	buf->failed = false;
	buf->no_memory = false;
	if (buf->data != NULL) {
		buf->data[0] = '\0';
	}
}

bool buf_reserve(struct buf *buf, size_t length)
{
	if (buf->failed) {
		return false;
	}
	if (length > buf->max_length - buf->length) {
		buf->failed = true;
		return false;
	}
	size_t need = buf->length + length + 1;
	if (need <= buf->capacity) {
		return true;
	}
	size_t capacity = buf->capacity == 0 ? BUF_FIRST_CAPACITY : buf->capacity;
	while (capacity < need) {
		capacity = capacity > SIZE_MAX / 2 ? need : capacity * 2;
	}
	char *data = realloc(buf->data, capacity);
	if (data == NULL) {
		buf->failed = true;
		buf->no_memory = true;
		return false;
	}
	buf->data = data;
	buf->capacity = capacity;
	buf->data[buf->length] = '\0';
	return true;
}

void buf_append(struct buf *buf, const void *bytes, size_t length)
{
	if (!buf_reserve(buf, length)) {
		return;
	}
	if (length > 0) {
		memcpy(buf->data + buf->length, bytes, length);
	}
	buf->length += length;
	buf->data[buf->length] = '\0';
}

void buf_append_string(struct buf *buf, const char *string)
{
	buf_append(buf, string, strlen(string));
}

void buf_append_char(struct buf *buf, char c)
{
	buf_append(buf, &c, 1);
}

void buf_append_format(struct buf *buf, const char *format, ...)
{
	char text[512];
	va_list args;
	va_start(args, format);
	va_list again;
	va_copy(again, args);
	int length = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (length < 0) {
		buf->failed = true;
	} else if ((size_t)length < sizeof(text)) {
		buf_append(buf, text, (size_t)length);
	} else if (buf_reserve(buf, (size_t)length)) {
		(void)vsnprintf(buf->data + buf->length, (size_t)length + 1, format, again);
		buf->length += (size_t)length;
	}
	va_end(again);
}

enum status buf_status(const struct buf *buf, const char *what, struct error *err)
{
	if (!buf->failed) {
		return STATUS_OK;
	}
	if (buf->no_memory) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory while writing %s", what);
	}
	return error_fail(err, STATUS_TOO_LARGE, "The %s would be longer than %zu bytes", what,
	                  buf->max_length);
}

char *buf_steal(struct buf *buf, size_t *ret_length)
{
	char *data = buf->data;
	if (ret_length != NULL) {
		*ret_length = buf->length;
	}
	*buf = (struct buf){ .max_length = buf->max_length };
	return data;
}
