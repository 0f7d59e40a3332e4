/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/telemetry.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "engine/flag.h"
#include "flagd/metrics.h"
#include "flagd/recent_table.h"

#define REPORT_ARENA_BYTES ((size_t)1024 * 1024)
#define WRITE_MAX_ROWS     1000
#define LAG_WINDOW_MS      60000
#define SERIES_KEY_SIZE    (FLAG_KEY_MAX_BYTES + FLAG_VARIANT_MAX_BYTES + 1)

/* Key: the flag's key, NUL, the variant. */
struct series {
	struct recent_entry entry;
	uint64_t count; /* of evaluations */
	uint64_t outcome_count, outcome_errors;
	uint64_t latency_ms[TELEMETRY_LATENCY_BUCKETS];
};

/* Key: the flag's key. */
struct unknown {
	struct recent_entry entry;
	uint64_t count;
};

/* Key: the instance. */
struct client {
	struct recent_entry entry;
	uint64_t epoch, revision;
	char name[65], version[65];
};

struct environment {
	struct environment *next;
	struct recent_table series, unknown, clients;
	uint64_t unknown_count; /* also of keys that found no room */
	uint64_t dropped;       /* rows and clients that found no room */
	char key[];
};

struct telemetry {
	pthread_mutex_t lock; /* protects everything below */
	struct environment *environments;
};

struct telemetry *telemetry_new(void)
{
	struct telemetry *const telemetry = calloc(1, sizeof(*telemetry));
	if (telemetry != NULL) {
		(void)pthread_mutex_init(&telemetry->lock, NULL);
	}
	return telemetry;
}

void telemetry_free(struct telemetry *telemetry)
{
	if (telemetry == NULL) {
		return;
	}
	struct environment *environment = telemetry->environments;
	while (environment != NULL) {
		struct environment *const next = environment->next;
		recent_table_deinit(&environment->series);
		recent_table_deinit(&environment->unknown);
		recent_table_deinit(&environment->clients);
		free(environment);
		environment = next;
	}
	(void)pthread_mutex_destroy(&telemetry->lock);
	free(telemetry);
}

/* NULL when there is none yet. The lock is held. */
static struct environment *environment_find(const struct telemetry *telemetry, const char *key)
{
	struct environment *environment = telemetry->environments;
	while (environment != NULL && strcmp(environment->key, key) != 0) {
		environment = environment->next;
	}
	return environment;
}

static struct environment *environment_get(struct telemetry *telemetry, const char *key)
{
	struct environment *environment = environment_find(telemetry, key);
	if (environment != NULL) {
		return environment;
	}
	const size_t length = strlen(key);
	environment = calloc(1, sizeof(*environment) + length + 1);
	if (environment == NULL) {
		return NULL;
	}
	memcpy(environment->key, key, length);
	recent_table_init(&environment->series, TELEMETRY_MAX_SERIES, sizeof(struct series));
	recent_table_init(&environment->unknown, TELEMETRY_MAX_UNKNOWN, sizeof(struct unknown));
	recent_table_init(&environment->clients, TELEMETRY_MAX_CLIENTS, sizeof(struct client));
	environment->next = telemetry->environments;
	telemetry->environments = environment;
	return environment;
}

/* ---- Counting; the lock is held ---- */

static void count_add(uint64_t *total, uint64_t count)
{
	*total = count > TELEMETRY_MAX_COUNT - *total ? TELEMETRY_MAX_COUNT : *total + count;
}

static struct series *series_touch(struct environment *environment, const struct telemetry_row *row,
                                   int64_t now_ms)
{
	char key[SERIES_KEY_SIZE];
	const size_t flag_length = strlen(row->flag), variant_length = strlen(row->variant);
	memcpy(key, row->flag, flag_length + 1);
	memcpy(key + flag_length + 1, row->variant, variant_length);
	struct series *const series =
	        recent_table_touch(&environment->series, key, flag_length + 1 + variant_length, now_ms);
	if (series == NULL) {
		count_add(&environment->dropped, 1);
	}
	return series;
}

static void evaluations_count(struct environment *environment, const struct telemetry_rows *rows,
                              int64_t now_ms)
{
	for (size_t i = 0; i < rows->count; i++) {
		struct series *const series = series_touch(environment, &rows->rows[i], now_ms);
		if (series != NULL) {
			count_add(&series->count, rows->rows[i].count);
		}
	}
}

static void outcomes_count(struct environment *environment, const struct telemetry_rows *rows, int64_t now_ms)
{
	for (size_t i = 0; i < rows->count; i++) {
		const struct telemetry_row *const row = &rows->rows[i];
		struct series *const series = series_touch(environment, row, now_ms);
		if (series == NULL) {
			continue;
		}
		count_add(&series->outcome_count, row->count);
		count_add(&series->outcome_errors, row->errors);
		for (size_t bucket = 0; bucket < TELEMETRY_LATENCY_BUCKETS; bucket++) {
			count_add(&series->latency_ms[bucket], row->latency_ms[bucket]);
		}
	}
}

static void unknown_count(struct environment *environment, const struct telemetry_rows *rows, int64_t now_ms)
{
	for (size_t i = 0; i < rows->count; i++) {
		const struct telemetry_row *const row = &rows->rows[i];
		struct unknown *const unknown =
		        recent_table_touch(&environment->unknown, row->flag, strlen(row->flag), now_ms);
		count_add(&environment->unknown_count, row->count);
		if (unknown != NULL) {
			count_add(&unknown->count, row->count);
		} else {
			count_add(&environment->dropped, 1);
		}
	}
}

static void client_note(struct environment *environment, const struct telemetry_report *report,
                        int64_t now_ms)
{
	struct client *const client =
	        recent_table_touch(&environment->clients, report->instance, strlen(report->instance), now_ms);
	if (client == NULL) {
		count_add(&environment->dropped, 1);
		return;
	}
	client->epoch = report->epoch;
	client->revision = report->revision;
	(void)snprintf(client->name, sizeof(client->name), "%s", report->name);
	(void)snprintf(client->version, sizeof(client->version), "%s", report->version);
}

enum status telemetry_take(struct telemetry *telemetry, const char *environment, struct json report,
                           int64_t now_ms, struct error *err)
{
	struct arena arena;
	struct telemetry_report read;
	arena_init(&arena, REPORT_ARENA_BYTES);
	enum status status = telemetry_report_read(report, &arena, &read, err);
	if (status == STATUS_OK) {
		(void)pthread_mutex_lock(&telemetry->lock);
		struct environment *const counted = environment_get(telemetry, environment);
		if (counted != NULL) {
			evaluations_count(counted, &read.evaluations, now_ms);
			outcomes_count(counted, &read.outcomes, now_ms);
			unknown_count(counted, &read.unknown, now_ms);
			client_note(counted, &read, now_ms);
		} else {
			status = error_fail(err, STATUS_NO_MEMORY, "Out of memory while counting a report");
		}
		(void)pthread_mutex_unlock(&telemetry->lock);
	}
	arena_deinit(&arena);
	return status;
}

/* ---- Reading ---- */

static void series_write(const struct recent_table *table, const char *flag, struct json_writer *w)
{
	size_t written = 0;
	const struct recent_entry *entry = table->newest;
	for (; entry != NULL && written < WRITE_MAX_ROWS; entry = entry->older) {
		const struct series *const series = (const struct series *)entry;
		const char *const key = recent_table_key(table, entry);
		if (flag != NULL && strcmp(key, flag) != 0) {
			continue;
		}
		written++;
		json_begin_object(w);
		json_put_key_string(w, "flag", key);
		json_put_key_string(w, "variant", key + strlen(key) + 1);
		json_put_key_int64(w, "count", (int64_t)series->count);
		json_put_key_time(w, "last_seen", entry->seen_ms);
		json_put_key(w, "outcomes");
		json_begin_object(w);
		json_put_key_int64(w, "count", (int64_t)series->outcome_count);
		json_put_key_int64(w, "errors", (int64_t)series->outcome_errors);
		json_put_key(w, "latency_ms");
		json_begin_array(w);
		for (size_t bucket = 0; bucket < TELEMETRY_LATENCY_BUCKETS; bucket++) {
			json_put_int64(w, (int64_t)series->latency_ms[bucket]);
		}
		json_end_array(w);
		json_end_object(w);
		json_end_object(w);
	}
}

static void unknown_write(const struct recent_table *table, const char *flag, struct json_writer *w)
{
	for (const struct recent_entry *entry = table->newest; entry != NULL; entry = entry->older) {
		const char *const key = recent_table_key(table, entry);
		if (flag != NULL && strcmp(key, flag) != 0) {
			continue;
		}
		json_begin_object(w);
		json_put_key_string(w, "flag", key);
		json_put_key_int64(w, "count", (int64_t)((const struct unknown *)entry)->count);
		json_put_key_time(w, "last_seen", entry->seen_ms);
		json_end_object(w);
	}
}

static void clients_write(const struct recent_table *table, struct json_writer *w)
{
	size_t written = 0;
	const struct recent_entry *entry = table->newest;
	for (; entry != NULL && written < WRITE_MAX_ROWS; entry = entry->older, written++) {
		const struct client *const client = (const struct client *)entry;
		json_begin_object(w);
		json_put_key_string(w, "instance", recent_table_key(table, entry));
		json_put_key_string(w, "name", client->name);
		json_put_key_string(w, "version", client->version);
		json_put_key_uint64_string(w, "epoch", client->epoch);
		json_put_key_uint64_string(w, "revision", client->revision);
		json_put_key_time(w, "last_seen", entry->seen_ms);
		json_end_object(w);
	}
}

void telemetry_write(struct telemetry *telemetry, const char *environment, const char *flag,
                     struct json_writer *w)
{
	static const struct recent_table empty;
	(void)pthread_mutex_lock(&telemetry->lock);
	const struct environment *const of = environment_find(telemetry, environment);
	json_begin_object(w);
	json_put_key(w, "flags");
	json_begin_array(w);
	series_write(of != NULL ? &of->series : &empty, flag, w);
	json_end_array(w);
	json_put_key(w, "unknown");
	json_begin_array(w);
	unknown_write(of != NULL ? &of->unknown : &empty, flag, w);
	json_end_array(w);
	json_put_key(w, "clients");
	json_begin_array(w);
	clients_write(of != NULL ? &of->clients : &empty, w);
	json_end_array(w);
	json_put_key_int64(w, "dropped", of != NULL ? (int64_t)of->dropped : 0);
	json_end_object(w);
	(void)pthread_mutex_unlock(&telemetry->lock);
}

/* ---- Metrics ---- */

static void evaluations_metrics_write(const struct environment *environment, struct buf *out)
{
	const struct recent_table *const table = &environment->series;
	for (const struct recent_entry *entry = table->newest; entry != NULL; entry = entry->older) {
		const char *const key = recent_table_key(table, entry);
		metrics_sample(out, METRIC_CLIENT_EVALUATIONS, "",
		               (const char *[]){ "environment", environment->key, "flag", key, "variant",
		                                 key + strlen(key) + 1, NULL },
		               (double)((const struct series *)entry)->count);
	}
}

/* How far the slowest client of the last minute is behind; 0 without clients. */
static uint64_t lag_of(const struct environment *environment, uint64_t revision, int64_t now_ms)
{
	uint64_t lag = 0;
	const struct recent_entry *entry = environment->clients.newest;
	for (; entry != NULL && now_ms - entry->seen_ms <= LAG_WINDOW_MS; entry = entry->older) {
		const uint64_t runs = ((const struct client *)entry)->revision;
		if (runs < revision && revision - runs > lag) {
			lag = revision - runs;
		}
	}
	return lag;
}

void telemetry_metrics_write(struct telemetry *telemetry, int64_t now_ms,
                             uint64_t (*revision_of)(void *user, const char *environment), void *user,
                             struct buf *out)
{
	(void)pthread_mutex_lock(&telemetry->lock);
	const struct environment *environment;
	metrics_begin(out, METRIC_CLIENT_EVALUATIONS);
	for (environment = telemetry->environments; environment != NULL; environment = environment->next) {
		evaluations_metrics_write(environment, out);
	}
	metrics_begin(out, METRIC_CLIENT_UNKNOWN);
	for (environment = telemetry->environments; environment != NULL; environment = environment->next) {
		metrics_sample(out, METRIC_CLIENT_UNKNOWN, "",
		               (const char *[]){ "environment", environment->key, NULL },
		               (double)environment->unknown_count);
	}
	metrics_begin(out, METRIC_CLIENT_REVISION_LAG);
	for (environment = telemetry->environments; environment != NULL; environment = environment->next) {
		metrics_sample(out, METRIC_CLIENT_REVISION_LAG, "",
		               (const char *[]){ "environment", environment->key, NULL },
		               (double)lag_of(environment, revision_of(user, environment->key), now_ms));
	}
	(void)pthread_mutex_unlock(&telemetry->lock);
}
