/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of a flag in an environment: read, patch, revert. Handlers of flagd/routes.h. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "flagd/api.h"
#include "flagd/doc.h"
#include "flagd/routes.h"

/* The settings row; archived flags have none to see or change. */
static enum status setting_find(struct http_request *request, struct row **ret, struct error *err)
{
	struct row *flag = NULL;
	enum status status = api_row_find(request, STORE_FLAG, request->params[0], NULL, false, &flag, err);
	if (status != STATUS_OK) {
		return status;
	}
	return api_row_find(request, STORE_SETTING, request->params[0], request->params[1], false, ret, err);
}

struct setting_at {
	struct json_writer *w;
	bool is_found;
};

static bool setting_at_entry(void *user, const struct store_entry *entry)
{
	struct setting_at *at = user;
	struct json_doc doc = { 0 };
	if (entry->after == NULL ||
	    json_parse(entry->after, strlen(entry->after), &doc_limits, &doc, NULL) != STATUS_OK) {
		return false;
	}
	struct json name = JSON_NONE;
	struct json value = JSON_NONE;
	json_begin_object(at->w);
	while (json_next(json_root(&doc), &name, &value)) {
		char member[64];
		(void)json_string_copy(name, member, sizeof(member));
		json_put_key_value(at->w, member, value);
	}
	json_put_key_uint64_string(at->w, "version", entry->version);
	json_put_key_time(at->w, "updated_at", entry->at_ms);
	json_end_object(at->w);
	json_doc_deinit(&doc);
	at->is_found = true;
	return false;
}

static void setting_get_at(struct http_request *request, struct http_reply *reply, int64_t at_ms)
{
	struct app *app = request->app;
	struct error err = ERROR_INIT;
	struct json_writer w;
	api_reply(reply, 200, &w);
	struct setting_at at = { .w = &w };
	struct store_filter filter = { .table = STORE_SETTING,
		                       .key = request->params[0],
		                       .environment = request->params[1],
		                       .at_ms = at_ms,
		                       .limit = 1 };
	enum status status = store_journal_list(app->store, &filter, setting_at_entry, &at, &err);
	if (status == STATUS_OK && !at.is_found) {
		status = error_fail(&err, STATUS_NOT_FOUND,
		                    "There was no flag `%.128s` in `%.64s` at that time", request->params[0],
		                    request->params[1]);
	}
	if (status != STATUS_OK) {
		api_fail(request, reply, &err);
	}
}

void setting_get(struct http_request *request, struct http_reply *reply)
{
	static const char *const allowed[] = { "at", NULL };
	struct error err = ERROR_INIT;
	struct row *row = NULL;
	int64_t at_ms = INT64_MIN;
	enum status status = http_query_check(request, allowed, &err);
	if (status == STATUS_OK) {
		status = api_time_read(request, "at", &at_ms, &err);
	}
	if (status == STATUS_OK && at_ms != INT64_MIN) {
		setting_get_at(request, reply, at_ms);
		return;
	}
	if (status == STATUS_OK) {
		status = setting_find(request, &row, &err);
	}
	if (status != STATUS_OK) {
		api_fail(request, reply, &err);
		return;
	}
	if (api_not_modified(request, reply, row)) {
		return;
	}
	struct json_writer w;
	api_reply(reply, 200, &w);
	api_setting_write(request->app, row, &w);
	api_etag_set(reply, row);
}

/* Writes the next document of @old into @out. */
typedef enum status setting_make(struct http_request *request, struct json body, const struct row *old,
                                 struct buf *out, struct error *err);

static void setting_change(struct http_request *request, struct http_reply *reply, const char *action,
                           setting_make *make)
{
	const char *key = request->params[0];
	const char *environment = request->params[1];
	struct api_change work;
	struct row *row = NULL;
	if (!api_change_begin(&work, request, reply, action)) {
		return;
	}
	struct buf text;
	buf_init(&text, FLAG_MAX_TEXT_BYTES);
	work.status = setting_find(request, &row, &work.err);
	if (work.status == STATUS_OK && api_if_match(request, reply, row)) {
		work.status = make(request, work.body, row, &text, &work.err);
		struct change_row next = { .table = STORE_SETTING,
			                   .key = key,
			                   .environment = environment,
			                   .doc = buf_string(&text),
			                   .doc_length = text.length };
		if (work.status == STATUS_OK) {
			work.status = change_put(&work.change, &next, &work.err);
		}
	}
	api_change_end(&work, STORE_SETTING, key, environment, 200, api_setting_write);
	buf_deinit(&text);
}

static enum status patch_make(struct http_request *request, struct json body, const struct row *old,
                              struct buf *out, struct error *err)
{
	(void)request;
	return doc_setting_patch(row_json(old), body, out, err);
}

void setting_update(struct http_request *request, struct http_reply *reply)
{
	setting_change(request, reply, "setting.update", patch_make);
}

/* ---- Revert ---- */

struct revert_body {
	struct json version, at, reason;
};

static const struct json_field revert_fields[] = {
	JSON_FIELD(revert_body, version, JSON_BIT(JSON_STRING), false, 0),
	JSON_FIELD(revert_body, at, JSON_BIT(JSON_STRING), false, 0),
	JSON_FIELD(revert_body, reason, JSON_BIT(JSON_STRING) | JSON_BIT(JSON_NULL), false, 0),
};

struct revert_search {
	uint64_t version; /* 0: the newest that the filter lets through */
	struct buf *out;
	uint64_t last_seq;
	uint32_t seen; /* entries of the page */
	bool is_found;
};

static bool revert_entry(void *user, const struct store_entry *entry)
{
	struct revert_search *search = user;
	search->last_seq = entry->seq;
	search->seen++;
	if (search->version != 0 && entry->version != search->version) {
		return true;
	}
	if (entry->after != NULL) {
		buf_append_string(search->out, entry->after);
		search->is_found = true;
	}
	return false;
}

static enum status revert_read(const struct revert_body *body, struct json root, const struct row *old,
                               struct store_filter *filter, struct revert_search *search, struct error *err)
{
	if (json_is(body->version, JSON_ABSENT) == json_is(body->at, JSON_ABSENT)) {
		return json_fail_member(err, STATUS_INVALID, root, "version",
		                        "Say where to go back to: either `version` or `at`");
	}
	char text[64];
	if (json_is(body->version, JSON_STRING)) {
		if (json_string_copy(body->version, text, sizeof(text)) >= sizeof(text) ||
		    !api_number_read(text, old->version, &search->version) || search->version == 0) {
			return json_fail(err, STATUS_INVALID, body->version,
			                 "The version is a number from 1 to %" PRIu64 ", as a string",
			                 old->version);
		}
		return STATUS_OK;
	}
	size_t length = json_string_copy(body->at, text, sizeof(text));
	if (length >= sizeof(text) || !clock_rfc3339_parse(text, length, &filter->at_ms)) {
		return json_fail(err, STATUS_INVALID, body->at, "The time looks like 2026-11-21T09:30:00Z");
	}
	return STATUS_OK;
}

/* Walks the journal page by page until the version is found. */
static enum status revert_search(struct app *app, struct store_filter *filter, struct revert_search *search,
                                 struct error *err)
{
	enum status status = STATUS_OK;
	do {
		search->seen = 0;
		status = store_journal_list(app->store, filter, revert_entry, search, err);
		filter->before_seq = search->last_seq;
	} while (status == STATUS_OK && !search->is_found && search->seen == filter->limit);
	return status;
}

static enum status revert_make(struct http_request *request, struct json body, const struct row *old,
                               struct buf *out, struct error *err)
{
	struct revert_body fields;
	enum status status = json_fields(body, revert_fields,
	                                 sizeof(revert_fields) / sizeof(revert_fields[0]), &fields, err);
	struct store_filter filter = { .table = STORE_SETTING,
		                       .key = old->key,
		                       .environment = old->environment,
		                       .at_ms = INT64_MAX,
		                       .limit = API_MAX_LIST };
	struct revert_search search = { .out = out };
	if (status == STATUS_OK) {
		status = revert_read(&fields, body, old, &filter, &search, err);
	}
	if (status == STATUS_OK) {
		status = revert_search(request->app, &filter, &search, err);
	}
	if (status == STATUS_OK && !search.is_found) {
		return error_fail(err, STATUS_NOT_FOUND, "The journal has no such version of these settings");
	}
	return status;
}

void setting_revert(struct http_request *request, struct http_reply *reply)
{
	setting_change(request, reply, "setting.revert", revert_make);
}
