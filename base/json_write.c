/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json_write.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_text.h"
#include "base/number.h"
#include "base/utf8.h"

#define WRITER_MAX_DEPTH 32

void json_writer_init(struct json_writer *w, struct buf *buf)
{
	*w = (struct json_writer){ .buf = buf };
}

/* Writes the comma that is due in front of a value or key. */
static void writer_separate(struct json_writer *w)
{
	if (w->after_key) {
		w->after_key = false;
		return;
	}
	if (w->depth == 0) {
		return;
	}
	uint32_t bit = UINT32_C(1) << (w->depth - 1);
	if ((w->has_element & bit) != 0) {
		buf_append_char(w->buf, ',');
	}
	w->has_element |= bit;
}

static void writer_begin(struct json_writer *w, char bracket)
{
	writer_separate(w);
	if (w->depth == WRITER_MAX_DEPTH) {
		w->buf->failed = true;
		return;
	}
	w->depth++;
	w->has_element &= ~(UINT32_C(1) << (w->depth - 1));
	buf_append_char(w->buf, bracket);
}

/* Ends without a begin follow only on a begin that was too deep: the buffer has failed by then. */
static void writer_end(struct json_writer *w, char bracket)
{
	if (w->depth == 0) {
		w->buf->failed = true;
		return;
	}
	w->depth--;
	buf_append_char(w->buf, bracket);
}

void json_begin_object(struct json_writer *w)
{
	writer_begin(w, '{');
}

void json_end_object(struct json_writer *w)
{
	writer_end(w, '}');
}

void json_begin_array(struct json_writer *w)
{
	writer_begin(w, '[');
}

void json_end_array(struct json_writer *w)
{
	writer_end(w, ']');
}

void json_put_key(struct json_writer *w, const char *key)
{
	writer_separate(w);
	json_append_string(w->buf, key, strlen(key));
	buf_append_char(w->buf, ':');
	w->after_key = true;
}

void json_put_null(struct json_writer *w)
{
	json_put_raw(w, "null", 4);
}

void json_put_boolean(struct json_writer *w, bool value)
{
	json_put_raw(w, value ? "true" : "false", value ? 4 : 5);
}

void json_put_int64(struct json_writer *w, int64_t value)
{
	char text[24];
	int length = snprintf(text, sizeof(text), "%" PRId64, value);
	json_put_raw(w, text, (size_t)length);
}

void json_put_string(struct json_writer *w, const char *value)
{
	if (value == NULL) {
		json_put_null(w);
	} else {
		json_put_string_n(w, value, strlen(value));
	}
}

void json_put_string_n(struct json_writer *w, const char *value, size_t length)
{
	writer_separate(w);
	json_append_string(w->buf, value, length);
}

void json_put_uint64_string(struct json_writer *w, uint64_t value)
{
	char text[24];
	int length = snprintf(text, sizeof(text), "\"%" PRIu64 "\"", value);
	json_put_raw(w, text, (size_t)length);
}

void json_put_double(struct json_writer *w, double value)
{
	if (!isfinite(value)) {
		json_put_null(w);
		return;
	}
	char text[NUMBER_TEXT_SIZE];
	json_put_raw(w, text, number_format(value, text));
}

void json_put_time(struct json_writer *w, int64_t unix_ms)
{
	char text[CLOCK_RFC3339_SIZE];
	clock_rfc3339_format(unix_ms, text);
	json_put_string(w, text);
}

void json_put_raw(struct json_writer *w, const char *text, size_t length)
{
	writer_separate(w);
	buf_append(w->buf, text, length);
}

void json_put_value(struct json_writer *w, struct json value)
{
	if (json_is(value, JSON_ABSENT)) {
		json_put_null(w);
	} else {
		writer_separate(w);
		json_compact_append(value, w->buf);
	}
}

void json_put_key_string(struct json_writer *w, const char *key, const char *value)
{
	json_put_key(w, key);
	json_put_string(w, value);
}

void json_put_key_boolean(struct json_writer *w, const char *key, bool value)
{
	json_put_key(w, key);
	json_put_boolean(w, value);
}

void json_put_key_int64(struct json_writer *w, const char *key, int64_t value)
{
	json_put_key(w, key);
	json_put_int64(w, value);
}

void json_put_key_uint64_string(struct json_writer *w, const char *key, uint64_t value)
{
	json_put_key(w, key);
	json_put_uint64_string(w, value);
}

void json_put_key_time(struct json_writer *w, const char *key, int64_t unix_ms)
{
	json_put_key(w, key);
	json_put_time(w, unix_ms);
}

void json_put_key_value(struct json_writer *w, const char *key, struct json value)
{
	json_put_key(w, key);
	json_put_value(w, value);
}

static void append_escape(struct buf *buf, unsigned char c)
{
	static const char letters[0x20] = {
		['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'
	};
	static const char digits[] = "0123456789abcdef";
	if (c == '"' || c == '\\') {
		buf_append(buf, (const char[]){ '\\', (char)c }, 2);
	} else if (letters[c] != '\0') {
		buf_append(buf, (const char[]){ '\\', letters[c] }, 2);
	} else {
		buf_append(buf, (const char[]){ '\\', 'u', '0', '0', digits[c >> 4], digits[c & 15] }, 6);
	}
}

void json_append_string(struct buf *buf, const char *bytes, size_t length)
{
	const char *end = bytes + length;
	const char *run = bytes; /* start of what is copied as it is */
	const char *p = bytes;
	buf_append_char(buf, '"');
	for (;;) {
		p = json_skip_plain(p, end);
		if (p == end) {
			break;
		}
		size_t sequence = (unsigned char)*p < 0x80 ? 0 : utf8_sequence(p, end);
		if (sequence > 0) {
			p += sequence;
			continue;
		}
		buf_append(buf, run, (size_t)(p - run));
		if ((unsigned char)*p < 0x80) {
			append_escape(buf, (unsigned char)*p);
		} else {
			buf_append_string(buf, "\xef\xbf\xbd");
		}
		run = ++p;
	}
	buf_append(buf, run, (size_t)(end - run));
	buf_append_char(buf, '"');
}
