/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growable byte buffer with a mandatory maximum.
 *
 * Failure is sticky: once an append would pass the maximum or memory runs out, `failed` is set, the
 * contents stay as they were and every later append does nothing; look once, at the end, with
 * buf_status(). The bytes are always followed by a NUL that is not counted. One thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct buf {
	char *data;        /* NULL until the first append */
	size_t length;     /* bytes used */
	size_t capacity;   /* bytes allocated */
	size_t max_length; /* length never exceeds this, which never exceeds PTRDIFF_MAX - 1 */
	bool failed;       /* an append was refused */
	bool no_memory;    /* … because memory ran out, not because of max_length */
};

/* Embedded life cycle. buf_deinit() accepts a zeroed buffer and leaves one. */
void buf_init(struct buf *buf, size_t max_length);
void buf_deinit(struct buf *buf);

/* Empties the buffer and clears a failure; keeps the memory. */
void buf_reset(struct buf *buf);

void buf_append(struct buf *buf, const void *bytes, size_t length);
void buf_append_string(struct buf *buf, const char *string);
void buf_append_char(struct buf *buf, char c);
void buf_append_format(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Makes room for @length more bytes; false, and failed, when that cannot be. */
bool buf_reserve(struct buf *buf, size_t length);

/* STATUS_OK, STATUS_TOO_LARGE or STATUS_NO_MEMORY, with @what named in the message. */
MUST_CHECK enum status buf_status(const struct buf *buf, const char *what, struct error *err);

/* Gives the bytes (NUL-terminated, free() them) to the caller and empties the buffer. NULL if empty. */
char *buf_steal(struct buf *buf, size_t *ret_length);

/* The bytes as a C string; "" when nothing was appended. */
static inline const char *buf_string(const struct buf *buf)
{
	return buf->data != NULL ? buf->data : "";
}
