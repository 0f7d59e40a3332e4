/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/store_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

static const char *const statement_sql[STATEMENT_COUNT] = {
#define STATEMENT_SQL(name, sql) [STATEMENT_##name] = (sql),
	STORE_STATEMENTS(STATEMENT_SQL)
#undef STATEMENT_SQL
};

enum status store_prepare(struct store *store, struct error *err)
{
	for (size_t i = 0; i < STATEMENT_COUNT; i++) {
		int rc = sqlite3_prepare_v3(store->db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
		                            &store->statements[i], NULL);
		if (rc != SQLITE_OK) {
			return store_fail(store, rc, "Preparing the database", err);
		}
	}
	return STATUS_OK;
}

sqlite3_stmt *store_statement(struct store *store, enum store_statement id)
{
	sqlite3_stmt *statement = store->statements[id];
	store_release(statement);
	return statement;
}

void store_release(sqlite3_stmt *statement)
{
	(void)sqlite3_reset(statement);
	(void)sqlite3_clear_bindings(statement);
}

int store_run(struct store *store, enum store_statement id)
{
	sqlite3_stmt *statement = store->statements[id];
	int rc = sqlite3_step(statement);
	while (rc == SQLITE_ROW) {
		rc = sqlite3_step(statement);
	}
	store_release(statement);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static enum status errno_status(int number)
{
	switch (number) {
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return STATUS_STORAGE_FULL;
	case EROFS:
	case EACCES:
	case EPERM:
		return STATUS_READ_ONLY;
	default:
		return STATUS_UNAVAILABLE;
	}
}

/* SQLite forgets it when COMMIT fails, the file does not. */
int store_errno(sqlite3 *db)
{
	int number = db == NULL ? 0 : sqlite3_system_errno(db);
	sqlite3_file *wal = NULL;
	if (db == NULL || number != 0) {
		return number;
	}
	(void)sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal);
	if (wal != NULL && wal->pMethods != NULL) {
		(void)wal->pMethods->xFileControl(wal, SQLITE_FCNTL_LAST_ERRNO, &number);
	}
	if (number == 0) {
		(void)sqlite3_file_control(db, "main", SQLITE_FCNTL_LAST_ERRNO, &number);
	}
	return number;
}

enum status store_status(sqlite3 *db, int rc)
{
	if (rc == SQLITE_IOERR_NOMEM) {
		return STATUS_NO_MEMORY;
	}
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return STATUS_OK;
	case SQLITE_FULL:
		return STATUS_STORAGE_FULL;
	case SQLITE_READONLY:
	case SQLITE_PERM:
		return STATUS_READ_ONLY;
	case SQLITE_CANTOPEN: {
		int number = store_errno(db);
		bool is_known = number == ENOSPC || number == EDQUOT || number == EMFILE || number == ENFILE;
		return is_known ? errno_status(number) : STATUS_READ_ONLY;
	}
	case SQLITE_IOERR:
		return errno_status(store_errno(db));
	case SQLITE_NOMEM:
		return STATUS_NO_MEMORY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return STATUS_CORRUPT;
	case SQLITE_TOOBIG:
		return STATUS_TOO_LARGE;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return STATUS_CONFLICT;
	default:
		return STATUS_INTERNAL;
	}
}

/* The part of the sentence that says why; "%s" is what was tried. */
static const char *reason_text(enum status status)
{
	if (status == STATUS_STORAGE_FULL) {
		return "because the disk is full";
	}
	if (status == STATUS_READ_ONLY) {
		return "because the data folder cannot be written";
	}
	if (status == STATUS_NO_MEMORY) {
		return "because memory ran out";
	}
	if (status == STATUS_CORRUPT) {
		return "because the database is damaged; " STORE_ADVICE;
	}
	if (status == STATUS_TOO_LARGE) {
		return "because a value is larger than 8 MiB";
	}
	if (status == STATUS_CONFLICT) {
		return "because another program has the database open";
	}
	return NULL;
}

enum status store_fail(struct store *store, int rc, const char *what, struct error *err)
{
	enum status status = store_status(store->db, rc);
	if (status == STATUS_OK) {
		status = STATUS_INTERNAL;
	}
	const char *reason = reason_text(status);
	struct error local = ERROR_INIT;
	if (reason != NULL) {
		error_set(&local, status, "%s failed %s", what, reason);
	} else {
		int number = (rc & 0xff) == SQLITE_IOERR ? store_errno(store->db) : 0;
		error_set(&local, status, "%s failed: %s%s%s", what, sqlite3_errstr(rc),
		          number == 0 ? "" : ", ", number == 0 ? "" : strerrordesc_np(number));
	}
	if ((rc & 0xff) == SQLITE_IOERR && status != STATUS_NO_MEMORY) {
		store->is_suspect = true;
		store_note(store, status, local.message);
	} else if (status == STATUS_CORRUPT) {
		store_note(store, status, local.message);
	}
	return error_fail(err, status, "%s", local.message);
}

enum status store_damaged(struct store *store, struct error *err, const char *format, ...)
{
	char text[ERROR_MESSAGE_SIZE - 128];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	struct error local = ERROR_INIT;
	error_set(&local, STATUS_CORRUPT, "%s; %s", text, STORE_ADVICE);
	store_note(store, STATUS_CORRUPT, local.message);
	return error_fail(err, STATUS_CORRUPT, "%s", local.message);
}

const char *store_column_text(sqlite3_stmt *statement, int column)
{
	return (const char *)sqlite3_column_text(statement, column);
}
