/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/view.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

/* ---- Tokens ---- */

struct token_table {
	atomic_uint refs;
	size_t count;
	size_t mask;     /* of slots[] */
	uint32_t *slots; /* index + 1 by the first bytes of the hash, which are as good as random */
	struct view_token tokens[];
};

static size_t token_slot(const uint8_t *hash)
{
	uint64_t bits;
	memcpy(&bits, hash, sizeof(bits));
	return (size_t)bits;
}

struct token_table *token_table_new(const struct view_token *tokens, size_t count)
{
	struct token_table *table = calloc(1, sizeof(*table) + count * sizeof(table->tokens[0]));
	if (table == NULL) {
		return NULL;
	}
	size_t slots = 16;
	while (slots < count * 2) {
		slots *= 2;
	}
	table->slots = calloc(slots, sizeof(table->slots[0]));
	if (table->slots == NULL) {
		free(table);
		return NULL;
	}
	atomic_init(&table->refs, 1);
	table->count = count;
	table->mask = slots - 1;
	for (size_t i = 0; i < count; i++) {
		table->tokens[i] = tokens[i];
		size_t slot = token_slot(tokens[i].hash) & table->mask;
		while (table->slots[slot] != 0) {
			slot = (slot + 1) & table->mask;
		}
		table->slots[slot] = (uint32_t)i + 1;
	}
	return table;
}

void token_table_unref(struct token_table *table)
{
	if (table != NULL && atomic_fetch_sub(&table->refs, 1) == 1) {
		free(table->slots);
		free(table);
	}
}

/* ---- Views ---- */

struct view {
	atomic_uint refs;
	struct token_table *tokens;
	size_t count;
	struct snapshot *snapshots[];
};

struct view *view_new(struct snapshot *const *snapshots, size_t count, struct token_table *tokens)
{
	struct view *view = calloc(1, sizeof(*view) + count * sizeof(view->snapshots[0]));
	if (view == NULL) {
		return NULL;
	}
	atomic_init(&view->refs, 1);
	view->count = count;
	for (size_t i = 0; i < count; i++) {
		view->snapshots[i] = snapshot_ref(snapshots[i]);
	}
	atomic_fetch_add(&tokens->refs, 1);
	view->tokens = tokens;
	return view;
}

void view_unref(struct view *view)
{
	if (view == NULL || atomic_fetch_sub(&view->refs, 1) != 1) {
		return;
	}
	for (size_t i = 0; i < view->count; i++) {
		snapshot_unref(view->snapshots[i]);
	}
	token_table_unref(view->tokens);
	free(view);
}

struct snapshot *view_snapshot_find(const struct view *view, const char *environment)
{
	for (size_t i = 0; i < view->count; i++) {
		if (strcmp(snapshot_environment(view->snapshots[i]), environment) == 0) {
			return view->snapshots[i];
		}
	}
	return NULL;
}

size_t view_snapshot_count(const struct view *view)
{
	return view->count;
}

struct snapshot *view_snapshot_at(const struct view *view, size_t index)
{
	return view->snapshots[index];
}

const struct view_token *view_token_find(const struct view *view, const uint8_t hash[static TOKEN_HASH_BYTES])
{
	const struct token_table *table = view->tokens;
	size_t slot = token_slot(hash) & table->mask;
	while (table->slots[slot] != 0) {
		const struct view_token *token = &table->tokens[table->slots[slot] - 1];
		if (sodium_memcmp(token->hash, hash, TOKEN_HASH_BYTES) == 0) {
			return token;
		}
		slot = (slot + 1) & table->mask;
	}
	return NULL;
}

const struct view_token *view_token_find_id(const struct view *view, const char *id)
{
	size_t low = 0;
	size_t high = view->tokens->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(view->tokens->tokens[middle].id, id);
		if (order == 0) {
			return &view->tokens->tokens[middle];
		}
		if (order < 0) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return NULL;
}

/* ---- The current view ---- */

struct view_cell {
	_Atomic uint64_t generation; /* raised after current was replaced */
	pthread_mutex_t lock;        /* protects current; held for a pointer copy only */
	struct view *current;
};

struct view_cell *view_cell_new(void)
{
	struct view_cell *cell = calloc(1, sizeof(*cell));
	if (cell != NULL) {
		(void)pthread_mutex_init(&cell->lock, NULL);
	}
	return cell;
}

void view_cell_free(struct view_cell *cell)
{
	if (cell == NULL) {
		return;
	}
	view_unref(cell->current);
	(void)pthread_mutex_destroy(&cell->lock);
	free(cell);
}

void view_cell_set(struct view_cell *cell, struct view *view)
{
	(void)pthread_mutex_lock(&cell->lock);
	struct view *old = cell->current;
	cell->current = view;
	atomic_fetch_add_explicit(&cell->generation, 1, memory_order_release);
	(void)pthread_mutex_unlock(&cell->lock);
	view_unref(old);
}

struct view *view_hold_refresh(struct view_hold *hold, struct view_cell *cell)
{
	if (atomic_load_explicit(&cell->generation, memory_order_acquire) == hold->generation) {
		return hold->view;
	}
	struct view *old = hold->view;
	(void)pthread_mutex_lock(&cell->lock);
	hold->generation = atomic_load_explicit(&cell->generation, memory_order_relaxed);
	hold->view = cell->current;
	atomic_fetch_add(&hold->view->refs, 1);
	(void)pthread_mutex_unlock(&cell->lock);
	view_unref(old);
	return hold->view;
}

void view_hold_release(struct view_hold *hold)
{
	view_unref(hold->view);
	*hold = (struct view_hold){ 0 };
}
