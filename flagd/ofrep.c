/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OFREP 0.3.0 (docs/ofrep/): single and bulk evaluation and the event stream. Loop threads; the hot path of the
 * daemon. Handlers of flagd/routes.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "engine/eval.h"
#include "flagd/api.h"
#include "flagd/doc.h"
#include "flagd/evaluation.h"
#include "flagd/routes.h"

#define OFREP_NODES          256 /* of a body that is scanned without the heap */
#define OFREP_ETAG_BYTES     16
#define OFREP_INACTIVITY_S   120
#define OFREP_MAX_BULK_BYTES (64 * 1024 * 1024)

/* ---- What both evaluations begin with ---- */

static enum status environment_find(struct http_request *request, struct snapshot **ret, struct error *err)
{
	const char *environment = NULL;
	enum status status = auth_environment(request, &environment, err);
	if (status != STATUS_OK) {
		return status;
	}
	*ret = view_snapshot_find(app_view(request), environment);
	return *ret != NULL
	               ? STATUS_OK
	               : error_fail(err, STATUS_NOT_FOUND, "There is no environment `%.64s`", environment);
}

/*
 * The body's context. A missing body and a missing context are an empty one: no client guarantees them. The document is
 * only needed until the context is read, which copies what it keeps.
 */
static enum status context_parse(struct http_request *request, struct context *ret, struct error *err)
{
	*ret = (struct context){ 0 };
	if (request->body_length == 0) {
		return STATUS_OK;
	}
	struct json_node nodes[OFREP_NODES];
	struct json_doc doc = { 0 };
	enum status status = json_scan(request->body, request->body_length, &json_limits_default, nodes,
	                               OFREP_NODES, &doc, err);
	if (status == STATUS_TOO_LARGE) {
		status = json_parse(request->body, request->body_length, &json_limits_default, &doc, err);
	}
	if (status == STATUS_OK) {
		struct json root = json_root(&doc);
		status = json_is(root, JSON_OBJECT)
		                 ? context_read(json_get(root, "context"), request->arena, ret, err)
		                 : (enum status)error_fail(err, STATUS_INVALID,
		                                           "The body must be a JSON object");
	}
	json_doc_deinit(&doc);
	return status;
}

static bool ofrep_begin(struct http_request *request, struct http_reply *reply,
                        struct snapshot **ret_snapshot, struct context *ret_context)
{
	struct error err = ERROR_INIT;
	enum status status = environment_find(request, ret_snapshot, &err);
	if (status == STATUS_OK) {
		status = context_parse(request, ret_context, &err);
	}
	if (status != STATUS_OK) {
		http_reply_problem(request, reply, &err);
	}
	return status == STATUS_OK;
}

static void count(struct app_counters *counters, enum eval_reason reason)
{
	atomic_fetch_add_explicit(&counters->evaluations[reason], 1, memory_order_relaxed);
}

/* ---- Single ---- */

void ofrep_evaluate(struct http_request *request, struct http_reply *reply)
{
	struct snapshot *snapshot = NULL;
	struct context context;
	if (!ofrep_begin(request, reply, &snapshot, &context)) {
		return;
	}
	const char *key = request->params[0];
	size_t length = strlen(key);
	struct eval_result result;
	eval_flag(snapshot_ruleset(snapshot), key, length, &context, &result);
	count(app_counters_get(request), result.reason);
	http_reply_json(reply, 200);
	reply->status =
	        evaluation_ofrep_write(snapshot_environment(snapshot), key, length, &result, &reply->body);
}

/* ---- Bulk ---- */

/*
 * ETag of the answer: of the flags and the stream's ticket. Not of the revision, which changes without them; but
 * a client that gets a 304 goes on with the ticket that it has, which must not expire under it.
 */
static void bulk_etag(const struct buf *flags, const char *ticket, char out[static 2 * OFREP_ETAG_BYTES + 1])
{
	uint8_t digest[OFREP_ETAG_BYTES];
	crypto_generichash_state state;
	(void)crypto_generichash_init(&state, NULL, 0, sizeof(digest));
	(void)crypto_generichash_update(&state, (const unsigned char *)ticket, strlen(ticket) + 1);
	(void)crypto_generichash_update(&state, (const unsigned char *)buf_string(flags), flags->length);
	(void)crypto_generichash_final(&state, digest, sizeof(digest));
	(void)sodium_bin2hex(out, 2 * OFREP_ETAG_BYTES + 1, digest, sizeof(digest));
}

static void bulk_flags_write(struct http_request *request, const struct snapshot *snapshot,
                             const struct context *context, struct buf *out)
{
	const struct ruleset *ruleset = snapshot_ruleset(snapshot);
	struct app_counters *counters = app_counters_get(request);
	size_t total = ruleset_flag_count(ruleset);
	buf_append_char(out, '[');
	for (size_t i = 0; i < total; i++) {
		const struct flag *flag = ruleset_flag_at(ruleset, i, NULL);
		struct eval_result result;
		eval_flag(ruleset, flag->item.key, flag->item.key_length, context, &result);
		count(counters, result.reason);
		if (i > 0) {
			buf_append_char(out, ',');
		}
		(void)evaluation_ofrep_write(snapshot_environment(snapshot), flag->item.key,
		                             flag->item.key_length, &result, out);
	}
	buf_append_char(out, ']');
}

static void bulk_tail_write(struct http_request *request, const struct snapshot *snapshot, const char *ticket,
                            struct json_writer *w)
{
	struct app *app = request->app;
	json_put_key(w, "metadata");
	json_begin_object(w);
	json_put_key_string(w, "flagSetId", snapshot_environment(snapshot));
	json_put_key_string(w, "version", snapshot_tag(snapshot));
	json_end_object(w);
	char uri[TICKET_SIZE + 64];
	(void)snprintf(uri, sizeof(uri), "/ofrep/v1/stream?ticket=%s", ticket);
	json_put_key(w, "eventStreams");
	json_begin_array(w);
	json_begin_object(w);
	json_put_key_string(w, "type", "sse");
	json_put_key(w, "endpoint");
	json_begin_object(w);
	if (app->config->public_url[0] != '\0') {
		json_put_key_string(w, "origin", app->config->public_url);
	}
	json_put_key_string(w, "requestUri", uri);
	json_end_object(w);
	json_put_key_int64(w, "inactivityDelaySec", OFREP_INACTIVITY_S);
	json_end_object(w);
	json_end_array(w);
}

void ofrep_evaluate_all(struct http_request *request, struct http_reply *reply)
{
	struct app *app = request->app;
	struct snapshot *snapshot = NULL;
	struct context context;
	if (!ofrep_begin(request, reply, &snapshot, &context)) {
		return;
	}
	struct buf flags;
	buf_init(&flags, OFREP_MAX_BULK_BYTES);
	bulk_flags_write(request, snapshot, &context, &flags);
	char etag[2 * OFREP_ETAG_BYTES + 1];
	char ticket[TICKET_SIZE];
	ticket_format(auth_principal(request), snapshot_environment(snapshot), app->pepper,
	              clock_wall_ms(app->clock), ticket);
	bulk_etag(&flags, ticket, etag);
	const char *known = http_header(request, "If-None-Match");
	if (flags.failed) {
		struct error err = ERROR_INIT;
		(void)!buf_status(&flags, "answer", &err);
		http_reply_problem(request, reply, &err);
	} else if (known != NULL && api_etag_matches(known, etag)) {
		http_reply_empty(reply, 304);
		http_reply_header(reply, "ETag", "\"%s\"", etag);
	} else {
		struct json_writer w;
		api_reply(reply, 200, &w);
		json_begin_object(&w);
		json_put_key(&w, "flags");
		json_put_raw(&w, flags.data, flags.length);
		bulk_tail_write(request, snapshot, ticket, &w);
		json_end_object(&w);
		http_reply_header(reply, "ETag", "\"%s\"", etag);
	}
	buf_deinit(&flags);
}

/* ---- Stream of notices ---- */

struct notices {
	char environment[BUNDLE_ENVIRONMENT_SIZE];
	char token_id[TOKEN_ID_SIZE];
	char tag[SNAPSHOT_TAG_SIZE]; /* what the client was told of */
	bool is_greeted;
};

static bool notices_next(void *state, void *loop_state, struct http_blob **ret)
{
	struct notices *notices = state;
	struct app_loop *loop = loop_state;
	const struct view *view = view_hold_refresh(&loop->hold, loop->app->view);
	struct snapshot *snapshot = view_snapshot_find(view, notices->environment);
	if (snapshot == NULL || view_token_find_id(view, notices->token_id) == NULL) {
		return false;
	}
	if (strcmp(notices->tag, snapshot_tag(snapshot)) != 0) {
		*ret = snapshot_notice(snapshot);
		(void)snprintf(notices->tag, sizeof(notices->tag), "%s", snapshot_tag(snapshot));
	} else if (!notices->is_greeted) {
		*ret = http_blob_new(": ok\n\n", 6);
	}
	notices->is_greeted |= *ret != NULL;
	return true;
}

static const struct http_stream_ops notices_ops = { .next = notices_next, .close = free };

/* The token that a ticket was given to; it is behind the first dot. */
static void ticket_token_id(const char *ticket, char out[static TOKEN_ID_SIZE])
{
	(void)snprintf(out, TOKEN_ID_SIZE, "%.*s", TOKEN_ID_SIZE - 1, strchr(ticket, '.') + 1);
}

void ofrep_stream(struct http_request *request, struct http_reply *reply)
{
	struct app *app = request->app;
	const struct view *view = app_view(request);
	struct error err = ERROR_INIT;
	char environment[BUNDLE_ENVIRONMENT_SIZE];
	const char *ticket = http_query(request, "ticket");
	enum status status =
	        ticket_check(ticket, view, app->pepper, clock_wall_ms(app->clock), environment, &err);
	struct snapshot *snapshot = status == STATUS_OK ? view_snapshot_find(view, environment) : NULL;
	struct notices *notices = snapshot != NULL ? calloc(1, sizeof(*notices)) : NULL;
	if (status == STATUS_OK && notices == NULL) {
		status = error_fail(&err, STATUS_UNAVAILABLE, "The stream cannot be opened now");
	}
	if (status != STATUS_OK) {
		http_reply_problem(request, reply, &err);
		return;
	}
	(void)snprintf(notices->environment, sizeof(notices->environment), "%s", environment);
	ticket_token_id(ticket, notices->token_id);
	/* A client that comes back with what it heard last is told at once when there is something newer. */
	const char *last = http_header(request, "Last-Event-ID");
	(void)snprintf(notices->tag, sizeof(notices->tag), "%s",
	               last != NULL ? last : snapshot_tag(snapshot));
	reply->status = 200;
	reply->content_type = "text/event-stream";
	reply->stream = &notices_ops;
	reply->stream_state = notices;
}
