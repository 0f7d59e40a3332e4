/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens: list, create, read, revoke. Handlers of flagd/routes.h. A token's text leaves the daemon once. */
#include <string.h>

#include <sodium.h>

#include "flagd/api.h"
#include "flagd/doc.h"
#include "flagd/routes.h"

#define TOKEN_NAME_MAX_BYTES 64
#define MAX_TOKENS           10000

/* Revoked ones too. */
static bool token_is_wanted(const struct row *row, const void *user)
{
	(void)row;
	(void)user;
	return true;
}

void token_list(struct http_request *request, struct http_reply *reply)
{
	api_list(request, reply, STORE_TOKEN, token_is_wanted, api_token_write);
}

void token_get(struct http_request *request, struct http_reply *reply)
{
	api_get(request, reply, STORE_TOKEN, true, api_token_write);
}

struct token_body {
	struct json name, kind, environment, reason;
};

static const struct json_field token_fields[] = {
	JSON_FIELD(token_body, name, JSON_BIT(JSON_STRING), true, TOKEN_NAME_MAX_BYTES),
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

/* Revoked ones are kept for the journal and open nothing. */
static size_t valid_count(const struct catalogue *catalogue)
{
	size_t count = 0;
	for (size_t i = 0; i < catalogue_count(catalogue, STORE_TOKEN); i++) {
		count += !catalogue_at(catalogue, STORE_TOKEN, i)->is_archived;
	}
	return count;
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
	if (status == STATUS_OK && json_equals(fields.name, "")) {
		status = json_fail(err, STATUS_INVALID, fields.name, "The name of a token must not be empty");
	}
	if (status == STATUS_OK) {
		status = token_kind_read(fields.kind, &kind, err);
	}
	if (status == STATUS_OK) {
		status = token_environment_read(change->request, body, fields.environment, kind, &environment,
		                                err);
	}
	if (status == STATUS_OK && valid_count(app->catalogue) >= MAX_TOKENS) {
		status = error_fail(err, STATUS_CONFLICT,
		                    "There are %d valid tokens, the most that are possible; revoke one first",
		                    MAX_TOKENS);
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

void token_create(struct http_request *request, struct http_reply *reply)
{
	struct api_change work;
	char token[TOKEN_SIZE] = "";
	char id[TOKEN_ID_SIZE] = "";
	if (!api_change_begin(&work, request, reply, "token.create")) {
		return;
	}
	work.status = token_put(&work.change, work.body, token, id, &work.err);
	work.token = token;
	api_change_end(&work, STORE_TOKEN, id, NULL, 201, api_token_write);
	sodium_memzero(token, sizeof(token));
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
	const char *id = request->params[0];
	struct row *row = NULL;
	struct api_change work;
	if (!api_change_begin(&work, request, reply, "token.revoke")) {
		return;
	}
	if (api_change_find(&work, STORE_TOKEN, id, NULL, false, &row) && is_last_owner(request->app, row)) {
		work.status =
		        error_fail(&work.err, STATUS_CONFLICT,
		                   "This is the last owner token; make another one before you revoke it");
	}
	if (work.status == STATUS_OK && reply->status == 0) {
		struct change_row revoked = {
			.table = STORE_TOKEN, .key = id, .environment = row->environment, .is_archived = true
		};
		work.status = change_put(&work.change, &revoked, &work.err);
	}
	api_change_end(&work, STORE_TOKEN, id, NULL, 204, NULL);
}
