/* SPDX-License-Identifier: Apache-2.0 */
#include "client/delivery.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "client/changes.h"

void delivery_init(struct delivery *delivery, struct snapshot_store *store, struct subscribers *subscribers,
                   struct cache *cache)
{
	*delivery = (struct delivery){ .store = store, .subscribers = subscribers, .cache = cache };
	pthread_condattr_t attributes;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&delivery->work, &attributes);
	pthread_condattr_destroy(&attributes);
	pthread_mutex_init(&delivery->lock, NULL);
}

static void change_deinit(struct delivery_change *change)
{
	ruleset_unref(change->before);
	ruleset_unref(change->after);
}

void delivery_deinit(struct delivery *delivery)
{
	for (uint32_t i = 0; i < delivery->count; i++) {
		change_deinit(&delivery->queue[(delivery->first + i) % DELIVERY_QUEUE_LENGTH]);
	}
	pthread_cond_destroy(&delivery->work);
	pthread_mutex_destroy(&delivery->lock);
}

void delivery_announce(struct delivery *delivery, const struct ruleset *before, const struct snapshot *after,
                       const uint8_t *key)
{
	bool has_readers = !subscribers_is_empty(delivery->subscribers);
	pthread_mutex_lock(&delivery->lock);
	if (key != NULL && delivery->cache != NULL) {
		memcpy(delivery->key, key, sizeof(delivery->key));
		delivery->is_store_due = true;
	}
	if (has_readers) {
		struct delivery_change *change = NULL;
		if (delivery->count == DELIVERY_QUEUE_LENGTH) {
			uint32_t last = (delivery->first + delivery->count - 1) % DELIVERY_QUEUE_LENGTH;
			change = &delivery->queue[last];
			ruleset_unref(change->after);
		} else {
			change =
			        &delivery->queue[(delivery->first + delivery->count) % DELIVERY_QUEUE_LENGTH];
			change->before = before != NULL ? ruleset_ref(before) : NULL;
			delivery->count++;
		}
		change->after = ruleset_ref(after->ruleset);
		change->epoch = after->manifest.epoch;
		change->revision = after->manifest.revision;
	}
	pthread_cond_signal(&delivery->work);
	pthread_mutex_unlock(&delivery->lock);
}

void delivery_log(struct delivery *delivery, enum halyard_log_level level, const char *message)
{
	pthread_mutex_lock(&delivery->lock);
	if (delivery->line_count < DELIVERY_LOG_LENGTH) {
		uint32_t next = (delivery->first_line + delivery->line_count++) % DELIVERY_LOG_LENGTH;
		delivery->lines[next].level = level;
		(void)snprintf(delivery->lines[next].message, DELIVERY_LOG_BYTES, "%s", message);
		pthread_cond_signal(&delivery->work);
	}
	pthread_mutex_unlock(&delivery->lock);
}

bool delivery_is_calling(struct delivery *delivery)
{
	pthread_mutex_lock(&delivery->lock);
	bool is_calling = delivery->is_calling;
	pthread_mutex_unlock(&delivery->lock);
	return is_calling;
}

void delivery_close(struct delivery *delivery)
{
	pthread_mutex_lock(&delivery->lock);
	delivery->is_closing = true;
	pthread_cond_signal(&delivery->work);
	pthread_mutex_unlock(&delivery->lock);
}

/* ---- The thread; without the lock ---- */

static void change_deliver(struct delivery *delivery, struct delivery_change *change)
{
	struct changes changes;
	changes_init(&changes, change->before, change->after);
	const struct halyard_change told = {
		.epoch = change->epoch,
		.revision = change->revision,
		.keys = changes.keys,
		.key_count = changes.count,
	};
	subscribers_notify(delivery->subscribers, &told);
	changes_deinit(&changes);
	change_deinit(change);
}

/* Writes what is in force. */
static enum status snapshot_store_file(struct delivery *delivery,
                                       const uint8_t key[static BUNDLE_PUBLIC_KEY_BYTES], struct error *err)
{
	struct buf bundle;
	buf_init(&bundle, BUNDLE_MAX_BYTES);
	const struct snapshot *snapshot = snapshot_read_begin(delivery->store);
	struct ruleset *ruleset = ruleset_ref(snapshot->ruleset);
	uint64_t epoch = snapshot->manifest.epoch;
	uint64_t revision = snapshot->manifest.revision;
	buf_append(&bundle, snapshot->head, snapshot->head_length);
	snapshot_read_end(delivery->store);
	buf_reserve(&bundle, ruleset_text_bytes(ruleset) + ruleset_text_bytes(ruleset) / 8);
	bundle_write_ruleset(ruleset, &bundle);
	ruleset_unref(ruleset);
	enum status status = buf_status(&bundle, "snapshot", err);
	if (status == STATUS_OK) {
		status = cache_store(delivery->cache, epoch, revision, key, bundle.data, bundle.length, err);
	}
	buf_deinit(&bundle);
	return status;
}

static void cache_write(struct delivery *delivery, const uint8_t key[static BUNDLE_PUBLIC_KEY_BYTES])
{
	struct error err = ERROR_INIT;
	enum status status = snapshot_store_file(delivery, key, &err);
	int64_t now_ms = clock_monotonic_ms(&clock_system);
	bool has_failed = status != STATUS_OK && status != STATUS_OLDER;
	delivery->store_ms = now_ms + (has_failed ? DELIVERY_STORE_RETRY_MS : DELIVERY_STORE_EVERY_MS);
	if (has_failed) {
		pthread_mutex_lock(&delivery->lock);
		delivery->is_store_due = !delivery->is_closing;
		pthread_mutex_unlock(&delivery->lock);
	}
	if (delivery->on_cache != NULL) {
		delivery->on_cache(delivery->user, status, &err);
	}
}

/* Waits for work, at most @timeout_ms; < 0: without a limit. With the lock held. */
static void work_wait(struct delivery *delivery, int64_t timeout_ms)
{
	if (timeout_ms < 0) {
		pthread_cond_wait(&delivery->work, &delivery->lock);
		return;
	}
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	int64_t ns = until.tv_nsec + timeout_ms % 1000 * 1000000;
	until.tv_sec += (time_t)(timeout_ms / 1000 + ns / 1000000000);
	until.tv_nsec = (long)(ns % 1000000000);
	(void)pthread_cond_timedwait(&delivery->work, &delivery->lock, &until);
}

enum work { WORK_NONE, WORK_LOG, WORK_CHANGE, WORK_RECLAIM, WORK_STORE, WORK_END };

/* What is to be done now; WORK_NONE: wait for @ret_wait_ms. With the lock held. */
static enum work work_next(struct delivery *delivery, bool was_idle, int64_t *ret_wait_ms)
{
	size_t retired = snapshot_retired_count(delivery->store);
	if (delivery->line_count > 0) {
		return WORK_LOG;
	}
	if (delivery->count > 0 && !delivery->is_closing) {
		return retired > DELIVERY_MAX_RETIRED ? WORK_RECLAIM : WORK_CHANGE;
	}
	int64_t store_in_ms = -1;
	if (delivery->is_store_due) {
		store_in_ms = delivery->store_ms - clock_monotonic_ms(&clock_system);
		if (store_in_ms <= 0 || delivery->is_closing) {
			return WORK_STORE;
		}
	}
	if (delivery->is_closing) {
		return WORK_END;
	}
	if (retired > DELIVERY_MAX_RETIRED || (retired > 0 && was_idle)) {
		return WORK_RECLAIM;
	}
	*ret_wait_ms = store_in_ms;
	if (retired > 0 && (store_in_ms < 0 || store_in_ms > DELIVERY_IDLE_MS)) {
		*ret_wait_ms = DELIVERY_IDLE_MS;
	}
	return WORK_NONE;
}

/* With the lock held; gives it up meanwhile. */
static void work_do(struct delivery *delivery, enum work work)
{
	struct delivery_change change = { 0 };
	struct delivery_line line;
	uint8_t key[BUNDLE_PUBLIC_KEY_BYTES];
	if (work == WORK_LOG) {
		line = delivery->lines[delivery->first_line];
		delivery->first_line = (delivery->first_line + 1) % DELIVERY_LOG_LENGTH;
		delivery->line_count--;
	} else if (work == WORK_CHANGE) {
		change = delivery->queue[delivery->first];
		delivery->first = (delivery->first + 1) % DELIVERY_QUEUE_LENGTH;
		delivery->count--;
	} else if (work == WORK_STORE) {
		memcpy(key, delivery->key, sizeof(key));
		delivery->is_store_due = false;
	}
	delivery->is_calling = work == WORK_LOG || work == WORK_CHANGE;
	pthread_mutex_unlock(&delivery->lock);
	if (work == WORK_LOG) {
		delivery->on_log(delivery->user, line.level, line.message);
	} else if (work == WORK_CHANGE) {
		change_deliver(delivery, &change);
	} else if (work == WORK_STORE) {
		cache_write(delivery, key);
	} else {
		snapshot_reclaim(delivery->store);
	}
	pthread_mutex_lock(&delivery->lock);
	delivery->is_calling = false;
}

void delivery_run(struct delivery *delivery)
{
	bool was_idle = false;
	pthread_mutex_lock(&delivery->lock);
	for (;;) {
		int64_t wait_ms = -1;
		enum work work = work_next(delivery, was_idle, &wait_ms);
		if (work == WORK_END) {
			break;
		}
		was_idle = false;
		if (work != WORK_NONE) {
			work_do(delivery, work);
			continue;
		}
		size_t retired = snapshot_retired_count(delivery->store);
		work_wait(delivery, wait_ms);
		/* Nothing was retired while it waited. */
		was_idle = delivery->count == 0 && snapshot_retired_count(delivery->store) == retired;
	}
	pthread_mutex_unlock(&delivery->lock);
}
