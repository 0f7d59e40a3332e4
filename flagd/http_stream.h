/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams of events on a connection: the loop's thread only. Private to flagd/http_*.
 *
 * libmicrohttpd asks for bytes when the socket can take more. With nothing to give the connection is
 * suspended, which also takes its socket out of libmicrohttpd's epoll; http_wake(), a heartbeat or a
 * departed peer (noticed in the loop's own epoll) resume it. Bytes go from the shared blob straight
 * into libmicrohttpd's send buffer.
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

/* The timer's look at a stream, and its peer's departure. */
void http_stream_check(struct http_connection *connection);
void http_stream_peer_gone(struct http_connection *connection);

/* Resumes all for good: libmicrohttpd must not be stopped with suspended connections. */
void http_stream_cut_all(struct http_loop *loop);
