/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/sse.h"

#define MAX_LINE  64
#define MAX_EVENT 128

/* Everything that came out, as text: "type|id|data;" and "#;" for a comment. */
struct record {
	struct buf text;
	size_t stop_after; /* the handler stops after this many; 0: never */
	size_t count;
};

static bool on_event(void *user, const struct sse_event *event)
{
	struct record *record = user;
	assert_int_equal(strlen(event->data), event->length);
	buf_append_format(&record->text, "%s|%s|%s;", event->type, event->id, event->data);
	return ++record->count != record->stop_after;
}

static bool on_comment(void *user)
{
	struct record *record = user;
	buf_append_string(&record->text, "#;");
	return ++record->count != record->stop_after;
}

/* Feeds @stream in pieces of @piece bytes. */
static enum status parse(const char *stream, size_t length, size_t piece, struct record *record)
{
	struct sse sse;
	enum status status = STATUS_OK;
	const struct sse_handler handler = { .on_event = on_event, .on_comment = on_comment, .user = record };
	sse_init(&sse, MAX_LINE, MAX_EVENT);
	buf_init(&record->text, 65536);
	record->count = 0;
	for (size_t i = 0; i < length && status == STATUS_OK; i += piece) {
		/* Memory of the very size, so that a sanitizer sees every byte read behind it. */
		size_t n = length - i < piece ? length - i : piece;
		char *bytes = malloc(n);
		assert_non_null(bytes);
		memcpy(bytes, stream + i, n);
		status = sse_feed(&sse, bytes, n, &handler, NULL);
		free(bytes);
	}
	sse_deinit(&sse);
	return status;
}

/* The same must come out however the stream is cut. */
static void expect(const char *stream, const char *expected)
{
	size_t length = strlen(stream);
	for (size_t piece = 1; piece <= length; piece++) {
		struct record record = { 0 };
		assert_int_equal(parse(stream, length, piece, &record), STATUS_OK);
		assert_string_equal(buf_string(&record.text), expected);
		buf_deinit(&record.text);
	}
}

static void test_events(void **state)
{
	(void)state;
	expect("id: 1-42\nevent: delta\ndata: a\ndata: b\n\n: hb\n", "delta|1-42|a\nb\n;#;");
	expect("data: x\n\n", "message||x\n;");
	expect("data\n\n", "message||\n;");
	expect("data:x\ndata: y\ndata:  z\n\n", "message||x\ny\n z\n;");
	/* An event without data is none; one that is not ended is none. */
	expect("event: snapshot\n\ndata: x\n\n", "message||x\n;");
	expect("data: x\n", "");
	expect("", "");
	expect("\n\n\n", "");
	/* Ids stay for the events that follow; other fields and retry are passed over. */
	expect("id: 7\ndata: a\n\nretry: 10\nfoo: bar\nnothing\ndata: b\n\n", "message|7|a\n;message|7|b\n;");
	expect("id: 7\nid\ndata: a\n\n", "message||a\n;");
	expect(":\n:ok\n: ok\n", "#;#;#;");
	expect("data: a:b: c\n\n", "message||a:b: c\n;");
}

static void test_line_ends(void **state)
{
	(void)state;
	expect("data: a\r\n\r\ndata: b\r\rdata: c\n\n", "message||a\n;message||b\n;message||c\n;");
	expect("data: a\r\n: x\r\r\n", "#;message||a\n;");
	expect("\xef\xbb\xbf"
	       "data: a\n\n\xef\xbb\xbf"
	       "data: b\n\n",
	       "message||a\n;");
	expect("\xef\xbb"
	       "data: a\n\n",
	       "");
}

static void test_limits(void **state)
{
	(void)state;
	char stream[1024];
	struct record record = { 0 };
	/* A line of the limit is fine, a byte more is not, ended or not. */
	for (size_t length = MAX_LINE - 1; length <= MAX_LINE + 1; length++) {
		memset(stream, 'x', length);
		memcpy(stream, "data:", 5);
		memcpy(stream + length, "\n\n", 2);
		enum status expected = length <= MAX_LINE ? STATUS_OK : STATUS_TOO_LARGE;
		for (size_t piece = 1; piece <= length + 2; piece += 7) {
			assert_int_equal(parse(stream, length + 2, piece, &record), expected);
			assert_int_equal(record.count, expected == STATUS_OK);
			buf_deinit(&record.text);
		}
	}
	/* So for the data of an event: twelve bytes and LF each. */
	size_t used = 0;
	for (int lines = 1; lines <= 11; lines++) {
		memcpy(stream + used, "data: 123456789012\n", 19);
		used += 19;
		memcpy(stream + used, "\n", 1);
		enum status expected = lines * 13 <= MAX_EVENT ? STATUS_OK : STATUS_TOO_LARGE;
		assert_int_equal(parse(stream, used + 1, 5, &record), expected);
		assert_int_equal(record.count, expected == STATUS_OK);
		buf_deinit(&record.text);
	}
}

static void test_failure_is_sticky(void **state)
{
	(void)state;
	struct sse sse;
	struct record record = { 0 };
	struct error err = ERROR_INIT;
	const struct sse_handler handler = { .on_event = on_event, .user = &record };
	char line[MAX_LINE + 2];
	memset(line, 'x', sizeof(line));
	buf_init(&record.text, 65536);
	sse_init(&sse, MAX_LINE, MAX_EVENT);
	assert_int_equal(sse_feed(&sse, line, sizeof(line), &handler, &err), STATUS_TOO_LARGE);
	assert_non_null(strstr(err.message, "line of the stream"));
	assert_int_equal(sse_feed(&sse, "\n\ndata: a\n\n", 11, &handler, NULL), STATUS_TOO_LARGE);
	assert_int_equal(record.count, 0);
	sse_reset(&sse);
	assert_int_equal(sse_feed(&sse, "data: a\n\n", 9, &handler, NULL), STATUS_OK);
	assert_int_equal(record.count, 1);
	sse_deinit(&sse);
	buf_deinit(&record.text);
}

static void test_stop(void **state)
{
	(void)state;
	struct record record = { .stop_after = 2 };
	const char *stream = "data: a\n\n: c\n\ndata: b\n\n";
	assert_int_equal(parse(stream, strlen(stream), strlen(stream), &record), STATUS_OK);
	assert_string_equal(buf_string(&record.text), "message||a\n;#;");
	buf_deinit(&record.text);
}

static void test_ids(void **state)
{
	(void)state;
	struct record record = { 0 };
	const char with_nul[] = "id: 1\nid: 2\0003\ndata: a\n\n";
	assert_int_equal(parse(with_nul, sizeof(with_nul) - 1, 3, &record), STATUS_OK);
	assert_string_equal(buf_string(&record.text), "message|1|a\n;");
	buf_deinit(&record.text);
	/* The limits of this test allow no id that is too long; those of a client do. */
	struct sse sse;
	const struct sse_handler handler = { .on_event = on_event, .user = &record };
	char line[128] = "id: ";
	memset(line + 4, '9', 100);
	memcpy(line + 104, "\ndata: a\n\n", 10);
	buf_init(&record.text, 65536);
	sse_init(&sse, 1000, MAX_EVENT);
	assert_int_equal(sse_feed(&sse, "id: 5\n", 6, &handler, NULL), STATUS_OK);
	assert_int_equal(sse_feed(&sse, line, 114, &handler, NULL), STATUS_OK);
	assert_string_equal(buf_string(&record.text), "message|5|a\n;");
	sse_deinit(&sse);
	buf_deinit(&record.text);
}

/* A large event does not leave its memory behind. */
static void test_memory(void **state)
{
	(void)state;
	struct sse sse;
	struct record record = { 0 };
	const struct sse_handler handler = { .on_comment = on_comment, .user = &record };
	size_t length = (size_t)1024 * 1024;
	char *line = malloc(length);
	assert_non_null(line);
	memset(line, 'x', length);
	memcpy(line, "data: ", 6);
	line[length - 2] = '\n';
	line[length - 1] = '\n';
	buf_init(&record.text, 65536);
	sse_init(&sse, 2 * length, 2 * length);
	assert_int_equal(sse_feed(&sse, line, length, &handler, NULL), STATUS_OK);
	assert_true(sse.line.capacity + sse.data.capacity < length);
	assert_int_equal(sse_feed(&sse, ": x\n", 4, &handler, NULL), STATUS_OK);
	assert_int_equal(record.count, 1);
	sse_deinit(&sse);
	buf_deinit(&record.text);
	free(line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_events), cmocka_unit_test(test_line_ends),
		cmocka_unit_test(test_limits), cmocka_unit_test(test_failure_is_sticky),
		cmocka_unit_test(test_stop),   cmocka_unit_test(test_ids),
		cmocka_unit_test(test_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
