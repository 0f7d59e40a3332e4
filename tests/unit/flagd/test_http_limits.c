/* SPDX-License-Identifier: Apache-2.0 */
/* What the server stands: slow, idle, endless, too large, too many, gone; no descriptors. */
#include "tests/unit/flagd/http_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HOST "Host: localhost\r\n"
#define JSON "Content-Type: application/json\r\n"

#define DEADLINE_MS 400
#define IDLE_MS     1600

static void limits_short(struct http_options *options)
{
	options->request_deadline_ms = DEADLINE_MS;
	options->idle_timeout_ms = IDLE_MS;
	options->max_connections = 64;
}

static int open_short(void **state)
{
	*state = fixture_open(limits_short);
	return 0;
}

static int close_fixture(void **state)
{
	fixture_close(*state);
	return 0;
}

/* @before, @count times @filler, @after. */
static void text_pad(char *out, const char *before, char filler, size_t count, const char *after)
{
	size_t length = strlen(before);
	memcpy(out, before, length);
	memset(out + length, filler, count);
	memcpy(out + length + count, after, strlen(after) + 1);
}

static uint64_t reaped(const struct fixture *fixture)
{
	struct http_stats stats;
	http_server_stats(fixture->server, &stats);
	return stats.reaped;
}

static uint64_t accept_failures(const struct fixture *fixture)
{
	struct http_stats stats;
	http_server_stats(fixture->server, &stats);
	return stats.accept_failures;
}

/* Sends @text, then @filler byte by byte, until the server closes; how long that took. */
static int64_t drip(const struct fixture *fixture, const char *text, char filler)
{
	int fd = fixture_connect(fixture);
	int64_t start_ms = fixture_now_ms();
	bool is_over = false;
	fixture_send(fd, text);
	while (!is_over && fixture_now_ms() - start_ms < FIXTURE_WAIT_MS) {
		is_over = fixture_readable(fd, 20);
		if (!is_over) {
			(void)fixture_send_n(fd, &filler, 1);
		}
	}
	(void)close(fd);
	return fixture_now_ms() - start_ms;
}

static void slow_senders_are_cut(void **state)
{
	struct fixture *fixture = *state;
	static const char *const beginnings[] = {
		"",                                    /* nothing to route by yet */
		"GET /small",                          /* no request line yet */
		"POST /echo HTTP/1.1\r\n",             /* in the headers */
		"POST /echo HTTP/1.1\r\n" HOST "X-A:", /* in a header */
		"POST /echo HTTP/1.1\r\n" HOST JSON "Content-Length: 4000\r\n\r\n",
		"POST /echo HTTP/1.1\r\n" HOST JSON "Transfer-Encoding: chunked\r\n\r\nfff\r\n",
		"POST /echo HTTP/1.1\r\n" HOST JSON "Transfer-Encoding: chunked\r\n\r\n1;",
		"POST /echo HTTP/1.1\r\n" HOST JSON "Transfer-Encoding: chunked\r\n\r\n0\r\nX: ",
		"POST /secret HTTP/1.1\r\n" HOST JSON "Content-Length: 4000\r\n\r\n",
	};
	size_t count = sizeof(beginnings) / sizeof(beginnings[0]);
	for (size_t i = 0; i < count; i++) {
		int64_t took_ms = drip(fixture, beginnings[i], 'a');
		if (took_ms < DEADLINE_MS / 2 || took_ms > FIXTURE_WAIT_MS / 2) {
			fail_msg("case %zu: cut after %d ms", i, (int)took_ms);
		}
	}
	assert_int_equal(reaped(fixture), count);
	fixture_wait_for(fixture_connections(fixture) == 0);
	assert_int_equal(atomic_load(&fixture->handled), 0);
}

/* Answered requests do not shield what comes after them. */
static void slow_second_requests_are_cut(void **state)
{
	struct fixture *fixture = *state;
	struct answer answer;
	int fd = fixture_connect(fixture);
	fixture_send(fd, "GET /small HTTP/1.1\r\n" HOST "\r\n");
	fixture_read(fd, false, &answer);
	assert_int_equal(answer.status, 200);
	assert_false(fixture_readable(fd, 100));
	int64_t start_ms = fixture_now_ms();
	while (!fixture_readable(fd, 20) && fixture_now_ms() - start_ms < FIXTURE_WAIT_MS) {
		fixture_send(fd, "G");
	}
	assert_in_range(fixture_now_ms() - start_ms, DEADLINE_MS / 2, IDLE_MS - 1);
	assert_int_equal(reaped(fixture), 1);
	(void)close(fd);
}

static void idle_connections_are_closed_late(void **state)
{
	struct fixture *fixture = *state;
	struct answer answer;
	int silent = fixture_connect(fixture);
	int kept = fixture_connect(fixture);
	int64_t start_ms = fixture_now_ms();
	fixture_send(kept, "GET /small HTTP/1.1\r\n" HOST "\r\n");
	fixture_read(kept, false, &answer);
	/* Longer than a request may take. */
	assert_false(fixture_readable(kept, 2 * DEADLINE_MS));
	assert_false(fixture_readable(silent, 0));
	assert_true(fixture_read_to_end(kept, NULL));
	assert_true(fixture_read_to_end(silent, NULL));
	assert_true(fixture_now_ms() - start_ms >= IDLE_MS / 2);
	assert_int_equal(reaped(fixture), 2);
	(void)close(silent);
	(void)close(kept);
}

static void readers_that_do_not_read_are_cut(void **state)
{
	struct fixture *fixture = *state;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int small = 4096;
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	fixture_connect_with(fixture, fd);
	/* More than the kernel takes off the server's hands. */
	fixture_send(fd, "GET /big HTTP/1.1\r\n" HOST "\r\n");
	fixture_wait_for(fixture_connections(fixture) == 1);
	fixture_wait_for(fixture_connections(fixture) == 0);
	assert_int_equal(reaped(fixture), 1);
	(void)close(fd);
}

static void oversized_heads_are_refused(void **state)
{
	struct fixture *fixture = *state;
	struct answer answer;
	char *request = malloc(70000);
	assert_non_null(request);
	text_pad(request, "GET /", 'a', 60000, " HTTP/1.1\r\n" HOST "\r\n");
	fixture_ask(fixture, request, &answer);
	assert_int_equal(answer.status, 414);
	text_pad(request, "GET /small HTTP/1.1\r\n" HOST "X: ", 'a', 60000, "\r\n\r\n");
	fixture_ask(fixture, request, &answer);
	assert_int_equal(answer.status, 431);
	/* A long token and a long address are fine. */
	text_pad(request, "GET /small?a=", 'a', 2000, " HTTP/1.1\r\n" HOST "Authorization: x\r\n\r\n");
	fixture_ask(fixture, request, &answer);
	assert_int_equal(answer.status, 200);
	text_pad(request, "GET /small HTTP/1.1\r\n" HOST "Cookie: ", 'a', 2500, "\r\n\r\n");
	fixture_ask(fixture, request, &answer);
	assert_int_equal(answer.status, 200);
	free(request);
}

static void oversized_bodies_are_refused(void **state)
{
	struct fixture *fixture = *state;
	struct answer answer;
	char *body = malloc(200000);
	assert_non_null(body);
	/* By what was announced: at once, without waiting for it. */
	fixture_ask(fixture, "POST /echo HTTP/1.1\r\n" HOST JSON "Content-Length: 4097\r\n\r\n", &answer);
	assert_int_equal(answer.status, 413);
	assert_string_equal(answer_header(&answer, "Connection"), "close");
	/* By what came: chunks have no announcement. */
	text_pad(body, "POST /echo HTTP/1.1\r\n" HOST JSON "Transfer-Encoding: chunked\r\n\r\n1001\r\n", 'x',
	         4097, "\r\n0\r\n\r\n");
	fixture_ask(fixture, body, &answer);
	assert_int_equal(answer.status, 413);
	/* Endless ones are not read for ever. */
	int fd = fixture_connect(fixture);
	text_pad(body, "POST /echo HTTP/1.1\r\n" HOST JSON "Transfer-Encoding: chunked\r\n\r\nffffff\r\n",
	         'x', 150000, "");
	fixture_send(fd, body);
	assert_true(fixture_read_to_end(fd, NULL));
	(void)close(fd);
	assert_int_equal(atomic_load(&fixture->handled), 0);
	free(body);
}

/* The peer sees the refusal although it is still sending. */
static void refusals_arrive_while_the_peer_sends(void **state)
{
	struct fixture *fixture = *state;
	char *body = malloc(5000000);
	assert_non_null(body);
	text_pad(body, "POST /echo HTTP/1.1\r\n" HOST JSON "Content-Length: 99999999\r\n\r\n", 'x', 4500000,
	         "");
	for (int i = 0; i < 5; i++) {
		struct answer answer;
		int fd = fixture_connect(fixture);
		assert_true(fixture_send_n(fd, body, strlen(body)));
		fixture_read(fd, false, &answer);
		assert_int_equal(answer.status, 413);
		assert_true(fixture_read_to_end(fd, NULL));
		(void)close(fd);
	}
	free(body);
}

static void connections_are_limited(void **state)
{
	struct fixture *fixture = *state;
	int fds[64];
	struct answer answer;
	for (size_t i = 0; i < 64; i++) {
		fds[i] = fixture_connect(fixture);
	}
	fixture_wait_for(fixture_connections(fixture) == 64);
	int fd = fixture_connect(fixture);
	fixture_read(fd, false, &answer);
	assert_int_equal(answer.status, 503);
	assert_true(fixture_read_to_end(fd, NULL));
	(void)close(fd);
	assert_int_equal(accept_failures(fixture), 1);
	(void)close(fds[0]);
	fixture_wait_for(fixture_connections(fixture) == 63);
	fds[0] = fixture_connect(fixture);
	fixture_send(fds[0], "GET /small HTTP/1.1\r\n" HOST "\r\n");
	fixture_read(fds[0], false, &answer);
	assert_int_equal(answer.status, 200);
	for (size_t i = 0; i < 64; i++) {
		(void)close(fds[i]);
	}
	fixture_wait_for(fixture_connections(fixture) == 0);
}

static void abrupt_ends_leave_nothing(void **state)
{
	struct fixture *fixture = *state;
	static const char *const beginnings[] = {
		"",
		"G",
		"GET /small HTTP/1.1\r\nHos",
		"POST /echo HTTP/1.1\r\n" HOST JSON "Content-Length: 10\r\n\r\nabc",
		"GET /small HTTP/1.1\r\n" HOST "\r\n",
		"GET /worker HTTP/1.1\r\n" HOST "\r\n",
		"GET /big HTTP/1.1\r\n" HOST "\r\n",
		"GET /events HTTP/1.1\r\n" HOST "\r\n",
	};
	for (size_t i = 0; i < 20 * sizeof(beginnings) / sizeof(beginnings[0]); i++) {
		int fd = fixture_connect(fixture);
		fixture_send(fd, beginnings[i / 20]);
		/* Some with a reset, some with an end. */
		struct linger linger = { .l_onoff = i % 2, .l_linger = 0 };
		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
		(void)close(fd);
	}
	fixture_wait_for(fixture_connections(fixture) == 0);
	struct http_stats stats;
	http_server_stats(fixture->server, &stats);
	assert_int_equal(stats.streams, 0);
}

/* A peer that has said all it had to say still gets its answer. */
static void half_closed_peers_are_answered(void **state)
{
	struct fixture *fixture = *state;
	struct answer answer;
	int fd = fixture_connect(fixture);
	fixture_send(fd, "GET /small HTTP/1.1\r\n" HOST "\r\n");
	(void)shutdown(fd, SHUT_WR);
	fixture_read(fd, false, &answer);
	assert_int_equal(answer.status, 200);
	assert_true(fixture_read_to_end(fd, NULL));
	(void)close(fd);
}

static void missing_descriptors_are_survived(void **state)
{
	struct fixture *fixture = *state;
	enum { CLIENTS = 8, FILLERS = 256 };
	struct rlimit before;
	struct answer answer;
	int clients[CLIENTS];
	int fillers[FILLERS];
	int kept = fixture_connect(fixture);
	fixture_send(kept, "GET /small HTTP/1.1\r\n" HOST "\r\n");
	fixture_read(kept, false, &answer);
	for (size_t i = 0; i < CLIENTS; i++) {
		clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_true(clients[i] >= 0);
	}
	/* With the clients' sockets made, nothing is left for accepting. */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	struct rlimit limit = { .rlim_cur = FILLERS, .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	size_t filler_count = 0;
	while ((fillers[filler_count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0) {
		filler_count++;
		assert_true(filler_count < FILLERS);
	}
	assert_int_equal(errno, EMFILE);
	for (size_t i = 0; i < CLIENTS; i++) {
		fixture_connect_with(fixture, clients[i]);
		assert_true(fixture_read_to_end(clients[i], NULL));
	}
	assert_true(accept_failures(fixture) >= CLIENTS);
	/* Those that are there are served. */
	fixture_send(kept, "GET /small HTTP/1.1\r\n" HOST "\r\n");
	fixture_read(kept, false, &answer);
	assert_int_equal(answer.status, 200);
	/* It recovers by itself. */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	fixture_ask(fixture, "GET /small HTTP/1.1\r\n" HOST "\r\n", &answer);
	assert_int_equal(answer.status, 200);
	while (filler_count > 0) {
		(void)close(fillers[--filler_count]);
	}
	for (size_t i = 0; i < CLIENTS; i++) {
		(void)close(clients[i]);
	}
	(void)close(kept);
}

/* A chunk line without an end fills libmicrohttpd's buffer; it must not keep the loop running hot. */
static void full_buffers_do_not_burn_the_processor(void **state)
{
	struct fixture *fixture = *state;
	char *text = malloc(40000);
	assert_non_null(text);
	text_pad(text, "POST /echo HTTP/1.1\r\n" HOST JSON "Transfer-Encoding: chunked\r\n\r\n1;", 'x', 30000,
	         "");
	int fd = fixture_connect(fixture);
	fixture_send(fd, text);
	clockid_t clock_id = CLOCK_PROCESS_CPUTIME_ID;
	struct timespec before;
	struct timespec after;
	assert_int_equal(clock_gettime(clock_id, &before), 0);
	int64_t start_ms = fixture_now_ms();
	assert_true(fixture_read_to_end(fd, NULL));
	int64_t took_ms = fixture_now_ms() - start_ms;
	assert_int_equal(clock_gettime(clock_id, &after), 0);
	int64_t used_ms = (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
	if (used_ms > took_ms / 8) {
		fail_msg("%d ms of processor time in %d ms", (int)used_ms, (int)took_ms);
	}
	(void)close(fd);
	free(text);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_short, close_fixture)
	const struct CMUnitTest tests[] = {
		TEST(slow_senders_are_cut),
		TEST(slow_second_requests_are_cut),
		TEST(idle_connections_are_closed_late),
		TEST(readers_that_do_not_read_are_cut),
		TEST(oversized_heads_are_refused),
		TEST(oversized_bodies_are_refused),
		TEST(refusals_arrive_while_the_peer_sends),
		TEST(connections_are_limited),
		TEST(abrupt_ends_leave_nothing),
		TEST(half_closed_peers_are_answered),
		TEST(missing_descriptors_are_survived),
		TEST(full_buffers_do_not_burn_the_processor),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
