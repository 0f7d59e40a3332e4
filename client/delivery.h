/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The second thread: everything that may take its time, so that the network thread never waits.
 *
 * It runs all of the program's code, the callbacks of changes and the log, writes the cache file, and frees
 * retired snapshots after their grace period. Changes wait in a short queue; when it is full the last
 * two become one. Log lines that find no room are left out. The cache file is written
 * at most once a second, and once more at the end; after a failure again with the next change or
 * after thirty seconds.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/cache.h"
#include "client/snapshot.h"
#include "client/subscribers.h"

#define DELIVERY_QUEUE_LENGTH   64
#define DELIVERY_STORE_EVERY_MS 1000
#define DELIVERY_STORE_RETRY_MS 30000
#define DELIVERY_IDLE_MS        100 /* without a change, before retired snapshots are freed */
#define DELIVERY_MAX_RETIRED    64  /* more are not kept waiting for that */

#define DELIVERY_LOG_LENGTH 16
#define DELIVERY_LOG_BYTES  512

struct delivery_line {
	enum halyard_log_level level;
	char message[DELIVERY_LOG_BYTES];
};

struct delivery_change {
	struct ruleset *before; /* NULL: the first */
	struct ruleset *after;
	uint64_t epoch, revision;
};

struct delivery {
	struct snapshot_store *store;
	struct subscribers *subscribers;
	struct cache *cache; /* NULL: none */
	/* Both are set before the thread starts. */
	void (*on_cache)(void *user, enum status status, const struct error *err);
	void (*on_log)(void *user, enum halyard_log_level level, const char *message);
	void *user;

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t work;
	struct delivery_change queue[DELIVERY_QUEUE_LENGTH];
	uint32_t first, count;
	struct delivery_line lines[DELIVERY_LOG_LENGTH];
	uint32_t first_line, line_count;
	bool is_closing;
	bool is_calling; /* the program's code runs */
	bool is_store_due;
	uint8_t key[BUNDLE_PUBLIC_KEY_BYTES];

	/* of the thread */
	int64_t store_ms; /* no write before; the monotonic clock begins above 0 */
};

/*
 * @cache may be NULL. @on_cache is told, in the thread, how each write went; STATUS_OLDER is no
 * failure: another process has stored something newer.
 */
void delivery_init(struct delivery *delivery, struct snapshot_store *store, struct subscribers *subscribers,
                   struct cache *cache);
void delivery_deinit(struct delivery *delivery);

/* The thread: returns after delivery_close(), with the cache written. */
void delivery_run(struct delivery *delivery);
void delivery_close(struct delivery *delivery);

/*
 * A snapshot was put in force. Takes references of its own. @key is what it was verified with; NULL: it need not be
 * stored.
 */
void delivery_announce(struct delivery *delivery, const struct ruleset *before, const struct snapshot *after,
                       const uint8_t *key);

/* Has a line logged. */
void delivery_log(struct delivery *delivery, enum halyard_log_level level, const char *message);

/* Is a callback of the program's running? */
bool delivery_is_calling(struct delivery *delivery);
