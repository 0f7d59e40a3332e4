/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Publisher: the newest snapshot of every environment and how a change becomes the next one.
 *
 * In two steps around the commit: _prepare builds everything that can fail; after the change is durable, _apply only
 * exchanges pointers and wakes the streams. One thread: the worker (or the start, before threads).
 */
#pragma once

#include "flagd/view.h"

struct publisher;

struct publisher_options {
	struct view_cell *cell;
	const uint8_t *secret_key;
	uint32_t history;
	uint32_t max_age_s;
	uint64_t epoch;
};

struct publisher *publisher_new(const struct publisher_options *options); /* NULL: out of memory */
void publisher_free(struct publisher *publisher);

/* Borrowed; NULL when the environment was never published. */
struct snapshot *publisher_find(const struct publisher *publisher, const char *environment);

/* A publication that waits for its commit; zeroed at first. */
struct publication {
	struct snapshot **snapshots;
	size_t count, capacity;
	struct token_table *tokens; /* NULL: unchanged */
	struct view *view;
};

/* The next revision of an environment. */
struct publication_entry {
	const char *environment;
	struct ruleset *ruleset;
	const uint8_t *digest;            /* of ruleset */
	const struct ruleset_edit *edits; /* sorted by kind and key: what differs; NULL: not known */
	size_t edit_count;
	uint64_t revision;
	int64_t now_ms;
	uint64_t audit_size; /* the journal after the change */
	const uint8_t *audit_head;
};

MUST_CHECK enum status publication_add(struct publication *publication, const struct publisher *publisher,
                                       const struct publication_entry *entry, struct error *err);

/* Builds the view of what was added over what is published. */
MUST_CHECK enum status publication_prepare(struct publication *publication, const struct publisher *publisher,
                                           struct error *err);

/* Makes it the current view. Cannot fail. The caller wakes the streams. */
void publication_apply(struct publication *publication, struct publisher *publisher);

/* Releases what was not applied; leaves it zeroed. */
void publication_deinit(struct publication *publication);
