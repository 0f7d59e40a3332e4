/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/telemetry_report.h"

#include <string.h>

#include "engine/flag.h"

#define STRING JSON_BIT(JSON_STRING)
#define NUMBER JSON_BIT(JSON_NUMBER)
#define ARRAY  JSON_BIT(JSON_ARRAY)
#define OBJECT JSON_BIT(JSON_OBJECT)

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* Unescaped, longest raw form: every byte as \u00xx. */
#define RAW_BYTES(bytes) (6 * (bytes))

#define NAME_MAX_BYTES 64 /* of a client's name and version */
#define INSTANCE_BYTES 16

static enum status count_read(struct json value, uint64_t *ret, struct error *err)
{
	int64_t count = 0;
	if (!json_int64(value, &count) || count < 0 || count > TELEMETRY_MAX_COUNT) {
		return json_fail(err, STATUS_INVALID, value,
		                 "A count must be an integer from 0 to 9007199254740991");
	}
	*ret = (uint64_t)count;
	return STATUS_OK;
}

static enum status text_read(struct json value, size_t max_bytes, struct arena *arena, const char **ret,
                             struct error *err)
{
	size_t length = 0;
	const char *const text = json_string_dup(value, arena, &length);
	if (text == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory while reading a report");
	}
	if (length > max_bytes) {
		return json_fail(err, STATUS_INVALID, value, "This must be at most %zu bytes long",
		                 max_bytes);
	}
	*ret = text;
	return STATUS_OK;
}

/* ---- Rows ---- */

struct row_fields {
	struct json flag, variant, count, errors, latency_ms;
};

static const struct json_field evaluation_fields[] = {
	JSON_FIELD(row_fields, flag, STRING, true, RAW_BYTES(FLAG_KEY_MAX_BYTES)),
	JSON_FIELD(row_fields, variant, STRING, true, RAW_BYTES(FLAG_VARIANT_MAX_BYTES)),
	JSON_FIELD(row_fields, count, NUMBER, true, 0),
};

static const struct json_field unknown_fields[] = {
	JSON_FIELD(row_fields, flag, STRING, true, RAW_BYTES(FLAG_KEY_MAX_BYTES)),
	JSON_FIELD(row_fields, count, NUMBER, true, 0),
};

static const struct json_field outcome_fields[] = {
	JSON_FIELD(row_fields, flag, STRING, true, RAW_BYTES(FLAG_KEY_MAX_BYTES)),
	JSON_FIELD(row_fields, variant, STRING, true, RAW_BYTES(FLAG_VARIANT_MAX_BYTES)),
	JSON_FIELD(row_fields, count, NUMBER, true, 0),
	JSON_FIELD(row_fields, errors, NUMBER, true, 0),
	JSON_FIELD(row_fields, latency_ms, ARRAY, true, TELEMETRY_LATENCY_BUCKETS),
};

static enum status latency_read(struct json array, uint64_t ret[static TELEMETRY_LATENCY_BUCKETS],
                                struct error *err)
{
	if (json_count(array) != TELEMETRY_LATENCY_BUCKETS) {
		return json_fail(err, STATUS_INVALID, array,
		                 "The field `latency_ms` must have %d elements, not %u",
		                 TELEMETRY_LATENCY_BUCKETS, json_count(array));
	}
	struct json value = JSON_NONE;
	for (size_t i = 0; json_next(array, NULL, &value); i++) {
		const enum status status = count_read(value, &ret[i], err);
		if (status != STATUS_OK) {
			return status;
		}
	}
	return STATUS_OK;
}

static enum status row_read(struct json object, const struct json_field *fields, size_t field_count,
                            struct arena *arena, struct telemetry_row *ret, struct error *err)
{
	struct row_fields row = { 0 };
	enum status status = json_fields(object, fields, field_count, &row, err);
	if (status == STATUS_OK) {
		status = text_read(row.flag, FLAG_KEY_MAX_BYTES, arena, &ret->flag, err);
	}
	if (status == STATUS_OK && !flag_key_is_valid(ret->flag, strlen(ret->flag))) {
		return json_fail(
		        err, STATUS_INVALID, row.flag,
		        "A flag's key is made of letters, digits, '.', '_' and '-' and begins with a letter "
		        "or digit");
	}
	ret->variant = "";
	if (status == STATUS_OK && row.variant.doc != NULL) {
		status = text_read(row.variant, FLAG_VARIANT_MAX_BYTES, arena, &ret->variant, err);
	}
	if (status == STATUS_OK) {
		status = count_read(row.count, &ret->count, err);
	}
	if (status == STATUS_OK && row.errors.doc != NULL) {
		status = count_read(row.errors, &ret->errors, err);
	}
	if (status == STATUS_OK && row.latency_ms.doc != NULL) {
		status = latency_read(row.latency_ms, ret->latency_ms, err);
	}
	return status;
}

static enum status rows_read(struct json array, const struct json_field *fields, size_t field_count,
                             struct arena *arena, struct telemetry_rows *ret, struct error *err)
{
	ret->rows = arena_alloc_array(arena, json_count(array), sizeof(*ret->rows));
	if (ret->rows == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory while reading a report");
	}
	struct json object = JSON_NONE;
	while (json_next(array, NULL, &object)) {
		const enum status status =
		        row_read(object, fields, field_count, arena, &ret->rows[ret->count], err);
		if (status != STATUS_OK) {
			return status;
		}
		ret->count++;
	}
	return STATUS_OK;
}

/* ---- Client and report ---- */

struct client_fields {
	struct json name, version, instance;
};

static const struct json_field client_fields[] = {
	JSON_FIELD(client_fields, name, STRING, true, RAW_BYTES(NAME_MAX_BYTES)),
	JSON_FIELD(client_fields, version, STRING, true, RAW_BYTES(NAME_MAX_BYTES)),
	JSON_FIELD(client_fields, instance, STRING, true, RAW_BYTES(INSTANCE_BYTES)),
};

static enum status client_read(struct json object, struct arena *arena, struct telemetry_report *ret,
                               struct error *err)
{
	struct client_fields client = { 0 };
	enum status status = json_fields(object, client_fields, COUNT(client_fields), &client, err);
	if (status == STATUS_OK) {
		status = text_read(client.name, NAME_MAX_BYTES, arena, &ret->name, err);
	}
	if (status == STATUS_OK) {
		status = text_read(client.version, NAME_MAX_BYTES, arena, &ret->version, err);
	}
	if (status == STATUS_OK) {
		status = text_read(client.instance, INSTANCE_BYTES, arena, &ret->instance, err);
	}
	if (status == STATUS_OK && (strlen(ret->instance) != INSTANCE_BYTES ||
	                            strspn(ret->instance, "0123456789abcdef") != INSTANCE_BYTES)) {
		return json_fail(err, STATUS_INVALID, client.instance,
		                 "The field `instance` must be %d lower-case hexadecimal digits",
		                 INSTANCE_BYTES);
	}
	return status;
}

/* "18446744073709551615" */
static enum status uint64_read(struct json value, uint64_t *ret, struct error *err)
{
	char text[21]; /* the longest has 20 digits; what is longer is no number that fits */
	uint64_t number = 0;
	const size_t length = json_string_copy(value, text, sizeof(text));
	bool is_valid = length > 0 && length < sizeof(text) && (text[0] != '0' || length == 1);
	for (size_t i = 0; is_valid && i < length; i++) {
		is_valid = text[i] >= '0' && text[i] <= '9' && !__builtin_mul_overflow(number, 10, &number) &&
		           !__builtin_add_overflow(number, (uint64_t)(text[i] - '0'), &number);
	}
	if (!is_valid) {
		return json_fail(err, STATUS_INVALID, value,
		                 "This must be a decimal number up to 18446744073709551615, in quotes");
	}
	*ret = number;
	return STATUS_OK;
}

struct report_fields {
	struct json client, epoch, revision, evaluations, unknown, outcomes;
};

static const struct json_field report_fields[] = {
	JSON_FIELD(report_fields, client, OBJECT, true, 0),
	JSON_FIELD(report_fields, epoch, STRING, true, 0),
	JSON_FIELD(report_fields, revision, STRING, true, 0),
	JSON_FIELD(report_fields, evaluations, ARRAY, false, TELEMETRY_MAX_ROWS),
	JSON_FIELD(report_fields, unknown, ARRAY, false, TELEMETRY_MAX_ROWS),
	JSON_FIELD(report_fields, outcomes, ARRAY, false, TELEMETRY_MAX_ROWS),
};

enum status telemetry_report_read(struct json report, struct arena *arena, struct telemetry_report *ret,
                                  struct error *err)
{
	struct report_fields fields = { 0 };
	struct telemetry_report read = { 0 };
	enum status status = json_fields(report, report_fields, COUNT(report_fields), &fields, err);
	if (status == STATUS_OK) {
		status = client_read(fields.client, arena, &read, err);
	}
	if (status == STATUS_OK) {
		status = uint64_read(fields.epoch, &read.epoch, err);
	}
	if (status == STATUS_OK) {
		status = uint64_read(fields.revision, &read.revision, err);
	}
	if (status == STATUS_OK) {
		status = rows_read(fields.evaluations, evaluation_fields, COUNT(evaluation_fields), arena,
		                   &read.evaluations, err);
	}
	if (status == STATUS_OK) {
		status = rows_read(fields.unknown, unknown_fields, COUNT(unknown_fields), arena,
		                   &read.unknown, err);
	}
	if (status == STATUS_OK) {
		status = rows_read(fields.outcomes, outcome_fields, COUNT(outcome_fields), arena,
		                   &read.outcomes, err);
	}
	if (status == STATUS_OK) {
		*ret = read;
	}
	return status;
}
