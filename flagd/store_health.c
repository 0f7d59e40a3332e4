/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/store_internal.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

/* Less than this and the next changes would fail again soon. */
enum { MIN_FREE_BYTES = 1024 * 1024 };

static uint64_t file_bytes(const char *path)
{
	struct stat info;
	return stat(path, &info) == 0 ? (uint64_t)info.st_size : 0;
}

static bool has_room(const struct store *store)
{
	struct statvfs info;
	return statvfs(store->dir, &info) != 0 || (uint64_t)info.f_bavail * info.f_frsize >= MIN_FREE_BYTES;
}

/* Writes a page that says the same, durably. */
static void probe(struct store *store)
{
	struct error ignored = ERROR_INIT;
	int rc = store_run(store, STATEMENT_BEGIN);
	if (rc == SQLITE_OK) {
		rc = store_run(store, STATEMENT_PROBE);
	}
	if (rc == SQLITE_OK) {
		rc = store_run(store, STATEMENT_PROBE_BACK);
	}
	if (rc == SQLITE_OK) {
		(void)!store_commit_finish(store, &ignored);
		return;
	}
	(void)!store_write_fail(store, rc, "Trying to write", &ignored);
	store_rollback(store);
}

static bool is_probe_due(struct store *store)
{
	int64_t now_ms = clock_monotonic_ms(store->clock);
	if (now_ms < store->probe_ms) {
		return false;
	}
	store->probe_ms = now_ms + STORE_RETRY_MS;
	return store->reason != STATUS_STORAGE_FULL || has_room(store);
}

static void try_to_write(struct store *store)
{
	struct error ignored = ERROR_INIT;
	if (store->reason == STATUS_OK || store->reason == STATUS_CORRUPT ||
	    store_ready_write(store, &ignored) != STATUS_OK) {
		return;
	}
	if (store->reason != STATUS_OK && is_probe_due(store)) {
		probe(store);
	}
}

void store_health_check(struct store *store, struct store_health *ret)
{
	try_to_write(store);
	struct store_health health = {
		.is_writable = store->reason == STATUS_OK,
		.reason = store->reason,
		.database_bytes = file_bytes(store->path),
		.commits = store->commits,
		.failed_commits = store->failed_commits,
	};
	(void)snprintf(health.message, sizeof(health.message), "%s", store->message);
	char *wal = NULL;
	if (asprintf(&wal, "%s-wal", store->path) >= 0) {
		health.wal_bytes = file_bytes(wal);
		free(wal);
	}
	*ret = health;
}
