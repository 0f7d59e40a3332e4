/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/http_hygiene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/*
 * Reads a head as libmicrohttpd 0.9.75 does: in place, leniently. Lines end at LF, a CR in front of it is dropped,
 * strings end at their first NUL, blanks after the colon are skipped.
 */
struct lenient {
	char *bytes;
	struct http_field fields[HTTP_MAX_FIELDS];
	struct http_head head;
};

static char *line_cut(char **p, char *end)
{
	char *line = *p;
	char *feed = memchr(line, '\n', (size_t)(end - line));
	assert_non_null(feed);
	*feed = '\0';
	if (feed > line && feed[-1] == '\r') {
		feed[-1] = '\0';
	}
	*p = feed + 1;
	return line;
}

static void lenient_read(const char *text, size_t length, struct lenient *ret)
{
	*ret = (struct lenient){ .bytes = malloc(length) };
	assert_non_null(ret->bytes);
	memcpy(ret->bytes, text, length);
	char *p = ret->bytes;
	char *end = p + length;
	char *line = line_cut(&p, end);
	ret->head.fields = ret->fields;
	ret->head.method = line;
	char *space = strchr(line, ' ');
	*space = '\0';
	char *target = space + 1 + strspn(space + 1, " ");
	char *version = strrchr(target, ' ');
	*version = '\0';
	ret->head.version = version + 1;
	ret->head.target_length = strlen(target);
	for (line = line_cut(&p, end); line[0] != '\0'; line = line_cut(&p, end)) {
		char *colon = strchr(line, ':');
		assert_non_null(colon);
		*colon = '\0';
		char *value = colon + 1 + strspn(colon + 1, " \t");
		if (ret->head.field_count < HTTP_MAX_FIELDS) {
			ret->fields[ret->head.field_count] = (struct http_field){
				.name = line,
				.value = value,
				.name_length = (uint32_t)strlen(line),
				.value_length = (uint32_t)strlen(value),
			};
		}
		ret->head.field_count++;
	}
	ret->head.bytes = (size_t)(p - ret->bytes);
}

static enum status check_n(const char *text, size_t length, struct http_facts *facts)
{
	struct lenient lenient;
	struct error err = ERROR_INIT;
	lenient_read(text, length, &lenient);
	enum status status = http_hygiene_check(&lenient.head, facts, &err);
	assert_int_equal(status, err.status);
	assert_int_equal(status == STATUS_OK, err.message[0] == '\0');
	free(lenient.bytes);
	return status;
}

static enum status check(const char *text)
{
	struct http_facts facts;
	return check_n(text, strlen(text), &facts);
}

/* A POST with these header lines. */
static enum status check_fields(const char *lines)
{
	char text[4096];
	(void)snprintf(text, sizeof(text), "POST /a HTTP/1.1\r\nHost: h\r\n%s\r\n", lines);
	return check(text);
}

static void honest_heads_pass(void **state)
{
	(void)state;
	assert_int_equal(check("GET / HTTP/1.1\r\nHost: localhost:8016\r\n\r\n"), STATUS_OK);
	assert_int_equal(check("GET /a?b=c HTTP/1.0\r\n\r\n"), STATUS_OK);
	assert_int_equal(check("GET / HTTP/1.0\r\nhost:\r\n\r\n"), STATUS_OK);
	assert_int_equal(check_fields("Content-Length: 12\r\nContent-Type: application/json\r\n"), STATUS_OK);
	assert_int_equal(check_fields("Transfer-Encoding: chunked\r\n"), STATUS_OK);
	assert_int_equal(check_fields("TRANSFER-encoding:CHUNKED\r\n"), STATUS_OK);
	assert_int_equal(check_fields("Cookie: a=1\r\nCookie: b=2\r\nX-Forwarded-For: 1.2.3.4\r\n"),
	                 STATUS_OK);
	assert_int_equal(check_fields("User-Agent: \xc3\xa9t\xc3\xa9 (a\tb)\r\nAccept:  \t */*\r\n"),
	                 STATUS_OK);
	assert_int_equal(check_fields("Authorization: Bearer hly_o_abc\r\nIf-Match: W/\"1\"\r\n"), STATUS_OK);
	assert_int_equal(check_fields("Upgrade: h2c\r\nConnection: Upgrade\r\nExpect: 100-continue\r\n"),
	                 STATUS_OK);
}

static void facts_are_gathered(void **state)
{
	(void)state;
	struct http_field fields[] = { { "hOST", "h", 4, 1 },
		                       { "content-length", "65536", 14, 5 },
		                       { "X-Api-Key", "k", 9, 1 },
		                       { "last-event-id", "1-2", 13, 3 },
		                       { "If-None-Match", "*", 13, 1 } };
	struct http_head head = {
		.method = "PUT", .version = "HTTP/1.1", .fields = fields, .field_count = 5
	};
	struct http_facts facts;
	assert_int_equal(http_hygiene_check(&head, &facts, NULL), STATUS_OK);
	assert_int_equal(facts.content_length, 65536);
	assert_false(facts.is_chunked);
	assert_string_equal(facts.known[HTTP_KNOWN_X_API_KEY], "k");
	assert_string_equal(facts.known[HTTP_KNOWN_LAST_EVENT_ID], "1-2");
	assert_string_equal(facts.known[HTTP_KNOWN_IF_NONE_MATCH], "*");
	assert_null(facts.known[HTTP_KNOWN_AUTHORIZATION]);
}

static void ambiguous_framing_is_refused(void **state)
{
	(void)state;
	/* clang-format off */
	static const char *const refused[] = {
		"Content-Length: 3\r\nContent-Length: 6\r\n",
		"Content-Length: 3\r\nContent-Length: 3\r\n",
		"content-length: 3\r\nCONTENT-LENGTH: 3\r\n",
		"Content-Length: 3, 3\r\n",
		"Content-Length: +3\r\n",
		"Content-Length: -1\r\n",
		"Content-Length: 0x3\r\n",
		"Content-Length: 3 \r\n",
		"Content-Length:\r\n",
		"Content-Length: 18446744073709551616\r\n",
		"Content-Length: 99999999999999999999999\r\n",
		"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
		"Transfer-Encoding: gzip, chunked\r\n",
		"Transfer-Encoding: identity\r\n",
		"Transfer-Encoding: chunked, identity\r\n",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
		"Transfer-Encoding: xchunked\r\n",
		"Transfer-Encoding: chunked \r\n",
		"Transfer-Encoding:\r\n",
		"Transfer-Encoding : chunked\r\n",
		"Transfer-Encoding\t: chunked\r\n",
		" Transfer-Encoding: chunked\r\n",
		"Transfer\x0b-Encoding: chunked\r\n",
		"Transfer\rEncoding: chunked\r\n",
		": chunked\r\n",
		"X-\xc3\xa9: 1\r\n",
		"X(Y): 1\r\n",
	};
	/* clang-format on */
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		if (check_fields(refused[i]) != STATUS_MALFORMED) {
			fail_msg("let through: %s", refused[i]);
		}
	}
	assert_int_equal(check("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), STATUS_MALFORMED);
}

static void hosts_are_counted(void **state)
{
	(void)state;
	assert_int_equal(check("GET / HTTP/1.1\r\n\r\n"), STATUS_MALFORMED);
	assert_int_equal(check_fields("Host: other\r\n"), STATUS_MALFORMED);
	assert_int_equal(check("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"), STATUS_MALFORMED);
}

static void our_headers_stand_once(void **state)
{
	(void)state;
	static const char *const names[] = { "Authorization", "X-API-Key",       "If-Match",
		                             "If-None-Match", "Idempotency-Key", "Last-Event-ID",
		                             "traceparent",   "Content-Type",    "Expect" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char lines[256];
		(void)snprintf(lines, sizeof(lines), "%s: a\r\n", names[i]);
		assert_int_equal(check_fields(lines), STATUS_OK);
		(void)snprintf(lines, sizeof(lines), "%s: a\r\n%s: a\r\n", names[i], names[i]);
		assert_int_equal(check_fields(lines), STATUS_MALFORMED);
		(void)snprintf(lines, sizeof(lines), "%s: \xc3\xa9\r\n", names[i]);
		assert_int_equal(check_fields(lines), STATUS_MALFORMED);
		(void)snprintf(lines, sizeof(lines), "%s: a\tb\r\n", names[i]);
		assert_int_equal(check_fields(lines), STATUS_MALFORMED);
	}
}

/* Every byte at every place of a value, so that the words and the rest are both looked at. */
static void control_bytes_in_values_are_refused(void **state)
{
	(void)state;
	for (int c = 0; c < 256; c++) {
		for (size_t at = 0; at < 20; at++) {
			char text[64] = "GET / HTTP/1.0\r\nX: ";
			size_t start = strlen(text);
			memset(text + start, 'v', 20);
			text[start + at] = (char)c;
			memcpy(text + start + 20, "\r\n\r\n", 4);
			if (c == '\n' || (at == 0 && (c == ' ' || c == '\t'))) {
				continue;
			}
			bool is_fine = (c >= ' ' && c != 0x7f) || c == '\t';
			struct http_facts facts;
			enum status status = check_n(text, start + 24, &facts);
			if (status != (is_fine ? STATUS_OK : STATUS_MALFORMED)) {
				fail_msg("byte %d at %zu: %d", c, at, status);
			}
		}
	}
}

static void what_is_not_in_place_is_noticed(void **state)
{
	(void)state;
	/* Bare LF: at the request line, at a header, at the end. */
	assert_int_equal(check("GET / HTTP/1.1\nHost: h\r\n\r\n"), STATUS_MALFORMED);
	assert_int_equal(check("GET / HTTP/1.1\r\nHost: h\n\r\n"), STATUS_MALFORMED);
	assert_int_equal(check("GET / HTTP/1.1\r\nHost: h\r\n\n"), STATUS_MALFORMED);
	assert_int_equal(check("GET / HTTP/1.1\nHost: h\n\n"), STATUS_MALFORMED);
	/* Blanks around the target. */
	assert_int_equal(check("GET  / HTTP/1.1\r\nHost: h\r\n\r\n"), STATUS_MALFORMED);
	/* NUL: the parser's strings end there. */
	struct http_facts facts;
	static const char nul[] = "GET / HTTP/1.1\r\nHost: h\0Transfer-Encoding: chunked\r\n\r\n";
	assert_int_equal(check_n(nul, sizeof(nul) - 1, &facts), STATUS_MALFORMED);
	struct lenient lenient;
	char folded_name[] = "X-Folded";
	lenient_read(nul, sizeof(nul) - 1, &lenient);
	/* A folded line makes the parser copy the name elsewhere. */
	lenient.fields[0].name = folded_name;
	lenient.fields[0].name_length = 8;
	assert_int_equal(http_hygiene_check(&lenient.head, &facts, NULL), STATUS_MALFORMED);
	free(lenient.bytes);
}

static void number_of_headers_is_bounded(void **state)
{
	(void)state;
	char text[2048] = "GET / HTTP/1.1\r\nHost: h\r\n";
	size_t length = strlen(text);
	for (int i = 1; i < HTTP_MAX_FIELDS; i++) {
		memcpy(text + length, "X: y\r\n", 7);
		length += 6;
	}
	memcpy(text + length, "\r\n", 3);
	assert_int_equal(check(text), STATUS_OK);
	memcpy(text + length, "X: y\r\n\r\n", 9);
	assert_int_equal(check(text), STATUS_HEADERS_TOO_LARGE);
}

static void versions_and_methods_are_checked(void **state)
{
	(void)state;
	assert_int_equal(check("GET / HTTP/1.2\r\nHost: h\r\n\r\n"), STATUS_MALFORMED);
	assert_int_equal(check("GET / HTTP/2.0\r\nHost: h\r\n\r\n"), STATUS_MALFORMED);
	assert_int_equal(check("GET / http/1.1\r\nHost: h\r\n\r\n"), STATUS_MALFORMED);
	assert_int_equal(check("G\x01T / HTTP/1.1\r\nHost: h\r\n\r\n"), STATUS_MALFORMED);
	assert_int_equal(check("BREW / HTTP/1.1\r\nHost: h\r\n\r\n"), STATUS_OK);
}

static void json_types_are_known(void **state)
{
	(void)state;
	static const char *const json[] = { "application/json",
		                            "Application/JSON",
		                            "application/json; charset=utf-8",
		                            "application/json;charset=UTF-8",
		                            "application/json ; charset=\"utf-8\"",
		                            "application/json\t;\tcharset=utf-8 ",
		                            "application/merge-patch+json" };
	static const char *const other[] = { "",
		                             "text/json",
		                             "application/jsonx",
		                             "application/json-seq",
		                             "application/json; charset=latin1",
		                             "application/json; charset=utf-8; x=y",
		                             "application/json; charset=\"utf-8",
		                             "application/json;",
		                             "application/json, text/plain",
		                             "application/+json",
		                             "application/x-www-form-urlencoded",
		                             "multipart/form-data; boundary=json" };
	for (size_t i = 0; i < sizeof(json) / sizeof(json[0]); i++) {
		if (!http_hygiene_is_json(json[i])) {
			fail_msg("refused: %s", json[i]);
		}
	}
	for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
		if (http_hygiene_is_json(other[i])) {
			fail_msg("let through: %s", other[i]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(honest_heads_pass),
		cmocka_unit_test(facts_are_gathered),
		cmocka_unit_test(ambiguous_framing_is_refused),
		cmocka_unit_test(hosts_are_counted),
		cmocka_unit_test(our_headers_stand_once),
		cmocka_unit_test(control_bytes_in_values_are_refused),
		cmocka_unit_test(what_is_not_in_place_is_noticed),
		cmocka_unit_test(number_of_headers_is_bounded),
		cmocka_unit_test(versions_and_methods_are_checked),
		cmocka_unit_test(json_types_are_known),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
