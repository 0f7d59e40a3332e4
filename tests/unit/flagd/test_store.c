/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/flagd/store_fixture.h"

#include <sqlite3.h>
#include <sys/wait.h>

static int setup(void **state)
{
	*state = make_folder();
	return 0;
}

static int teardown(void **state)
{
	remove_folder(*state);
	free(*state);
	return 0;
}

static void test_rows_survive_reopening(void **state)
{
	struct error err = ERROR_INIT;
	struct store *store = open_store(*state);
	fill_store(store, 20);
	change_do(store, &(struct test_change){ STORE_FLAG, .key = "flag-0003", .version = 2, .doc = "{}",
	                                        .is_archived = true });
	char *before = dump_store(store, &err);
	assert_non_null(before);
	check_ok(store_verify(store, &err), &err);
	store_close(store);

	store = open_store(*state);
	char *after = dump_store(store, &err);
	assert_string_equal(before, after);
	assert_non_null(strstr(after, "row 1 flag-0003 - 2 1 "));
	assert_non_null(strstr(after, "row 4 tok_bot prod 1 0 "));
	assert_int_equal(store_epoch(store), 1);
	check_ok(store_verify(store, &err), &err);
	store_close(store);
	free(before);
	free(after);
}

static void test_a_wrong_version_changes_nothing(void **state)
{
	struct error err = ERROR_INIT;
	struct store *store = open_store(*state);
	fill_store(store, 2);
	char *before = dump_store(store, &err);
	struct test_change again = { STORE_FLAG, .key = "flag-0001", .version = 1, .doc = "{\"x\":1}" };
	check_fails(change_try(store, &again, &err), STATUS_PRECONDITION_FAILED, &err, "changed meanwhile");
	again.version = 3;
	check_fails(change_try(store, &again, &err), STATUS_PRECONDITION_FAILED, &err, "changed meanwhile");
	struct test_change gap = { STORE_SETTING, "flag-0001",          "dev",        2,
		                   "{}",          .revision_of = "dev", .revision = 5 };
	check_fails(change_try(store, &gap, &err), STATUS_PRECONDITION_FAILED, &err, "revision before 5");
	gap.revision = 3;
	check_fails(change_try(store, &gap, &err), STATUS_PRECONDITION_FAILED, &err, "revision before 3");
	struct test_change orphan = { STORE_SETTING, .key = "flag-0001", .environment = "moon", .version = 1,
		                      .doc = "{}" };
	check_fails(change_try(store, &orphan, &err), STATUS_INVALID, &err, "does not exist");
	orphan.revision_of = "moon";
	orphan.environment = "dev";
	orphan.version = 2;
	orphan.revision = 1;
	check_fails(change_try(store, &orphan, &err), STATUS_INVALID, &err, "does not exist");
	char *after = dump_store(store, &err);
	assert_string_equal(before, after);
	struct store_health health;
	store_health_check(store, &health);
	assert_true(health.is_writable);
	assert_int_equal(health.failed_commits, 6);
	store_close(store);
	free(before);
	free(after);
}

/* ---- Commits that are not well-formed ---- */

/* A commit of one write and one entry, to be bent. */
struct parts {
	struct store_write write;
	struct store_entry entry;
	struct store_commit commit;
};

static void parts_fill(struct store *store, struct parts *parts)
{
	struct store_head head;
	store_journal_head(store, &head);
	*parts = (struct parts){
		.write = { .row = { .table = STORE_FLAG,
		                    .key = "new",
		                    .version = 1,
		                    .doc = "{}",
		                    .doc_length = 2 } },
		.entry = { .seq = head.seq + 1,
		           .at_ms = 1,
		           .table = STORE_FLAG,
		           .key = "new",
		           .action = "a",
		           .actor = "b",
		           .trace_id = "c",
		           .bytes = "{}",
		           .length = 2,
		           .after = "{}",
		           .version = 1 },
	};
	parts->commit = (struct store_commit){
		.writes = &parts->write, .write_count = 1, .entries = &parts->entry, .entry_count = 1
	};
}

static void test_a_write_needs_the_entry_that_tells_of_it(void **state)
{
	struct error err = ERROR_INIT;
	struct store *store = open_store(*state);
	struct parts parts;
	parts_fill(store, &parts);
	parts.commit.entry_count = 0;
	check_fails(store_commit(store, &parts.commit, &err), STATUS_INTERNAL, &err, "no journal entry");
	parts_fill(store, &parts);
	parts.entry.after = "{ }";
	check_fails(store_commit(store, &parts.commit, &err), STATUS_INTERNAL, &err, "no journal entry");
	parts_fill(store, &parts);
	parts.write.row.is_archived = true;
	check_fails(store_commit(store, &parts.commit, &err), STATUS_INTERNAL, &err, "no journal entry");
	parts_fill(store, &parts);
	parts.entry.version = 2;
	check_fails(store_commit(store, &parts.commit, &err), STATUS_INTERNAL, &err, "no journal entry");
	parts_fill(store, &parts);
	parts.entry.environment = "dev";
	check_fails(store_commit(store, &parts.commit, &err), STATUS_INTERNAL, &err, "no journal entry");
	parts_fill(store, &parts);
	parts.write.row.version = 3;
	check_fails(store_commit(store, &parts.commit, &err), STATUS_INTERNAL, &err, "not the next one");
	parts_fill(store, &parts);
	parts.entry.seq = 2;
	check_fails(store_commit(store, &parts.commit, &err), STATUS_PRECONDITION_FAILED, &err,
	            "next entry is 1");
	parts_fill(store, &parts);
	check_ok(store_commit(store, &parts.commit, &err), &err);
	store_close(store);
}

/* Many rows in one commit, the same row twice among them; a failure in the last undoes the first. */
static void test_a_commit_is_one_thing(void **state)
{
	struct error err = ERROR_INIT;
	struct store *store = open_store(*state);
	struct store_write writes[4] = { 0 };
	struct store_entry entries[4] = { 0 };
	static const char *const docs[] = { "{\"a\":1}", "{\"a\":2}", "{\"a\":3}", "{\"a\":4}" };
	for (size_t i = 0; i < 4; i++) {
		uint64_t version = i < 3 ? i + 1 : 1;
		const char *key = i < 3 ? "same" : "other";
		writes[i] = (struct store_write){ .row = { .table = STORE_FLAG,
			                                   .key = key,
			                                   .version = version,
			                                   .doc = docs[i],
			                                   .doc_length = strlen(docs[i]) },
			                          .expected_version = version - 1 };
		entries[i] = (struct store_entry){ .seq = i + 1,
			                           .at_ms = 1,
			                           .table = STORE_FLAG,
			                           .key = key,
			                           .action = "a",
			                           .actor = "b",
			                           .trace_id = "c",
			                           .bytes = docs[i],
			                           .length = strlen(docs[i]),
			                           .after = docs[i],
			                           .version = version };
	}
	struct store_revision revision = { .environment = "nowhere", .revision = 1 };
	struct store_commit commit = { writes, 4, entries, 4, &revision, 1, NULL };
	check_fails(store_commit(store, &commit, &err), STATUS_INVALID, &err, "'nowhere' does not exist");
	struct store_head head;
	store_journal_head(store, &head);
	assert_int_equal(head.seq, 0);
	commit.revision_count = 0;
	check_ok(store_commit(store, &commit, &err), &err);
	store_journal_head(store, &head);
	assert_int_equal(head.seq, 4);
	uint8_t hash[STORE_HASH_BYTES] = { 0 };
	for (size_t i = 0; i < 4; i++) {
		store_journal_hash(hash, docs[i], strlen(docs[i]), hash);
	}
	assert_memory_equal(head.hash, hash, sizeof(hash));
	char *text = dump_store(store, &err);
	assert_non_null(strstr(text, "row 1 same - 3 0 0 0 {\"a\":3}\n"));
	free(text);
	check_ok(store_verify(store, &err), &err);
	store_close(store);
}

static void test_a_value_that_is_too_large_is_refused(void **state)
{
	struct error err = ERROR_INIT;
	struct store *store = open_store(*state);
	size_t length = 9 * 1024 * 1024;
	char *doc = malloc(length + 1);
	assert_non_null(doc);
	memset(doc, 'x', length);
	doc[length] = '\0';
	struct parts parts;
	parts_fill(store, &parts);
	parts.write.row.doc = doc;
	parts.write.row.doc_length = length;
	parts.entry.after = doc;
	check_fails(store_commit(store, &parts.commit, &err), STATUS_TOO_LARGE, &err, "larger than 8 MiB");
	free(doc);
	parts_fill(store, &parts);
	check_ok(store_commit(store, &parts.commit, &err), &err);
	store_close(store);
}

/* ---- Answers ---- */

static struct store_answer make_answer(const char *principal, const char *key)
{
	struct store_answer answer = { .principal = principal,
		                       .idempotency_key = key,
		                       .http_status = 201,
		                       .etag = "\"1\"",
		                       .body = "{\"key\":\"x\"}",
		                       .body_length = 11 };
	memset(answer.request_digest, 5, sizeof(answer.request_digest));
	return answer;
}

static enum status change_with_answer(struct store *store, const char *flag,
                                      const struct store_answer *answer, struct error *err)
{
	return change_try(
	        store,
	        &(struct test_change){ STORE_FLAG, .key = flag, .version = 1, .doc = "{}", .answer = answer },
	        err);
}

static void test_an_answer_is_given_again_for_a_day(void **state)
{
	struct error err = ERROR_INIT;
	struct store *store = open_store(*state);
	struct store_answer answer = make_answer("tok_1", "k");
	struct store_answer found;
	check_fails(store_answer_find(store, "tok_1", "k", &found, &err), STATUS_NOT_FOUND, &err, "");
	check_ok(change_with_answer(store, "one", &answer, &err), &err);
	check_fails(change_with_answer(store, "two", &answer, &err), STATUS_CONFLICT, &err, "used before");
	check_fails(store_answer_find(store, "tok_2", "k", &found, &err), STATUS_NOT_FOUND, &err, "");
	store_close(store);

	store = open_store(*state);
	test_time.wall_ms += 24 * 3600 * 1000 - 1;
	check_ok(store_answer_find(store, "tok_1", "k", &found, &err), &err);
	assert_int_equal(found.http_status, 201);
	assert_string_equal(found.etag, "\"1\"");
	assert_string_equal(found.principal, "tok_1");
	assert_string_equal(found.idempotency_key, "k");
	assert_int_equal(found.body_length, 11);
	assert_memory_equal(found.body, answer.body, 11);
	assert_memory_equal(found.request_digest, answer.request_digest, STORE_HASH_BYTES);
	test_time.wall_ms += 1;
	check_fails(store_answer_find(store, "tok_1", "k", &found, &err), STATUS_NOT_FOUND, &err, "");
	check_ok(change_with_answer(store, "two", &answer, &err), &err);
	check_ok(store_answer_find(store, "tok_1", "k", &found, &err), &err);
	/* A clock that was set back does not make the answer valid for longer than a day either way. */
	test_time.wall_ms -= 3600 * 1000;
	check_ok(store_answer_find(store, "tok_1", "k", &found, &err), &err);
	test_time.wall_ms -= 24 * 3600 * 1000;
	check_fails(store_answer_find(store, "tok_1", "k", &found, &err), STATUS_NOT_FOUND, &err, "");
	store_close(store);
}

static int64_t count_answers(const char *dir)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *statement = NULL;
	assert_int_equal(sqlite3_open(in_folder(dir, "halyard.db"), &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "SELECT count(*) FROM answer", -1, &statement, NULL),
	                 SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	int64_t count = sqlite3_column_int64(statement, 0);
	(void)sqlite3_finalize(statement);
	(void)sqlite3_close(db);
	return count;
}

static void test_old_answers_are_removed_by_and_by(void **state)
{
	struct error err = ERROR_INIT;
	struct store *store = open_store(*state);
	char key[16];
	for (int i = 0; i < 40; i++) {
		(void)snprintf(key, sizeof(key), "k%d", i);
		struct store_answer answer = make_answer("tok_1", key);
		check_ok(change_with_answer(store, key, &answer, &err), &err);
	}
	test_time.wall_ms += 24 * 3600 * 1000;
	for (int i = 40; i < 45; i++) {
		(void)snprintf(key, sizeof(key), "k%d", i);
		struct store_answer answer = make_answer("tok_1", key);
		check_ok(change_with_answer(store, key, &answer, &err), &err);
	}
	check_ok(store_verify(store, &err), &err);
	store_close(store);
	assert_int_equal(count_answers(*state), 5);
}

/* ---- Revisions, epoch ---- */

static void test_revisions_and_epoch(void **state)
{
	struct error err = ERROR_INIT;
	struct store *store = open_store(*state);
	uint64_t revision = 99;
	int64_t at_ms = 99;
	uint8_t digest[STORE_HASH_BYTES];
	uint8_t zeros[STORE_HASH_BYTES] = { 0 };
	check_ok(store_revision_get(store, "dev", &revision, digest, &at_ms, &err), &err);
	assert_int_equal(revision, 0);
	assert_int_equal(at_ms, 0);
	assert_memory_equal(digest, zeros, sizeof(zeros));
	fill_store(store, 3);
	check_ok(store_revision_get(store, "prod", &revision, digest, &at_ms, &err), &err);
	assert_int_equal(revision, 4);
	assert_int_equal(digest[31], 4);
	assert_int_equal(at_ms, test_time.wall_ms);
	char id[40];
	(void)snprintf(id, sizeof(id), "%s", store_instance_id(store));
	assert_int_equal(strlen(id), 32);
	check_ok(store_epoch_bump(store, &err), &err);
	check_ok(store_epoch_bump(store, &err), &err);
	assert_int_equal(store_epoch(store), 3);
	store_close(store);
	store = open_store(*state);
	assert_int_equal(store_epoch(store), 3);
	assert_string_equal(store_instance_id(store), id);
	store_close(store);
	char *other_dir = make_folder();
	store = open_store(other_dir);
	assert_string_not_equal(store_instance_id(store), id);
	store_close(store);
	remove_folder(other_dir);
	free(other_dir);
}

/* ---- Folder, files, lock ---- */

static void test_a_second_one_is_told_who_has_the_folder(void **state)
{
	struct error err = ERROR_INIT;
	struct store *store = open_store(*state);
	struct store *second = NULL;
	char expected[64];
	(void)snprintf(expected, sizeof(expected), "Another flagd (process %ld) uses", (long)getpid());
	check_fails(store_open(*state, &test_time.clock, &second, &err), STATUS_CONFLICT, &err, expected);
	pid_t child = fork();
	if (child == 0) {
		_exit((int)store_open(*state, &test_time.clock, &second, &err));
	}
	int result = 0;
	assert_int_equal(waitpid(child, &result, 0), child);
	assert_int_equal(WEXITSTATUS(result), STATUS_CONFLICT);
	store_close(store);
	store = open_store(*state);
	store_close(store);
}

/* The sqlite3 program and the like cannot get in between. */
static void test_no_other_program_can_write(void **state)
{
	struct store *store = open_store(*state);
	pid_t child = fork();
	if (child == 0) {
		sqlite3 *db = NULL;
		int rc = sqlite3_open(in_folder(*state, "halyard.db"), &db);
		if (rc == SQLITE_OK) {
			rc = sqlite3_exec(db, "DELETE FROM answer", NULL, NULL, NULL);
		}
		_exit(rc);
	}
	int result = 0;
	assert_int_equal(waitpid(child, &result, 0), child);
	assert_int_equal(WEXITSTATUS(result), SQLITE_BUSY);
	store_close(store);
}

static mode_t mode_of(const char *path)
{
	struct stat info;
	assert_int_equal(lstat(path, &info), 0);
	return info.st_mode & 07777;
}

static void test_folder_and_files_are_private(void **state)
{
	char dir[256];
	struct error err = ERROR_INIT;
	(void)snprintf(dir, sizeof(dir), "%s/data", (char *)*state);
	mode_t mask = umask(0);
	struct store *store = open_store(dir);
	fill_store(store, 1);
	(void)umask(mask);
	assert_int_equal(mode_of(dir), 0700);
	static const char *const names[] = { "halyard.db", "halyard.db-wal", "halyard.head", "flagd.lock" };
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(mode_of(in_folder(dir, names[i])), 0600);
	}
	assert_int_equal(access(in_folder(dir, "halyard.db-shm"), F_OK), -1);
	store_close(store);
	assert_int_equal(access(in_folder(dir, "halyard.db-wal"), F_OK), -1);
	assert_int_equal(chmod(in_folder(dir, "halyard.db"), 0644), 0);
	store = open_store(dir);
	assert_int_equal(mode_of(in_folder(dir, "halyard.db")), 0600);
	store_close(store);

	assert_int_equal(chmod(dir, 0707), 0);
	check_fails(store_open(dir, &test_time.clock, &store, &err), STATUS_FORBIDDEN, &err, "chmod o-w");
	assert_int_equal(chmod(dir, 0700), 0);
	assert_int_equal(link(in_folder(dir, "halyard.db"), in_folder(dir, "copy.db")), 0);
	check_fails(store_open(dir, &test_time.clock, &store, &err), STATUS_INVALID, &err, "other links");
	assert_int_equal(unlink(in_folder(dir, "copy.db")), 0);
	assert_int_equal(unlink(in_folder(dir, "flagd.lock")), 0);
	assert_int_equal(symlink("/etc/hostname", in_folder(dir, "flagd.lock")), 0);
	assert_int_not_equal(store_open(dir, &test_time.clock, &store, &err), STATUS_OK);
	remove_folder(dir);
}

static void test_a_folder_that_cannot_be_is_told(void **state)
{
	struct error err = ERROR_INIT;
	struct store *store = NULL;
	char path[256];
	(void)snprintf(path, sizeof(path), "%s/a/b", (char *)*state);
	assert_int_not_equal(store_open(path, &test_time.clock, &store, &err), STATUS_OK);
	assert_non_null(strstr(err.message, "cannot be made"));
	write_bytes(in_folder(*state, "file"), "x", 1);
	(void)snprintf(path, sizeof(path), "%s/file", (char *)*state);
	check_fails(store_open(path, &test_time.clock, &store, &err), STATUS_INVALID, &err, "not a folder");
	store_close(NULL);
}

/* The folder itself may be reached through a link, and its name may hold what a URI would not. */
static void test_odd_names_of_folders(void **state)
{
	char dir[256];
	char alias[256];
	(void)snprintf(dir, sizeof(dir), "%s/a?b#c %%41", (char *)*state);
	(void)snprintf(alias, sizeof(alias), "%s/alias", (char *)*state);
	assert_int_equal(mkdir(dir, 0700), 0);
	assert_int_equal(symlink(dir, alias), 0);
	struct store *store = open_store(alias);
	fill_store(store, 1);
	store_close(store);
	assert_int_equal(access(in_folder(dir, "halyard.db"), F_OK), 0);
	remove_folder(dir);
}

static void test_the_wal_stays_small(void **state)
{
	struct store *store = open_store(*state);
	change_do(store, &(struct test_change){ STORE_FLAG, .key = "a", .version = 1, .doc = "{}" });
	struct store_health health = { 0 };
	uint64_t highest = 0;
	for (uint64_t version = 2; version < 800; version++) {
		change_do(store,
		          &(struct test_change){ STORE_FLAG, .key = "a", .version = version, .doc = "{}" });
		store_health_check(store, &health);
		highest = health.wal_bytes > highest ? health.wal_bytes : highest;
	}
	assert_in_range(highest, 1000 * 4096, 1100 * 4120);
	assert_true(health.database_bytes > 150000);
	assert_int_equal(health.commits, 799);
	store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rows_survive_reopening, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_wrong_version_changes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_write_needs_the_entry_that_tells_of_it, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(test_a_commit_is_one_thing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_value_that_is_too_large_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_an_answer_is_given_again_for_a_day, setup, teardown),
		cmocka_unit_test_setup_teardown(test_old_answers_are_removed_by_and_by, setup, teardown),
		cmocka_unit_test_setup_teardown(test_revisions_and_epoch, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_second_one_is_told_who_has_the_folder, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(test_no_other_program_can_write, setup, teardown),
		cmocka_unit_test_setup_teardown(test_folder_and_files_are_private, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_folder_that_cannot_be_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(test_odd_names_of_folders, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_wal_stays_small, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
