/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Catalogue: the store's rows in memory, for the worker that decides on changes and answers reads.
 *
 * Rows are immutable, counted by reference and replaced whole: catalogue_put() returns the row that it
 * replaced, so that a change is put in, looked at, and taken back if it is only a preview or its commit
 * fails. Documents are kept parsed. Sorted by key (settings: by flag, then environment).
 *
 * One thread: the worker.
 */
#pragma once

#include "base/json.h"
#include "flagd/store.h"

struct row {
	unsigned refs;
	enum store_table table;
	const char *key;         /* this and the other texts stand behind the struct */
	const char *environment; /* NULL unless the table has one */
	uint64_t version;
	bool is_archived;
	int64_t created_ms, updated_ms;
	const char *text;
	struct json_doc doc; /* of text */
	uint8_t secret_hash[STORE_HASH_BYTES];
};

static inline struct json row_json(const struct row *row)
{
	return json_root(&row->doc);
}

/* Copies @from. STATUS_CORRUPT when its document is not JSON, STATUS_NO_MEMORY. One reference. */
MUST_CHECK enum status row_new(const struct store_row *from, struct row **ret, struct error *err);
struct row *row_ref(struct row *row);
void row_unref(struct row *row); /* accepts NULL */

struct catalogue;

struct catalogue *catalogue_new(void);
void catalogue_free(struct catalogue *catalogue); /* accepts NULL */

/* Borrowed; NULL when there is none. @environment only for tables that have one. */
struct row *catalogue_find(const struct catalogue *catalogue, enum store_table table, const char *key,
                           const char *environment);

/*
 * Puts @row in (taking the reference) and gives the one that it replaces, or NULL, to the caller.
 * STATUS_NO_MEMORY: nothing happened and @row is still the caller's.
 */
MUST_CHECK enum status catalogue_put(struct catalogue *catalogue, struct row *row, struct row **ret_old,
                                     struct error *err);

/* Takes back a put: @old replaces the row (takes the reference), NULL removes it. Cannot fail. */
void catalogue_restore(struct catalogue *catalogue, enum store_table table, const char *key,
                       const char *environment, struct row *old);

size_t catalogue_count(const struct catalogue *catalogue, enum store_table table);
struct row *catalogue_at(const struct catalogue *catalogue, enum store_table table, size_t index);

/* Index of the first row whose key is greater than @key ("" or NULL: the first row). */
size_t catalogue_after(const struct catalogue *catalogue, enum store_table table, const char *key);
