/* SPDX-License-Identifier: Apache-2.0 */
#include "client/telemetry.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"

static struct telemetry telemetry;

static int setup(void **state)
{
	(void)state;
	telemetry_init(&telemetry, "0123456789abcdef", 42);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	telemetry_deinit(&telemetry);
	return 0;
}

static struct json report_parse(struct json_doc *doc)
{
	const struct json_limits limits = { .max_bytes = TELEMETRY_MAX_REPORT_BYTES,
		                            .max_nodes = 100000,
		                            .max_depth = 8 };
	struct error err = ERROR_INIT;
	const struct telemetry_report *report = telemetry_next(&telemetry);
	assert_non_null(report);
	assert_true(report->length <= TELEMETRY_MAX_REPORT_BYTES);
	if (json_parse(report->body, report->length, &limits, doc, &err) != STATUS_OK) {
		fail_msg("%s", err.message);
	}
	return json_root(doc);
}

static int64_t number(struct json object, const char *name)
{
	int64_t value = -1;
	assert_true(json_int64(json_get(object, name), &value));
	return value;
}

static void test_report(void **state)
{
	(void)state;
	telemetry_count(&telemetry, TELEMETRY_EVALUATIONS, "a", "on");
	telemetry_count(&telemetry, TELEMETRY_EVALUATIONS, "a", "on");
	telemetry_count(&telemetry, TELEMETRY_EVALUATIONS, "a", "");
	telemetry_count(&telemetry, TELEMETRY_UNKNOWN, "ghost", "");
	telemetry_collect(&telemetry, 1, 42, false);
	assert_string_equal(telemetry_next(&telemetry)->body,
	                    "{\"client\":{\"name\":\"libhalyard\",\"version\":\"" HALYARD_VERSION
	                    "\",\"instance\":\"0123456789abcdef\"},\"epoch\":\"1\",\"revision\":\"42\","
	                    "\"evaluations\":[{\"flag\":\"a\",\"variant\":\"on\",\"count\":2},"
	                    "{\"flag\":\"a\",\"variant\":\"\",\"count\":1}],"
	                    "\"unknown\":[{\"flag\":\"ghost\",\"count\":1}]}");
	telemetry_done(&telemetry, TELEMETRY_DELIVERED);
	assert_null(telemetry_next(&telemetry));
	/* Nothing counted, nothing said, unless it is wanted. */
	telemetry_collect(&telemetry, 1, 42, false);
	assert_null(telemetry_next(&telemetry));
	telemetry_collect(&telemetry, 1, 43, true);
	assert_int_equal(telemetry_next(&telemetry)->revision, 43);
	assert_null(strstr(telemetry_next(&telemetry)->body, "evaluations"));
}

static void test_latencies(void **state)
{
	(void)state;
	const struct {
		double latency_ms;
		int bucket; /* -1: none */
	} cases[] = { { 0, 0 },    { 1, 0 },          { 1.001, 1 },    { 2, 1 },      { 5, 2 },
		      { 49.9, 5 }, { 10000, 12 },     { 10000.1, 13 }, { 1e300, 13 }, { INFINITY, 13 },
		      { -1, -1 },  { -INFINITY, -1 }, { NAN, -1 },     { -0.0, 0 } };
	int64_t expected[TELEMETRY_LATENCIES] = { 0 };
	size_t count = sizeof(cases) / sizeof(cases[0]);
	for (size_t i = 0; i < count; i++) {
		telemetry_track(&telemetry, "a", "on", i % 2 == 0, cases[i].latency_ms);
		if (cases[i].bucket >= 0) {
			expected[cases[i].bucket]++;
		}
	}
	telemetry_collect(&telemetry, 1, 1, false);
	struct json_doc doc = { 0 };
	struct json row = JSON_NONE;
	assert_true(json_next(json_get(report_parse(&doc), "outcomes"), NULL, &row));
	assert_int_equal(number(row, "count"), count);
	assert_int_equal(number(row, "errors"), count / 2);
	struct json element = JSON_NONE;
	struct json latencies = json_get(row, "latency_ms");
	assert_int_equal(json_count(latencies), TELEMETRY_LATENCIES);
	for (int i = 0; json_next(latencies, NULL, &element); i++) {
		int64_t value = -1;
		assert_true(json_int64(element, &value));
		assert_int_equal(value, expected[i]);
	}
	json_doc_deinit(&doc);
}

/* A list is full at its bound: what is known counts on, what is new is dropped and counted. */
static void test_bounds(void **state)
{
	(void)state;
	char flag[32];
	for (int i = 0; i < TELEMETRY_MAX_ROWS + 50; i++) {
		(void)snprintf(flag, sizeof(flag), "flag-%d", i);
		telemetry_count(&telemetry, TELEMETRY_EVALUATIONS, flag, "on");
	}
	assert_int_equal(telemetry_dropped(&telemetry), 50);
	telemetry_count(&telemetry, TELEMETRY_EVALUATIONS, "flag-0", "on");
	telemetry_count(&telemetry, TELEMETRY_UNKNOWN, "other list", "");
	assert_int_equal(telemetry_dropped(&telemetry), 50);
	telemetry_collect(&telemetry, 1, 1, false);
	telemetry_count(&telemetry, TELEMETRY_EVALUATIONS, "there is room again", "on");
	assert_int_equal(telemetry_dropped(&telemetry), 50);
}

/* The longest names that there are: several reports, each within its bound, and no row is lost. */
static void test_split(void **state)
{
	(void)state;
	char flag[129];
	char variant[65];
	memset(flag, 'f', sizeof(flag) - 1);
	flag[128] = '\0';
	memset(variant, '"', sizeof(variant) - 1); /* twice as long in JSON */
	variant[64] = '\0';
	for (int i = 0; i < TELEMETRY_MAX_ROWS; i++) {
		(void)snprintf(flag, sizeof(flag), "%0128d", i);
		telemetry_track(&telemetry, flag, variant, true, 3);
		telemetry_count(&telemetry, TELEMETRY_UNKNOWN, flag, "");
	}
	telemetry_collect(&telemetry, UINT64_MAX, UINT64_MAX, false);
	int64_t outcomes = 0;
	int64_t unknown = 0;
	uint32_t reports = 0;
	for (; telemetry_next(&telemetry) != NULL; reports++) {
		struct json_doc doc = { 0 };
		struct json root = report_parse(&doc);
		assert_true(json_equals(json_get(root, "revision"), "18446744073709551615"));
		assert_true(json_count(json_get(root, "outcomes")) <= TELEMETRY_MAX_ROWS);
		outcomes += json_count(json_get(root, "outcomes"));
		unknown += json_count(json_get(root, "unknown"));
		json_doc_deinit(&doc);
		telemetry_done(&telemetry, TELEMETRY_DELIVERED);
	}
	assert_int_equal(outcomes + (int64_t)unknown, 2 * TELEMETRY_MAX_ROWS);
	assert_in_range(reports, 2, TELEMETRY_MAX_REPORTS);
	assert_int_equal(telemetry_dropped(&telemetry), 0);
}

static void test_queue(void **state)
{
	(void)state;
	/* A report that is not taken is tried again, three times in all. */
	telemetry_collect(&telemetry, 1, 1, true);
	for (int i = 1; i < TELEMETRY_MAX_ATTEMPTS; i++) {
		telemetry_done(&telemetry, TELEMETRY_RETRY);
		assert_int_equal(telemetry_next(&telemetry)->revision, 1);
	}
	telemetry_done(&telemetry, TELEMETRY_RETRY);
	assert_null(telemetry_next(&telemetry));
	assert_int_equal(telemetry_dropped(&telemetry), 1);
	telemetry_done(&telemetry, TELEMETRY_RETRY); /* none is there: nothing */
	/* One that is refused is not. */
	telemetry_collect(&telemetry, 1, 2, true);
	telemetry_done(&telemetry, TELEMETRY_REFUSED);
	assert_null(telemetry_next(&telemetry));
	assert_int_equal(telemetry_dropped(&telemetry), 2);
	/* The queue is full: the first, which may be on its way, stays; the next oldest goes. */
	for (uint64_t revision = 10; revision < 10 + TELEMETRY_MAX_REPORTS + 1; revision++) {
		telemetry_collect(&telemetry, 1, revision, true);
	}
	assert_int_equal(telemetry_dropped(&telemetry), 3);
	assert_int_equal(telemetry_next(&telemetry)->revision, 10);
	telemetry_done(&telemetry, TELEMETRY_DELIVERED);
	assert_int_equal(telemetry_next(&telemetry)->revision, 12);
}

static void *count_many(void *user)
{
	(void)user;
	char flag[32];
	for (int i = 0; i < 20000; i++) {
		(void)snprintf(flag, sizeof(flag), "flag-%d", i % 37);
		telemetry_count(&telemetry, TELEMETRY_EVALUATIONS, flag, "on");
	}
	return NULL;
}

/* Collects what is there now and gives how much was counted in it. */
static int64_t collect(void)
{
	int64_t counted = 0;
	struct json_doc doc = { 0 };
	struct json row = JSON_NONE;
	telemetry_collect(&telemetry, 1, 1, true);
	struct json rows = json_get(report_parse(&doc), "evaluations");
	while (json_next(rows, NULL, &row)) {
		counted += number(row, "count");
	}
	json_doc_deinit(&doc);
	telemetry_done(&telemetry, TELEMETRY_DELIVERED);
	return counted;
}

static void test_threads(void **state)
{
	(void)state;
	pthread_t threads[3];
	int64_t counted = 0;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, count_many, NULL), 0);
	}
	while (counted < 1000) {
		counted += collect();
	}
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	}
	counted += collect();
	assert_int_equal(counted, 60000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_report, setup, teardown),
		cmocka_unit_test_setup_teardown(test_latencies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_split, setup, teardown),
		cmocka_unit_test_setup_teardown(test_queue, setup, teardown),
		cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
