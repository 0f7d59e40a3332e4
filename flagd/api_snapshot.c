/* SPDX-License-Identifier: Apache-2.0 */
/* What clients follow: snapshot, stream, telemetry (docs/protocol.md). Loop threads. Handlers of flagd/routes.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flagd/api.h"
#include "flagd/routes.h"

/* The snapshot of the route's environment; false: the reply is there. */
static bool snapshot_find(struct http_request *request, struct http_reply *reply, struct snapshot **ret)
{
	struct error err = ERROR_INIT;
	enum status status = api_query_none(request, &err);
	*ret = view_snapshot_find(app_view(request), request->params[0]);
	if (status == STATUS_OK && *ret == NULL) {
		status = error_fail(&err, STATUS_NOT_FOUND, "There is no environment `%.64s`",
		                    request->params[0]);
	}
	if (status != STATUS_OK) {
		api_fail(request, reply, &err);
	}
	return status == STATUS_OK;
}

void snapshot_get(struct http_request *request, struct http_reply *reply)
{
	struct snapshot *snapshot = NULL;
	if (!snapshot_find(request, reply, &snapshot)) {
		return;
	}
	const char *known = http_header(request, "If-None-Match");
	if (known != NULL && api_etag_matches(known, snapshot_tag(snapshot))) {
		http_reply_empty(reply, 304);
	} else {
		struct http_blob *bundle = snapshot_bundle(snapshot);
		if (bundle == NULL) {
			struct error err = ERROR_INIT;
			error_set(&err, STATUS_NO_MEMORY, "Out of memory while building the snapshot");
			api_fail(request, reply, &err);
			return;
		}
		http_reply_blob(reply, 200, "application/x-halyard-bundle", bundle);
	}
	http_reply_header(reply, "ETag", "\"%s\"", snapshot_tag(snapshot));
}

/* ---- Stream ---- */

struct events {
	char environment[BUNDLE_ENVIRONMENT_SIZE];
	char token_id[TOKEN_ID_SIZE];
	bool is_greeted;          /* something was sent */
	uint64_t epoch, revision; /* what the client has; revision 0: nothing */
};

static struct http_blob *events_whole(struct events *events, struct snapshot *snapshot)
{
	struct http_blob *blob = snapshot_event(snapshot);
	if (blob != NULL) {
		events->epoch = snapshot_manifest(snapshot)->epoch;
		events->revision = snapshot_manifest(snapshot)->revision;
	}
	return blob;
}

static struct http_blob *events_take(struct events *events, struct snapshot *snapshot)
{
	const struct manifest *manifest = snapshot_manifest(snapshot);
	if (events->revision == 0 || events->epoch != manifest->epoch ||
	    events->revision > manifest->revision) {
		return events_whole(events, snapshot);
	}
	if (events->revision == manifest->revision) {
		return events->is_greeted ? NULL : http_blob_new(": ok\n\n", 6);
	}
	struct http_blob *delta = snapshot_delta(snapshot, events->revision + 1);
	if (delta == NULL) {
		return events_whole(events, snapshot);
	}
	events->revision++;
	return delta;
}

static bool events_next(void *state, void *loop_state, struct http_blob **ret)
{
	struct events *events = state;
	struct app_loop *loop = loop_state;
	const struct view *view = view_hold_refresh(&loop->hold, loop->app->view);
	struct snapshot *snapshot = view_snapshot_find(view, events->environment);
	if (snapshot == NULL || view_token_find_id(view, events->token_id) == NULL) {
		return false; /* the environment or the token is gone */
	}
	*ret = events_take(events, snapshot);
	events->is_greeted |= *ret != NULL;
	return true;
}

static const struct http_stream_ops events_ops = { .next = events_next, .close = free };

/* "<epoch>-<revision>"; anything else is as good as nothing. */
static void last_event_read(const char *text, struct events *events)
{
	char rest = '\0';
	uint64_t epoch = 0;
	uint64_t revision = 0;
	if (text != NULL && strlen(text) < SNAPSHOT_TAG_SIZE &&
	    // NOLINTNEXTLINE(cert-err34-c): a number that is too large names no revision that we have
	    sscanf(text, "%" SCNu64 "-%" SCNu64 "%c", &epoch, &revision, &rest) == 2) {
		events->epoch = epoch;
		events->revision = revision;
	}
}

void events_get(struct http_request *request, struct http_reply *reply)
{
	struct snapshot *snapshot = NULL;
	if (!snapshot_find(request, reply, &snapshot)) {
		return;
	}
	struct events *events = calloc(1, sizeof(*events));
	if (events == NULL) {
		struct error err = ERROR_INIT;
		error_set(&err, STATUS_NO_MEMORY, "Out of memory while opening the stream");
		api_fail(request, reply, &err);
		return;
	}
	(void)snprintf(events->environment, sizeof(events->environment), "%s",
	               snapshot_environment(snapshot));
	memcpy(events->token_id, auth_principal(request)->id, sizeof(events->token_id));
	last_event_read(http_header(request, "Last-Event-ID"), events);
	reply->status = 200;
	reply->content_type = "text/event-stream";
	reply->stream = &events_ops;
	reply->stream_state = events;
}

/* ---- Telemetry ---- */

/* auth_environment(), which has to exist. False: the reply is there. */
static bool environment_read(struct http_request *request, struct http_reply *reply, const char **ret)
{
	static const char *const allowed[] = { "environment", NULL };
	struct error err = ERROR_INIT;
	enum status status = http_query_check(request, allowed, &err);
	if (status == STATUS_OK) {
		status = auth_environment(request, ret, &err);
	}
	if (status == STATUS_OK && view_snapshot_find(app_view(request), *ret) == NULL) {
		status = error_fail(&err, STATUS_NOT_FOUND, "There is no environment `%.64s`", *ret);
	}
	if (status != STATUS_OK) {
		api_fail(request, reply, &err);
	}
	return status == STATUS_OK;
}

void telemetry_post(struct http_request *request, struct http_reply *reply)
{
	struct app *app = request->app;
	const char *environment = NULL;
	if (!environment_read(request, reply, &environment)) {
		return;
	}
	struct error err = ERROR_INIT;
	struct json_doc doc = { 0 };
	enum status status = api_body(request, &doc, &err);
	if (status == STATUS_OK) {
		status = telemetry_take(app->telemetry, environment, json_root(&doc),
		                        clock_wall_ms(app->clock), &err);
	}
	json_doc_deinit(&doc);
	if (status != STATUS_OK) {
		api_fail(request, reply, &err);
		return;
	}
	http_reply_empty(reply, 204);
}

void telemetry_get(struct http_request *request, struct http_reply *reply)
{
	static const char *const allowed[] = { "flag", NULL };
	struct app *app = request->app;
	struct error err = ERROR_INIT;
	enum status status = http_query_check(request, allowed, &err);
	if (status == STATUS_OK && view_snapshot_find(app_view(request), request->params[0]) == NULL) {
		status = error_fail(&err, STATUS_NOT_FOUND, "There is no environment `%.64s`",
		                    request->params[0]);
	}
	if (status != STATUS_OK) {
		api_fail(request, reply, &err);
		return;
	}
	struct json_writer w;
	api_reply(reply, 200, &w);
	telemetry_write(app->telemetry, request->params[0], http_query(request, "flag"), &w);
}
