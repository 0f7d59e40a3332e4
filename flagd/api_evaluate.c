/* SPDX-License-Identifier: Apache-2.0 */
/* Evaluation on the server: one or all flags, explained, now or as of a time. Handler of flagd/routes.h. */
#include <stdio.h>
#include <string.h>

#include "engine/eval.h"
#include "flagd/api.h"
#include "flagd/assemble.h"
#include "flagd/doc.h"
#include "flagd/evaluation.h"
#include "flagd/routes.h"

struct evaluate_body {
	struct json flag, context, explain, at;
};

static const struct json_field evaluate_fields[] = {
	JSON_FIELD(evaluate_body, flag, JSON_BIT(JSON_STRING), false, FLAG_KEY_MAX_BYTES),
	JSON_FIELD(evaluate_body, context, JSON_BIT(JSON_OBJECT) | JSON_BIT(JSON_NULL), false, 0),
	JSON_FIELD(evaluate_body, explain, JSON_BIT(JSON_BOOLEAN), false, 0),
	JSON_FIELD(evaluate_body, at, JSON_BIT(JSON_STRING), false, 64),
};

/* What is evaluated with. */
struct evaluate {
	const struct ruleset *ruleset;
	struct ruleset *past; /* owned, when `at` was given */
	struct context context;
	bool is_explained;
	int64_t at_ms; /* INT64_MIN: now */
};

struct past {
	struct catalogue *catalogue;
	enum status status; /* of the rows so far */
	struct error *err;
};

static bool past_entry(void *user, const struct store_entry *entry)
{
	struct past *past = user;
	if (entry->after == NULL || entry->table == STORE_TOKEN) {
		return true;
	}
	struct store_row from = { .table = entry->table,
		                  .key = entry->key,
		                  .environment = entry->environment,
		                  .version = entry->version,
		                  .updated_ms = entry->at_ms,
		                  .doc = entry->after,
		                  .doc_length = strlen(entry->after) };
	struct row *row = NULL;
	struct row *old = NULL;
	past->status = row_new(&from, &row, past->err);
	if (past->status != STATUS_OK) {
		return false;
	}
	past->status = catalogue_put(past->catalogue, row, &old, past->err);
	if (past->status != STATUS_OK) {
		row_unref(row);
		return false;
	}
	row_unref(old);
	return true;
}

static enum status past_build(struct app *app, const char *environment, int64_t at_ms, struct ruleset **ret,
                              struct error *err)
{
	struct catalogue *catalogue = catalogue_new();
	if (catalogue == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory while looking into the past");
	}
	struct past past = { .catalogue = catalogue, .status = STATUS_OK, .err = err };
	enum status status = store_state_at(app->store, at_ms, past_entry, &past, err);
	if (status == STATUS_OK) {
		status = past.status; /* half a past would be another one */
	}
	if (status == STATUS_OK && catalogue_find(catalogue, STORE_ENVIRONMENT, environment, NULL) == NULL) {
		status = error_fail(err, STATUS_NOT_FOUND, "There was no environment `%.64s` at that time",
		                    environment);
	}
	if (status == STATUS_OK) {
		status = assemble_ruleset(catalogue, environment, NULL, 0, ret, err);
	}
	catalogue_free(catalogue);
	return status;
}

static enum status evaluate_read(struct http_request *request, const struct evaluate_body *body,
                                 const struct snapshot *snapshot, struct evaluate *ret, struct error *err)
{
	ret->is_explained = json_boolean(body->explain);
	ret->at_ms = INT64_MIN;
	ret->ruleset = snapshot_ruleset(snapshot);
	enum status status = context_read(body->context, request->arena, &ret->context, err);
	if (status != STATUS_OK || json_is(body->at, JSON_ABSENT)) {
		return status;
	}
	char text[64];
	size_t length = json_string_copy(body->at, text, sizeof(text));
	if (length >= sizeof(text) || !clock_rfc3339_parse(text, length, &ret->at_ms)) {
		return json_fail(err, STATUS_INVALID, body->at, "The time looks like 2026-11-21T09:30:00Z");
	}
	status = past_build(request->app, snapshot_environment(snapshot), ret->at_ms, &ret->past, err);
	ret->ruleset = ret->past;
	return status;
}

static void flag_write(const struct evaluate *evaluate, const char *key, struct json_writer *w)
{
	if (evaluate->is_explained) {
		eval_explain(evaluate->ruleset, key, strlen(key), &evaluate->context, w);
		return;
	}
	struct eval_result result;
	eval_flag(evaluate->ruleset, key, strlen(key), &evaluate->context, &result);
	evaluation_write(key, &result, w);
}

static void evaluate_write(const struct evaluate *evaluate, const struct snapshot *snapshot, const char *flag,
                           struct json_writer *w)
{
	const struct manifest *manifest = snapshot_manifest(snapshot);
	json_begin_object(w);
	json_put_key_string(w, "environment", manifest->environment);
	if (evaluate->at_ms != INT64_MIN) {
		json_put_key_time(w, "at", evaluate->at_ms);
	} else {
		json_put_key_uint64_string(w, "epoch", manifest->epoch);
		json_put_key_uint64_string(w, "revision", manifest->revision);
	}
	json_put_key(w, "flags");
	json_begin_array(w);
	for (size_t i = 0; flag == NULL && i < ruleset_flag_count(evaluate->ruleset); i++) {
		flag_write(evaluate, ruleset_flag_at(evaluate->ruleset, i, NULL)->item.key, w);
	}
	if (flag != NULL) {
		flag_write(evaluate, flag, w);
	}
	json_end_array(w);
	json_end_object(w);
}

void evaluate(struct http_request *request, struct http_reply *reply)
{
	struct app *app = request->app;
	struct error err = ERROR_INIT;
	struct json_doc doc = { 0 };
	struct evaluate_body body;
	struct evaluate job = { 0 };
	const struct snapshot *snapshot = publisher_find(app->publisher, request->params[0]);
	enum status status = api_query_none(request, &err);
	if (status == STATUS_OK && snapshot == NULL) {
		status = error_fail(&err, STATUS_NOT_FOUND, "There is no environment `%.64s`",
		                    request->params[0]);
	}
	if (status == STATUS_OK) {
		status = api_body(request, &doc, &err);
	}
	if (status == STATUS_OK) {
		status = json_fields(json_root(&doc), evaluate_fields,
		                     sizeof(evaluate_fields) / sizeof(evaluate_fields[0]), &body, &err);
	}
	if (status == STATUS_OK) {
		status = evaluate_read(request, &body, snapshot, &job, &err);
	}
	const char *flag = NULL;
	if (status == STATUS_OK && json_is(body.flag, JSON_STRING)) {
		flag = json_string_dup(body.flag, request->arena, NULL);
		if (flag == NULL) {
			status = error_fail(&err, STATUS_NO_MEMORY, "Out of memory while reading `flag`");
		}
	}
	if (status != STATUS_OK) {
		api_fail(request, reply, &err);
	} else {
		struct json_writer w;
		api_reply(reply, 200, &w);
		evaluate_write(&job, snapshot, flag, &w);
	}
	ruleset_unref(job.past);
	json_doc_deinit(&doc);
}
