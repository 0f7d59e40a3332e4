/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/telemetry.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "flagd/recent_table.h"

#define NOW_MS 1790000000000

static const struct json_limits limits = { .max_bytes = 65536, .max_nodes = 20000, .max_depth = 4 };

#define CLIENT "\"client\":{\"name\":\"libhalyard\",\"version\":\"0.1.0\",\"instance\":\"0123456789abcdef\"}"
#define HEAD   "{" CLIENT ",\"epoch\":\"1\",\"revision\":\"42\""

static int telemetry_make(void **state)
{
	*state = sodium_init() < 0 ? NULL : telemetry_new();
	return *state == NULL ? -1 : 0;
}

static int telemetry_release(void **state)
{
	telemetry_free(*state);
	return 0;
}

static enum status text_take(struct telemetry *telemetry, const char *environment, const char *text,
                             int64_t now_ms, struct error *err)
{
	struct json_doc doc = { 0 };
	if (json_parse(text, strlen(text), &limits, &doc, err) != STATUS_OK) {
		fail_msg("%s: %s", text, err->message);
	}
	const enum status status = telemetry_take(telemetry, environment, json_root(&doc), now_ms, err);
	json_doc_deinit(&doc);
	return status;
}

static void taken(struct telemetry *telemetry, const char *environment, const char *text, int64_t now_ms)
{
	struct error err = ERROR_INIT;
	if (text_take(telemetry, environment, text, now_ms, &err) != STATUS_OK) {
		fail_msg("%s at %s", err.message, err.path);
	}
}

/* What telemetry_write() says; free() it. */
static char *written(struct telemetry *telemetry, const char *environment, const char *flag)
{
	struct buf buf;
	struct json_writer w;
	buf_init(&buf, (size_t)8 * 1024 * 1024);
	json_writer_init(&w, &buf);
	telemetry_write(telemetry, environment, flag, &w);
	assert_false(buf.failed);
	return buf_steal(&buf, NULL);
}

static void is_written(struct telemetry *telemetry, const char *environment, const char *flag,
                       const char *expected)
{
	char *const text = written(telemetry, environment, flag);
	assert_string_equal(text, expected);
	free(text);
}

#define NOTHING "{\"flags\":[],\"unknown\":[],\"clients\":[],\"dropped\":0}"

static void nothing_heard_is_empty(void **state)
{
	is_written(*state, "prod", NULL, NOTHING);
	is_written(*state, "prod", "x", NOTHING);
}

static void reports_add_up(void **state)
{
	struct telemetry *const telemetry = *state;
	taken(telemetry, "prod",
	      HEAD ",\"evaluations\":[{\"flag\":\"A\",\"variant\":\"on\",\"count\":12},"
	           "{\"flag\":\"A\",\"variant\":\"\",\"count\":1},{\"flag\":\"A\",\"variant\":\"on\","
	           "\"count\":3}],"
	           "\"unknown\":[{\"flag\":\"gone\",\"count\":3}],"
	           "\"outcomes\":[{\"flag\":\"A\",\"variant\":\"on\",\"count\":10,\"errors\":1,"
	           "\"latency_ms\":[0,2,5,3,0,0,0,0,0,0,0,0,0,0]}]}",
	      NOW_MS);
	taken(telemetry, "prod",
	      "{" CLIENT ",\"epoch\":\"2\",\"revision\":\"18446744073709551615\","
	      "\"outcomes\":[{\"flag\":\"A\",\"variant\":\"on\",\"count\":2,\"errors\":2,"
	      "\"latency_ms\":[1,1,0,0,0,0,0,0,0,0,0,0,0,9]}],\"unknown\":[{\"flag\":\"gone\",\"count\":1}]}",
	      NOW_MS + 1000);
	taken(telemetry, "dev", HEAD "}", NOW_MS);
	is_written(
	        telemetry, "prod", NULL,
	        "{\"flags\":["
	        "{\"flag\":\"A\",\"variant\":\"on\",\"count\":15,\"last_seen\":\"2026-09-21T14:13:21.000Z\","
	        "\"outcomes\":{\"count\":12,\"errors\":3,\"latency_ms\":[1,3,5,3,0,0,0,0,0,0,0,0,0,9]}},"
	        "{\"flag\":\"A\",\"variant\":\"\",\"count\":1,\"last_seen\":\"2026-09-21T14:13:20.000Z\","
	        "\"outcomes\":{\"count\":0,\"errors\":0,\"latency_ms\":[0,0,0,0,0,0,0,0,0,0,0,0,0,0]}}],"
	        "\"unknown\":[{\"flag\":\"gone\",\"count\":4,\"last_seen\":\"2026-09-21T14:13:21.000Z\"}],"
	        "\"clients\":[{\"instance\":\"0123456789abcdef\",\"name\":\"libhalyard\",\"version\":\"0.1."
	        "0\","
	        "\"epoch\":\"2\",\"revision\":\"18446744073709551615\",\"last_seen\":\"2026-09-21T14:13:21."
	        "000Z\"}],"
	        "\"dropped\":0}");
	is_written(telemetry, "dev", NULL,
	           "{\"flags\":[],\"unknown\":[],"
	           "\"clients\":[{\"instance\":\"0123456789abcdef\",\"name\":\"libhalyard\",\"version\":\"0."
	           "1.0\","
	           "\"epoch\":\"1\",\"revision\":\"42\",\"last_seen\":\"2026-09-21T14:13:20.000Z\"}],"
	           "\"dropped\":0}");
	is_written(telemetry, "staging", NULL, NOTHING);
}

static void one_flag_can_be_asked_for(void **state)
{
	struct telemetry *const telemetry = *state;
	taken(telemetry, "prod",
	      HEAD ",\"evaluations\":[{\"flag\":\"A\",\"variant\":\"on\",\"count\":1},"
	           "{\"flag\":\"AB\",\"variant\":\"on\",\"count\":2}],"
	           "\"unknown\":[{\"flag\":\"B\",\"count\":3},{\"flag\":\"C\",\"count\":3}]}",
	      NOW_MS);
	char *text = written(telemetry, "prod", "A");
	assert_non_null(strstr(text, "{\"flags\":[{\"flag\":\"A\",\"variant\":\"on\",\"count\":1,"));
	assert_null(strstr(text, "AB"));
	assert_non_null(strstr(text, "\"unknown\":[],"));
	free(text);
	text = written(telemetry, "prod", "B");
	assert_non_null(strstr(text, "{\"flags\":[],\"unknown\":[{\"flag\":\"B\","));
	assert_null(strstr(text, "\"C\""));
	free(text);
}

#define LATENCY  "[0,0,0,0,0,0,0,0,0,0,0,0,0,0]"
#define EVAL(e)  HEAD ",\"evaluations\":[{\"flag\":\"good\",\"variant\":\"on\",\"count\":1}," e "]}"
#define OUT(row) HEAD ",\"outcomes\":[" row "]}"
#define KEY_128                                                            \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define TEXT_64 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static const struct {
	const char *text, *path;
} wrong_reports[] = {
	{ "[]", "" },
	{ "{}", "/client" },
	{ HEAD ",\"more\":1}", "/more" },
	{ "{" CLIENT ",\"revision\":\"1\"}", "/epoch" },
	{ "{" CLIENT ",\"epoch\":\"1\"}", "/revision" },
	{ "{" CLIENT ",\"epoch\":1,\"revision\":\"1\"}", "/epoch" },
	{ "{" CLIENT ",\"epoch\":\"\",\"revision\":\"1\"}", "/epoch" },
	{ "{" CLIENT ",\"epoch\":\"-1\",\"revision\":\"1\"}", "/epoch" },
	{ "{" CLIENT ",\"epoch\":\"01\",\"revision\":\"1\"}", "/epoch" },
	{ "{" CLIENT ",\"epoch\":\"1 \",\"revision\":\"1\"}", "/epoch" },
	{ "{" CLIENT ",\"epoch\":\"1\",\"revision\":\"18446744073709551616\"}", "/revision" },
	{ "{" CLIENT ",\"epoch\":\"1\",\"revision\":\"111111111111111111111\"}", "/revision" },
	{ "{\"client\":{},\"epoch\":\"1\",\"revision\":\"1\"}", "/client/name" },
	{ "{\"client\":{\"name\":\"" TEXT_64 "x\",\"version\":\"1\",\"instance\":\"0123456789abcdef\"},"
	  "\"epoch\":\"1\",\"revision\":\"1\"}",
	  "/client/name" },
	{ "{\"client\":{\"name\":\"a\",\"version\":\"1\",\"instance\":\"0123456789ABCDEF\"},"
	  "\"epoch\":\"1\",\"revision\":\"1\"}",
	  "/client/instance" },
	{ "{\"client\":{\"name\":\"a\",\"version\":\"1\",\"instance\":\"0123456789abcde\"},"
	  "\"epoch\":\"1\",\"revision\":\"1\"}",
	  "/client/instance" },
	{ HEAD ",\"evaluations\":{}}", "/evaluations" },
	{ EVAL("1"), "/evaluations/1" },
	{ EVAL("{\"flag\":\"x\",\"count\":1}"), "/evaluations/1/variant" },
	{ EVAL("{\"flag\":\"x\",\"variant\":\"y\"}"), "/evaluations/1/count" },
	{ EVAL("{\"flag\":\"x\",\"variant\":\"y\",\"count\":1,\"errors\":0}"), "/evaluations/1/errors" },
	{ EVAL("{\"flag\":\"\",\"variant\":\"y\",\"count\":1}"), "/evaluations/1/flag" },
	{ EVAL("{\"flag\":\"a b\",\"variant\":\"y\",\"count\":1}"), "/evaluations/1/flag" },
	{ EVAL("{\"flag\":\"" KEY_128 "a\",\"variant\":\"y\",\"count\":1}"), "/evaluations/1/flag" },
	{ EVAL("{\"flag\":\"x\",\"variant\":\"" TEXT_64 "x\",\"count\":1}"), "/evaluations/1/variant" },
	{ EVAL("{\"flag\":\"x\",\"variant\":null,\"count\":1}"), "/evaluations/1/variant" },
	{ EVAL("{\"flag\":\"x\",\"variant\":\"y\",\"count\":-1}"), "/evaluations/1/count" },
	{ EVAL("{\"flag\":\"x\",\"variant\":\"y\",\"count\":1.0}"), "/evaluations/1/count" },
	{ EVAL("{\"flag\":\"x\",\"variant\":\"y\",\"count\":1e2}"), "/evaluations/1/count" },
	{ EVAL("{\"flag\":\"x\",\"variant\":\"y\",\"count\":\"1\"}"), "/evaluations/1/count" },
	{ EVAL("{\"flag\":\"x\",\"variant\":\"y\",\"count\":9007199254740992}"), "/evaluations/1/count" },
	{ EVAL("{\"flag\":\"x\",\"variant\":\"y\",\"count\":99999999999999999999}"), "/evaluations/1/count" },
	{ HEAD ",\"unknown\":[{\"flag\":\"x\",\"variant\":\"\",\"count\":1}]}", "/unknown/0/variant" },
	{ HEAD ",\"unknown\":[{\"flag\":\"/etc\",\"count\":1}]}", "/unknown/0/flag" },
	{ OUT("{\"flag\":\"x\",\"variant\":\"y\",\"count\":1,\"errors\":0}"), "/outcomes/0/latency_ms" },
	{ OUT("{\"flag\":\"x\",\"variant\":\"y\",\"count\":1,\"latency_ms\":" LATENCY "}"),
	  "/outcomes/0/errors" },
	{ OUT("{\"flag\":\"x\",\"variant\":\"y\",\"count\":1,\"errors\":-1,\"latency_ms\":" LATENCY "}"),
	  "/outcomes/0/errors" },
	{ OUT("{\"flag\":\"x\",\"variant\":\"y\",\"count\":1,\"errors\":0,"
	      "\"latency_ms\":[0,0,0,0,0,0,0,0,0,0,0,0,0]}"),
	  "/outcomes/0/latency_ms" },
	{ OUT("{\"flag\":\"x\",\"variant\":\"y\",\"count\":1,\"errors\":0,"
	      "\"latency_ms\":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}"),
	  "/outcomes/0/latency_ms" },
	{ OUT("{\"flag\":\"x\",\"variant\":\"y\",\"count\":1,\"errors\":0,"
	      "\"latency_ms\":[0,0,0,0,0,0,0,0,0,0,0,0,0,-1]}"),
	  "/outcomes/0/latency_ms/13" },
	{ OUT("{\"flag\":\"x\",\"variant\":\"y\",\"count\":1,\"errors\":0,"
	      "\"latency_ms\":[0,0,null,0,0,0,0,0,0,0,0,0,0,0]}"),
	  "/outcomes/0/latency_ms/2" },
};

static void wrong_reports_are_refused_whole(void **state)
{
	for (size_t i = 0; i < sizeof(wrong_reports) / sizeof(wrong_reports[0]); i++) {
		struct error err = ERROR_INIT;
		assert_int_equal(text_take(*state, "prod", wrong_reports[i].text, NOW_MS, &err),
		                 STATUS_INVALID);
		assert_string_equal(err.path, wrong_reports[i].path);
		assert_int_not_equal(err.message[0], '\0');
	}
	is_written(*state, "prod", NULL, NOTHING);
}

static void limits_themselves_are_accepted(void **state)
{
	taken(*state, "prod",
	      EVAL("{\"flag\":\"" KEY_128 "\",\"variant\":\"" TEXT_64 "\",\"count\":9007199254740991}"),
	      NOW_MS);
	taken(*state, "prod", EVAL("{\"flag\":\"" KEY_128 "\",\"variant\":\"" TEXT_64 "\",\"count\":5}"),
	      NOW_MS);
	char *const text = written(*state, "prod", KEY_128);
	assert_non_null(strstr(text, "\"count\":9007199254740991,")); /* and stays there */
	free(text);
}

/* Report with @count rows {"flag":"<prefix><n>"…}, n from @first on; free() it. */
static char *rows_report(const char *list, const char *prefix, unsigned first, unsigned count)
{
	struct buf buf;
	buf_init(&buf, 1024 * 1024);
	buf_append_format(&buf, HEAD ",\"%s\":[", list);
	for (unsigned i = 0; i < count; i++) {
		buf_append_format(&buf, "%s{\"flag\":\"%s%u\",%s\"count\":1}", i == 0 ? "" : ",", prefix,
		                  first + i, strcmp(list, "unknown") == 0 ? "" : "\"variant\":\"on\",");
	}
	buf_append_string(&buf, "]}");
	return buf_steal(&buf, NULL);
}

static void a_thousand_rows_are_the_limit(void **state)
{
	struct error err = ERROR_INIT;
	char *text = rows_report("evaluations", "f", 0, 1000);
	taken(*state, "prod", text, NOW_MS);
	free(text);
	text = rows_report("evaluations", "f", 0, 1001);
	assert_int_equal(text_take(*state, "prod", text, NOW_MS, &err), STATUS_INVALID);
	assert_string_equal(err.path, "/evaluations");
	free(text);
}

/* 64 KiB of the shortest outcomes: what a client may send must be read. */
static void the_longest_report_fits_the_limits(void **state)
{
	struct buf buf;
	buf_init(&buf, limits.max_bytes);
	buf_append_string(&buf, HEAD ",\"outcomes\":[");
	while (buf.length + 120 < limits.max_bytes) {
		buf_append_format(
		        &buf,
		        "%s{\"flag\":\"a\",\"variant\":\"\",\"count\":1,\"errors\":0,\"latency_ms\":" LATENCY
		        "}",
		        buf.data[buf.length - 1] == '[' ? "" : ",");
	}
	buf_append_string(&buf, "]}");
	taken(*state, "prod", buf_string(&buf), NOW_MS);
	buf_deinit(&buf);
}

static unsigned count_of(const char *text, const char *part)
{
	unsigned count = 0;
	for (text = strstr(text, part); text != NULL; text = strstr(text + 1, part)) {
		count++;
	}
	return count;
}

static void tables_are_bounded(void **state)
{
	for (unsigned first = 0; first < TELEMETRY_MAX_SERIES + 1000; first += 1000) {
		char *const text = rows_report("evaluations", "f", first, 1000);
		taken(*state, "prod", text, NOW_MS);
		free(text);
	}
	for (unsigned first = 0; first < 2 * TELEMETRY_MAX_UNKNOWN; first += 1000) {
		char *const text = rows_report("unknown", "u", first, 1000);
		taken(*state, "prod", text, NOW_MS);
		free(text);
	}
	char *text = written(*state, "prod", NULL);
	assert_int_equal(count_of(text, "\"outcomes\""), 1000);
	assert_int_equal(count_of(text, "{\"flag\":\"u"), TELEMETRY_MAX_UNKNOWN);
	assert_non_null(strstr(text, "\"dropped\":2000}"));
	assert_non_null(strstr(text, "\"f19999\""));
	assert_null(strstr(text, "\"f20000\""));
	free(text);
	/* What was not heard of for an hour makes room. */
	char *const later = rows_report("evaluations", "later", 0, 10);
	taken(*state, "prod", later, NOW_MS + RECENT_TABLE_KEEP_MS + 1);
	free(later);
	text = written(*state, "prod", NULL);
	assert_int_equal(count_of(text, "\"later"), 10);
	assert_non_null(strstr(text, "\"dropped\":2000}"));
	free(text);
}

static void clients_are_bounded(void **state)
{
	for (unsigned i = 0; i < TELEMETRY_MAX_CLIENTS + 5; i++) {
		char text[256];
		(void)snprintf(text, sizeof(text),
		               "{\"client\":{\"name\":\"n\",\"version\":\"v\",\"instance\":\"%016x\"},"
		               "\"epoch\":\"1\",\"revision\":\"0\"}",
		               i);
		taken(*state, "prod", text, NOW_MS);
	}
	char *const text = written(*state, "prod", NULL);
	assert_int_equal(count_of(text, "\"instance\""), 1000);
	assert_non_null(strstr(text, "\"dropped\":5}"));
	free(text);
}

static uint64_t revision_of(void *user, const char *environment)
{
	(void)user;
	return strcmp(environment, "prod") == 0 ? 50 : 42;
}

static void metrics_tell_counts_and_lag(void **state)
{
	struct buf page;
	buf_init(&page, 65536);
	taken(*state, "prod",
	      HEAD ",\"evaluations\":[{\"flag\":\"A\",\"variant\":\"o\\\"n\",\"count\":7}],"
	           "\"unknown\":[{\"flag\":\"gone\",\"count\":3},{\"flag\":\"gone2\",\"count\":4}]}",
	      NOW_MS);
	telemetry_metrics_write(*state, NOW_MS + 60000, revision_of, NULL, &page);
	assert_non_null(strstr(buf_string(&page),
	                       "halyard_client_evaluations_total{environment=\"prod\",flag=\"A\","
	                       "variant=\"o\\\"n\"} 7\n"));
	assert_non_null(
	        strstr(buf_string(&page), "halyard_client_unknown_flags_total{environment=\"prod\"} 7\n"));
	assert_non_null(strstr(buf_string(&page), "halyard_client_revision_lag{environment=\"prod\"} 8\n"));
	buf_reset(&page);
	telemetry_metrics_write(*state, NOW_MS + 60001, revision_of, NULL, &page);
	assert_non_null(strstr(buf_string(&page), "halyard_client_revision_lag{environment=\"prod\"} 0\n"));
	buf_reset(&page);
	taken(*state, "dev", HEAD "}", NOW_MS);
	telemetry_metrics_write(*state, NOW_MS, revision_of, NULL, &page);
	assert_non_null(strstr(buf_string(&page), "halyard_client_revision_lag{environment=\"dev\"} 0\n"));
	assert_int_equal(count_of(buf_string(&page), "# TYPE"), 3);
	buf_deinit(&page);
}

#define REPORTS 300

static void *reports_take(void *user)
{
	for (int i = 0; i < REPORTS; i++) {
		taken(user, i % 2 == 0 ? "prod" : "dev",
		      HEAD ",\"evaluations\":[{\"flag\":\"A\",\"variant\":\"on\",\"count\":1}]}", NOW_MS);
	}
	return NULL;
}

static void threads_lose_nothing(void **state)
{
	pthread_t threads[3];
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, reports_take, *state), 0);
	}
	char *text = written(*state, "prod", NULL);
	free(text);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	}
	text = written(*state, "prod", NULL);
	char expected[64];
	(void)snprintf(expected, sizeof(expected), "\"variant\":\"on\",\"count\":%d,", 3 * REPORTS / 2);
	assert_non_null(strstr(text, expected));
	free(text);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, telemetry_make, telemetry_release)
	const struct CMUnitTest tests[] = {
		TEST(nothing_heard_is_empty),
		TEST(reports_add_up),
		TEST(one_flag_can_be_asked_for),
		TEST(wrong_reports_are_refused_whole),
		TEST(limits_themselves_are_accepted),
		TEST(a_thousand_rows_are_the_limit),
		TEST(the_longest_report_fits_the_limits),
		TEST(tables_are_bounded),
		TEST(clients_are_bounded),
		TEST(metrics_tell_counts_and_lag),
		TEST(threads_lose_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
