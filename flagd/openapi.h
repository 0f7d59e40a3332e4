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
#define OPENAPI_MAX_BYTES ((size_t)1024 * 1024)

/*
 * What follows from the route itself is not repeated in its doc: path parameters ({key} is the component
 * path.key); a body is required unless HTTP_ROUTE_OPTIONAL_BODY; PUT answers 201 when it made something;
 * streams take Last-Event-ID; with an ETag, a GET and OFREP take If-None-Match, and what changes something that
 * is there takes If-Match (412). A route with the parameter DryRun is a change: it may answer with the schema
 * DryRun and takes Idempotency-Key. Every route has the problems 400, 500, 503; those with access 401, 403,
 * 429; those with a body 408, 413, 415; changes 507. They are the components ProblemNNN (of OFREP:
 * OfrepNNN), unless there is one named <route>.NNN.
 */
struct http_doc {
	const char *tag;
	const char *description;              /* Markdown; NULL or "" when the summary says it all */
	const char *query[OPENAPI_MAX_QUERY]; /* components/parameters, headers too; NULL-terminated */
	const char *request;                  /* components/schemas; NULL: no body */
	int success;                          /* 200, 201, 204 */
	const char *response;                 /* components/schemas; NULL: no body */
	const char *content_type;             /* of the response; NULL: application/json */
	const char *errors;                   /* further problems: "404 409"; NULL: none */
	bool has_etag;
	const char *security; /* components/securitySchemes; NULL: Bearer or ApiKey */
};

/* STATUS_INTERNAL names the first route without a doc, or whose doc refers to what is not in the file. */
MUST_CHECK enum status openapi_check(const struct http_route *routes, size_t count, struct error *err);

/*
 * Appends the document. @access_text says who may call a route with that access value ("the owner token");
 * NULL for open routes, which get `security: []`. The routes must pass openapi_check().
 */
void openapi_write(const struct http_route *routes, size_t count, const char *(*access_text)(unsigned access),
                   struct buf *out);
