/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots: an immutable ruleset with its signed head, and the place where the one in force stands.
 *
 * Readers hold a read-side critical section of liburcu-bp around every use; it costs about a
 * nanosecond and writes only to the thread's own line. A reader's first use registers the thread
 * (liburcu allocates then, once a thread).
 *
 * One writer publishes; the snapshot that it replaces is retired. snapshot_reclaim() frees what is
 * retired after a grace period, which may block for milliseconds, or as long as a reader holds its
 * guard: it is called where waiting hurts nobody, never between two updates.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#if defined(__SANITIZE_THREAD__)
#define SNAPSHOT_THREAD_SANITIZER 1
#elif defined(__SANITIZE_ADDRESS__)
#define SNAPSHOT_OTHER_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SNAPSHOT_THREAD_SANITIZER 1
#elif __has_feature(address_sanitizer) || __has_feature(undefined_behavior_sanitizer)
#define SNAPSHOT_OTHER_SANITIZER 1
#endif
#endif

/*
 * The read side of liburcu inline: its functions are short enough for that under the LGPL. Not under a
 * sanitizer, which would find that liburcu 0.13 aligns its readers' records less than it says.
 */
#if !defined(SNAPSHOT_THREAD_SANITIZER) && !defined(SNAPSHOT_OTHER_SANITIZER) && !defined(_LGPL_SOURCE)
// NOLINTNEXTLINE(bugprone-reserved-identifier): the name is liburcu's
#define _LGPL_SOURCE
#endif
#include <urcu-bp.h>

#include "base/error.h"
#include "client/include/halyard/halyard.h"
#include "engine/bundle.h"

struct snapshot {
	struct ruleset *ruleset;
	struct manifest manifest; /* its digest is the ruleset's */
	enum halyard_source source;
	char *head; /* the bundle's first two lines, exact bytes */
	size_t head_length;
	struct snapshot *next_retired;
};

/*
 * Copies the head of @bundle_text and takes over @ruleset, also on failure. STATUS_NO_MEMORY, or
 * STATUS_MALFORMED when the text has no two lines.
 */
MUST_CHECK enum status snapshot_new(const struct bundle *bundle, const char *bundle_text,
                                    struct ruleset *ruleset, enum halyard_source source,
                                    struct snapshot **ret, struct error *err);
void snapshot_free(struct snapshot *snapshot); /* accepts NULL */

struct snapshot_store {
	_Atomic(const struct snapshot *) current; /* NULL until the first */
	_Alignas(64) pthread_mutex_t lock;        /* guards what follows; not on the readers' line */
	struct snapshot *retired;
	size_t retired_count;
};

void snapshot_store_init(struct snapshot_store *store);

/* Frees everything at once: no reader may be left. */
void snapshot_store_deinit(struct snapshot_store *store);

/* Puts @snapshot in force, takes it over, and retires the one before. One thread at a time. */
void snapshot_publish(struct snapshot_store *store, struct snapshot *snapshot);

size_t snapshot_retired_count(struct snapshot_store *store);

/* Waits for a grace period and frees what was retired before it. Not from within a reader. */
void snapshot_reclaim(struct snapshot_store *store);

/*
 * ThreadSanitizer cannot see the ordering that a grace period gives; these say it. They are nothing
 * in other builds.
 */
#ifdef SNAPSHOT_THREAD_SANITIZER
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#define SNAPSHOT_READ_ENDED(store)  __tsan_release((void *)(store))
#define SNAPSHOT_GRACE_ENDED(store) __tsan_acquire((void *)(store))
#else
#define SNAPSHOT_READ_ENDED(store)  ((void)(store))
#define SNAPSHOT_GRACE_ENDED(store) ((void)(store))
#endif

/* Begins a read-side critical section and gives the snapshot in force, or NULL. Nests. */
static inline const struct snapshot *snapshot_read_begin(struct snapshot_store *store)
{
	urcu_bp_read_lock();
	return atomic_load_explicit(&store->current, memory_order_acquire);
}

static inline void snapshot_read_end(struct snapshot_store *store)
{
	SNAPSHOT_READ_ENDED(store);
	urcu_bp_read_unlock();
}
