/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/http_response.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "flagd/http_stream.h"

/* ---- Headers ---- */

struct fixed_header {
	const char *name;
	const char *value;
};

/* On every answer (docs/adr/0007); a reply's own header of the same name wins. */
static const struct fixed_header security_headers[] = {
	{ "X-Content-Type-Options", "nosniff" },
	{ "X-Frame-Options", "DENY" },
	{ "Referrer-Policy", "no-referrer" },
	{ "Strict-Transport-Security", "max-age=63072000; includeSubDomains" },
	{ "Cross-Origin-Opener-Policy", "same-origin" },
	{ "Permissions-Policy", "geolocation=(), camera=(), microphone=()" },
	{ "Cache-Control", "no-store" },
};

#define CSP_PAGE                                                                            \
	"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "   \
	"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; " \
	"require-trusted-types-for 'script'"
#define CSP_DATA "default-src 'none'; frame-ancestors 'none'"

static const struct fixed_header cors_headers[] = {
	{ "Access-Control-Allow-Origin", "*" },
	{ "Access-Control-Expose-Headers", "ETag, Retry-After, X-Request-Id" },
};

static bool header_add(struct MHD_Response *response, const char *name, const char *value)
{
	return MHD_add_response_header(response, name, value) == MHD_YES;
}

static bool reply_has(const struct http_reply *reply, const char *name)
{
	for (size_t i = 0; i < reply->header_count; i++) {
		if (strcasecmp(reply->headers[i].name, name) == 0) {
			return true;
		}
	}
	return false;
}

static bool security_add(const struct http_exchange *exchange, struct MHD_Response *response)
{
	const struct http_reply *reply = &exchange->reply;
	bool is_cors = (exchange->path_flags & HTTP_ROUTE_CORS) != 0;
	bool is_page = reply->content_type != NULL && strncmp(reply->content_type, "text/html", 9) == 0;
	bool is_added = header_add(response, "Cross-Origin-Resource-Policy",
	                           is_cors ? "cross-origin" : "same-origin");
	if (!reply_has(reply, "Content-Security-Policy")) {
		is_added = is_added &&
		           header_add(response, "Content-Security-Policy", is_page ? CSP_PAGE : CSP_DATA);
	}
	for (size_t i = 0; i < sizeof(security_headers) / sizeof(security_headers[0]) && is_added; i++) {
		const struct fixed_header *header = &security_headers[i];
		is_added =
		        reply_has(reply, header->name) || header_add(response, header->name, header->value);
	}
	for (size_t i = 0; i < sizeof(cors_headers) / sizeof(cors_headers[0]) && is_cors && is_added; i++) {
		is_added = header_add(response, cors_headers[i].name, cors_headers[i].value);
	}
	return is_added;
}

static bool headers_add(const struct http_exchange *exchange, struct MHD_Response *response)
{
	const struct http_reply *reply = &exchange->reply;
	char parent[TRACE_PARENT_SIZE];
	trace_format(&exchange->request.trace, parent);
	bool is_added = header_add(response, "X-Request-Id", exchange->request.request_id) &&
	                header_add(response, "traceparent", parent) && security_add(exchange, response);
	if (reply->content_type != NULL) {
		is_added = is_added && header_add(response, "Content-Type", reply->content_type);
	}
	for (size_t i = 0; i < reply->header_count && is_added; i++) {
		is_added = header_add(response, reply->headers[i].name, reply->headers[i].value);
	}
	if (reply->close) {
		is_added = is_added && header_add(response, "Connection", "close");
	}
	return is_added;
}

/* ---- Responses for one reply ---- */

static void blob_done(void *blob)
{
	http_blob_unref(blob);
}

/* With a reference of its own. */
static struct MHD_Response *blob_response(struct http_blob *blob)
{
	struct MHD_Response *response = MHD_create_response_from_buffer_with_free_callback_cls(
	        blob->length, blob->bytes, blob_done, blob);
	if (response != NULL) {
		(void)http_blob_ref(blob);
	}
	return response;
}

static struct MHD_Response *single_response(struct http_exchange *exchange)
{
	struct http_reply *reply = &exchange->reply;
	struct MHD_Response *response = NULL;
	if (reply->stream != NULL && !exchange->is_head) {
		return http_stream_new(exchange);
	}
	if (reply->blob != NULL) {
		response = blob_response(reply->blob);
	} else if (reply->body.length == 0) {
		response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
	} else {
		response = MHD_create_response_from_buffer(reply->body.length, reply->body.data,
		                                           MHD_RESPMEM_MUST_FREE);
		if (response != NULL) {
			(void)buf_steal(&reply->body, NULL);
		}
	}
	return response;
}

/* ---- Responses that are kept ---- */

#define KEPT_MAX       256
#define KEPT_BUCKETS   256
#define KEPT_MAX_BYTES 1024

/* Everything but the body's bytes, the request id and the trace decides whether one can be used again. */
struct kept {
	struct kept *next; /* in its bucket */
	struct MHD_Response *response;
	bool is_busy; /* being sent */
	bool is_used; /* since the last look of kept_evict() */
	uint32_t hash;
	bool is_close;
	bool is_cors;
	const char *content_type;
	struct http_blob *blob; /* the body, or: */
	size_t length;
	char *request_id; /* 16 digits, in the response */
	char *parent;     /* traceparent, in the response */
	size_t header_count;
	struct {
		const char *name;
		char value[sizeof(((struct http_reply *)NULL)->headers[0].value)];
	} headers[2];
	char body[];
};

#define KEPT_MAX_HEADERS (sizeof(((struct kept *)NULL)->headers) / sizeof(((struct kept *)NULL)->headers[0]))

struct http_responses {
	struct kept *buckets[KEPT_BUCKETS];
	uint32_t count;
	uint32_t hand; /* the bucket that kept_evict() looks at next */
};

static bool is_worth_keeping(const struct http_exchange *exchange)
{
	const struct http_reply *reply = &exchange->reply;
	return reply->stream == NULL && reply->header_count <= KEPT_MAX_HEADERS &&
	       (reply->blob != NULL || reply->body.length <= KEPT_MAX_BYTES);
}

static uint32_t hash_add(uint32_t hash, uintptr_t value)
{
	return (hash ^ (uint32_t)(value ^ (value >> 32))) * UINT32_C(0x9e3779b1);
}

static uint32_t reply_hash(const struct http_exchange *exchange, bool is_cors)
{
	const struct http_reply *reply = &exchange->reply;
	uint32_t hash = hash_add((uint32_t)reply->close << 1 | is_cors, (uintptr_t)reply->content_type);
	hash = hash_add(hash, reply->blob != NULL ? (uintptr_t)reply->blob : reply->body.length);
	for (size_t i = 0; i < reply->header_count; i++) {
		hash = hash_add(hash, (uintptr_t)reply->headers[i].name);
		for (const char *c = reply->headers[i].value; *c != '\0'; c++) {
			hash = hash_add(hash, (unsigned char)*c);
		}
	}
	return hash ^ (hash >> 15);
}

static bool kept_fits(const struct kept *kept, const struct http_reply *reply, bool is_cors, uint32_t hash)
{
	if (kept->is_busy || kept->hash != hash || kept->is_close != reply->close ||
	    kept->is_cors != is_cors || kept->content_type != reply->content_type ||
	    kept->blob != reply->blob || kept->header_count != reply->header_count ||
	    (kept->blob == NULL && kept->length != reply->body.length)) {
		return false;
	}
	for (size_t i = 0; i < kept->header_count; i++) {
		if (strcmp(kept->headers[i].name, reply->headers[i].name) != 0 ||
		    strcmp(kept->headers[i].value, reply->headers[i].value) != 0) {
			return false;
		}
	}
	return true;
}

static void kept_free(struct http_responses *responses, struct kept **link)
{
	struct kept *kept = *link;
	*link = kept->next;
	responses->count--;
	MHD_destroy_response(kept->response);
	free(kept);
}

/* Drops one that was not used lately: all get a second chance. False when all are being sent. */
static bool kept_evict(struct http_responses *responses)
{
	for (unsigned i = 0; i < 2 * KEPT_BUCKETS; i++) {
		struct kept **link = &responses->buckets[responses->hand++ % KEPT_BUCKETS];
		for (; *link != NULL; link = &(*link)->next) {
			if (!(*link)->is_busy && !(*link)->is_used) {
				kept_free(responses, link);
				return true;
			}
			(*link)->is_used = false;
		}
	}
	return false;
}

/*
 * The response's own copy of a header's value, to be written to. libmicrohttpd gives a pointer to const, to
 * memory that it allocated for this response; while nobody sends it, changing its bytes is seen by nobody.
 */
static char *header_in_place(struct MHD_Response *response, const char *name, size_t length)
{
	const char *value = MHD_get_response_header(response, name);
	return value != NULL && strlen(value) == length ? (char *)value : NULL;
}

static struct MHD_Response *kept_response(struct kept *kept, struct http_exchange *exchange)
{
	const struct http_reply *reply = &exchange->reply;
	struct MHD_Response *response = NULL;
	if (reply->blob != NULL) {
		kept->blob = reply->blob;
		response = blob_response(reply->blob);
	} else {
		response = MHD_create_response_from_buffer(reply->body.length, kept->body,
		                                           MHD_RESPMEM_PERSISTENT);
	}
	if (response != NULL && !headers_add(exchange, response)) {
		MHD_destroy_response(response);
		return NULL;
	}
	return response;
}

static struct kept *kept_new(struct http_exchange *exchange, bool is_cors, uint32_t hash)
{
	const struct http_reply *reply = &exchange->reply;
	struct kept *kept = malloc(sizeof(*kept) + reply->body.length + 1);
	if (kept == NULL) {
		return NULL;
	}
	*kept = (struct kept){
		.hash = hash,
		.is_close = reply->close,
		.is_cors = is_cors,
		.content_type = reply->content_type,
		.length = reply->body.length,
		.header_count = reply->header_count,
	};
	for (size_t i = 0; i < reply->header_count; i++) {
		kept->headers[i].name = reply->headers[i].name;
		memcpy(kept->headers[i].value, reply->headers[i].value, sizeof(kept->headers[i].value));
	}
	kept->response = kept_response(kept, exchange);
	if (kept->response == NULL) {
		free(kept);
		return NULL;
	}
	kept->request_id = header_in_place(kept->response, "X-Request-Id", 16);
	kept->parent = header_in_place(kept->response, "traceparent", TRACE_PARENT_SIZE - 1);
	return kept;
}

static struct kept *kept_find(struct http_loop *loop, struct http_exchange *exchange)
{
	struct http_responses *responses = loop->responses;
	bool is_cors = (exchange->path_flags & HTTP_ROUTE_CORS) != 0;
	uint32_t hash = reply_hash(exchange, is_cors);
	struct kept **bucket = &responses->buckets[hash % KEPT_BUCKETS];
	for (struct kept *kept = *bucket; kept != NULL; kept = kept->next) {
		if (kept_fits(kept, &exchange->reply, is_cors, hash)) {
			return kept;
		}
	}
	if (responses->count >= KEPT_MAX && !kept_evict(responses)) {
		return NULL;
	}
	struct kept *kept = kept_new(exchange, is_cors, hash);
	if (kept != NULL) {
		kept->next = *bucket;
		*bucket = kept;
		responses->count++;
	}
	return kept;
}

/* Puts what is different into a kept response. */
static void kept_fill(struct kept *kept, struct http_exchange *exchange)
{
	struct http_reply *reply = &exchange->reply;
	char parent[TRACE_PARENT_SIZE];
	trace_format(&exchange->request.trace, parent);
	memcpy(kept->parent, parent, TRACE_PARENT_SIZE - 1);
	memcpy(kept->request_id, exchange->request.request_id, 16);
	if (kept->blob == NULL && kept->length > 0) {
		memcpy(kept->body, reply->body.data, kept->length);
	}
}

/* ---- For the exchange and the loop ---- */

bool http_response_init(struct http_loop *loop)
{
	loop->responses = calloc(1, sizeof(*loop->responses));
	return loop->responses != NULL;
}

struct MHD_Response *http_response_get(struct http_exchange *exchange)
{
	struct http_loop *loop = exchange->connection->loop;
	if (is_worth_keeping(exchange)) {
		struct kept *kept = kept_find(loop, exchange);
		if (kept != NULL && kept->request_id != NULL && kept->parent != NULL) {
			kept_fill(kept, exchange);
			kept->is_busy = true;
			kept->is_used = true;
			exchange->kept = kept;
			return kept->response;
		}
	}
	struct MHD_Response *response = single_response(exchange);
	if (response != NULL && !headers_add(exchange, response)) {
		MHD_destroy_response(response);
		return NULL;
	}
	return response;
}

void http_response_queued(struct http_exchange *exchange, struct MHD_Response *response)
{
	if (exchange->kept == NULL) {
		MHD_destroy_response(response);
	}
}

void http_response_done(struct http_exchange *exchange)
{
	struct kept *kept = exchange->kept;
	if (kept != NULL) {
		kept->is_busy = false;
		exchange->kept = NULL;
	}
}

void http_response_drop_blobs(struct http_loop *loop)
{
	struct http_responses *responses = loop->responses;
	for (size_t i = 0; responses != NULL && i < KEPT_BUCKETS; i++) {
		struct kept **link = &responses->buckets[i];
		while (*link != NULL) {
			if ((*link)->blob != NULL && !(*link)->is_busy) {
				kept_free(responses, link);
			} else {
				link = &(*link)->next;
			}
		}
	}
}

void http_response_deinit(struct http_loop *loop)
{
	struct http_responses *responses = loop->responses;
	for (size_t i = 0; responses != NULL && i < KEPT_BUCKETS; i++) {
		while (responses->buckets[i] != NULL) {
			kept_free(responses, &responses->buckets[i]);
		}
	}
	free(responses);
	loop->responses = NULL;
}
