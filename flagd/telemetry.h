/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients report (docs/protocol.md): counts per flag and variant, unknown keys, outcomes, and the
 * revision that each client runs. Bounded: at most TELEMETRY_MAX_SERIES series and TELEMETRY_MAX_CLIENTS
 * clients an environment; what does not fit is counted as dropped. In memory; lost on restart, as counters
 * are.
 *
 * Thread-safe: one short lock per report.
 */
#pragma once

#include "base/buf.h"
#include "base/json.h"
#include "base/json_write.h"

#define TELEMETRY_MAX_SERIES      20000
#define TELEMETRY_MAX_UNKNOWN     1000
#define TELEMETRY_MAX_CLIENTS     10000
#define TELEMETRY_LATENCY_BUCKETS 14

struct telemetry;

struct telemetry *telemetry_new(void);
void telemetry_free(struct telemetry *telemetry);

/* Takes one report; STATUS_INVALID names the field, and then nothing of it was counted. */
MUST_CHECK enum status telemetry_take(struct telemetry *telemetry, const char *environment,
                                      struct json report, int64_t now_ms, struct error *err);

/*
 * Object of an environment:
 * {"flags":[{"flag","variant","count","last_seen","outcomes":{"count","errors","latency_ms":[…]}}],
 * "unknown":[{"flag","count","last_seen"}],"clients":[{"instance","name","version","epoch","revision","last_seen"}],"dropped":n}
 * @flag: only that flag (NULL: all, the newest 1,000 series).
 */
void telemetry_write(struct telemetry *telemetry, const char *environment, const char *flag,
                     struct json_writer *w);

/* The halyard_client_* metrics. @revision_of gives an environment's newest revision. */
void telemetry_metrics_write(struct telemetry *telemetry, int64_t now_ms,
                             uint64_t (*revision_of)(void *user, const char *environment), void *user,
                             struct buf *out);
