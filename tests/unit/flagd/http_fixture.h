/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A real HTTP server in this process, with a small route table and a worker thread, and raw sockets to
 * torment it. Every wait has a deadline of FIXTURE_WAIT_MS; a helper that fails ends the test.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "flagd/http.h"

#define FIXTURE_WAIT_MS 10000

/*
 *	GET /small        "small"                          GET /open/{a}/{b}  "{a}|{b}|{query q}", CORS
 *	POST /echo        the body, up to 4,096 bytes      POST /optional     the same, may be empty
 *	GET /secret       needs Authorization: right       POST /secret       the same
 *	GET /worker       from the worker thread           GET /late          from the worker, once fixture_worker_release()
 *	GET /unset        a reply that was never made      GET /big           1 MiB
 *	GET /etag         304 with an ETag                 GET /events        a stream (see fixture_publish())
 *	POST /ofrep/{key} problems as OFREP has them: always INVALID at /context/a
 */
struct fixture {
	struct http_server *server;
	struct http_options options;
	uint16_t port;
	atomic_int observed;        /* answers that options.observe was told about */
	atomic_int observed_status; /* of the last one */
	atomic_int streams_closed;
	atomic_int handled; /* calls of handlers */
};

/* @change (NULL allowed) edits the options before the server is opened. */
struct fixture *fixture_open(void (*change)(struct http_options *options));
void fixture_close(struct fixture *self); /* if it is not closed yet */

/* Closes the server on a thread of its own; the worker goes on. */
void fixture_close_later(struct fixture *self, uint32_t grace_ms);
void fixture_close_join(void);

/* ---- The worker ---- */

/* How many requests the worker holds back at /late. */
int fixture_worker_held(void);
int fixture_worker_queued(void);
void fixture_worker_release(void);

/* ---- Streams ---- */

/* Puts an event of @length bytes, ending in two line feeds, in front of every stream, and wakes them. */
void fixture_publish(struct fixture *self, size_t length);

/* ---- Raw connections ---- */

int fixture_connect(const struct fixture *self);
void fixture_connect_with(const struct fixture *self, int fd);
bool fixture_can_connect(const struct fixture *fixture);

/* Sends all of it; false when the peer had closed before. */
void fixture_send(int fd, const char *text);
bool fixture_send_n(int fd, const void *bytes, size_t length);

struct answer {
	int status; /* 0: the connection was closed without an answer */
	char head[8192];
	char body[8192];
	size_t body_length;
};

/* Reads one answer with Content-Length (or none of a body for HEAD, 204 and 304). */
void fixture_read(int fd, bool is_head, struct answer *ret);

/* Value of a header of the answer, or NULL. Valid until the next call. */
const char *answer_header(const struct answer *answer, const char *name);

/* True when the peer closes (or resets) before the deadline, after @ret_bytes more bytes (NULL allowed). */
bool fixture_read_to_end(int fd, size_t *ret_bytes);

/* Reads until @text has been seen. */
void fixture_read_until(int fd, const char *text);

/* Anything to read within @ms? */
bool fixture_readable(int fd, int ms);

/* One request on a connection of its own. */
void fixture_ask(const struct fixture *self, const char *request, struct answer *ret);

int64_t fixture_now_ms(void);

/* Waits until the condition, of an expression, holds. */
#define fixture_wait_for(condition)                                             \
	do {                                                                    \
		int64_t until_ = fixture_now_ms() + FIXTURE_WAIT_MS;            \
		while (!(condition)) {                                          \
			if (fixture_now_ms() > until_) {                        \
				fail_msg("waited in vain for: %s", #condition); \
			}                                                       \
			fixture_pause();                                        \
		}                                                               \
	} while (0)

/* Lets other threads run, for a millisecond at most. */
void fixture_pause(void);

uint64_t fixture_connections(const struct fixture *self);
