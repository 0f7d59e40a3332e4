/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/change.h"

#include <stdlib.h>
#include <string.h>

#include "flagd/change_internal.h"
#include "flagd/doc_diff.h"

#define CHANGE_MAX_ENTRIES_BYTES (256u * 1024 * 1024)

static bool dry_run_read(struct change *change, struct error *err)
{
	const char *value = http_query(change->request, "dry_run");
	if (value == NULL || strcmp(value, "false") == 0) {
		return true;
	}
	change->is_dry_run = strcmp(value, "true") == 0;
	if (!change->is_dry_run) {
		error_set(err, STATUS_INVALID, "The query parameter `dry_run` is true or false");
		error_path_set(err, "?dry_run");
	}
	return change->is_dry_run;
}

void change_begin_system(struct change *change, struct app *app, const char *action, const char *reason)
{
	*change = (struct change){
		.app = app, .action = action, .reason = reason, .now_ms = clock_wall_ms(app->clock)
	};
	struct trace trace;
	trace_start(&trace, NULL);
	memcpy(change->trace_id, trace.id, sizeof(change->trace_id));
	buf_init(&change->entries, CHANGE_MAX_ENTRIES_BYTES);
}

bool change_begin(struct change *change, struct http_request *request, struct http_reply *reply,
                  const char *action, const char *reason)
{
	struct app *app = request->app;
	change_begin_system(change, app, action, reason);
	change->request = request;
	change->reply = reply;
	memcpy(change->trace_id, request->trace.id, sizeof(change->trace_id));
	struct error err = ERROR_INIT;
	if (app->must_reload && app_load(app, &err) != STATUS_OK) {
		http_reply_problem(request, reply, &err);
		return false;
	}
	if (!dry_run_read(change, &err)) {
		http_reply_problem(request, reply, &err);
		return false;
	}
	return change->is_dry_run || !change_replay(change);
}

static bool row_is_same(const struct row *old, const struct change_row *row)
{
	if (old == NULL || old->is_archived != row->is_archived) {
		return false;
	}
	return row->doc == NULL ||
	       (strlen(old->text) == row->doc_length && memcmp(old->text, row->doc, row->doc_length) == 0);
}

static struct change_pending *pending_add(struct change *change, const struct change_row *row)
{
	if (change->row_count == change->row_capacity) {
		size_t capacity = change->row_capacity == 0 ? 8 : change->row_capacity * 2;
		struct change_pending *rows = reallocarray(change->rows, capacity, sizeof(*rows));
		if (rows == NULL) {
			return NULL;
		}
		change->rows = rows;
		change->row_capacity = capacity;
	}
	struct change_pending *pending = &change->rows[change->row_count];
	*pending = (struct change_pending){
		.action = strdup(row->action != NULL ? row->action : change->action),
		.path = strdup(row->path != NULL ? row->path : ""),
	};
	if (pending->action == NULL || pending->path == NULL) {
		free(pending->action);
		free(pending->path);
		return NULL;
	}
	return pending;
}

enum status change_put(struct change *change, const struct change_row *row, struct error *err)
{
	struct catalogue *catalogue = change->app->catalogue;
	struct row *old = catalogue_find(catalogue, row->table, row->key, row->environment);
	if (row_is_same(old, row)) {
		return STATUS_OK;
	}
	struct store_row next = {
		.table = row->table,
		.key = row->key,
		.environment = row->environment,
		.version = old != NULL ? old->version + 1 : 1,
		.is_archived = row->is_archived,
		.created_ms = old != NULL ? old->created_ms : change->now_ms,
		.updated_ms = change->now_ms,
		.doc = row->doc != NULL ? row->doc : old->text,
		.doc_length = row->doc != NULL ? row->doc_length : strlen(old->text),
		.secret_hash = row->secret_hash != NULL                   ? row->secret_hash
		               : old != NULL && row->table == STORE_TOKEN ? old->secret_hash
		                                                          : NULL,
	};
	struct row *fresh = NULL;
	enum status status = row_new(&next, &fresh, err);
	if (status != STATUS_OK) {
		return status;
	}
	struct change_pending *pending = pending_add(change, row);
	if (pending == NULL) {
		row_unref(fresh);
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory while preparing a change");
	}
	struct row *replaced = NULL;
	status = catalogue_put(catalogue, row_ref(fresh), &replaced, err);
	if (status != STATUS_OK) {
		row_unref(fresh);
		row_unref(fresh);
		free(pending->action);
		free(pending->path);
		return status;
	}
	pending->row = fresh;
	pending->old = replaced;
	change->row_count++;
	return STATUS_OK;
}

bool change_has_rows(const struct change *change)
{
	return change->row_count > 0;
}

enum status change_prepare(struct change *change, struct error *err)
{
	if (!change_has_rows(change)) {
		return STATUS_OK;
	}
	enum status status = change_rulesets_build(change, err);
	if (status == STATUS_OK && !change->is_dry_run) {
		status = change_journal_build(change, err);
	}
	return status;
}

enum status change_commit(struct change *change, struct error *err)
{
	struct app *app = change->app;
	bool has_rows = change_has_rows(change);
	if (!has_rows && !change_is_retryable(change)) {
		atomic_fetch_add(&app->changes[APP_CHANGE_UNCHANGED], 1);
		change->is_committed = true;
		return STATUS_OK;
	}
	int64_t start_ms = clock_monotonic_ms(app->clock);
	enum status status = change_store(change, err);
	metrics_observe(&app->commit_duration, (clock_monotonic_ms(app->clock) - start_ms) * 1000);
	if (status != STATUS_OK) {
		/* Unknown outcome, or somebody else wrote: what is stored is the truth. */
		app->must_reload = status == STATUS_UNAVAILABLE || status == STATUS_PRECONDITION_FAILED;
		app_health_update(app);
		return status;
	}
	change->is_committed = true;
	if (change->publication.view != NULL) {
		publication_apply(&change->publication, app->publisher);
		app_wake(app);
	}
	app_health_update(app);
	atomic_fetch_add(&app->changes[has_rows ? APP_CHANGE_APPLIED : APP_CHANGE_UNCHANGED], 1);
	return STATUS_OK;
}

void change_end(struct change *change)
{
	if (!change->is_committed) {
		atomic_fetch_add(
		        &change->app->changes[change->is_dry_run ? APP_CHANGE_PREVIEWED : APP_CHANGE_REFUSED],
		        1);
	}
	/* Backwards, so that a row that was put twice ends as it was. */
	for (size_t i = change->row_count; i-- > 0;) {
		struct change_pending *pending = &change->rows[i];
		if (change->is_committed) {
			row_unref(pending->old);
		} else {
			catalogue_restore(change->app->catalogue, pending->row->table, pending->row->key,
			                  pending->row->environment, pending->old);
		}
		row_unref(pending->row);
		free(pending->action);
		free(pending->path);
	}
	free(change->rows);
	change_rulesets_free(change);
	publication_deinit(&change->publication);
	buf_deinit(&change->entries);
	*change = (struct change){ 0 };
}

/* ---- Preview ---- */

static const char *const table_names[] = {
	[STORE_ENVIRONMENT] = "environment", [STORE_FLAG] = "flag",   [STORE_SETTING] = "setting",
	[STORE_SEGMENT] = "segment",         [STORE_TOKEN] = "token",
};

static void preview_row_write(const struct change_pending *pending, struct json_writer *w)
{
	const struct row *row = pending->row;
	json_begin_object(w);
	json_put_key_string(w, "kind", table_names[row->table]);
	json_put_key_string(w, "key", row->key);
	if (row->environment != NULL && row->table == STORE_SETTING) {
		json_put_key_string(w, "environment", row->environment);
	}
	json_put_key_string(w, "action", pending->action);
	json_put_key_uint64_string(w, "version", row->version);
	json_put_key(w, "changes");
	doc_diff(pending->old != NULL && !pending->old->is_archived ? row_json(pending->old) : JSON_NONE,
	         row->is_archived ? JSON_NONE : row_json(row), w);
	json_end_object(w);
}

void change_preview_write(const struct change *change, struct json_writer *w)
{
	json_begin_object(w);
	json_put_key_boolean(w, "dry_run", true);
	json_put_key(w, "rows");
	json_begin_array(w);
	for (size_t i = 0; i < change->row_count; i++) {
		preview_row_write(&change->rows[i], w);
	}
	json_end_array(w);
	json_put_key(w, "environments");
	json_begin_array(w);
	for (size_t i = 0; i < change->environment_count; i++) {
		const struct change_environment *environment = &change->environments[i];
		json_begin_object(w);
		json_put_key_string(w, "environment", environment->environment);
		json_put_key_uint64_string(w, "revision", environment->revision);
		json_end_object(w);
	}
	json_end_array(w);
	json_end_object(w);
}
