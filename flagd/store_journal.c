/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/store_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void store_journal_hash(const uint8_t previous[static STORE_HASH_BYTES], const char *bytes, size_t length,
                        uint8_t ret[static STORE_HASH_BYTES])
{
	static const uint8_t domain[] = "halyard-journal-v1";
	uint8_t size[8];
	for (int i = 0; i < 8; i++) {
		size[i] = (uint8_t)((uint64_t)length >> (56 - 8 * i));
	}
	crypto_generichash_state hash;
	(void)crypto_generichash_init(&hash, NULL, 0, STORE_HASH_BYTES);
	(void)crypto_generichash_update(&hash, domain, sizeof(domain) - 1);
	(void)crypto_generichash_update(&hash, previous, STORE_HASH_BYTES);
	(void)crypto_generichash_update(&hash, size, sizeof(size));
	(void)crypto_generichash_update(&hash, (const uint8_t *)bytes, length);
	(void)crypto_generichash_final(&hash, ret, STORE_HASH_BYTES);
}

void store_journal_head(struct store *store, struct store_head *ret)
{
	*ret = store->head;
}

static bool table_of_name(const char *name, enum store_table *ret)
{
	for (int table = 0; table < STORE_TABLE_COUNT; table++) {
		if (strcmp(name, store_table_names[table]) == 0) {
			*ret = (enum store_table)table;
			return true;
		}
	}
	return false;
}

enum status store_entry_read(struct store *store, sqlite3_stmt *statement, struct store_entry *ret_entry,
                             struct error *err)
{
	enum { SEQ, AT, LATEST, KIND, KEY, ENVIRONMENT, ACTION, ACTOR, TRACE, VERSION, HASH, AFTER, BYTES };
	int rc = store_record_check(statement, "journal");
	int64_t seq = sqlite3_column_int64(statement, SEQ);
	if (rc == SQLITE_CORRUPT) {
		return store_damaged(store, err, "Journal entry %" PRId64 " does not fit its digest", seq);
	}
	if (rc != SQLITE_OK) {
		return store_fail(store, rc, "Reading the journal", err);
	}
	bool has_after = sqlite3_column_type(statement, AFTER) != SQLITE_NULL;
	const char *kind = store_column_text(statement, KIND);
	const void *hash = sqlite3_column_blob(statement, HASH);
	struct store_entry entry = {
		.seq = (uint64_t)seq,
		.at_ms = sqlite3_column_int64(statement, AT),
		.key = store_column_text(statement, KEY),
		.environment = store_column_text(statement, ENVIRONMENT),
		.action = store_column_text(statement, ACTION),
		.actor = store_column_text(statement, ACTOR),
		.trace_id = store_column_text(statement, TRACE),
		.version = (uint64_t)sqlite3_column_int64(statement, VERSION),
		.after = store_column_text(statement, AFTER),
		.bytes = store_column_text(statement, BYTES),
		.length = (size_t)sqlite3_column_bytes(statement, BYTES),
	};
	if (kind == NULL || hash == NULL || entry.key == NULL || entry.environment == NULL ||
	    entry.action == NULL || entry.actor == NULL || entry.trace_id == NULL || entry.bytes == NULL ||
	    (has_after && entry.after == NULL)) {
		return store_fail(store, SQLITE_NOMEM, "Reading the journal", err);
	}
	if (!table_of_name(kind, &entry.table)) {
		return store_damaged(store, err, "Journal entry %" PRId64 " is about something unknown", seq);
	}
	if (entry.environment[0] == '\0') {
		entry.environment = NULL;
	}
	memcpy(entry.hash, hash, sizeof(entry.hash));
	*ret_entry = entry;
	return STATUS_OK;
}

enum status store_journal_read_head(struct store *store, struct error *err)
{
	sqlite3_stmt *statement = store_statement(store, STATEMENT_JOURNAL_BEFORE);
	(void)sqlite3_bind_int64(statement, 1, INT64_MAX);
	int rc = sqlite3_step(statement);
	enum status status = STATUS_OK;
	struct store_entry entry = { 0 };
	int64_t latest_ms = INT64_MIN;
	if (rc == SQLITE_ROW) {
		status = store_entry_read(store, statement, &entry, err);
		latest_ms = sqlite3_column_int64(statement, 2);
	} else if (rc != SQLITE_DONE) {
		status = store_fail(store, rc, "Reading the journal", err);
	}
	if (status == STATUS_OK) {
		store->head.seq = entry.seq;
		store->head.at_ms = entry.at_ms;
		memcpy(store->head.hash, entry.hash, sizeof(entry.hash));
		store->latest_ms = latest_ms;
	}
	store_release(statement);
	return status;
}

/* ---- Points in time ---- */

/* A number that a statement gives; *ret stays when there is no row or it is NULL. */
static enum status read_number(struct store *store, sqlite3_stmt *statement, int64_t *ret, struct error *err)
{
	int rc = sqlite3_step(statement);
	if (rc == SQLITE_ROW && sqlite3_column_type(statement, 0) != SQLITE_NULL) {
		*ret = sqlite3_column_int64(statement, 0);
	}
	store_release(statement);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? STATUS_OK
	                                             : store_fail(store, rc, "Reading the journal", err);
}

/*
 * latest_ms never falls, so the last entry with latest_ms <= @at_ms is found by bisection. Behind it, only
 * entries that were written while the clock stood back can have an earlier time: an index holds those.
 */
enum status store_seq_at(struct store *store, int64_t at_ms, uint64_t *ret, struct error *err)
{
	uint64_t low = 0; /* known: latest_ms <= at_ms, or 0 */
	uint64_t high = store->head.seq + 1;
	if (at_ms >= store->latest_ms) {
		*ret = store->head.seq;
		return STATUS_OK;
	}
	while (high - low > 1) {
		uint64_t middle = low + (high - low) / 2;
		int64_t latest_ms = INT64_MAX;
		sqlite3_stmt *statement = store_statement(store, STATEMENT_JOURNAL_LATEST);
		(void)sqlite3_bind_int64(statement, 1, (int64_t)middle);
		enum status status = read_number(store, statement, &latest_ms, err);
		if (status != STATUS_OK) {
			return status;
		}
		if (latest_ms <= at_ms) {
			low = middle;
		} else {
			high = middle;
		}
	}
	int64_t seq = (int64_t)low;
	sqlite3_stmt *statement = store_statement(store, STATEMENT_JOURNAL_CLOCK_BACK);
	(void)sqlite3_bind_int64(statement, 1, at_ms);
	(void)sqlite3_bind_int64(statement, 2, seq);
	enum status status = read_number(store, statement, &seq, err);
	if (status == STATUS_OK) {
		*ret = (uint64_t)seq;
	}
	return status;
}

/* ---- Lists ---- */

/* One (kind, key, environment) of a list by key, and its newest entry that was not given yet. */
struct subject {
	enum store_table table;
	char *environment; /* "" when it has none */
	uint64_t next_seq; /* 0: no more */
};

struct subjects {
	struct subject *items;
	size_t count;
	size_t capacity;
};

static void subjects_free(struct subjects *subjects)
{
	for (size_t i = 0; i < subjects->count; i++) {
		free(subjects->items[i].environment);
	}
	free(subjects->items);
}

static bool table_is_wanted(const struct store_filter *filter, enum store_table table)
{
	return filter->table == (int)table || filter->table == -1 ||
	       (filter->table == STORE_FLAG_AND_SETTING && (table == STORE_FLAG || table == STORE_SETTING));
}

static enum status subject_advance(struct store *store, const char *key, struct subject *subject,
                                   uint64_t before_seq, struct error *err)
{
	sqlite3_stmt *statement = store_statement(store, STATEMENT_JOURNAL_SUBJECT);
	(void)sqlite3_bind_text(statement, 1, store_table_names[subject->table], -1, SQLITE_STATIC);
	(void)sqlite3_bind_text(statement, 2, key, -1, SQLITE_STATIC);
	(void)sqlite3_bind_text(statement, 3, subject->environment, -1, SQLITE_STATIC);
	(void)sqlite3_bind_int64(statement, 4, (int64_t)before_seq);
	int64_t seq = 0;
	enum status status = read_number(store, statement, &seq, err);
	subject->next_seq = (uint64_t)seq;
	return status;
}

static enum status subject_add(struct store *store, struct subjects *subjects, enum store_table table,
                               const char *key, const char *environment, uint64_t before_seq,
                               struct error *err)
{
	if (subjects->count == subjects->capacity) {
		size_t capacity = subjects->capacity == 0 ? 8 : 2 * subjects->capacity;
		struct subject *items = reallocarray(subjects->items, capacity, sizeof(*items));
		if (items == NULL) {
			return error_fail(err, STATUS_NO_MEMORY, "Out of memory");
		}
		subjects->items = items;
		subjects->capacity = capacity;
	}
	struct subject *subject = &subjects->items[subjects->count];
	*subject = (struct subject){ .table = table, .environment = strdup(environment) };
	if (subject->environment == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory");
	}
	subjects->count++;
	return subject_advance(store, key, subject, before_seq, err);
}

/* The environments, "" included, that entries of (table, key) name; one seek each. */
static enum status subjects_of_table(struct store *store, struct subjects *subjects, enum store_table table,
                                     const char *key, uint64_t before_seq, struct error *err)
{
	enum status status = subject_add(store, subjects, table, key, "", before_seq, err);
	while (status == STATUS_OK) {
		sqlite3_stmt *statement = store_statement(store, STATEMENT_JOURNAL_NEXT_ENVIRONMENT);
		(void)sqlite3_bind_text(statement, 1, store_table_names[table], -1, SQLITE_STATIC);
		(void)sqlite3_bind_text(statement, 2, key, -1, SQLITE_STATIC);
		(void)sqlite3_bind_text(statement, 3, subjects->items[subjects->count - 1].environment, -1,
		                        SQLITE_STATIC);
		int rc = sqlite3_step(statement);
		if (rc != SQLITE_ROW) {
			status = store_fail(store, rc, "Reading the journal", err);
		} else if (sqlite3_column_type(statement, 0) == SQLITE_NULL) {
			store_release(statement);
			break;
		} else {
			const char *text = store_column_text(statement, 0);
			status = text == NULL
			                 ? store_fail(store, SQLITE_NOMEM, "Reading the journal", err)
			                 : subject_add(store, subjects, table, key, text, before_seq, err);
		}
		store_release(statement);
	}
	return status;
}

static enum status subjects_find(struct store *store, struct subjects *subjects,
                                 const struct store_filter *filter, uint64_t before_seq, struct error *err)
{
	enum status status = STATUS_OK;
	for (int i = 0; i < STORE_TABLE_COUNT && status == STATUS_OK; i++) {
		enum store_table table = (enum store_table)i;
		if (!table_is_wanted(filter, table)) {
			continue;
		}
		status = filter->environment != NULL
		                 ? subject_add(store, subjects, table, filter->key, filter->environment,
		                               before_seq, err)
		                 : subjects_of_table(store, subjects, table, filter->key, before_seq, err);
	}
	return status;
}

static struct subject *subjects_newest(const struct subjects *subjects)
{
	struct subject *newest = NULL;
	for (size_t i = 0; i < subjects->count; i++) {
		struct subject *subject = &subjects->items[i];
		if (subject->next_seq > (newest == NULL ? 0 : newest->next_seq)) {
			newest = subject;
		}
	}
	return newest;
}

/* Reads entry @seq, which an index has named, and gives it to the visitor. */
static enum status visit_entry(struct store *store, uint64_t seq, store_entry_visitor *visit, void *user,
                               bool *more, struct error *err)
{
	sqlite3_stmt *statement = store_statement(store, STATEMENT_JOURNAL_AT);
	(void)sqlite3_bind_int64(statement, 1, (int64_t)seq);
	int rc = sqlite3_step(statement);
	enum status status;
	struct store_entry entry;
	if (rc == SQLITE_DONE) {
		status = store_damaged(store, err, "Journal entry %" PRIu64 " is missing", seq);
	} else if (rc != SQLITE_ROW) {
		status = store_fail(store, rc, "Reading the journal", err);
	} else {
		status = store_entry_read(store, statement, &entry, err);
	}
	if (status == STATUS_OK) {
		*more = visit(user, &entry);
	}
	store_release(statement);
	return status;
}

/* Merges the lists of all subjects of a key, each of which the index has in order. */
static enum status list_key(struct store *store, const struct store_filter *filter, uint64_t before_seq,
                            store_entry_visitor *visit, void *user, struct error *err)
{
	struct subjects subjects = { 0 };
	enum status status = subjects_find(store, &subjects, filter, before_seq, err);
	bool more = true;
	for (uint32_t given = 0; status == STATUS_OK && more && given < filter->limit; given++) {
		struct subject *newest = subjects_newest(&subjects);
		if (newest == NULL) {
			break;
		}
		uint64_t seq = newest->next_seq;
		status = visit_entry(store, seq, visit, user, &more, err);
		if (status == STATUS_OK && more) {
			status = subject_advance(store, filter->key, newest, seq, err);
		}
	}
	subjects_free(&subjects);
	return status;
}

/* Walks an index backwards and leaves out other tables. */
static enum status list_all(struct store *store, const struct store_filter *filter, uint64_t before_seq,
                            store_entry_visitor *visit, void *user, struct error *err)
{
	bool by_environment = filter->environment != NULL;
	sqlite3_stmt *statement = store_statement(store, by_environment ? STATEMENT_JOURNAL_ENVIRONMENT
	                                                                : STATEMENT_JOURNAL_BEFORE);
	(void)sqlite3_bind_int64(statement, 1, (int64_t)before_seq);
	if (by_environment) {
		(void)sqlite3_bind_text(statement, 2, filter->environment, -1, SQLITE_STATIC);
	}
	enum status status = STATUS_OK;
	bool more = true;
	uint32_t given = 0;
	uint64_t expected_seq = before_seq;
	int rc = SQLITE_DONE;
	while (status == STATUS_OK && more && given < filter->limit &&
	       (rc = sqlite3_step(statement)) == SQLITE_ROW) {
		struct store_entry entry = { 0 };
		status = store_entry_read(store, statement, &entry, err);
		if (status == STATUS_OK && !by_environment && entry.seq != --expected_seq) {
			status = store_damaged(store, err, "Journal entry %" PRIu64 " is missing",
			                       expected_seq);
		}
		if (status == STATUS_OK && table_is_wanted(filter, entry.table)) {
			more = visit(user, &entry);
			given++;
		}
	}
	if (status == STATUS_OK && rc != SQLITE_ROW && rc != SQLITE_DONE) {
		status = store_fail(store, rc, "Reading the journal", err);
	}
	store_release(statement);
	return status;
}

enum status store_journal_list(struct store *store, const struct store_filter *filter,
                               store_entry_visitor *visit, void *user, struct error *err)
{
	if (filter->limit < 1 || filter->limit > 1000) {
		return error_fail(err, STATUS_INVALID, "A list has 1 to 1,000 entries a page");
	}
	enum status status = store_ready(store, err);
	if (status != STATUS_OK) {
		return status;
	}
	uint64_t before_seq = store->head.seq + 1;
	if (filter->at_ms != INT64_MAX) {
		uint64_t last = 0;
		status = store_seq_at(store, filter->at_ms, &last, err);
		before_seq = last + 1;
	}
	if (filter->before_seq != 0 && filter->before_seq < before_seq) {
		before_seq = filter->before_seq;
	}
	if (status != STATUS_OK) {
		return status;
	}
	return filter->key != NULL ? list_key(store, filter, before_seq, visit, user, err)
	                           : list_all(store, filter, before_seq, visit, user, err);
}
