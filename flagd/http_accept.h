/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the listen socket to a loop: accepts, waits for the first bytes without taking them, and
 * chooses the loop. Private to flagd/http_*; the loop's thread, except for opening.
 *
 * Out of descriptors: the loop gives up the one that it holds in reserve, accepts, closes and takes
 * it back, so that a peer learns at once instead of waiting, and the loop does not spin.
 */
#pragma once

#include "flagd/http_loop.h"

/* Listens on options->address; sets listen_fd and port. */
MUST_CHECK enum status http_accept_open(struct http_server *server, struct error *err);

/* The listen socket is readable. */
void http_accept_ready(struct http_loop *loop);

/* A waiting connection is readable, or came from another loop's hand. */
void http_accept_first_bytes(struct http_connection *connection);
void http_accept_inbox(struct http_loop *loop);

/* Listens (again), or stops. */
void http_accept_start(struct http_loop *loop);
void http_accept_stop(struct http_loop *loop);
