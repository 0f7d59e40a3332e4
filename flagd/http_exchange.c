/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/http_exchange.h"

#include <stdlib.h>
#include <string.h>

#include "flagd/http_response.h"

#define ARENA_MAX_BYTES (1024 * 1024)

/* A buffer that grew beyond this is not kept for the next request. */
#define BODY_KEEP_BYTES (16 * 1024)
#define REPLY_MAX_BYTES (64 * 1024 * 1024)

/* ---- Pool ---- */

static struct http_exchange *exchange_new(struct http_loop *loop)
{
	struct http_exchange *exchange = loop->free_exchanges;
	if (exchange != NULL) {
		loop->free_exchanges = exchange->next;
		loop->free_exchange_count--;
		return exchange;
	}
	exchange = calloc(1, sizeof(*exchange));
	if (exchange != NULL) {
		arena_init(&exchange->arena, ARENA_MAX_BYTES);
		buf_init(&exchange->reply.body, REPLY_MAX_BYTES);
	}
	return exchange;
}

static void exchange_free(struct http_exchange *exchange)
{
	arena_deinit(&exchange->arena);
	buf_deinit(&exchange->body);
	buf_deinit(&exchange->reply.body);
	free(exchange);
}

void http_exchange_pool_deinit(struct http_loop *loop)
{
	while (loop->free_exchanges != NULL) {
		struct http_exchange *exchange = loop->free_exchanges;
		loop->free_exchanges = exchange->next;
		exchange_free(exchange);
	}
	loop->free_exchange_count = 0;
}

static void exchange_unlink(struct http_exchange *exchange)
{
	*exchange->prev_link = exchange->next;
	if (exchange->next != NULL) {
		exchange->next->prev_link = exchange->prev_link;
	}
}

static void body_reset(struct buf *body)
{
	if (body->capacity > BODY_KEEP_BYTES) {
		size_t max_length = body->max_length;
		buf_deinit(body);
		buf_init(body, max_length);
	} else {
		buf_reset(body);
	}
}

void http_exchange_release(struct http_exchange *exchange)
{
	struct http_loop *loop = exchange->connection->loop;
	exchange->connection->exchange = NULL;
	exchange_unlink(exchange);
	http_response_done(exchange);
	http_reply_clear(&exchange->reply);
	if (loop->free_exchange_count == HTTP_POOL_MAX_FREE) {
		exchange_free(exchange);
		return;
	}
	body_reset(&exchange->body);
	body_reset(&exchange->reply.body);
	arena_reset(&exchange->arena);
	exchange->next = loop->free_exchanges;
	loop->free_exchanges = exchange;
	loop->free_exchange_count++;
}

/* ---- The request line ---- */

static struct http_connection *connection_of(struct MHD_Connection *mhd)
{
	return MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

/* Room for the target and for the decoded path behind it. */
static bool target_copy(struct http_exchange *exchange, const char *uri)
{
	size_t length = strlen(uri);
	size_t need = 2 * (length + 1);
	char *target = need <= sizeof(exchange->text) ? exchange->text : arena_alloc(&exchange->arena, need);
	if (target == NULL) {
		return false;
	}
	memcpy(target, uri, length + 1);
	exchange->target = target;
	exchange->target_length = length;
	return true;
}

void *http_exchange_line(void *loop_pointer, const char *uri, struct MHD_Connection *mhd)
{
	struct http_loop *loop = loop_pointer;
	struct http_connection *connection = connection_of(mhd);
	loop->progress++;
	struct http_exchange *exchange = exchange_new(loop);
	if (exchange == NULL) {
		return NULL;
	}
	if (!target_copy(exchange, uri != NULL ? uri : "")) {
		exchange_free(exchange);
		return NULL;
	}
	exchange->connection = connection;
	exchange->stage = HTTP_STAGE_LINE;
	exchange->is_head = false;
	exchange->is_query_split = false;
	exchange->path_flags = 0;
	exchange->field_count = 0;
	exchange->pair_count = 0;
	exchange->discarded = 0;
	exchange->request = (struct http_request){
		.body = "",
		.address = connection->address,
		.arena = &exchange->arena,
		.app = loop->server->options.app,
		.loop = loop->app,
	};
	http_reply_reset(&exchange->reply);
	exchange->next = loop->exchanges;
	exchange->prev_link = &loop->exchanges;
	if (exchange->next != NULL) {
		exchange->next->prev_link = &exchange->next;
	}
	loop->exchanges = exchange;
	connection->exchange = exchange;
	if (connection->arriving_ms == 0) {
		connection->arriving_ms = loop->now_ms;
	}
	return exchange;
}

/* ---- The end ---- */

void http_exchange_completed(void *loop_pointer, struct MHD_Connection *mhd, void **context,
                             enum MHD_RequestTerminationCode code)
{
	struct http_loop *loop = loop_pointer;
	struct http_exchange *exchange = *context;
	(void)code;
	loop->progress++;
	struct http_connection *connection = connection_of(mhd);
	connection->phase = HTTP_PHASE_READING;
	connection->answers++;
	connection->idle_ms = loop->now_ms;
	connection->arriving_ms = 0;
	if (exchange != NULL) {
		http_exchange_release(exchange);
		*context = NULL;
	}
}

/* ---- The worker ---- */

void http_request_run(struct http_request *request)
{
	struct http_exchange *exchange = http_exchange_of(request);
	struct http_loop *loop = exchange->connection->loop;
	struct http_server *server = loop->server;
	(void)atomic_fetch_add_explicit(&server->running, 1, memory_order_relaxed);
	request->route->handle(request, &exchange->reply);
	/* From the exchange on it is the loop's. */
	struct http_exchange *top = atomic_load_explicit(&loop->finished, memory_order_relaxed);
	do {
		exchange->next_finished = top;
	} while (!atomic_compare_exchange_weak_explicit(&loop->finished, &top, exchange, memory_order_release,
	                                                memory_order_relaxed));
	if (top == NULL) {
		http_loop_kick(loop);
	}
	(void)atomic_fetch_sub_explicit(&server->running, 1, memory_order_release);
}

void http_exchange_finish_all(struct http_loop *loop)
{
	struct http_exchange *exchange =
	        atomic_exchange_explicit(&loop->finished, NULL, memory_order_acquire);
	while (exchange != NULL) {
		struct http_exchange *next = exchange->next_finished;
		exchange->stage = HTTP_STAGE_DONE;
		exchange->request.loop = loop->app;
		loop->worker_count--;
		MHD_resume_connection(exchange->connection->mhd);
		loop->is_mhd_ready = true;
		exchange = next;
	}
}
