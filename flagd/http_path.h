/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Request targets: split first, decoded once, and refused where two readers could disagree.
 *
 * The path is cut at '/' before anything is decoded, so an escaped slash can never make a segment.
 * Refused: targets that do not begin with '/', raw control bytes, blanks, bytes above 0x7e and '#',
 * bad escapes, %00 and %2f, empty segments, "." and ".." however they are written, control characters
 * and anything that is not UTF-8 after decoding. Pure functions.
 */
#pragma once

#include <stddef.h>

#include "base/error.h"

#define HTTP_PATH_MAX_SEGMENTS 16
#define HTTP_QUERY_MAX_PAIRS   32

struct http_segment {
	const char *text; /* decoded, NUL-terminated */
	size_t length;
};

struct http_path {
	struct http_segment
	        segments[HTTP_PATH_MAX_SEGMENTS]; /* "/" has none; a last '/' makes an empty one */
	size_t count;
	const char *query; /* behind the '?', still encoded; "" without one */
	size_t query_length;
};

/*
 * Splits @target of @length bytes. Decoded segments are written to @scratch of at least @length + 1
 * bytes; the query points into @target. STATUS_MALFORMED, or STATUS_URI_TOO_LONG for too many segments.
 */
MUST_CHECK enum status http_path_split(const char *target, size_t length, char *scratch,
                                       struct http_path *ret, struct error *err);

struct http_pair {
	const char *name; /* decoded, NUL-terminated */
	const char *value;
};

/*
 * Decodes "a=1&b&c=x+y" into pairs in order; a bare name has the value "". '+' is a blank. Texts are
 * written to @scratch of at least @length + 2 bytes. STATUS_MALFORMED for bad escapes, %00, control
 * bytes, what is not UTF-8 and a missing name; STATUS_TOO_LARGE for more than HTTP_QUERY_MAX_PAIRS.
 */
MUST_CHECK enum status http_query_split(const char *query, size_t length, char *scratch,
                                        struct http_pair ret[static HTTP_QUERY_MAX_PAIRS], size_t *ret_count,
                                        struct error *err);
