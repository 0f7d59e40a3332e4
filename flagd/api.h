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
#define API_MAX_PAGE  (16 * 1024 * 1024) /* a page ends when it has grown over this */

/* Answers with the problem of @err. Any thread. */
void api_fail(struct http_request *request, struct http_reply *reply, const struct error *err);

/* Starts a JSON answer; @w writes into the reply. Any thread. */
void api_reply(struct http_reply *reply, int status, struct json_writer *w);

/* The body as JSON, which must be an object; json_doc_deinit() it whatever happens. Any thread. */
MUST_CHECK enum status api_body(struct http_request *request, struct json_doc *ret, struct error *err);

/* Decimal digits and nothing else, at most @max. Any thread. */
bool api_number_read(const char *text, uint64_t max, uint64_t *ret);

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
void api_setting_write(struct app *app, const struct row *row, struct json_writer *w);
void api_segment_write(struct app *app, const struct row *row, struct json_writer *w);
void api_token_write(struct app *app, const struct row *row, struct json_writer *w);

/* Writes a row as its resource. */
typedef void api_render(struct app *app, const struct row *row, struct json_writer *w);

/*
 * A page of the rows of @table in key order: {"items":[…],"next_cursor":…}. @is_wanted may be NULL: all but archived ones.
 */
void api_list_reply(struct http_request *request, struct http_reply *reply, enum store_table table,
                    const struct api_page *page, bool (*is_wanted)(const struct row *row, const void *user),
                    const void *user, api_render *render);

/* The whole of a list handler without parameters of its own. */
void api_list(struct http_request *request, struct http_reply *reply, enum store_table table,
              bool (*is_wanted)(const struct row *row, const void *user), api_render *render);

/* The whole of a GET of one resource by its key, with 304. */
void api_get(struct http_request *request, struct http_reply *reply, enum store_table table,
             bool with_archived, api_render *render);

/* ---- Changes ---- */

/* A change that a request asks for, from its body to its answer. */
struct api_change {
	struct change change;
	struct json_doc doc;
	struct json body; /* absent where the route has none */
	struct error err;
	enum status status; /* of what was done so far; nothing more is done once it is not STATUS_OK */
	const char *token;  /* a secret that goes into the answer, and not into what is stored; NULL: none */
};

/*
 * Reads query, body and reason and begins. False: the reply is there, and nothing is to be released. @action may be changed
 * in the change until the first row is put.
 */
bool api_change_begin(struct api_change *work, struct http_request *request, struct http_reply *reply,
                      const char *action);

/* The row (api_row_find()), whose version must be what If-Match says. False: api_change_end() is next. */
bool api_change_find(struct api_change *work, enum store_table table, const char *key,
                     const char *environment, bool with_archived, struct row **ret);

/*
 * Ends it: prepares, then answers with the preview, or with @http_status and the row as @render writes it (NULL: nothing) and
 * commits. Replies in every case, unless If-Match has replied, and releases everything.
 */
void api_change_end(struct api_change *work, enum store_table table, const char *key, const char *environment,
                    int http_status, api_render *render);

/* The whole of a DELETE: archives the row that is found by the route's first parameter. */
void api_archive(struct http_request *request, struct http_reply *reply, enum store_table table,
                 const char *action);
