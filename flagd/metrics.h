/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics in the Prometheus text format 0.0.4. One table names them all; series with labels are
 * added by their owners while the page is written. Counters are per shard (a loop thread or the worker has
 * its own cache lines), summed when read: counting is one relaxed add without sharing.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* clang-format off */
/*      constant               name                                        type       help */
#define METRICS_TABLE(X)                                                                            \
	X(BUILD_INFO,              "halyard_build_info",                       "gauge",     "Version of the running daemon; always 1") \
	X(START_TIME,              "halyard_start_timestamp_seconds",          "gauge",     "When the daemon started") \
	X(HTTP_REQUESTS,           "halyard_http_requests_total",              "counter",   "Requests answered, by route and status class") \
	X(HTTP_DURATION,           "halyard_http_request_duration_seconds",    "histogram", "From the complete headers to the answer, by route") \
	X(HTTP_CONNECTIONS,        "halyard_http_connections",                 "gauge",     "Open connections") \
	X(HTTP_REJECTED,           "halyard_http_rejected_total",              "counter",   "Requests and connections refused before a route, by reason") \
	X(STREAMS,                 "halyard_streams",                          "gauge",     "Open event streams") \
	X(EVALUATIONS,             "halyard_evaluations_total",                "counter",   "Evaluations served by this daemon, by reason") \
	X(REVISION,                "halyard_environment_revision",             "gauge",     "Newest published revision, by environment") \
	X(FLAGS,                   "halyard_environment_flags",                "gauge",     "Flags, by environment") \
	X(FLAG_PROBLEMS,           "halyard_environment_flag_problems",        "gauge",     "Flags and segments that do not work, by environment") \
	X(EPOCH,                   "halyard_epoch",                            "gauge",     "Epoch of the store; rises on restore") \
	X(CHANGES,                 "halyard_changes_total",                    "counter",   "Attempted changes, by outcome") \
	X(COMMIT_DURATION,         "halyard_store_commit_duration_seconds",    "histogram", "Time of a durable commit") \
	X(STORE_WRITABLE,          "halyard_store_writable",                   "gauge",     "1 while changes are accepted") \
	X(STORE_WAL_BYTES,         "halyard_store_wal_bytes",                  "gauge",     "Size of the write-ahead log") \
	X(STORE_BYTES,             "halyard_store_database_bytes",             "gauge",     "Size of the database") \
	X(JOURNAL_ENTRIES,         "halyard_journal_entries",                  "gauge",     "Entries of the journal") \
	X(AUTH_FAILURES,           "halyard_auth_failures_total",              "counter",   "Requests refused for want of a valid token") \
	X(CLIENT_EVALUATIONS,      "halyard_client_evaluations_total",         "counter",   "Evaluations that clients report, by environment, flag and variant (bounded)") \
	X(CLIENT_UNKNOWN,          "halyard_client_unknown_flags_total",       "counter",   "Evaluations of flags that do not exist, by environment") \
	X(CLIENT_REVISION_LAG,     "halyard_client_revision_lag",              "gauge",     "Revisions that the slowest client heard of in the last minute is behind, by environment")
/* clang-format on */

enum metric {
#define METRICS_ENUM(constant, name, type, help) METRIC_##constant,
	METRICS_TABLE(METRICS_ENUM)
#undef METRICS_ENUM
	        METRIC_COUNT
};

/* Writes # HELP and # TYPE; the samples of the metric must follow at once. */
void metrics_begin(struct buf *out, enum metric metric);

/*
 * One sample. @labels is an even, NULL-terminated list of name, value, … (NULL: none); values are UTF-8 and
 * are escaped.
 * @suffix: "" or "_bucket", "_sum", "_count".
 */
void metrics_sample(struct buf *out, enum metric metric, const char *suffix, const char *const *labels,
                    double value);

/* ---- Histograms of durations ---- */

#define METRICS_BUCKETS 16 /* upper bounds 0.1 ms to 10 s, and +Inf */

struct metrics_histogram {
	_Atomic uint64_t buckets[METRICS_BUCKETS]; /* not cumulative */
	_Atomic uint64_t sum_us;
};

/* Any thread; a negative time counts as 0. */
void metrics_observe(struct metrics_histogram *histogram, int64_t us);

/* _bucket, _sum and _count of the sum of @count histograms that lie @stride bytes apart; at most 6 labels. */
void metrics_histogram_write(struct buf *out, enum metric metric, const char *const *labels,
                             const struct metrics_histogram *first, size_t count, size_t stride);

/* ---- HTTP: requests and durations per route, per shard ---- */

struct metrics_http; /* routes × shards */

/* NULL when out of memory. */
struct metrics_http *metrics_http_new(size_t route_count, size_t shard_count);
void metrics_http_free(struct metrics_http *http); /* accepts NULL */

/* @route: its index; route_count and above: no route matched (label "none"). Any thread. */
void metrics_http_observe(struct metrics_http *http, size_t shard, size_t route, int http_status, int64_t us);

/* Both HTTP metrics; series without a request are left out. @route_names: route_count of them. */
void metrics_http_write(struct metrics_http *http, const char *const *route_names, struct buf *out);

/* docs/metrics.md */
void metrics_markdown(struct buf *out);
