/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flagd's HTTP server with handlers that do nearly nothing: what hygiene, routing, authorisation and
 * answering cost beside bench_bare_http.
 *
 *	bench_http PORT [FILE]
 *
 * POST /evaluate/{key} with a token answers 60 bytes of JSON (CORS and the like as OFREP has it), GET /small the
 * same bytes, GET /304 a 304 with an ETag, GET /file FILE, GET /worker the 60 bytes from another thread, GET
 * /events a stream, POST /publish sends 300 bytes to every stream. Prints "ready" when it listens; ends with
 * its standard input.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/file.h"
#include "flagd/http.h"

static const char small[] = "{\"key\":\"a\",\"value\":true,\"reason\":\"STATIC\",\"variant\":\"on\"}  \n";

static struct http_blob *file_blob;

/* ---- The worker: a queue of one thread ---- */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct http_request *requests[1024];
	size_t first, count;
	bool is_over;
} worker = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static void *worker_run(void *unused)
{
	(void)pthread_mutex_lock(&worker.lock);
	while (!worker.is_over || worker.count > 0) {
		if (worker.count == 0) {
			(void)pthread_cond_wait(&worker.changed, &worker.lock);
			continue;
		}
		struct http_request *request = worker.requests[worker.first++ % 1024];
		worker.count--;
		(void)pthread_mutex_unlock(&worker.lock);
		http_request_run(request);
		(void)pthread_mutex_lock(&worker.lock);
	}
	(void)pthread_mutex_unlock(&worker.lock);
	return unused;
}

static bool defer(void *app, struct http_request *request)
{
	(void)app;
	(void)pthread_mutex_lock(&worker.lock);
	bool has_room = worker.count < 1024;
	if (has_room) {
		worker.requests[(worker.first + worker.count++) % 1024] = request;
		(void)pthread_cond_signal(&worker.changed);
	}
	(void)pthread_mutex_unlock(&worker.lock);
	return has_room;
}

/* ---- The events ---- */

static struct {
	pthread_mutex_t lock;
	struct http_blob *blob;
	uint64_t number;
} event = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct reader {
	uint64_t seen;
};

static bool reader_next(void *state, void *loop, struct http_blob **ret_blob)
{
	struct reader *reader = state;
	(void)loop;
	(void)pthread_mutex_lock(&event.lock);
	if (reader->seen != event.number) {
		reader->seen = event.number;
		*ret_blob = http_blob_ref(event.blob);
	}
	(void)pthread_mutex_unlock(&event.lock);
	return true;
}

static const struct http_stream_ops reader_ops = { .next = reader_next, .close = free };

static void event_publish(void)
{
	char text[320];
	(void)pthread_mutex_lock(&event.lock);
	event.number++;
	int length = snprintf(text, sizeof(text),
	                      "id: %llu\nevent: delta\ndata: ", (unsigned long long)event.number);
	memset(text + length, 'x', 298 - (size_t)length);
	memcpy(text + 298, "\n\n", 2);
	http_blob_unref(event.blob);
	event.blob = http_blob_new(text, 300);
	(void)pthread_mutex_unlock(&event.lock);
}

/* ---- Handlers ---- */

static bool authorise(struct http_request *request, struct http_reply *reply)
{
	if (request->route->access == 0) {
		return true;
	}
	const char *token = http_header(request, "Authorization");
	unsigned char hash[32];
	static const unsigned char pepper[32] = { 1 };
	if (token == NULL) {
		struct error err = ERROR_INIT;
		(void)error_fail(&err, STATUS_UNAUTHENTICATED, "A token is needed");
		http_reply_problem(request, reply, &err);
		return false;
	}
	(void)crypto_generichash(hash, sizeof(hash), (const unsigned char *)token, strlen(token), pepper,
	                         sizeof(pepper));
	request->principal = arena_alloc(request->arena, 160);
	return request->principal != NULL;
}

static void handle_small(struct http_request *request, struct http_reply *reply)
{
	(void)request;
	http_reply_json(reply, 200);
	buf_append(&reply->body, small, 60);
}

static void handle_304(struct http_request *request, struct http_reply *reply)
{
	(void)request;
	http_reply_empty(reply, 304);
	http_reply_header(reply, "ETag", "\"1-42\"");
}

static void handle_file(struct http_request *request, struct http_reply *reply)
{
	(void)request;
	http_reply_blob(reply, 200, "application/octet-stream", http_blob_ref(file_blob));
	http_reply_header(reply, "ETag", "\"1-42\"");
}

/* Behind a POST, as a change is in flagd: the worker's thread publishes. */
static void handle_publish(struct http_request *request, struct http_reply *reply)
{
	struct http_server **server = request->app;
	event_publish();
	http_wake(*server);
	http_reply_empty(reply, 204);
}

static void handle_events(struct http_request *request, struct http_reply *reply)
{
	(void)request;
	struct reader *reader = calloc(1, sizeof(*reader));
	if (reader == NULL) {
		return;
	}
	reader->seen = event.number;
	reply->status = 200;
	reply->stream = &reader_ops;
	reply->stream_state = reader;
}

/* clang-format off */
static const struct http_route routes[] = {
	{ .method = HTTP_POST, .pattern = "/evaluate/{key}", .name = "evaluate", .access = 1, .max_body = 65536,
	  .flags = HTTP_ROUTE_CORS | HTTP_ROUTE_OFREP, .handle = handle_small },
	{ .method = HTTP_GET, .pattern = "/small", .name = "small", .handle = handle_small },
	{ .method = HTTP_GET, .pattern = "/worker", .name = "worker", .place = HTTP_ON_WORKER, .handle = handle_small },
	{ .method = HTTP_GET, .pattern = "/304", .name = "not_modified", .access = 1, .handle = handle_304 },
	{ .method = HTTP_GET, .pattern = "/file", .name = "file", .access = 1, .handle = handle_file },
	{ .method = HTTP_POST, .pattern = "/publish", .name = "publish", .place = HTTP_ON_WORKER, .max_body = 1024,
	  .flags = HTTP_ROUTE_OPTIONAL_BODY, .handle = handle_publish },
	{ .method = HTTP_GET, .pattern = "/events", .name = "events", .flags = HTTP_ROUTE_STREAM, .handle = handle_events },
};
/* clang-format on */

static void file_load(const char *path)
{
	char *bytes = NULL;
	size_t length = 0;
	struct error err = ERROR_INIT;
	if (file_read(path, 64 * 1024 * 1024, &bytes, &length, &err) != STATUS_OK) {
		(void)fprintf(stderr, "bench_http: %s\n", err.message);
		exit(1); // NOLINT(concurrency-mt-unsafe): one thread
	}
	file_blob = http_blob_new(bytes, length);
	free(bytes);
}

int main(int argc, char **argv)
{
	if (argc < 2 || argc > 3 || sodium_init() < 0) {
		(void)fprintf(stderr, "usage: bench_http PORT [FILE]\n");
		return 2;
	}
	if (argc == 3) {
		file_load(argv[2]);
	} else {
		file_blob = http_blob_new(small, 60);
	}
	event_publish();
	struct http_server *server = NULL;
	struct http_options options = {
		.app = &server,
		.address = "127.0.0.1",
		.port = (uint16_t)strtoul(argv[1], NULL, 10),
		.api_loops = 1,
		.max_connections = 20000,
		.request_deadline_ms = 10000,
		.idle_timeout_ms = 75000,
		.heartbeat_ms = 15000,
		.stream_stall_ms = 30000,
		.clock = &clock_system,
		.routes = routes,
		.route_count = sizeof(routes) / sizeof(routes[0]),
		.authorise = authorise,
		.defer = defer,
	};
	pthread_t thread;
	struct error err = ERROR_INIT;
	if (http_server_open(&options, &server, &err) != STATUS_OK ||
	    pthread_create(&thread, NULL, worker_run, NULL) != 0) {
		(void)fprintf(stderr, "bench_http: %s\n", err.message);
		return 1;
	}
	(void)puts("ready");
	(void)fflush(stdout);
	while (getchar() != EOF) {
	}
	http_server_close(server, 1000);
	(void)pthread_mutex_lock(&worker.lock);
	worker.is_over = true;
	(void)pthread_cond_signal(&worker.changed);
	(void)pthread_mutex_unlock(&worker.lock);
	(void)pthread_join(thread, NULL);
	http_blob_unref(file_blob);
	http_blob_unref(event.blob);
	return 0;
}
