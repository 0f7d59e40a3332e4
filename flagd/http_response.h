/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a reply to libmicrohttpd's response: body, security headers, CORS, trace. The loop's thread
 * only. Private to flagd/http_*.
 *
 * A response with its dozen headers costs some forty allocations, more than the whole rest of a small
 * request. So each loop keeps responses and uses them again for replies that differ only in the bytes
 * of a body of the same length, the request id and the trace; those are written in place.
 */
#pragma once

#include "flagd/http_exchange.h"

/* False: out of memory. */
bool http_response_init(struct http_loop *loop);
void http_response_deinit(struct http_loop *loop); /* accepts a loop without */

/* Takes what the reply holds. NULL when out of memory. */
struct MHD_Response *http_response_get(struct http_exchange *exchange);

/* libmicrohttpd has it (or would not): ours to drop, or to keep for the next one. */
void http_response_queued(struct http_exchange *exchange, struct MHD_Response *response);

/* The exchange's response was sent. */
void http_response_done(struct http_exchange *exchange);

/* Drops kept responses that hold on to a blob. */
void http_response_drop_blobs(struct http_loop *loop);
