/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/publish.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct publisher {
	struct publisher_options options;
	struct snapshot **snapshots; /* sorted by environment */
	size_t count;
	struct token_table *tokens;
};

struct publisher *publisher_new(const struct publisher_options *options)
{
	struct publisher *publisher = calloc(1, sizeof(*publisher));
	if (publisher == NULL) {
		return NULL;
	}
	publisher->options = *options;
	publisher->tokens = token_table_new(NULL, 0);
	if (publisher->tokens == NULL) {
		free(publisher);
		return NULL;
	}
	return publisher;
}

static void snapshots_free(struct snapshot **snapshots, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		snapshot_unref(snapshots[i]);
	}
	free(snapshots);
}

void publisher_free(struct publisher *publisher)
{
	if (publisher == NULL) {
		return;
	}
	snapshots_free(publisher->snapshots, publisher->count);
	token_table_unref(publisher->tokens);
	free(publisher);
}

static struct snapshot *find(struct snapshot *const *snapshots, size_t count, const char *environment)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(snapshot_environment(snapshots[i]), environment) == 0) {
			return snapshots[i];
		}
	}
	return NULL;
}

struct snapshot *publisher_find(const struct publisher *publisher, const char *environment)
{
	return find(publisher->snapshots, publisher->count, environment);
}

static enum status no_memory(struct error *err)
{
	return error_fail(err, STATUS_NO_MEMORY, "Out of memory while publishing");
}

static enum status snapshot_push(struct publication *publication, struct snapshot *snapshot,
                                 struct error *err)
{
	if (publication->count == publication->capacity) {
		size_t capacity = publication->capacity == 0 ? 8 : publication->capacity * 2;
		struct snapshot **list =
		        reallocarray(publication->snapshots, capacity, sizeof(struct snapshot *));
		if (list == NULL) {
			return no_memory(err);
		}
		publication->snapshots = list;
		publication->capacity = capacity;
	}
	publication->snapshots[publication->count++] = snapshot;
	return STATUS_OK;
}

enum status publication_add(struct publication *publication, const struct publisher *publisher,
                            const struct publication_entry *entry, struct error *err)
{
	struct snapshot_options options = {
		.ruleset = entry->ruleset,
		.secret_key = publisher->options.secret_key,
		.history = publisher->options.history,
		.manifest = { .epoch = publisher->options.epoch,
		              .revision = entry->revision,
		              .issued_at_ms = entry->now_ms,
		              .max_age_s = publisher->options.max_age_s,
		              .audit_size = entry->audit_size },
	};
	(void)snprintf(options.manifest.environment, sizeof(options.manifest.environment), "%s",
	               entry->environment);
	memcpy(options.manifest.digest, entry->digest, sizeof(options.manifest.digest));
	memcpy(options.manifest.audit_head, entry->audit_head, sizeof(options.manifest.audit_head));
	/* Without edits it is read from the store: what changed since is not known. */
	struct snapshot *previous = publisher_find(publisher, entry->environment);
	if (previous != NULL &&
	    (entry->edits == NULL || snapshot_manifest(previous)->revision + 1 != entry->revision)) {
		previous = NULL;
	}
	struct snapshot *snapshot = NULL;
	enum status status =
	        snapshot_new(&options, previous, entry->edits, entry->edit_count, &snapshot, err);
	if (status != STATUS_OK) {
		return status;
	}
	status = snapshot_push(publication, snapshot, err);
	if (status != STATUS_OK) {
		snapshot_unref(snapshot);
	}
	return status;
}

static int snapshot_compare(const void *a, const void *b)
{
	const struct snapshot *const *left = a;
	const struct snapshot *const *right = b;
	return strcmp(snapshot_environment(*left), snapshot_environment(*right));
}

enum status publication_prepare(struct publication *publication, const struct publisher *publisher,
                                struct error *err)
{
	/* What stays as it is joins what is new: the list becomes the whole. */
	size_t added = publication->count;
	for (size_t i = 0; i < publisher->count; i++) {
		struct snapshot *old = publisher->snapshots[i];
		if (find(publication->snapshots, added, snapshot_environment(old)) != NULL) {
			continue;
		}
		enum status status = snapshot_push(publication, snapshot_ref(old), err);
		if (status != STATUS_OK) {
			snapshot_unref(old);
			return status;
		}
	}
	if (publication->count > 0) {
		qsort(publication->snapshots, publication->count, sizeof(struct snapshot *),
		      snapshot_compare);
	}
	struct token_table *tokens = publication->tokens != NULL ? publication->tokens : publisher->tokens;
	publication->view = view_new(publication->snapshots, publication->count, tokens);
	return publication->view != NULL ? STATUS_OK : no_memory(err);
}

void publication_apply(struct publication *publication, struct publisher *publisher)
{
	snapshots_free(publisher->snapshots, publisher->count);
	publisher->snapshots = publication->snapshots;
	publisher->count = publication->count;
	if (publication->tokens != NULL) {
		token_table_unref(publisher->tokens);
		publisher->tokens = publication->tokens;
	}
	view_cell_set(publisher->options.cell, publication->view);
	*publication = (struct publication){ 0 };
}

void publication_deinit(struct publication *publication)
{
	snapshots_free(publication->snapshots, publication->count);
	token_table_unref(publication->tokens);
	view_unref(publication->view);
	*publication = (struct publication){ 0 };
}
