/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients report (docs/protocol.md): counts per flag and variant, unknown keys, outcomes, and the
 * revision that each client runs. In memory; lost on restart, as counters are.
 *
 * Bounded per environment. When a table is full, what was last heard of more than an hour ago makes room,
 * the oldest first; what still does not fit is counted as dropped. So a client that reports nonsense
 * cannot push out what is in use, and clients that are gone do not fill the table for ever. Hashes are
 * keyed with a random key. Counts stop at 2^53 - 1.
 *
 * Thread-safe: reports are read without the lock, then counted under one short lock.
 */
#pragma once

#include "base/buf.h"
#include "base/json.h"
#include "base/json_write.h"
#include "flagd/telemetry_report.h"

#define TELEMETRY_MAX_SERIES  20000
#define TELEMETRY_MAX_UNKNOWN 1000
#define TELEMETRY_MAX_CLIENTS 10000

struct telemetry;

struct telemetry *telemetry_new(void);            /* NULL when out of memory; after sodium_init() */
void telemetry_free(struct telemetry *telemetry); /* accepts NULL */

/*
 * Takes one report of a client that may speak for @environment; STATUS_INVALID names the field, and then
 * nothing of it was counted. 64 KiB of short rows have up to 20,000 values, more than json_limits_default.
 */
MUST_CHECK enum status telemetry_take(struct telemetry *telemetry, const char *environment,
                                      struct json report, int64_t now_ms, struct error *err);

/*
 * Object of an environment, lists newest first, each at most 1,000 rows:
 * {"flags":[{"flag","variant","count","last_seen","outcomes":{"count","errors","latency_ms":[…]}}],
 * "unknown":[{"flag","count","last_seen"}],"clients":[{"instance","name","version","epoch","revision","last_seen"}],"dropped":n}
 * @flag: only rows of that flag (NULL: all).
 */
void telemetry_write(struct telemetry *telemetry, const char *environment, const char *flag,
                     struct json_writer *w);

/*
 * The halyard_client_* metrics. @revision_of gives an environment's newest revision; it is called under
 * the lock and must not call back.
 */
void telemetry_metrics_write(struct telemetry *telemetry, int64_t now_ms,
                             uint64_t (*revision_of)(void *user, const char *environment), void *user,
                             struct buf *out);
