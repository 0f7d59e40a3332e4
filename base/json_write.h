/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON writer: appends compact JSON to a buffer and takes care of commas and escapes.
 *
 * The writer borrows the buffer; failures are the buffer's (sticky, buf_status()). Nesting deeper than
 * 32 fails. Strings should be valid UTF-8, as what comes from the scanner is; what is not becomes
 * U+FFFD. Independent of the locale. One thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/json.h"

struct json_writer {
	struct buf *buf;
	uint32_t has_element; /* bit per depth: a comma is due */
	uint32_t depth;
	bool after_key;
};

void json_writer_init(struct json_writer *w, struct buf *buf);

void json_begin_object(struct json_writer *w);
void json_end_object(struct json_writer *w);
void json_begin_array(struct json_writer *w);
void json_end_array(struct json_writer *w);

void json_put_key(struct json_writer *w, const char *key);

void json_put_null(struct json_writer *w);
void json_put_boolean(struct json_writer *w, bool value);
void json_put_int64(struct json_writer *w, int64_t value);
void json_put_string(struct json_writer *w, const char *value); /* NULL writes null */
void json_put_string_n(struct json_writer *w, const char *value, size_t length);

/* 64-bit values travel as strings: "18446744073709551615". */
void json_put_uint64_string(struct json_writer *w, uint64_t value);

/*
 * Shortest text that reads back as the same double, always with a fraction or exponent: `1.0`. What
 * JSON cannot say (not a number, infinite) is written as null.
 */
void json_put_double(struct json_writer *w, double value);

/* RFC 3339, UTC, milliseconds: "2026-11-21T09:30:00.125Z". */
void json_put_time(struct json_writer *w, int64_t unix_ms);

/* Valid JSON text as it is. */
void json_put_raw(struct json_writer *w, const char *text, size_t length);

/* A value without its white space; null when absent. */
void json_put_value(struct json_writer *w, struct json value);

/* key and value at once */
void json_put_key_string(struct json_writer *w, const char *key, const char *value);
void json_put_key_boolean(struct json_writer *w, const char *key, bool value);
void json_put_key_int64(struct json_writer *w, const char *key, int64_t value);
void json_put_key_uint64_string(struct json_writer *w, const char *key, uint64_t value);
void json_put_key_time(struct json_writer *w, const char *key, int64_t unix_ms);
void json_put_key_value(struct json_writer *w, const char *key, struct json value);

/* Appends @length bytes of UTF-8 as a JSON string, quotes and escapes included. */
void json_append_string(struct buf *buf, const char *bytes, size_t length);
