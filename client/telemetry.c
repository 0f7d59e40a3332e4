/* SPDX-License-Identifier: Apache-2.0 */
#include "client/telemetry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_write.h"
#include "engine/bucket.h"

struct telemetry_row {
	struct telemetry_row *next; /* in order of arrival */
	struct telemetry_row *next_in_bucket;
	const char *variant; /* behind the flag's key in text[] */
	uint64_t count;
	uint64_t errors;
	uint64_t latencies[TELEMETRY_LATENCIES];
	char text[];
};

/* Upper ends of the buckets, ms; the last bucket is for what is above. */
static const double latency_ends[TELEMETRY_LATENCIES - 1] = { 1,   2,   5,    10,   20,   50,   100,
	                                                      200, 500, 1000, 2000, 5000, 10000 };

void telemetry_init(struct telemetry *telemetry, const char *instance, uint32_t seed)
{
	*telemetry = (struct telemetry){ .seed = seed };
	(void)snprintf(telemetry->instance, sizeof(telemetry->instance), "%s", instance);
	pthread_mutex_init(&telemetry->lock, NULL);
	for (int i = 0; i < TELEMETRY_LISTS; i++) {
		telemetry->tables[i].last = &telemetry->tables[i].first;
	}
}

static void rows_free(struct telemetry_row *row)
{
	while (row != NULL) {
		struct telemetry_row *next = row->next;
		free(row);
		row = next;
	}
}

void telemetry_deinit(struct telemetry *telemetry)
{
	for (int i = 0; i < TELEMETRY_LISTS; i++) {
		rows_free(telemetry->tables[i].first);
	}
	for (uint32_t i = 0; i < telemetry->report_count; i++) {
		free(telemetry->reports[i].body);
	}
	pthread_mutex_destroy(&telemetry->lock);
}

/* The row, made when it is new; NULL when there is no room. With the lock held. */
static struct telemetry_row *row_get(struct telemetry *telemetry, enum telemetry_list list, const char *flag,
                                     const char *variant)
{
	struct telemetry_table *table = &telemetry->tables[list];
	size_t flag_length = strlen(flag);
	size_t variant_length = strlen(variant);
	uint32_t hash =
	        murmur3_x86_32(variant, variant_length, murmur3_x86_32(flag, flag_length, telemetry->seed));
	struct telemetry_row **bucket = &table->buckets[hash % TELEMETRY_BUCKETS];
	for (struct telemetry_row *row = *bucket; row != NULL; row = row->next_in_bucket) {
		if (strcmp(row->text, flag) == 0 && strcmp(row->variant, variant) == 0) {
			return row;
		}
	}
	if (table->count >= TELEMETRY_MAX_ROWS) {
		return NULL;
	}
	struct telemetry_row *row = calloc(1, sizeof(*row) + flag_length + variant_length + 2);
	if (row == NULL) {
		return NULL;
	}
	memcpy(row->text, flag, flag_length + 1);
	memcpy(row->text + flag_length + 1, variant, variant_length + 1);
	row->variant = row->text + flag_length + 1;
	row->next_in_bucket = *bucket;
	*bucket = row;
	*table->last = row;
	table->last = &row->next;
	table->count++;
	return row;
}

void telemetry_count(struct telemetry *telemetry, enum telemetry_list list, const char *flag,
                     const char *variant)
{
	pthread_mutex_lock(&telemetry->lock);
	struct telemetry_row *row = row_get(telemetry, list, flag, variant);
	if (row != NULL) {
		row->count++;
	} else {
		telemetry->dropped++;
	}
	pthread_mutex_unlock(&telemetry->lock);
}

void telemetry_track(struct telemetry *telemetry, const char *flag, const char *variant, bool is_error,
                     double latency_ms)
{
	pthread_mutex_lock(&telemetry->lock);
	struct telemetry_row *row = row_get(telemetry, TELEMETRY_OUTCOMES, flag, variant);
	if (row != NULL) {
		row->count++;
		row->errors += is_error;
		if (latency_ms >= 0) { /* false for NaN too */
			int i = 0;
			while (i < TELEMETRY_LATENCIES - 1 && latency_ms > latency_ends[i]) {
				i++;
			}
			row->latencies[i]++;
		}
	} else {
		telemetry->dropped++;
	}
	pthread_mutex_unlock(&telemetry->lock);
}

void telemetry_drop(struct telemetry *telemetry)
{
	pthread_mutex_lock(&telemetry->lock);
	telemetry->dropped++;
	pthread_mutex_unlock(&telemetry->lock);
}

uint64_t telemetry_dropped(struct telemetry *telemetry)
{
	pthread_mutex_lock(&telemetry->lock);
	uint64_t dropped = telemetry->dropped;
	pthread_mutex_unlock(&telemetry->lock);
	return dropped;
}

/* ---- Reports ---- */

/* No row is longer: two names, sixteen counts of at most twenty digits, and the words between them. */
#define ROW_MAX_BYTES 1024

static const char *const list_names[TELEMETRY_LISTS] = { "evaluations", "unknown", "outcomes" };

struct report_writer {
	struct buf buf;
	struct json_writer json;
};

static void report_begin(struct report_writer *w, const struct telemetry *telemetry, uint64_t epoch,
                         uint64_t revision)
{
	buf_init(&w->buf, TELEMETRY_MAX_REPORT_BYTES);
	json_writer_init(&w->json, &w->buf);
	json_begin_object(&w->json);
	json_put_key(&w->json, "client");
	json_begin_object(&w->json);
	json_put_key_string(&w->json, "name", "libhalyard");
	json_put_key_string(&w->json, "version", HALYARD_VERSION);
	json_put_key_string(&w->json, "instance", telemetry->instance);
	json_end_object(&w->json);
	json_put_key_uint64_string(&w->json, "epoch", epoch);
	json_put_key_uint64_string(&w->json, "revision", revision);
}

/* More than every JSON reader keeps is refused by the daemon. */
static int64_t count_json(uint64_t count)
{
	const int64_t max = (INT64_C(1) << 53) - 1;
	return count > (uint64_t)max ? max : (int64_t)count;
}

static void row_write(struct json_writer *w, enum telemetry_list list, const struct telemetry_row *row)
{
	json_begin_object(w);
	json_put_key_string(w, "flag", row->text);
	if (list != TELEMETRY_UNKNOWN) {
		json_put_key_string(w, "variant", row->variant);
	}
	json_put_key_int64(w, "count", count_json(row->count));
	if (list == TELEMETRY_OUTCOMES) {
		json_put_key_int64(w, "errors", count_json(row->errors));
		json_put_key(w, "latency_ms");
		json_begin_array(w);
		for (int i = 0; i < TELEMETRY_LATENCIES; i++) {
			json_put_int64(w, count_json(row->latencies[i]));
		}
		json_end_array(w);
	}
	json_end_object(w);
}

static void report_give_up(struct telemetry *telemetry, uint32_t index)
{
	struct telemetry_report *report = &telemetry->reports[index];
	free(report->body);
	telemetry->report_count--;
	memmove(report, report + 1, (telemetry->report_count - index) * sizeof(*report));
}

/* Puts the report at the end of the queue. The oldest but one makes room: the first may be on its way. */
static void report_end(struct report_writer *w, struct telemetry *telemetry, uint64_t epoch,
                       uint64_t revision)
{
	json_end_object(&w->json);
	struct telemetry_report report = { .epoch = epoch, .revision = revision };
	if (buf_status(&w->buf, "report", NULL) == STATUS_OK) {
		report.body = buf_steal(&w->buf, &report.length);
	}
	buf_deinit(&w->buf);
	if (report.body == NULL) {
		telemetry_drop(telemetry);
		return;
	}
	if (telemetry->report_count == TELEMETRY_MAX_REPORTS) {
		report_give_up(telemetry, 1);
		telemetry_drop(telemetry);
	}
	telemetry->reports[telemetry->report_count++] = report;
}

/* Writes all rows of one list; begins another report where one is full. */
static void list_write(struct report_writer *w, struct telemetry *telemetry, enum telemetry_list list,
                       const struct telemetry_row *row, uint64_t epoch, uint64_t revision)
{
	if (row == NULL) {
		return;
	}
	json_put_key(&w->json, list_names[list]);
	json_begin_array(&w->json);
	for (; row != NULL; row = row->next) {
		if (w->buf.length + ROW_MAX_BYTES > TELEMETRY_MAX_REPORT_BYTES) {
			json_end_array(&w->json);
			report_end(w, telemetry, epoch, revision);
			report_begin(w, telemetry, epoch, revision);
			json_put_key(&w->json, list_names[list]);
			json_begin_array(&w->json);
		}
		row_write(&w->json, list, row);
	}
	json_end_array(&w->json);
}

void telemetry_collect(struct telemetry *telemetry, uint64_t epoch, uint64_t revision, bool force)
{
	struct telemetry_row *rows[TELEMETRY_LISTS];
	bool is_empty = true;
	pthread_mutex_lock(&telemetry->lock);
	for (int i = 0; i < TELEMETRY_LISTS; i++) {
		struct telemetry_table *table = &telemetry->tables[i];
		rows[i] = table->first;
		is_empty = is_empty && table->first == NULL;
		if (table->first != NULL) {
			*table = (struct telemetry_table){ 0 };
			table->last = &table->first;
		}
	}
	pthread_mutex_unlock(&telemetry->lock);
	if (is_empty && !force) {
		return;
	}
	struct report_writer w;
	report_begin(&w, telemetry, epoch, revision);
	for (int i = 0; i < TELEMETRY_LISTS; i++) {
		list_write(&w, telemetry, (enum telemetry_list)i, rows[i], epoch, revision);
		rows_free(rows[i]);
	}
	report_end(&w, telemetry, epoch, revision);
}

const struct telemetry_report *telemetry_next(const struct telemetry *telemetry)
{
	return telemetry->report_count > 0 ? &telemetry->reports[0] : NULL;
}

void telemetry_done(struct telemetry *telemetry, enum telemetry_outcome outcome)
{
	if (telemetry->report_count == 0) {
		return;
	}
	struct telemetry_report *report = &telemetry->reports[0];
	if (outcome == TELEMETRY_RETRY && ++report->attempts < TELEMETRY_MAX_ATTEMPTS) {
		return;
	}
	if (outcome != TELEMETRY_DELIVERED) {
		telemetry_drop(telemetry);
	}
	report_give_up(telemetry, 0);
}
