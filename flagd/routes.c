/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/routes.h"

#include <stdlib.h>
#include <string.h>

#include "flagd/openapi.h"
#include "flagd/worker.h"

#define KIB 1024u

/* Bodies: what people write; segments and flags may list many keys. */
#define SMALL (64 * KIB)
#define LARGE (1024 * KIB)

/* clang-format off */

/* What a route takes and gives, for OpenAPI. */
#define DOC(...) (&(const struct http_doc){ __VA_ARGS__ })

/* THE table: nothing is reachable that does not stand here, and nothing here is without an access column. */
static const struct http_route routes[] = {
	/* ---- Operations ---- */
	{ HTTP_GET, "/healthz", "health_get", HTTP_ON_LOOP, ACCESS_OPEN, 0, 0, health_get,
	  "Is the daemon alive?",
	  DOC(.tag = "Operations", .success = 200, .response = "Health") },
	{ HTTP_GET, "/readyz", "ready_get", HTTP_ON_LOOP, ACCESS_OPEN, 0, 0, ready_get,
	  "Is the daemon ready, and if not, why not?",
	  DOC(.tag = "Operations", .query = { "ReadyFor" }, .success = 200, .response = "Ready",
	      .description = "503 while changes are refused (a full or read-only disk, a damaged store). Reads, evaluations and "
			     "streams go on then: a load balancer of SDK traffic asks `/readyz?for=reads`.", .errors = "400") },
	{ HTTP_GET, "/metrics", "metrics_get", HTTP_ON_LOOP, ACCESS_OPEN, 0, 0, metrics_get,
	  "Metrics for Prometheus.",
	  DOC(.tag = "Operations", .success = 200, .response = "Text", .content_type = "text/plain") },
	{ HTTP_GET, "/openapi.json", "openapi_get", HTTP_ON_LOOP, ACCESS_OPEN, 0, 0, openapi_get,
	  "This document.",
	  DOC(.tag = "Operations", .success = 200, .response = "Object") },

	/* ---- Environments ---- */
	{ HTTP_GET, "/api/v1/environments", "environment_list", HTTP_ON_WORKER, ACCESS_OWNER, 0, 0, environment_list,
	  "List environments.",
	  DOC(.tag = "Environments", .query = { "Cursor", "Limit" }, .success = 200, .response = "EnvironmentList", .errors = "400") },
	{ HTTP_POST, "/api/v1/environments", "environment_create", HTTP_ON_WORKER, ACCESS_OWNER, SMALL, 0, environment_create,
	  "Create an environment; every flag gets settings there.",
	  DOC(.tag = "Environments", .query = { "DryRun" }, .request = "EnvironmentCreate", .success = 201,
	      .response = "Environment", .errors = "400 409", .has_etag = true) },
	{ HTTP_GET, "/api/v1/environments/{environment}", "environment_get", HTTP_ON_WORKER, ACCESS_OWNER, 0, 0, environment_get,
	  "Read an environment.",
	  DOC(.tag = "Environments", .success = 200, .response = "Environment", .errors = "404", .has_etag = true) },
	{ HTTP_PATCH, "/api/v1/environments/{environment}", "environment_update", HTTP_ON_WORKER, ACCESS_OWNER, SMALL, 0, environment_update,
	  "Change an environment's description or protection.",
	  DOC(.tag = "Environments", .query = { "DryRun" }, .request = "EnvironmentPatch", .success = 200,
	      .response = "Environment", .errors = "400 404 412", .has_etag = true) },

	/* ---- Flags ---- */
	{ HTTP_GET, "/api/v1/flags", "flag_list", HTTP_ON_WORKER, ACCESS_OWNER, 0, 0, flag_list,
	  "List and search flags.",
	  DOC(.tag = "Flags", .query = { "Search", "Tag", "Owner", "Kind", "Archived", "Cursor", "Limit" }, .success = 200,
	      .response = "FlagList", .errors = "400") },
	{ HTTP_POST, "/api/v1/flags", "flag_create", HTTP_ON_WORKER, ACCESS_OWNER, LARGE, 0, flag_create,
	  "Create a flag, off in every environment unless its settings are given.",
	  DOC(.tag = "Flags", .query = { "DryRun" }, .request = "FlagCreate", .success = 201, .response = "Flag",
	      .errors = "400 409", .has_etag = true) },
	{ HTTP_GET, "/api/v1/flags/{key}", "flag_get", HTTP_ON_WORKER, ACCESS_OWNER, 0, 0, flag_get,
	  "Read a flag with its settings in every environment, now or as of a time.",
	  DOC(.tag = "Flags", .query = { "At" }, .success = 200, .response = "Flag", .errors = "400 404") },
	{ HTTP_PATCH, "/api/v1/flags/{key}", "flag_update", HTTP_ON_WORKER, ACCESS_OWNER, LARGE, 0, flag_update,
	  "Change a flag's definition (JSON merge patch); `archived` brings it back.",
	  DOC(.tag = "Flags", .query = { "DryRun" }, .request = "FlagPatch", .success = 200, .response = "Flag",
	      .errors = "400 404 409 410 412", .has_etag = true) },
	{ HTTP_DELETE, "/api/v1/flags/{key}", "flag_archive", HTTP_ON_WORKER, ACCESS_OWNER, 0, 0, flag_archive,
	  "Archive a flag; nothing is lost.",
	  DOC(.tag = "Flags", .query = { "DryRun" }, .success = 204, .errors = "404 409 412", .has_etag = true) },
	{ HTTP_GET, "/api/v1/flags/{key}/history", "flag_history", HTTP_ON_WORKER, ACCESS_OWNER, 0, 0, flag_history,
	  "What was changed, by whom, when, from where and why, newest first.",
	  DOC(.tag = "Flags", .query = { "Environment", "Cursor", "Limit" }, .success = 200, .response = "History",
	      .errors = "400 404") },
	{ HTTP_GET, "/api/v1/flags/{key}/environments/{environment}", "setting_get", HTTP_ON_WORKER, ACCESS_OWNER, 0, 0, setting_get,
	  "Read a flag's settings in an environment, now or as of a time.",
	  DOC(.tag = "Settings", .query = { "At" }, .success = 200, .response = "Setting", .errors = "400 404", .has_etag = true) },
	{ HTTP_PATCH, "/api/v1/flags/{key}/environments/{environment}", "setting_update", HTTP_ON_WORKER, ACCESS_OWNER, LARGE, 0, setting_update,
	  "Change a flag's settings in an environment (JSON merge patch).",
	  DOC(.tag = "Settings", .query = { "DryRun" }, .request = "SettingPatch", .success = 200, .response = "Setting",
	      .description = "Lists and `default` are replaced whole. With `If-Match` a change is refused (412, with what changed) "
			     "when somebody else was faster.", .errors = "400 404 409 412", .has_etag = true) },
	{ HTTP_POST, "/api/v1/flags/{key}/environments/{environment}/revert", "setting_revert", HTTP_ON_WORKER, ACCESS_OWNER, SMALL, 0, setting_revert,
	  "Go back to the settings of an earlier version or time.",
	  DOC(.tag = "Settings", .query = { "DryRun" }, .request = "RevertRequest", .success = 200, .response = "Setting",
	      .errors = "400 404 409 412", .has_etag = true) },

	/* ---- Segments ---- */
	{ HTTP_GET, "/api/v1/segments", "segment_list", HTTP_ON_WORKER, ACCESS_OWNER, 0, 0, segment_list,
	  "List segments.",
	  DOC(.tag = "Segments", .query = { "Cursor", "Limit" }, .success = 200, .response = "SegmentList", .errors = "400") },
	{ HTTP_POST, "/api/v1/segments", "segment_create", HTTP_ON_WORKER, ACCESS_OWNER, LARGE, 0, segment_create,
	  "Create a segment.",
	  DOC(.tag = "Segments", .query = { "DryRun" }, .request = "SegmentCreate", .success = 201, .response = "Segment",
	      .errors = "400 409", .has_etag = true) },
	{ HTTP_GET, "/api/v1/segments/{key}", "segment_get", HTTP_ON_WORKER, ACCESS_OWNER, 0, 0, segment_get,
	  "Read a segment.",
	  DOC(.tag = "Segments", .success = 200, .response = "Segment", .errors = "404", .has_etag = true) },
	{ HTTP_PUT, "/api/v1/segments/{key}", "segment_replace", HTTP_ON_WORKER, ACCESS_OWNER, LARGE, 0, segment_replace,
	  "Create or replace a segment.",
	  DOC(.tag = "Segments", .query = { "DryRun" }, .request = "SegmentPut", .success = 200, .response = "Segment",
	      .errors = "400 409 412", .has_etag = true) },
	{ HTTP_DELETE, "/api/v1/segments/{key}", "segment_delete", HTTP_ON_WORKER, ACCESS_OWNER, 0, 0, segment_delete,
	  "Delete a segment that nothing uses.",
	  DOC(.tag = "Segments", .query = { "DryRun" }, .success = 204, .errors = "404 409 412", .has_etag = true) },
	{ HTTP_GET, "/api/v1/segments/{key}/history", "segment_history", HTTP_ON_WORKER, ACCESS_OWNER, 0, 0, segment_history,
	  "What was changed in a segment, newest first.",
	  DOC(.tag = "Segments", .query = { "Cursor", "Limit" }, .success = 200, .response = "History", .errors = "400 404") },

	/* ---- Tokens ---- */
	{ HTTP_GET, "/api/v1/tokens", "token_list", HTTP_ON_WORKER, ACCESS_OWNER, 0, 0, token_list,
	  "List tokens, revoked ones too; never their text.",
	  DOC(.tag = "Tokens", .query = { "Cursor", "Limit" }, .success = 200, .response = "TokenList", .errors = "400") },
	{ HTTP_POST, "/api/v1/tokens", "token_create", HTTP_ON_WORKER, ACCESS_OWNER, SMALL, 0, token_create,
	  "Create a token; its text is in this answer and nowhere else.",
	  DOC(.tag = "Tokens", .query = { "DryRun" }, .request = "TokenCreate", .success = 201, .response = "Token", .errors = "400 409",
	      .has_etag = true) },
	{ HTTP_GET, "/api/v1/tokens/{id}", "token_get", HTTP_ON_WORKER, ACCESS_OWNER, 0, 0, token_get,
	  "Read a token's description.",
	  DOC(.tag = "Tokens", .success = 200, .response = "Token", .errors = "404", .has_etag = true) },
	{ HTTP_DELETE, "/api/v1/tokens/{id}", "token_revoke", HTTP_ON_WORKER, ACCESS_OWNER, 0, 0, token_revoke,
	  "Revoke a token at once.",
	  DOC(.tag = "Tokens", .query = { "DryRun" }, .success = 204, .errors = "404 409 412", .has_etag = true) },

	/* ---- Evaluation and what clients follow ---- */
	{ HTTP_POST, "/api/v1/environments/{environment}/evaluate", "evaluate", HTTP_ON_WORKER, ACCESS_CLIENT, SMALL, 0, evaluate,
	  "Evaluate one or all flags, explained if asked, now or as of a time.",
	  DOC(.tag = "Evaluation", .request = "EvaluateRequest", .success = 200, .response = "EvaluateResponse", .errors = "400 404") },
	{ HTTP_GET, "/api/v1/environments/{environment}/snapshot", "snapshot_get", HTTP_ON_LOOP, ACCESS_CLIENT, 0, 0, snapshot_get,
	  "The signed snapshot of an environment (docs/snapshot-format.md).",
	  DOC(.tag = "Clients", .success = 200, .response = "Bundle", .content_type = "application/x-halyard-bundle",
	      .errors = "404", .has_etag = true) },
	{ HTTP_GET, "/api/v1/environments/{environment}/events", "events_get", HTTP_ON_LOOP, ACCESS_CLIENT, 0, HTTP_ROUTE_STREAM, events_get,
	  "Stream of signed snapshots and deltas (docs/protocol.md).",
	  DOC(.tag = "Clients", .success = 200, .response = "Text", .content_type = "text/event-stream", .errors = "404") },
	{ HTTP_GET, "/api/v1/environments/{environment}/telemetry", "telemetry_get", HTTP_ON_LOOP, ACCESS_OWNER, 0, 0, telemetry_get,
	  "What clients reported: counts, unknown keys, outcomes, the revision that each runs.",
	  DOC(.tag = "Clients", .query = { "Flag" }, .success = 200, .response = "Telemetry", .errors = "400 404") },
	{ HTTP_POST, "/api/v1/telemetry", "telemetry_post", HTTP_ON_LOOP, ACCESS_CLIENT, SMALL, 0, telemetry_post,
	  "Report counts and outcomes (docs/protocol.md).",
	  DOC(.tag = "Clients", .query = { "Environment" }, .request = "TelemetryReport", .success = 204, .errors = "400 404") },
	{ HTTP_GET, "/api/v1/signing-keys", "signing_keys_get", HTTP_ON_LOOP, ACCESS_CLIENT, 0, 0, signing_keys_get,
	  "Public keys that snapshots are signed with.",
	  DOC(.tag = "Clients", .success = 200, .response = "SigningKeys") },

	/* ---- OFREP ---- */
	{ HTTP_POST, "/ofrep/v1/evaluate/flags/{key}", "ofrep_evaluate", HTTP_ON_LOOP, ACCESS_EVALUATE, SMALL,
	  HTTP_ROUTE_CORS | HTTP_ROUTE_OFREP | HTTP_ROUTE_OPTIONAL_BODY, ofrep_evaluate,
	  "Evaluate one flag (OFREP 0.3.0).",
	  DOC(.tag = "OFREP", .query = { "Environment" }, .request = "OfrepRequest", .success = 200,
	      .response = "OfrepEvaluation", .errors = "400 404") },
	{ HTTP_POST, "/ofrep/v1/evaluate/flags", "ofrep_evaluate_all", HTTP_ON_LOOP, ACCESS_EVALUATE, SMALL,
	  HTTP_ROUTE_CORS | HTTP_ROUTE_OFREP | HTTP_ROUTE_OPTIONAL_BODY, ofrep_evaluate_all,
	  "Evaluate all flags (OFREP 0.3.0).",
	  DOC(.tag = "OFREP", .query = { "Environment", "FlagConfigEtag", "FlagConfigLastModified" }, .request = "OfrepRequest",
	      .success = 200, .response = "OfrepBulk", .errors = "400 404", .has_etag = true) },
	{ HTTP_GET, "/ofrep/v1/stream", "ofrep_stream", HTTP_ON_LOOP, ACCESS_TICKET, 0,
	  HTTP_ROUTE_CORS | HTTP_ROUTE_OFREP | HTTP_ROUTE_STREAM, ofrep_stream,
	  "Notices that flags changed (OFREP event stream); the ticket comes with a bulk evaluation.",
	  DOC(.tag = "OFREP", .security = "Ticket", .success = 200, .response = "Text", .content_type = "text/event-stream",
	      .errors = "400") },
};

/* clang-format on */

size_t routes_count(void)
{
	return sizeof(routes) / sizeof(routes[0]);
}

const struct http_route *routes_all(void)
{
	return routes;
}

/* ---- Hooks of the server ---- */

static void *loop_new(void *user)
{
	struct app *app = user;
	struct app_loop *loop = calloc(1, sizeof(*loop));
	if (loop != NULL) {
		loop->app = app;
		loop->shard = atomic_fetch_add(&app->next_shard, 1) % APP_MAX_SHARDS;
	}
	return loop;
}

static void loop_free(void *user, void *state)
{
	(void)user;
	struct app_loop *loop = state;
	if (loop != NULL) {
		view_hold_release(&loop->hold);
		free(loop);
	}
}

static bool authorise(struct http_request *request, struct http_reply *reply)
{
	struct app *app = request->app;
	struct error err = ERROR_INIT;
	enum status status = auth_check(request, app_view(request), app->pepper, &err);
	if (status == STATUS_OK) {
		return true;
	}
	atomic_fetch_add_explicit(&app_counters_get(request)->auth_failures, 1, memory_order_relaxed);
	http_reply_problem(request, reply, &err);
	if (status == STATUS_UNAUTHENTICATED) {
		http_reply_header(reply, "WWW-Authenticate", "Bearer");
	}
	return false;
}

static bool defer(void *user, struct http_request *request)
{
	struct app *app = user;
	return worker_push(app->worker, request);
}

static void observe(void *user, void *state, const struct http_route *route, int status, int64_t us)
{
	struct app *app = user;
	struct app_loop *loop = state;
	const size_t index = route != NULL ? (size_t)(route - routes) : routes_count();
	metrics_http_observe(app->metrics_http, loop->shard, index, status, us);
}

enum status routes_serve(struct app *app, struct http_server **ret, struct error *err)
{
	const struct config *config = app->config;
	struct http_options options = {
		.address = config->address,
		.port = config->port,
		.api_loops = (unsigned)config->api_threads,
		.max_connections = (uint32_t)config->max_connections,
		.request_deadline_ms = (uint32_t)config->request_deadline_ms,
		.idle_timeout_ms = (uint32_t)config->idle_timeout_ms,
		.heartbeat_ms = (uint32_t)config->heartbeat_ms,
		.stream_stall_ms = (uint32_t)config->stream_stall_ms,
		.clock = app->clock,
		.routes = routes,
		.route_count = routes_count(),
		.app = app,
		.app_loop_new = loop_new,
		.app_loop_free = loop_free,
		.authorise = authorise,
		.defer = defer,
		.observe = observe,
	};
	return http_server_open(&options, ret, err);
}
