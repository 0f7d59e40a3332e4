/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json_write.h"
#include "flagd/http_exchange.h"
#include "flagd/http_response.h"

/* ---- For handlers ---- */

void http_reply_clear(struct http_reply *reply)
{
	buf_reset(&reply->body);
	http_blob_unref(reply->blob);
	reply->blob = NULL;
	if (reply->stream != NULL) {
		reply->stream->close(reply->stream_state);
		reply->stream = NULL;
		reply->stream_state = NULL;
	}
}

void http_reply_reset(struct http_reply *reply)
{
	reply->status = 0;
	reply->content_type = NULL;
	reply->header_count = 0;
	reply->close = false;
}

static void reply_begin(struct http_reply *reply, int status, const char *content_type)
{
	reply->status = status;
	reply->content_type = content_type;
}

void http_reply_json(struct http_reply *reply, int status)
{
	reply_begin(reply, status, "application/json");
}

void http_reply_empty(struct http_reply *reply, int status)
{
	reply_begin(reply, status, NULL);
	buf_reset(&reply->body);
}

void http_reply_blob(struct http_reply *reply, int status, const char *content_type, struct http_blob *blob)
{
	reply_begin(reply, status, content_type);
	http_blob_unref(reply->blob);
	reply->blob = blob;
}

static bool header_value_is_valid(const char *value)
{
	for (const char *c = value; *c != '\0'; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f) {
			return false;
		}
	}
	return value[0] != '\0';
}

void http_reply_header(struct http_reply *reply, const char *name, const char *format, ...)
{
	assert(reply->header_count < HTTP_MAX_REPLY_HEADERS);
	if (reply->header_count == HTTP_MAX_REPLY_HEADERS) {
		return;
	}
	char *value = reply->headers[reply->header_count].value;
	size_t size = sizeof(reply->headers[0].value);
	va_list args;
	va_start(args, format);
	int length = vsnprintf(value, size, format, args);
	va_end(args);
	bool is_valid = length > 0 && (size_t)length < size && header_value_is_valid(value);
	assert(is_valid);
	if (is_valid) {
		reply->headers[reply->header_count++].name = name;
	}
}

/* ---- Problems ---- */

static const char *ofrep_error_code(enum status status)
{
	/* Only what OFREP has a name of its own for. */
	if (status == STATUS_NOT_FOUND) {
		return "FLAG_NOT_FOUND";
	}
	if (status == STATUS_MALFORMED) {
		return "PARSE_ERROR";
	}
	return status == STATUS_INVALID ? "INVALID_CONTEXT" : "GENERAL";
}

void http_reply_problem(struct http_request *request, struct http_reply *reply, const struct error *err)
{
	char type[64];
	const char *slug = status_slug(err->status);
	http_reply_clear(reply);
	reply->header_count = 0;
	reply_begin(reply, status_http(err->status), "application/problem+json");
	(void)snprintf(type, sizeof(type), "urn:halyard:problem:%s", slug);
	struct json_writer w;
	json_writer_init(&w, &reply->body);
	json_begin_object(&w);
	json_put_key_string(&w, "type", type);
	json_put_key_string(&w, "title", status_title(err->status));
	json_put_key_int64(&w, "status", reply->status);
	json_put_key_string(&w, "code", slug);
	json_put_key_string(&w, "detail", err->message);
	if (err->path[0] != '\0') {
		json_put_key_string(&w, "path", err->path);
	}
	json_put_key_string(&w, "trace_id", request->trace.id);
	if (request->route != NULL && (request->route->flags & HTTP_ROUTE_OFREP) != 0) {
		if (request->params[0] != NULL) {
			json_put_key_string(&w, "key", request->params[0]);
		}
		json_put_key_string(&w, "errorCode", ofrep_error_code(err->status));
		json_put_key_string(&w, "errorDetails", err->message);
	}
	json_end_object(&w);
	if (err->status == STATUS_UNAUTHENTICATED) {
		http_reply_header(reply, "WWW-Authenticate", "Bearer");
	}
}

void http_reply_preflight(struct http_reply *reply, const char *allow)
{
	http_reply_empty(reply, 204);
	http_reply_header(reply, "Access-Control-Allow-Methods", "%s", allow);
	http_reply_header(reply, "Access-Control-Allow-Headers",
	                  "content-type, if-none-match, authorization, x-api-key, traceparent, tracestate, "
	                  "cache-control, last-event-id");
	http_reply_header(reply, "Access-Control-Max-Age", "600");
}

/* ---- To libmicrohttpd ---- */

#define SEND_PIECE_BYTES (256 * 1024)

/* An unset reply, or one that ran out of memory or room, becomes a 500 or 503. */
static void reply_repair(struct http_exchange *exchange)
{
	struct http_reply *reply = &exchange->reply;
	struct error err = ERROR_INIT;
	if (reply->status == 0) {
		(void)error_fail(&err, STATUS_INTERNAL, "The request was not answered");
	} else if (reply->blob != NULL || !reply->body.failed) {
		return;
	} else if (reply->body.no_memory) {
		(void)error_fail(&err, STATUS_NO_MEMORY, "Out of memory while writing the answer");
	} else {
		(void)error_fail(&err, STATUS_INTERNAL, "The answer is too long");
	}
	http_reply_problem(&exchange->request, reply, &err);
}

static void reply_observe(struct http_exchange *exchange)
{
	struct http_loop *loop = exchange->connection->loop;
	const struct http_options *options = &loop->server->options;
	if (options->observe != NULL) {
		int64_t us = (http_now_ns() - exchange->started_ns) / 1000;
		options->observe(options->app, loop->app, exchange->request.route, exchange->reply.status,
		                 us);
	}
}

bool http_reply_queue(struct http_exchange *exchange)
{
	struct http_connection *connection = exchange->connection;
	struct http_loop *loop = connection->loop;
	reply_repair(exchange);
	if (loop->is_draining) {
		exchange->reply.close = true;
	}
	uint64_t length =
	        exchange->reply.blob != NULL ? exchange->reply.blob->length : exchange->reply.body.length;
	unsigned status = (unsigned)exchange->reply.status;
	struct MHD_Response *response = http_response_get(exchange);
	if (response == NULL) {
		return false;
	}
	exchange->stage = HTTP_STAGE_QUEUED;
	connection->phase = connection->stream != NULL ? HTTP_PHASE_STREAM : HTTP_PHASE_SENDING;
	/* The whole answer in time, or in what it takes at 32 KiB/s. */
	connection->send_deadline_ms =
	        loop->now_ms + loop->server->options.request_deadline_ms + (int64_t)(length / 32);
	reply_observe(exchange);
	bool is_queued = MHD_queue_response(connection->mhd, status, response) == MHD_YES;
	http_response_queued(exchange, response);
	return is_queued;
}
