/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 server: libmicrohttpd made strict, bounded and fast (docs/adr/0007).
 *
 * N API loops and one stream loop, each a thread with an external epoll and a libmicrohttpd daemon of
 * its own (no listen socket: we accept). A new connection waits in its loop until its first bytes can
 * be peeked at; one that asks for a stream is handed to the stream loop, so a broadcast does not stand
 * in the way of requests. A stream asked for on a reused connection is served where it is.
 *
 * Per request: hygiene of the headers (smuggling, duplicates, bad bytes: 400 and close), path decoded
 * once and matched against the route table, `authorise` before any body byte is kept, body bounded by
 * the route, then the route's handler: on the loop, or deferred to the application's worker thread
 * while the connection is suspended. An absolute deadline per request and for idle connections; slow
 * senders and readers are cut. Answers carry the security headers, `traceparent` and `X-Request-Id`.
 *
 * Threads: http_server_open/close from one thread; http_wake() from any, but not once http_server_close()
 * was called; http_request_run() from the worker; everything else on the thread that runs the handler.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/trace.h"

enum http_method { HTTP_GET, HTTP_POST, HTTP_PUT, HTTP_PATCH, HTTP_DELETE, HTTP_METHOD_COUNT };

const char *http_method_name(enum http_method method);

/* ---- Shared bytes ---- */

/* Immutable bytes shared by many answers; counted by reference from any thread. */
struct http_blob {
	_Atomic uint32_t refs;
	size_t length;
	char bytes[];
};

/* Copies @bytes; NULL when out of memory. One reference. */
struct http_blob *http_blob_new(const void *bytes, size_t length);
struct http_blob *http_blob_ref(struct http_blob *blob);
void http_blob_unref(struct http_blob *blob); /* accepts NULL */

/* ---- Routes ---- */

#define HTTP_MAX_PARAMS 4

struct http_request;
struct http_reply;

enum http_place {
	HTTP_ON_LOOP,  /* the handler neither blocks nor does I/O */
	HTTP_ON_WORKER /* the handler runs on the application's worker thread */
};

enum http_route_flags {
	HTTP_ROUTE_CORS = 1,   /* browsers of any origin may call it with a token */
	HTTP_ROUTE_OFREP = 2,  /* problems also carry OFREP's errorCode and errorDetails */
	HTTP_ROUTE_STREAM = 4, /* answers with a stream; its connections go to the stream loop */
	HTTP_ROUTE_OPTIONAL_BODY = 8,
};

// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): the order in which a table of routes reads well
struct http_route {
	enum http_method method;
	const char *pattern; /* "/api/v1/flags/{key}": parameters are whole segments */
	const char *name;    /* operation id and metrics label: "flag_get" */
	enum http_place place;
	unsigned access; /* for `authorise`; the application's meaning (flagd/auth.h) */
	size_t max_body; /* bytes; 0: a body is refused */
	unsigned flags;
	void (*handle)(struct http_request *request, struct http_reply *reply);
	const char *summary; /* one sentence, for people and OpenAPI */
	const void *doc;     /* flagd/openapi.h */
};

/* ---- Requests ---- */

struct http_request {
	const struct http_route *route;
	enum http_method method;
	const char *params[HTTP_MAX_PARAMS]; /* decoded, NUL-terminated, in order of the pattern */
	const char *body;                    /* NUL-terminated; "" without one */
	size_t body_length;
	const char *address; /* of the peer: "127.0.0.1" */
	struct trace trace;
	char request_id[17]; /* 16 hex digits */
	int64_t started_ms;  /* monotonic, when the headers were complete */
	struct arena *arena; /* scratch, gone after the answer was sent; 1 MiB at most */
	void *app;           /* http_options.app */
	void *loop;          /* what app_loop_new() gave for this thread; NULL on the worker */
	void *principal;     /* set by `authorise`, lives in the arena */
};

/* First value of a header, any case; NULL when it is missing. */
const char *http_header(struct http_request *request, const char *name);

/* Decoded value of a query parameter, "" for a bare name, NULL when it is missing. */
const char *http_query(struct http_request *request, const char *name);

/* STATUS_INVALID naming the first query parameter that is not in @allowed (NULL-terminated) or stands twice.
 */
MUST_CHECK enum status http_query_check(struct http_request *request, const char *const *allowed,
                                        struct error *err);

/* ---- Replies ---- */

#define HTTP_MAX_REPLY_HEADERS 8

/*
 * A stream of events. next() is called on the loop's thread when the connection can take more; it
 * stores a referenced blob, or NULL when there is nothing now (then it is called again after
 * http_wake()); false ends the stream. The server adds `: hb` comments and cuts slow readers. The
 * request is gone once the handler has returned: what the stream needs of it has to be copied.
 */
struct http_stream_ops {
	bool (*next)(void *state, void *loop, struct http_blob **ret_blob);
	void (*close)(void *state); /* exactly once */
};

struct http_reply {
	int status;               /* HTTP status; 0 while unset: an unset reply is a 500 */
	const char *content_type; /* static string; NULL: no body */
	struct buf body;          /* or: */
	struct http_blob *blob;   /* owned reference */
	struct {
		const char *name; /* static string */
		char value[160];
	} headers[HTTP_MAX_REPLY_HEADERS];
	size_t header_count;
	const struct http_stream_ops *stream; /* with status 200; content type text/event-stream */
	void *stream_state;
	bool close; /* close the connection after the answer */
};

/* Body is @reply->body, to be filled by the caller (before or after). */
void http_reply_json(struct http_reply *reply, int status);
void http_reply_empty(struct http_reply *reply, int status);
void http_reply_blob(struct http_reply *reply, int status, const char *content_type, struct http_blob *blob);

/* Adds a header; a value that is too long or holds control characters is dropped, and asserted against. */
void http_reply_header(struct http_reply *reply, const char *name, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/*
 * RFC 9457 problem from @err: {"type","title","status","code","detail","path"?,"trace_id"}; drops what
 * the reply held. For HTTP_ROUTE_OFREP also "key"? (first parameter), "errorCode", "errorDetails".
 */
void http_reply_problem(struct http_request *request, struct http_reply *reply, const struct error *err);

/* ---- Server ---- */

struct http_options {
	const char *address; /* "127.0.0.1", "::1" */
	uint16_t port;       /* 0: any free one */
	unsigned api_loops;  /* threads, 1 to 16 */
	uint32_t max_connections;
	uint32_t request_deadline_ms; /* from the first byte of a request to its last; 10000 */
	uint32_t idle_timeout_ms;     /* keep-alive without a request; 75000 */
	uint32_t heartbeat_ms;        /* of silent streams, minus up to a fifth of jitter; 15000 */
	uint32_t stream_stall_ms;     /* a stream that takes nothing of what waits for it; 30000 */
	const struct clock *clock;

	const struct http_route *routes;
	size_t route_count;
	void *app;

	void *(*app_loop_new)(void *app); /* per loop thread, before it starts; NULL: out of memory */
	void (*app_loop_free)(void *app, void *loop);

	/*
	 * After the route was found and before the body is read. False: the reply is filled and is sent.
	 * Sets request->principal.
	 */
	bool (*authorise)(struct http_request *request, struct http_reply *reply);

	/* Hands a request to the worker thread, which calls http_request_run(). False: queue full (503). */
	bool (*defer)(void *app, struct http_request *request);

	/*
	 * As each answer is given to the socket: the matched route or NULL, HTTP status, time since
	 * started_ms in µs. On the loop's thread. For a stream: when it begins.
	 */
	void (*observe)(void *app, void *loop, const struct http_route *route, int status, int64_t us);
};

struct http_server;

/* Binds, listens, starts the threads. STATUS_UNAVAILABLE names address, port and reason. */
MUST_CHECK enum status http_server_open(const struct http_options *options, struct http_server **ret,
                                        struct error *err);
uint16_t http_server_port(const struct http_server *server);

/*
 * Stops accepting, gives requests in flight up to @grace_ms, ends streams, joins the threads. The
 * worker must still be running. NULL is allowed.
 */
void http_server_close(struct http_server *server, uint32_t grace_ms);

/* Streams have something new. Any thread; cheap. */
void http_wake(struct http_server *server);

/* Runs the handler of a deferred request and sends its answer. Worker thread. */
void http_request_run(struct http_request *request);

struct http_stats {
	uint64_t connections;
	uint64_t streams;
	uint64_t rejected_hygiene;
	uint64_t reaped;          /* connections cut by a deadline */
	uint64_t accept_failures; /* no descriptors left, over the limit */
};
void http_server_stats(const struct http_server *server, struct http_stats *ret);
