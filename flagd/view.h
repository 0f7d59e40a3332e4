/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the request threads see: immutable snapshots of every environment and the table of tokens.
 *
 * The worker publishes a new view after each change; each loop thread keeps a reference to the view it uses
 * and exchanges it when the generation has moved, so that reading costs one atomic load: no lock and no
 * shared write per request. Nothing here touches the database.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "flagd/snapshot.h"
#include "flagd/token.h"

/* ---- Tokens ---- */

struct view_token {
	uint8_t hash[TOKEN_HASH_BYTES];
	char id[TOKEN_ID_SIZE];
	char name[65];
	char environment[BUNDLE_ENVIRONMENT_SIZE]; /* "" for all */
	enum token_kind kind;
};

struct token_table;

/* Copies @tokens, which are sorted by id. NULL when out of memory. */
struct token_table *token_table_new(const struct view_token *tokens, size_t count);
void token_table_unref(struct token_table *table); /* accepts NULL */

/* ---- Views ---- */

struct view;

/* Takes references of @snapshots (sorted by environment) and of @tokens. NULL when out of memory. */
struct view *view_new(struct snapshot *const *snapshots, size_t count, struct token_table *tokens);
void view_unref(struct view *view); /* accepts NULL */

/* NULL when there is none. Borrowed from the view. */
struct snapshot *view_snapshot_find(const struct view *view, const char *environment);
size_t view_snapshot_count(const struct view *view);
struct snapshot *view_snapshot_at(const struct view *view, size_t index);

/* By hash of the whole token; NULL when it is unknown or revoked. Constant time in the hash. */
const struct view_token *view_token_find(const struct view *view,
                                         const uint8_t hash[static TOKEN_HASH_BYTES]);
const struct view_token *view_token_find_id(const struct view *view, const char *id);

/* ---- The current view ---- */

struct view_cell;

struct view_cell *view_cell_new(void);
void view_cell_free(struct view_cell *cell);

/* Replaces the view; takes over the caller's reference. */
void view_cell_set(struct view_cell *cell, struct view *view);

/* A thread's own hold on the current view; zeroed at first. */
struct view_hold {
	struct view *view;
	uint64_t generation;
};

/* The current view, good until this thread's next call with the same hold. NULL before the first set. */
struct view *view_hold_refresh(struct view_hold *hold, struct view_cell *cell);
void view_hold_release(struct view_hold *hold);
