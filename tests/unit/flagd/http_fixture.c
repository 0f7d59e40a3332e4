/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/flagd/http_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BIG_BYTES (1024 * 1024)

static struct fixture running;
static struct http_blob *big;

int64_t fixture_now_ms(void)
{
	return clock_monotonic_ms(&clock_system);
}

/* On the server's threads; cmocka's assertions are for the test's own. */
static void check_that(bool holds)
{
	if (!holds) {
		abort();
	}
}

void fixture_pause(void)
{
	(void)poll(NULL, 0, 1);
}

/* ---- The worker ---- */

#define QUEUE_MAX 4

static struct {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct http_request *queue[QUEUE_MAX];
	int count;
	int held;
	bool is_released;
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
		struct http_request *request = worker.queue[0];
		worker.count--;
		memmove(worker.queue, worker.queue + 1, (size_t)worker.count * sizeof(request));
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
	bool has_room = worker.count < QUEUE_MAX;
	if (has_room) {
		worker.queue[worker.count++] = request;
		(void)pthread_cond_broadcast(&worker.changed);
	}
	(void)pthread_mutex_unlock(&worker.lock);
	return has_room;
}

int fixture_worker_held(void)
{
	(void)pthread_mutex_lock(&worker.lock);
	int held = worker.held;
	(void)pthread_mutex_unlock(&worker.lock);
	return held;
}

int fixture_worker_queued(void)
{
	(void)pthread_mutex_lock(&worker.lock);
	int count = worker.count;
	(void)pthread_mutex_unlock(&worker.lock);
	return count;
}

void fixture_worker_release(void)
{
	(void)pthread_mutex_lock(&worker.lock);
	worker.is_released = true;
	(void)pthread_cond_broadcast(&worker.changed);
	(void)pthread_mutex_unlock(&worker.lock);
}

/* ---- Streams ---- */

static struct {
	pthread_mutex_t lock;
	struct http_blob *blob;
	unsigned number;
} event = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct reader {
	unsigned seen;
};

// cppcheck-suppress constParameter ; the type of a callback
static bool reader_next(void *state, void *loop, struct http_blob **ret_blob)
{
	struct reader *reader = state;
	check_that(loop == &running);
	(void)pthread_mutex_lock(&event.lock);
	if (reader->seen != event.number) {
		reader->seen = event.number;
		*ret_blob = http_blob_ref(event.blob);
	}
	(void)pthread_mutex_unlock(&event.lock);
	return true;
}

static void reader_close(void *state)
{
	(void)atomic_fetch_add(&running.streams_closed, 1);
	free(state);
}

void fixture_publish(struct fixture *fixture, size_t length)
{
	char *bytes = malloc(length);
	assert_non_null(bytes);
	memset(bytes, 'e', length);
	memcpy(bytes + length - 2, "\n\n", 2);
	(void)pthread_mutex_lock(&event.lock);
	http_blob_unref(event.blob);
	event.blob = http_blob_new(bytes, length);
	event.number++;
	(void)pthread_mutex_unlock(&event.lock);
	free(bytes);
	http_wake(fixture->server);
}

/* ---- Handlers ---- */

static void handle_small(struct http_request *request, struct http_reply *reply)
{
	check_that(request->loop == (request->route->place == HTTP_ON_WORKER ? NULL : &running));
	(void)atomic_fetch_add(&running.handled, 1);
	http_reply_json(reply, 200);
	buf_append_string(&reply->body, "small");
}

static void handle_late(struct http_request *request, struct http_reply *reply)
{
	(void)pthread_mutex_lock(&worker.lock);
	worker.held++;
	while (!worker.is_released) {
		(void)pthread_cond_wait(&worker.changed, &worker.lock);
	}
	worker.held--;
	(void)pthread_mutex_unlock(&worker.lock);
	handle_small(request, reply);
}

static void handle_echo(struct http_request *request, struct http_reply *reply)
{
	(void)atomic_fetch_add(&running.handled, 1);
	check_that(request->body[request->body_length] == '\0');
	http_reply_json(reply, 200);
	buf_append(&reply->body, request->body, request->body_length);
}

static void handle_open(struct http_request *request, struct http_reply *reply)
{
	static const char *const allowed[] = { "q", NULL };
	struct error err = ERROR_INIT;
	if (http_query_check(request, allowed, &err) != STATUS_OK) {
		http_reply_problem(request, reply, &err);
		return;
	}
	const char *q = http_query(request, "q");
	http_reply_json(reply, 200);
	buf_append_format(&reply->body, "%s|%s|%s", request->params[0], request->params[1],
	                  q != NULL ? q : "-");
	http_reply_header(reply, "ETag", "\"%d\"", 7);
}

static void handle_unset(struct http_request *request, struct http_reply *reply)
{
	(void)request;
	(void)reply;
}

static void handle_big(struct http_request *request, struct http_reply *reply)
{
	(void)request;
	http_reply_blob(reply, 200, "application/octet-stream", http_blob_ref(big));
}

static void handle_etag(struct http_request *request, struct http_reply *reply)
{
	(void)request;
	http_reply_empty(reply, 304);
	http_reply_header(reply, "ETag", "\"1-2\"");
	http_reply_header(reply, "Cache-Control", "no-cache");
}

static void handle_events(struct http_request *request, struct http_reply *reply)
{
	static const struct http_stream_ops ops = { .next = reader_next, .close = reader_close };
	struct reader *reader = calloc(1, sizeof(*reader));
	check_that(reader != NULL);
	(void)request;
	(void)pthread_mutex_lock(&event.lock);
	reader->seen = event.number;
	(void)pthread_mutex_unlock(&event.lock);
	reply->status = 200;
	reply->stream = &ops;
	reply->stream_state = reader;
}

static void handle_ofrep(struct http_request *request, struct http_reply *reply)
{
	struct error err = ERROR_INIT;
	(void)error_fail(&err, STATUS_INVALID, "The context is \"odd\"");
	error_path_set(&err, "/context/a");
	http_reply_problem(request, reply, &err);
}

static bool authorise(struct http_request *request, struct http_reply *reply)
{
	const char *authorization = http_header(request, "authorization");
	if (request->route->access == 0 || (authorization != NULL && strcmp(authorization, "right") == 0)) {
		request->principal = arena_alloc(request->arena, 64);
		return true;
	}
	struct error err = ERROR_INIT;
	(void)error_fail(&err, STATUS_UNAUTHENTICATED, "A token is needed");
	http_reply_problem(request, reply, &err);
	return false;
}

static void *loop_new(void *app)
{
	return app;
}

// cppcheck-suppress constParameter ; the type of a callback
static void observe(void *app, void *loop, const struct http_route *route, int status, int64_t us)
{
	struct fixture *fixture = app;
	check_that(loop == app);
	check_that(us >= 0 && us < 60 * 1000 * 1000);
	(void)route;
	atomic_store(&fixture->observed_status, status);
	(void)atomic_fetch_add(&fixture->observed, 1);
}

/* clang-format off */
static const struct http_route routes[] = {
	{ .method = HTTP_GET, .pattern = "/small", .name = "small", .handle = handle_small },
	{ .method = HTTP_GET, .pattern = "/open/{a}/{b}", .name = "open", .flags = HTTP_ROUTE_CORS, .handle = handle_open },
	{ .method = HTTP_POST, .pattern = "/echo", .name = "echo", .max_body = 4096, .handle = handle_echo },
	{ .method = HTTP_POST, .pattern = "/optional", .name = "optional", .max_body = 4096,
	  .flags = HTTP_ROUTE_OPTIONAL_BODY, .handle = handle_echo },
	{ .method = HTTP_GET, .pattern = "/secret", .name = "secret_get", .access = 1, .handle = handle_small },
	{ .method = HTTP_POST, .pattern = "/secret", .name = "secret_post", .access = 1, .max_body = 4096, .handle = handle_echo },
	{ .method = HTTP_GET, .pattern = "/worker", .name = "worker", .place = HTTP_ON_WORKER, .handle = handle_small },
	{ .method = HTTP_GET, .pattern = "/late", .name = "late", .place = HTTP_ON_WORKER, .handle = handle_late },
	{ .method = HTTP_GET, .pattern = "/unset", .name = "unset", .handle = handle_unset },
	{ .method = HTTP_GET, .pattern = "/big", .name = "big", .handle = handle_big },
	{ .method = HTTP_GET, .pattern = "/etag", .name = "etag", .handle = handle_etag },
	{ .method = HTTP_GET, .pattern = "/events", .name = "events", .flags = HTTP_ROUTE_STREAM, .handle = handle_events },
	{ .method = HTTP_POST, .pattern = "/ofrep/{key}", .name = "ofrep", .max_body = 4096,
	  .flags = HTTP_ROUTE_OFREP | HTTP_ROUTE_CORS, .handle = handle_ofrep },
};
/* clang-format on */

/* ---- Life ---- */

struct fixture *fixture_open(void (*change)(struct http_options *options))
{
	struct error err = ERROR_INIT;
	running = (struct fixture){ .options = {
		                            .address = "127.0.0.1",
		                            .api_loops = 1,
		                            .max_connections = 512,
		                            .request_deadline_ms = 10000,
		                            .idle_timeout_ms = 75000,
		                            .heartbeat_ms = 15000,
		                            .stream_stall_ms = 30000,
		                            .clock = &clock_system,
		                            .routes = routes,
		                            .route_count = sizeof(routes) / sizeof(routes[0]),
		                            .app = &running,
		                            .app_loop_new = loop_new,
		                            .authorise = authorise,
		                            .defer = defer,
		                            .observe = observe,
		                    } };
	if (change != NULL) {
		change(&running.options);
	}
	char *bytes = calloc(1, BIG_BYTES);
	assert_non_null(bytes);
	big = http_blob_new(bytes, BIG_BYTES);
	free(bytes);
	worker.is_over = false;
	worker.is_released = false;
	assert_int_equal(pthread_create(&worker.thread, NULL, worker_run, NULL), 0);
	if (http_server_open(&running.options, &running.server, &err) != STATUS_OK) {
		fail_msg("%s", err.message);
	}
	running.port = http_server_port(running.server);
	return &running;
}

static struct {
	pthread_t thread;
	struct http_server *server;
	uint32_t grace_ms;
} closing;

static void *closing_run(void *unused)
{
	http_server_close(closing.server, closing.grace_ms);
	return unused;
}

void fixture_close_later(struct fixture *fixture, uint32_t grace_ms)
{
	closing.server = fixture->server;
	closing.grace_ms = grace_ms;
	fixture->server = NULL;
	assert_int_equal(pthread_create(&closing.thread, NULL, closing_run, NULL), 0);
}

void fixture_close_join(void)
{
	assert_int_equal(pthread_join(closing.thread, NULL), 0);
}

void fixture_close(struct fixture *fixture)
{
	fixture_worker_release();
	http_server_close(fixture->server, 100);
	(void)pthread_mutex_lock(&worker.lock);
	worker.is_over = true;
	(void)pthread_cond_broadcast(&worker.changed);
	(void)pthread_mutex_unlock(&worker.lock);
	(void)pthread_join(worker.thread, NULL);
	http_blob_unref(big);
	http_blob_unref(event.blob);
	event.blob = NULL;
}

uint64_t fixture_connections(const struct fixture *fixture)
{
	struct http_stats stats;
	http_server_stats(fixture->server, &stats);
	return stats.connections;
}

/* ---- Raw connections ---- */

static bool socket_connect(const struct fixture *fixture, int fd)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(fixture->port) };
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
}

void fixture_connect_with(const struct fixture *fixture, int fd)
{
	assert_true(socket_connect(fixture, fd));
}

bool fixture_can_connect(const struct fixture *fixture)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	bool is_connected = socket_connect(fixture, fd);
	(void)close(fd);
	return is_connected;
}

int fixture_connect(const struct fixture *fixture)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	fixture_connect_with(fixture, fd);
	return fd;
}

bool fixture_send_n(int fd, const void *bytes, size_t length)
{
	const char *p = bytes;
	while (length > 0) {
		ssize_t sent = send(fd, p, length, MSG_NOSIGNAL);
		if (sent < 0 && errno != EINTR) {
			return false;
		}
		p += sent > 0 ? sent : 0;
		length -= sent > 0 ? (size_t)sent : 0;
	}
	return true;
}

void fixture_send(int fd, const char *text)
{
	(void)fixture_send_n(fd, text, strlen(text));
}

bool fixture_readable(int fd, int ms)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	return poll(&wait, 1, ms) == 1;
}

/* Next bytes; 0 at the end (or a reset). */
static size_t read_some(int fd, char *out, size_t size)
{
	if (!fixture_readable(fd, FIXTURE_WAIT_MS)) {
		fail_msg("no answer in time");
	}
	ssize_t length = recv(fd, out, size, 0);
	return length > 0 ? (size_t)length : 0;
}

const char *answer_header(const struct answer *answer, const char *name)
{
	static char value[512];
	size_t length = strlen(name);
	for (const char *line = strstr(answer->head, "\r\n"); line != NULL; line = strstr(line + 2, "\r\n")) {
		if (strncasecmp(line + 2, name, length) == 0 && line[2 + length] == ':') {
			const char *start = line + 2 + length + 2;
			(void)snprintf(value, sizeof(value), "%.*s", (int)strcspn(start, "\r"), start);
			return value;
		}
	}
	return NULL;
}

void fixture_read(int fd, bool is_head, struct answer *ret)
{
	*ret = (struct answer){ 0 };
	size_t length = 0;
	while (length < 4 || memcmp(ret->head + length - 4, "\r\n\r\n", 4) != 0) {
		assert_true(length < sizeof(ret->head) - 1);
		if (read_some(fd, ret->head + length, 1) == 0) {
			ret->head[length] = '\0';
			return;
		}
		length++;
	}
	assert_memory_equal(ret->head, "HTTP/1.1 ", 9);
	ret->status = (int)strtol(ret->head + 9, NULL, 10);
	const char *content_length = answer_header(ret, "Content-Length");
	if (is_head || ret->status == 304 || content_length == NULL) {
		return;
	}
	size_t want = (size_t)strtoul(content_length, NULL, 10);
	assert_true(want < sizeof(ret->body));
	while (ret->body_length < want) {
		size_t more = read_some(fd, ret->body + ret->body_length, want - ret->body_length);
		assert_true(more > 0);
		ret->body_length += more;
	}
}

bool fixture_read_to_end(int fd, size_t *ret_bytes)
{
	char bytes[4096];
	size_t total = 0;
	bool is_over = false;
	int64_t until = fixture_now_ms() + FIXTURE_WAIT_MS;
	while (!is_over && fixture_now_ms() < until) {
		if (!fixture_readable(fd, FIXTURE_WAIT_MS)) {
			break;
		}
		ssize_t length = recv(fd, bytes, sizeof(bytes), 0);
		total += length > 0 ? (size_t)length : 0;
		is_over = length <= 0;
	}
	if (ret_bytes != NULL) {
		*ret_bytes = total;
	}
	return is_over;
}

void fixture_read_until(int fd, const char *text)
{
	char bytes[4096];
	size_t want = strlen(text);
	size_t have = 0;
	while (have < want) {
		if (!fixture_readable(fd, FIXTURE_WAIT_MS)) {
			fail_msg("no %s in time", text);
		}
		ssize_t length = recv(fd, bytes, sizeof(bytes), MSG_PEEK);
		assert_true(length > 0);
		size_t taken = 0;
		while (taken < (size_t)length && have < want) {
			char c = bytes[taken++];
			/* Good enough for texts without a repeated beginning. */
			have = c == text[have] ? have + 1 : c == text[0];
		}
		assert_int_equal(recv(fd, bytes, taken, MSG_WAITALL), taken);
	}
}

void fixture_ask(const struct fixture *fixture, const char *request, struct answer *ret)
{
	int fd = fixture_connect(fixture);
	fixture_send(fd, request);
	fixture_read(fd, strncmp(request, "HEAD ", 5) == 0, ret);
	(void)close(fd);
}
