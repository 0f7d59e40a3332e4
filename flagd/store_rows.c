/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/store_internal.h"

const char *const store_table_names[STORE_TABLE_COUNT] = {
	[STORE_ENVIRONMENT] = "environment", [STORE_FLAG] = "flag",   [STORE_SETTING] = "setting",
	[STORE_SEGMENT] = "segment",         [STORE_TOKEN] = "token",
};

static enum status row_damaged(struct store *store, sqlite3_stmt *statement, enum store_table table,
                               struct error *err)
{
	const char *key = store_column_text(statement, 0);
	const char *environment = table == STORE_SETTING ? store_column_text(statement, 1) : NULL;
	return store_damaged(store, err, "The row of %s '%.128s'%s%.64s%s does not fit its digest",
	                     store_table_names[table], key == NULL ? "?" : key,
	                     environment == NULL ? "" : " in environment '",
	                     environment == NULL ? "" : environment, environment == NULL ? "" : "'");
}

enum status store_row_read(struct store *store, sqlite3_stmt *statement, enum store_table table,
                           struct store_row *ret, struct error *err)
{
	int rc = store_record_check(statement, store_table_names[table]);
	if (rc == SQLITE_CORRUPT) {
		return row_damaged(store, statement, table, err);
	}
	if (rc != SQLITE_OK) {
		return store_fail(store, rc, "Reading a row", err);
	}
	int column = 0;
	struct store_row row = { .table = table, .key = store_column_text(statement, column++) };
	bool has_environment = table == STORE_SETTING || table == STORE_TOKEN;
	bool is_null = has_environment && sqlite3_column_type(statement, column) == SQLITE_NULL;
	if (has_environment) {
		row.environment = store_column_text(statement, column++);
	}
	row.version = (uint64_t)sqlite3_column_int64(statement, column++);
	row.is_archived = sqlite3_column_int(statement, column++) != 0;
	row.created_ms = sqlite3_column_int64(statement, column++);
	row.updated_ms = sqlite3_column_int64(statement, column++);
	if (table == STORE_TOKEN) {
		row.secret_hash = sqlite3_column_blob(statement, column++);
	}
	row.doc = store_column_text(statement, column);
	row.doc_length = (size_t)sqlite3_column_bytes(statement, column);
	if (row.key == NULL || row.doc == NULL || (has_environment && !is_null && row.environment == NULL) ||
	    (table == STORE_TOKEN && row.secret_hash == NULL)) {
		return store_fail(store, SQLITE_NOMEM, "Reading a row", err);
	}
	*ret = row;
	return STATUS_OK;
}

static enum status load_table(struct store *store, enum store_table table, store_row_visitor *visit,
                              void *user, bool *more, struct error *err)
{
	sqlite3_stmt *statement = store_statement(store, (enum store_statement)(STATEMENT_LOAD + (int)table));
	enum status status = STATUS_OK;
	int rc = SQLITE_DONE;
	while (*more && status == STATUS_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
		struct store_row row;
		status = store_row_read(store, statement, table, &row, err);
		if (status == STATUS_OK) {
			*more = visit(user, &row);
		}
	}
	if (status == STATUS_OK && rc != SQLITE_DONE && rc != SQLITE_ROW) {
		status = store_fail(store, rc, "Reading the rows", err);
	}
	store_release(statement);
	return status;
}

enum status store_load(struct store *store, store_row_visitor *visit, void *user, struct error *err)
{
	enum status status = store_ready(store, err);
	bool more = true;
	for (int table = 0; status == STATUS_OK && more && table < STORE_TABLE_COUNT; table++) {
		status = load_table(store, (enum store_table)table, visit, user, &more, err);
	}
	return status;
}
