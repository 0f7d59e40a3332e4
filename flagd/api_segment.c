/* SPDX-License-Identifier: Apache-2.0 */
/* Segments: list, create, read, replace, delete. Handlers of flagd/routes.h. */
#include <string.h>

#include "flagd/api.h"
#include "flagd/doc.h"
#include "flagd/routes.h"

void segment_list(struct http_request *request, struct http_reply *reply)
{
	api_list(request, reply, STORE_SEGMENT, NULL, api_segment_write);
}

void segment_get(struct http_request *request, struct http_reply *reply)
{
	api_get(request, reply, STORE_SEGMENT, false, api_segment_write);
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

static enum status segment_key_read(struct http_request *request, struct json body, const char **ret,
                                    struct error *err)
{
	struct app *app = request->app;
	struct json given = json_get(body, "key");
	if (!json_is(given, JSON_STRING)) {
		return json_fail_member(err, STATUS_INVALID, body, "key",
		                        "The field `key` is required, a string");
	}
	const char *key = json_string_dup(given, request->arena, NULL);
	enum status status = segment_key_check(given, key, err);
	if (status != STATUS_OK) {
		return status;
	}
	const struct row *old = catalogue_find(app->catalogue, STORE_SEGMENT, key, NULL);
	if (old != NULL && !old->is_archived) {
		return json_fail(err, STATUS_CONFLICT, given, "There is a segment `%s` already", key);
	}
	*ret = key;
	return STATUS_OK;
}

void segment_create(struct http_request *request, struct http_reply *reply)
{
	struct api_change work;
	const char *key = NULL;
	if (!api_change_begin(&work, request, reply, "segment.create")) {
		return;
	}
	work.status = segment_key_read(request, work.body, &key, &work.err);
	if (work.status == STATUS_OK) {
		work.status = segment_put(&work.change, work.body, key, &work.err);
	}
	api_change_end(&work, STORE_SEGMENT, key, NULL, 201, api_segment_write);
}

static enum status segment_replace_check(struct json body, const char *key, struct error *err)
{
	struct json given = json_get(body, "key");
	if (!json_is(given, JSON_ABSENT) && !json_equals(given, key)) {
		return json_fail(err, STATUS_INVALID, given, "The key of a segment cannot be changed");
	}
	return segment_key_check(JSON_NONE, key, err);
}

/* PUT: creates or replaces. */
void segment_replace(struct http_request *request, struct http_reply *reply)
{
	struct app *app = request->app;
	struct api_change work;
	const char *key = request->params[0];
	if (!api_change_begin(&work, request, reply, "segment.update")) {
		return;
	}
	work.status = segment_replace_check(work.body, key, &work.err);
	const struct row *old = catalogue_find(app->catalogue, STORE_SEGMENT, key, NULL);
	bool is_new = old == NULL || old->is_archived;
	if (is_new) {
		work.change.action = "segment.create";
	}
	if (work.status == STATUS_OK && is_new && http_header(request, "If-Match") != NULL) {
		work.status = error_fail(&work.err, STATUS_PRECONDITION_FAILED,
		                         "There is no segment `%s` now, so no version that `If-Match` could "
		                         "name; leave the header out to make one",
		                         key);
	}
	if (work.status == STATUS_OK && (is_new || api_if_match(request, reply, old))) {
		work.status = segment_put(&work.change, work.body, key, &work.err);
	}
	api_change_end(&work, STORE_SEGMENT, key, NULL, is_new ? 201 : 200, api_segment_write);
}

void segment_delete(struct http_request *request, struct http_reply *reply)
{
	api_archive(request, reply, STORE_SEGMENT, "segment.delete");
}
