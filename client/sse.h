/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Incremental parser of server-sent events (WHATWG HTML, section 9.2), bounded.
 *
 * Bytes go in as they come, in pieces of any size; whole events and comments come out. Lines end with
 * LF, CR or CRLF. A line or an event over its limit, and memory that runs out, are a sticky failure:
 * the connection has to be dropped. Memory grows only with bytes that really came, and is given back
 * after a large event. Pure; one thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

#define SSE_TYPE_SIZE 33 /* longer event types are cut: nothing here is called so */
#define SSE_ID_SIZE   65

struct sse_event {
	const char *type; /* "message" when the event has none */
	const char *id;   /* last id of the stream, "" when there was none */
	const char *data; /* every data line, each ended by LF; NUL-terminated */
	size_t length;
};

/* Either may be NULL. False stops the parser: the rest of the bytes is not looked at. */
struct sse_handler {
	bool (*on_event)(void *user, const struct sse_event *event);
	bool (*on_comment)(void *user);
	void *user;
};

struct sse {
	struct buf line;
	struct buf data;
	char type[SSE_TYPE_SIZE];
	char id[SSE_ID_SIZE];
	bool after_cr;   /* a LF now belongs to the line that is done */
	bool is_started; /* the place where a BOM may stand is behind us */
	bool has_data;
};

void sse_init(struct sse *sse, size_t max_line_bytes, size_t max_event_bytes);
void sse_deinit(struct sse *sse); /* accepts a zeroed parser */

/* For a new connection: forgets everything but the limits. */
void sse_reset(struct sse *sse);

/* STATUS_TOO_LARGE or STATUS_NO_MEMORY; the parser stays failed until sse_reset(). */
MUST_CHECK enum status sse_feed(struct sse *sse, const char *bytes, size_t length,
                                const struct sse_handler *handler, struct error *err);
