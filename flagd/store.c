/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/store_internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void store_note(struct store *store, enum status reason, const char *message)
{
	if (store->reason == STATUS_CORRUPT) {
		return;
	}
	store->reason = reason;
	(void)snprintf(store->message, sizeof(store->message), "%.255s", message);
}

enum status store_open(const char *dir, const struct clock *clock, struct store **ret, struct error *err)
{
	if (sodium_init() < 0) {
		return error_fail(err, STATUS_INTERNAL, "libsodium cannot be started");
	}
	struct store *store = calloc(1, sizeof(*store));
	if (store == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory");
	}
	store->clock = clock;
	store->lock_fd = -1;
	store->head_fd = -1;
	buf_init(&store->answer, 2 * STORE_MAX_BYTES);
	enum status status = store_dir_open(store, dir, err);
	if (status == STATUS_OK) {
		status = store_connect(store, err);
	}
	if (status != STATUS_OK) {
		store_close(store);
		return status;
	}
	*ret = store;
	return STATUS_OK;
}

void store_close(struct store *store)
{
	if (store == NULL) {
		return;
	}
	if (store->db != NULL) {
		/* Drops what a failed commit may have left in the WAL, and the WAL with it. */
		(void)sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
		store_disconnect(store);
	}
	if (store->head_fd >= 0) {
		(void)fdatasync(store->head_fd);
		(void)close(store->head_fd);
	}
	if (store->lock_fd >= 0) {
		(void)close(store->lock_fd);
	}
	buf_deinit(&store->answer);
	free(store->path);
	free(store->dir);
	free(store);
}

enum status store_recover(struct store *store, struct error *err)
{
	if (store->db != NULL && !store->is_immutable) {
		/*
		 * This connection has rolled the failed commit back, so its checkpoint moves only what
		 * was committed into the database, flushes it and empties the WAL. Opening anew before
		 * that would find the failed commit there.
		 */
		int rc = sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
		if (rc != SQLITE_OK) {
			return store_fail(store, rc, "Recovering from an earlier failure", err);
		}
	}
	store_disconnect(store);
	/* The reason stays until something was written: opening may have needed no write. */
	return store_connect(store, err);
}

/* Is there something to recover from, and is it time to try? */
static bool is_recovery_due(struct store *store)
{
	bool is_needed = store->db == NULL || store->is_suspect ||
	                 (store->is_immutable && store_dir_is_writable(store));
	int64_t now_ms = clock_monotonic_ms(store->clock);
	if (!is_needed || store->reason == STATUS_CORRUPT || now_ms < store->retry_ms) {
		return false;
	}
	store->retry_ms = now_ms + STORE_RETRY_MS;
	return true;
}

enum status store_ready(struct store *store, struct error *err)
{
	if (is_recovery_due(store)) {
		struct error local = ERROR_INIT;
		enum status status = store_recover(store, &local);
		if (status != STATUS_OK) {
			store_note(store, status, local.message);
		}
	}
	if (store->db == NULL) {
		return error_fail(err, store->reason, "%s", store->message);
	}
	return STATUS_OK;
}

enum status store_ready_write(struct store *store, struct error *err)
{
	enum status status = store_ready(store, err);
	if (status != STATUS_OK) {
		return status;
	}
	if (store->reason == STATUS_CORRUPT || store->is_suspect || store->is_immutable) {
		return error_fail(err, store->reason, "%s", store->message);
	}
	return STATUS_OK;
}

uint64_t store_epoch(const struct store *store)
{
	return store->epoch;
}

const char *store_instance_id(const struct store *store)
{
	return store->instance_id;
}

enum status store_epoch_raise(struct store *store, struct error *err)
{
	int rc = store_run(store, STATEMENT_BEGIN);
	if (rc != SQLITE_OK) {
		return store_fail(store, rc, "Raising the epoch", err);
	}
	store->epoch++;
	enum status status = store_identity_write(store, STATEMENT_IDENTITY_UPDATE, err);
	if (status == STATUS_OK) {
		status = store_commit_finish(store, err);
	} else {
		store_rollback(store);
	}
	if (status != STATUS_OK) {
		store->epoch--;
	}
	return status;
}

enum status store_epoch_bump(struct store *store, struct error *err)
{
	enum status status = store_ready_write(store, err);
	if (status == STATUS_OK) {
		status = store_epoch_raise(store, err);
	}
	if (status == STATUS_OK) {
		store_mark_write(store);
	}
	return status;
}
