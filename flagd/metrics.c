/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/metrics.h"

#include <math.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"

#define CACHE_LINE_BYTES 64
#define STATUS_CLASSES   5 /* 1xx to 5xx */
#define MAX_LABELS       6

static const struct {
	const char *name;
	const char *type;
	const char *help;
} rows[METRIC_COUNT] = {
#define METRICS_ROW(constant, name, type, help) [METRIC_##constant] = { (name), (type), (help) },
	METRICS_TABLE(METRICS_ROW)
#undef METRICS_ROW
};

/* Inclusive upper bounds; what is above the last one is in the bucket +Inf. */
static const struct {
	int64_t us;
	const char *seconds;
} bounds[METRICS_BUCKETS - 1] = {
	{ 100, "0.0001" }, { 250, "0.00025" }, { 500, "0.0005" },  { 1000, "0.001" },  { 2500, "0.0025" },
	{ 5000, "0.005" }, { 10000, "0.01" },  { 25000, "0.025" }, { 50000, "0.05" },  { 100000, "0.1" },
	{ 200000, "0.2" }, { 500000, "0.5" },  { 1000000, "1" },   { 2500000, "2.5" }, { 10000000, "10" },
};

/* ---- Text ---- */

void metrics_begin(struct buf *out, enum metric metric)
{
	buf_append_format(out, "# HELP %s %s\n# TYPE %s %s\n", rows[metric].name, rows[metric].help,
	                  rows[metric].name, rows[metric].type);
}

static void label_append(struct buf *out, const char *name, const char *value)
{
	buf_append_format(out, "%s=\"", name);
	for (; *value != '\0'; value++) {
		switch (*value) {
		case '\\':
			buf_append(out, "\\\\", 2);
			break;
		case '"':
			buf_append(out, "\\\"", 2);
			break;
		case '\n':
			buf_append(out, "\\n", 2);
			break;
		default:
			buf_append_char(out, *value);
		}
	}
	buf_append_char(out, '"');
}

static void value_append(struct buf *out, double value)
{
	char text[NUMBER_TEXT_SIZE];
	if (isnan(value)) {
		buf_append_string(out, "NaN");
	} else if (isinf(value)) {
		buf_append_string(out, value > 0 ? "+Inf" : "-Inf");
	} else if (value == floor(value) && fabs(value) < 1e15) {
		buf_append_format(out, "%lld", (long long)value);
	} else {
		buf_append(out, text, number_format(value, text));
	}
}

void metrics_sample(struct buf *out, enum metric metric, const char *suffix, const char *const *labels,
                    double value)
{
	buf_append_format(out, "%s%s", rows[metric].name, suffix);
	if (labels != NULL && labels[0] != NULL) {
		for (size_t i = 0; labels[i] != NULL; i += 2) {
			buf_append_char(out, i == 0 ? '{' : ',');
			label_append(out, labels[i], labels[i + 1]);
		}
		buf_append_char(out, '}');
	}
	buf_append_char(out, ' ');
	value_append(out, value);
	buf_append_char(out, '\n');
}

/* ---- Histograms ---- */

void metrics_observe(struct metrics_histogram *histogram, int64_t us)
{
	size_t bucket = 0;
	if (us < 0) {
		us = 0;
	}
	while (bucket < METRICS_BUCKETS - 1 && us > bounds[bucket].us) {
		bucket++;
	}
	atomic_fetch_add_explicit(&histogram->buckets[bucket], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&histogram->sum_us, (uint64_t)us, memory_order_relaxed);
}

/* Not inlined: gcc then takes the end of a short list of labels for a mistake. */
__attribute__((noinline)) void metrics_histogram_write(struct buf *out, enum metric metric,
                                                       const char *const *labels,
                                                       const struct metrics_histogram *first, size_t count,
                                                       size_t stride)
{
	uint64_t buckets[METRICS_BUCKETS] = { 0 }, sum_us = 0, cumulative = 0;
	for (size_t i = 0; i < count; i++) {
		const struct metrics_histogram *const one =
		        (const struct metrics_histogram *)((const char *)first + i * stride);
		for (size_t bucket = 0; bucket < METRICS_BUCKETS; bucket++) {
			buckets[bucket] += atomic_load_explicit(&one->buckets[bucket], memory_order_relaxed);
		}
		sum_us += atomic_load_explicit(&one->sum_us, memory_order_relaxed);
	}
	const char *with_bound[2 * MAX_LABELS + 3] = { 0 };
	size_t at = 0;
	for (; labels != NULL && at < (size_t)2 * MAX_LABELS && labels[at] != NULL; at++) {
		with_bound[at] = labels[at];
	}
	with_bound[at] = "le";
	for (size_t bucket = 0; bucket < METRICS_BUCKETS; bucket++) {
		cumulative += buckets[bucket];
		with_bound[at + 1] = bucket < METRICS_BUCKETS - 1 ? bounds[bucket].seconds : "+Inf";
		metrics_sample(out, metric, "_bucket", with_bound, (double)cumulative);
	}
	metrics_sample(out, metric, "_sum", labels, (double)sum_us / 1e6);
	metrics_sample(out, metric, "_count", labels, (double)cumulative);
}

/* ---- HTTP ---- */

/* One route in one shard; whole cache lines, so that shards never share one. */
struct cell {
	alignas(CACHE_LINE_BYTES) struct metrics_histogram duration;
	_Atomic uint64_t classes[STATUS_CLASSES];
};

struct metrics_http {
	size_t route_count; /* the last one, "none", included */
	size_t shard_count;
	struct cell *cells; /* [route][shard] */
};

struct metrics_http *metrics_http_new(size_t route_count, size_t shard_count)
{
	struct metrics_http *const http = calloc(1, sizeof(*http));
	if (http == NULL) {
		return NULL;
	}
	http->route_count = route_count + 1;
	http->shard_count = shard_count;
	const size_t size = http->route_count * shard_count * sizeof(struct cell);
	http->cells = aligned_alloc(CACHE_LINE_BYTES, size);
	if (http->cells == NULL) {
		free(http);
		return NULL;
	}
	memset(http->cells, 0, size);
	return http;
}

void metrics_http_free(struct metrics_http *http)
{
	if (http != NULL) {
		free(http->cells);
		free(http);
	}
}

void metrics_http_observe(struct metrics_http *http, size_t shard, size_t route, int http_status, int64_t us)
{
	if (route >= http->route_count) {
		route = http->route_count - 1;
	}
	struct cell *const cell = &http->cells[route * http->shard_count + shard];
	const int status_class = http_status < 100 || http_status > 599 ? STATUS_CLASSES : http_status / 100;
	atomic_fetch_add_explicit(&cell->classes[status_class - 1], 1, memory_order_relaxed);
	metrics_observe(&cell->duration, us);
}

/* Requests of a route with a status of @status_class (0: 1xx) over all shards. */
static uint64_t class_sum(const struct metrics_http *http, size_t route, size_t status_class)
{
	uint64_t sum = 0;
	for (size_t shard = 0; shard < http->shard_count; shard++) {
		sum += atomic_load_explicit(
		        &http->cells[route * http->shard_count + shard].classes[status_class],
		        memory_order_relaxed);
	}
	return sum;
}

void metrics_http_write(struct metrics_http *http, const char *const *route_names, struct buf *out)
{
	static const char *const class_names[STATUS_CLASSES] = { "1xx", "2xx", "3xx", "4xx", "5xx" };
	metrics_begin(out, METRIC_HTTP_REQUESTS);
	for (size_t route = 0; route < http->route_count; route++) {
		const char *const name = route + 1 < http->route_count ? route_names[route] : "none";
		for (size_t status_class = 0; status_class < STATUS_CLASSES; status_class++) {
			const uint64_t sum = class_sum(http, route, status_class);
			if (sum > 0) {
				metrics_sample(out, METRIC_HTTP_REQUESTS, "",
				               (const char *[]){ "route", name, "status",
				                                 class_names[status_class], NULL },
				               (double)sum);
			}
		}
	}
	metrics_begin(out, METRIC_HTTP_DURATION);
	for (size_t route = 0; route < http->route_count; route++) {
		const char *const name = route + 1 < http->route_count ? route_names[route] : "none";
		uint64_t sum = 0;
		for (size_t status_class = 0; status_class < STATUS_CLASSES; status_class++) {
			sum += class_sum(http, route, status_class);
		}
		if (sum > 0) {
			metrics_histogram_write(out, METRIC_HTTP_DURATION,
			                        (const char *[]){ "route", name, NULL },
			                        &http->cells[route * http->shard_count].duration,
			                        http->shard_count, sizeof(struct cell));
		}
	}
}

void metrics_markdown(struct buf *out)
{
	buf_append_string(out, "<!-- Made from flagd/metrics.h by `meson compile -C build docs`. -->\n"
	                       "# Metrics of flagd\n"
	                       "\n"
	                       "`GET /metrics` answers in the Prometheus text format 0.0.4.\n"
	                       "\n"
	                       "| name | type | what it is |\n"
	                       "|---|---|---|\n");
	for (size_t i = 0; i < METRIC_COUNT; i++) {
		buf_append_format(out, "| `%s` | %s | %s |\n", rows[i].name, rows[i].type, rows[i].help);
	}
	buf_append_string(out, "\nHistograms have the upper bounds (in seconds) ");
	for (size_t i = 0; i < METRICS_BUCKETS - 1; i++) {
		buf_append_format(out, "%s, ", bounds[i].seconds);
	}
	buf_append_string(out, "+Inf.\n");
}
