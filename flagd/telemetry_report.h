/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Report of a client (docs/protocol.md), read strictly: everything of it is checked before anything of
 * it is counted. Pure.
 */
#pragma once

#include <stdint.h>

#include "base/arena.h"
#include "base/json.h"

#define TELEMETRY_LATENCY_BUCKETS 14
#define TELEMETRY_MAX_ROWS        1000             /* of a list */
#define TELEMETRY_MAX_COUNT       9007199254740991 /* 2^53 - 1 */

struct telemetry_row {
	const char *flag;
	const char *variant; /* "" in `unknown` */
	uint64_t count;
	uint64_t errors;                                /* of outcomes */
	uint64_t latency_ms[TELEMETRY_LATENCY_BUCKETS]; /* of outcomes */
};

struct telemetry_rows {
	struct telemetry_row *rows;
	size_t count;
};

struct telemetry_report {
	const char *instance, *name, *version; /* of the client */
	uint64_t epoch, revision;              /* that it runs */
	struct telemetry_rows evaluations, unknown, outcomes;
};

/* Everything that @ret points to lives in @arena; 1 MiB is enough for any report. */
MUST_CHECK enum status telemetry_report_read(struct json report, struct arena *arena,
                                             struct telemetry_report *ret, struct error *err);
