/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client asks the daemon for, and when: the state machine behind docs/protocol.md.
 *
 * Pure: no I/O, no clock, no randomness of its own. The owner tells it what happened (sync_on_…, each
 * with the monotonic time in ms) and asks sync_next() what to do, until the answer is SYNC_WAIT. One
 * request is in flight at a time.
 *
 * A stream is tried first. When streams are answered but carry nothing (a proxy that holds them back,
 * a daemon without them), it polls, and tries a stream again ever more rarely, at least every two minutes.
 * Failures back off with full jitter. One thread
 * at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "client/include/halyard/halyard.h"

#define SYNC_BACKOFF_FIRST_MS   250
#define SYNC_BACKOFF_MAX_MS     30000
#define SYNC_REFUSED_MAX_MS     5000   /* the cap while connections are refused outright */
#define SYNC_STEADY_MS          60000  /* a stream that lived for this long forgets failures */
#define SYNC_DENIED_MS          10000  /* at least, after 401 or 403 */
#define SYNC_RETRY_AFTER_MAX_MS 300000 /* a longer Retry-After is not believed */
#define SYNC_ANSWER_TIMEOUT_MS  10000  /* from a connection to the first byte of the answer's body */
#define SYNC_MESSAGE_TIMEOUT_MS 600000 /* bytes that never become a message */
#define SYNC_REQUEST_TIMEOUT_MS 120000 /* of a whole answer that is not a stream */
#define SYNC_STREAM_PAUSE_MS    120000 /* longest pause between streams while polling */

enum sync_request {
	SYNC_REQUEST_NONE,
	SYNC_REQUEST_KEYS,     /* GET /api/v1/signing-keys */
	SYNC_REQUEST_STREAM,   /* GET …/events */
	SYNC_REQUEST_SNAPSHOT, /* GET …/snapshot */
};

enum sync_action_type {
	SYNC_WAIT,  /* for an event, at the latest until until_ms */
	SYNC_START, /* begin @request */
	SYNC_ABORT, /* give up the request in flight; nothing more is to be told about it */
};

struct sync_action {
	enum sync_action_type type;
	enum sync_request request;
	bool resume; /* name the snapshot at hand: Last-Event-ID or If-None-Match */
	int64_t until_ms;
	const char *reason; /* of an abort that was not asked for by sync_on_result(); else NULL */
};

struct sync_options {
	int64_t poll_interval_ms;
	int64_t connect_timeout_ms;
	int64_t silence_timeout_ms;
	bool disable_streaming;
	bool needs_keys;                              /* no key is trusted yet */
	bool has_base;                                /* there is a snapshot to resume from */
	uint32_t (*random)(void *user, uint32_t end); /* uniform in [0, end); @end > 0 */
	void *random_user;
};

/* How a request ended without being aborted. */
enum sync_end {
	SYNC_END_CLOSED,      /* the answer is complete, or the connection broke */
	SYNC_END_REFUSED,     /* nobody listens */
	SYNC_END_UNREACHABLE, /* no connection for another reason */
};

struct sync {
	struct sync_options options;
	enum halyard_state state;
	bool is_denied; /* by the last answer */
	bool has_base;
	bool is_confirmed;    /* confirmed_ms counts */
	int64_t confirmed_ms; /* last time the daemon said that the snapshot at hand is current */

	/* the request in flight */
	enum sync_request active;
	bool is_abort_due;
	bool is_unwilling; /* the answer was about the client or the daemon, not about streams */
	bool is_answered;
	bool has_byte;    /* of the body */
	bool has_message; /* an event, or a comment that says that the snapshot is current */
	int64_t started_ms, last_byte_ms, last_message_ms;

	/* what comes next */
	int64_t next_ms;       /* no request before */
	int64_t stream_ms;     /* no stream before */
	uint32_t attempt;      /* failures in a row, as the backoff counts them */
	uint32_t barren;       /* streams in a row that were answered and carried nothing */
	int64_t not_before_ms; /* from Retry-After, or a denial */
};

void sync_init(struct sync *sync, const struct sync_options *options);

void sync_next(struct sync *sync, int64_t now_ms, struct sync_action *ret);

/* Status line and headers of the answer. @retry_after_ms is 0 when there is none. */
void sync_on_response(struct sync *sync, int64_t now_ms, int http_status, bool has_expected_type,
                      int64_t retry_after_ms);

void sync_on_bytes(struct sync *sync, int64_t now_ms);

/* A comment on the stream. */
void sync_on_comment(struct sync *sync, int64_t now_ms);

/*
 * What became of a snapshot or delta (or of the keys): STATUS_OK, or why it was not taken. After
 * STATUS_CORRUPT and STATUS_CONFLICT the next request asks for a whole snapshot; after any failure the
 * request is aborted.
 */
void sync_on_result(struct sync *sync, int64_t now_ms, enum status status);

/* Keys are to be asked for (again). */
void sync_require_keys(struct sync *sync);

void sync_on_end(struct sync *sync, int64_t now_ms, enum sync_end end);
