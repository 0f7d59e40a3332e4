/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Old databases become new ones, whole or not at all. tests/db/vN.db is a database as flagd with schema N left
 * it; this program writes a new one: `test_migrate --write tests/db/v2.db`.
 */
#include "tests/unit/flagd/store_fixture.h"

#include <sqlite3.h>
#include <sys/wait.h>

#include "flagd/migrate.h"
#include "tests/support/vfs_shim.h"

enum { FIXTURE_FLAGS = 4 };

static const char *fixtures; /* folder of the stored databases */

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

static sqlite3 *open_database(const char *path)
{
	sqlite3 *db = NULL;
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA locking_mode = EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
	return db;
}

/* A copy of the database of schema 1. */
static sqlite3 *open_copy(const char *dir)
{
	copy_file(in_folder(fixtures, "v1.db"), in_folder(dir, "halyard.db"));
	return open_database(in_folder(dir, "halyard.db"));
}

static int64_t number_of(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *statement = NULL;
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	int64_t number = sqlite3_column_int64(statement, 0);
	(void)sqlite3_finalize(statement);
	return number;
}

static char *schema_of(sqlite3 *db)
{
	sqlite3_stmt *statement = NULL;
	assert_int_equal(
	        sqlite3_prepare_v2(db,
	                           "SELECT group_concat(sql, ';') FROM (SELECT sql FROM sqlite_schema "
	                           "ORDER BY type, name)",
	                           -1, &statement, NULL),
	        SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	char *text = strdup((const char *)sqlite3_column_text(statement, 0));
	(void)sqlite3_finalize(statement);
	return text;
}

/* ---- What was released ---- */

static void fill_fixture(struct store *store)
{
	fill_store(store, FIXTURE_FLAGS);
	change_do(store, &(struct test_change){ STORE_FLAG, .key = "flag-0001", .version = 2,
	                                        .doc = "{\"two\":2}" });
	change_do(store,
	          &(struct test_change){ STORE_SETTING, .key = "flag-0002", .environment = "prod",
	                                 .version = 2, .doc = "{\"enabled\":true}", .is_archived = true });
}

static int write_fixture(const char *path)
{
	char *dir = make_folder();
	struct store *store = open_store(dir);
	fill_fixture(store);
	store_close(store);
	copy_file(in_folder(dir, "halyard.db"), path);
	remove_folder(dir);
	free(dir);
	return 0;
}

/* The first lines are the rows, the last one names the database. */
static char *rows_and_journal(struct store *store)
{
	struct error err = ERROR_INIT;
	char *text = dump_store(store, &err);
	assert_non_null(text);
	*strstr(text, "head ") = '\0';
	return text;
}

static void test_every_released_database_opens(void **state)
{
	struct error err = ERROR_INIT;
	char *fresh_dir = make_folder();
	struct store *fresh = open_store(fresh_dir);
	fill_fixture(fresh);
	char *expected = rows_and_journal(fresh);
	store_close(fresh);
	sqlite3 *db = open_database(in_folder(fresh_dir, "halyard.db"));
	char *expected_schema = schema_of(db);
	(void)sqlite3_close(db);
	for (size_t version = 1; version <= migrations_count; version++) {
		char name[16];
		(void)snprintf(name, sizeof(name), "v%zu.db", version);
		remove_folder(*state);
		assert_int_equal(mkdir(*state, 0700), 0);
		copy_file(in_folder(fixtures, name), in_folder(*state, "halyard.db"));
		struct store *store = open_store(*state);
		check_ok(store_verify(store, &err), &err);
		char *text = rows_and_journal(store);
		assert_string_equal(text, expected);
		free(text);
		/* A database alone was put back from a backup. */
		assert_int_equal(store_epoch(store), 2);
		store_close(store);
		db = open_database(in_folder(*state, "halyard.db"));
		char *schema = schema_of(db);
		assert_string_equal(schema, expected_schema);
		assert_int_equal(number_of(db, "PRAGMA user_version"), (int64_t)migrations_count);
		assert_int_equal(number_of(db, "SELECT count(*) FROM schema_migrations"),
		                 (int64_t)migrations_count);
		free(schema);
		(void)sqlite3_close(db);
	}
	free(expected);
	free(expected_schema);
	remove_folder(fresh_dir);
	free(fresh_dir);
}

/* ---- What could come ---- */

#define SHA_2 "2222222222222222222222222222222222222222222222222222222222222222"

/* The released ones and one more. */
static size_t with_next(struct migration *list, const char *sql)
{
	assert_in_range(migrations_count, 1, 7);
	memcpy(list, migrations_all, migrations_count * sizeof(*list));
	list[migrations_count] = (struct migration){ (int)migrations_count + 1, "next", SHA_2, sql };
	return migrations_count + 1;
}

static const char good_sql[] = "CREATE TABLE colour (name TEXT PRIMARY KEY) STRICT;"
                               "INSERT INTO colour SELECT key FROM flag;"
                               "ALTER TABLE colour ADD COLUMN number INTEGER;";

static void test_the_next_one_is_applied_once(void **state)
{
	struct error err = ERROR_INIT;
	struct migration list[8];
	size_t count = with_next(list, good_sql);
	sqlite3 *db = open_copy(*state);
	check_ok(migrate_apply(db, list, count, 5, &err), &err);
	check_ok(migrate_check(db, list, count, &err), &err);
	assert_int_equal(number_of(db, "SELECT count(*) FROM colour"), FIXTURE_FLAGS);
	assert_int_equal(number_of(db, "PRAGMA user_version"), (int64_t)count);
	check_ok(migrate_apply(db, list, count, 6, &err), &err);
	assert_int_equal(
	        number_of(db, "SELECT applied_ms FROM schema_migrations ORDER BY version DESC LIMIT 1"), 5);
	check_fails(migrate_check(db, list, count - 1, &err), STATUS_CORRUPT, &err, "schema is not the one");
	(void)sqlite3_close(db);
}

static void test_a_newer_database_is_refused(void **state)
{
	struct error err = ERROR_INIT;
	struct migration list[8];
	size_t count = with_next(list, good_sql);
	sqlite3 *db = open_copy(*state);
	check_ok(migrate_apply(db, list, count, 5, &err), &err);
	(void)sqlite3_close(db);
	char expected[160];
	(void)snprintf(
	        expected, sizeof(expected),
	        "This database was written by a newer flagd (schema %zu, this one knows %zu); start that "
	        "version, or put back a backup made by this one",
	        count, migrations_count);
	struct store *store = NULL;
	check_fails(store_open(*state, &test_time.clock, &store, &err), STATUS_CONFLICT, &err, expected);
	/* Even when it has no list that we could read. */
	db = open_database(in_folder(*state, "halyard.db"));
	assert_int_equal(
	        sqlite3_exec(db, "ALTER TABLE schema_migrations RENAME TO history", NULL, NULL, NULL),
	        SQLITE_OK);
	(void)sqlite3_close(db);
	check_fails(store_open(*state, &test_time.clock, &store, &err), STATUS_CONFLICT, &err, expected);
}

static void test_another_migration_of_the_same_number_is_refused(void **state)
{
	struct error err = ERROR_INIT;
	struct migration list[8];
	(void)with_next(list, good_sql);
	sqlite3 *db = open_copy(*state);
	list[0].sha256 = SHA_2;
	check_fails(migrate_apply(db, list, migrations_count, 5, &err), STATUS_CONFLICT, &err,
	            "Migration 1 of this database (init) is not the one that this flagd knows");
	list[0].sha256 = migrations_all[0].sha256;
	list[0].name = "start";
	check_fails(migrate_apply(db, list, migrations_count, 5, &err), STATUS_CONFLICT, &err, "Migration 1");
	(void)sqlite3_close(db);
}

static void check_nothing_happened(sqlite3 *db)
{
	struct error err = ERROR_INIT;
	assert_int_equal(number_of(db, "PRAGMA user_version"), (int64_t)migrations_count);
	check_ok(migrate_check(db, migrations_all, migrations_count, &err), &err);
	check_ok(migrate_apply(db, migrations_all, migrations_count, 5, &err), &err);
}

static void test_a_migration_that_fails_changes_nothing(void **state)
{
	struct error err = ERROR_INIT;
	struct migration list[8];
	sqlite3 *db = open_copy(*state);
	size_t count = with_next(list, "CREATE TABLE colour (a); INSERT INTO nowhere VALUES (1);");
	assert_int_not_equal(migrate_apply(db, list, count, 5, &err), STATUS_OK);
	assert_non_null(strstr(err.message, "(next) failed: no such table: nowhere"));
	check_nothing_happened(db);
	count = with_next(list, "CREATE TABLE colour (key TEXT REFERENCES flag (key));"
	                        "INSERT INTO colour VALUES ('no such flag');");
	assert_int_not_equal(migrate_apply(db, list, count, 5, &err), STATUS_OK);
	check_nothing_happened(db);
	(void)sqlite3_close(db);
}

static void test_a_list_with_holes_is_damage(void **state)
{
	static const struct {
		const char *sql;
		const char *text;
	} cases[] = {
		{ "PRAGMA user_version = -1", "negative" },
		{ "PRAGMA user_version = 33", "does not fit the header" },
		{ "UPDATE schema_migrations SET app_version = '9'", "does not fit its digest" },
		{ "UPDATE schema_migrations SET version = 7; PRAGMA user_version = 7", "newer flagd" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct error err = ERROR_INIT;
		sqlite3 *db = open_copy(*state);
		assert_int_equal(sqlite3_exec(db, cases[i].sql, NULL, NULL, NULL), SQLITE_OK);
		enum status status = migrate_apply(db, migrations_all, migrations_count, 5, &err);
		check_fails(status, i < 3 ? STATUS_CORRUPT : STATUS_CONFLICT, &err, cases[i].text);
		(void)sqlite3_close(db);
	}
}

/* ---- kill -9 in the middle ---- */

static bool migrate_in_child(const char *dir, const struct vfs_fault *fault)
{
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct migration list[8];
		size_t count = with_next(list, good_sql);
		sqlite3 *db = open_database(in_folder(dir, "halyard.db"));
		vfs_shim_break(fault);
		_exit(migrate_apply(db, list, count, 5, NULL) == STATUS_OK ? 0 : 1);
	}
	int result = 0;
	assert_int_equal(waitpid(child, &result, 0), child);
	assert_true(WIFSIGNALED(result) || WEXITSTATUS(result) == 0);
	return WIFSIGNALED(result);
}

static void test_killed_at_every_operation(void **state)
{
	struct error err = ERROR_INIT;
	struct migration list[8];
	size_t count = with_next(list, good_sql);
	struct vfs_fault fault = { .ops = VFS_ALL_WRITING | VFS_OPEN, .is_kill = true };
	unsigned old = 0;
	bool was_killed = true;
	for (fault.after = 0; was_killed; fault.after++) {
		(void)unlink(in_folder(*state, "halyard.db-wal"));
		copy_file(in_folder(fixtures, "v1.db"), in_folder(*state, "halyard.db"));
		was_killed = migrate_in_child(*state, &fault);
		sqlite3 *db = open_database(in_folder(*state, "halyard.db"));
		bool is_old = number_of(db, "PRAGMA user_version") == (int64_t)migrations_count;
		check_ok(migrate_check(db, list, is_old ? count - 1 : count, &err), &err);
		check_ok(migrate_apply(db, list, count, 6, &err), &err);
		assert_int_equal(number_of(db, "SELECT count(*) FROM colour"), FIXTURE_FLAGS);
		(void)sqlite3_close(db);
		old += is_old ? 1 : 0;
	}
	assert_true(old > 3);
}

int main(int argc, char **argv)
{
	vfs_shim_install();
	if (argc == 3 && strcmp(argv[1], "--write") == 0) {
		return write_fixture(argv[2]);
	}
	fixtures = getenv("HALYARD_DATABASES");
	if (fixtures == NULL) {
		(void)fputs("HALYARD_DATABASES must name the folder tests/db\n", stderr);
		return 1;
	}
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_every_released_database_opens, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_next_one_is_applied_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_newer_database_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_another_migration_of_the_same_number_is_refused, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(test_a_migration_that_fails_changes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_list_with_holes_is_damage, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed_at_every_operation, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
