/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/http_path.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/utf8.h"

/* What a raw byte of a target is. */
enum { BYTE_PLAIN, BYTE_REFUSED, BYTE_ESCAPE, BYTE_SLASH, BYTE_QUERY };

/* clang-format off */
static const uint8_t byte_class[256] = {
	[0 ... ' '] = BYTE_REFUSED, ['#'] = BYTE_REFUSED, [0x7f ... 0xff] = BYTE_REFUSED, ['%'] = BYTE_ESCAPE, ['/'] = BYTE_SLASH, ['?'] = BYTE_QUERY,
};
/* clang-format on */

static int hex_value(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that the escape at @p stands for, or -1. */
static int escape_decode(const char *p, const char *end)
{
	if (end - p < 3) {
		return -1;
	}
	int high = hex_value(p[1]);
	int low = hex_value(p[2]);
	return high < 0 || low < 0 ? -1 : high << 4 | low;
}

static bool is_control(int c)
{
	return c < ' ' || c == 0x7f;
}

static enum status segment_check(const struct http_segment *segment, bool has_escape, struct error *err)
{
	if ((segment->length == 1 && segment->text[0] == '.') ||
	    (segment->length == 2 && segment->text[0] == '.' && segment->text[1] == '.')) {
		return error_fail(err, STATUS_MALFORMED, "The path has a `.` or `..` segment");
	}
	if (has_escape && !utf8_is_valid(segment->text, segment->length)) {
		return error_fail(err, STATUS_MALFORMED, "The path is not UTF-8 after decoding");
	}
	return STATUS_OK;
}

/* Decodes from @p to the next '/' or '?' or @end, to @out; gives the places where both stopped. */
static enum status segment_decode(const char **p, const char *end, char **out, struct http_segment *ret,
                                  struct error *err)
{
	const char *in = *p;
	char *start = *out;
	char *to = start;
	bool has_escape = false;
	for (; in < end; in++) {
		uint8_t class = byte_class[(unsigned char)*in];
		if (class == BYTE_PLAIN) {
			*to++ = *in;
			continue;
		}
		if (class == BYTE_SLASH || class == BYTE_QUERY) {
			break;
		}
		if (class == BYTE_REFUSED) {
			return error_fail(err, STATUS_MALFORMED,
			                  "The path holds a byte that must be percent-encoded");
		}
		int c = escape_decode(in, end);
		if (c < 0) {
			return error_fail(err, STATUS_MALFORMED, "The path holds a bad percent-escape");
		}
		if (is_control(c) || c == '/') {
			return error_fail(err, STATUS_MALFORMED,
			                  "The path holds an escaped slash or control character");
		}
		*to++ = (char)c;
		in += 2;
		has_escape = true;
	}
	*to = '\0';
	*ret = (struct http_segment){ .text = start, .length = (size_t)(to - start) };
	*p = in;
	*out = to + 1;
	return segment_check(ret, has_escape, err);
}

static enum status query_check_raw(const char *query, size_t length, struct error *err)
{
	for (size_t i = 0; i < length; i++) {
		if (byte_class[(unsigned char)query[i]] == BYTE_REFUSED) {
			return error_fail(err, STATUS_MALFORMED,
			                  "The query holds a byte that must be percent-encoded");
		}
	}
	return STATUS_OK;
}

enum status http_path_split(const char *target, size_t length, char *scratch, struct http_path *ret,
                            struct error *err)
{
	if (length == 0 || target[0] != '/') {
		return error_fail(err, STATUS_MALFORMED, "The request target must begin with a slash");
	}
	const char *end = target + length;
	const char *p = target;
	struct http_path path = { .query = "" };
	/* Each round begins at a '/'. Decoded text and its NUL never need more than '/' and raw text. */
	while (p < end && *p == '/') {
		p++;
		if (path.count == 0 && (p == end || *p == '?')) {
			break;
		}
		if (path.count == HTTP_PATH_MAX_SEGMENTS) {
			return error_fail(err, STATUS_URI_TOO_LONG, "The path has more than %d segments",
			                  HTTP_PATH_MAX_SEGMENTS);
		}
		struct http_segment *segment = &path.segments[path.count++];
		enum status status = segment_decode(&p, end, &scratch, segment, err);
		if (status != STATUS_OK) {
			return status;
		}
		if (segment->length == 0 && p < end && *p == '/') {
			return error_fail(err, STATUS_MALFORMED, "The path has an empty segment");
		}
	}
	if (p < end) {
		path.query = p + 1;
		path.query_length = (size_t)(end - path.query);
		enum status status = query_check_raw(path.query, path.query_length, err);
		if (status != STATUS_OK) {
			return status;
		}
	}
	*ret = path;
	return STATUS_OK;
}

/* Decodes up to @stop or '&' or @end. */
static enum status query_text_decode(const char **p, const char *end, char stop, char **out,
                                     const char **ret_text, struct error *err)
{
	char *start = *out;
	char *to = start;
	const char *in = *p;
	for (; in < end && *in != '&' && *in != stop; in++) {
		int c = (unsigned char)*in;
		if (c == '+') {
			c = ' ';
		} else if (c == '%') {
			c = escape_decode(in, end);
			if (c < 0) {
				return error_fail(err, STATUS_MALFORMED,
				                  "The query holds a bad percent-escape");
			}
			in += 2;
		}
		if (is_control(c)) {
			return error_fail(err, STATUS_MALFORMED, "The query holds a control character");
		}
		*to++ = (char)c;
	}
	if (!utf8_is_valid(start, (size_t)(to - start))) {
		return error_fail(err, STATUS_MALFORMED, "The query is not UTF-8 after decoding");
	}
	*to = '\0';
	*ret_text = start;
	*p = in;
	*out = to + 1;
	return STATUS_OK;
}

enum status http_query_split(const char *query, size_t length, char *scratch,
                             struct http_pair ret[static HTTP_QUERY_MAX_PAIRS], size_t *ret_count,
                             struct error *err)
{
	const char *p = query;
	const char *end = query + length;
	size_t count = 0;
	while (p < end) {
		if (count == HTTP_QUERY_MAX_PAIRS) {
			return error_fail(err, STATUS_TOO_LARGE, "The query has more than %d parameters",
			                  HTTP_QUERY_MAX_PAIRS);
		}
		struct http_pair pair = { .value = "" };
		enum status status = query_text_decode(&p, end, '=', &scratch, &pair.name, err);
		if (status == STATUS_OK && p < end && *p == '=') {
			p++;
			status = query_text_decode(&p, end, '&', &scratch, &pair.value, err);
		}
		if (status != STATUS_OK) {
			return status;
		}
		if (pair.name[0] == '\0') {
			return error_fail(err, STATUS_MALFORMED, "The query has a parameter without a name");
		}
		ret[count++] = pair;
		if (p < end) {
			p++;
		}
	}
	*ret_count = count;
	return STATUS_OK;
}
