/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/flagd/store_fixture.h"

#include <sys/file.h>
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rows_survive_reopening, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_wrong_version_changes_nothing, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
