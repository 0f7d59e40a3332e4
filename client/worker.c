/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "client/client.h"

#define TYPE_STREAM   "text/event-stream"
#define TYPE_SNAPSHOT "application/x-halyard-bundle"
#define TYPE_JSON     "application/json"

/* A line of the stream is an item of a bundle with its few words around it, or the manifest. */
#define LINE_MAX_BYTES (FLAG_MAX_TEXT_BYTES + 1024)

static int64_t now_get(void)
{
	return clock_monotonic_ms(&clock_system);
}

static int64_t min_ms(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Says what time it is to evaluations, which do not look at a clock. */
static void tick(struct halyard_client *client)
{
	atomic_store_explicit(&client->tick_ms, now_get(), memory_order_relaxed);
}

/* ---- What became of an attempt ---- */

/* Remembers, and logs when it is news, why the last attempt failed. */
__attribute__((format(printf, 2, 3))) static void attempt_failed(struct halyard_client *client,
                                                                 const char *format, ...)
{
	struct worker *worker = &client->worker;
	char message[sizeof(client->last_error)];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	pthread_mutex_lock(&client->lock);
	bool is_news = strcmp(client->last_error, message) != 0;
	(void)snprintf(client->last_error, sizeof(client->last_error), "%s", message);
	pthread_mutex_unlock(&client->lock);
	worker->has_failed = true;
	worker->confirmed_before_ms = worker->sync.is_confirmed ? worker->sync.confirmed_ms : CLIENT_NEVER;
	if (is_news) {
		client_log(client, HALYARD_LOG_WARN, "%s", message);
	}
}

/* Makes what the sync state says visible to everybody. */
static void state_publish(struct halyard_client *client)
{
	struct worker *worker = &client->worker;
	const struct sync *sync = &worker->sync;
	tick(client);
	if (sync->is_confirmed) {
		atomic_store_explicit(&client->confirmed_ms, sync->confirmed_ms, memory_order_relaxed);
	}
	bool works = sync->state == HALYARD_STATE_STREAMING || sync->state == HALYARD_STATE_POLLING;
	bool is_repaired = worker->has_failed && works && sync->confirmed_ms > worker->confirmed_before_ms;
	pthread_mutex_lock(&client->lock);
	bool is_news = client->state != sync->state;
	client->state = sync->state;
	client->is_denied = sync->is_denied;
	client->is_ready = sync->is_confirmed;
	if (is_repaired) {
		client->last_error[0] = '\0';
		worker->has_failed = false;
	}
	pthread_cond_broadcast(&client->changed);
	pthread_mutex_unlock(&client->lock);
	if (is_news && works) {
		client_log(client, HALYARD_LOG_INFO, "%s environment %s at %s",
		           sync->state == HALYARD_STATE_STREAMING ? "Following" : "Polling",
		           client->settings.environment, client->settings.url);
	}
}

/* ---- Snapshots ---- */

void client_apply(struct halyard_client *client, struct snapshot *snapshot, const uint8_t *key)
{
	/* This thread alone puts snapshots in force, so the one that is cannot go away under it. */
	const struct snapshot *old = atomic_load_explicit(&client->store.current, memory_order_relaxed);
	struct ruleset *before = old != NULL ? ruleset_ref(old->ruleset) : NULL;
	snapshot_publish(&client->store, snapshot);
	delivery_announce(&client->delivery, before, snapshot, key);
	ruleset_unref(before);
}

static enum status bundle_take(struct halyard_client *client, enum intake_kind kind, const char *text,
                               size_t length)
{
	struct worker *worker = &client->worker;
	struct error err = ERROR_INIT;
	struct snapshot *snapshot = NULL;
	const struct intake_offer offer = {
		.kind = kind,
		.source = HALYARD_SOURCE_DAEMON,
		.text = text,
		.length = length,
		.base = atomic_load_explicit(&client->store.current, memory_order_relaxed),
	};
	enum status status = intake_accept(&worker->intake, &offer, &snapshot, &err);
	pthread_mutex_lock(&client->lock);
	client->is_untrusted = status == STATUS_UNTRUSTED;
	client->updates += status == STATUS_OK && snapshot != NULL;
	client->refused += status != STATUS_OK && status != STATUS_NO_MEMORY;
	pthread_mutex_unlock(&client->lock);
	if (status != STATUS_OK) {
		attempt_failed(client, "A snapshot was refused: %s", err.message);
		if (status == STATUS_UNTRUSTED && !worker->intake.has_key) {
			sync_require_keys(&worker->sync);
		}
	} else if (snapshot != NULL) {
		client_apply(client, snapshot, worker->intake.key);
	}
	return status;
}

static bool on_event(void *user, const struct sse_event *event)
{
	struct halyard_client *client = user;
	struct sync *sync = &client->worker.sync;
	enum intake_kind kind = INTAKE_SNAPSHOT;
	if (strcmp(event->type, "delta") == 0) {
		kind = INTAKE_DELTA;
	} else if (strcmp(event->type, "snapshot") != 0) {
		return true; /* of a later protocol */
	}
	enum status status = bundle_take(client, kind, event->data, event->length);
	sync_on_result(sync, now_get(), status);
	state_publish(client);
	return status == STATUS_OK;
}

static bool on_comment(void *user)
{
	struct halyard_client *client = user;
	sync_on_comment(&client->worker.sync, now_get());
	state_publish(client);
	return true;
}

/* ---- What the transport tells ---- */

static const char *type_expected(enum sync_request request)
{
	switch (request) {
	case SYNC_REQUEST_STREAM:
		return TYPE_STREAM;
	case SYNC_REQUEST_SNAPSHOT:
		return TYPE_SNAPSHOT;
	case SYNC_REQUEST_KEYS:
	case SYNC_REQUEST_NONE:
		break;
	}
	return TYPE_JSON;
}

/* Is it that type, with or without parameters? */
static bool type_matches(const char *content_type, const char *expected)
{
	size_t length = strlen(expected);
	return strncasecmp(content_type, expected, length) == 0 &&
	       (content_type[length] == '\0' || content_type[length] == ';' || content_type[length] == ' ');
}

static void on_response(void *user, enum transport_channel channel, const struct transport_response *response)
{
	struct halyard_client *client = user;
	struct worker *worker = &client->worker;
	if (channel == TRANSPORT_TELEMETRY) {
		report_on_response(client, response);
		return;
	}
	bool has_type = type_matches(response->content_type, type_expected(worker->sync.active));
	worker->http_status = response->http_status;
	if (response->http_status == 401 || response->http_status == 403) {
		attempt_failed(client, "The daemon refuses the token (%d)", response->http_status);
	} else if (response->http_status != 200 && response->http_status != 304) {
		attempt_failed(client, "The daemon answered %d", response->http_status);
	} else if (response->http_status == 200 && !has_type) {
		attempt_failed(client, "The answer is not of type %s: is this the daemon's address?",
		               type_expected(worker->sync.active));
	}
	sync_on_response(&worker->sync, now_get(), response->http_status, has_type, response->retry_after_ms);
	state_publish(client);
}

static bool on_stream_bytes(struct halyard_client *client, const char *bytes, size_t length)
{
	struct worker *worker = &client->worker;
	const struct sse_handler handler = { .on_event = on_event, .on_comment = on_comment, .user = client };
	struct error err = ERROR_INIT;
	enum status status = sse_feed(&worker->sse, bytes, length, &handler, &err);
	if (status != STATUS_OK) {
		attempt_failed(client, "The stream cannot be read: %s", err.message);
		sync_on_result(&worker->sync, now_get(), status);
	}
	return !worker->sync.is_abort_due;
}

static bool on_bytes(void *user, enum transport_channel channel, const char *bytes, size_t length)
{
	struct halyard_client *client = user;
	struct worker *worker = &client->worker;
	struct sync *sync = &worker->sync;
	if (channel == TRANSPORT_TELEMETRY) {
		return true; /* nothing is expected; the report's deadline bounds it */
	}
	if (sync->is_abort_due) {
		return false;
	}
	sync_on_bytes(sync, now_get());
	if (sync->active == SYNC_REQUEST_STREAM) {
		return on_stream_bytes(client, bytes, length);
	}
	size_t max_bytes = sync->active == SYNC_REQUEST_KEYS ? INTAKE_MAX_KEYS_BYTES : BUNDLE_MAX_BYTES;
	if (length > max_bytes - worker->body.length) {
		attempt_failed(client, "The answer is longer than %zu bytes", max_bytes);
		sync_on_result(sync, now_get(), STATUS_TOO_LARGE);
		return false;
	}
	buf_append(&worker->body, bytes, length);
	return true;
}

/* The whole answer to a request for keys or a snapshot is there. */
static void body_take(struct halyard_client *client)
{
	struct worker *worker = &client->worker;
	struct error err = ERROR_INIT;
	enum status status = buf_status(&worker->body, "answer", &err);
	if (status == STATUS_OK && worker->sync.active == SYNC_REQUEST_KEYS) {
		status = intake_keys_read(&worker->intake, buf_string(&worker->body), worker->body.length,
		                          &err);
	} else if (status == STATUS_OK) {
		status = bundle_take(client, INTAKE_SNAPSHOT, buf_string(&worker->body), worker->body.length);
	}
	if (status != STATUS_OK && err.status != STATUS_OK) {
		attempt_failed(client, "The answer cannot be read: %s", err.message);
	}
	sync_on_result(&worker->sync, now_get(), status);
	buf_deinit(&worker->body);
	buf_init(&worker->body, BUNDLE_MAX_BYTES);
}

static void on_end(void *user, enum transport_channel channel, enum transport_end end, const char *message)
{
	struct halyard_client *client = user;
	struct worker *worker = &client->worker;
	struct sync *sync = &worker->sync;
	if (channel == TRANSPORT_TELEMETRY) {
		report_on_end(client, end);
		return;
	}
	if (sync->active == SYNC_REQUEST_NONE || sync->is_abort_due) {
		return;
	}
	enum sync_end how = SYNC_END_CLOSED;
	if (end == TRANSPORT_COMPLETE && sync->active != SYNC_REQUEST_STREAM) {
		body_take(client);
	} else {
		how = end == TRANSPORT_REFUSED       ? SYNC_END_REFUSED
		      : end == TRANSPORT_UNREACHABLE ? SYNC_END_UNREACHABLE
		                                     : SYNC_END_CLOSED;
		attempt_failed(client, "%s",
		               end == TRANSPORT_COMPLETE ? "The daemon ended the stream" : message);
		sync_on_end(sync, now_get(), how);
	}
	state_publish(client);
}

/* ---- The thread ---- */

enum status worker_init(struct halyard_client *client, struct error *err)
{
	struct worker *worker = &client->worker;
	sse_init(&worker->sse, LINE_MAX_BYTES, BUNDLE_MAX_BYTES);
	buf_init(&worker->body, BUNDLE_MAX_BYTES);
	const struct transport_options options = {
		.url = client->settings.url,
		.token = client->settings.token,
		.connect_timeout_ms = client->settings.connect_timeout_ms,
		.handler = { .on_response = on_response,
		             .on_bytes = on_bytes,
		             .on_end = on_end,
		             .user = client },
	};
	return transport_new(&options, &worker->transport, err);
}

void worker_deinit(struct halyard_client *client)
{
	transport_free(client->worker.transport);
	sse_deinit(&client->worker.sse);
	buf_deinit(&client->worker.body);
}

/* Begins what the sync state wants. */
static void request_start(struct halyard_client *client, const struct sync_action *action)
{
	struct worker *worker = &client->worker;
	char path[CLIENT_PATH_SIZE];
	char header[128];
	const struct snapshot *base = atomic_load_explicit(&client->store.current, memory_order_relaxed);
	bool resume = action->resume && base != NULL;
	bool is_stream = action->request == SYNC_REQUEST_STREAM;
	(void)snprintf(path, sizeof(path), "/api/v1/environments/%s/%s", client->settings.environment,
	               is_stream ? "events" : "snapshot");
	if (action->request == SYNC_REQUEST_KEYS) {
		(void)snprintf(path, sizeof(path), "/api/v1/signing-keys");
	}
	if (resume) {
		(void)snprintf(header, sizeof(header),
		               is_stream ? "Last-Event-ID: %" PRIu64 "-%" PRIu64
		                         : "If-None-Match: \"%" PRIu64 "-%" PRIu64 "\"",
		               base->manifest.epoch, base->manifest.revision);
	}
	if (is_stream) {
		pthread_mutex_lock(&client->lock);
		client->reconnects += worker->stream_count > 0;
		pthread_mutex_unlock(&client->lock);
		worker->stream_count++;
	}
	sse_reset(&worker->sse);
	buf_reset(&worker->body);
	worker->http_status = 0;
	const struct transport_request request = {
		.path = path,
		.accept = type_expected(action->request),
		.header = resume ? header : NULL,
	};
	struct error err = ERROR_INIT;
	if (transport_start(worker->transport, TRANSPORT_MAIN, &request, &err) != STATUS_OK) {
		attempt_failed(client, "%s", err.message);
		sync_on_end(&worker->sync, now_get(), SYNC_END_UNREACHABLE);
	}
}

/* Does what is due; the time until which there is nothing to do then. */
static int64_t sync_step(struct halyard_client *client)
{
	struct worker *worker = &client->worker;
	struct sync_action action;
	for (;;) {
		sync_next(&worker->sync, now_get(), &action);
		switch (action.type) {
		case SYNC_WAIT:
			return action.until_ms;
		case SYNC_START:
			request_start(client, &action);
			break;
		case SYNC_ABORT:
			transport_abort(worker->transport, TRANSPORT_MAIN);
			if (action.reason != NULL) {
				attempt_failed(client, "%s", action.reason);
			}
			break;
		}
		state_publish(client);
	}
}

static uint32_t random_get(void *user, uint32_t end)
{
	(void)user;
	return randombytes_uniform(end);
}

static void sync_begin(struct halyard_client *client)
{
	struct worker *worker = &client->worker;
	const struct client_settings *settings = &client->settings;
	const struct snapshot *base = atomic_load_explicit(&client->store.current, memory_order_relaxed);
	const struct sync_options options = {
		.poll_interval_ms = settings->poll_interval_ms,
		.connect_timeout_ms = settings->connect_timeout_ms,
		.silence_timeout_ms = settings->silence_timeout_ms,
		.disable_streaming = settings->disable_streaming,
		.needs_keys = !worker->intake.has_key,
		/* An older generation of the cache is no base: what follows from it would be refused. */
		.has_base = base != NULL && base->manifest.epoch == worker->intake.epoch &&
		            base->manifest.revision == worker->intake.revision,
		.random = random_get,
	};
	sync_init(&worker->sync, &options);
	report_begin(client, now_get());
}

static bool is_closing(struct halyard_client *client)
{
	pthread_mutex_lock(&client->lock);
	bool closing = client->is_closing;
	pthread_mutex_unlock(&client->lock);
	return closing;
}

void worker_run(struct halyard_client *client)
{
	int64_t tick_every_ms = min_ms(CLIENT_TICK_MS, client->settings.stale_after_ms / 4 + 1);
	sync_begin(client);
	while (!is_closing(client)) {
		tick(client);
		int64_t until_ms = min_ms(sync_step(client), now_get() + tick_every_ms);
		report_step(client, now_get());
		transport_run(client->worker.transport, min_ms(until_ms, report_due_ms(client)));
	}
	transport_abort(client->worker.transport, TRANSPORT_MAIN);
	report_flush(client);
}
