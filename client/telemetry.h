/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts for POST /api/v1/telemetry: evaluations per flag and variant, keys that do not exist, outcomes.
 *
 * Counting takes a short lock and allocates only for a row that is new. A list holds at most
 * TELEMETRY_MAX_ROWS rows between two reports; what does not fit is dropped and counted. Reports are
 * built from all rows at once and wait in a bounded queue until they are delivered or given up.
 * Thread-safe, except for the queue, which belongs to the thread that delivers.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define TELEMETRY_MAX_ROWS         1000 /* per list */
#define TELEMETRY_MAX_REPORT_BYTES ((size_t)64 * 1024)
#define TELEMETRY_MAX_REPORTS      8 /* that wait */
#define TELEMETRY_MAX_ATTEMPTS     3 /* to deliver one */
#define TELEMETRY_LATENCIES        14
#define TELEMETRY_BUCKETS          1024 /* power of two */
#define TELEMETRY_INSTANCE_SIZE    17

enum telemetry_list { TELEMETRY_EVALUATIONS, TELEMETRY_UNKNOWN, TELEMETRY_OUTCOMES, TELEMETRY_LISTS };

struct telemetry_row;

struct telemetry_table {
	struct telemetry_row *buckets[TELEMETRY_BUCKETS];
	struct telemetry_row *first, **last; /* in order of arrival */
	uint32_t count;
};

struct telemetry_report {
	char *body;
	size_t length;
	uint32_t attempts;
	uint64_t epoch, revision;
};

struct telemetry {
	char instance[TELEMETRY_INSTANCE_SIZE];
	uint32_t seed;

	pthread_mutex_t lock; /* guards the tables and dropped */
	struct telemetry_table tables[TELEMETRY_LISTS];
	uint64_t dropped; /* counts that found no room, and reports given up */

	/* of the delivering thread */
	struct telemetry_report reports[TELEMETRY_MAX_REPORTS];
	uint32_t report_count;
};

/* @instance is copied: sixteen hex digits. */
void telemetry_init(struct telemetry *telemetry, const char *instance, uint32_t seed);
void telemetry_deinit(struct telemetry *telemetry);

/* @flag is a valid flag key, @variant a variant's name or "". Counts saturate. */
void telemetry_count(struct telemetry *telemetry, enum telemetry_list list, const char *flag,
                     const char *variant);
void telemetry_track(struct telemetry *telemetry, const char *flag, const char *variant, bool is_error,
                     double latency_ms);

/* A call that could not be counted. */
void telemetry_drop(struct telemetry *telemetry);

uint64_t telemetry_dropped(struct telemetry *telemetry);

/*
 * Turns what was counted into reports, as many as their size needs; with @force also an empty one,
 * which says what the client runs. An old report is given up when the queue is full.
 */
void telemetry_collect(struct telemetry *telemetry, uint64_t epoch, uint64_t revision, bool force);

/* The report to deliver next, or NULL. */
const struct telemetry_report *telemetry_next(const struct telemetry *telemetry);

enum telemetry_outcome { TELEMETRY_DELIVERED, TELEMETRY_RETRY, TELEMETRY_REFUSED };

/* What became of that report. It is dropped after TELEMETRY_MAX_ATTEMPTS. */
void telemetry_done(struct telemetry *telemetry, enum telemetry_outcome outcome);
