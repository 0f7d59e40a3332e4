/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens: list, create, read, revoke. Handlers of flagd/routes.h. A token's text leaves the daemon once. */
#include <string.h>

#include <sodium.h>

#include "flagd/api.h"
#include "flagd/doc.h"
#include "flagd/routes.h"

#define TOKEN_NAME_MAX_BYTES 64
#define MAX_TOKENS           10000

void token_list(struct http_request *request, struct http_reply *reply)
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
	size_t index = catalogue_after(app->catalogue, STORE_TOKEN, page.cursor);
	size_t count = catalogue_count(app->catalogue, STORE_TOKEN);
	const char *last = NULL;
	for (uint32_t given = 0; index < count && given < page.limit; index++, given++) {
		const struct row *row = catalogue_at(app->catalogue, STORE_TOKEN, index);
		api_token_write(row, &w);
		last = row->key;
	}
	json_end_array(&w);
	json_put_key_string(&w, "next_cursor", index < count ? last : NULL);
	json_end_object(&w);
}

void token_get(struct http_request *request, struct http_reply *reply)
{
	struct error err = ERROR_INIT;
	struct row *row = NULL;
	enum status status = api_query_none(request, &err);
	if (status == STATUS_OK) {
		status = api_row_find(request, STORE_TOKEN, request->params[0], NULL, true, &row, &err);
	}
	if (status != STATUS_OK) {
		api_fail(request, reply, &err);
		return;
	}
	struct json_writer w;
	api_reply(reply, 200, &w);
	api_token_write(row, &w);
	api_etag_set(reply, row);
}

struct token_body {
	struct json name, kind, environment, reason;
};

static const struct json_field token_fields[] = {
	JSON_FIELD(token_body, name, JSON_BIT(JSON_STRING), true, TOKEN_NAME_MAX_BYTES + 2),
	JSON_FIELD(token_body, kind, JSON_BIT(JSON_STRING), true, 0),
	JSON_FIELD(token_body, environment, JSON_BIT(JSON_STRING) | JSON_BIT(JSON_NULL), false, 0),
	JSON_FIELD(token_body, reason, JSON_BIT(JSON_STRING) | JSON_BIT(JSON_NULL), false, 0),
};

static enum status token_environment_read(struct http_request *request, struct json root,
                                          struct json environment, enum token_kind kind, const char **ret,
                                          struct error *err)
{
	struct app *app = request->app;
	bool is_given = json_is(environment, JSON_STRING);
	*ret = NULL;
	if (kind == TOKEN_OWNER) {
		return is_given ? json_fail(err, STATUS_INVALID, environment,
		                            "An owner token has no environment")
		                : STATUS_OK;
	}
	if (!is_given) {
		return json_fail_member(err, STATUS_INVALID, root, "environment",
		                        "A %s token needs the `environment` that it belongs to",
		                        token_kind_name(kind));
	}
	const char *key = json_string_dup(environment, request->arena, NULL);
	if (key == NULL || catalogue_find(app->catalogue, STORE_ENVIRONMENT, key, NULL) == NULL) {
		return json_fail(err, STATUS_INVALID, environment, "There is no environment `%.64s`",
		                 key != NULL ? key : "");
	}
	*ret = key;
	return STATUS_OK;
}

static enum status token_kind_read(struct json kind, enum token_kind *ret, struct error *err)
{
	for (int i = 0; i < TOKEN_KIND_COUNT; i++) {
		if (json_equals(kind, token_kind_name((enum token_kind)i))) {
			*ret = (enum token_kind)i;
			return STATUS_OK;
		}
	}
	return json_fail(err, STATUS_INVALID, kind, "The kind must be client, web or owner");
}

/* A new token's row; its text is in @token. */
static enum status token_put(struct change *change, struct json body, char *token, char *id,
                             struct error *err)
{
	struct token_body fields;
	struct app *app = change->app;
	enum token_kind kind = TOKEN_CLIENT;
	const char *environment = NULL;
	enum status status =
	        json_fields(body, token_fields, sizeof(token_fields) / sizeof(token_fields[0]), &fields, err);
	if (status == STATUS_OK) {
		status = token_kind_read(fields.kind, &kind, err);
	}
	if (status == STATUS_OK) {
		status = token_environment_read(change->request, body, fields.environment, kind, &environment,
		                                err);
	}
	if (status == STATUS_OK && catalogue_count(app->catalogue, STORE_TOKEN) >= MAX_TOKENS) {
		status = error_fail(err, STATUS_CONFLICT,
		                    "There are %d tokens already, the most that are possible", MAX_TOKENS);
	}
	if (status != STATUS_OK) {
		return status;
	}
	uint8_t hash[TOKEN_HASH_BYTES];
	token_new(kind, token);
	token_hash(token, strlen(token), app->pepper, hash);
	token_id(hash, id);
	struct buf text;
	buf_init(&text, 4096);
	struct json_writer w;
	json_writer_init(&w, &text);
	json_begin_object(&w);
	json_put_key_value(&w, "name", fields.name);
	json_put_key_string(&w, "kind", token_kind_name(kind));
	json_end_object(&w);
	struct change_row row = { .table = STORE_TOKEN,
		                  .key = id,
		                  .environment = environment,
		                  .doc = buf_string(&text),
		                  .doc_length = text.length,
		                  .secret_hash = hash };
	status = buf_status(&text, "token", err);
	if (status == STATUS_OK) {
		status = change_put(change, &row, err);
	}
	buf_deinit(&text);
	return status;
}

/* The answer with the token in it; what is stored for a retry is the answer without. */
static enum status token_reply(struct change *change, const char *id, const char *token, struct buf *stored,
                               struct error *err)
{
	const struct row *row = catalogue_find(change->app->catalogue, STORE_TOKEN, id, NULL);
	struct json_writer w;
	json_writer_init(&w, stored);
	api_token_write(row, &w);
	api_reply(change->reply, 201, &w);
	json_begin_object(&w);
	json_put_key_string(&w, "token", token);
	json_end_object(&w);
	/* {"token":"…"} and {"id":…} become one object. */
	struct buf *body = &change->reply->body;
	if (!body->failed && !stored->failed) {
		body->length--;
		buf_append_char(body, ',');
		buf_append(body, stored->data + 1, stored->length - 1);
	}
	api_etag_set(change->reply, row);
	return buf_status(body, "answer", err);
}

static void token_create_finish(struct change *change, enum status so_far, const char *id, const char *token,
                                struct error *err)
{
	struct buf stored;
	buf_init(&stored, 8192);
	enum status status = so_far;
	if (status == STATUS_OK) {
		status = change_prepare(change, err);
	}
	if (status == STATUS_OK && change->is_dry_run) {
		struct json_writer w;
		api_reply(change->reply, 200, &w);
		change_preview_write(change, &w);
	} else if (status == STATUS_OK) {
		status = token_reply(change, id, token, &stored, err);
		change->stored_body = &stored;
		if (status == STATUS_OK) {
			status = change_commit(change, err);
		}
	}
	if (status != STATUS_OK) {
		api_fail(change->request, change->reply, err);
	}
	change_end(change);
	buf_deinit(&stored);
}

void token_create(struct http_request *request, struct http_reply *reply)
{
	struct error err = ERROR_INIT;
	struct json_doc doc = { 0 };
	const char *reason = "";
	enum status status = api_query_none(request, &err);
	if (status == STATUS_OK) {
		status = api_body(request, &doc, &err);
	}
	if (status == STATUS_OK) {
		status = doc_reason(json_root(&doc), request->arena, &reason, &err);
	}
	struct change change;
	if (status != STATUS_OK) {
		api_fail(request, reply, &err);
	} else if (change_begin(&change, request, reply, "token.create", reason)) {
		char token[TOKEN_SIZE] = "";
		char id[TOKEN_ID_SIZE] = "";
		status = token_put(&change, json_root(&doc), token, id, &err);
		token_create_finish(&change, status, id, token, &err);
		sodium_memzero(token, sizeof(token));
	}
	json_doc_deinit(&doc);
}

static bool is_last_owner(const struct app *app, const struct row *row)
{
	if (!json_equals(json_get(row_json(row), "kind"), "owner")) {
		return false;
	}
	for (size_t i = 0; i < catalogue_count(app->catalogue, STORE_TOKEN); i++) {
		const struct row *other = catalogue_at(app->catalogue, STORE_TOKEN, i);
		if (other != row && !other->is_archived &&
		    json_equals(json_get(row_json(other), "kind"), "owner")) {
			return false;
		}
	}
	return true;
}

void token_revoke(struct http_request *request, struct http_reply *reply)
{
	struct error err = ERROR_INIT;
	const char *id = request->params[0];
	struct row *row = NULL;
	if (api_query_none(request, &err) != STATUS_OK) {
		api_fail(request, reply, &err);
		return;
	}
	struct change change;
	if (!change_begin(&change, request, reply, "token.revoke", "")) {
		return;
	}
	enum status status = api_row_find(request, STORE_TOKEN, id, NULL, false, &row, &err);
	if (status == STATUS_OK && is_last_owner(request->app, row)) {
		status = error_fail(&err, STATUS_CONFLICT,
		                    "This is the last owner token; make another one before you revoke it");
	}
	struct change_row revoked = { .table = STORE_TOKEN,
		                      .key = id,
		                      .environment = status == STATUS_OK ? row->environment : NULL,
		                      .is_archived = true };
	if (status == STATUS_OK) {
		status = change_put(&change, &revoked, &err);
	}
	api_change_finish(&change, status, &err, STORE_TOKEN, id, NULL, 204, NULL);
}
