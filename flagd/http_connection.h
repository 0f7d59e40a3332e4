/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Life and deadlines of connections; the loop's thread only. Private to flagd/http_*.
 *
 * libmicrohttpd's own timeout starts again with every byte, so a sender of one byte a second lives
 * for ever. Here each connection is looked at every check_ms, whatever it does, so that nothing has
 * to be moved about per request: the phase says which deadline counts. Timer slots make the cost that
 * of the connections that are due.
 */
#pragma once

#include "flagd/http_loop.h"

/* Takes @fd and @peer. NULL when out of memory (@fd is closed). */
struct http_connection *http_connection_new(struct http_loop *loop, int fd, const union http_peer *peer);

/* For one that libmicrohttpd does not have (any more). Does not close the socket. */
void http_connection_free(struct http_connection *connection);

/* Hands it to the loop's libmicrohttpd, which closes the socket in the end, whatever happens. */
void http_connection_adopt(struct http_connection *connection);

/* Cuts it: libmicrohttpd notices and closes. */
void http_connection_cut(struct http_connection *connection);

/* Looks at it after @delay_ms. */
void http_timer_start(struct http_connection *connection, uint32_t delay_ms);
void http_timer_stop(struct http_connection *connection);

/* Looks at all connections that are due at loop->now_ms. */
void http_timer_run(struct http_loop *loop);

/*
 * A lingering one is readable. A socket that is closed with bytes unread is reset, and the reset can
 * overtake the answer; so what the peer still sends is read and thrown away for a while.
 */
void http_connection_linger(struct http_connection *connection);

/* Closes those that libmicrohttpd does not have: waiting and lingering. */
void http_connection_drop_all(struct http_loop *loop);

/* libmicrohttpd's notification. */
void http_connection_notify(void *loop, struct MHD_Connection *mhd, void **context,
                            enum MHD_ConnectionNotificationCode code);
