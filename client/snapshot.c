/* SPDX-License-Identifier: Apache-2.0 */
#include "client/snapshot.h"

#include <stdlib.h>
#include <string.h>

enum status snapshot_new(const struct bundle *bundle, const char *bundle_text, struct ruleset *ruleset,
                         enum halyard_source source, struct snapshot **ret, struct error *err)
{
	struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
	size_t head_length = (size_t)(bundle->content - bundle_text);
	char *head = snapshot != NULL ? malloc(head_length + 1) : NULL;
	if (head == NULL) {
		free(snapshot);
		ruleset_unref(ruleset);
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory while taking over a snapshot");
	}
	memcpy(head, bundle_text, head_length);
	head[head_length] = '\0';
	snapshot->ruleset = ruleset;
	snapshot->manifest = bundle->manifest;
	snapshot->source = source;
	snapshot->head = head;
	snapshot->head_length = head_length;
	*ret = snapshot;
	return STATUS_OK;
}

void snapshot_free(struct snapshot *snapshot)
{
	if (snapshot == NULL) {
		return;
	}
	ruleset_unref(snapshot->ruleset);
	free(snapshot->head);
	free(snapshot);
}

void snapshot_store_init(struct snapshot_store *store)
{
	*store = (struct snapshot_store){ .retired = NULL };
	pthread_mutex_init(&store->lock, NULL);
}

static void list_free(struct snapshot *list)
{
	while (list != NULL) {
		struct snapshot *next = list->next_retired;
		snapshot_free(list);
		list = next;
	}
}

void snapshot_store_deinit(struct snapshot_store *store)
{
	SNAPSHOT_GRACE_ENDED(store);
	list_free(store->retired);
	store->retired = NULL;
	/* The cast is the end of its immutability. */
	snapshot_free((struct snapshot *)atomic_load(&store->current));
	atomic_store(&store->current, NULL);
	pthread_mutex_destroy(&store->lock);
}

void snapshot_publish(struct snapshot_store *store, struct snapshot *snapshot)
{
	const struct snapshot *before =
	        atomic_exchange_explicit(&store->current, snapshot, memory_order_acq_rel);
	if (before == NULL) {
		return;
	}
	struct snapshot *old = (struct snapshot *)before;
	pthread_mutex_lock(&store->lock);
	old->next_retired = store->retired;
	store->retired = old;
	store->retired_count++;
	pthread_mutex_unlock(&store->lock);
}

size_t snapshot_retired_count(struct snapshot_store *store)
{
	pthread_mutex_lock(&store->lock);
	size_t count = store->retired_count;
	pthread_mutex_unlock(&store->lock);
	return count;
}

void snapshot_reclaim(struct snapshot_store *store)
{
	pthread_mutex_lock(&store->lock);
	struct snapshot *list = store->retired;
	store->retired = NULL;
	store->retired_count = 0;
	pthread_mutex_unlock(&store->lock);
	if (list == NULL) {
		return;
	}
	urcu_bp_synchronize_rcu();
	SNAPSHOT_GRACE_ENDED(store);
	list_free(list);
}
