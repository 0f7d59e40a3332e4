/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/http_path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static enum status split_n(const char *target, size_t length, char *scratch, struct http_path *path)
{
	struct error err = ERROR_INIT;
	enum status status = http_path_split(target, length, scratch, path, &err);
	assert_int_equal(err.status, status);
	return status;
}

/* Segments joined by '|', then '?' and the query. */
static const char *split(const char *target)
{
	static char joined[512];
	char scratch[512];
	struct http_path path;
	enum status status = split_n(target, strlen(target), scratch, &path);
	if (status != STATUS_OK) {
		return status_slug(status);
	}
	size_t length = 0;
	joined[0] = '\0';
	for (size_t i = 0; i < path.count; i++) {
		assert_int_equal(strlen(path.segments[i].text), path.segments[i].length);
		length += (size_t)snprintf(joined + length, sizeof(joined) - length, "|%s",
		                           path.segments[i].text);
	}
	if (path.query_length > 0) {
		(void)snprintf(joined + length, sizeof(joined) - length, "?%.*s", (int)path.query_length,
		               path.query);
	}
	return joined;
}

static void paths_are_split_and_decoded(void **state)
{
	(void)state;
	assert_string_equal(split("/"), "");
	assert_string_equal(split("/?a=1"), "?a=1");
	assert_string_equal(split("/healthz"), "|healthz");
	assert_string_equal(split("/api/v1/flags/a.b_c-d"), "|api|v1|flags|a.b_c-d");
	assert_string_equal(split("/a/"), "|a|");
	assert_string_equal(split("/a/?"), "|a|");
	assert_string_equal(split("/a?b/../c?d"), "|a?b/../c?d");
	assert_string_equal(split("/fl%61g"), "|flag");
	assert_string_equal(split("/%C3%A9%F0%9F%98%80"), "|\xc3\xa9\xf0\x9f\x98\x80");
	assert_string_equal(split("/a%20b+c"), "|a b+c");
	assert_string_equal(split("/%2525"), "|%25");
	assert_string_equal(split("/a%3Fb%23"), "|a?b#");
	assert_string_equal(split("/..."), "|...");
	assert_string_equal(split("/.a/a./a..b"), "|.a|a.|a..b");
}

static void other_targets_are_refused(void **state)
{
	(void)state;
	/* clang-format off */
	static const char *const refused[] = {
		"", "a", "*", "?a", "http://host/a", "host:80", "//", "//a", "/a//b", "/a//", "/.", "/..", "/./a", "/a/.",
		"/a/..", "/a/../b", "/%2e", "/%2e%2e/a", "/.%2E", "/a%2fb", "/a%2Fb", "/%00", "/a%00b", "/%0a", "/%7f", "/%1F",
		"/%", "/%4", "/%4g", "/%g4", "/a%", "/a%2", "/a b", "/a#b", "/a\tb", "/a\x7f", "/\xc3\xa9", "/%ff", "/%c3",
		"/%c3/%a9", "/%ed%a0%80", "/%c0%af", "/a?b c", "/a?b#c", "/a?\x80", "/a?\n", "/%-1", "/%+1", "/% 1",
	};
	/* clang-format on */
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		if (strcmp(split(refused[i]), "malformed") != 0) {
			fail_msg("%s gives %s", refused[i], split(refused[i]));
		}
	}
}

static void nul_bytes_are_refused(void **state)
{
	(void)state;
	char scratch[16];
	struct http_path path = { .count = 7 };
	assert_int_equal(split_n("/a\0b", 4, scratch, &path), STATUS_MALFORMED);
	assert_int_equal(split_n("/a?\0", 4, scratch, &path), STATUS_MALFORMED);
	assert_int_equal(path.count, 7);
}

static void escapes_are_not_read_beyond_the_end(void **state)
{
	(void)state;
	char scratch[16];
	struct http_path path;
	assert_int_equal(split_n("/a%41", 4, scratch, &path), STATUS_MALFORMED);
	assert_int_equal(split_n("/a%41", 5, scratch, &path), STATUS_OK);
	assert_string_equal(path.segments[0].text, "aA");
}

static void depth_is_bounded(void **state)
{
	(void)state;
	char target[2 * (HTTP_PATH_MAX_SEGMENTS + 1) + 1] = "";
	for (size_t i = 0; i <= HTTP_PATH_MAX_SEGMENTS; i++) {
		target[2 * i] = '/';
		target[2 * i + 1] = 'a';
	}
	assert_string_equal(split(target), "uri_too_long");
	target[2 * HTTP_PATH_MAX_SEGMENTS] = '\0';
	assert_string_not_equal(split(target), "uri_too_long");
}

/* Pairs as "name=value;". */
static const char *query_n(const char *query, size_t length)
{
	static char joined[512];
	char scratch[512];
	struct http_pair pairs[HTTP_QUERY_MAX_PAIRS];
	size_t count = 99;
	struct error err = ERROR_INIT;
	enum status status = http_query_split(query, length, scratch, pairs, &count, &err);
	assert_int_equal(err.status, status);
	if (status != STATUS_OK) {
		assert_int_equal(count, 99);
		return status_slug(status);
	}
	size_t used = 0;
	joined[0] = '\0';
	for (size_t i = 0; i < count; i++) {
		used += (size_t)snprintf(joined + used, sizeof(joined) - used, "%s=%s;", pairs[i].name,
		                         pairs[i].value);
	}
	return joined;
}

static const char *query(const char *text)
{
	return query_n(text, strlen(text));
}

static void queries_are_split_and_decoded(void **state)
{
	(void)state;
	assert_string_equal(query(""), "");
	assert_string_equal(query("a"), "a=;");
	assert_string_equal(query("a="), "a=;");
	assert_string_equal(query("a=1&b=2"), "a=1;b=2;");
	assert_string_equal(query("a=1&a=2&"), "a=1;a=2;");
	assert_string_equal(query("a=b=c"), "a=b=c;");
	assert_string_equal(query("q=x+y%2Bz%26%3d"), "q=x y+z&=;");
	assert_string_equal(query("%61=%C3%A9"), "a=\xc3\xa9;");
	assert_string_equal(query_n("a=%41", 4), "malformed");
}

static void other_queries_are_refused(void **state)
{
	(void)state;
	static const char *const refused[] = { "=1",    "&",     "a&&b", "a=%",   "a=%4",  "a=%zz",
		                               "a=%00", "a=%0a", "%=1",  "a=%ff", "%c3=a", "a=\n" };
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		if (strcmp(query(refused[i]), "malformed") != 0) {
			fail_msg("%s gives %s", refused[i], query(refused[i]));
		}
	}
}

static void parameters_are_counted(void **state)
{
	(void)state;
	char text[2 * (HTTP_QUERY_MAX_PAIRS + 1) + 1] = "";
	for (size_t i = 0; i <= HTTP_QUERY_MAX_PAIRS; i++) {
		memcpy(text + 2 * i, "a&", 3);
	}
	assert_string_equal(query(text), "too_large");
	assert_string_not_equal(query_n(text, strlen(text) - 2), "too_large");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_are_split_and_decoded),
		cmocka_unit_test(other_targets_are_refused),
		cmocka_unit_test(nul_bytes_are_refused),
		cmocka_unit_test(escapes_are_not_read_beyond_the_end),
		cmocka_unit_test(depth_is_bounded),
		cmocka_unit_test(queries_are_split_and_decoded),
		cmocka_unit_test(other_queries_are_refused),
		cmocka_unit_test(parameters_are_counted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
