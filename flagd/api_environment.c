/* SPDX-License-Identifier: Apache-2.0 */
/* Environments: list, create, read, change. Handlers of flagd/routes.h. */
#include <string.h>

#include "flagd/api.h"
#include "flagd/doc.h"
#include "flagd/routes.h"

#define MAX_ENVIRONMENTS 64

void environment_list(struct http_request *request, struct http_reply *reply)
{
	api_list(request, reply, STORE_ENVIRONMENT, NULL, api_environment_write);
}

void environment_get(struct http_request *request, struct http_reply *reply)
{
	api_get(request, reply, STORE_ENVIRONMENT, false, api_environment_write);
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
	struct api_change work;
	const char *key = NULL;
	const char *copy_from = NULL;
	if (!api_change_begin(&work, request, reply, "environment.create")) {
		return;
	}
	work.status = environment_key_read(request, work.body, &key, &work.err);
	if (work.status == STATUS_OK) {
		work.status = copy_from_read(request, work.body, &copy_from, &work.err);
	}
	if (work.status == STATUS_OK) {
		work.status = environment_put(&work.change, work.body, key, JSON_NONE, &work.err);
	}
	if (work.status == STATUS_OK) {
		work.status = settings_fill(&work.change, key, copy_from, &work.err);
	}
	api_change_end(&work, STORE_ENVIRONMENT, key, NULL, 201, api_environment_write);
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
	struct api_change work;
	const char *key = request->params[0];
	struct row *row = NULL;
	if (!api_change_begin(&work, request, reply, "environment.update")) {
		return;
	}
	if (api_change_find(&work, STORE_ENVIRONMENT, key, NULL, false, &row)) {
		work.status = environment_patch_check(work.body, key, &work.err);
		if (work.status == STATUS_OK) {
			work.status = environment_put(&work.change, work.body, key, row_json(row), &work.err);
		}
	}
	api_change_end(&work, STORE_ENVIRONMENT, key, NULL, 200, api_environment_write);
}
