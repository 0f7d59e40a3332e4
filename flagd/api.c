/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/api.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flagd/doc.h"
#include "flagd/doc_diff.h"

void api_fail(struct http_request *request, struct http_reply *reply, const struct error *err)
{
	http_reply_problem(request, reply, err);
}

void api_reply(struct http_reply *reply, int status, struct json_writer *w)
{
	http_reply_json(reply, status);
	json_writer_init(w, &reply->body);
}

enum status api_body(struct http_request *request, struct json_doc *ret, struct error *err)
{
	enum status status = json_parse(request->body, request->body_length, &doc_limits, ret, err);
	if (status == STATUS_OK && !json_is(json_root(ret), JSON_OBJECT)) {
		return error_fail(err, STATUS_INVALID, "The body must be a JSON object, not %s",
		                  json_type_name(json_type(json_root(ret))));
	}
	return status;
}

bool api_number_read(const char *text, uint64_t max, uint64_t *ret)
{
	uint64_t value = 0;
	if (text[0] == '\0' || strlen(text) > 19) {
		return false;
	}
	for (const char *c = text; *c != '\0'; c++) {
		if (*c < '0' || *c > '9') {
			return false;
		}
		value = value * 10 + (uint64_t)(*c - '0');
	}
	*ret = value;
	return value <= max;
}

enum status api_page_read(struct http_request *request, const char *const *allowed, struct api_page *ret,
                          struct error *err)
{
	const char *names[16] = { "cursor", "limit" };
	size_t count = 2;
	for (size_t i = 0; allowed != NULL && allowed[i] != NULL && count < 15; i++) {
		names[count++] = allowed[i];
	}
	enum status status = http_query_check(request, names, err);
	if (status != STATUS_OK) {
		return status;
	}
	const char *cursor = http_query(request, "cursor");
	const char *limit = http_query(request, "limit");
	uint64_t value = API_LIST_SIZE;
	if (limit != NULL && (!api_number_read(limit, API_MAX_LIST, &value) || value == 0)) {
		error_set(err, STATUS_INVALID, "The query parameter `limit` is a number from 1 to %d",
		          API_MAX_LIST);
		error_path_set(err, "?limit");
		return STATUS_INVALID;
	}
	ret->cursor = cursor != NULL ? cursor : "";
	ret->limit = (uint32_t)value;
	return STATUS_OK;
}

enum status api_time_read(struct http_request *request, const char *name, int64_t *ret, struct error *err)
{
	const char *text = http_query(request, name);
	*ret = INT64_MIN;
	if (text != NULL && !clock_rfc3339_parse(text, strlen(text), ret)) {
		char path[64];
		(void)snprintf(path, sizeof(path), "?%s", name);
		error_set(err, STATUS_INVALID,
		          "The query parameter `%s` is a time such as 2026-11-21T09:30:00Z", name);
		error_path_set(err, path);
		return STATUS_INVALID;
	}
	return STATUS_OK;
}

enum status api_query_none(struct http_request *request, struct error *err)
{
	static const char *const allowed[] = { "dry_run", NULL };
	return http_query_check(request, allowed, err);
}

static const char *table_name(enum store_table table)
{
	switch (table) {
	case STORE_ENVIRONMENT:
		return "environment";
	case STORE_FLAG:
	case STORE_SETTING:
		return "flag";
	case STORE_SEGMENT:
		return "segment";
	case STORE_TOKEN:
	case STORE_TABLE_COUNT:
		break;
	}
	return "token";
}

enum status api_row_find(struct http_request *request, enum store_table table, const char *key,
                         const char *environment, bool with_archived, struct row **ret, struct error *err)
{
	struct app *app = request->app;
	struct row *row = catalogue_find(app->catalogue, table, key, environment);
	if (row == NULL || (row->is_archived && !with_archived)) {
		bool has_environment =
		        environment == NULL ||
		        catalogue_find(app->catalogue, STORE_ENVIRONMENT, environment, NULL) != NULL;
		return error_fail(err, STATUS_NOT_FOUND, "There is no %s `%.128s`",
		                  has_environment ? table_name(table) : "environment",
		                  has_environment ? key : environment);
	}
	*ret = row;
	return STATUS_OK;
}

/* ---- Preconditions ---- */

bool api_etag_matches(const char *header, const char *tag)
{
	size_t length = strlen(tag);
	for (const char *c = header; *c != '\0';) {
		c += strspn(c, " \t,");
		if (*c == '*') {
			return true;
		}
		if (strncmp(c, "W/", 2) == 0) {
			c += 2;
		}
		bool is_quoted = *c == '"';
		c += is_quoted;
		size_t span = strcspn(c, is_quoted ? "\"" : ", \t");
		if (span == length && memcmp(c, tag, length) == 0) {
			return true;
		}
		c += span;
		c += is_quoted && *c == '"';
	}
	return false;
}

static void version_format(const struct row *row, char out[static 24])
{
	(void)snprintf(out, 24, "%" PRIu64, row->version);
}

void api_etag_set(struct http_reply *reply, const struct row *row)
{
	http_reply_header(reply, "ETag", "\"%" PRIu64 "\"", row->version);
}

bool api_not_modified(struct http_request *request, struct http_reply *reply, const struct row *row)
{
	const char *header = http_header(request, "If-None-Match");
	char version[24];
	version_format(row, version);
	if (header != NULL && api_etag_matches(header, version)) {
		http_reply_empty(reply, 304);
		api_etag_set(reply, row);
		return true;
	}
	return false;
}

/* The document that the row had at the version which the caller named. */
struct precondition {
	const char *header;
	struct json_writer *w;
	const struct row *row;
	bool is_found;
};

static bool precondition_entry(void *user, const struct store_entry *entry)
{
	struct precondition *search = user;
	char version[24];
	(void)snprintf(version, sizeof(version), "%" PRIu64, entry->version);
	if (!api_etag_matches(search->header, version)) {
		return true;
	}
	struct json_doc doc = { 0 };
	if (entry->after != NULL &&
	    json_parse(entry->after, strlen(entry->after), &doc_limits, &doc, NULL) == STATUS_OK) {
		json_put_key(search->w, "changes");
		doc_diff(json_root(&doc), row_json(search->row), search->w);
		search->is_found = true;
	}
	json_doc_deinit(&doc);
	return false;
}

/* Adds what changed since to the problem: its last brace is opened again. */
static void precondition_explain(struct app *app, const struct row *row, const char *header,
                                 struct http_reply *reply)
{
	struct buf extra;
	buf_init(&extra, API_MAX_REPLY);
	struct json_writer w;
	json_writer_init(&w, &extra);
	json_begin_object(&w);
	json_put_key_uint64_string(&w, "current_version", row->version);
	struct precondition search = { .header = header, .w = &w, .row = row };
	struct store_filter filter = { .table = (int)row->table,
		                       .key = row->key,
		                       .environment = row->environment,
		                       .at_ms = INT64_MAX,
		                       .limit = API_MAX_LIST };
	if (strchr(header, '*') == NULL) {
		(void)!store_journal_list(app->store, &filter, precondition_entry, &search, NULL);
	}
	json_end_object(&w);
	if (!extra.failed && reply->body.length > 0) {
		reply->body.length--;
		buf_append_char(&reply->body, ',');
		buf_append(&reply->body, extra.data + 1, extra.length - 1);
	}
	buf_deinit(&extra);
}

bool api_if_match(struct http_request *request, struct http_reply *reply, const struct row *row)
{
	const char *header = http_header(request, "If-Match");
	char version[24];
	version_format(row, version);
	if (header == NULL || api_etag_matches(header, version)) {
		return true;
	}
	struct error err = ERROR_INIT;
	error_set(&err, STATUS_PRECONDITION_FAILED, "It has version %s now, not the one in `If-Match`",
	          version);
	http_reply_problem(request, reply, &err);
	precondition_explain(request->app, row, header, reply);
	return false;
}

/* ---- Resources ---- */

static void common_write(const struct row *row, struct json_writer *w)
{
	json_put_key_uint64_string(w, "version", row->version);
	json_put_key_time(w, "created_at", row->created_ms);
	json_put_key_time(w, "updated_at", row->updated_ms);
}

/* The members of the row's document, into the object that is open. */
static void members_write(const struct row *row, struct json_writer *w)
{
	struct json name = JSON_NONE;
	struct json value = JSON_NONE;
	while (json_next(row_json(row), &name, &value)) {
		char key[64];
		(void)json_string_copy(name, key, sizeof(key));
		json_put_key_value(w, key, value);
	}
}

void api_environment_write(struct app *app, const struct row *row, struct json_writer *w)
{
	json_begin_object(w);
	json_put_key_string(w, "key", row->key);
	members_write(row, w);
	const struct snapshot *snapshot = publisher_find(app->publisher, row->key);
	json_put_key_uint64_string(w, "epoch", store_epoch(app->store));
	json_put_key_uint64_string(w, "revision",
	                           snapshot != NULL ? snapshot_manifest(snapshot)->revision : 1);
	common_write(row, w);
	json_end_object(w);
}

void api_setting_write(struct app *app, const struct row *row, struct json_writer *w)
{
	(void)app;
	json_begin_object(w);
	members_write(row, w);
	json_put_key_uint64_string(w, "version", row->version);
	json_put_key_time(w, "updated_at", row->updated_ms);
	json_end_object(w);
}

void api_flag_write(struct app *app, const struct row *row, struct json_writer *w)
{
	json_begin_object(w);
	json_put_key_string(w, "key", row->key);
	members_write(row, w);
	json_put_key_boolean(w, "archived", row->is_archived);
	common_write(row, w);
	json_put_key(w, "environments");
	json_begin_object(w);
	for (size_t i = 0; i < catalogue_count(app->catalogue, STORE_ENVIRONMENT); i++) {
		const char *environment = catalogue_at(app->catalogue, STORE_ENVIRONMENT, i)->key;
		const struct row *setting =
		        catalogue_find(app->catalogue, STORE_SETTING, row->key, environment);
		if (setting != NULL) {
			json_put_key(w, environment);
			api_setting_write(app, setting, w);
		}
	}
	json_end_object(w);
	json_end_object(w);
}

void api_segment_write(struct app *app, const struct row *row, struct json_writer *w)
{
	(void)app;
	json_begin_object(w);
	json_put_key_string(w, "key", row->key);
	members_write(row, w);
	common_write(row, w);
	json_end_object(w);
}

void api_token_write(struct app *app, const struct row *row, struct json_writer *w)
{
	(void)app;
	json_begin_object(w);
	json_put_key_string(w, "id", row->key);
	members_write(row, w);
	json_put_key_string(w, "environment", row->environment);
	json_put_key_time(w, "created_at", row->created_ms);
	json_put_key(w, "revoked_at");
	if (row->is_archived) {
		json_put_time(w, row->updated_ms);
	} else {
		json_put_null(w);
	}
	json_end_object(w);
}
