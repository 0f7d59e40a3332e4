/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One event loop of the HTTP server: a thread, an epoll, a libmicrohttpd daemon without a listen
 * socket, and the connections that it serves. Private to flagd/http_*.
 *
 * The loop's epoll holds the daemon's epoll, an eventfd, the shared listen socket (API loops), the
 * sockets of connections that have not sent anything yet, and those of streams (to notice that the
 * peer has gone). Connections belong to one loop at a time and are touched by its thread only.
 */
#pragma once

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>

#include <microhttpd.h>

#include "flagd/http.h"
#include "flagd/http_route.h"

struct http_exchange;
struct http_responses;
struct http_stream;

/* ---- What an epoll event is about ---- */

enum http_source_kind { HTTP_SOURCE_MHD, HTTP_SOURCE_EVENT, HTTP_SOURCE_LISTEN, HTTP_SOURCE_CONNECTION };

struct http_source {
	enum http_source_kind kind;
};

/* ---- Connections ---- */

enum http_phase {
	HTTP_PHASE_WAITING, /* for its first bytes; not yet in libmicrohttpd */
	HTTP_PHASE_READING, /* between requests, or one is arriving */
	HTTP_PHASE_WORKER,  /* suspended until the worker is done */
	HTTP_PHASE_SENDING, /* an answer is on its way */
	HTTP_PHASE_STREAM,
	HTTP_PHASE_LINGERING, /* refused and closed by libmicrohttpd; we hold a descriptor of the socket */
};

union http_peer {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

struct http_connection {
	struct http_source source;
	enum http_phase phase;
	struct http_loop *loop;
	struct MHD_Connection *mhd; /* NULL while waiting */
	int fd;
	bool is_lingering;                  /* an answer was given before all was read */
	bool is_cut;                        /* a deadline passed and the socket was shut down */
	struct http_connection *next;       /* in a timer slot, or in another loop's inbox */
	struct http_connection **prev_link; /* NULL: in no timer slot */
	int64_t check_ms;                   /* when to look at it next */
	int64_t idle_ms;                    /* since when it has nothing to do */
	int64_t arriving_ms;                /* first sign of the request that is arriving; 0: none */
	int64_t send_deadline_ms;
	uint32_t answers; /* requests answered */
	uint32_t answers_checked;
	struct http_exchange *exchange; /* request in flight */
	struct http_stream *stream;
	union http_peer peer;
	char address[INET6_ADDRSTRLEN];
};

/* ---- Server and loops ---- */

struct http_server {
	/* Set once. */
	struct http_options options;
	struct http_router *router;
	int listen_fd;
	uint16_t port;
	uint32_t max_connections; /* what the limit of descriptors allows */
	uint32_t check_ms;        /* how often a connection's deadlines are looked at */
	uint32_t tick_ms;         /* length of a timer slot */
	struct http_loop *loops;  /* the API loops, then the stream loop */
	unsigned loop_count;
	struct http_loop *stream_loop;

	/* Any thread. */
	atomic_bool is_closing;
	atomic_uint running; /* calls of http_request_run() that may still touch a loop */
	_Atomic int64_t close_deadline_ms;
	atomic_uint_fast32_t connections;
	atomic_uint_fast64_t streams;
	atomic_uint_fast64_t rejected_hygiene;
	atomic_uint_fast64_t reaped;
	atomic_uint_fast64_t accept_failures;
};

#define HTTP_TIMER_SLOTS   64 /* a power of two */
#define HTTP_POOL_MAX_FREE 64

struct http_loop {
	/* Set once. */
	struct http_server *server;
	void *app; /* of the application */
	struct MHD_Daemon *daemon;
	pthread_t thread;
	int epoll_fd;
	int event_fd;
	bool has_thread;
	struct http_source mhd_source;
	struct http_source event_source;
	struct http_source listen_source;

	/* Any thread. */
	_Atomic(struct http_exchange *) finished; /* stack: the worker is done with them */
	_Atomic(struct http_connection *) inbox;  /* stack: connections for this loop */
	atomic_bool is_woken;                     /* http_wake() was called */

	/* Loop's thread only. */
	int64_t now_ms;    /* monotonic, at the beginning of this round */
	uint64_t progress; /* callbacks of libmicrohttpd */
	int reserve_fd;    /* given up to accept and close when there are no descriptors */
	bool is_listening;
	bool is_draining;
	bool is_mhd_ready; /* libmicrohttpd has something to do */
	int64_t listen_again_ms;
	int64_t shed_log_ms;               /* when to complain about missing descriptors again */
	struct http_connection *accepting; /* the one that MHD_add_connection() is about */
	struct http_connection *slots[HTTP_TIMER_SLOTS];
	int64_t slot_number; /* of the next slot to look at */
	uint32_t timer_count;
	struct http_stream *streams;
	uint32_t worker_count;            /* requests that the worker has */
	struct http_responses *responses; /* kept for use again; http_response.c */
	struct http_exchange *exchanges;  /* in flight */
	struct http_exchange *free_exchanges;
	uint32_t free_exchange_count;
	uint64_t random_state; /* of http_loop_random() */
};

/* Thread's main. */
void *http_loop_run(void *loop);

enum status http_loop_init(struct http_loop *loop, struct http_server *server, bool is_api,
                           struct error *err);
void http_loop_deinit(struct http_loop *loop); /* accepts a zeroed loop; the thread is joined */

/* Makes the loop look at its atomics soon. Any thread. */
void http_loop_kick(struct http_loop *loop);

/* Random enough for identifiers and jitter, not for secrets. The loop's thread. */
static inline uint64_t http_loop_random(struct http_loop *loop)
{
	uint64_t x = loop->random_state += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

/* Adds @fd to the loop's epoll. */
bool http_loop_watch(struct http_loop *loop, int fd, uint32_t events, struct http_source *source);
