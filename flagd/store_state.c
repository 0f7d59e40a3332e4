/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/store_internal.h"

#include <string.h>

/* What a walk over the state of one table needs. */
struct state_walk {
	struct store *store;
	enum store_table table;
	store_entry_visitor *visit;
	void *user;
	bool more;
};

/*
 * Reads one entry. *ret_is_change: false when it only tells that something was tried (version 0), so
 * that the entry before it decides. An entry that removed its row is not given to the visitor.
 */
static enum status visit_newest(struct state_walk *walk, uint64_t seq, bool *ret_is_change, struct error *err)
{
	sqlite3_stmt *statement = store_statement(walk->store, STATEMENT_JOURNAL_AT);
	(void)sqlite3_bind_int64(statement, 1, (int64_t)seq);
	int rc = sqlite3_step(statement);
	enum status status;
	struct store_entry entry = { 0 };
	if (rc == SQLITE_DONE) {
		status = store_damaged(walk->store, err, "Journal entry %llu is missing",
		                       (unsigned long long)seq);
	} else if (rc != SQLITE_ROW) {
		status = store_fail(walk->store, rc, "Reading the journal", err);
	} else {
		status = store_entry_read(walk->store, statement, &entry, err);
	}
	if (status == STATUS_OK) {
		*ret_is_change = entry.version > 0;
		if (entry.version > 0 && entry.after != NULL) {
			walk->more = walk->visit(walk->user, &entry);
		}
	}
	store_release(statement);
	return status;
}

/* The entry before @seq of the group in the current row; 0: none. */
static enum status earlier(struct state_walk *walk, sqlite3_stmt *group, uint64_t *seq, struct error *err)
{
	sqlite3_stmt *statement = store_statement(walk->store, STATEMENT_JOURNAL_SUBJECT);
	(void)sqlite3_bind_text(statement, 1, store_table_names[walk->table], -1, SQLITE_STATIC);
	(void)sqlite3_bind_value(statement, 2, sqlite3_column_value(group, 0));
	(void)sqlite3_bind_value(statement, 3, sqlite3_column_value(group, 1));
	(void)sqlite3_bind_int64(statement, 4, (int64_t)*seq);
	int rc = sqlite3_step(statement);
	enum status status = STATUS_OK;
	if (rc == SQLITE_ROW) {
		*seq = (uint64_t)sqlite3_column_int64(statement, 0);
	} else {
		status = store_fail(walk->store, rc, "Reading the journal", err);
	}
	store_release(statement);
	return status;
}

static enum status walk_table(struct state_walk *walk, uint64_t last_seq, struct error *err)
{
	sqlite3_stmt *group = store_statement(walk->store, STATEMENT_JOURNAL_GROUPS);
	(void)sqlite3_bind_text(group, 1, store_table_names[walk->table], -1, SQLITE_STATIC);
	(void)sqlite3_bind_int64(group, 2, (int64_t)last_seq);
	enum status status = STATUS_OK;
	int rc = SQLITE_DONE;
	while (status == STATUS_OK && walk->more && (rc = sqlite3_step(group)) == SQLITE_ROW) {
		uint64_t seq = (uint64_t)sqlite3_column_int64(group, 2);
		bool is_change = false;
		while (status == STATUS_OK && seq > 0 && !is_change) {
			status = visit_newest(walk, seq, &is_change, err);
			if (status == STATUS_OK && !is_change) {
				status = earlier(walk, group, &seq, err);
			}
		}
	}
	if (status == STATUS_OK && rc != SQLITE_ROW && rc != SQLITE_DONE) {
		status = store_fail(walk->store, rc, "Reading the journal", err);
	}
	store_release(group);
	return status;
}

enum status store_state_at(struct store *store, int64_t at_ms, store_entry_visitor *visit, void *user,
                           struct error *err)
{
	enum status status = store_ready(store, err);
	uint64_t last_seq = 0;
	if (status == STATUS_OK) {
		status = store_seq_at(store, at_ms, &last_seq, err);
	}
	struct state_walk walk = { .store = store, .visit = visit, .user = user, .more = true };
	for (int table = 0; status == STATUS_OK && walk.more && table < STORE_TOKEN; table++) {
		walk.table = (enum store_table)table;
		status = walk_table(&walk, last_seq, err);
	}
	return status;
}
