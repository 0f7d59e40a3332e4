/* SPDX-License-Identifier: Apache-2.0 */
#include <sodium.h>

#include "base/clock.h"
#include "client/client.h"

/* Spread by a fifth, so that clients that start together do not report together. */
static int64_t interval_next(const struct halyard_client *client)
{
	uint32_t interval_ms = client->settings.telemetry_interval_ms;
	return (int64_t)interval_ms - interval_ms / 10 + randombytes_uniform(interval_ms / 5 + 1);
}

static bool daemon_is_there(const struct worker *worker)
{
	return worker->sync.state == HALYARD_STATE_STREAMING || worker->sync.state == HALYARD_STATE_POLLING;
}

/* Begins to deliver the next report, when there is one. */
static void report_send(struct halyard_client *client, int64_t now_ms)
{
	struct worker *worker = &client->worker;
	const struct telemetry_report *report = telemetry_next(&client->telemetry);
	if (report == NULL) {
		return;
	}
	const struct transport_request request = {
		.path = "/api/v1/telemetry",
		.accept = "application/json",
		.body = report->body,
		.body_length = report->length,
	};
	worker->report_status = 0;
	worker->report_retry_after_ms = 0;
	worker->report_started_ms = now_ms;
	if (transport_start(worker->transport, TRANSPORT_TELEMETRY, &request, NULL) != STATUS_OK) {
		telemetry_done(&client->telemetry, TELEMETRY_RETRY);
	}
}

/* Collects what was counted, unless older reports still wait. */
static void report_collect(struct halyard_client *client)
{
	struct worker *worker = &client->worker;
	const struct snapshot *snapshot = atomic_load_explicit(&client->store.current, memory_order_relaxed);
	uint64_t epoch = snapshot != NULL ? snapshot->manifest.epoch : 0;
	uint64_t revision = snapshot != NULL ? snapshot->manifest.revision : 0;
	if (telemetry_next(&client->telemetry) == NULL) {
		bool is_new = epoch != worker->reported_epoch || revision != worker->reported_revision;
		telemetry_collect(&client->telemetry, epoch, revision, is_new);
	}
}

void report_begin(struct halyard_client *client, int64_t now_ms)
{
	client->worker.report_ms = now_ms + interval_next(client);
}

void report_step(struct halyard_client *client, int64_t now_ms)
{
	struct worker *worker = &client->worker;
	if (!client->settings.has_telemetry) {
		return;
	}
	if (transport_is_busy(worker->transport, TRANSPORT_TELEMETRY)) {
		if (now_ms - worker->report_started_ms >= CLIENT_REPORT_MS) {
			transport_abort(worker->transport, TRANSPORT_TELEMETRY);
			telemetry_done(&client->telemetry, TELEMETRY_RETRY);
		}
		return;
	}
	if (now_ms < worker->report_ms) {
		return;
	}
	worker->report_ms = now_ms + interval_next(client);
	/* While the daemon is away counting goes on, and costs no attempts. */
	if (daemon_is_there(worker)) {
		report_collect(client);
		report_send(client, now_ms);
	}
}

int64_t report_due_ms(const struct halyard_client *client)
{
	const struct worker *worker = &client->worker;
	if (!client->settings.has_telemetry) {
		return INT64_MAX;
	}
	return transport_is_busy(worker->transport, TRANSPORT_TELEMETRY)
	               ? worker->report_started_ms + CLIENT_REPORT_MS
	               : worker->report_ms;
}

void report_on_response(struct halyard_client *client, const struct transport_response *response)
{
	client->worker.report_status = response->http_status;
	client->worker.report_retry_after_ms = response->retry_after_ms;
}

void report_on_end(struct halyard_client *client, enum transport_end end)
{
	struct worker *worker = &client->worker;
	int http_status = end == TRANSPORT_COMPLETE ? worker->report_status : 0;
	const struct telemetry_report *report = telemetry_next(&client->telemetry);
	if (report == NULL) {
		return;
	}
	int64_t now_ms = clock_monotonic_ms(&clock_system);
	if (http_status >= 200 && http_status < 300) {
		worker->reported_epoch = report->epoch;
		worker->reported_revision = report->revision;
		telemetry_done(&client->telemetry, TELEMETRY_DELIVERED);
		if (telemetry_next(&client->telemetry) != NULL) {
			worker->report_ms = now_ms; /* the next one at once */
		}
		return;
	}
	bool is_passing = http_status == 0 || http_status == 429 || http_status >= 500;
	telemetry_done(&client->telemetry, is_passing ? TELEMETRY_RETRY : TELEMETRY_REFUSED);
	if (worker->report_retry_after_ms > client->settings.telemetry_interval_ms) {
		worker->report_ms = now_ms + worker->report_retry_after_ms;
	}
}

void report_flush(struct halyard_client *client)
{
	struct worker *worker = &client->worker;
	int64_t now_ms = clock_monotonic_ms(&clock_system);
	int64_t until_ms = now_ms + CLIENT_FLUSH_MS;
	if (!client->settings.has_telemetry || !daemon_is_there(worker)) {
		return;
	}
	bool has_collected = false;
	while (now_ms < until_ms) {
		if (!transport_is_busy(worker->transport, TRANSPORT_TELEMETRY)) {
			if (telemetry_next(&client->telemetry) == NULL && !has_collected) {
				telemetry_collect(&client->telemetry, worker->reported_epoch,
				                  worker->reported_revision, false);
				has_collected = true;
			}
			if (telemetry_next(&client->telemetry) == NULL) {
				return;
			}
			report_send(client, now_ms);
		}
		transport_run(worker->transport, until_ms);
		now_ms = clock_monotonic_ms(&clock_system);
	}
}
