/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Status codes: the one list of outcomes that a Halyard function can have.
 *
 * Each row gives the enum constant, the HTTP status and the stable slug (`code` of an RFC 9457
 * problem) that it becomes at the edge, and a short title for people. Add a row; never renumber
 * a slug that was released.
 */
#pragma once

#define STATUS_TABLE(X)                                                                        \
	X(OK, 200, "ok", "Success")                                                            \
	X(INVALID, 400, "invalid", "A field of the request is wrong")                          \
	X(MALFORMED, 400, "malformed", "The request cannot be read")                           \
	X(UNAUTHENTICATED, 401, "unauthenticated", "A valid token is needed")                  \
	X(FORBIDDEN, 403, "forbidden", "This principal may not do that")                       \
	X(NOT_FOUND, 404, "not_found", "No such thing")                                        \
	X(METHOD_NOT_ALLOWED, 405, "method_not_allowed", "The method is not allowed here")     \
	X(TIMEOUT, 408, "timeout", "The request took too long")                                \
	X(CONFLICT, 409, "conflict", "It exists already or is in use")                         \
	X(GONE, 410, "gone", "It was removed")                                                 \
	X(PRECONDITION_FAILED, 412, "precondition_failed", "It changed meanwhile")             \
	X(TOO_LARGE, 413, "too_large", "The request is too large")                             \
	X(URI_TOO_LONG, 414, "uri_too_long", "The address is too long")                        \
	X(UNSUPPORTED_MEDIA, 415, "unsupported_media_type", "The body must be JSON")           \
	X(CONFIRMATION_REQUIRED, 428, "confirmation_required", "The change must be confirmed") \
	X(RATE_LIMITED, 429, "rate_limited", "Too many requests")                              \
	X(HEADERS_TOO_LARGE, 431, "headers_too_large", "The headers are too large")            \
	X(INTERNAL, 500, "internal", "Halyard failed")                                         \
	X(NO_MEMORY, 503, "no_memory", "Out of memory")                                        \
	X(UNAVAILABLE, 503, "unavailable", "Not available now")                                \
	X(READ_ONLY, 503, "read_only", "Changes are refused now")                              \
	X(STORAGE_FULL, 507, "storage_full", "The disk is full")                               \
	X(CORRUPT, 500, "corrupt", "Stored data is damaged")                                   \
	X(UNTRUSTED, 502, "untrusted", "The signature or its key is wrong")                    \
	X(OLDER, 409, "older", "Older than what is already known")                             \
	X(NETWORK, 502, "network", "The network failed")

enum status {
#define STATUS_ENUM(name, http, slug, title) STATUS_##name,
	STATUS_TABLE(STATUS_ENUM)
#undef STATUS_ENUM
	        STATUS_COUNT
};

/* HTTP status code of @status; 500 for a value outside the table. */
int status_http(enum status status);

/* Stable slug and short title of @status; static strings. */
const char *status_slug(enum status status);
const char *status_title(enum status status);
