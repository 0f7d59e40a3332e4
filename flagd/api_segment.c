/* SPDX-License-Identifier: Apache-2.0 */
/* Segments: list, create, read, replace, delete. Handlers of flagd/routes.h. */
#include <string.h>

#include "flagd/api.h"
#include "flagd/doc.h"
#include "flagd/routes.h"

static void segment_render(struct app *app, const struct row *row, struct json_writer *w)
{
	(void)app;
	api_segment_write(row, w);
}

void segment_list(struct http_request *request, struct http_reply *reply)
{
	struct app *app = request->app;
	struct error err = ERROR_INIT;
	struct api_page page;
	if (api_page_read(request, NULL, &page, &err) != STATUS_OK) {
		api_fail(request, reply, &err);
		return;
	}
	struct json_writer w;
	api_reply(reply, 200, &w);
	json_begin_object(&w);
	json_put_key(&w, "items");
	json_begin_array(&w);
	const char *last = NULL;
	const char *cursor = NULL;
	uint32_t given = 0;
	size_t count = catalogue_count(app->catalogue, STORE_SEGMENT);
	for (size_t i = catalogue_after(app->catalogue, STORE_SEGMENT, page.cursor); i < count; i++) {
		const struct row *row = catalogue_at(app->catalogue, STORE_SEGMENT, i);
		if (row->is_archived) {
			continue;
		}
		if (given == page.limit) {
			cursor = last;
			break;
		}
		api_segment_write(row, &w);
		last = row->key;
		given++;
	}
	json_end_array(&w);
	json_put_key_string(&w, "next_cursor", cursor);
	json_end_object(&w);
}

void segment_get(struct http_request *request, struct http_reply *reply)
{
	struct error err = ERROR_INIT;
	struct row *row = NULL;
	enum status status = api_query_none(request, &err);
	if (status == STATUS_OK) {
		status = api_row_find(request, STORE_SEGMENT, request->params[0], NULL, false, &row, &err);
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
	api_segment_write(row, &w);
	api_etag_set(reply, row);
}

static enum status segment_body_read(struct http_request *request, struct json_doc *doc,
                                     const char **ret_reason, struct error *err)
{
	enum status status = api_query_none(request, err);
	if (status == STATUS_OK) {
		status = api_body(request, doc, err);
	}
	if (status == STATUS_OK) {
		status = doc_reason(json_root(doc), request->arena, ret_reason, err);
	}
	return status;
}

static enum status segment_put(struct change *change, struct json body, const char *key, struct error *err)
{
	struct buf text;
	buf_init(&text, FLAG_MAX_TEXT_BYTES);
	enum status status = doc_segment(body, &text, err);
	struct change_row row = {
		.table = STORE_SEGMENT, .key = key, .doc = buf_string(&text), .doc_length = text.length
	};
	if (status == STATUS_OK) {
		status = change_put(change, &row, err);
	}
	buf_deinit(&text);
	return status;
}

static enum status segment_key_check(struct json key, const char *text, struct error *err)
{
	if (text != NULL && flag_key_is_valid(text, strlen(text))) {
		return STATUS_OK;
	}
	return json_fail(err, STATUS_INVALID, key,
	                 "A key has 1 to %d letters, digits, dots, underscores or hyphens and starts with a "
	                 "letter or digit",
	                 FLAG_KEY_MAX_BYTES);
}

void segment_create(struct http_request *request, struct http_reply *reply)
{
	struct app *app = request->app;
	struct error err = ERROR_INIT;
	struct json_doc doc = { 0 };
	const char *reason = "";
	const char *key = NULL;
	enum status status = segment_body_read(request, &doc, &reason, &err);
	struct change change;
	if (status != STATUS_OK) {
		api_fail(request, reply, &err);
	} else if (change_begin(&change, request, reply, "segment.create", reason)) {
		struct json given = json_get(json_root(&doc), "key");
		if (!json_is(given, JSON_STRING)) {
			status = json_fail_member(&err, STATUS_INVALID, json_root(&doc), "key",
			                          "The field `key` is required, a string");
		} else {
			key = json_string_dup(given, request->arena, NULL);
			status = segment_key_check(given, key, &err);
		}
		const struct row *old =
		        status == STATUS_OK ? catalogue_find(app->catalogue, STORE_SEGMENT, key, NULL) : NULL;
		if (old != NULL && !old->is_archived) {
			status = json_fail(&err, STATUS_CONFLICT, given, "There is a segment `%s` already",
			                   key);
		}
		if (status == STATUS_OK) {
			status = segment_put(&change, json_root(&doc), key, &err);
		}
		api_change_finish(&change, status, &err, STORE_SEGMENT, key, NULL, 201, segment_render);
	}
	json_doc_deinit(&doc);
}

/* PUT: creates or replaces. */
void segment_replace(struct http_request *request, struct http_reply *reply)
{
	struct app *app = request->app;
	struct error err = ERROR_INIT;
	struct json_doc doc = { 0 };
	const char *reason = "";
	const char *key = request->params[0];
	enum status status = segment_body_read(request, &doc, &reason, &err);
	struct json given = status == STATUS_OK ? json_get(json_root(&doc), "key") : JSON_NONE;
	if (status == STATUS_OK && !json_is(given, JSON_ABSENT) && !json_equals(given, key)) {
		status = json_fail(&err, STATUS_INVALID, given, "The key of a segment cannot be changed");
	}
	if (status == STATUS_OK) {
		status = segment_key_check(JSON_NONE, key, &err);
	}
	struct change change;
	if (status != STATUS_OK) {
		api_fail(request, reply, &err);
		json_doc_deinit(&doc);
		return;
	}
	const char *action = "segment.update";
	if (change_begin(&change, request, reply, action, reason)) {
		const struct row *old = catalogue_find(app->catalogue, STORE_SEGMENT, key, NULL);
		bool is_new = old == NULL || old->is_archived;
		if (is_new) {
			change.action = "segment.create";
		}
		if (!is_new && !api_if_match(request, reply, old)) {
			change_end(&change);
			json_doc_deinit(&doc);
			return;
		}
		status = segment_put(&change, json_root(&doc), key, &err);
		api_change_finish(&change, status, &err, STORE_SEGMENT, key, NULL, is_new ? 201 : 200,
		                  segment_render);
	}
	json_doc_deinit(&doc);
}

void segment_delete(struct http_request *request, struct http_reply *reply)
{
	struct error err = ERROR_INIT;
	const char *key = request->params[0];
	struct row *row = NULL;
	if (api_query_none(request, &err) != STATUS_OK) {
		api_fail(request, reply, &err);
		return;
	}
	struct change change;
	if (!change_begin(&change, request, reply, "segment.delete", "")) {
		return;
	}
	enum status status = api_row_find(request, STORE_SEGMENT, key, NULL, false, &row, &err);
	if (status == STATUS_OK && !api_if_match(request, reply, row)) {
		change_end(&change);
		return;
	}
	struct change_row archived = { .table = STORE_SEGMENT, .key = key, .is_archived = true };
	if (status == STATUS_OK) {
		status = change_put(&change, &archived, &err);
	}
	api_change_finish(&change, status, &err, STORE_SEGMENT, key, NULL, 204, NULL);
}
