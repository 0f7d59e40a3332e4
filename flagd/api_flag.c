/* SPDX-License-Identifier: Apache-2.0 */
/* Flags: list and search, create, read, change, archive. Handlers of flagd/routes.h. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "flagd/api.h"
#include "flagd/doc.h"
#include "flagd/routes.h"

/* ---- Reading ---- */

struct flag_search {
	const char *text; /* in key or description, any case */
	const char *tag, *owner, *kind;
	bool with_archived;
};

static bool text_contains(struct json string, const char *text)
{
	char value[4096];
	(void)json_string_copy(string, value, sizeof(value));
	return strcasestr(value, text) != NULL;
}

static bool tags_contain(struct json tags, const char *tag)
{
	struct json value = JSON_NONE;
	while (json_next(tags, NULL, &value)) {
		if (json_equals(value, tag)) {
			return true;
		}
	}
	return false;
}

static bool flag_is_wanted(const struct row *row, const void *user)
{
	const struct flag_search *search = user;
	struct json doc = row_json(row);
	if (row->is_archived && !search->with_archived) {
		return false;
	}
	if (search->text != NULL && strcasestr(row->key, search->text) == NULL &&
	    !text_contains(json_get(doc, "description"), search->text)) {
		return false;
	}
	if (search->tag != NULL && !tags_contain(json_get(doc, "tags"), search->tag)) {
		return false;
	}
	if (search->owner != NULL && !json_equals(json_get(doc, "owner"), search->owner)) {
		return false;
	}
	return search->kind == NULL || json_equals(json_get(doc, "kind"), search->kind);
}

static enum status flag_search_read(struct http_request *request, struct flag_search *search,
                                    struct api_page *page, struct error *err)
{
	static const char *const allowed[] = { "q", "tag", "owner", "kind", "archived", NULL };
	enum status status = api_page_read(request, allowed, page, err);
	if (status != STATUS_OK) {
		return status;
	}
	const char *archived = http_query(request, "archived");
	if (archived != NULL && strcmp(archived, "true") != 0 && strcmp(archived, "false") != 0) {
		error_set(err, STATUS_INVALID, "The query parameter `archived` is true or false");
		error_path_set(err, "?archived");
		return STATUS_INVALID;
	}
	*search = (struct flag_search){ .text = http_query(request, "q"),
		                        .tag = http_query(request, "tag"),
		                        .owner = http_query(request, "owner"),
		                        .kind = http_query(request, "kind"),
		                        .with_archived = archived != NULL && strcmp(archived, "true") == 0 };
	return STATUS_OK;
}

void flag_list(struct http_request *request, struct http_reply *reply)
{
	struct error err = ERROR_INIT;
	struct flag_search search;
	struct api_page page;
	if (flag_search_read(request, &search, &page, &err) != STATUS_OK) {
		api_fail(request, reply, &err);
		return;
	}
	api_list_reply(request, reply, STORE_FLAG, &page, flag_is_wanted, &search, api_flag_write);
}

/* The flag as of a time: its last definition and settings in the journal until then. */
struct flag_at {
	struct json_writer *w;
	const char *key;
	bool has_flag;
};

static bool flag_at_entry(void *user, const struct store_entry *entry)
{
	struct flag_at *at = user;
	if (strcmp(entry->key, at->key) != 0 || entry->after == NULL) {
		return true;
	}
	struct json_doc doc = { 0 };
	if (json_parse(entry->after, strlen(entry->after), &doc_limits, &doc, NULL) != STATUS_OK) {
		return true;
	}
	struct json name = JSON_NONE;
	struct json value = JSON_NONE;
	if (entry->table == STORE_SETTING) {
		json_put_key(at->w, entry->environment);
		json_begin_object(at->w);
	}
	while (json_next(json_root(&doc), &name, &value)) {
		char member[64];
		(void)json_string_copy(name, member, sizeof(member));
		json_put_key_value(at->w, member, value);
	}
	json_put_key_uint64_string(at->w, "version", entry->version);
	json_put_key_time(at->w, "updated_at", entry->at_ms);
	if (entry->table == STORE_SETTING) {
		json_end_object(at->w);
	} else {
		json_put_key(at->w, "environments");
		json_begin_object(at->w);
		at->has_flag = true;
	}
	json_doc_deinit(&doc);
	return true;
}

/* Flags come before settings, so one walk writes the definition and then its environments. */
static bool flag_at_visit(void *user, const struct store_entry *entry)
{
	struct flag_at *at = user;
	bool is_wanted = entry->table == STORE_FLAG || (entry->table == STORE_SETTING && at->has_flag);
	return is_wanted ? flag_at_entry(user, entry) : true;
}

static void flag_get_at(struct http_request *request, struct http_reply *reply, int64_t at_ms)
{
	struct app *app = request->app;
	struct error err = ERROR_INIT;
	struct json_writer w;
	api_reply(reply, 200, &w);
	json_begin_object(&w);
	json_put_key_string(&w, "key", request->params[0]);
	json_put_key_time(&w, "at", at_ms);
	struct flag_at at = { .w = &w, .key = request->params[0] };
	enum status status = store_state_at(app->store, at_ms, flag_at_visit, &at, &err);
	if (status == STATUS_OK && !at.has_flag) {
		status =
		        error_fail(&err, STATUS_NOT_FOUND, "There was no flag `%.128s` at that time", at.key);
	}
	if (status != STATUS_OK) {
		api_fail(request, reply, &err);
		return;
	}
	json_end_object(&w);
	json_end_object(&w);
}

void flag_get(struct http_request *request, struct http_reply *reply)
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
		flag_get_at(request, reply, at_ms);
		return;
	}
	if (status == STATUS_OK) {
		status = api_row_find(request, STORE_FLAG, request->params[0], NULL, true, &row, &err);
	}
	if (status != STATUS_OK) {
		api_fail(request, reply, &err);
		return;
	}
	/* The answer holds the settings too: only the flag's own version cannot stand for it. */
	struct json_writer w;
	api_reply(reply, 200, &w);
	api_flag_write(request->app, row, &w);
	api_etag_set(reply, row);
}

/* ---- Changing ---- */

static enum status environments_check(struct app *app, struct json environments, struct error *err)
{
	struct json name = JSON_NONE;
	struct json value = JSON_NONE;
	while (json_next(environments, &name, &value)) {
		char key[BUNDLE_ENVIRONMENT_SIZE];
		if (json_string_copy(name, key, sizeof(key)) >= sizeof(key)) {
			return json_fail(err, STATUS_INVALID, value,
			                 "There is no environment with a key of more than %zu bytes",
			                 sizeof(key) - 1);
		}
		if (catalogue_find(app->catalogue, STORE_ENVIRONMENT, key, NULL) == NULL) {
			return json_fail(err, STATUS_INVALID, value, "There is no environment `%s`", key);
		}
	}
	return STATUS_OK;
}

static enum status setting_put_new(struct change *change, const char *flag, const char *environment,
                                   struct json body, struct error *err)
{
	struct app *app = change->app;
	const struct row *definition = catalogue_find(app->catalogue, STORE_FLAG, flag, NULL);
	struct json given = json_get(json_get(body, "environments"), environment);
	char path[ERROR_PATH_SIZE] = "";
	(void)snprintf(path, sizeof(path), "/environments/%s", environment);
	struct buf text;
	buf_init(&text, FLAG_MAX_TEXT_BYTES);
	enum status status = doc_setting_new(row_json(definition), given, &text, err);
	struct change_row row = { .table = STORE_SETTING,
		                  .key = flag,
		                  .environment = environment,
		                  .action = "setting.create",
		                  .doc = buf_string(&text),
		                  .doc_length = text.length,
		                  .path = json_is(given, JSON_ABSENT) ? "" : path };
	if (status == STATUS_OK) {
		status = change_put(change, &row, err);
	}
	buf_deinit(&text);
	return status;
}

static enum status flag_put_new(struct change *change, struct json body, const char **ret_key,
                                struct error *err)
{
	struct app *app = change->app;
	struct buf text;
	buf_init(&text, FLAG_MAX_TEXT_BYTES);
	enum status status = doc_flag_new(body, &text, err);
	const char *key = NULL;
	if (status == STATUS_OK) {
		key = json_string_dup(json_get(body, "key"), change->request->arena, NULL);
		const struct row *old =
		        key != NULL ? catalogue_find(app->catalogue, STORE_FLAG, key, NULL) : NULL;
		if (key == NULL) {
			status = error_fail(err, STATUS_NO_MEMORY, "Out of memory while reading `key`");
		} else if (old != NULL) {
			status = json_fail(err, STATUS_CONFLICT, json_get(body, "key"),
			                   old->is_archived ? "There is an archived flag `%s`; bring it back "
			                                      "by changing `archived` to false"
			                                    : "There is a flag `%s` already",
			                   key);
		}
	}
	if (status == STATUS_OK) {
		status = environments_check(app, json_get(body, "environments"), err);
	}
	struct change_row row = {
		.table = STORE_FLAG, .key = key, .doc = buf_string(&text), .doc_length = text.length
	};
	if (status == STATUS_OK) {
		status = change_put(change, &row, err);
	}
	buf_deinit(&text);
	*ret_key = key;
	return status;
}

void flag_create(struct http_request *request, struct http_reply *reply)
{
	struct app *app = request->app;
	struct api_change work;
	const char *key = NULL;
	if (!api_change_begin(&work, request, reply, "flag.create")) {
		return;
	}
	work.status = flag_put_new(&work.change, work.body, &key, &work.err);
	size_t count = catalogue_count(app->catalogue, STORE_ENVIRONMENT);
	for (size_t i = 0; i < count && work.status == STATUS_OK; i++) {
		const char *environment = catalogue_at(app->catalogue, STORE_ENVIRONMENT, i)->key;
		work.status = setting_put_new(&work.change, key, environment, work.body, &work.err);
	}
	api_change_end(&work, STORE_FLAG, key, NULL, 201, api_flag_write);
}

/* `archived` of a patch: false brings an archived flag back. */
static enum status archived_read(struct json body, const struct row *row, bool *ret, struct error *err)
{
	struct json archived = json_get(body, "archived");
	*ret = row->is_archived;
	if (json_is(archived, JSON_ABSENT)) {
		return row->is_archived ? error_fail(err, STATUS_GONE,
		                                     "The flag is archived; bring it back by changing "
		                                     "`archived` to false")
		                        : STATUS_OK;
	}
	if (!json_is(archived, JSON_BOOLEAN)) {
		return json_fail(err, STATUS_INVALID, archived, "The field `archived` must be true or false");
	}
	*ret = json_boolean(archived);
	return STATUS_OK;
}

/* The body without `archived`, which is not a member of the document. */
static void archived_strip(struct json body, struct buf *out)
{
	static const char patch_text[] = "{\"archived\":null}";
	struct json_doc patch = { 0 };
	if (json_parse(patch_text, sizeof(patch_text) - 1, &json_limits_default, &patch, NULL) == STATUS_OK) {
		json_merge_patch(body, json_root(&patch), out);
	}
	json_doc_deinit(&patch);
}

static enum status flag_put_patch(struct change *change, struct json body, const struct row *old,
                                  struct error *err)
{
	bool is_archived = false;
	enum status status = archived_read(body, old, &is_archived, err);
	if (status != STATUS_OK) {
		return status;
	}
	struct buf text;
	buf_init(&text, FLAG_MAX_TEXT_BYTES);
	struct buf stripped;
	buf_init(&stripped, FLAG_MAX_TEXT_BYTES);
	struct json_doc doc = { 0 };
	struct json patch = body;
	if (!json_is(json_get(body, "archived"), JSON_ABSENT)) {
		archived_strip(body, &stripped);
		status = json_parse(buf_string(&stripped), stripped.length, &doc_limits, &doc, err);
		patch = status == STATUS_OK ? json_root(&doc) : JSON_NONE;
	}
	if (status == STATUS_OK) {
		status = doc_flag_patch(row_json(old), old->key, patch, &text, err);
	}
	/* The entry of an archived flag holds no document: the journal would not tell of the change, and nothing checks it. */
	if (status == STATUS_OK && is_archived && strcmp(buf_string(&text), old->text) != 0) {
		status = json_fail(err, old->is_archived ? STATUS_GONE : STATUS_INVALID,
		                   json_get(body, "archived"),
		                   "An archived flag cannot be changed: change it before it is archived, or "
		                   "while bringing it back");
	}
	const char *action = is_archived == old->is_archived ? "flag.update"
	                     : is_archived                   ? "flag.archive"
	                                                     : "flag.restore";
	struct change_row row = { .table = STORE_FLAG,
		                  .key = change->request->params[0],
		                  .action = action,
		                  .doc = buf_string(&text),
		                  .doc_length = text.length,
		                  .is_archived = is_archived };
	if (status == STATUS_OK) {
		status = change_put(change, &row, err);
	}
	json_doc_deinit(&doc);
	buf_deinit(&stripped);
	buf_deinit(&text);
	return status;
}

void flag_update(struct http_request *request, struct http_reply *reply)
{
	struct api_change work;
	const char *key = request->params[0];
	struct row *row = NULL;
	if (!api_change_begin(&work, request, reply, "flag.update")) {
		return;
	}
	if (api_change_find(&work, STORE_FLAG, key, NULL, true, &row)) {
		work.status = flag_put_patch(&work.change, work.body, row, &work.err);
	}
	api_change_end(&work, STORE_FLAG, key, NULL, 200, api_flag_write);
}

void flag_archive(struct http_request *request, struct http_reply *reply)
{
	api_archive(request, reply, STORE_FLAG, "flag.archive");
}
