/* SPDX-License-Identifier: Apache-2.0 */
/* Environments: list, create, read, change. Handlers of flagd/routes.h. */
#include <string.h>

#include "flagd/api.h"
#include "flagd/doc.h"
#include "flagd/routes.h"

#define MAX_ENVIRONMENTS 64

void environment_list(struct http_request *request, struct http_reply *reply)
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
	size_t index = catalogue_after(app->catalogue, STORE_ENVIRONMENT, page.cursor);
	size_t count = catalogue_count(app->catalogue, STORE_ENVIRONMENT);
	const struct row *last = NULL;
	for (uint32_t given = 0; index < count && given < page.limit; index++, given++) {
		last = catalogue_at(app->catalogue, STORE_ENVIRONMENT, index);
		api_environment_write(app, last, &w);
	}
	json_end_array(&w);
	json_put_key_string(&w, "next_cursor", index < count && last != NULL ? last->key : NULL);
	json_end_object(&w);
}

void environment_get(struct http_request *request, struct http_reply *reply)
{
	struct error err = ERROR_INIT;
	struct row *row = NULL;
	enum status status = api_query_none(request, &err);
	if (status == STATUS_OK) {
		status =
		        api_row_find(request, STORE_ENVIRONMENT, request->params[0], NULL, false, &row, &err);
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
	api_environment_write(request->app, row, &w);
	api_etag_set(reply, row);
}

/* Every flag gets its settings there: those of @copy_from, or a new flag's. */
static enum status settings_fill(struct change *change, const char *environment, const char *copy_from,
                                 struct error *err)
{
	struct catalogue *catalogue = change->app->catalogue;
	struct buf text;
	buf_init(&text, FLAG_MAX_TEXT_BYTES);
	enum status status = STATUS_OK;
	for (size_t i = 0; i < catalogue_count(catalogue, STORE_FLAG) && status == STATUS_OK; i++) {
		const struct row *flag = catalogue_at(catalogue, STORE_FLAG, i);
		const struct row *source =
		        copy_from == NULL ? NULL
		                          : catalogue_find(catalogue, STORE_SETTING, flag->key, copy_from);
		buf_reset(&text);
		if (source != NULL) {
			buf_append_string(&text, source->text);
		} else {
			status = doc_setting_new(row_json(flag), JSON_NONE, &text, err);
		}
		struct change_row row = { .table = STORE_SETTING,
			                  .key = flag->key,
			                  .environment = environment,
			                  .action = "setting.create",
			                  .doc = buf_string(&text),
			                  .doc_length = text.length };
		if (status == STATUS_OK) {
			status = change_put(change, &row, err);
		}
	}
	buf_deinit(&text);
	return status;
}

static enum status copy_from_read(struct http_request *request, struct json body, const char **ret,
                                  struct error *err)
{
	struct json from = json_get(body, "copy_from");
	*ret = NULL;
	if (!json_is(from, JSON_STRING)) {
		return STATUS_OK;
	}
	struct app *app = request->app;
	const char *key = json_string_dup(from, request->arena, NULL);
	if (key == NULL || catalogue_find(app->catalogue, STORE_ENVIRONMENT, key, NULL) == NULL) {
		return json_fail(err, STATUS_INVALID, from, "There is no environment `%.64s` to copy from",
		                 key != NULL ? key : "");
	}
	*ret = key;
	return STATUS_OK;
}

static enum status environment_key_read(struct http_request *request, struct json body, const char **ret,
                                        struct error *err)
{
	struct app *app = request->app;
	struct json key = json_get(body, "key");
	if (!json_is(key, JSON_STRING)) {
		return json_fail_member(err, STATUS_INVALID, body, "key",
		                        "The field `key` is required, a string");
	}
	const char *text = json_string_dup(key, request->arena, NULL);
	if (text == NULL || !doc_environment_key_is_valid(text)) {
		return json_fail(err, STATUS_INVALID, key,
		                 "A key has 1 to 64 lower-case letters, digits and hyphens and does not "
		                 "start with a hyphen");
	}
	if (catalogue_find(app->catalogue, STORE_ENVIRONMENT, text, NULL) != NULL) {
		return json_fail(err, STATUS_CONFLICT, key, "There is an environment `%s` already", text);
	}
	if (catalogue_count(app->catalogue, STORE_ENVIRONMENT) >= MAX_ENVIRONMENTS) {
		return error_fail(err, STATUS_CONFLICT,
		                  "There are %d environments already, the most that are possible",
		                  MAX_ENVIRONMENTS);
	}
	*ret = text;
	return STATUS_OK;
}

static enum status environment_put(struct change *change, struct json body, const char *key, struct json old,
                                   struct error *err)
{
	struct buf text;
	buf_init(&text, 65536);
	enum status status = doc_environment(body, old, &text, err);
	struct change_row row = {
		.table = STORE_ENVIRONMENT, .key = key, .doc = buf_string(&text), .doc_length = text.length
	};
	if (status == STATUS_OK) {
		status = change_put(change, &row, err);
	}
	buf_deinit(&text);
	return status;
}

void environment_create(struct http_request *request, struct http_reply *reply)
{
	struct error err = ERROR_INIT;
	struct json_doc doc = { 0 };
	const char *reason = "";
	const char *key = NULL;
	const char *copy_from = NULL;
	enum status status = api_query_none(request, &err);
	if (status == STATUS_OK) {
		status = api_body(request, &doc, &err);
	}
	struct json body = status == STATUS_OK ? json_root(&doc) : JSON_NONE;
	if (status == STATUS_OK) {
		status = doc_reason(body, request->arena, &reason, &err);
	}
	struct change change;
	if (status != STATUS_OK) {
		api_fail(request, reply, &err);
	} else if (change_begin(&change, request, reply, "environment.create", reason)) {
		status = environment_key_read(request, body, &key, &err);
		if (status == STATUS_OK) {
			status = copy_from_read(request, body, &copy_from, &err);
		}
		if (status == STATUS_OK) {
			status = environment_put(&change, body, key, JSON_NONE, &err);
		}
		if (status == STATUS_OK) {
			status = settings_fill(&change, key, copy_from, &err);
		}
		api_change_finish(&change, status, &err, STORE_ENVIRONMENT, key, NULL, 201,
		                  api_environment_write);
	}
	json_doc_deinit(&doc);
}

static enum status environment_patch_check(struct json body, const char *key, struct error *err)
{
	struct json given = json_get(body, "key");
	if (!json_is(given, JSON_ABSENT) && !json_equals(given, key)) {
		return json_fail(err, STATUS_INVALID, given, "The key of an environment cannot be changed");
	}
	if (!json_is(json_get(body, "copy_from"), JSON_ABSENT)) {
		return json_fail_member(err, STATUS_INVALID, body, "copy_from",
		                        "The field `copy_from` is for a new environment");
	}
	return STATUS_OK;
}

void environment_update(struct http_request *request, struct http_reply *reply)
{
	struct error err = ERROR_INIT;
	struct json_doc doc = { 0 };
	const char *reason = "";
	const char *key = request->params[0];
	struct row *row = NULL;
	enum status status = api_query_none(request, &err);
	if (status == STATUS_OK) {
		status = api_body(request, &doc, &err);
	}
	struct json body = status == STATUS_OK ? json_root(&doc) : JSON_NONE;
	if (status == STATUS_OK) {
		status = doc_reason(body, request->arena, &reason, &err);
	}
	struct change change;
	if (status != STATUS_OK) {
		api_fail(request, reply, &err);
	} else if (change_begin(&change, request, reply, "environment.update", reason)) {
		status = api_row_find(request, STORE_ENVIRONMENT, key, NULL, false, &row, &err);
		if (status == STATUS_OK && !api_if_match(request, reply, row)) {
			change_end(&change);
			json_doc_deinit(&doc);
			return;
		}
		if (status == STATUS_OK) {
			status = environment_patch_check(body, key, &err);
		}
		if (status == STATUS_OK) {
			status = environment_put(&change, body, key, row_json(row), &err);
		}
		api_change_finish(&change, status, &err, STORE_ENVIRONMENT, key, NULL, 200,
		                  api_environment_write);
	}
	json_doc_deinit(&doc);
}
