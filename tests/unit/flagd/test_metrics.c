/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/metrics.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const types[] = {
#define TYPE(constant, name, type, help) type,
	METRICS_TABLE(TYPE)
#undef TYPE
};

static const char *const names[] = {
#define NAME(constant, name, type, help) name,
	METRICS_TABLE(NAME)
#undef NAME
};

static int page_make(void **state)
{
	static struct buf page;
	buf_init(&page, 1024 * 1024);
	*state = &page;
	return 0;
}

static int page_release(void **state)
{
	buf_deinit(*state);
	return 0;
}

static void samples_are_escaped(void **state)
{
	struct buf *const page = *state;
	metrics_sample(page, METRIC_FLAGS, "", NULL, 3);
	metrics_sample(page, METRIC_FLAGS, "", (const char *[]){ NULL }, 3);
	metrics_sample(page, METRIC_FLAGS, "", (const char *[]){ "environment", "a\"b\\c\nd", NULL }, 0);
	metrics_sample(page, METRIC_FLAGS, "_sum", (const char *[]){ "a", "", "b", "ü", NULL }, 0.25);
	assert_string_equal(buf_string(page), "halyard_environment_flags 3\n"
	                                      "halyard_environment_flags 3\n"
	                                      "halyard_environment_flags{environment=\"a\\\"b\\\\c\\nd\"} 0\n"
	                                      "halyard_environment_flags_sum{a=\"\",b=\"ü\"} 0.25\n");
}

static void numbers_keep_their_value(void **state)
{
	struct buf *const page = *state;
	static const struct {
		double value;
		const char *text;
	} cases[] = {
		{ 0, "0" },
		{ -1, "-1" },
		{ 999999999999999, "999999999999999" },
		{ 9007199254740992.0, "9007199254740992.0" },
		{ 0.1, "0.1" },
		{ 1700000000.125, "1700000000.125" },
		{ 1e300, "1e+300" },
		{ NAN, "NaN" },
		{ INFINITY, "+Inf" },
		{ -INFINITY, "-Inf" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char expected[96];
		(void)snprintf(expected, sizeof(expected), "halyard_epoch %s\n", cases[i].text);
		buf_reset(page);
		metrics_sample(page, METRIC_EPOCH, "", NULL, cases[i].value);
		assert_string_equal(buf_string(page), expected);
	}
}

static void header_names_and_types(void **state)
{
	struct buf *const page = *state;
	metrics_begin(page, METRIC_STREAMS);
	assert_string_equal(buf_string(page), "# HELP halyard_streams Open event streams\n"
	                                      "# TYPE halyard_streams gauge\n");
}

/* Value of the line that begins with @series and a blank; -1 when there is none. */
static double value_of(const struct buf *page, const char *series)
{
	const size_t length = strlen(series);
	for (const char *line = buf_string(page); line != NULL; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, series, length) == 0 && line[length] == ' ') {
			return strtod(line + length, NULL);
		}
	}
	return -1;
}

static void histogram_bounds_are_inclusive_and_cumulative(void **state)
{
	struct buf *const page = *state;
	struct metrics_histogram two[2] = { 0 };
	metrics_observe(&two[0], -5);
	metrics_observe(&two[0], 100);
	metrics_observe(&two[0], 101);
	metrics_observe(&two[1], 10000000);
	metrics_observe(&two[1], 10000001);
	metrics_observe(&two[1], 50000);
	metrics_histogram_write(page, METRIC_COMMIT_DURATION, (const char *[]){ "kind", "x", NULL }, two, 2,
	                        sizeof(two[0]));
#define BUCKET(le) "halyard_store_commit_duration_seconds_bucket{kind=\"x\",le=\"" le "\"}"
	assert_true(value_of(page, BUCKET("0.0001")) == 2);
	assert_true(value_of(page, BUCKET("0.00025")) == 3);
	assert_true(value_of(page, BUCKET("0.025")) == 3);
	assert_true(value_of(page, BUCKET("0.05")) == 4);
	assert_true(value_of(page, BUCKET("10")) == 5);
	assert_true(value_of(page, BUCKET("+Inf")) == 6);
	assert_true(value_of(page, "halyard_store_commit_duration_seconds_count{kind=\"x\"}") == 6);
	assert_true(fabs(value_of(page, "halyard_store_commit_duration_seconds_sum{kind=\"x\"}") -
	                 20.050202) < 1e-9);
}

static const char *const routes[] = { "flag_get", "flag_list" };

static void http_counts_by_route_and_class(void **state)
{
	struct buf *const page = *state;
	struct metrics_http *const http = metrics_http_new(2, 3);
	assert_non_null(http);
	metrics_http_observe(http, 0, 0, 200, 10);
	metrics_http_observe(http, 1, 0, 204, 10);
	metrics_http_observe(http, 2, 0, 404, 10);
	metrics_http_observe(http, 2, 2, 404, 10);
	metrics_http_observe(http, 2, SIZE_MAX, 599, 10);
	metrics_http_observe(http, 2, 2, 0, 10);
	metrics_http_observe(http, 2, 2, 600, 10);
	metrics_http_write(http, routes, page);
	assert_true(value_of(page, "halyard_http_requests_total{route=\"flag_get\",status=\"2xx\"}") == 2);
	assert_true(value_of(page, "halyard_http_requests_total{route=\"flag_get\",status=\"4xx\"}") == 1);
	assert_true(value_of(page, "halyard_http_requests_total{route=\"flag_get\",status=\"5xx\"}") == -1);
	assert_true(value_of(page, "halyard_http_requests_total{route=\"none\",status=\"4xx\"}") == 1);
	assert_true(value_of(page, "halyard_http_requests_total{route=\"none\",status=\"5xx\"}") == 3);
	assert_true(value_of(page, "halyard_http_request_duration_seconds_count{route=\"flag_get\"}") == 3);
	assert_true(value_of(page, "halyard_http_request_duration_seconds_count{route=\"none\"}") == 4);
	assert_null(strstr(buf_string(page), "flag_list"));
	metrics_http_free(http);
	metrics_http_free(NULL);
}

struct counting {
	struct metrics_http *http;
	size_t shard;
};

#define COUNTED 10000

static void *requests_count(void *user)
{
	const struct counting *const counting = user;
	for (int i = 0; i < COUNTED; i++) {
		metrics_http_observe(counting->http, counting->shard, 1, 200, i);
	}
	return NULL;
}

static void counting_from_threads_loses_nothing(void **state)
{
	struct buf *const page = *state;
	struct metrics_http *const http = metrics_http_new(2, 2);
	assert_non_null(http);
	struct counting counting[3] = { { http, 0 }, { http, 1 }, { http, 1 } };
	pthread_t threads[3];
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, requests_count, &counting[i]), 0);
	}
	metrics_http_write(http, routes, page); /* reading meanwhile is allowed */
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	}
	buf_reset(page);
	metrics_http_write(http, routes, page);
	assert_true(value_of(page, "halyard_http_requests_total{route=\"flag_list\",status=\"2xx\"}") ==
	            3 * COUNTED);
	assert_true(value_of(page, "halyard_http_request_duration_seconds_count{route=\"flag_list\"}") ==
	            3 * COUNTED);
	metrics_http_free(http);
}

/* Every metric of the table once, with the labels that the table's help promises. */
static void page_write(struct buf *page)
{
	struct metrics_http *const http = metrics_http_new(2, 1);
	assert_non_null(http);
	metrics_http_observe(http, 0, 0, 200, 1234);
	metrics_http_observe(http, 0, 2, 404, 20);
	metrics_http_write(http, routes, page);
	metrics_http_free(http);
	for (size_t i = 0; i < METRIC_COUNT; i++) {
		const char *const labels[] = { "environment", "prod \"1\"\n\\", NULL };
		if (i == METRIC_HTTP_REQUESTS || i == METRIC_HTTP_DURATION) {
			continue;
		}
		metrics_begin(page, (enum metric)i);
		if (strcmp(types[i], "histogram") == 0) {
			struct metrics_histogram histogram = { 0 };
			metrics_observe(&histogram, 777);
			metrics_histogram_write(page, (enum metric)i, labels, &histogram, 1, 0);
		} else {
			metrics_sample(page, (enum metric)i, "", labels, 1.5);
		}
	}
}

static void promtool_accepts_the_page(void **state)
{
	struct buf *const page = *state;
	int ends[2];
	page_write(page);
	assert_false(page->failed);
	assert_true(page->length < 65536); /* fits into a pipe: nobody waits for anybody */
	assert_int_equal(pipe(ends), 0);
	const pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		(void)dup2(ends[0], STDIN_FILENO);
		(void)close(ends[0]);
		(void)close(ends[1]);
		(void)execlp("promtool", "promtool", "check", "metrics", (char *)NULL);
		_exit(127);
	}
	(void)close(ends[0]);
	assert_int_equal(write(ends[1], page->data, page->length), page->length);
	(void)close(ends[1]);
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 127) {
		skip(); /* promtool is not installed */
	}
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void markdown_lists_every_metric(void **state)
{
	struct buf *const page = *state;
	metrics_markdown(page);
	for (size_t i = 0; i < METRIC_COUNT; i++) {
		assert_non_null(strstr(buf_string(page), names[i]));
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, page_make, page_release)
	const struct CMUnitTest tests[] = {
		TEST(samples_are_escaped),
		TEST(numbers_keep_their_value),
		TEST(header_names_and_types),
		TEST(histogram_bounds_are_inclusive_and_cumulative),
		TEST(http_counts_by_route_and_class),
		TEST(counting_from_threads_loses_nothing),
		TEST(promtool_accepts_the_page),
		TEST(markdown_lists_every_metric),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
