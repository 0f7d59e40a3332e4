/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/migrate.h"

#include <string.h>

#include "flagd/store_internal.h"

/* First column of the first row of @sql as a number. */
static int query_int(sqlite3 *db, const char *sql, int64_t *ret)
{
	sqlite3_stmt *statement = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
	if (rc != SQLITE_OK) {
		return rc;
	}
	rc = sqlite3_step(statement);
	if (rc == SQLITE_ROW) {
		*ret = sqlite3_column_int64(statement, 0);
	}
	int finished = sqlite3_finalize(statement);
	return rc == SQLITE_ROW ? SQLITE_OK : rc == SQLITE_DONE ? SQLITE_NOTFOUND : finished;
}

static enum status fail(sqlite3 *db, int rc, const char *what, struct error *err)
{
	enum status status = store_status(db, rc);
	/* SQL of ours that fails on a database of ours: its schema is not what it was. */
	if (status == STATUS_INTERNAL && (rc & 0xff) == SQLITE_ERROR) {
		status = STATUS_CORRUPT;
	}
	return error_fail(err, status, "%s failed: %s", what, sqlite3_errmsg(db));
}

static enum status newer(int64_t version, size_t count, struct error *err)
{
	return error_fail(
	        err, STATUS_CONFLICT,
	        "This database was written by a newer flagd (schema %lld, this one knows %zu); start "
	        "that version, or put back a backup made by this one",
	        (long long)version, count);
}

static enum status damaged(const char *what, struct error *err)
{
	return error_fail(err, STATUS_CORRUPT, "The database's list of migrations is damaged (%s); %s", what,
	                  STORE_ADVICE);
}

/* The current row of schema_migrations against ours. */
static enum status check_applied(sqlite3_stmt *statement, const struct migration *expected, struct error *err)
{
	int rc = store_record_check(statement, "schema_migrations");
	if (rc == SQLITE_NOMEM) {
		return error_fail(err, STATUS_NO_MEMORY,
		                  "Reading the list of migrations failed: out of memory");
	}
	if (rc != SQLITE_OK) {
		return damaged("a row does not fit its digest", err);
	}
	const char *name = store_column_text(statement, 1);
	const char *sha256 = store_column_text(statement, 2);
	const char *writer = store_column_text(statement, 4);
	if (name == NULL || sha256 == NULL || writer == NULL) {
		return error_fail(err, STATUS_NO_MEMORY,
		                  "Reading the list of migrations failed: out of memory");
	}
	if (sqlite3_column_int64(statement, 0) != expected->version) {
		return damaged("a number is missing", err);
	}
	if (strcmp(name, expected->name) != 0 || strcmp(sha256, expected->sha256) != 0) {
		return error_fail(
		        err, STATUS_CONFLICT,
		        "Migration %d of this database (%.64s) is not the one that this flagd knows; "
		        "start the flagd that wrote it (%.32s)",
		        expected->version, name, writer);
	}
	return STATUS_OK;
}

/* The migrations that are in the database: all must be ours and none missing. */
static enum status check_list(sqlite3 *db, int64_t version, const struct migration *list, size_t count,
                              struct error *err)
{
	int64_t listed = 0;
	int rc = query_int(db, "SELECT coalesce(max(version), 0) FROM schema_migrations", &listed);
	if (rc != SQLITE_OK) {
		return version > (int64_t)count ? newer(version, count, err)
		                                : fail(db, rc, "Reading the list of migrations", err);
	}
	if (listed != version) {
		return damaged("it does not fit the header", err);
	}
	if (version > (int64_t)count) {
		return newer(version, count, err);
	}
	sqlite3_stmt *statement = NULL;
	rc = sqlite3_prepare_v2(db, "SELECT * FROM schema_migrations ORDER BY version", -1, &statement, NULL);
	if (rc != SQLITE_OK) {
		return fail(db, rc, "Reading the list of migrations", err);
	}
	enum status status = STATUS_OK;
	int64_t seen = 0;
	while (status == STATUS_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
		status = seen < version ? check_applied(statement, &list[seen], err)
		                        : damaged("a number stands twice", err);
		seen++;
	}
	if (status == STATUS_OK && rc != SQLITE_DONE) {
		status = fail(db, rc, "Reading the list of migrations", err);
	} else if (status == STATUS_OK && seen != version) {
		status = damaged("a number is missing", err);
	}
	(void)sqlite3_finalize(statement);
	return status;
}

static int record_applied(sqlite3 *db, const struct migration *migration, int64_t now_ms)
{
	sqlite3_stmt *statement = NULL;
	int rc = sqlite3_prepare_v2(db, "INSERT INTO schema_migrations VALUES (?1, ?2, ?3, ?4, ?5, ?6)", -1,
	                            &statement, NULL);
	if (rc != SQLITE_OK) {
		return rc;
	}
	struct store_record record;
	store_record_begin(&record, statement, "schema_migrations");
	store_record_integer(&record, migration->version);
	store_record_string(&record, migration->name);
	store_record_string(&record, migration->sha256);
	store_record_integer(&record, now_ms);
	store_record_string(&record, HALYARD_VERSION);
	rc = store_record_end(&record);
	if (rc == SQLITE_OK) {
		rc = sqlite3_step(statement);
	}
	int finished = sqlite3_finalize(statement);
	return rc == SQLITE_DONE ? SQLITE_OK : rc == SQLITE_OK ? finished : rc;
}

/* Inside the transaction. */
static int apply_steps(sqlite3 *db, const struct migration *migration, int64_t now_ms)
{
	int rc = sqlite3_exec(db, migration->sql, NULL, NULL, NULL);
	if (rc != SQLITE_OK) {
		return rc;
	}
	rc = record_applied(db, migration, now_ms);
	if (rc != SQLITE_OK) {
		return rc;
	}
	int64_t orphan = 0;
	rc = query_int(db, "SELECT 1 FROM pragma_foreign_key_check", &orphan);
	if (rc != SQLITE_NOTFOUND) {
		return rc == SQLITE_OK ? SQLITE_CONSTRAINT_FOREIGNKEY : rc;
	}
	char pragma[48];
	(void)snprintf(pragma, sizeof(pragma), "PRAGMA user_version = %d", migration->version);
	return sqlite3_exec(db, pragma, NULL, NULL, NULL);
}

static enum status apply_one(sqlite3 *db, const struct migration *migration, int64_t now_ms,
                             struct error *err)
{
	char what[96];
	(void)snprintf(what, sizeof(what), "Migration %d (%.64s)", migration->version, migration->name);
	int rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	if (rc == SQLITE_OK) {
		rc = apply_steps(db, migration, now_ms);
	}
	if (rc == SQLITE_OK) {
		rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
	}
	if (rc == SQLITE_OK) {
		return STATUS_OK;
	}
	enum status status = fail(db, rc, what, err);
	if (!sqlite3_get_autocommit(db)) {
		(void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	}
	return status;
}

enum status migrate_apply(sqlite3 *db, const struct migration *list, size_t count, int64_t now_ms,
                          struct error *err)
{
	int64_t version = 0;
	int rc = query_int(db, "PRAGMA user_version", &version);
	if (rc != SQLITE_OK) {
		return fail(db, rc, "Reading the schema's version", err);
	}
	if (version < 0) {
		return damaged("the header's version is negative", err);
	}
	enum status status = version == 0 ? STATUS_OK : check_list(db, version, list, count, err);
	for (size_t i = (size_t)version; status == STATUS_OK && i < count; i++) {
		status = apply_one(db, &list[i], now_ms, err);
	}
	return status;
}

#define SCHEMA_SQL                                                           \
	"SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema " \
	"WHERE name NOT LIKE 'sqlite_stat%' ORDER BY type, name"

/* Do two statements give the same rows of four texts? */
static int same_rows(sqlite3_stmt *a, sqlite3_stmt *b, bool *ret_same)
{
	for (;;) {
		int rc_a = sqlite3_step(a);
		int rc_b = sqlite3_step(b);
		bool is_end = rc_a == SQLITE_DONE || rc_b == SQLITE_DONE;
		if ((rc_a != SQLITE_ROW && rc_a != SQLITE_DONE) ||
		    (rc_b != SQLITE_ROW && rc_b != SQLITE_DONE)) {
			return rc_a != SQLITE_ROW && rc_a != SQLITE_DONE ? rc_a : rc_b;
		}
		*ret_same = rc_a == rc_b;
		for (int column = 0; !is_end && *ret_same && column < 4; column++) {
			const char *text_a = store_column_text(a, column);
			const char *text_b = store_column_text(b, column);
			if (text_a == NULL || text_b == NULL) {
				return SQLITE_NOMEM;
			}
			*ret_same = strcmp(text_a, text_b) == 0;
		}
		if (is_end || !*ret_same) {
			return SQLITE_OK;
		}
	}
}

static int compare_schema(sqlite3 *db, sqlite3 *fresh, bool *ret_same)
{
	sqlite3_stmt *ours = NULL;
	sqlite3_stmt *theirs = NULL;
	int rc = sqlite3_prepare_v2(fresh, SCHEMA_SQL, -1, &ours, NULL);
	if (rc == SQLITE_OK) {
		rc = sqlite3_prepare_v2(db, SCHEMA_SQL, -1, &theirs, NULL);
	}
	if (rc == SQLITE_OK) {
		rc = same_rows(ours, theirs, ret_same);
	}
	(void)sqlite3_finalize(ours);
	(void)sqlite3_finalize(theirs);
	return rc;
}

enum status migrate_check(sqlite3 *db, const struct migration *list, size_t count, struct error *err)
{
	sqlite3 *fresh = NULL;
	int rc = sqlite3_open_v2(":memory:", &fresh, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	for (size_t i = 0; rc == SQLITE_OK && i < count; i++) {
		rc = sqlite3_exec(fresh, list[i].sql, NULL, NULL, NULL);
	}
	bool is_same = false;
	if (rc == SQLITE_OK) {
		rc = compare_schema(db, fresh, &is_same);
	}
	enum status status = STATUS_OK;
	if (rc != SQLITE_OK) {
		status = error_fail(err, store_status(db, rc), "Checking the schema failed: %s",
		                    sqlite3_errstr(rc));
	} else if (!is_same) {
		status = error_fail(err, STATUS_CORRUPT,
		                    "The database's schema is not the one that its migrations make; %s",
		                    STORE_ADVICE);
	}
	(void)sqlite3_close(fresh);
	return status;
}
