/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenAPI 3.1, made from the route table: every route has one `struct http_doc` that says what it takes and
 * gives. Schemas, parameters, error responses and security schemes are written once, as JSON, in
 * flagd/openapi_schemas.json (embedded); the table refers to them by name. Pure; thread-safe.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "flagd/http.h"

#define OPENAPI_MAX_QUERY 10

/*
 * What follows from the route itself is not repeated in its doc: path parameters ({key} is the component
 * path.key); a body is required unless HTTP_ROUTE_OPTIONAL_BODY; PUT answers 201 when it made something;
 * streams take Last-Event-ID. A route with the parameter DryRun is a change: it may answer with the schema
 * DryRun and takes Idempotency-Key. Problems are the components ProblemNNN (of OFREP: OfrepNNN), unless
 * there is one named <route>.NNN.
 */
struct http_doc {
	const char *tag;         /* "Flags" */
	const char *description; /* Markdown; NULL or "" when the summary says it all */
	const char
	        *query[OPENAPI_MAX_QUERY]; /* names of components/parameters, headers too; NULL-terminated */
	const char *request;               /* schema name, NULL: no body */
	int success;                       /* 200, 201, 204 */
	const char *response;              /* schema name; NULL: no body */
	const char *content_type;          /* of the response; NULL: application/json */
	const char *errors;   /* "404 412": besides 400, 500, 503, those of access (401, 403, 429) and of a
	                                         body (408, 413, 415); NULL: none */
	bool has_etag;        /* answers with an ETag; takes If-None-Match (GET and OFREP), or If-Match */
	const char *security; /* name of components/securitySchemes; NULL: Bearer or ApiKey */
};

/* STATUS_INTERNAL names the first route without a doc, or whose doc refers to what is not in the file. */
MUST_CHECK enum status openapi_check(const struct http_route *routes, size_t count, struct error *err);

/*
 * Appends the document. @access_text says who may call a route with that access value ("the owner token");
 * NULL for open routes, which get `security: []`. The routes must pass openapi_check().
 */
void openapi_write(const struct http_route *routes, size_t count, const char *(*access_text)(unsigned access),
                   struct buf *out);
