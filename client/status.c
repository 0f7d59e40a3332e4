/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "client/client.h"

#define STATUS_MIN_SIZE \
	(offsetof(struct halyard_status, last_error) + sizeof(((struct halyard_status *)0)->last_error))

static void snapshot_describe(struct halyard_client *client, struct halyard_status *status)
{
	const struct snapshot *snapshot = snapshot_read_begin(&client->store);
	if (snapshot != NULL) {
		status->source = snapshot->source;
		status->epoch = snapshot->manifest.epoch;
		status->revision = snapshot->manifest.revision;
		status->flag_count = ruleset_flag_count(snapshot->ruleset);
	}
	snapshot_read_end(&client->store);
	int64_t confirmed_ms = atomic_load_explicit(&client->confirmed_ms, memory_order_relaxed);
	status->age_ms = UINT64_MAX;
	status->is_stale = true;
	if (confirmed_ms != CLIENT_NEVER) {
		int64_t age_ms = clock_monotonic_ms(&clock_system) - confirmed_ms;
		status->age_ms = age_ms > 0 ? (uint64_t)age_ms : 0;
		status->is_stale = age_ms > client->stale_after_ms;
	}
}

void halyard_status(struct halyard_client *client, struct halyard_status *ret_status)
{
	if (ret_status == NULL || ret_status->size < sizeof(ret_status->size)) {
		return;
	}
	struct halyard_status status = { .size = ret_status->size, .age_ms = UINT64_MAX, .is_stale = true };
	if (client != NULL) {
		snapshot_describe(client, &status);
		/* A child is alone with what it inherited, whoever held the locks when it was forked. */
		bool is_inherited = client_is_inherited(client);
		if (!is_inherited) {
			pthread_mutex_lock(&client->lock);
		}
		status.state = is_inherited ? HALYARD_STATE_DISCONNECTED : client->state;
		status.updates = client->updates;
		status.refused = client->refused;
		status.reconnects = client->reconnects;
		memcpy(status.last_error, client->last_error, sizeof(status.last_error));
		if (!is_inherited) {
			pthread_mutex_unlock(&client->lock);
			status.telemetry_dropped = telemetry_dropped(&client->telemetry);
		}
	}
	memcpy(ret_status, &status, status.size < sizeof(status) ? status.size : sizeof(status));
}

uint64_t halyard_subscribe(struct halyard_client *client,
                           void (*callback)(void *user, const struct halyard_change *change), void *user)
{
	if (client == NULL || callback == NULL || client_is_inherited(client)) {
		return 0;
	}
	return subscribers_add(&client->subscribers, callback, user);
}

void halyard_unsubscribe(struct halyard_client *client, uint64_t id)
{
	if (client != NULL && !client_is_inherited(client)) {
		subscribers_remove(&client->subscribers, id);
	}
}

/* Can it be counted: does this client report at all, and could the daemon read the names? */
static bool is_countable(struct halyard_client *client, const char *key, const struct halyard_detail *detail)
{
	if (client == NULL || key == NULL || detail == NULL || client_is_inherited(client) ||
	    !client->settings.has_telemetry) {
		return false;
	}
	size_t variant_length = strnlen(detail->variant, sizeof(detail->variant));
	if (!flag_key_is_valid(key, strnlen(key, FLAG_KEY_MAX_BYTES + 1)) ||
	    variant_length == sizeof(detail->variant) || !utf8_is_valid(detail->variant, variant_length)) {
		telemetry_drop(&client->telemetry);
		return false;
	}
	return true;
}

void halyard_count(struct halyard_client *client, const char *key, const struct halyard_detail *detail)
{
	if (!is_countable(client, key, detail)) {
		return;
	}
	bool is_unknown = detail->error == HALYARD_ERROR_FLAG_NOT_FOUND;
	telemetry_count(&client->telemetry, is_unknown ? TELEMETRY_UNKNOWN : TELEMETRY_EVALUATIONS, key,
	                is_unknown || detail->is_default ? "" : detail->variant);
}

void halyard_track(struct halyard_client *client, const char *key, const struct halyard_detail *detail,
                   bool is_error, double latency_ms)
{
	if (is_countable(client, key, detail)) {
		telemetry_track(&client->telemetry, key, detail->is_default ? "" : detail->variant, is_error,
		                latency_ms);
	}
}

const char *halyard_version(void)
{
	return HALYARD_VERSION;
}
