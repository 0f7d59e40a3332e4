/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks at start: the structure of what is loaded, and the newest of what grows without end. A flipped
 * bit in a value is only seen by the digests: those of the rows are checked by store_load(), through which
 * every row passes before it is used, those of entries and answers whenever one is read.
 */
#include "flagd/store_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* In a larger database only the structure of the state is checked. */
enum { QUICK_CHECK_BYTES = 4 * 1024 * 1024 };

static const char *const state_tables[] = { "environment", "flag", "setting", "segment", "token" };

enum status store_query(struct store *store, const char *sql, sqlite3_stmt **ret, struct error *err)
{
	int rc = sqlite3_prepare_v2(store->db, sql, -1, ret, NULL);
	return rc == SQLITE_OK ? STATUS_OK : store_fail(store, rc, "Checking the database", err);
}

enum status store_check_rows(struct store *store, const char *table, const char *sql, struct error *err)
{
	sqlite3_stmt *statement = NULL;
	enum status status = store_query(store, sql, &statement, err);
	int rc = SQLITE_DONE;
	while (status == STATUS_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
		rc = store_record_check(statement, table);
		if (rc == SQLITE_CORRUPT) {
			const char *key = store_column_text(statement, 0);
			status = store_damaged(store, err, "The row of %s '%.128s' does not fit its digest",
			                       table, key == NULL ? "?" : key);
		} else if (rc != SQLITE_OK) {
			status = store_fail(store, rc, "Checking the database", err);
		}
	}
	if (status == STATUS_OK && rc != SQLITE_DONE) {
		status = store_fail(store, rc, "Checking the database", err);
	}
	(void)sqlite3_finalize(statement);
	return status;
}

enum status store_check_none(struct store *store, const char *sql, uint64_t first, struct error *err)
{
	sqlite3_stmt *statement = NULL;
	enum status status = store_query(store, sql, &statement, err);
	if (status != STATUS_OK) {
		return status;
	}
	if (sqlite3_bind_parameter_count(statement) > 0) {
		(void)sqlite3_bind_int64(statement, 1, (int64_t)first);
	}
	int rc = sqlite3_step(statement);
	if (rc == SQLITE_ROW) {
		const char *text = store_column_text(statement, 0);
		status = text == NULL ? store_fail(store, SQLITE_NOMEM, "Checking the database", err)
		                      : store_damaged(store, err, "%s", text);
	} else if (rc != SQLITE_DONE) {
		status = store_fail(store, rc, "Checking the database", err);
	}
	(void)sqlite3_finalize(statement);
	return status;
}

/* The hash before entry @first, from the entry before it. */
static enum status hash_before(struct store *store, uint64_t first, uint8_t ret[static STORE_HASH_BYTES],
                               struct error *err)
{
	memset(ret, 0, STORE_HASH_BYTES);
	if (first <= 1) {
		return STATUS_OK;
	}
	sqlite3_stmt *statement = store_statement(store, STATEMENT_JOURNAL_AT);
	(void)sqlite3_bind_int64(statement, 1, (int64_t)first - 1);
	int rc = sqlite3_step(statement);
	enum status status;
	struct store_entry entry;
	if (rc == SQLITE_ROW) {
		status = store_entry_read(store, statement, &entry, err);
	} else if (rc == SQLITE_DONE) {
		status = store_damaged(store, err, "Journal entry %" PRIu64 " is missing", first - 1);
	} else {
		status = store_fail(store, rc, "Checking the journal", err);
	}
	if (status == STATUS_OK) {
		memcpy(ret, entry.hash, STORE_HASH_BYTES);
	}
	store_release(statement);
	return status;
}

enum status store_check_chain(struct store *store, uint64_t first, struct error *err)
{
	uint8_t hash[STORE_HASH_BYTES];
	enum status status = hash_before(store, first, hash, err);
	if (status != STATUS_OK) {
		return status;
	}
	sqlite3_stmt *statement = store_statement(store, STATEMENT_JOURNAL_FROM);
	(void)sqlite3_bind_int64(statement, 1, (int64_t)first);
	int64_t latest_ms = INT64_MIN;
	int rc = SQLITE_DONE;
	for (uint64_t seq = first; status == STATUS_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW;
	     seq++) {
		struct store_entry entry;
		status = store_entry_read(store, statement, &entry, err);
		if (status != STATUS_OK) {
			break;
		}
		int64_t stored_ms = sqlite3_column_int64(statement, 2);
		latest_ms = seq > 1 && seq == first   ? stored_ms
		            : entry.at_ms > latest_ms ? entry.at_ms
		                                      : latest_ms;
		store_journal_hash(hash, entry.bytes, entry.length, hash);
		if (entry.seq != seq) {
			status = store_damaged(store, err, "Journal entry %" PRIu64 " is missing", seq);
		} else if (memcmp(hash, entry.hash, sizeof(hash)) != 0 || latest_ms != stored_ms) {
			status = store_damaged(
			        store, err, "Journal entry %" PRIu64 " does not follow from the one before",
			        seq);
		}
	}
	if (status == STATUS_OK && rc != SQLITE_DONE) {
		status = store_fail(store, rc, "Checking the journal", err);
	}
	store_release(statement);
	return status;
}

/*
 * What a PRAGMA that checks has to say, in one line; "" when all is well. It tells I/O errors and lack of
 * memory as if they were damage.
 */
static enum status run_check(struct store *store, const char *sql, char *ret, size_t size, struct error *err)
{
	sqlite3_stmt *statement = NULL;
	enum status status = store_query(store, sql, &statement, err);
	if (status != STATUS_OK) {
		return status;
	}
	int rc = sqlite3_step(statement);
	const char *text = rc == SQLITE_ROW ? store_column_text(statement, 0) : NULL;
	if (text == NULL) {
		status =
		        store_fail(store, rc == SQLITE_ROW ? SQLITE_NOMEM : rc, "Checking the database", err);
	} else {
		const char *line = strchr(text, '\n');
		(void)snprintf(ret, size, "%s", line == NULL ? text : line + 1);
		ret[strcspn(ret, "\n")] = '\0';
		ret[strcmp(ret, "ok") == 0 ? 0 : strlen(ret)] = '\0';
	}
	(void)sqlite3_finalize(statement);
	return status;
}

enum status store_check_structure(struct store *store, const char *sql, struct error *err)
{
	static const char code_text[] = "error code=";
	char found[192] = "";
	enum status status = run_check(store, sql, found, sizeof(found), err);
	if (status == STATUS_OK && found[0] != '\0') {
		status = run_check(store, sql, found, sizeof(found), err);
	}
	if (status != STATUS_OK || found[0] == '\0') {
		return status;
	}
	const char *code = strstr(found, code_text);
	int rc = code == NULL ? SQLITE_CORRUPT : (int)strtol(code + sizeof(code_text) - 1, NULL, 10);
	if (store_errno(store->db) != 0) {
		rc = SQLITE_IOERR;
	}
	if ((rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_NOMEM) {
		return store_fail(store, rc, "Checking the database", err);
	}
	return store_damaged(store, err, "The database is damaged (%s)", found);
}

static enum status quick_check(struct store *store, struct error *err)
{
	sqlite3_stmt *statement = NULL;
	enum status status =
	        store_query(store, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
	                    &statement, err);
	if (status != STATUS_OK) {
		return status;
	}
	int64_t bytes = sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
	(void)sqlite3_finalize(statement);
	if (bytes <= QUICK_CHECK_BYTES) {
		return store_check_structure(store, "PRAGMA quick_check(1)", err);
	}
	for (size_t i = 0; status == STATUS_OK && i < sizeof(state_tables) / sizeof(state_tables[0]); i++) {
		char sql[64];
		(void)snprintf(sql, sizeof(sql), "PRAGMA quick_check('%s')", state_tables[i]);
		status = store_check_structure(store, sql, err);
	}
	return status;
}

#define ROW_BEHIND(table, match)                                                                      \
	"SELECT 'The row of " table " ' || quote(j.key) || ' is older than journal entry ' || j.seq " \
	"FROM journal AS j LEFT JOIN " table " AS r ON r.key = j.key" match                           \
	" WHERE j.seq >= ?1 AND j.kind = '" table "' AND j.version > coalesce(r.version, 0)"

enum status store_check_rows_behind(struct store *store, uint64_t first, struct error *err)
{
	static const char *const queries[] = {
		ROW_BEHIND("environment", ""),
		ROW_BEHIND("flag", ""),
		ROW_BEHIND("setting", " AND r.environment = j.environment"),
		ROW_BEHIND("segment", ""),
		ROW_BEHIND("token", ""),
	};
	enum status status = STATUS_OK;
	for (size_t i = 0; status == STATUS_OK && i < sizeof(queries) / sizeof(queries[0]); i++) {
		status = store_check_none(store, queries[i], first, err);
	}
	return status;
}

#define NEWEST_REVISIONS                                                                       \
	" FROM environment AS e JOIN revision AS r ON r.environment = e.key AND r.revision = " \
	"(SELECT max(revision) FROM revision WHERE environment = e.key)"

enum status store_check_start(struct store *store, struct error *err)
{
	enum status status = quick_check(store, err);
	uint64_t first =
	        store->head.seq > STORE_CHECKED_ENTRIES ? store->head.seq - STORE_CHECKED_ENTRIES + 1 : 1;
	if (status == STATUS_OK) {
		status = store_check_chain(store, first, err);
	}
	if (status == STATUS_OK) {
		status = store_check_rows_behind(store, first, err);
	}
	if (status == STATUS_OK) {
		status = store_check_rows(store, "revision", "SELECT r.*" NEWEST_REVISIONS, err);
	}
	if (status == STATUS_OK) {
		status = store_check_none(
		        store,
		        "SELECT 'Revision ' || r.revision || ' of environment ' || "
		        "quote(e.key) || ' is newer than the end of the journal'" NEWEST_REVISIONS
		        " WHERE r.seq > ?1",
		        store->head.seq, err);
	}
	return status;
}
