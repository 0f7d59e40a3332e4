/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a handler can ask of its request, and the way of a request from its head to its handler:
 * hygiene, path, route, size and type of the body, who is asking; then the body; then the handler.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <strings.h>
#include <time.h>

#include "flagd/http_exchange.h"

/* A refused request's body up to this is read and thrown away, so that the connection can go on. */
#define DISCARD_MAX_BYTES (64 * 1024)

/* ---- For handlers ---- */

const char *http_header(struct http_request *request, const char *name)
{
	struct http_exchange *exchange = http_exchange_of(request);
	size_t length = strlen(name);
	for (size_t i = 0; i < exchange->field_count; i++) {
		const struct http_field *field = &exchange->fields[i];
		if (field->name_length == length && strncasecmp(field->name, name, length) == 0) {
			return field->value;
		}
	}
	return NULL;
}

/* Pairs are split when somebody asks. The query was found to be well-formed when the head came. */
static enum status query_split(struct http_exchange *exchange, struct error *err)
{
	if (exchange->is_query_split) {
		return STATUS_OK;
	}
	size_t length = exchange->path.query_length;
	char *scratch = arena_alloc(&exchange->arena, length + 2);
	if (scratch == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory while reading the query");
	}
	enum status status = http_query_split(exchange->path.query, length, scratch, exchange->pairs,
	                                      &exchange->pair_count, err);
	exchange->is_query_split = status == STATUS_OK;
	return status;
}

const char *http_query(struct http_request *request, const char *name)
{
	struct http_exchange *exchange = http_exchange_of(request);
	for (size_t i = 0; i < exchange->pair_count; i++) {
		if (strcmp(exchange->pairs[i].name, name) == 0) {
			return exchange->pairs[i].value;
		}
	}
	return NULL;
}

enum status http_query_check(struct http_request *request, const char *const *allowed, struct error *err)
{
	struct http_exchange *exchange = http_exchange_of(request);
	for (size_t i = 0; i < exchange->pair_count; i++) {
		const char *name = exchange->pairs[i].name;
		size_t k = 0;
		while (allowed[k] != NULL && strcmp(allowed[k], name) != 0) {
			k++;
		}
		if (allowed[k] == NULL) {
			return error_fail(err, STATUS_INVALID, "There is no query parameter `%.64s` here",
			                  name);
		}
		for (size_t j = 0; j < i; j++) {
			if (strcmp(exchange->pairs[j].name, name) == 0) {
				return error_fail(err, STATUS_INVALID,
				                  "The query parameter `%.64s` stands twice", name);
			}
		}
	}
	return STATUS_OK;
}

/* ---- The head ---- */

static enum MHD_Result field_collect(void *user, enum MHD_ValueKind kind, const char *name,
                                     size_t name_length, const char *value, size_t value_length)
{
	struct http_exchange *exchange = user;
	(void)kind;
	if (exchange->field_count < HTTP_MAX_FIELDS) {
		exchange->fields[exchange->field_count] = (struct http_field){
			.name = name,
			.value = value != NULL ? value : "",
			.name_length = (uint32_t)name_length,
			.value_length = (uint32_t)value_length,
		};
	}
	exchange->field_count++;
	return MHD_YES;
}

/* 16 hex digits. */
static void request_id_write(uint64_t x, char out[static 17])
{
	static const char digits[] = "0123456789abcdef";
	for (int i = 0; i < 16; i++) {
		out[i] = digits[x & 15];
		x >>= 4;
	}
	out[16] = '\0';
}

int64_t http_now_ns(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static enum status head_read(struct http_exchange *exchange, struct MHD_Connection *mhd, const char *method,
                             const char *version, struct error *err)
{
	(void)MHD_get_connection_values_n(mhd, MHD_HEADER_KIND, field_collect, exchange);
	const union MHD_ConnectionInfo *info =
	        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
	struct http_head head = {
		.method = method,
		.version = version,
		.target_length = exchange->target_length,
		.fields = exchange->fields,
		.field_count = exchange->field_count,
		.bytes = info != NULL ? info->header_size : 0,
	};
	enum status status = http_hygiene_check(&head, &exchange->facts, err);
	if (status != STATUS_OK) {
		exchange->facts = (struct http_facts){ 0 };
		exchange->field_count = 0;
		return status;
	}
	return http_path_split(exchange->target, exchange->target_length,
	                       exchange->target + exchange->target_length + 1, &exchange->path, err);
}

static enum http_method method_read(struct http_exchange *exchange, const char *method)
{
	if (strcmp(method, "HEAD") == 0) {
		exchange->is_head = true;
		return HTTP_GET;
	}
	unsigned i = 0;
	while (i < HTTP_METHOD_COUNT && strcmp(method, http_method_name((enum http_method)i)) != 0) {
		i++;
	}
	return (enum http_method)i;
}

/* Finds the route. STATUS_OK with a status in the reply: answered. */
static enum status route_find(struct http_exchange *exchange, const char *method, struct error *err)
{
	struct http_request *request = &exchange->request;
	struct http_server *server = exchange->connection->loop->server;
	struct http_match match;
	request->method = method_read(exchange, method);
	http_route_match(server->router, request->method, &exchange->path, &match);
	exchange->path_flags = match.flags;
	if (match.route != NULL) {
		request->route = match.route;
		memcpy(request->params, match.params, sizeof(request->params));
		return STATUS_OK;
	}
	if (match.allow == NULL) {
		return error_fail(err, STATUS_NOT_FOUND, "There is nothing at this address");
	}
	if ((match.flags & HTTP_ROUTE_CORS) != 0 && strcmp(method, "OPTIONS") == 0) {
		http_reply_preflight(&exchange->reply, match.allow);
		return STATUS_OK;
	}
	struct http_reply *reply = &exchange->reply;
	(void)error_fail(err, STATUS_METHOD_NOT_ALLOWED, "The method is not allowed here; allowed are %s",
	                 match.allow);
	http_reply_problem(request, reply, err);
	http_reply_header(reply, "Allow", "%s", match.allow);
	return STATUS_OK;
}

static enum status body_check(const struct http_exchange *exchange, struct error *err)
{
	const struct http_route *route = exchange->request.route;
	const struct http_facts *facts = &exchange->facts;
	bool has_body = facts->is_chunked || facts->content_length > 0;
	if (!has_body) {
		bool may_lack = route->max_body == 0 || (route->flags & HTTP_ROUTE_OPTIONAL_BODY) != 0;
		return may_lack ? STATUS_OK : error_fail(err, STATUS_MALFORMED, "The request needs a body");
	}
	if (route->max_body == 0) {
		return error_fail(err, STATUS_TOO_LARGE, "This address takes no body");
	}
	if (facts->content_length > route->max_body) {
		return error_fail(err, STATUS_TOO_LARGE, "The body is longer than %zu bytes",
		                  route->max_body);
	}
	const char *type = facts->known[HTTP_KNOWN_CONTENT_TYPE];
	if (type == NULL || !http_hygiene_is_json(type)) {
		return error_fail(err, STATUS_UNSUPPORTED_MEDIA,
		                  "The body must be JSON: send Content-Type: application/json");
	}
	return STATUS_OK;
}

static enum status body_prepare(struct http_exchange *exchange, struct error *err)
{
	exchange->body.max_length = exchange->request.route->max_body;
	(void)buf_reserve(&exchange->body, (size_t)exchange->facts.content_length);
	return buf_status(&exchange->body, "body", err);
}

/* From the route to the beginning of the body. */
static enum status request_admit(struct http_exchange *exchange, struct error *err)
{
	struct http_request *request = &exchange->request;
	const struct http_options *options = &exchange->connection->loop->server->options;
	if (exchange->path.query_length > 0) {
		enum status status = query_split(exchange, err);
		if (status != STATUS_OK) {
			return status;
		}
	}
	if (options->authorise != NULL && !options->authorise(request, &exchange->reply)) {
		return STATUS_OK;
	}
	enum status status = body_check(exchange, err);
	return status == STATUS_OK ? body_prepare(exchange, err) : status;
}

/*
 * A decided answer waits until the body was thrown away, because libmicrohttpd closes the connection
 * when it is given an answer before. Worth it for a short body that the peer does not ask leave for.
 */
static bool is_worth_discarding(const struct http_exchange *exchange)
{
	const struct http_facts *facts = &exchange->facts;
	return !facts->is_chunked && exchange->reply.status != 413 &&
	       facts->content_length <= DISCARD_MAX_BYTES &&
	       (facts->content_length == 0 || facts->known[HTTP_KNOWN_EXPECT] == NULL);
}

/* Answers at once and closes, whatever the peer is still sending. */
static enum MHD_Result request_refuse(struct http_exchange *exchange)
{
	exchange->reply.close = true;
	exchange->connection->is_lingering = true;
	return http_reply_queue(exchange) ? MHD_YES : MHD_NO;
}

static enum MHD_Result head_handle(struct http_exchange *exchange, struct MHD_Connection *mhd,
                                   const char *method, const char *version)
{
	struct http_request *request = &exchange->request;
	struct http_loop *loop = exchange->connection->loop;
	struct error err = ERROR_INIT;
	exchange->started_ns = http_now_ns();
	request->started_ms = clock_monotonic_ms(loop->server->options.clock);
	request_id_write(http_loop_random(loop), request->request_id);
	enum status status = head_read(exchange, mhd, method, version, &err);
	if (status != STATUS_OK) {
		(void)atomic_fetch_add_explicit(&loop->server->rejected_hygiene, 1, memory_order_relaxed);
		trace_start(&request->trace, exchange->facts.known[HTTP_KNOWN_TRACEPARENT]);
		http_reply_problem(request, &exchange->reply, &err);
		return request_refuse(exchange);
	}
	trace_start(&request->trace, exchange->facts.known[HTTP_KNOWN_TRACEPARENT]);
	status = route_find(exchange, method, &err);
	if (status == STATUS_OK && request->route != NULL) {
		status = request_admit(exchange, &err);
	}
	if (status != STATUS_OK) {
		http_reply_problem(request, &exchange->reply, &err);
	}
	if (exchange->reply.status == 0) {
		exchange->stage = HTTP_STAGE_BODY;
		return MHD_YES;
	}
	exchange->stage = HTTP_STAGE_DISCARD;
	return is_worth_discarding(exchange) ? MHD_YES : request_refuse(exchange);
}

/* ---- The body ---- */

/*
 * In the middle of a body libmicrohttpd takes no answer, so the one to a sender that does not stop is written to the
 * socket, on which nothing of this request was sent yet; the connection is closed and drained behind it.
 */
static void endless_refuse(struct http_exchange *exchange)
{
	struct error err = ERROR_INIT;
	(void)error_fail(&err, STATUS_TOO_LARGE, "The body is longer than %zu bytes",
	                 exchange->request.route->max_body);
	http_reply_problem(&exchange->request, &exchange->reply, &err);
	struct buf *body = &exchange->reply.body;
	char head[512];
	int length = snprintf(head, sizeof(head),
	                      "HTTP/1.1 %d Content Too Large\r\n"
	                      "Connection: close\r\n"
	                      "Content-Type: application/problem+json\r\n"
	                      "Content-Length: %zu\r\n"
	                      "X-Content-Type-Options: nosniff\r\n"
	                      "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n"
	                      "Cache-Control: no-store\r\n\r\n",
	                      exchange->reply.status, body->length);
	struct iovec parts[2] = { { .iov_base = head, .iov_len = (size_t)length },
		                  { .iov_base = body->data, .iov_len = body->length } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
	(void)sendmsg(exchange->connection->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	exchange->connection->is_lingering = true;
}

/* False: the connection has to be closed. */
static bool body_take(struct http_exchange *exchange, const char *bytes, size_t length)
{
	if (exchange->stage == HTTP_STAGE_BODY) {
		buf_append(&exchange->body, bytes, length);
		if (!exchange->body.failed) {
			return true;
		}
	}
	exchange->discarded += length;
	if (exchange->discarded <= DISCARD_MAX_BYTES && !exchange->body.no_memory) {
		return true;
	}
	if (exchange->stage == HTTP_STAGE_BODY) {
		endless_refuse(exchange);
	}
	return false;
}

/* ---- The handler ---- */

static void problem_unavailable(struct http_exchange *exchange)
{
	struct error err = ERROR_INIT;
	(void)error_fail(&err, STATUS_UNAVAILABLE, "Too many requests are waiting; try again in a second");
	http_reply_problem(&exchange->request, &exchange->reply, &err);
	http_reply_header(&exchange->reply, "Retry-After", "1");
}

/* True: the worker has it now. */
static bool request_defer(struct http_exchange *exchange, struct MHD_Connection *mhd)
{
	struct http_connection *connection = exchange->connection;
	struct http_loop *loop = connection->loop;
	const struct http_options *options = &loop->server->options;
	exchange->stage = HTTP_STAGE_WORKER;
	exchange->request.loop = NULL;
	if (options->defer == NULL || !options->defer(options->app, &exchange->request)) {
		exchange->request.loop = loop->app;
		problem_unavailable(exchange);
		return false;
	}
	/* The worker may be done already; that is learnt from loop->finished, later. */
	connection->phase = HTTP_PHASE_WORKER;
	loop->worker_count++;
	MHD_suspend_connection(mhd);
	return true;
}

static enum MHD_Result request_handle(struct http_exchange *exchange, struct MHD_Connection *mhd)
{
	struct http_request *request = &exchange->request;
	struct error err = ERROR_INIT;
	request->body = buf_string(&exchange->body);
	request->body_length = exchange->body.length;
	if (buf_status(&exchange->body, "body", &err) != STATUS_OK) {
		http_reply_problem(request, &exchange->reply, &err);
	} else if (request->route->place == HTTP_ON_WORKER) {
		if (request_defer(exchange, mhd)) {
			return MHD_YES;
		}
	} else {
		request->route->handle(request, &exchange->reply);
	}
	return http_reply_queue(exchange) ? MHD_YES : MHD_NO;
}

static enum MHD_Result exchange_step(struct http_exchange *exchange, struct MHD_Connection *mhd,
                                     const char *method, const char *version, const char *upload,
                                     size_t *upload_size)
{
	if (exchange->stage == HTTP_STAGE_LINE) {
		return head_handle(exchange, mhd, method, version);
	}
	if (*upload_size > 0) {
		size_t length = *upload_size;
		*upload_size = 0;
		return body_take(exchange, upload, length) ? MHD_YES : MHD_NO;
	}
	switch (exchange->stage) {
	case HTTP_STAGE_BODY:
		return request_handle(exchange, mhd);
	case HTTP_STAGE_DISCARD:
	case HTTP_STAGE_DONE:
		return http_reply_queue(exchange) ? MHD_YES : MHD_NO;
	case HTTP_STAGE_LINE:
	case HTTP_STAGE_WORKER:
	case HTTP_STAGE_QUEUED:
		break;
	}
	return MHD_YES;
}

enum MHD_Result http_exchange_handle(void *loop, struct MHD_Connection *mhd, const char *url,
                                     const char *method, const char *version, const char *upload,
                                     size_t *upload_size, void **context)
{
	struct http_exchange *exchange = *context;
	(void)url;
	((struct http_loop *)loop)->progress++;
	if (exchange == NULL) {
		return MHD_NO; /* out of memory at the request line */
	}
	enum MHD_Result result = exchange_step(exchange, mhd, method, version, upload, upload_size);
	if (exchange->stage == HTTP_STAGE_QUEUED && exchange->connection->stream != NULL) {
		/* Streams are many and live long: the request ends here. */
		http_exchange_release(exchange);
		*context = NULL;
	}
	return result;
}
