/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/base/document.h"

#include <math.h>

#include "base/json_write.h"

static void everything_that_can_be_written(void **state)
{
	(void)state;
	struct buf buf;
	struct json_writer w;
	struct document document;
	struct json root = document_open(&document, "{ \"x\" : [ 1.50 , \"\\u0061\" ] }");
	buf_init(&buf, 10000);
	json_writer_init(&w, &buf);
	json_begin_object(&w);
	json_put_key(&w, "list");
	json_begin_array(&w);
	json_put_null(&w);
	json_put_boolean(&w, true);
	json_put_boolean(&w, false);
	json_put_int64(&w, INT64_MIN);
	json_put_int64(&w, INT64_MAX);
	json_put_double(&w, 1.0);
	json_put_string(&w, "a\"b");
	json_put_string(&w, NULL);
	json_put_string_n(&w, "abc", 2);
	json_put_uint64_string(&w, UINT64_MAX);
	json_put_time(&w, 0);
	json_put_raw(&w, "[1]", 3);
	json_put_value(&w, root);
	json_put_value(&w, JSON_NONE);
	json_begin_object(&w);
	json_end_object(&w);
	json_begin_array(&w);
	json_end_array(&w);
	json_end_array(&w);
	json_put_key_string(&w, "s", "t");
	json_put_key_boolean(&w, "b", true);
	json_put_key_int64(&w, "i", -7);
	json_put_key_uint64_string(&w, "u", 7);
	json_put_key_time(&w, "t", 1795253400125);
	json_put_key_value(&w, "v", json_get(root, "x"));
	json_put_key_string(&w, "k\n", NULL);
	json_end_object(&w);
	assert_int_equal(buf_status(&buf, "JSON", NULL), STATUS_OK);
	assert_string_equal(buf.data,
	                    "{\"list\":[null,true,false,-9223372036854775808,9223372036854775807,1.0,"
	                    "\"a\\\"b\",null,\"ab\","
	                    "\"18446744073709551615\",\"1970-01-01T00:00:00.000Z\",[1],{\"x\":[1.50,"
	                    "\"\\u0061\"]},null,{},[]],"
	                    "\"s\":\"t\",\"b\":true,\"i\":-7,\"u\":\"7\",\"t\":\"2026-11-21T09:30:00.125Z\","
	                    "\"v\":[1.50,\"\\u0061\"],\"k\\n\":null}");
	document_close(&document);
	buf_deinit(&buf);
}

static void append_expect(const char *bytes, size_t length, const char *expected)
{
	struct buf buf;
	char *copy = malloc(length > 0 ? length : 1);
	assert_non_null(copy);
	memcpy(copy, bytes, length);
	buf_init(&buf, 10000);
	json_append_string(&buf, copy, length);
	assert_string_equal(buf.data, expected);
	buf_deinit(&buf);
	free(copy);
}

static void strings_are_escaped(void **state)
{
	(void)state;
	append_expect("", 0, "\"\"");
	append_expect("a\"b\\c/d", 7, "\"a\\\"b\\\\c/d\"");
	append_expect("\b\f\n\r\t", 5, "\"\\b\\f\\n\\r\\t\"");
	append_expect("\0\x01\x1f\x7f", 4, "\"\\u0000\\u0001\\u001f\x7f\"");
	append_expect("\xc3\xa4\xe2\x82\xac\xf0\x9f\x9a\xa9\xe2\x80\xa8", 12,
	              "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x9a\xa9\xe2\x80\xa8\"");
	append_expect("0123456789abcdef\n0123456789abcdef\"", 34,
	              "\"0123456789abcdef\\n0123456789abcdef\\\"\"");
}

/* Should not come, but must not make the whole answer unreadable. */
static void invalid_utf8_becomes_a_replacement(void **state)
{
	(void)state;
	append_expect("a\xff"
	              "b",
	              3,
	              "\"a\xef\xbf\xbd"
	              "b\"");
	append_expect("\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
	append_expect("a\xf0\x9f\x9a", 4, "\"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
	append_expect("a\xc3", 2, "\"a\xef\xbf\xbd\"");
}

/* Whatever is written as a string reads back as the same one. */
static void every_character_reads_back(void **state)
{
	(void)state;
	char text[0x80];
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		text[i] = (char)(i + 1);
	}
	text[sizeof(text) - 1] = '\0';
	struct buf buf;
	struct document document;
	buf_init(&buf, 10000);
	json_append_string(&buf, text, strlen(text));
	assert_true(json_equals(document_open(&document, buf.data), text));
	document_close(&document);
	buf_deinit(&buf);
}

static void doubles_that_json_cannot_say_are_null(void **state)
{
	(void)state;
	struct buf buf;
	struct json_writer w;
	buf_init(&buf, 100);
	json_writer_init(&w, &buf);
	json_begin_array(&w);
	json_put_double(&w, NAN);
	json_put_double(&w, INFINITY);
	json_put_double(&w, -INFINITY);
	json_put_double(&w, -0.0);
	json_put_double(&w, 0.1);
	json_put_double(&w, 1e300);
	json_end_array(&w);
	assert_string_equal(buf.data, "[null,null,null,-0.0,0.1,1e+300]");
	buf_deinit(&buf);
}

static void nest(struct json_writer *w, unsigned depth)
{
	for (unsigned i = 0; i < depth; i++) {
		json_begin_array(w);
		json_put_int64(w, 1);
	}
	for (unsigned i = 0; i < depth; i++) {
		json_put_int64(w, 2);
		json_end_array(w);
	}
}

static void nesting_has_a_limit(void **state)
{
	(void)state;
	struct buf buf;
	struct json_writer w;
	struct document document;
	buf_init(&buf, 1000);
	json_writer_init(&w, &buf);
	nest(&w, 32);
	assert_false(buf.failed);
	(void)document_open(&document, buf.data);
	assert_int_equal(document.doc.count, 32 + 64);
	document_close(&document);
	buf_reset(&buf);
	json_writer_init(&w, &buf);
	nest(&w, 33);
	assert_int_equal(buf_status(&buf, "JSON", NULL), STATUS_TOO_LARGE);
	buf_reset(&buf);
	json_writer_init(&w, &buf);
	json_end_array(&w);
	assert_true(buf.failed);
	buf_deinit(&buf);
}

static void a_full_buffer_fails_once_and_for_all(void **state)
{
	(void)state;
	struct buf buf;
	struct json_writer w;
	buf_init(&buf, 10);
	json_writer_init(&w, &buf);
	json_begin_object(&w);
	json_put_key_string(&w, "a", "0123456789");
	json_put_key_int64(&w, "b", 1);
	json_end_object(&w);
	assert_int_equal(buf_status(&buf, "JSON", NULL), STATUS_TOO_LARGE);
	buf_deinit(&buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_that_can_be_written),
		cmocka_unit_test(strings_are_escaped),
		cmocka_unit_test(invalid_utf8_becomes_a_replacement),
		cmocka_unit_test(every_character_reads_back),
		cmocka_unit_test(doubles_that_json_cannot_say_are_null),
		cmocka_unit_test(nesting_has_a_limit),
		cmocka_unit_test(a_full_buffer_fails_once_and_for_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
