/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/http_route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void handle(struct http_request *request, struct http_reply *reply)
{
	(void)request;
	(void)reply;
}

#define ROUTE(m, p)                                                          \
	{                                                                    \
		.method = (m), .pattern = (p), .name = (p), .handle = handle \
	}

/* clang-format off */
static const struct http_route routes[] = {
	ROUTE(HTTP_GET, "/"),
	ROUTE(HTTP_GET, "/flags"),
	ROUTE(HTTP_POST, "/flags"),
	ROUTE(HTTP_GET, "/flags/{key}"),
	ROUTE(HTTP_PATCH, "/flags/{key}"),
	ROUTE(HTTP_DELETE, "/flags/{key}"),
	ROUTE(HTTP_GET, "/flags/{key}/history"),
	ROUTE(HTTP_PUT, "/flags/{key}/environments/{env}"),
	ROUTE(HTTP_GET, "/audit/checkpoint"),
	ROUTE(HTTP_GET, "/audit/{id}"),
	ROUTE(HTTP_GET, "/audit/{id}/proof"),
	{ .method = HTTP_POST, .pattern = "/open/{a}/{b}/{c}/{d}", .name = "open", .flags = HTTP_ROUTE_CORS, .handle = handle },
};
/* clang-format on */

struct fixture {
	struct http_router *router;
	char scratch[256];
	struct http_match match;
};

static int setup(void **state)
{
	static struct fixture fixture;
	*state = &fixture;
	return http_router_new(routes, sizeof(routes) / sizeof(routes[0]), &fixture.router, NULL) !=
	       STATUS_OK;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	http_router_free(fixture->router);
	http_router_free(NULL);
	return 0;
}

/* Pattern of the route, "405 <allow>" or "404". */
static const char *match(struct fixture *fixture, enum http_method method, const char *target)
{
	static char text[128];
	struct http_path path;
	assert_int_equal(http_path_split(target, strlen(target), fixture->scratch, &path, NULL), STATUS_OK);
	http_route_match(fixture->router, method, &path, &fixture->match);
	if (fixture->match.route != NULL) {
		assert_int_equal(fixture->match.route->method, method);
		return fixture->match.route->pattern;
	}
	if (fixture->match.allow == NULL) {
		return "404";
	}
	(void)snprintf(text, sizeof(text), "405 %s", fixture->match.allow);
	return text;
}

static void routes_are_found(void **state)
{
	struct fixture *fixture = *state;
	assert_string_equal(match(fixture, HTTP_GET, "/"), "/");
	assert_string_equal(match(fixture, HTTP_GET, "/flags?x=1"), "/flags");
	assert_string_equal(match(fixture, HTTP_POST, "/flags"), "/flags");
	assert_string_equal(match(fixture, HTTP_PATCH, "/flags/a%2eb"), "/flags/{key}");
	assert_string_equal(fixture->match.params[0], "a.b");
	assert_null(fixture->match.params[1]);
	assert_string_equal(match(fixture, HTTP_GET, "/flags/history"), "/flags/{key}");
	assert_string_equal(match(fixture, HTTP_GET, "/flags/a/history"), "/flags/{key}/history");
	assert_string_equal(match(fixture, HTTP_PUT, "/flags/k/environments/prod"),
	                    "/flags/{key}/environments/{env}");
	assert_string_equal(fixture->match.params[0], "k");
	assert_string_equal(fixture->match.params[1], "prod");
	assert_string_equal(match(fixture, HTTP_POST, "/open/1/2/3/4"), "/open/{a}/{b}/{c}/{d}");
	assert_string_equal(fixture->match.params[3], "4");
	assert_int_equal(fixture->match.flags, HTTP_ROUTE_CORS);
}

static void literals_win_and_are_given_up(void **state)
{
	struct fixture *fixture = *state;
	assert_string_equal(match(fixture, HTTP_GET, "/audit/checkpoint"), "/audit/checkpoint");
	assert_string_equal(match(fixture, HTTP_GET, "/audit/7"), "/audit/{id}");
	assert_string_equal(match(fixture, HTTP_GET, "/audit/checkpoint/proof"), "/audit/{id}/proof");
	assert_string_equal(fixture->match.params[0], "checkpoint");
}

static void unknown_paths_and_methods_differ(void **state)
{
	struct fixture *fixture = *state;
	assert_string_equal(match(fixture, HTTP_GET, "/flag"), "404");
	assert_string_equal(match(fixture, HTTP_GET, "/flags/"), "404");
	assert_string_equal(match(fixture, HTTP_GET, "/Flags"), "404");
	assert_string_equal(match(fixture, HTTP_GET, "/flags/a/b"), "404");
	assert_string_equal(match(fixture, HTTP_GET, "/audit"), "404");
	assert_string_equal(match(fixture, HTTP_GET, "/open/1/2/3"), "404");
	assert_string_equal(match(fixture, HTTP_PUT, "/flags"), "405 GET, HEAD, POST");
	assert_string_equal(match(fixture, HTTP_PUT, "/flags/a"), "405 GET, HEAD, PATCH, DELETE");
	assert_string_equal(match(fixture, HTTP_METHOD_COUNT, "/flags"), "405 GET, HEAD, POST");
	assert_string_equal(match(fixture, HTTP_GET, "/open/1/2/3/4"), "405 POST, OPTIONS");
}

static void bad_tables_are_refused(void **state)
{
	(void)state;
	/* clang-format off */
	static const char *const patterns[] = {
		"", "a", "//", "/a/", "/a//b", "/{", "/}", "/{}", "/a{b}", "/{a}b", "/{{a}}", "/{a}/{b}/{c}/{d}/{e}",
		"/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7",
	};
	/* clang-format on */
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		struct http_route route = ROUTE(HTTP_GET, patterns[i]);
		struct http_router *router = NULL;
		struct error err = ERROR_INIT;
		if (http_router_new(&route, 1, &router, &err) != STATUS_INVALID || router != NULL ||
		    strstr(err.message, patterns[i]) == NULL) {
			fail_msg("let through: %s", patterns[i]);
		}
	}
	const struct http_route twice[] = { ROUTE(HTTP_GET, "/a/{b}"), ROUTE(HTTP_GET, "/a/{c}") };
	struct http_router *router = NULL;
	assert_int_equal(http_router_new(twice, 2, &router, NULL), STATUS_INVALID);
	const struct http_route method = ROUTE(HTTP_METHOD_COUNT, "/a");
	assert_int_equal(http_router_new(&method, 1, &router, NULL), STATUS_INVALID);
	assert_int_equal(http_router_new(NULL, 0, &router, NULL), STATUS_OK);
	http_router_free(router);
}

static void methods_have_names(void **state)
{
	(void)state;
	assert_string_equal(http_method_name(HTTP_DELETE), "DELETE");
	assert_string_equal(http_method_name(HTTP_METHOD_COUNT), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(routes_are_found),
		cmocka_unit_test(literals_win_and_are_given_up),
		cmocka_unit_test(unknown_paths_and_methods_differ),
		cmocka_unit_test(bad_tables_are_refused),
		cmocka_unit_test(methods_have_names),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
