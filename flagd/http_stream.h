/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams of events on a connection: the loop's thread only. Private to flagd/http_*.
 *
 * libmicrohttpd sends the head. Then its connection is suspended, which takes the socket out of its hands,
 * and chunks go from the shared blob straight to the socket, watched by the loop's own epoll: one
 * system call per event and reader, and nothing is copied. To end, the connection is resumed and
 * libmicrohttpd sends the last chunk.
 */
#pragma once

#include "flagd/http_exchange.h"

/*
 * Makes the stream of a reply and libmicrohttpd's response for it. NULL when out of memory; the
 * application's state is closed in any case, here or at the end of the stream.
 */
struct MHD_Response *http_stream_new(struct http_exchange *exchange);

/* Asks every suspended stream for news. */
void http_stream_wake_all(struct http_loop *loop);

/* Ends every stream in good order. */
void http_stream_end_all(struct http_loop *loop);

/* The timer's look at a stream, and what the loop's epoll says of its socket. */
void http_stream_check(struct http_connection *connection);
void http_stream_event(struct http_connection *connection, uint32_t events);

/* Resumes all for good: libmicrohttpd must not be stopped with suspended connections. */
void http_stream_cut_all(struct http_loop *loop);
