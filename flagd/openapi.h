/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenAPI 3.1, made from the route table: every route has one `struct http_doc` that says what it takes and
 * gives. Schemas are written once, as JSON text, in flagd/openapi_schemas.json (embedded); the table refers
 * to them by name.
 */
#pragma once

#include "base/buf.h"
#include "flagd/http.h"

#define OPENAPI_MAX_QUERY 10

struct http_doc {
	const char *tag;                      /* "Flags" */
	const char *description;              /* Markdown; "" when the summary says it all */
	const char *query[OPENAPI_MAX_QUERY]; /* names of components/parameters, NULL-terminated */
	const char *request;                  /* schema name, NULL: no body */
	int success;                          /* 200, 201, 204 */
	const char *response;                 /* schema name; NULL: no body */
	const char *content_type;             /* of the response; NULL: application/json */
	const char *errors;                   /* "400 404 412": besides 401, 403, 429, 500, 503 */
	bool has_etag; /* answers with an ETag; takes If-None-Match (GET) or If-Match */
};

/*
 * Appends the document. @access_text says who may call a route with that access value ("owner token", …);
 * NULL for open routes, which get `security: []`.
 */
void openapi_write(const struct http_route *routes, size_t count, const char *(*access_text)(unsigned access),
                   struct buf *out);
