/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hygiene of a request's head: whatever two parsers could read differently is refused, and so is
 * what no honest client sends. libmicrohttpd accepts most of it (docs/adr/0007).
 *
 * Refused: Content-Length twice or not a number, Content-Length beside Transfer-Encoding, any
 * Transfer-Encoding but one `chunked` or one in HTTP/1.0, no Host in HTTP/1.1 or two, any header
 * that we act on twice, names that are not tokens (a blank before the colon), control bytes and bare
 * CR in values, values of ours beyond visible ASCII, more than HTTP_MAX_FIELDS headers, versions but
 * 1.0 and 1.1. When the number of bytes of the head is known, also NUL bytes, bare LF, folded lines
 * and superfluous blanks: what the parts add up to must be what was received.
 *
 * Pure; the facts borrow the head's strings.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define HTTP_MAX_FIELDS 64

struct http_field {
	const char *name; /* NUL-terminated, like the value */
	const char *value;
	uint32_t name_length;
	uint32_t value_length;
};

struct http_head {
	const char *method;
	const char *version;
	size_t target_length;
	const struct http_field *fields;
	size_t field_count; /* as received; only the first HTTP_MAX_FIELDS are in @fields */
	size_t bytes;       /* of the head as received, from the method to the empty line; 0: unknown */
};

/* Headers that are acted upon, each allowed once. */
enum http_known {
	HTTP_KNOWN_AUTHORIZATION,
	HTTP_KNOWN_CONTENT_LENGTH,
	HTTP_KNOWN_CONTENT_TYPE,
	HTTP_KNOWN_EXPECT,
	HTTP_KNOWN_HOST,
	HTTP_KNOWN_IDEMPOTENCY_KEY,
	HTTP_KNOWN_IF_MATCH,
	HTTP_KNOWN_IF_NONE_MATCH,
	HTTP_KNOWN_LAST_EVENT_ID,
	HTTP_KNOWN_TRACEPARENT,
	HTTP_KNOWN_TRANSFER_ENCODING,
	HTTP_KNOWN_X_API_KEY,
	HTTP_KNOWN_COUNT
};

struct http_facts {
	const char *known[HTTP_KNOWN_COUNT]; /* value or NULL */
	uint64_t content_length;             /* 0 without one */
	bool is_chunked;
	bool is_http_10;
};

/* STATUS_MALFORMED, or STATUS_HEADERS_TOO_LARGE for too many headers. */
MUST_CHECK enum status http_hygiene_check(const struct http_head *head, struct http_facts *ret,
                                          struct error *err);

/* Is it `application/json` (or another `application/…+json`), with at most `charset=utf-8`? */
bool http_hygiene_is_json(const char *content_type);
