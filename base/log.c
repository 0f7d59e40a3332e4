/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log_text.h"

#define LOG_MAX_FIELDS     64
#define LOG_NAME_MAX_BYTES 64
#define LOG_MIN_VALUE      24  /* room for a fingerprint */
#define LOG_PATIENCE_MS    100 /* how long a reader may keep a line waiting before lines are lost */

static struct {
	const char *service;
	int fd;
	_Atomic(enum log_level) level;
	atomic_bool is_json;
} log_state = { "halyard", STDERR_FILENO, LOG_INFO, true };

/* log_lock: all of it. */
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	bool is_stalled; /* the last line was given up: the next one does not wait */
	bool is_torn;    /* … in its middle: the next one starts with a newline */
} log_sink;

/* Lines given up that no line has reported yet. */
static _Atomic uint64_t log_lost;

/* What one line says. */
struct record {
	char time[CLOCK_RFC3339_SIZE];
	enum log_level level;
	const char *function;
	const char *message;
	const struct log_field *fields;
	size_t count;
	size_t left_out; /* fields that did not fit */
	uint64_t lost;
	bool is_json;
};

void log_setup(const struct log_options *options)
{
	log_state.service = options->service != NULL ? options->service : "";
	log_state.fd = options->fd;
	log_level_set(options->level);
	log_json_set(options->is_json);
}

void log_level_set(enum log_level level)
{
	atomic_store_explicit(&log_state.level, level, memory_order_relaxed);
}

void log_json_set(bool is_json)
{
	atomic_store_explicit(&log_state.is_json, is_json, memory_order_relaxed);
}

static const char *level_name(enum log_level level)
{
	switch (level) {
	case LOG_DEBUG:
		return "debug";
	case LOG_INFO:
		return "info";
	case LOG_WARN:
		return "warn";
	case LOG_ERROR:
		return "error";
	}
	return "error";
}

static void put_name(struct log_line *line, const char *name, bool is_json)
{
	log_line_put(line, is_json ? ",\"" : " ");
	log_line_put_text(line, name, LOG_NAME_MAX_BYTES, false);
	log_line_put(line, is_json ? "\":" : "=");
}

static void put_string(struct log_line *line, const char *value, size_t max_bytes, bool is_secret)
{
	log_line_put(line, "\"");
	log_line_put_text(line, value != NULL ? value : "", max_bytes, is_secret);
	log_line_put(line, "\"");
}

static void put_count(struct log_line *line, const char *name, uint64_t count, bool is_json)
{
	char text[24];
	if (count > 0) {
		(void)snprintf(text, sizeof(text), "%" PRIu64, count);
		put_name(line, name, is_json);
		log_line_put(line, text);
	}
}

static void put_field(struct log_line *line, const struct log_field *field, size_t max_bytes, bool is_json)
{
	bool is_secret = log_name_is_secret(field->name);
	char text[24];
	put_name(line, field->name, is_json);
	switch (field->type) {
	case LOG_TYPE_STRING:
		if (field->value.string == NULL) {
			log_line_put(line, "null");
		} else {
			put_string(line, field->value.string, max_bytes, is_secret);
		}
		return;
	case LOG_TYPE_INT:
		(void)snprintf(text, sizeof(text), "%" PRId64, field->value.integer);
		log_line_put(line, is_secret ? "\"[redacted]\"" : text);
		return;
	case LOG_TYPE_BOOLEAN:
		log_line_put(line, field->value.boolean ? "true" : "false");
		return;
	}
}

static void put_head(struct log_line *line, const struct record *record, size_t max_bytes)
{
	static const struct {
		const char *ts, *level, *service, *fn, *msg, *end;
	} json = { "{\"ts\":\"", "\",\"level\":\"", "\",\"service\":\"", "\",\"fn\":\"", "\",\"msg\":\"", "\"" },
	  plain = { "", " ", " ", " ", ": ", "" };
	const typeof(json) *part = record->is_json ? &json : &plain;
	log_line_put(line, part->ts);
	log_line_put(line, record->time);
	log_line_put(line, part->level);
	log_line_put(line, level_name(record->level));
	log_line_put(line, part->service);
	log_line_put_text(line, log_state.service, LOG_NAME_MAX_BYTES, false);
	log_line_put(line, part->fn);
	log_line_put_text(line, record->function, LOG_NAME_MAX_BYTES, false);
	log_line_put(line, part->msg);
	log_line_put_text(line, record->message, max_bytes, false);
	log_line_put(line, part->end);
}

/* Writes the line with every text cut to @max_bytes; false when it is too long nevertheless. */
static bool record_put(const struct record *record, struct log_line *line, size_t max_bytes)
{
	line->length = 0;
	line->overflows = false;
	put_head(line, record, max_bytes);
	for (size_t i = 0; i < record->count && !line->overflows; i++) {
		put_field(line, &record->fields[i], max_bytes, record->is_json);
	}
	put_count(line, "fields_left_out", record->left_out, record->is_json);
	put_count(line, "lines_lost", record->lost, record->is_json);
	log_line_put(line, record->is_json ? "}\n" : "\n");
	return !line->overflows;
}

/* Finds the greatest length of values with which the line fits; in need, leaves the last fields out. */
static void record_fit(struct record *record, struct log_line *line)
{
	if (record_put(record, line, LOG_LINE_SIZE)) {
		return;
	}
	while (!record_put(record, line, LOG_MIN_VALUE) && record->count > 0) {
		record->count--;
		record->left_out++;
	}
	size_t fits = LOG_MIN_VALUE;
	size_t too_long = LOG_LINE_SIZE;
	while (too_long - fits > 1) {
		size_t middle = fits + (too_long - fits) / 2;
		if (record_put(record, line, middle)) {
			fits = middle;
		} else {
			too_long = middle;
		}
	}
	(void)record_put(record, line, fits);
}

/* Waits a little for room. Holds log_lock. */
static bool sink_is_ready(void)
{
	struct pollfd poll_fd = { .fd = log_state.fd, .events = POLLOUT };
	int ready;
	do {
		ready = poll(&poll_fd, 1, log_sink.is_stalled ? 0 : LOG_PATIENCE_MS);
	} while (ready < 0 && errno == EINTR);
	return ready > 0;
}

/* False: the line is lost. Holds log_lock. */
static bool sink_write(const char *bytes, size_t length)
{
	size_t done = 0;
	while (done < length && sink_is_ready()) {
		ssize_t put = write(log_state.fd, bytes + done, length - done);
		if (put <= 0 && !(put < 0 && errno == EINTR)) {
			break;
		}
		done += put > 0 ? (size_t)put : 0;
	}
	log_sink.is_stalled = done < length;
	log_sink.is_torn = done < length && (done > 0 || log_sink.is_torn);
	return done == length;
}

/*
 * A descriptor whose reader is gone raises SIGPIPE. It is held back in this thread and taken away
 * again, unless one was pending before, which is then somebody else's.
 */
static bool sink_write_quietly(const char *bytes, size_t length)
{
	sigset_t pipe_signal, previous, pending;
	(void)sigemptyset(&pipe_signal);
	(void)sigaddset(&pipe_signal, SIGPIPE);
	(void)pthread_sigmask(SIG_BLOCK, &pipe_signal, &previous);
	bool was_pending = sigismember(&previous, SIGPIPE) == 1 && sigpending(&pending) == 0 &&
	                   sigismember(&pending, SIGPIPE) == 1;
	bool is_written = sink_write(bytes, length);
	if (!is_written && !was_pending) {
		const struct timespec at_once = { 0 };
		while (sigtimedwait(&pipe_signal, NULL, &at_once) < 0 && errno == EINTR) {
		}
	}
	(void)pthread_sigmask(SIG_SETMASK, &previous, NULL);
	return is_written;
}

static bool sink_put(const char *line, size_t length)
{
	(void)pthread_mutex_lock(&log_lock);
	/* In front of every line there is a newline, for the case that the last one was torn. */
	size_t extra = log_sink.is_torn ? 1 : 0;
	bool is_written = sink_write_quietly(line - extra, length + extra);
	(void)pthread_mutex_unlock(&log_lock);
	return is_written;
}

void log_write(enum log_level level, const char *function, const char *message,
               const struct log_field *fields, size_t count)
{
	if (level < atomic_load_explicit(&log_state.level, memory_order_relaxed)) {
		return;
	}
	int saved_errno = errno;
	struct record record = {
		.level = level,
		.function = function != NULL ? function : "",
		.message = message != NULL ? message : "",
		.fields = fields,
		.count = count < LOG_MAX_FIELDS ? count : LOG_MAX_FIELDS,
		.left_out = count < LOG_MAX_FIELDS ? 0 : count - LOG_MAX_FIELDS,
		.lost = atomic_exchange(&log_lost, 0),
		.is_json = atomic_load_explicit(&log_state.is_json, memory_order_relaxed),
	};
	char bytes[1 + LOG_LINE_SIZE];
	struct log_line line = { .data = bytes + 1, .size = LOG_LINE_SIZE };
	bytes[0] = '\n'; // cppcheck-suppress unreadVariable ; sink_put() reaches back for it
	clock_rfc3339_format(clock_wall_ms(&clock_system), record.time);
	record_fit(&record, &line);
	if (!sink_put(line.data, line.length)) {
		(void)atomic_fetch_add(&log_lost, record.lost + 1);
	}
	errno = saved_errno;
}
