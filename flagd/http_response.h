/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a reply to libmicrohttpd's response: body, security headers, CORS, trace. The loop's thread
 * only. Private to flagd/http_*.
 */
#pragma once

#include "flagd/http_exchange.h"

/* Takes what the reply holds. NULL when out of memory. */
struct MHD_Response *http_response_new(struct http_exchange *exchange);
void http_response_unref(struct http_exchange *exchange, struct MHD_Response *response);

/* Adds all headers of the reply. */
bool http_response_decorate(struct http_exchange *exchange, struct MHD_Response *response);
