/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structured log: one JSON object a line, `ts level service fn msg` and typed fields.
 *
 *	log_info("flag changed", LOG_STRING("flag", key), LOG_INT("revision", revision));
 *
 * Log once, at the edge that can act. Every text is escaped, so no value can forge a line; a value
 * whose field name holds token, secret, password, key_material, authorization or api_key (in any case,
 * with or without `_` and `-`), and a Halyard token (`hly_…`) inside any text, is replaced by a
 * fingerprint: its last four characters, if there are 16. A line longer than 4 KiB is cut in its
 * longest values, then in its last fields.
 *
 * Thread-safe: one write(2) a line, to standard error unless log_setup() names another descriptor.
 * Never allocates, keeps errno, raises no SIGPIPE. A line that cannot be written within 100 ms is lost;
 * the next one that is written counts them in `lines_lost`.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

enum log_type { LOG_TYPE_STRING, LOG_TYPE_INT, LOG_TYPE_BOOLEAN };

struct log_field {
	const char *name;
	enum log_type type;
	union {
		const char *string; /* NULL is written as null */
		int64_t integer;
		bool boolean;
	} value;
};

#define LOG_STRING(n, v)  ((struct log_field){ (n), LOG_TYPE_STRING, { .string = (v) } })
#define LOG_INT(n, v)     ((struct log_field){ (n), LOG_TYPE_INT, { .integer = (v) } })
#define LOG_BOOLEAN(n, v) ((struct log_field){ (n), LOG_TYPE_BOOLEAN, { .boolean = (v) } })

struct log_options {
	const char *service;  /* static string */
	enum log_level level; /* lowest level that is written */
	int fd;               /* borrowed */
	bool is_json;         /* false: readable text */
};

/* Before threads start. Without it: service "halyard", info, standard error, JSON. */
void log_setup(const struct log_options *options);

/* Any time, any thread. */
void log_level_set(enum log_level level);
void log_json_set(bool is_json);

void log_write(enum log_level level, const char *function, const char *message,
               const struct log_field *fields, size_t count);

#define LOG_FIELDS_(...) ((const struct log_field[]){ { 0 }, ##__VA_ARGS__ })
#define LOG_AT_(level, message, ...)                                          \
	log_write((level), __func__, (message), &LOG_FIELDS_(__VA_ARGS__)[1], \
	          sizeof(LOG_FIELDS_(__VA_ARGS__)) / sizeof(struct log_field) - 1)

#define log_debug(message, ...) LOG_AT_(LOG_DEBUG, message, ##__VA_ARGS__)
#define log_info(message, ...)  LOG_AT_(LOG_INFO, message, ##__VA_ARGS__)
#define log_warn(message, ...)  LOG_AT_(LOG_WARN, message, ##__VA_ARGS__)
#define log_error(message, ...) LOG_AT_(LOG_ERROR, message, ##__VA_ARGS__)
