/* SPDX-License-Identifier: Apache-2.0 */
/* Health, readiness, metrics, OpenAPI, signing keys. Loop threads. Handlers of flagd/routes.h. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "engine/eval.h"
#include "flagd/api.h"
#include "flagd/routes.h"

void health_get(struct http_request *request, struct http_reply *reply)
{
	(void)request;
	struct json_writer w;
	api_reply(reply, 200, &w);
	json_begin_object(&w);
	json_put_key_string(&w, "status", "ok");
	json_put_key_string(&w, "version", HALYARD_VERSION);
	json_end_object(&w);
}

/* ---- Readiness ---- */

static void health_copy(struct app *app, struct app_health *ret)
{
	(void)pthread_mutex_lock(&app->health.lock);
	ret->store = app->health.store;
	ret->journal_seq = app->health.journal_seq;
	ret->epoch = app->health.epoch;
	(void)pthread_mutex_unlock(&app->health.lock);
}

static void reason_write(struct json_writer *w, const char *component, const char *code, const char *message)
{
	json_begin_object(w);
	json_put_key_string(w, "component", component);
	json_put_key_string(w, "code", code);
	json_put_key_string(w, "message", message);
	json_end_object(w);
}

static void problems_write(const struct snapshot *snapshot, struct json_writer *w)
{
	const struct ruleset *ruleset = snapshot_ruleset(snapshot);
	for (size_t i = 0; i < ruleset_problem_count(ruleset); i++) {
		const struct ruleset_problem *problem = ruleset_problem_at(ruleset, i);
		char message[512];
		(void)snprintf(message, sizeof(message), "In environment %s the %s `%s` does not work: %s",
		               snapshot_environment(snapshot),
		               problem->kind == ITEM_FLAG ? "flag" : "segment", problem->key,
		               problem->message);
		reason_write(w, "flags", "flag_broken", message);
	}
}

void ready_get(struct http_request *request, struct http_reply *reply)
{
	static const char *const allowed[] = { "for", NULL };
	struct error err = ERROR_INIT;
	const char *purpose = http_query(request, "for");
	if (http_query_check(request, allowed, &err) == STATUS_OK && purpose != NULL &&
	    strcmp(purpose, "reads") != 0) {
		error_set(&err, STATUS_INVALID, "The query parameter `for` is `reads` or is left out");
		error_path_set(&err, "?for");
	}
	if (err.status != STATUS_OK) {
		api_fail(request, reply, &err);
		return;
	}
	struct app_health health = { 0 };
	health_copy(request->app, &health);
	bool is_ready = purpose != NULL || health.store.is_writable;
	const struct view *view = app_view(request);
	struct json_writer w;
	api_reply(reply, is_ready ? 200 : 503, &w);
	json_begin_object(&w);
	json_put_key_boolean(&w, "ready", is_ready);
	json_put_key_boolean(&w, "reads", true);
	json_put_key_boolean(&w, "changes", health.store.is_writable);
	json_put_key(&w, "reasons");
	json_begin_array(&w);
	if (!health.store.is_writable) {
		reason_write(&w, "store", status_slug(health.store.reason), health.store.message);
	}
	for (size_t i = 0; i < view_snapshot_count(view); i++) {
		problems_write(view_snapshot_at(view, i), &w);
	}
	json_end_array(&w);
	json_end_object(&w);
	if (!is_ready) {
		http_reply_header(reply, "Retry-After", "1");
	}
}

/* ---- Metrics ---- */

static void gauge(struct buf *out, enum metric metric, double value)
{
	metrics_begin(out, metric);
	metrics_sample(out, metric, "", NULL, value);
}

static void environments_write(const struct view *view, struct buf *out)
{
	static const enum metric metrics[] = { METRIC_REVISION, METRIC_FLAGS, METRIC_FLAG_PROBLEMS };
	for (size_t m = 0; m < sizeof(metrics) / sizeof(metrics[0]); m++) {
		metrics_begin(out, metrics[m]);
		for (size_t i = 0; i < view_snapshot_count(view); i++) {
			const struct snapshot *snapshot = view_snapshot_at(view, i);
			const struct ruleset *ruleset = snapshot_ruleset(snapshot);
			const double values[] = { (double)snapshot_manifest(snapshot)->revision,
				                  (double)ruleset_flag_count(ruleset),
				                  (double)ruleset_problem_count(ruleset) };
			const char *labels[] = { "environment", snapshot_environment(snapshot), NULL };
			metrics_sample(out, metrics[m], "", labels, values[m]);
		}
	}
}

static void counters_write(struct app *app, struct buf *out)
{
	metrics_begin(out, METRIC_EVALUATIONS);
	for (int reason = 0; reason <= EVAL_REASON_ERROR; reason++) {
		uint64_t sum = 0;
		for (size_t shard = 0; shard < APP_MAX_SHARDS; shard++) {
			sum += atomic_load_explicit(&app->counters[shard].evaluations[reason],
			                            memory_order_relaxed);
		}
		const char *labels[] = { "reason", eval_reason_name((enum eval_reason)reason), NULL };
		metrics_sample(out, METRIC_EVALUATIONS, "", labels, (double)sum);
	}
	uint64_t failures = 0;
	for (size_t shard = 0; shard < APP_MAX_SHARDS; shard++) {
		failures += atomic_load_explicit(&app->counters[shard].auth_failures, memory_order_relaxed);
	}
	gauge(out, METRIC_AUTH_FAILURES, (double)failures);
	static const char *const outcomes[] = { [APP_CHANGE_APPLIED] = "applied",
		                                [APP_CHANGE_UNCHANGED] = "unchanged",
		                                [APP_CHANGE_PREVIEWED] = "previewed",
		                                [APP_CHANGE_REFUSED] = "refused" };
	metrics_begin(out, METRIC_CHANGES);
	for (int i = 0; i < APP_CHANGE_OUTCOME_COUNT; i++) {
		const char *labels[] = { "outcome", outcomes[i], NULL };
		metrics_sample(out, METRIC_CHANGES, "", labels, (double)atomic_load(&app->changes[i]));
	}
}

static void server_write(struct app *app, struct buf *out)
{
	struct http_server *server = atomic_load(&app->server);
	struct http_stats stats = { 0 };
	if (server != NULL) {
		http_server_stats(server, &stats);
	}
	gauge(out, METRIC_HTTP_CONNECTIONS, (double)stats.connections);
	gauge(out, METRIC_STREAMS, (double)stats.streams);
	metrics_begin(out, METRIC_HTTP_REJECTED);
	const struct {
		const char *reason;
		uint64_t count;
	} rejected[] = { { "hygiene", stats.rejected_hygiene },
		         { "deadline", stats.reaped },
		         { "accept", stats.accept_failures } };
	for (size_t i = 0; i < sizeof(rejected) / sizeof(rejected[0]); i++) {
		const char *labels[] = { "reason", rejected[i].reason, NULL };
		metrics_sample(out, METRIC_HTTP_REJECTED, "", labels, (double)rejected[i].count);
	}
}

static uint64_t revision_of(void *user, const char *environment)
{
	const struct snapshot *snapshot = view_snapshot_find(user, environment);
	return snapshot != NULL ? snapshot_manifest(snapshot)->revision : 0;
}

static void routes_write(struct app *app, struct buf *out)
{
	const char *names[256];
	size_t count = routes_count();
	for (size_t i = 0; i < count && i < 256; i++) {
		names[i] = routes_all()[i].name;
	}
	metrics_http_write(app->metrics_http, names, out);
}

void metrics_get(struct http_request *request, struct http_reply *reply)
{
	struct app *app = request->app;
	struct view *view = app_view(request);
	struct app_health health = { 0 };
	health_copy(app, &health);
	http_reply_json(reply, 200);
	reply->content_type = "text/plain; version=0.0.4; charset=utf-8";
	struct buf *out = &reply->body;
	const char *build[] = { "version", HALYARD_VERSION, NULL };
	metrics_begin(out, METRIC_BUILD_INFO);
	metrics_sample(out, METRIC_BUILD_INFO, "", build, 1);
	gauge(out, METRIC_START_TIME, (double)app->started_ms / 1000);
	routes_write(app, out);
	server_write(app, out);
	counters_write(app, out);
	environments_write(view, out);
	gauge(out, METRIC_EPOCH, (double)health.epoch);
	metrics_begin(out, METRIC_COMMIT_DURATION);
	metrics_histogram_write(out, METRIC_COMMIT_DURATION, NULL, &app->commit_duration, 1,
	                        sizeof(app->commit_duration));
	gauge(out, METRIC_STORE_WRITABLE, health.store.is_writable ? 1 : 0);
	gauge(out, METRIC_STORE_WAL_BYTES, (double)health.store.wal_bytes);
	gauge(out, METRIC_STORE_BYTES, (double)health.store.database_bytes);
	gauge(out, METRIC_JOURNAL_ENTRIES, (double)health.journal_seq);
	telemetry_metrics_write(app->telemetry, clock_wall_ms(app->clock), revision_of, view, out);
}

/* ---- Documents ---- */

void openapi_get(struct http_request *request, struct http_reply *reply)
{
	struct app *app = request->app;
	http_reply_blob(reply, 200, "application/json", http_blob_ref(app->openapi));
}

void signing_keys_get(struct http_request *request, struct http_reply *reply)
{
	struct app *app = request->app;
	uint8_t id[BUNDLE_KEY_ID_BYTES];
	char id_hex[2 * BUNDLE_KEY_ID_BYTES + 1];
	char key[sodium_base64_ENCODED_LEN(BUNDLE_PUBLIC_KEY_BYTES, sodium_base64_VARIANT_ORIGINAL)];
	bundle_key_id(app->public_key, id);
	(void)sodium_bin2hex(id_hex, sizeof(id_hex), id, sizeof(id));
	(void)sodium_bin2base64(key, sizeof(key), app->public_key, sizeof(app->public_key),
	                        sodium_base64_VARIANT_ORIGINAL);
	struct json_writer w;
	api_reply(reply, 200, &w);
	json_begin_object(&w);
	json_put_key(&w, "keys");
	json_begin_array(&w);
	json_begin_object(&w);
	json_put_key_string(&w, "key_id", id_hex);
	json_put_key_string(&w, "algorithm", "Ed25519");
	json_put_key_string(&w, "public_key", key);
	json_end_object(&w);
	json_end_array(&w);
	json_end_object(&w);
}
