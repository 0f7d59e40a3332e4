/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Index over a route table: a tree of path segments, built once, read by all threads.
 *
 * A literal segment wins over a parameter. A path that exists with other methods only is told apart
 * from one that does not exist (405 with Allow, 404).
 */
#pragma once

#include "flagd/http.h"
#include "flagd/http_path.h"

struct http_router;

/*
 * @routes must outlive it. STATUS_INVALID names the pattern that is not of the form "/a/{b}/c", has too many
 * segments or parameters, or stands twice with the same method.
 */
MUST_CHECK enum status http_router_new(const struct http_route *routes, size_t count,
                                       struct http_router **ret, struct error *err);
void http_router_free(struct http_router *router);

#define HTTP_ALLOW_SIZE 48

struct http_match {
	const struct http_route *route;      /* NULL: no such method here, or no such path */
	const char *params[HTTP_MAX_PARAMS]; /* of the path's segments */
	const char *allow;                   /* "GET, HEAD, POST, OPTIONS"; NULL: no such path */
	unsigned flags;                      /* of all routes of this path, or-ed */
};

/* @method HTTP_METHOD_COUNT: another one. */
void http_route_match(const struct http_router *router, enum http_method method, const struct http_path *path,
                      struct http_match *ret);
