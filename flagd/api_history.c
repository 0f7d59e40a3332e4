/* SPDX-License-Identifier: Apache-2.0 */
/* History of flags and segments from the journal. Handlers of flagd/routes.h. */
#include <inttypes.h>
#include <string.h>

#include "flagd/api.h"
#include "flagd/doc.h"
#include "flagd/doc_diff.h"
#include "flagd/routes.h"

struct history {
	struct json_writer *w;
	uint32_t given, limit;
	uint64_t last_seq;
	bool has_more;
	enum status status; /* why the walk ended early; STATUS_OK: it did not */
	struct error *err;
};

/* An entry holds two documents, a level deeper, and what is said about them. */
static const struct json_limits entry_limits = {
	.max_bytes = 2 * FLAG_MAX_TEXT_BYTES + 65536,
	.max_nodes = 2 * 262144 + 4096,
	.max_depth = 32,
};

/* The entry as it stands in the journal, and what it changed. */
static bool history_entry(void *user, const struct store_entry *entry)
{
	struct history *history = user;
	if (history->given == history->limit || history->w->buf->length > API_MAX_PAGE) {
		history->has_more = true;
		return false;
	}
	struct json_doc doc = { 0 };
	history->status = json_parse(entry->bytes, entry->length, &entry_limits, &doc, history->err);
	if (history->status != STATUS_OK) {
		return false;
	}
	struct json root = json_root(&doc);
	struct json name = JSON_NONE;
	struct json value = JSON_NONE;
	json_begin_object(history->w);
	while (json_next(root, &name, &value)) {
		char member[64];
		(void)json_string_copy(name, member, sizeof(member));
		json_put_key_value(history->w, member, value);
	}
	json_put_key(history->w, "changes");
	doc_diff(json_get(root, "before"), json_get(root, "after"), history->w);
	json_end_object(history->w);
	json_doc_deinit(&doc);
	history->last_seq = entry->seq;
	history->given++;
	return true;
}

static enum status history_cursor_read(const struct api_page *page, struct store_filter *filter,
                                       struct error *err)
{
	filter->before_seq = 0;
	if (page->cursor[0] != '\0' &&
	    (!api_number_read(page->cursor, INT64_MAX, &filter->before_seq) || filter->before_seq == 0)) {
		error_set(err, STATUS_INVALID, "The query parameter `cursor` is not one that was given");
		error_path_set(err, "?cursor");
		return STATUS_INVALID;
	}
	return STATUS_OK;
}

/* Flags: also their settings, of one environment when it is named. */
static void history_reply(struct http_request *request, struct http_reply *reply, struct store_filter *filter,
                          const struct api_page *page)
{
	struct app *app = request->app;
	struct error err = ERROR_INIT;
	struct json_writer w;
	api_reply(reply, 200, &w);
	struct history history = { .w = &w, .limit = page->limit, .err = &err };
	filter->limit = page->limit < API_MAX_LIST ? page->limit + 1 : API_MAX_LIST;
	json_begin_object(&w);
	json_put_key(&w, "items");
	json_begin_array(&w);
	enum status status = history_cursor_read(page, filter, &err);
	if (status == STATUS_OK) {
		status = store_journal_list(app->store, filter, history_entry, &history, &err);
	}
	if (status == STATUS_OK && history.status != STATUS_OK) {
		status = history.status;
		if (status != STATUS_NO_MEMORY) {
			/* Its digest holds: it was written like that. */
			error_wrap(&err, "An entry of the journal cannot be read");
			status = err.status = STATUS_INTERNAL;
		}
	}
	json_end_array(&w);
	json_put_key(&w, "next_cursor");
	if (history.has_more || (history.given == API_MAX_LIST && filter->limit == API_MAX_LIST)) {
		json_put_uint64_string(&w, history.last_seq);
	} else {
		json_put_null(&w);
	}
	json_end_object(&w);
	if (status != STATUS_OK) {
		api_fail(request, reply, &err);
	}
}

void flag_history(struct http_request *request, struct http_reply *reply)
{
	static const char *const allowed[] = { "environment", NULL };
	struct error err = ERROR_INIT;
	struct api_page page;
	struct row *row = NULL;
	enum status status = api_page_read(request, allowed, &page, &err);
	if (status == STATUS_OK) {
		status = api_row_find(request, STORE_FLAG, request->params[0], NULL, true, &row, &err);
	}
	const char *environment = http_query(request, "environment");
	if (status == STATUS_OK && environment != NULL) {
		status = api_row_find(request, STORE_SETTING, request->params[0], environment, true, &row,
		                      &err);
	}
	if (status != STATUS_OK) {
		api_fail(request, reply, &err);
		return;
	}
	struct store_filter filter = { .table = environment != NULL ? STORE_SETTING : STORE_FLAG_AND_SETTING,
		                       .key = request->params[0],
		                       .environment = environment,
		                       .at_ms = INT64_MAX };
	history_reply(request, reply, &filter, &page);
}

void segment_history(struct http_request *request, struct http_reply *reply)
{
	struct error err = ERROR_INIT;
	struct api_page page;
	struct row *row = NULL;
	enum status status = api_page_read(request, NULL, &page, &err);
	if (status == STATUS_OK) {
		status = api_row_find(request, STORE_SEGMENT, request->params[0], NULL, true, &row, &err);
	}
	if (status != STATUS_OK) {
		api_fail(request, reply, &err);
		return;
	}
	struct store_filter filter = { .table = STORE_SEGMENT,
		                       .key = request->params[0],
		                       .at_ms = INT64_MAX };
	history_reply(request, reply, &filter, &page);
}
