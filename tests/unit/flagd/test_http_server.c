/* SPDX-License-Identifier: Apache-2.0 */
/* What the server answers: routes, bodies, headers, smuggling, keep-alive, the worker. */
#include "tests/unit/flagd/http_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int open_default(void **state)
{
	*state = fixture_open(NULL);
	return 0;
}

static int close_fixture(void **state)
{
	fixture_close(*state);
	return 0;
}

#define HOST "Host: localhost\r\n"
#define JSON "Content-Type: application/json\r\n"

static void requests_are_answered(void **state)
{
	struct answer answer;
	fixture_ask(*state, "GET /small HTTP/1.1\r\n" HOST "\r\n", &answer);
	assert_int_equal(answer.status, 200);
	assert_string_equal(answer.body, "small");
	assert_string_equal(answer_header(&answer, "Content-Type"), "application/json");
	fixture_ask(*state, "GET /open/a%20b/c?q=x+y%26 HTTP/1.1\r\n" HOST "\r\n", &answer);
	assert_string_equal(answer.body, "a b|c|x y&");
	fixture_ask(*state, "HEAD /small HTTP/1.1\r\n" HOST "\r\n", &answer);
	assert_int_equal(answer.status, 200);
	assert_string_equal(answer_header(&answer, "Content-Length"), "5");
	fixture_ask(*state, "GET /small HTTP/1.0\r\n\r\n", &answer);
	assert_int_equal(answer.status, 200);
	assert_string_equal(answer_header(&answer, "Connection"), "close");
	fixture_ask(*state, "GET /etag HTTP/1.1\r\n" HOST "\r\n", &answer);
	assert_int_equal(answer.status, 304);
	assert_string_equal(answer_header(&answer, "ETag"), "\"1-2\"");
	assert_string_equal(answer_header(&answer, "Cache-Control"), "no-cache");
	struct fixture *fixture = *state;
	assert_int_equal(atomic_load(&fixture->observed), 5);
	assert_int_equal(atomic_load(&fixture->observed_status), 304);
}

static void bodies_are_read(void **state)
{
	struct answer answer;
	fixture_ask(*state, "POST /echo HTTP/1.1\r\n" HOST JSON "Content-Length: 7\r\n\r\n{\"a\":1}",
	            &answer);
	assert_int_equal(answer.status, 200);
	assert_string_equal(answer.body, "{\"a\":1}");
	fixture_ask(*state,
	            "POST /echo HTTP/1.1\r\n" HOST JSON "Transfer-Encoding: chunked\r\n\r\n"
	            "3\r\nabc\r\n1;x=y\r\nd\r\n0\r\nTrailer: x\r\n\r\n",
	            &answer);
	assert_string_equal(answer.body, "abcd");
	fixture_ask(*state, "POST /optional HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", &answer);
	assert_int_equal(answer.status, 200);
	assert_string_equal(answer.body, "");
	fixture_ask(*state, "POST /optional HTTP/1.1\r\n" HOST "\r\n", &answer);
	assert_int_equal(answer.status, 200);
	fixture_ask(*state, "POST /echo HTTP/1.1\r\n" HOST "\r\n", &answer);
	assert_int_equal(answer.status, 400);
	fixture_ask(*state, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}", &answer);
	assert_int_equal(answer.status, 415);
	fixture_ask(*state,
	            "POST /echo HTTP/1.1\r\n" HOST "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}",
	            &answer);
	assert_int_equal(answer.status, 415);
	fixture_ask(*state, "GET /small HTTP/1.1\r\n" HOST JSON "Content-Length: 2\r\n\r\n{}", &answer);
	assert_int_equal(answer.status, 413);
}

/* Every way of cutting a request in two gives the same answer. */
static void requests_may_come_in_pieces(void **state)
{
	static const char request[] =
	        "POST /echo HTTP/1.1\r\n" HOST JSON "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
	for (size_t cut = 1; cut < sizeof(request) - 1; cut++) {
		struct answer answer;
		int fd = fixture_connect(*state);
		(void)fixture_send_n(fd, request, cut);
		fixture_pause();
		fixture_send(fd, request + cut);
		fixture_read(fd, false, &answer);
		assert_string_equal(answer.body, "abc");
		(void)close(fd);
	}
}

static void large_bodies_within_the_limit_are_read(void **state)
{
	char body[4097];
	memset(body, 'x', 4096);
	body[4096] = '\0';
	char request[8192];
	struct answer answer;
	(void)snprintf(request, sizeof(request),
	               "POST /echo HTTP/1.1\r\n" HOST JSON "Content-Length: 4096\r\n\r\n%s", body);
	fixture_ask(*state, request, &answer);
	assert_string_equal(answer.body, body);
	(void)snprintf(request, sizeof(request),
	               "POST /echo HTTP/1.1\r\n" HOST JSON "Transfer-Encoding: chunked\r\n\r\n"
	               "7ff\r\n%.2047s\r\n801\r\n%.2049s\r\n0\r\n\r\n",
	               body, body);
	fixture_ask(*state, request, &answer);
	assert_string_equal(answer.body, body);
}

static void problems_are_documents(void **state)
{
	struct answer answer;
	fixture_ask(*state, "GET /nowhere HTTP/1.1\r\n" HOST "\r\n", &answer);
	assert_int_equal(answer.status, 404);
	assert_string_equal(answer_header(&answer, "Content-Type"), "application/problem+json");
	assert_non_null(strstr(answer.body, "\"code\":\"not_found\""));
	assert_non_null(strstr(answer.body, "\"trace_id\":\""));
	fixture_ask(*state, "DELETE /secret HTTP/1.1\r\n" HOST "\r\n", &answer);
	assert_int_equal(answer.status, 405);
	assert_string_equal(answer_header(&answer, "Allow"), "GET, HEAD, POST");
	fixture_ask(*state, "BREW /small HTTP/1.1\r\n" HOST "\r\n", &answer);
	assert_int_equal(answer.status, 405);
	fixture_ask(*state, "OPTIONS /small HTTP/1.1\r\n" HOST "\r\n", &answer);
	assert_int_equal(answer.status, 405);
	fixture_ask(*state, "GET /unset HTTP/1.1\r\n" HOST "\r\n", &answer);
	assert_int_equal(answer.status, 500);
	fixture_ask(*state, "GET /open/a/b?x=1 HTTP/1.1\r\n" HOST "\r\n", &answer);
	assert_int_equal(answer.status, 400);
	assert_non_null(strstr(answer.body, "`x`"));
	fixture_ask(*state, "GET /open/a/b?q=1&q=2 HTTP/1.1\r\n" HOST "\r\n", &answer);
	assert_int_equal(answer.status, 400);
	fixture_ask(*state, "POST /ofrep/k HTTP/1.1\r\n" HOST JSON "Content-Length: 2\r\n\r\n{}", &answer);
	assert_int_equal(answer.status, 400);
	assert_non_null(
	        strstr(answer.body, "\"detail\":\"The context is \\\"odd\\\"\",\"path\":\"/context/a\""));
	assert_non_null(
	        strstr(answer.body, "\"key\":\"k\",\"errorCode\":\"INVALID_CONTEXT\",\"errorDetails\":"));
}

static void answers_are_traced(void **state)
{
	struct answer answer;
	char first[64];
	fixture_ask(*state,
	            "GET /small HTTP/1.1\r\n" HOST
	            "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n",
	            &answer);
	assert_memory_equal(answer_header(&answer, "traceparent"), "00-0af7651916cd43dd8448eb211c80319c-",
	                    36);
	assert_null(strstr(answer.head, "b7ad6b7169203331"));
	(void)snprintf(first, sizeof(first), "%s", answer_header(&answer, "X-Request-Id"));
	assert_int_equal(strspn(first, "0123456789abcdef"), 16);
	fixture_ask(*state, "GET /small HTTP/1.1\r\n" HOST "traceparent: nonsense\r\n\r\n", &answer);
	assert_string_not_equal(answer_header(&answer, "X-Request-Id"), first);
	assert_int_equal(strlen(answer_header(&answer, "traceparent")), 55);
	assert_null(strstr(answer.head, "0af7651916cd43dd8448eb211c80319c"));
}

static void answers_carry_security_headers(void **state)
{
	static const char *const requests[] = {
		"GET /small HTTP/1.1\r\n" HOST "\r\n",  "GET /nowhere HTTP/1.1\r\n" HOST "\r\n",
		"GET /etag HTTP/1.1\r\n" HOST "\r\n",   "GET /small HTTP/1.1\r\n" HOST HOST "\r\n",
		"GET /worker HTTP/1.1\r\n" HOST "\r\n", "GET /events HTTP/1.1\r\n" HOST "\r\n",
		"GET //x HTTP/1.1\r\n" HOST "\r\n",
	};
	static const char *const names[] = { "Strict-Transport-Security",
		                             "Content-Security-Policy",
		                             "Referrer-Policy",
		                             "X-Content-Type-Options",
		                             "X-Frame-Options",
		                             "Cross-Origin-Opener-Policy",
		                             "Cross-Origin-Resource-Policy",
		                             "Permissions-Policy",
		                             "Cache-Control",
		                             "X-Request-Id",
		                             "traceparent" };
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		struct answer answer;
		fixture_ask(*state, requests[i], &answer);
		for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
			if (answer_header(&answer, names[k]) == NULL) {
				fail_msg("no %s in %s", names[k], answer.head);
			}
		}
		assert_string_equal(answer_header(&answer, "Cross-Origin-Resource-Policy"), "same-origin");
		assert_null(answer_header(&answer, "Access-Control-Allow-Origin"));
	}
}

static void browsers_of_other_origins_are_let_in(void **state)
{
	struct answer answer;
	fixture_ask(*state, "GET /open/a/b HTTP/1.1\r\n" HOST "Origin: http://x\r\n\r\n", &answer);
	assert_string_equal(answer_header(&answer, "Access-Control-Allow-Origin"), "*");
	assert_string_equal(answer_header(&answer, "Access-Control-Expose-Headers"),
	                    "ETag, Retry-After, X-Request-Id");
	assert_string_equal(answer_header(&answer, "Cross-Origin-Resource-Policy"), "cross-origin");
	fixture_ask(*state,
	            "OPTIONS /ofrep/k HTTP/1.1\r\n" HOST
	            "Origin: http://x\r\nAccess-Control-Request-Method: POST\r\n\r\n",
	            &answer);
	assert_int_equal(answer.status, 204);
	assert_string_equal(answer_header(&answer, "Access-Control-Allow-Methods"), "POST, OPTIONS");
	assert_non_null(strstr(answer_header(&answer, "Access-Control-Allow-Headers"), "if-none-match"));
	assert_string_equal(answer_header(&answer, "Access-Control-Max-Age"), "600");
	fixture_ask(*state, "PUT /open/a/b HTTP/1.1\r\n" HOST "\r\n", &answer);
	assert_int_equal(answer.status, 405);
	assert_string_equal(answer_header(&answer, "Access-Control-Allow-Origin"), "*");
}

static void authorisation_comes_before_the_body(void **state)
{
	struct fixture *fixture = *state;
	struct answer answer;
	/* Keeps the connection: the short body is thrown away. */
	int fd = fixture_connect(fixture);
	fixture_send(fd, "POST /secret HTTP/1.1\r\n" HOST JSON "Content-Length: 2\r\n\r\n{}");
	fixture_read(fd, false, &answer);
	assert_int_equal(answer.status, 401);
	assert_string_equal(answer_header(&answer, "WWW-Authenticate"), "Bearer");
	assert_null(answer_header(&answer, "Connection"));
	assert_int_equal(atomic_load(&fixture->handled), 0);
	fixture_send(fd, "POST /secret HTTP/1.1\r\n" HOST JSON
	                 "Authorization: right\r\nContent-Length: 2\r\n\r\n{}");
	fixture_read(fd, false, &answer);
	assert_int_equal(answer.status, 200);
	(void)close(fd);
	/* Does not wait for a body that the peer only offers. */
	fd = fixture_connect(fixture);
	fixture_send(fd, "POST /secret HTTP/1.1\r\n" HOST JSON
	                 "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
	fixture_read(fd, false, &answer);
	assert_int_equal(answer.status, 401);
	assert_true(fixture_read_to_end(fd, NULL));
	(void)close(fd);
	fd = fixture_connect(fixture);
	fixture_send(fd, "POST /secret HTTP/1.1\r\n" HOST JSON
	                 "Authorization: right\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
	fixture_read(fd, false, &answer);
	assert_int_equal(answer.status, 100);
	fixture_send(fd, "{}");
	fixture_read(fd, false, &answer);
	assert_int_equal(answer.status, 200);
	(void)close(fd);
}

static void smuggling_is_refused(void **state)
{
	struct fixture *fixture = *state;
	/* clang-format off */
	static const char *const requests[] = {
		"POST /echo HTTP/1.1\r\n" HOST JSON "Content-Length: 3\r\nContent-Length: 6\r\n\r\nabcdef",
		"POST /echo HTTP/1.1\r\n" HOST JSON "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST /echo HTTP/1.1\r\n" HOST JSON "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"POST /echo HTTP/1.1\r\n" HOST JSON "Transfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc",
		"POST /echo HTTP/1.1\r\n" HOST JSON "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
		"POST /echo HTTP/1.1\r\n" HOST JSON "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST /echo HTTP/1.0\r\n" HOST JSON "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"GET /small HTTP/1.1\r\n" HOST HOST "\r\n",
		"GET /small HTTP/1.1\r\n\r\n",
		"GET http://localhost/small HTTP/1.1\r\n" HOST "\r\n",
		"GET localhost:80 HTTP/1.1\r\n" HOST "\r\n",
		"OPTIONS * HTTP/1.1\r\n" HOST "\r\n",
		"GET /small HTTP/1.1\r\n" HOST "X: a\rb\r\n\r\n",
		"GET /small HTTP/1.1\r\n" HOST "X: a\x01\r\n\r\n",
		"GET /small HTTP/1.1\r\n" HOST "X: a\n\r\n",
		"GET /small HTTP/1.1\n" HOST "\r\n",
		"GET /small HTTP/1.1\r\n" HOST "X: a\r\n b\r\n\r\n",
		"GET /small HTTP/1.1\r\n" HOST "X: a\r\n\tContent-Length: 5\r\n\r\n",
		"GET  /small HTTP/1.1\r\n" HOST "\r\n",
		"GET /small  HTTP/1.1\r\n" HOST "\r\n",
		"GET /sm all HTTP/1.1\r\n" HOST "\r\n",
		"GET /small%00x HTTP/1.1\r\n" HOST "\r\n",
		"GET /open/a%2fb/c HTTP/1.1\r\n" HOST "\r\n",
		"GET /open/../small HTTP/1.1\r\n" HOST "\r\n",
		"GET /open/%2e%2e/small HTTP/1.1\r\n" HOST "\r\n",
		"GET //small HTTP/1.1\r\n" HOST "\r\n",
		"GET /small?%zz HTTP/1.1\r\n" HOST "\r\n",
		"GET /small HTTP/1.2\r\n" HOST "\r\n",
		"GET /secret HTTP/1.1\r\n" HOST "Authorization: right\r\nAuthorization: right\r\n\r\n",
		"GET /secret HTTP/1.1\r\n" HOST "Authorization: \xc3\xa9\r\n\r\n",
	};
	/* clang-format on */
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		struct answer answer;
		int fd = fixture_connect(fixture);
		fixture_send(fd, requests[i]);
		fixture_send(fd, "GET /small HTTP/1.1\r\n" HOST "\r\n");
		fixture_read(fd, false, &answer);
		if (answer.status != 400 || strstr(answer.body, "\"code\":\"malformed\"") == NULL) {
			fail_msg("case %zu: %d: %s: %s", i, answer.status, requests[i], answer.body);
		}
		bool is_query = strstr(requests[i], "%zz") != NULL;
		size_t more = 1;
		if (!is_query) {
			assert_string_equal(answer_header(&answer, "Connection"), "close");
			assert_true(fixture_read_to_end(fd, &more));
			assert_int_equal(more, 0);
		}
		(void)close(fd);
	}
	struct http_stats stats;
	http_server_stats(fixture->server, &stats);
	assert_int_equal(stats.rejected_hygiene, sizeof(requests) / sizeof(requests[0]) - 1);
	assert_in_range(atomic_load(&fixture->handled), 0, 1);
}

static void nul_bytes_are_refused(void **state)
{
	static const char request[] = "GET /secret HTTP/1.1\r\n" HOST "Authorization: right\0wrong\r\n\r\n";
	struct answer answer;
	int fd = fixture_connect(*state);
	(void)fixture_send_n(fd, request, sizeof(request) - 1);
	fixture_read(fd, false, &answer);
	assert_int_equal(answer.status, 400);
	assert_non_null(strstr(answer.body, "NUL"));
	(void)close(fd);
}

/* What libmicrohttpd refuses by itself: no answer of ours, but a refusal and a closed connection. */
static void nonsense_is_refused(void **state)
{
	/* clang-format off */
	static const char *const requests[] = {
		"POST /echo HTTP/1.1\r\n" HOST JSON "Content-Length: +3\r\n\r\nabc",
		"POST /echo HTTP/1.1\r\n" HOST JSON "Content-Length: -1\r\n\r\n",
		"POST /echo HTTP/1.1\r\n" HOST JSON "Content-Length: 0x3\r\n\r\nabc",
		"POST /echo HTTP/1.1\r\n" HOST JSON "Content-Length: 99999999999999999999999\r\n\r\n",
		"POST /echo HTTP/1.1\r\n" HOST JSON "Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"GET /small\r\n\r\n",
		"GET\r\n\r\n",
		"GET /small HTTP/1.1\r\nno colon\r\n\r\n",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
	};
	/* clang-format on */
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		struct answer answer;
		int fd = fixture_connect(*state);
		fixture_send(fd, requests[i]);
		fixture_send(fd, "GET /small HTTP/1.1\r\n" HOST "\r\n");
		fixture_read(fd, true, &answer);
		if (answer.status != 0 && (answer.status < 400 || answer.status > 505)) {
			fail_msg("case %zu: %d: %s", i, answer.status, requests[i]);
		}
		assert_true(fixture_read_to_end(fd, NULL));
		(void)close(fd);
	}
	struct fixture *fixture = *state;
	assert_int_equal(atomic_load(&fixture->handled), 0);
}

static void connections_are_kept(void **state)
{
	int fd = fixture_connect(*state);
	struct answer answer;
	for (int i = 0; i < 100; i++) {
		fixture_send(fd, i % 2 == 0 ? "GET /small HTTP/1.1\r\n" HOST "\r\n"
		                            : "POST /echo HTTP/1.1\r\n" HOST JSON
		                              "Content-Length: 4\r\n\r\necho");
		fixture_read(fd, false, &answer);
		assert_string_equal(answer.body, i % 2 == 0 ? "small" : "echo");
	}
	fixture_send(fd, "GET /small HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
	fixture_read(fd, false, &answer);
	assert_true(fixture_read_to_end(fd, NULL));
	(void)close(fd);
}

static void pipelines_are_answered_in_order(void **state)
{
	enum { COUNT = 200 };
	char *requests = malloc(COUNT * 128);
	assert_non_null(requests);
	size_t length = 0;
	for (int i = 0; i < COUNT; i++) {
		length += (size_t)snprintf(requests + length, 128, "GET /%s/%d HTTP/1.1\r\n" HOST "\r\n",
		                           i % 10 == 9 ? "none" : "open/a", i);
	}
	int fd = fixture_connect(*state);
	(void)fixture_send_n(fd, requests, length);
	for (int i = 0; i < COUNT; i++) {
		struct answer answer;
		char expected[32];
		fixture_read(fd, false, &answer);
		(void)snprintf(expected, sizeof(expected), "a|%d|-", i);
		assert_int_equal(answer.status, i % 10 == 9 ? 404 : 200);
		if (i % 10 != 9) {
			assert_string_equal(answer.body, expected);
		}
	}
	(void)close(fd);
	free(requests);
}

static void large_answers_arrive_whole(void **state)
{
	int fd = fixture_connect(*state);
	size_t length = 0;
	fixture_send(fd, "GET /big HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
	assert_true(fixture_read_to_end(fd, &length));
	assert_in_range(length, 1024 * 1024 + 200, 1024 * 1024 + 2000);
	(void)close(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_default, close_fixture)
	const struct CMUnitTest tests[] = {
		TEST(requests_are_answered),
		TEST(bodies_are_read),
		TEST(requests_may_come_in_pieces),
		TEST(large_bodies_within_the_limit_are_read),
		TEST(problems_are_documents),
		TEST(answers_are_traced),
		TEST(answers_carry_security_headers),
		TEST(browsers_of_other_origins_are_let_in),
		TEST(authorisation_comes_before_the_body),
		TEST(smuggling_is_refused),
		TEST(nul_bytes_are_refused),
		TEST(nonsense_is_refused),
		TEST(connections_are_kept),
		TEST(pipelines_are_answered_in_order),
		TEST(large_answers_arrive_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
