/* SPDX-License-Identifier: Apache-2.0 */
/* What is not the database that was closed: flipped bits, cut, foreign, exchanged and missing files. */
#include "tests/unit/flagd/store_fixture.h"

#include <sqlite3.h>

enum { FLIPS = 400 };

static char *origin; /* folder of a filled and closed store */
static char *truth;  /* what it says */

static int group_setup(void **state)
{
	(void)state;
	struct error err = ERROR_INIT;
	origin = make_folder();
	struct store *store = open_store(origin);
	fill_store(store, 60);
	truth = dump_store(store, &err);
	assert_non_null(truth);
	store_close(store);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	remove_folder(origin);
	free(origin);
	free(truth);
	return 0;
}

static int setup(void **state)
{
	char *dir = make_folder();
	copy_file(in_folder(origin, "halyard.db"), in_folder(dir, "halyard.db"));
	copy_file(in_folder(origin, "halyard.head"), in_folder(dir, "halyard.head"));
	*state = dir;
	return 0;
}

static int teardown(void **state)
{
	remove_folder(*state);
	free(*state);
	return 0;
}

static void check_open_fails(const char *dir, enum status status, const char *text)
{
	struct error err = ERROR_INIT;
	struct store *store = NULL;
	check_fails(store_open(dir, &test_time.clock, &store, &err), status, &err, text);
	assert_null(store);
}

/* ---- Flipped bits ---- */

struct tally {
	unsigned at_open;
	unsigned at_read;
	unsigned at_verify;
	unsigned harmless;
	unsigned wrong;
};

/* What is read is either the truth or refused, even before the whole check. */
static void judge_flip(const char *dir, size_t offset, unsigned bit, struct tally *tally)
{
	struct error err = ERROR_INIT;
	struct store *store = NULL;
	if (store_open(dir, &test_time.clock, &store, &err) != STATUS_OK) {
		assert_string_not_equal(err.message, "");
		tally->at_open++;
		return;
	}
	char *text = dump_store(store, &err);
	if (text == NULL) {
		assert_int_equal(err.status, STATUS_CORRUPT);
		tally->at_read++;
	} else if (strcmp(text, truth) != 0) {
		print_error("bit %u of byte %zu changed what is read\n", bit, offset);
		tally->wrong++;
	} else if (store_verify(store, &err) != STATUS_OK) {
		tally->at_verify++;
	} else {
		tally->harmless++;
	}
	free(text);
	store_close(store);
}

static void test_flipped_bits_are_never_served(void **state)
{
	const char *dir = *state;
	size_t length = 0;
	char *bytes = read_bytes(in_folder(origin, "halyard.db"), &length);
	struct tally tally = { 0 };
	uint64_t seed = 20261121;
	for (unsigned i = 0; i < FLIPS; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		/* A quarter of them in the header of the file. */
		size_t offset = (size_t)(seed >> 20) % (i % 4 == 0 ? 100 : length);
		unsigned bit = (unsigned)(seed >> 60) & 7;
		bytes[offset] = (char)(bytes[offset] ^ (1 << bit));
		write_bytes(in_folder(dir, "halyard.db"), bytes, length);
		bytes[offset] = (char)(bytes[offset] ^ (1 << bit));
		(void)unlink(in_folder(dir, "halyard.db-wal"));
		copy_file(in_folder(origin, "halyard.head"), in_folder(dir, "halyard.head"));
		judge_flip(dir, offset, bit, &tally);
	}
	free(bytes);
	print_message("%u at open, %u at read, %u by verify, %u harmless\n", tally.at_open, tally.at_read,
	              tally.at_verify, tally.harmless);
	assert_int_equal(tally.wrong, 0);
	assert_true(tally.at_open > 0 && tally.harmless > 0);
}

/* ---- Files that are not it ---- */

static void test_a_cut_database_is_refused(void **state)
{
	const char *dir = *state;
	size_t length = 0;
	char *bytes = read_bytes(in_folder(origin, "halyard.db"), &length);
	for (size_t cut = 0; cut < length; cut += length / 16) {
		write_bytes(in_folder(dir, "halyard.db"), bytes, cut);
		check_open_fails(dir, STATUS_CORRUPT, "put back a backup");
	}
	write_bytes(in_folder(dir, "halyard.db"), bytes, length - 1);
	check_open_fails(dir, STATUS_CORRUPT, "put back a backup");
	free(bytes);
}

static void test_foreign_files_are_refused_and_left_alone(void **state)
{
	const char *dir = *state;
	const char garbage[] =
	        "This is a letter, not a database, and longer than a header of a hundred bytes is; "
	        "it goes on for a while so that SQLite has something to read.";
	write_bytes(in_folder(dir, "halyard.db"), garbage, sizeof(garbage));
	check_open_fails(dir, STATUS_CORRUPT, "not a database of flagd");
	(void)unlink(in_folder(dir, "halyard.db"));
	sqlite3 *db = NULL;
	assert_int_equal(sqlite3_open(in_folder(dir, "halyard.db"), &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "CREATE TABLE cookies (a)", NULL, NULL, NULL), SQLITE_OK);
	(void)sqlite3_close(db);
	size_t length = 0;
	char *before = read_bytes(in_folder(dir, "halyard.db"), &length);
	check_open_fails(dir, STATUS_CORRUPT, "another application");
	size_t length_after = 0;
	char *after = read_bytes(in_folder(dir, "halyard.db"), &length_after);
	assert_int_equal(length, length_after);
	assert_memory_equal(before, after, length);
	free(before);
	free(after);
	(void)unlink(in_folder(dir, "halyard.db"));
	assert_int_equal(symlink(in_folder(origin, "halyard.db"), in_folder(dir, "halyard.db")), 0);
	check_open_fails(dir, STATUS_INVALID, "plain file");
	(void)unlink(in_folder(dir, "halyard.db"));
	assert_int_equal(mkdir(in_folder(dir, "halyard.db"), 0700), 0);
	check_open_fails(dir, STATUS_INVALID, "plain file");
	assert_int_equal(rmdir(in_folder(dir, "halyard.db")), 0);
}

/* ---- Lost commits ---- */

/* A folder as kill -9 leaves it: database, WAL and mark of a store that is open. */
static void copy_open_store(const char *from, const char *to)
{
	static const char *const names[] = { "halyard.db", "halyard.db-wal", "halyard.head" };
	for (size_t i = 0; i < 3; i++) {
		copy_file(in_folder(from, names[i]), in_folder(to, names[i]));
	}
}

static void change_flag(struct store *store, uint64_t version)
{
	change_do(store, &(struct test_change){ STORE_FLAG, .key = "flag-0000", .version = version,
	                                        .doc = "{\"changed\":true}" });
}

static void test_a_deleted_wal_is_noticed(void **state)
{
	const char *dir = *state;
	char *crashed = make_folder();
	struct store *store = open_store(dir);
	change_flag(store, 2);
	copy_open_store(dir, crashed);
	store_close(store);

	assert_int_equal(unlink(in_folder(crashed, "halyard.db-wal")), 0);
	check_open_fails(crashed, STATUS_CORRUPT, "entry 186 of epoch 1 was acknowledged");
	/* Whoever accepts the loss says so by removing the mark; clients then accept older revisions. */
	assert_int_equal(unlink(in_folder(crashed, "halyard.head")), 0);
	store = open_store(crashed);
	assert_int_equal(store_epoch(store), 2);
	store_close(store);
	store = open_store(crashed);
	assert_int_equal(store_epoch(store), 2);
	store_close(store);
	remove_folder(crashed);
	free(crashed);
}

static void test_a_mark_with_one_torn_slot_still_tells(void **state)
{
	const char *dir = *state;
	struct store *store = open_store(dir);
	change_flag(store, 2);
	change_flag(store, 3);
	store_close(store);
	copy_file(in_folder(origin, "halyard.db"), in_folder(dir, "halyard.db"));
	size_t length = 0;
	char *mark = read_bytes(in_folder(dir, "halyard.head"), &length);
	assert_int_equal(length, 4096);
	for (int slot = 0; slot < 2; slot++) {
		char *torn = malloc(length);
		assert_non_null(torn);
		memcpy(torn, mark, length);
		torn[slot * 512 + 40] ^= 1;
		write_bytes(in_folder(dir, "halyard.head"), torn, length);
		check_open_fails(dir, STATUS_CORRUPT, "was acknowledged");
		free(torn);
	}
	free(mark);
	/* Nothing in it can be read: as if nothing were known, and no reason for another epoch. */
	write_bytes(in_folder(dir, "halyard.head"), "", 0);
	store = open_store(dir);
	assert_int_equal(store_epoch(store), 1);
	store_close(store);
}

static void test_another_database_under_the_same_mark_is_noticed(void **state)
{
	const char *dir = *state;
	char *other = make_folder();
	struct store *store = open_store(other);
	fill_store(store, 61);
	store_close(store);
	copy_file(in_folder(other, "halyard.db"), in_folder(dir, "halyard.db"));
	check_open_fails(dir, STATUS_CORRUPT, "belongs to another database");
	remove_folder(other);
	free(other);
}

/* Put back from a backup, then changed otherwise: the same length, but not the same history. */
static void test_a_history_that_went_another_way_is_noticed(void **state)
{
	const char *dir = *state;
	char *other = make_folder();
	copy_file(in_folder(dir, "halyard.db"), in_folder(other, "halyard.db"));
	copy_file(in_folder(dir, "halyard.head"), in_folder(other, "halyard.head"));
	struct store *store = open_store(dir);
	change_flag(store, 2);
	store_close(store);
	store = open_store(other);
	change_do(store, &(struct test_change){ STORE_FLAG, .key = "flag-0001", .version = 2, .doc = "{}" });
	change_flag(store, 2);
	store_close(store);
	copy_file(in_folder(other, "halyard.db"), in_folder(dir, "halyard.db"));
	check_open_fails(dir, STATUS_CORRUPT, "entry 186 is not the one");
	remove_folder(other);
	free(other);
}

static void test_a_missing_database_is_not_made_anew(void **state)
{
	const char *dir = *state;
	assert_int_equal(unlink(in_folder(dir, "halyard.db")), 0);
	check_open_fails(dir, STATUS_CORRUPT, "is missing, but 185 journal entries");
	assert_int_equal(access(in_folder(dir, "halyard.db"), F_OK), -1);
	write_bytes(in_folder(dir, "halyard.db"), "", 0);
	check_open_fails(dir, STATUS_CORRUPT, "is empty, but 185 journal entries");
	assert_int_equal(unlink(in_folder(dir, "halyard.head")), 0);
	struct store *store = open_store(dir);
	struct store_head head;
	store_journal_head(store, &head);
	assert_int_equal(head.seq, 0);
	store_close(store);
}

/* ---- Changed by somebody who knows SQL ---- */

static void run_sql(const char *dir, const char *sql)
{
	sqlite3 *db = NULL;
	char *message = NULL;
	assert_int_equal(sqlite3_open(in_folder(dir, "halyard.db"), &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) {
		print_error("%s: %s\n", sql, message);
		fail();
	}
	(void)sqlite3_close(db);
}

/* Opens if it can, reads, checks: the first failure must be damage, told by @text. */
static void check_damage_is_told(const char *dir, const char *sql, const char *text)
{
	copy_file(in_folder(origin, "halyard.db"), in_folder(dir, "halyard.db"));
	copy_file(in_folder(origin, "halyard.head"), in_folder(dir, "halyard.head"));
	(void)unlink(in_folder(dir, "halyard.db-wal"));
	run_sql(dir, sql);
	struct error err = ERROR_INIT;
	struct store *store = NULL;
	enum status status = store_open(dir, &test_time.clock, &store, &err);
	if (status == STATUS_OK) {
		status = store_verify(store, &err);
	}
	if (status == STATUS_OK) {
		print_error("not noticed: %s\n", sql);
	}
	check_fails(status, STATUS_CORRUPT, &err, text);
	if (store != NULL) {
		/* From now on nothing is written to it, and that is said. */
		struct store_health health;
		store_health_check(store, &health);
		assert_false(health.is_writable);
		assert_int_equal(health.reason, STATUS_CORRUPT);
		struct test_change change = { STORE_SEGMENT, .key = "new", .version = 1, .doc = "{}" };
		check_fails(change_try(store, &change, &err), STATUS_CORRUPT, &err, text);
	}
	store_close(store);
}

#define KEEP "DROP TRIGGER journal_keep_update; DROP TRIGGER journal_keep_delete; "
#define PUT_BACK                                                                 \
	"; CREATE TRIGGER journal_keep_update BEFORE UPDATE ON journal\nBEGIN\n" \
	"\tSELECT RAISE(ABORT, 'the journal is append-only');\nEND; "            \
	"CREATE TRIGGER journal_keep_delete BEFORE DELETE ON journal\nBEGIN\n"   \
	"\tSELECT RAISE(ABORT, 'the journal is append-only');\nEND"

static void test_changes_by_hand_are_told(void **state)
{
	const char *dir = *state;
	check_damage_is_told(dir, "UPDATE flag SET doc = '{}' WHERE key = 'flag-0001'", "flag 'flag-0001'");
	check_damage_is_told(dir, "UPDATE token SET secret_hash = zeroblob(32) WHERE key = 'tok_bot'",
	                     "token 'tok_bot'");
	check_damage_is_told(dir, "UPDATE setting SET archived = 1 WHERE key = 'flag-0001'",
	                     "setting 'flag-0001'");
	check_damage_is_told(dir, "UPDATE identity SET epoch = 9", "identity");
	check_damage_is_told(dir, "DELETE FROM identity", "identity is missing");
	check_damage_is_told(dir, "DELETE FROM segment", "row of segment 'ops' is older than journal entry");
	check_damage_is_told(dir, "UPDATE schema_migrations SET applied_ms = 1", "list of migrations");
	check_damage_is_told(dir, "DELETE FROM schema_migrations", "list of migrations");
	check_damage_is_told(dir, "PRAGMA user_version = 0", "Migration 1 (init) failed");
	check_damage_is_told(dir, "DROP INDEX journal_subject", "schema is not the one");
	check_damage_is_told(dir, "CREATE TABLE extra (a)", "schema is not the one");
	check_damage_is_told(dir, "DROP TRIGGER revision_keep_update", "schema is not the one");
	check_damage_is_told(dir, KEEP "DELETE FROM journal WHERE seq = 185" PUT_BACK, "was acknowledged");
	check_damage_is_told(dir, KEEP "DELETE FROM journal WHERE seq = 100" PUT_BACK,
	                     "entry 100 is missing");
	check_damage_is_told(dir, KEEP "UPDATE journal SET actor = 'token:other' WHERE seq = 7" PUT_BACK,
	                     "entry 7 does not fit its digest");
	check_damage_is_told(dir, "PRAGMA foreign_keys = OFF; DELETE FROM environment WHERE key = 'dev'",
	                     "row of environment 'dev' is older");
}

static void test_nobody_can_change_the_journal_by_accident(void **state)
{
	sqlite3 *db = NULL;
	assert_int_equal(sqlite3_open(in_folder(*state, "halyard.db"), &db), SQLITE_OK);
	static const char *const statements[] = { "UPDATE journal SET at_ms = 0", "DELETE FROM journal",
		                                  "UPDATE revision SET at_ms = 0", "DELETE FROM revision" };
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(sqlite3_exec(db, statements[i], NULL, NULL, NULL), SQLITE_CONSTRAINT);
		assert_non_null(strstr(sqlite3_errmsg(db), "append-only"));
	}
	(void)sqlite3_close(db);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_flipped_bits_are_never_served, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_cut_database_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_foreign_files_are_refused_and_left_alone, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(test_a_deleted_wal_is_noticed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_mark_with_one_torn_slot_still_tells, setup, teardown),
		cmocka_unit_test_setup_teardown(test_another_database_under_the_same_mark_is_noticed, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(test_a_history_that_went_another_way_is_noticed, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(test_a_missing_database_is_not_made_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(test_changes_by_hand_are_told, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nobody_can_change_the_journal_by_accident, setup,
		                                teardown),
	};
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
