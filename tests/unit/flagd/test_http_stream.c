/* SPDX-License-Identifier: Apache-2.0 */
/* Streams, the worker, opening and closing. */
#include "tests/unit/flagd/http_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST "Host: localhost\r\n"

static void limits_of_streams(struct http_options *options)
{
	options->heartbeat_ms = 300;
	options->stream_stall_ms = 600;
	options->api_loops = 2;
}

static int open_default(void **state)
{
	*state = fixture_open(NULL);
	return 0;
}

static int open_short(void **state)
{
	*state = fixture_open(limits_of_streams);
	return 0;
}

static int close_fixture(void **state)
{
	fixture_close(*state);
	return 0;
}

static uint64_t streams(const struct fixture *fixture)
{
	struct http_stats stats;
	http_server_stats(fixture->server, &stats);
	return stats.streams;
}

/* A stream whose head has been read. */
static int stream_open(const struct fixture *fixture)
{
	struct answer answer;
	int fd = fixture_connect(fixture);
	fixture_send(fd, "GET /events HTTP/1.1\r\n" HOST "Accept: text/event-stream\r\n\r\n");
	fixture_read(fd, false, &answer);
	assert_int_equal(answer.status, 200);
	assert_string_equal(answer_header(&answer, "Content-Type"), "text/event-stream");
	assert_string_equal(answer_header(&answer, "Transfer-Encoding"), "chunked");
	return fd;
}

static void events_reach_every_stream(void **state)
{
	struct fixture *fixture = *state;
	int fds[20];
	for (size_t i = 0; i < 20; i++) {
		fds[i] = stream_open(fixture);
	}
	assert_int_equal(streams(fixture), 20);
	for (size_t length = 3; length < 100000; length *= 3) {
		int64_t start_ms = fixture_now_ms();
		fixture_publish(fixture, length);
		for (size_t i = 0; i < 20; i++) {
			fixture_read_until(fds[i], "e\n\n");
		}
		/* Woken, not found at the next heartbeat. */
		assert_true(fixture_now_ms() - start_ms < 5000);
	}
	for (size_t i = 0; i < 20; i++) {
		(void)close(fds[i]);
	}
	/* Noticed at once, by the closing of the peers. */
	fixture_wait_for(streams(fixture) == 0);
	assert_int_equal(atomic_load(&fixture->streams_closed), 20);
	fixture_wait_for(fixture_connections(fixture) == 0);
}

static void streams_may_follow_requests(void **state)
{
	struct fixture *fixture = *state;
	struct answer answer;
	int fd = fixture_connect(fixture);
	fixture_send(fd, "GET /small HTTP/1.1\r\n" HOST "\r\n");
	fixture_read(fd, false, &answer);
	fixture_send(fd, "GET /events HTTP/1.1\r\n" HOST "\r\n");
	fixture_read(fd, false, &answer);
	assert_int_equal(answer.status, 200);
	fixture_publish(fixture, 100);
	fixture_read_until(fd, "e\n\n");
	(void)close(fd);
	fixture_wait_for(streams(fixture) == 0);
}

static void old_clients_get_streams_without_chunks(void **state)
{
	struct fixture *fixture = *state;
	struct answer answer;
	int fd = fixture_connect(fixture);
	fixture_send(fd, "GET /events HTTP/1.0\r\n\r\n");
	fixture_read(fd, false, &answer);
	assert_int_equal(answer.status, 200);
	assert_null(answer_header(&answer, "Transfer-Encoding"));
	fixture_publish(fixture, 5000);
	char bytes[5000];
	assert_int_equal(recv(fd, bytes, sizeof(bytes), MSG_WAITALL), 5000);
	assert_memory_equal(bytes + 4997, "e\n\n", 3);
	assert_int_equal(bytes[0], 'e');
	(void)close(fd);
}

static void heads_of_streams_can_be_asked_for(void **state)
{
	struct fixture *fixture = *state;
	struct answer answer;
	int fd = fixture_connect(fixture);
	fixture_send(fd, "HEAD /events HTTP/1.1\r\n" HOST "\r\n");
	fixture_read(fd, true, &answer);
	assert_int_equal(answer.status, 200);
	fixture_wait_for(atomic_load(&fixture->streams_closed) == 1);
	assert_int_equal(streams(fixture), 0);
	fixture_send(fd, "GET /small HTTP/1.1\r\n" HOST "\r\n");
	fixture_read(fd, false, &answer);
	assert_string_equal(answer.body, "small");
	(void)close(fd);
}

static void silent_streams_have_a_heartbeat(void **state)
{
	struct fixture *fixture = *state;
	int fd = stream_open(fixture);
	for (int i = 0; i < 3; i++) {
		int64_t start_ms = fixture_now_ms();
		fixture_read_until(fd, ": hb\n\n");
		/* A fifth of jitter, and a bit for the first, which is not read from its beginning. */
		assert_true(fixture_now_ms() - start_ms >= 300 * 3 / 5);
	}
	(void)close(fd);
}

static void readers_that_stall_are_cut(void **state)
{
	struct fixture *fixture = *state;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int small = 4096;
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	fixture_connect_with(fixture, fd);
	fixture_send(fd, "GET /events HTTP/1.1\r\n" HOST "\r\n");
	fixture_wait_for(streams(fixture) == 1);
	int good = stream_open(fixture);
	fixture_publish(fixture, 1024 * 1024);
	fixture_read_until(good, "e\n\n");
	fixture_wait_for(streams(fixture) == 1);
	struct http_stats stats;
	http_server_stats(fixture->server, &stats);
	assert_int_equal(stats.reaped, 1);
	fixture_publish(fixture, 10);
	fixture_read_until(good, "e\n\n");
	(void)close(good);
	(void)close(fd);
}

/* ---- The worker ---- */

static void the_worker_answers(void **state)
{
	struct fixture *fixture = *state;
	struct answer answer;
	int fd = fixture_connect(fixture);
	for (int i = 0; i < 50; i++) {
		fixture_send(fd, "GET /worker HTTP/1.1\r\n" HOST "\r\n");
		fixture_read(fd, false, &answer);
		assert_string_equal(answer.body, "small");
	}
	/* Pipelined behind a request that the worker has. */
	fixture_send(fd, "GET /worker HTTP/1.1\r\n" HOST "\r\nGET /small HTTP/1.1\r\n" HOST "\r\n"
	                 "GET /worker HTTP/1.1\r\n" HOST "\r\n");
	for (int i = 0; i < 3; i++) {
		fixture_read(fd, false, &answer);
		assert_string_equal(answer.body, "small");
	}
	(void)close(fd);
}

static void others_are_served_while_the_worker_works(void **state)
{
	struct fixture *fixture = *state;
	struct answer answer;
	int late = fixture_connect(fixture);
	fixture_send(late, "GET /late HTTP/1.1\r\n" HOST "\r\n");
	fixture_wait_for(fixture_worker_held() == 1);
	fixture_ask(fixture, "GET /small HTTP/1.1\r\n" HOST "\r\n", &answer);
	assert_int_equal(answer.status, 200);
	/* Four wait in the queue, the fifth is turned away. */
	int fds[4];
	for (size_t i = 0; i < 4; i++) {
		fds[i] = fixture_connect(fixture);
		fixture_send(fds[i], "GET /worker HTTP/1.1\r\n" HOST "\r\n");
	}
	fixture_wait_for(fixture_worker_queued() == 4);
	fixture_ask(fixture, "GET /worker HTTP/1.1\r\n" HOST "\r\n", &answer);
	assert_int_equal(answer.status, 503);
	assert_string_equal(answer_header(&answer, "Retry-After"), "1");
	/* Two of them go away; their requests are still with the worker. */
	(void)close(fds[0]);
	(void)close(fds[1]);
	fixture_worker_release();
	fixture_read(late, false, &answer);
	assert_int_equal(answer.status, 200);
	for (size_t i = 2; i < 4; i++) {
		fixture_read(fds[i], false, &answer);
		assert_int_equal(answer.status, 200);
		(void)close(fds[i]);
	}
	(void)close(late);
	fixture_wait_for(fixture_connections(fixture) == 0);
	assert_int_equal(atomic_load(&fixture->handled), 6);
}

/* The time that the worker takes is nobody's fault. */
static void limits_shorter_than_the_worker(struct http_options *options)
{
	options->request_deadline_ms = 100;
	options->idle_timeout_ms = 200;
}

static int open_hasty(void **state)
{
	*state = fixture_open(limits_shorter_than_the_worker);
	return 0;
}

static void deadlines_spare_the_worker(void **state)
{
	struct fixture *fixture = *state;
	struct answer answer;
	int fd = fixture_connect(fixture);
	fixture_send(fd, "GET /late HTTP/1.1\r\n" HOST "\r\n");
	fixture_wait_for(fixture_worker_held() == 1);
	assert_false(fixture_readable(fd, 500));
	fixture_worker_release();
	fixture_read(fd, false, &answer);
	assert_int_equal(answer.status, 200);
	(void)close(fd);
}

/* ---- Opening and closing ---- */

static void closing_ends_what_is_open(void **state)
{
	struct fixture *fixture = *state;
	struct answer answer;
	int stream = stream_open(fixture);
	int idle = fixture_connect(fixture);
	int silent = fixture_connect(fixture);
	int partial = fixture_connect(fixture);
	fixture_send(idle, "GET /small HTTP/1.1\r\n" HOST "\r\n");
	fixture_read(idle, false, &answer);
	fixture_send(partial, "GET /small HTTP/1.1\r\nHos");
	int late = fixture_connect(fixture);
	fixture_send(late, "GET /late HTTP/1.1\r\n" HOST "\r\n");
	fixture_wait_for(fixture_worker_held() == 1 && fixture_connections(fixture) == 5);
	fixture_close_later(fixture, 2000);
	/* The stream ends in good order: with the last chunk. */
	fixture_read_until(stream, "0\r\n\r\n");
	assert_false(fixture_can_connect(fixture));
	fixture_worker_release();
	fixture_read(late, false, &answer);
	assert_int_equal(answer.status, 200);
	assert_string_equal(answer_header(&answer, "Connection"), "close");
	assert_true(fixture_read_to_end(late, NULL));
	assert_true(fixture_read_to_end(idle, NULL));
	assert_true(fixture_read_to_end(silent, NULL));
	assert_true(fixture_read_to_end(partial, NULL));
	assert_true(fixture_read_to_end(stream, NULL));
	assert_int_equal(atomic_load(&fixture->streams_closed), 1);
	(void)close(stream);
	(void)close(idle);
	(void)close(silent);
	(void)close(partial);
	(void)close(late);
	fixture_close_join();
	/* Nobody listens there any more: another server can. */
	struct http_options options = fixture->options;
	struct http_server *server = NULL;
	struct error err = ERROR_INIT;
	options.port = fixture->port;
	assert_int_equal(http_server_open(&options, &server, &err), STATUS_OK);
	http_server_close(server, 0);
}

static void nothing_in_flight_closes_at_once(void **state)
{
	struct fixture *fixture = *state;
	int64_t start_ms = fixture_now_ms();
	int fd = fixture_connect(fixture);
	fixture_wait_for(fixture_connections(fixture) == 1);
	fixture_close_later(fixture, 60000);
	fixture_close_join();
	assert_true(fixture_now_ms() - start_ms < 10000);
	(void)close(fd);
}

static void bad_options_are_refused(void **state)
{
	struct fixture *fixture = *state;
	struct http_options options = fixture->options;
	struct http_server *server = NULL;
	struct error err = ERROR_INIT;
	char port[16];
	options.port = fixture->port;
	assert_int_equal(http_server_open(&options, &server, &err), STATUS_UNAVAILABLE);
	(void)snprintf(port, sizeof(port), "%u", fixture->port);
	assert_non_null(strstr(err.message, port));
	assert_non_null(strstr(err.message, "127.0.0.1"));
	options = fixture->options;
	options.address = "localhost";
	assert_int_equal(http_server_open(&options, &server, &err), STATUS_INVALID);
	options = fixture->options;
	options.api_loops = 0;
	assert_int_equal(http_server_open(&options, &server, &err), STATUS_INVALID);
	options.api_loops = 17;
	assert_int_equal(http_server_open(&options, &server, &err), STATUS_INVALID);
	options = fixture->options;
	options.idle_timeout_ms = 0;
	assert_int_equal(http_server_open(&options, &server, &err), STATUS_INVALID);
	const struct http_route bad = { .method = HTTP_GET, .pattern = "bad", .name = "bad" };
	options = fixture->options;
	options.routes = &bad;
	options.route_count = 1;
	assert_int_equal(http_server_open(&options, &server, &err), STATUS_INVALID);
	assert_null(server);
	http_server_close(NULL, 0);
}

static void blobs_are_counted(void **state)
{
	(void)state;
	struct http_blob *blob = http_blob_new("abc", 3);
	assert_non_null(blob);
	assert_ptr_equal(http_blob_ref(blob), blob);
	http_blob_unref(blob);
	assert_memory_equal(blob->bytes, "abc", 3);
	assert_int_equal(blob->length, 3);
	http_blob_unref(blob);
	http_blob_unref(NULL);
	assert_null(http_blob_new("", SIZE_MAX));
}

int main(void)
{
#define TEST(name, open) cmocka_unit_test_setup_teardown(name, open, close_fixture)
	const struct CMUnitTest tests[] = {
		TEST(events_reach_every_stream, open_default),
		TEST(streams_may_follow_requests, open_default),
		TEST(old_clients_get_streams_without_chunks, open_default),
		TEST(heads_of_streams_can_be_asked_for, open_default),
		TEST(silent_streams_have_a_heartbeat, open_short),
		TEST(readers_that_stall_are_cut, open_short),
		TEST(the_worker_answers, open_short),
		TEST(others_are_served_while_the_worker_works, open_default),
		TEST(deadlines_spare_the_worker, open_hasty),
		TEST(closing_ends_what_is_open, open_default),
		TEST(nothing_in_flight_closes_at_once, open_short),
		TEST(bad_options_are_refused, open_default),
		cmocka_unit_test(blobs_are_counted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
