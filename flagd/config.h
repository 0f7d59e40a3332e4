/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration of flagd: one table gives the command line (`--max-connections 1000`), the environment
 * (`HALYARD_MAX_CONNECTIONS=1000`), `--help`, docs/config.md and the checks. The command line wins over
 * the environment, that over the default. Start-up only, one thread; independent of the locale.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* clang-format off */
/*
 * kind STRING: length from min to max bytes, without control characters; NUMBER: value from min to max;
 * CHOICE: one of the words that stand, separated by `|`, in the column of the unit.
 */
/*      field                 kind    default            min     max       unit   text */
#define CONFIG_TABLE(X)                                                                             \
	X(data,                   STRING, "./halyard-data",  1,      4000,     "",    "Folder of the database, keys and owner token; made when it is missing") \
	X(listen,                 STRING, "127.0.0.1:8016",  1,      200,      "",    "Numeric address and port, IPv6 in brackets; port 0 takes a free one") \
	X(public_url,             STRING, "",                0,      500,      "",    "Address under which browsers reach this daemon, for event streams; empty: the one they used") \
	X(log_level,              CHOICE, "info",            1,      10,       "debug|info|warn|error", "Lowest level that is logged") \
	X(log_format,             CHOICE, "json",            1,      10,       "json|text", "One JSON object a line, or readable text") \
	X(api_threads,            NUMBER, 2,                 1,      16,       "",    "Threads that answer requests; streams have one more") \
	X(max_connections,        NUMBER, 20000,             16,     1000000,  "",    "Open connections, streams included") \
	X(request_deadline_ms,    NUMBER, 10000,             100,    600000,   "ms",  "From the first byte of a request to its last") \
	X(idle_timeout_ms,        NUMBER, 75000,             100,    3600000,  "ms",  "Keep-alive without a request") \
	X(heartbeat_ms,           NUMBER, 15000,             100,    15000,    "ms",  "Silence on a stream before a comment is sent") \
	X(stream_stall_ms,        NUMBER, 30000,             100,    600000,   "ms",  "A stream that takes nothing for this long is cut") \
	X(delta_history,          NUMBER, 256,               1,      100000,   "",    "Changes per environment that a stream can resume from") \
	X(snapshot_max_age_s,     NUMBER, 86400,             60,     31536000, "s",   "Age at which clients call a snapshot stale") \
	X(shutdown_grace_ms,      NUMBER, 5000,              0,      600000,   "ms",  "Time for requests in flight when stopping")
/* clang-format on */

struct config {
#define CONFIG_STRING                                              char *
#define CONFIG_CHOICE                                              char *
#define CONFIG_NUMBER                                              uint64_t
#define CONFIG_MEMBER(field, kind, fallback, min, max, unit, text) CONFIG_##kind field;
	CONFIG_TABLE(CONFIG_MEMBER)
#undef CONFIG_MEMBER
	char *address; /* from listen, without brackets */
	uint16_t port;
};

enum config_action { CONFIG_RUN, CONFIG_HELP, CONFIG_VERSION };

/*
 * Takes `--name value` and `--name=value`, each once. STATUS_INVALID with a sentence that names the option or
 * variable, and the nearest known one for a typo. @environ_ is a NULL-terminated list of NAME=value; unknown
 * HALYARD_* names are refused. After CONFIG_HELP or CONFIG_VERSION @ret is untouched.
 */
MUST_CHECK enum status config_read(int argc, char *const *argv, char *const *environ_, struct config *ret,
                                   enum config_action *ret_action, struct error *err);
void config_deinit(struct config *config); /* accepts a zeroed one, leaves one */

struct buf;
void config_help(struct buf *out);     /* text of --help */
void config_markdown(struct buf *out); /* docs/config.md */
