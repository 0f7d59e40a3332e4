/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Store, inside: what its files share. Nothing outside flagd/store*.c includes this.
 *
 * store.c          opening, closing, recovery after I/O errors
 * store_dir.c      folder, lock file, kinds and modes of the files
 * store_connect.c  the connection: profile, migrations, checks at start
 * store_sql.c      statements, SQLite's results as our errors
 * store_record.c   row digests
 * store_head.c     halyard.head, the journal's end outside the database
 * store_rows.c, store_journal.c, store_state.c, store_answer.c   reading
 * store_commit.c   writing
 * store_health.c, store_verify.c   looking after it
 */
#pragma once

#include <sodium.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "flagd/store.h"

#define STORE_ADVICE "stop flagd and put back a backup of the data folder (docs/schema.md, section 5)"

#define STORE_APPLICATION_ID  1212238937 /* "HALY" */
#define STORE_CHECKED_ENTRIES 1000       /* of the journal's end, at start */
#define STORE_WAL_FRAMES      1000       /* after which a commit also moves the WAL into the database */
#define STORE_ANSWER_TTL_MS   (24 * 3600 * 1000LL)
#define STORE_RETRY_MS        1000              /* between attempts to write again */
#define STORE_MAX_BYTES       (8 * 1024 * 1024) /* of a value and of a row: an entry holds a document thrice */

/* ---- Statements ---- */

#define STORE_COLUMNS_                     "version, archived, created_ms, updated_ms"
#define STORE_LOAD_(table, columns, order) "SELECT " columns ", doc, digest FROM " table " ORDER BY " order
#define STORE_BY_KEY_(table)                                                                   \
	"UPDATE " table " SET version = ?2, archived = ?3, created_ms = ?4, updated_ms = ?5, " \
	"doc = ?6, digest = ?7 WHERE key = ?1 AND version = ?8"

/* clang-format off */
#define STORE_STATEMENTS(X) \
	X(BEGIN, "BEGIN IMMEDIATE") \
	X(COMMIT, "COMMIT") \
	X(ROLLBACK, "ROLLBACK") \
	/* Rows: five of each, in order of enum store_table. Parameters in order of declaration. */ \
	X(LOAD, STORE_LOAD_("environment", "key, " STORE_COLUMNS_, "key")) \
	X(LOAD_FLAG, STORE_LOAD_("flag", "key, " STORE_COLUMNS_, "key")) \
	X(LOAD_SETTING, STORE_LOAD_("setting", "key, environment, " STORE_COLUMNS_, "key, environment")) \
	X(LOAD_SEGMENT, STORE_LOAD_("segment", "key, " STORE_COLUMNS_, "key")) \
	X(LOAD_TOKEN, STORE_LOAD_("token", "key, environment, " STORE_COLUMNS_ ", secret_hash", "key")) \
	X(INSERT, "INSERT INTO environment VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)") \
	X(INSERT_FLAG, "INSERT INTO flag VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)") \
	X(INSERT_SETTING, "INSERT INTO setting VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)") \
	X(INSERT_SEGMENT, "INSERT INTO segment VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)") \
	X(INSERT_TOKEN, "INSERT INTO token VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)") \
	X(UPDATE, STORE_BY_KEY_("environment")) \
	X(UPDATE_FLAG, STORE_BY_KEY_("flag")) \
	X(UPDATE_SETTING, "UPDATE setting SET version = ?3, archived = ?4, created_ms = ?5, updated_ms = ?6, " \
		"doc = ?7, digest = ?8 WHERE key = ?1 AND environment = ?2 AND version = ?9") \
	X(UPDATE_SEGMENT, STORE_BY_KEY_("segment")) \
	X(UPDATE_TOKEN, "UPDATE token SET environment = ?2, version = ?3, archived = ?4, created_ms = ?5, " \
		"updated_ms = ?6, secret_hash = ?7, doc = ?8, digest = ?9 WHERE key = ?1 AND version = ?10") \
	/* Journal */ \
	X(JOURNAL_INSERT, "INSERT INTO journal VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)") \
	X(JOURNAL_AT, "SELECT * FROM journal WHERE seq = ?1") \
	X(JOURNAL_FROM, "SELECT * FROM journal WHERE seq >= ?1 ORDER BY seq") \
	X(JOURNAL_BEFORE, "SELECT * FROM journal WHERE seq < ?1 ORDER BY seq DESC") \
	X(JOURNAL_ENVIRONMENT, "SELECT * FROM journal WHERE environment = ?2 AND environment <> '' AND seq < ?1 " \
		"ORDER BY seq DESC") \
	X(JOURNAL_SUBJECT, "SELECT max(seq) FROM journal WHERE kind = ?1 AND key = ?2 AND environment = ?3 AND seq < ?4") \
	X(JOURNAL_NEXT_ENVIRONMENT, "SELECT min(environment) FROM journal WHERE kind = ?1 AND key = ?2 AND environment > ?3") \
	X(JOURNAL_GROUPS, "SELECT key, environment, max(seq) FROM journal WHERE kind = ?1 AND seq <= ?2 " \
		"GROUP BY key, environment") \
	X(JOURNAL_HEAD, "SELECT seq, latest_ms FROM journal ORDER BY seq DESC LIMIT 1") \
	X(JOURNAL_LATEST, "SELECT latest_ms FROM journal WHERE seq = ?1") \
	X(JOURNAL_CLOCK_BACK, "SELECT seq FROM journal INDEXED BY journal_clock_back WHERE at_ms < latest_ms " \
		"AND at_ms <= ?1 AND seq > ?2 ORDER BY seq DESC LIMIT 1") \
	/* Revisions */ \
	X(REVISION_INSERT, "INSERT INTO revision SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE ?2 = 1 + " \
		"(SELECT coalesce(max(revision), 0) FROM revision WHERE environment = ?1)") \
	X(REVISION_NEWEST, "SELECT * FROM revision WHERE environment = ?1 ORDER BY revision DESC LIMIT 1") \
	/* Answers */ \
	X(ANSWER_INSERT, "INSERT INTO answer VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)") \
	X(ANSWER_FIND, "SELECT * FROM answer WHERE principal = ?1 AND idempotency_key = ?2") \
	X(ANSWER_NEXT_ID, "SELECT 1 + coalesce(max(id), 0) FROM answer") \
	X(ANSWER_DELETE, "DELETE FROM answer WHERE principal = ?1 AND idempotency_key = ?2 " \
		"AND created_ms NOT BETWEEN ?3 AND ?4") \
	X(ANSWER_PRUNE, "DELETE FROM answer WHERE id IN (SELECT id FROM answer ORDER BY id LIMIT 8) " \
		"AND created_ms NOT BETWEEN ?1 AND ?2") \
	/* Identity */ \
	X(IDENTITY_GET, "SELECT * FROM identity") \
	X(IDENTITY_INSERT, "INSERT INTO identity VALUES (?1, ?2, ?3, ?4, ?5)") \
	X(IDENTITY_UPDATE, "UPDATE identity SET instance_id = ?2, epoch = ?3, created_ms = ?4, digest = ?5 WHERE id = ?1") \
	/* There and back: SQLite does not write a page on which nothing differs. */ \
	X(PROBE, "UPDATE identity SET created_ms = created_ms + 1") \
	X(PROBE_BACK, "UPDATE identity SET created_ms = created_ms - 1")
/* clang-format on */

enum store_statement {
#define STORE_STATEMENT_ENUM(name, sql) STATEMENT_##name,
	STORE_STATEMENTS(STORE_STATEMENT_ENUM)
#undef STORE_STATEMENT_ENUM
	        STATEMENT_COUNT
};

struct store {
	/* Set once. */
	char *dir;  /* without symbolic links */
	char *path; /* of the database */
	const struct clock *clock;
	int lock_fd;

	/* The connection; NULL while it cannot be opened. */
	sqlite3 *db;
	sqlite3_stmt *statements[STATEMENT_COUNT];
	int wal_frames;    /* after the last commit */
	bool is_immutable; /* opened on a folder that cannot be written */
	bool is_suspect;   /* a COMMIT failed and may still have reached the WAL */

	/* halyard.head; -1 while it cannot be written */
	int head_fd;
	uint64_t head_writes;

	/* What the database holds, as of the last commit. */
	struct store_head head;
	int64_t latest_ms; /* journal.latest_ms of the head */
	uint64_t epoch;
	int64_t created_ms;
	char instance_id[33];

	/* Why changes are refused; STATUS_OK while they are not. */
	enum status reason;
	char message[256];
	int64_t retry_ms; /* monotonic; no new attempt to recover before */
	int64_t probe_ms; /* monotonic; no new attempt to write before */

	uint64_t commits;
	uint64_t failed_commits;
	struct buf answer; /* strings of the last store_answer_find() */
};

/* ---- store.c ---- */

/*
 * Before each operation: recovers from an earlier I/O error when it is time to. Fails only when there
 * is no connection to read from.
 */
MUST_CHECK enum status store_ready(struct store *store, struct error *err);

/* The same, and fails when changes must not be tried. */
MUST_CHECK enum status store_ready_write(struct store *store, struct error *err);

/* Remembers why changes fail. Damage stays until the process ends. */
void store_note(struct store *store, enum status reason, const char *message);

/* Opens the connection again after an I/O error, or when a read-only folder may be writable again. */
MUST_CHECK enum status store_recover(struct store *store, struct error *err);

/* ---- store_dir.c ---- */

/* Makes and checks the folder, fills dir and path, takes the lock. */
MUST_CHECK enum status store_dir_open(struct store *store, const char *dir, struct error *err);

/* Creates the database file, or checks that it is a plain file of ours. @expected: entries it must hold. */
MUST_CHECK enum status store_dir_prepare(struct store *store, uint64_t expected, struct error *err);

/* Can files be made in the folder? Costs two system calls. */
bool store_dir_is_writable(const struct store *store);

/* ---- store_connect.c ---- */

MUST_CHECK enum status store_connect(struct store *store, struct error *err);
void store_disconnect(struct store *store);

/* Epoch + 1, committed, mark not written. */
MUST_CHECK enum status store_epoch_raise(struct store *store, struct error *err);

/* ---- store_sql.c ---- */

/* Prepares all statements. */
MUST_CHECK enum status store_prepare(struct store *store, struct error *err);

/* A statement, reset, its parameters cleared. */
sqlite3_stmt *store_statement(struct store *store, enum store_statement id);

/* Ends its use: no read transaction stays open. */
void store_release(sqlite3_stmt *statement);

/* Runs a statement to its end. SQLite's result, SQLITE_OK for success. */
int store_run(struct store *store, enum store_statement id);

/* Which status SQLite's result @rc means, looking at errno behind it. */
enum status store_status(sqlite3 *db, int rc);

/* errno behind the last I/O error; 0: none. */
int store_errno(sqlite3 *db);

/* Fills @err for a failed SQLite call; notes I/O errors and damage. */
MUST_CHECK enum status store_fail(struct store *store, int rc, const char *what, struct error *err);

/* Fills @err and notes that the database is damaged. */
MUST_CHECK enum status store_damaged(struct store *store, struct error *err, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* Text of a column; NULL for SQL NULL and when memory runs out. */
const char *store_column_text(sqlite3_stmt *statement, int column);

/* ---- store_record.c ---- */

/*
 * Binds a row's columns in the order of their declaration and hashes them on the way, so that what is
 * stored and what the digest covers cannot differ. The first failure is kept for store_record_end().
 */
struct store_record {
	/* Room for the state, which wants 64-byte alignment; gcc's sanitizer does not align a frame so far. */
	uint8_t room[sizeof(crypto_generichash_state) + 63];
	crypto_generichash_state *hash;
	sqlite3_stmt *statement;
	int index;
	int rc;
};

void store_record_begin(struct store_record *record, sqlite3_stmt *statement, const char *table);
void store_record_integer(struct store_record *record, int64_t value);
void store_record_text(struct store_record *record, const char *text, size_t length); /* NULL: SQL NULL */
void store_record_string(struct store_record *record, const char *string);
void store_record_blob(struct store_record *record, const void *bytes, size_t length);

/* Binds the digest. SQLite's result. */
int store_record_end(struct store_record *record);

/* Does the digest in the last column of the current row fit the others? SQLITE_NOMEM, _CORRUPT or _OK. */
int store_record_check(sqlite3_stmt *statement, const char *table);

/* ---- store_rows.c ---- */

/* "flag", …: names of tables and values of journal.kind. */
extern const char *const store_table_names[STORE_TABLE_COUNT];

/* The current row of STATEMENT_LOAD + @table, digest checked. */
MUST_CHECK enum status store_row_read(struct store *store, sqlite3_stmt *statement, enum store_table table,
                                      struct store_row *ret, struct error *err);

/* ---- store_journal.c ---- */

/* The current row of a `SELECT * FROM journal`, digest checked. */
MUST_CHECK enum status store_entry_read(struct store *store, sqlite3_stmt *statement,
                                        struct store_entry *ret_entry, struct error *err);

/* The highest seq whose time is not after @at_ms; 0 when there is none. */
MUST_CHECK enum status store_seq_at(struct store *store, int64_t at_ms, uint64_t *ret, struct error *err);

/* Fills store->head and latest_ms from the database. */
MUST_CHECK enum status store_journal_read_head(struct store *store, struct error *err);

/* ---- store_head.c ---- */

struct store_mark {
	bool is_found;    /* the file is there */
	bool is_readable; /* and holds a mark */
	char instance_id[33];
	uint64_t epoch;
	uint64_t seq;
	uint8_t hash[STORE_HASH_BYTES];
};

/* Reads halyard.head. STATUS_UNAVAILABLE, … only when the file is there and cannot be read. */
MUST_CHECK enum status store_mark_read(struct store *store, struct store_mark *ret, struct error *err);

/* Compares the database with the mark: is the journal's end still there? */
MUST_CHECK enum status store_mark_check(struct store *store, const struct store_mark *mark,
                                        struct error *err);

/* Writes the present end of the journal; not flushed, failure is ignored (see store_head.c). */
void store_mark_write(struct store *store);

/* ---- store_commit.c ---- */

/*
 * Commits what was begun, or rolls it back. STATUS_UNAVAILABLE: it failed where the WAL may hold it all the
 * same, so that only recovery decides.
 */
MUST_CHECK enum status store_commit_finish(struct store *store, struct error *err);
void store_rollback(struct store *store);

/* Fills @err for a failed write inside a transaction and remembers why writing fails. */
MUST_CHECK enum status store_write_fail(struct store *store, int rc, const char *what, struct error *err);

/* Writes the identity row with the present epoch. */
MUST_CHECK enum status store_identity_write(struct store *store, enum store_statement statement,
                                            struct error *err);

/* ---- store_check.c ---- */

/* The bounded checks at start. */
MUST_CHECK enum status store_check_start(struct store *store, struct error *err);

/* A statement that is used once. */
MUST_CHECK enum status store_query(struct store *store, const char *sql, sqlite3_stmt **ret,
                                   struct error *err);

/* Digests of all rows of @sql, which selects all columns of @table. */
MUST_CHECK enum status store_check_rows(struct store *store, const char *table, const char *sql,
                                        struct error *err);

/* The chain, digests and numbers of all entries from @first on. */
MUST_CHECK enum status store_check_chain(struct store *store, uint64_t first, struct error *err);

/* Runs a quick_check or integrity_check of at most one finding. */
MUST_CHECK enum status store_check_structure(struct store *store, const char *sql, struct error *err);

/* No row is older than what the entries from @first on tell of it: a write to the disk was lost. */
MUST_CHECK enum status store_check_rows_behind(struct store *store, uint64_t first, struct error *err);

/* Fails with the first row of @sql, which selects a sentence for each thing that is wrong. */
MUST_CHECK enum status store_check_none(struct store *store, const char *sql, uint64_t first,
                                        struct error *err);
