/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/store_internal.h"

#include <inttypes.h>
#include <string.h>

enum status store_write_fail(struct store *store, int rc, const char *what, struct error *err)
{
	struct error local = ERROR_INIT;
	enum status status = store_fail(store, rc, what, &local);
	if (status == STATUS_STORAGE_FULL || status == STATUS_READ_ONLY || status == STATUS_UNAVAILABLE) {
		store_note(store, status, local.message);
	}
	return error_fail(err, status, "%s", local.message);
}

void store_rollback(struct store *store)
{
	/* SQLite has rolled back by itself after some errors. */
	if (!sqlite3_get_autocommit(store->db)) {
		(void)store_run(store, STATEMENT_ROLLBACK);
	}
}

/*
 * COMMIT writes the frames and flushes them; the last frame makes them count. A failed write means that it
 * is not there. Behind it, at the flush or in memory, the commit may be complete in the file.
 */
static bool is_outcome_open(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_FULL:
	case SQLITE_READONLY:
	case SQLITE_CONSTRAINT:
	case SQLITE_BUSY:
		return false;
	default:
		return rc != SQLITE_IOERR_WRITE;
	}
}

enum status store_commit_finish(struct store *store, struct error *err)
{
	int rc = store_run(store, STATEMENT_COMMIT);
	if (rc == SQLITE_OK) {
		store_note(store, STATUS_OK, "");
		return STATUS_OK;
	}
	enum status status = store_write_fail(store, rc, "Storing the change", err);
	if (is_outcome_open(rc) && status != STATUS_CORRUPT) {
		status = error_fail(
		        err, STATUS_UNAVAILABLE,
		        "Storing the change failed (%s); it may or may not have been stored: repeat it "
		        "with the same Idempotency-Key",
		        sqlite3_errstr(rc));
		store->is_suspect = true;
		store_note(store, STATUS_UNAVAILABLE, "The last change could not be flushed to the disk");
	}
	store_rollback(store);
	return status;
}

/* ---- Is it well-formed? ---- */

static bool same_string(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Does @entry tell of what @row is to become? */
static bool entry_tells(const struct store_entry *entry, const struct store_row *row)
{
	return entry->table == row->table && entry->version == row->version &&
	       strcmp(entry->key, row->key) == 0 && same_string(entry->environment, row->environment) &&
	       (row->is_archived ? entry->after == NULL
	                         : entry->after != NULL && strlen(entry->after) == row->doc_length &&
	                                   memcmp(entry->after, row->doc, row->doc_length) == 0);
}

/* Usually the entry at the row's own place. */
static bool has_entry(const struct store_commit *commit, size_t index)
{
	const struct store_row *row = &commit->writes[index].row;
	if (index < commit->entry_count && entry_tells(&commit->entries[index], row)) {
		return true;
	}
	for (size_t i = 0; i < commit->entry_count; i++) {
		if (entry_tells(&commit->entries[i], row)) {
			return true;
		}
	}
	return false;
}

static enum status check_commit(const struct store *store, const struct store_commit *commit,
                                struct error *err)
{
	for (size_t i = 0; i < commit->write_count; i++) {
		const struct store_write *write = &commit->writes[i];
		if (write->row.version != write->expected_version + 1 || write->row.version > INT64_MAX) {
			return error_fail(err, STATUS_INTERNAL, "A row's new version is not the next one");
		}
		if (!has_entry(commit, i)) {
			return error_fail(err, STATUS_INTERNAL,
			                  "The change of %s '%.128s' has no journal entry that tells of it",
			                  store_table_names[write->row.table], write->row.key);
		}
	}
	for (size_t i = 0; i < commit->entry_count; i++) {
		if (commit->entries[i].seq != store->head.seq + 1 + i) {
			return error_fail(err, STATUS_PRECONDITION_FAILED,
			                  "The journal's next entry is %" PRIu64 ", not %" PRIu64,
			                  store->head.seq + 1 + i, commit->entries[i].seq);
		}
	}
	return STATUS_OK;
}

/* ---- Applying, inside the transaction ---- */

static void record_row(struct store_record *record, const struct store_row *row)
{
	store_record_string(record, row->key);
	if (row->table == STORE_SETTING || row->table == STORE_TOKEN) {
		store_record_string(record, row->environment);
	}
	store_record_integer(record, (int64_t)row->version);
	store_record_integer(record, row->is_archived ? 1 : 0);
	store_record_integer(record, row->created_ms);
	store_record_integer(record, row->updated_ms);
	if (row->table == STORE_TOKEN) {
		store_record_blob(record, row->secret_hash, STORE_HASH_BYTES);
	}
	store_record_text(record, row->doc, row->doc_length);
}

static enum status row_moved(const struct store_row *row, struct error *err)
{
	return error_fail(err, STATUS_PRECONDITION_FAILED, "The %s '%.128s' was changed meanwhile",
	                  store_table_names[row->table], row->key);
}

static enum status apply_write(struct store *store, const struct store_write *write, struct error *err)
{
	const struct store_row *row = &write->row;
	int first = write->expected_version == 0 ? STATEMENT_INSERT : STATEMENT_UPDATE;
	enum store_statement id = (enum store_statement)(first + (int)row->table);
	sqlite3_stmt *statement = store_statement(store, id);
	struct store_record record;
	store_record_begin(&record, statement, store_table_names[row->table]);
	record_row(&record, row);
	int rc = store_record_end(&record);
	if (rc == SQLITE_OK && write->expected_version != 0) {
		rc = sqlite3_bind_int64(statement, record.index, (int64_t)write->expected_version);
	}
	if (rc == SQLITE_OK) {
		rc = store_run(store, id);
	}
	if (rc == SQLITE_CONSTRAINT_PRIMARYKEY) {
		return row_moved(row, err);
	}
	if (rc == SQLITE_CONSTRAINT_FOREIGNKEY) {
		return error_fail(err, STATUS_INVALID,
		                  "The %s '%.128s' belongs to a flag or an environment that does not exist",
		                  store_table_names[row->table], row->key);
	}
	if (rc != SQLITE_OK) {
		return store_write_fail(store, rc, "Storing the change", err);
	}
	return sqlite3_changes(store->db) == 1 ? STATUS_OK : row_moved(row, err);
}

static enum status apply_entry(struct store *store, const struct store_entry *entry, int64_t latest_ms,
                               const uint8_t hash[static STORE_HASH_BYTES], struct error *err)
{
	struct store_record record;
	store_record_begin(&record, store_statement(store, STATEMENT_JOURNAL_INSERT), "journal");
	store_record_integer(&record, (int64_t)entry->seq);
	store_record_integer(&record, entry->at_ms);
	store_record_integer(&record, latest_ms);
	store_record_string(&record, store_table_names[entry->table]);
	store_record_string(&record, entry->key);
	store_record_string(&record, entry->environment == NULL ? "" : entry->environment);
	store_record_string(&record, entry->action);
	store_record_string(&record, entry->actor);
	store_record_string(&record, entry->trace_id);
	store_record_integer(&record, (int64_t)entry->version);
	store_record_blob(&record, hash, STORE_HASH_BYTES);
	store_record_string(&record, entry->after);
	store_record_text(&record, entry->bytes, entry->length);
	int rc = store_record_end(&record);
	if (rc == SQLITE_OK) {
		rc = store_run(store, STATEMENT_JOURNAL_INSERT);
	}
	return rc == SQLITE_OK ? STATUS_OK : store_write_fail(store, rc, "Writing the journal", err);
}

/* @head and @latest_ms become those behind the entries. */
static enum status apply_entries(struct store *store, const struct store_commit *commit,
                                 struct store_head *head, int64_t *latest_ms, struct error *err)
{
	for (size_t i = 0; i < commit->entry_count; i++) {
		const struct store_entry *entry = &commit->entries[i];
		uint8_t hash[STORE_HASH_BYTES];
		store_journal_hash(head->hash, entry->bytes, entry->length, hash);
		if (entry->at_ms > *latest_ms) {
			*latest_ms = entry->at_ms;
		}
		enum status status = apply_entry(store, entry, *latest_ms, hash, err);
		if (status != STATUS_OK) {
			return status;
		}
		head->seq = entry->seq;
		head->at_ms = entry->at_ms;
		memcpy(head->hash, hash, sizeof(hash));
	}
	return STATUS_OK;
}

static enum status apply_revision(struct store *store, const struct store_revision *revision, uint64_t seq,
                                  int64_t at_ms, struct error *err)
{
	struct store_record record;
	store_record_begin(&record, store_statement(store, STATEMENT_REVISION_INSERT), "revision");
	store_record_string(&record, revision->environment);
	store_record_integer(&record, (int64_t)revision->revision);
	store_record_integer(&record, (int64_t)seq);
	store_record_integer(&record, at_ms);
	store_record_blob(&record, revision->digest, STORE_HASH_BYTES);
	int rc = store_record_end(&record);
	if (rc == SQLITE_OK) {
		rc = store_run(store, STATEMENT_REVISION_INSERT);
	}
	if (rc == SQLITE_CONSTRAINT_FOREIGNKEY) {
		return error_fail(err, STATUS_INVALID, "The environment '%.128s' does not exist",
		                  revision->environment);
	}
	if (rc != SQLITE_OK) {
		return store_write_fail(store, rc, "Storing the revision", err);
	}
	if (sqlite3_changes(store->db) != 1) {
		return error_fail(err, STATUS_PRECONDITION_FAILED,
		                  "Environment '%.128s' is not at the revision before %" PRIu64,
		                  revision->environment, revision->revision);
	}
	return STATUS_OK;
}

/* A statement whose last two parameters are the times between which an answer is young enough. */
static int run_answer_delete(struct store *store, enum store_statement id, const struct store_answer *answer,
                             int64_t now_ms)
{
	sqlite3_stmt *statement = store_statement(store, id);
	int index = 1;
	if (answer != NULL) {
		(void)sqlite3_bind_text(statement, index++, answer->principal, -1, SQLITE_STATIC);
		(void)sqlite3_bind_text(statement, index++, answer->idempotency_key, -1, SQLITE_STATIC);
	}
	(void)sqlite3_bind_int64(statement, index++, now_ms - STORE_ANSWER_TTL_MS + 1);
	(void)sqlite3_bind_int64(statement, index, now_ms + STORE_ANSWER_TTL_MS - 1);
	return store_run(store, id);
}

static int next_answer_id(struct store *store, int64_t *ret)
{
	sqlite3_stmt *statement = store_statement(store, STATEMENT_ANSWER_NEXT_ID);
	int rc = sqlite3_step(statement);
	*ret = rc == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
	store_release(statement);
	return rc == SQLITE_ROW ? SQLITE_OK : rc;
}

static enum status apply_answer(struct store *store, const struct store_answer *answer, int64_t now_ms,
                                struct error *err)
{
	int64_t id = 0;
	int rc = run_answer_delete(store, STATEMENT_ANSWER_PRUNE, NULL, now_ms);
	if (rc == SQLITE_OK) {
		rc = run_answer_delete(store, STATEMENT_ANSWER_DELETE, answer, now_ms);
	}
	if (rc == SQLITE_OK) {
		rc = next_answer_id(store, &id);
	}
	if (rc == SQLITE_OK) {
		struct store_record record;
		store_record_begin(&record, store_statement(store, STATEMENT_ANSWER_INSERT), "answer");
		store_record_integer(&record, id);
		store_record_string(&record, answer->principal);
		store_record_string(&record, answer->idempotency_key);
		store_record_integer(&record, now_ms);
		store_record_blob(&record, answer->request_digest, STORE_HASH_BYTES);
		store_record_integer(&record, answer->http_status);
		store_record_string(&record, answer->etag);
		store_record_text(&record, answer->body, answer->body_length);
		rc = store_record_end(&record);
	}
	if (rc == SQLITE_OK) {
		rc = store_run(store, STATEMENT_ANSWER_INSERT);
	}
	if (rc == SQLITE_CONSTRAINT_UNIQUE) {
		return error_fail(err, STATUS_CONFLICT, "This idempotency key was used before");
	}
	return rc == SQLITE_OK ? STATUS_OK : store_write_fail(store, rc, "Storing the answer", err);
}

static enum status apply(struct store *store, const struct store_commit *commit, struct store_head *head,
                         int64_t *latest_ms, struct error *err)
{
	int64_t now_ms = clock_wall_ms(store->clock);
	enum status status = STATUS_OK;
	if (commit->answer != NULL) {
		status = apply_answer(store, commit->answer, now_ms, err);
	}
	for (size_t i = 0; status == STATUS_OK && i < commit->write_count; i++) {
		status = apply_write(store, &commit->writes[i], err);
	}
	if (status == STATUS_OK) {
		status = apply_entries(store, commit, head, latest_ms, err);
	}
	int64_t at_ms = commit->entry_count > 0 ? head->at_ms : now_ms;
	for (size_t i = 0; status == STATUS_OK && i < commit->revision_count; i++) {
		status = apply_revision(store, &commit->revisions[i], head->seq, at_ms, err);
	}
	return status;
}

/* Keeps the WAL short. The commit is durable already: a failure here is not the caller's. */
static void checkpoint(struct store *store)
{
	if (store->wal_frames < STORE_WAL_FRAMES) {
		return;
	}
	int rc = sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	if (rc != SQLITE_OK) {
		struct error ignored = ERROR_INIT;
		(void)!store_write_fail(store, rc, "Moving the write-ahead log into the database", &ignored);
	}
}

static enum status commit_in_transaction(struct store *store, const struct store_commit *commit,
                                         struct error *err)
{
	int rc = store_run(store, STATEMENT_BEGIN);
	if (rc != SQLITE_OK) {
		return store_write_fail(store, rc, "Starting the change", err);
	}
	struct store_head head = store->head;
	int64_t latest_ms = store->latest_ms;
	enum status status = apply(store, commit, &head, &latest_ms, err);
	if (status != STATUS_OK) {
		store_rollback(store);
		return status;
	}
	status = store_commit_finish(store, err);
	if (status == STATUS_OK) {
		store->head = head;
		store->latest_ms = latest_ms;
	}
	return status;
}

enum status store_commit(struct store *store, const struct store_commit *commit, struct error *err)
{
	enum status status = store_ready_write(store, err);
	if (status == STATUS_OK) {
		status = check_commit(store, commit, err);
	}
	if (status == STATUS_OK) {
		status = commit_in_transaction(store, commit, err);
	}
	if (status != STATUS_OK) {
		store->failed_commits++;
		return status;
	}
	store->commits++;
	store_mark_write(store);
	checkpoint(store);
	return STATUS_OK;
}

enum status store_revision_get(struct store *store, const char *environment, uint64_t *ret_revision,
                               uint8_t ret_digest[static STORE_HASH_BYTES], int64_t *ret_at_ms,
                               struct error *err)
{
	enum status status = store_ready(store, err);
	if (status != STATUS_OK) {
		return status;
	}
	sqlite3_stmt *statement = store_statement(store, STATEMENT_REVISION_NEWEST);
	(void)sqlite3_bind_text(statement, 1, environment, -1, SQLITE_STATIC);
	int rc = sqlite3_step(statement);
	if (rc == SQLITE_DONE) {
		*ret_revision = 0;
		*ret_at_ms = 0;
		memset(ret_digest, 0, STORE_HASH_BYTES);
		store_release(statement);
		return STATUS_OK;
	}
	rc = rc == SQLITE_ROW ? store_record_check(statement, "revision") : rc;
	const void *digest = rc == SQLITE_OK ? sqlite3_column_blob(statement, 4) : NULL;
	if (rc == SQLITE_CORRUPT) {
		status = store_damaged(store, err,
		                       "The newest revision of environment '%.128s' does not fit its digest",
		                       environment);
	} else if (digest == NULL) {
		status = store_fail(store, rc == SQLITE_OK ? SQLITE_NOMEM : rc, "Reading the revision", err);
	} else {
		*ret_revision = (uint64_t)sqlite3_column_int64(statement, 1);
		*ret_at_ms = sqlite3_column_int64(statement, 3);
		memcpy(ret_digest, digest, STORE_HASH_BYTES);
	}
	store_release(statement);
	return status;
}
