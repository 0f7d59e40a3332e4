/* SPDX-License-Identifier: Apache-2.0 */
/* Lists, single resources and changes as every admin route does them; declared in flagd/api.h. */
#include <string.h>

#include "flagd/api.h"
#include "flagd/doc.h"

/* ---- Reading ---- */

void api_list_reply(struct http_request *request, struct http_reply *reply, enum store_table table,
                    const struct api_page *page, bool (*is_wanted)(const struct row *row, const void *user),
                    const void *user, api_render *render)
{
	struct app *app = request->app;
	struct json_writer w;
	api_reply(reply, 200, &w);
	json_begin_object(&w);
	json_put_key(&w, "items");
	json_begin_array(&w);
	const char *last = NULL;
	const char *cursor = NULL;
	uint32_t given = 0;
	size_t count = catalogue_count(app->catalogue, table);
	for (size_t i = catalogue_after(app->catalogue, table, page->cursor); i < count && cursor == NULL;
	     i++) {
		const struct row *row = catalogue_at(app->catalogue, table, i);
		if (is_wanted != NULL ? !is_wanted(row, user) : row->is_archived) {
			continue;
		}
		if (given == page->limit || reply->body.length > API_MAX_PAGE) {
			cursor = last; /* there is at least one more */
			continue;
		}
		render(app, row, &w);
		last = row->key;
		given++;
	}
	json_end_array(&w);
	json_put_key_string(&w, "next_cursor", cursor);
	json_end_object(&w);
}

void api_list(struct http_request *request, struct http_reply *reply, enum store_table table,
              bool (*is_wanted)(const struct row *row, const void *user), api_render *render)
{
	struct error err = ERROR_INIT;
	struct api_page page;
	if (api_page_read(request, NULL, &page, &err) != STATUS_OK) {
		api_fail(request, reply, &err);
		return;
	}
	api_list_reply(request, reply, table, &page, is_wanted, NULL, render);
}

void api_get(struct http_request *request, struct http_reply *reply, enum store_table table,
             bool with_archived, api_render *render)
{
	static const char *const allowed[] = { NULL };
	struct error err = ERROR_INIT;
	struct row *row = NULL;
	enum status status = http_query_check(request, allowed, &err);
	if (status == STATUS_OK) {
		status = api_row_find(request, table, request->params[0], NULL, with_archived, &row, &err);
	}
	if (status != STATUS_OK) {
		api_fail(request, reply, &err);
	} else if (!api_not_modified(request, reply, row)) {
		struct json_writer w;
		api_reply(reply, 200, &w);
		render(request->app, row, &w);
		api_etag_set(reply, row);
	}
}

/* ---- Changing ---- */

bool api_change_begin(struct api_change *work, struct http_request *request, struct http_reply *reply,
                      const char *action)
{
	static const char *const allowed[] = { "dry_run", NULL };
	*work = (struct api_change){ .err = ERROR_INIT };
	const char *reason = "";
	work->status = http_query_check(request, allowed, &work->err);
	if (work->status == STATUS_OK && request->route->max_body > 0) {
		work->status = api_body(request, &work->doc, &work->err);
	}
	if (work->status == STATUS_OK && request->route->max_body > 0) {
		work->body = json_root(&work->doc);
		work->status = doc_reason(work->body, request->arena, &reason, &work->err);
	}
	if (work->status != STATUS_OK) {
		api_fail(request, reply, &work->err);
	} else if (change_begin(&work->change, request, reply, action, reason)) {
		return true;
	}
	json_doc_deinit(&work->doc);
	return false;
}

bool api_change_find(struct api_change *work, enum store_table table, const char *key,
                     const char *environment, bool with_archived, struct row **ret)
{
	struct http_request *request = work->change.request;
	if (work->status == STATUS_OK) {
		work->status = api_row_find(request, table, key, environment, with_archived, ret, &work->err);
	}
	return work->status == STATUS_OK && api_if_match(request, work->change.reply, *ret);
}

static void preview_reply(struct change *change)
{
	struct json_writer w;
	api_reply(change->reply, 200, &w);
	change_preview_write(change, &w);
}

static void change_reply(struct change *change, enum store_table table, const char *key,
                         const char *environment, int http_status, api_render *render)
{
	struct http_reply *reply = change->reply;
	if (render == NULL) {
		http_reply_empty(reply, http_status);
		return;
	}
	const struct row *row = catalogue_find(change->app->catalogue, table, key, environment);
	struct json_writer w;
	api_reply(reply, http_status, &w);
	render(change->app, row, &w);
	api_etag_set(reply, row);
}

/* {"id":…} becomes {"token":"…","id":…}; @stored keeps it without. */
static void token_show(struct api_change *work, struct buf *stored)
{
	struct buf *body = &work->change.reply->body;
	buf_append(stored, buf_string(body), body->length);
	if (body->failed || stored->failed) {
		body->failed = true;
		return;
	}
	buf_reset(body);
	buf_append_string(body, "{\"token\":");
	json_append_string(body, work->token, strlen(work->token));
	buf_append_char(body, ',');
	buf_append(body, stored->data + 1, stored->length - 1);
	work->change.stored_body = stored;
}

static enum status change_finish(struct api_change *work, enum store_table table, const char *key,
                                 const char *environment, int http_status, api_render *render)
{
	struct change *change = &work->change;
	struct error *err = &work->err;
	enum status status = change_prepare(change, err);
	if (status != STATUS_OK) {
		return status;
	}
	if (change->is_dry_run) {
		preview_reply(change);
		return buf_status(&change->reply->body, "preview", err);
	}
	struct buf stored;
	buf_init(&stored, API_MAX_REPLY);
	change_reply(change, table, key, environment, http_status, render);
	if (work->token != NULL) {
		token_show(work, &stored);
	}
	status = buf_status(&change->reply->body, "answer", err);
	if (status == STATUS_OK) {
		status = change_commit(change, err);
	}
	buf_deinit(&stored);
	return status;
}

void api_change_end(struct api_change *work, enum store_table table, const char *key, const char *environment,
                    int http_status, api_render *render)
{
	struct change *change = &work->change;
	bool has_replied = work->status == STATUS_OK && change->reply->status == 412;
	if (work->status == STATUS_OK && !has_replied) {
		work->status = change_finish(work, table, key, environment, http_status, render);
	}
	if (work->status != STATUS_OK) {
		api_fail(change->request, change->reply, &work->err);
	}
	change_end(change);
	json_doc_deinit(&work->doc);
}

void api_archive(struct http_request *request, struct http_reply *reply, enum store_table table,
                 const char *action)
{
	const char *key = request->params[0];
	struct row *row = NULL;
	struct api_change work;
	if (!api_change_begin(&work, request, reply, action)) {
		return;
	}
	if (api_change_find(&work, table, key, NULL, false, &row)) {
		struct change_row archived = { .table = table, .key = key, .is_archived = true };
		work.status = change_put(&work.change, &archived, &work.err);
	}
	api_change_end(&work, table, key, NULL, 204, NULL);
}
