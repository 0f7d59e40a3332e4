/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the handlers of the admin API share: reading bodies and parameters, preconditions, the JSON of every resource.
 * Worker thread, unless a function says otherwise.
 */
#pragma once

#include "base/json_write.h"
#include "flagd/app.h"
#include "flagd/change.h"

#define API_MAX_LIST  1000
#define API_LIST_SIZE 100 /* without `limit` */
#define API_MAX_REPLY (64 * 1024 * 1024)

/* Answers with the problem of @err. Any thread. */
void api_fail(struct http_request *request, struct http_reply *reply, const struct error *err);

/* Starts a JSON answer; @w writes into the reply. Any thread. */
void api_reply(struct http_reply *reply, int status, struct json_writer *w);

/* The body as JSON, which must be an object; json_doc_deinit() it whatever happens. Any thread. */
MUST_CHECK enum status api_body(struct http_request *request, struct json_doc *ret, struct error *err);

struct api_page {
	const char *cursor; /* "" at the start */
	uint32_t limit;
};

/* Reads `cursor` and `limit` and refuses parameters that are not in @allowed (NULL-terminated, besides those two). */
MUST_CHECK enum status api_page_read(struct http_request *request, const char *const *allowed,
                                     struct api_page *ret, struct error *err);

/* Optional time parameter; INT64_MIN when it is missing. */
MUST_CHECK enum status api_time_read(struct http_request *request, const char *name, int64_t *ret,
                                     struct error *err);

/* Refuses unknown query parameters: only those of @allowed. Any thread. */
MUST_CHECK enum status api_query_none(struct http_request *request, struct error *err);

/* The row, or STATUS_NOT_FOUND with a sentence; archived flags and deleted segments count as not found unless @with_archived. */
MUST_CHECK enum status api_row_find(struct http_request *request, enum store_table table, const char *key,
                                    const char *environment, bool with_archived, struct row **ret,
                                    struct error *err);

/*
 * If-Match against the row's version. False: the reply is there (412, with the changes since the version that was
 * named, where the journal has it).
 */
bool api_if_match(struct http_request *request, struct http_reply *reply, const struct row *row);

/* If-None-Match of a GET: true when the reply is a 304. Sets the ETag otherwise. */
bool api_not_modified(struct http_request *request, struct http_reply *reply, const struct row *row);

void api_etag_set(struct http_reply *reply, const struct row *row);

/* ETag lists of If-None-Match: quoted, unquoted, W/ and `*`. Any thread. */
bool api_etag_matches(const char *header, const char *tag);

/* ---- Resources ---- */

void api_environment_write(struct app *app, const struct row *row, struct json_writer *w);
void api_flag_write(struct app *app, const struct row *row, struct json_writer *w);
void api_setting_write(const struct row *row, struct json_writer *w);
void api_segment_write(const struct row *row, struct json_writer *w);
void api_token_write(const struct row *row, struct json_writer *w);

/*
 * Ends a change: prepare, then either the preview or the answer that @render writes (with @http_status and the
 * ETag of the row (table, key, environment)) and the commit. Replies in every case.
 */
typedef void api_render(struct app *app, const struct row *row, struct json_writer *w);
void api_change_finish(struct change *change, enum status so_far, struct error *err, enum store_table table,
                       const char *key, const char *environment, int http_status, api_render *render);
