/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection: profile, migrations, checks. One connection in exclusive locking mode: no second
 * program can write or checkpoint beside it, which SQLite before 3.51.3 does not survive in WAL mode,
 * and the index of the WAL stays in memory.
 */
#include "flagd/store_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "flagd/migrate.h"

static const char profile_sql[] = "PRAGMA locking_mode = EXCLUSIVE;"
                                  "PRAGMA cell_size_check = ON;"
                                  "PRAGMA mmap_size = 0;"
                                  "PRAGMA trusted_schema = OFF;"
                                  "PRAGMA foreign_keys = ON;"
                                  "PRAGMA temp_store = MEMORY;"
                                  "PRAGMA cache_size = -8000;"
                                  "PRAGMA busy_timeout = 1000;";

/*
 * After the file is known to be ours or empty: these write. EXTRA flushes the folder behind the removal of
 * the rollback journal that the change to WAL leaves: if it came back after a power failure, SQLite would
 * roll a database back to nothing.
 */
static const char wal_sql[] = "PRAGMA auto_vacuum = NONE;"
                              "PRAGMA synchronous = EXTRA;"
                              "PRAGMA journal_mode = WAL;"
                              "PRAGMA synchronous = FULL;"
                              "PRAGMA journal_size_limit = 16777216;"
                              "PRAGMA wal_autocheckpoint = 0;";

static const struct {
	int id;
	int value;
} limits[] = {
	{ SQLITE_LIMIT_LENGTH, STORE_MAX_BYTES },
	{ SQLITE_LIMIT_SQL_LENGTH, 256 * 1024 },
	{ SQLITE_LIMIT_COLUMN, 64 },
	{ SQLITE_LIMIT_EXPR_DEPTH, 64 },
	{ SQLITE_LIMIT_COMPOUND_SELECT, 8 },
	{ SQLITE_LIMIT_FUNCTION_ARG, 16 },
	{ SQLITE_LIMIT_ATTACHED, 0 },
	{ SQLITE_LIMIT_VARIABLE_NUMBER, 32 },
	{ SQLITE_LIMIT_TRIGGER_DEPTH, 4 },
	{ SQLITE_LIMIT_WORKER_THREADS, 0 },
};

static void free_string(char **string)
{
	free(*string);
}

static int wal_hook(void *user, sqlite3 *db, const char *name, int frames)
{
	(void)db;
	(void)name;
	struct store *store = user;
	store->wal_frames = frames;
	return SQLITE_OK;
}

static int query_int(sqlite3 *db, const char *sql, int64_t *ret)
{
	sqlite3_stmt *statement = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
	if (rc == SQLITE_OK) {
		rc = sqlite3_step(statement);
	}
	if (rc == SQLITE_ROW) {
		*ret = sqlite3_column_int64(statement, 0);
	}
	(void)sqlite3_finalize(statement);
	return rc == SQLITE_ROW ? SQLITE_OK : rc == SQLITE_DONE ? SQLITE_ERROR : rc;
}

/* A failure while opening. What SQLite cannot even read is damage, whatever it calls it. */
static enum status connect_fail(struct store *store, int rc, const char *what, struct error *err)
{
	if ((rc & 0xff) == SQLITE_NOTADB) {
		return error_fail(err, STATUS_CORRUPT,
		                  "%s is not a database of flagd, or its start is damaged; %s", store->path,
		                  STORE_ADVICE);
	}
	if ((rc & 0xff) == SQLITE_ERROR) {
		return error_fail(err, STATUS_CORRUPT, "%s failed: %s; %s", what, sqlite3_errmsg(store->db),
		                  STORE_ADVICE);
	}
	return store_fail(store, rc, what, err);
}

static int open_database(struct store *store)
{
	int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE;
	if (!store->is_immutable) {
		return sqlite3_open_v2(store->path, &store->db, SQLITE_OPEN_READWRITE | flags, NULL);
	}
	/* The path in a URI: sqlite3_mprintf would not escape; only these three have a meaning there. */
	char *uri = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&uri, &length);
	if (out == NULL) {
		return SQLITE_NOMEM;
	}
	(void)fputs("file:", out);
	for (const char *c = store->path; *c != '\0'; c++) {
		if (strchr("%?#", *c) != NULL) {
			(void)fprintf(out, "%%%02x", (unsigned)*c);
		} else {
			(void)fputc(*c, out);
		}
	}
	(void)fputs("?immutable=1", out);
	if (fclose(out) != 0) {
		free(uri);
		return SQLITE_NOMEM;
	}
	int rc = sqlite3_open_v2(uri, &store->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | flags, NULL);
	free(uri);
	return rc;
}

static int set_profile(struct store *store)
{
	(void)sqlite3_extended_result_codes(store->db, 1);
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		(void)sqlite3_limit(store->db, limits[i].id, limits[i].value);
	}
	int rc = sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	if (rc == SQLITE_OK) {
		rc = sqlite3_db_config(store->db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
	}
	if (rc == SQLITE_OK) {
		rc = sqlite3_exec(store->db, profile_sql, NULL, NULL, NULL);
	}
	return rc;
}

/* Ours, or empty; anything else is left as it is. */
static enum status identify(struct store *store, struct error *err)
{
	int64_t application = 0;
	int64_t objects = 0;
	int rc = query_int(store->db, "PRAGMA application_id", &application);
	if (rc == SQLITE_OK) {
		rc = query_int(store->db, "SELECT count(*) FROM sqlite_schema", &objects);
	}
	if (rc != SQLITE_OK) {
		return connect_fail(store, rc, "Reading the database", err);
	}
	if (application != STORE_APPLICATION_ID && (application != 0 || objects != 0)) {
		return error_fail(err, STATUS_CORRUPT,
		                  "%s is a database of another application, or its start is damaged; %s",
		                  store->path, STORE_ADVICE);
	}
	return STATUS_OK;
}

static enum status set_wal(struct store *store, struct error *err)
{
	int rc = sqlite3_exec(store->db, wal_sql, NULL, NULL, NULL);
	if (rc != SQLITE_OK) {
		return connect_fail(store, rc, "Opening the database for writing", err);
	}
	(void)sqlite3_wal_hook(store->db, wal_hook, store);
	sqlite3_stmt *statement = NULL;
	rc = sqlite3_prepare_v2(store->db, "PRAGMA journal_mode", -1, &statement, NULL);
	if (rc == SQLITE_OK) {
		rc = sqlite3_step(statement);
	}
	const char *mode = rc == SQLITE_ROW ? store_column_text(statement, 0) : NULL;
	bool is_wal = mode != NULL && strcmp(mode, "wal") == 0;
	(void)sqlite3_finalize(statement);
	if (is_wal && sqlite3_db_readonly(store->db, "main") == 0) {
		return STATUS_OK;
	}
	if (rc != SQLITE_ROW) {
		return connect_fail(store, rc, "Opening the database for writing", err);
	}
	return error_fail(err, store_dir_is_writable(store) ? STATUS_CORRUPT : STATUS_READ_ONLY,
	                  "The database %s cannot be written", store->path);
}

enum status store_identity_write(struct store *store, enum store_statement id, struct error *err)
{
	struct store_record record;
	store_record_begin(&record, store_statement(store, id), "identity");
	store_record_integer(&record, 1);
	store_record_string(&record, store->instance_id);
	store_record_integer(&record, (int64_t)store->epoch);
	store_record_integer(&record, store->created_ms);
	int rc = store_record_end(&record);
	if (rc == SQLITE_OK) {
		rc = store_run(store, id);
	}
	return rc == SQLITE_OK ? STATUS_OK : store_fail(store, rc, "Writing the database's identity", err);
}

static enum status make_identity(struct store *store, struct error *err)
{
	if (store->head.seq != 0 || store->is_immutable) {
		return store_damaged(store, err, "The database's identity is missing");
	}
	uint8_t id[16];
	randombytes_buf(id, sizeof(id));
	(void)sodium_bin2hex(store->instance_id, sizeof(store->instance_id), id, sizeof(id));
	store->epoch = 1;
	store->created_ms = clock_wall_ms(store->clock);
	return store_identity_write(store, STATEMENT_IDENTITY_INSERT, err);
}

static enum status read_identity(struct store *store, struct error *err)
{
	sqlite3_stmt *statement = store_statement(store, STATEMENT_IDENTITY_GET);
	int rc = sqlite3_step(statement);
	if (rc == SQLITE_DONE) {
		store_release(statement);
		return make_identity(store, err);
	}
	rc = rc == SQLITE_ROW ? store_record_check(statement, "identity") : rc;
	const char *id = rc == SQLITE_OK ? store_column_text(statement, 1) : NULL;
	if (rc == SQLITE_OK && id == NULL) {
		rc = SQLITE_NOMEM;
	}
	enum status status = STATUS_OK;
	if (rc == SQLITE_CORRUPT) {
		status = store_damaged(store, err, "The database's identity does not fit its digest");
	} else if (rc != SQLITE_OK) {
		status = store_fail(store, rc, "Reading the database's identity", err);
	} else {
		(void)snprintf(store->instance_id, sizeof(store->instance_id), "%s", id);
		store->epoch = (uint64_t)sqlite3_column_int64(statement, 2);
		store->created_ms = sqlite3_column_int64(statement, 3);
	}
	store_release(statement);
	return status;
}

/* What opening does to the file, before anything in it is trusted. */
static enum status open_checked(struct store *store, struct error *err)
{
	int rc = open_database(store);
	if (rc == SQLITE_OK) {
		rc = set_profile(store);
	}
	if (rc != SQLITE_OK) {
		return connect_fail(store, rc, "Opening the database", err);
	}
	enum status status = identify(store, err);
	if (status != STATUS_OK || store->is_immutable) {
		return status;
	}
	status = set_wal(store, err);
	if (status == STATUS_OK) {
		status = migrate_apply(store->db, migrations_all, migrations_count,
		                       clock_wall_ms(store->clock), err);
	}
	if (status != STATUS_OK) {
		return status;
	}
	/*
	 * A WAL that an earlier process left may end in a commit that the disk does not have, only the
	 * page cache (its flush had failed). Nothing may be appended behind it: move it all into the
	 * database first. On a full disk that waits; reads are right all the same.
	 */
	rc = sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	if (rc != SQLITE_OK && store_status(store->db, rc) != STATUS_STORAGE_FULL) {
		return connect_fail(store, rc, "Moving the write-ahead log into the database", err);
	}
	store->is_suspect = rc != SQLITE_OK;
	return STATUS_OK;
}

static enum status read_and_check(struct store *store, const struct store_mark *mark, struct error *err)
{
	enum status status = migrate_check(store->db, migrations_all, migrations_count, err);
	if (status == STATUS_OK) {
		status = store_prepare(store, err);
	}
	if (status == STATUS_OK) {
		status = store_journal_read_head(store, err);
	}
	if (status == STATUS_OK) {
		status = read_identity(store, err);
	}
	if (status == STATUS_OK) {
		status = store_check_start(store, err);
	}
	if (status == STATUS_OK) {
		status = store_mark_check(store, mark, err);
	}
	if (status != STATUS_OK || store->is_immutable) {
		return status;
	}
	if (!mark->is_found && store->head.seq > 0) {
		status = store_epoch_raise(store, err);
	}
	if (status == STATUS_OK) {
		store_mark_write(store);
	}
	return status;
}

static enum status connect_as(struct store *store, const struct store_mark *mark, struct error *err)
{
	store->is_suspect = false;
	enum status status = open_checked(store, err);
	if (status == STATUS_OK) {
		status = read_and_check(store, mark, err);
	}
	if (status != STATUS_OK) {
		store_disconnect(store);
	}
	return status;
}

/* Without a WAL the file alone is the whole truth, and can be read where nothing can be written. */
static bool has_no_wal(const struct store *store)
{
	AUTO(free_string) char *path = NULL;
	if (asprintf(&path, "%s-wal", store->path) < 0) {
		path = NULL;
		return false;
	}
	struct stat info;
	return stat(path, &info) != 0 || info.st_size == 0;
}

enum status store_connect(struct store *store, struct error *err)
{
	struct store_mark mark = { 0 };
	enum status status = store_mark_read(store, &mark, err);
	if (status == STATUS_OK) {
		status = store_dir_prepare(store, mark.seq, err);
	}
	if (status != STATUS_OK) {
		return status;
	}
	store->is_immutable = !store_dir_is_writable(store);
	if (store->is_immutable && !has_no_wal(store)) {
		return error_fail(
		        err, STATUS_READ_ONLY,
		        "The data folder %s cannot be written, and halyard.db-wal holds changes that must "
		        "be moved into the database first; make the folder writable",
		        store->dir);
	}
	status = connect_as(store, &mark, err);
	if (status == STATUS_OK && store->is_immutable) {
		store_note(store, STATUS_READ_ONLY, "The data folder cannot be written");
	}
	return status;
}

void store_disconnect(struct store *store)
{
	for (size_t i = 0; i < STATEMENT_COUNT; i++) {
		(void)sqlite3_finalize(store->statements[i]);
		store->statements[i] = NULL;
	}
	(void)sqlite3_close(store->db);
	store->db = NULL;
	store->wal_frames = 0;
}
