/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/http_response.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "flagd/http_stream.h"

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

bool http_response_decorate(struct http_exchange *exchange, struct MHD_Response *response)
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

static void blob_done(void *blob)
{
	http_blob_unref(blob);
}

static struct MHD_Response *body_response(struct http_reply *reply)
{
	if (reply->blob != NULL) {
		struct MHD_Response *response = MHD_create_response_from_buffer_with_free_callback_cls(
		        reply->blob->length, reply->blob->bytes, blob_done, reply->blob);
		reply->blob = response != NULL ? NULL : reply->blob;
		return response;
	}
	if (reply->body.length == 0) {
		return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
	}
	/* Small bodies are copied, so that the buffer stays for the next reply. */
	if (reply->body.length <= 4096) {
		return MHD_create_response_from_buffer(reply->body.length, reply->body.data,
		                                       MHD_RESPMEM_MUST_COPY);
	}
	struct MHD_Response *response =
	        MHD_create_response_from_buffer(reply->body.length, reply->body.data, MHD_RESPMEM_MUST_FREE);
	if (response != NULL) {
		(void)buf_steal(&reply->body, NULL);
	}
	return response;
}

struct MHD_Response *http_response_new(struct http_exchange *exchange)
{
	struct http_reply *reply = &exchange->reply;
	struct MHD_Response *response = NULL;
	if (reply->stream != NULL && !exchange->is_head) {
		response = http_stream_new(exchange);
	} else {
		response = body_response(reply);
	}
	if (response != NULL && !http_response_decorate(exchange, response)) {
		MHD_destroy_response(response);
		response = NULL;
	}
	return response;
}

void http_response_unref(struct http_exchange *exchange, struct MHD_Response *response)
{
	(void)exchange;
	MHD_destroy_response(response);
}
