/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every write, flush, truncation and deletion fails in turn, once and for ever, while a store is opened,
 * changed and closed. Whatever happens: what was acknowledged is there, nothing is there in part, and
 * the store writes again when the disk does.
 */
#include "tests/unit/flagd/store_fixture.h"

#include <errno.h>

#include "tests/support/vfs_shim.h"

enum { CHANGES = 4 };

struct fault_case {
	const char *name;
	struct vfs_fault fault;
	enum status expected; /* of the change that fails at its commit; 0: any */
};

static const struct fault_case cases[] = {
	{ "full", { .ops = VFS_WRITE, .rc = SQLITE_FULL, .number = ENOSPC }, STATUS_STORAGE_FULL },
	{ "full, half written",
	  { .ops = VFS_WRITE, .rc = SQLITE_FULL, .number = ENOSPC, .is_half = true },
	  STATUS_STORAGE_FULL },
	{ "full for ever",
	  { .ops = VFS_WRITE | VFS_TRUNCATE, .rc = SQLITE_FULL, .number = ENOSPC, .is_lasting = true },
	  STATUS_STORAGE_FULL },
	{ "write error", { .ops = VFS_WRITE, .rc = SQLITE_IOERR, .number = EIO }, STATUS_UNAVAILABLE },
	{ "write error for ever",
	  { .ops = VFS_ALL_WRITING, .rc = SQLITE_IOERR, .number = EIO, .is_lasting = true },
	  STATUS_UNAVAILABLE },
	{ "read-only for ever",
	  { .ops = VFS_ALL_WRITING, .rc = SQLITE_IOERR, .number = EROFS, .is_lasting = true },
	  STATUS_READ_ONLY },
	{ "flush error", { .ops = VFS_SYNC, .rc = SQLITE_IOERR, .number = EIO }, STATUS_UNAVAILABLE },
	{ "flush error for ever",
	  { .ops = VFS_SYNC, .rc = SQLITE_IOERR, .number = EIO, .is_lasting = true },
	  STATUS_UNAVAILABLE },
	{ "flush without room",
	  { .ops = VFS_SYNC, .rc = SQLITE_IOERR, .number = ENOSPC },
	  STATUS_UNAVAILABLE },
	{ "truncate error",
	  { .ops = VFS_TRUNCATE | VFS_DELETE, .rc = SQLITE_IOERR, .number = EIO },
	  STATUS_UNAVAILABLE },
	{ "read error", { .ops = VFS_READ, .rc = SQLITE_IOERR, .number = EIO }, STATUS_UNAVAILABLE },
	{ "no descriptors",
	  { .ops = VFS_OPEN, .rc = SQLITE_CANTOPEN, .number = EMFILE },
	  STATUS_UNAVAILABLE },
};

/* A folder with a filled and closed store, whose files each round starts from. */
static char *origin;

static int group_setup(void **state)
{
	(void)state;
	vfs_shim_install();
	origin = make_folder();
	struct store *store = open_store(origin);
	fill_store(store, 3);
	store_close(store);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	remove_folder(origin);
	free(origin);
	return 0;
}

static const char *const file_names[] = { "halyard.db", "halyard.db-wal", "halyard.head" };

static void copy_store(const char *from, const char *to)
{
	for (size_t i = 0; i < 3; i++) {
		(void)unlink(in_folder(to, file_names[i]));
		if (access(in_folder(from, file_names[i]), F_OK) == 0) {
			copy_file(in_folder(from, file_names[i]), in_folder(to, file_names[i]));
		}
	}
}

/* Change number @number of a round: the flag's next version. */
static enum status round_change(struct store *store, uint64_t number, struct error *err)
{
	char doc[64];
	(void)snprintf(doc, sizeof(doc), "{\"round\":%" PRIu64 "}", number);
	return change_try(store,
	                  &(struct test_change){ STORE_SETTING, .key = "flag-0001", .environment = "dev",
	                                         .version = number + 2, .doc = doc, .revision_of = "dev",
	                                         .revision = number + 5 },
	                  err);
}

static bool find_version(void *user, const struct store_row *row)
{
	if (row->table == STORE_SETTING && strcmp(row->key, "flag-0001") == 0 &&
	    strcmp(row->environment, "dev") == 0) {
		*(uint64_t *)user = row->version;
	}
	return true;
}

/* How many of the round's changes are in the store; its parts must agree about that. */
static uint64_t count_changes(struct store *store)
{
	struct error err = ERROR_INIT;
	uint64_t version = 0;
	check_ok(store_load(store, find_version, &version, &err), &err);
	uint64_t revision = 0;
	uint8_t digest[STORE_HASH_BYTES];
	int64_t at_ms = 0;
	check_ok(store_revision_get(store, "dev", &revision, digest, &at_ms, &err), &err);
	struct store_head head;
	store_journal_head(store, &head);
	assert_int_equal(revision - 4, version - 1);
	assert_int_equal(head.seq - 14, version - 1);
	return version - 1;
}

/* Opens a copy of the files as a crash at this moment would leave them. */
static uint64_t count_after_crash(const char *dir)
{
	char *copy = make_folder();
	copy_store(dir, copy);
	vfs_shim_break(NULL);
	struct error err = ERROR_INIT;
	struct store *store = open_store(copy);
	uint64_t count = count_changes(store);
	check_ok(store_verify(store, &err), &err);
	store_close(store);
	remove_folder(copy);
	free(copy);
	return count;
}

/* A flush that fails leaves the outcome open, whatever errno says. */
static void check_reason(const struct fault_case *fault, enum status status, const char *message)
{
	bool can_be_open = fault->fault.rc == SQLITE_IOERR && (fault->fault.ops & VFS_SYNC) != 0;
	if (status != fault->expected && !(can_be_open && status == STATUS_UNAVAILABLE)) {
		print_error("%s: %s: %s\n", fault->name, status_slug(status), message);
		fail();
	}
	assert_string_not_equal(message, "");
}

/* Changes under the fault. True: nothing failed. *done counts the acknowledged ones. */
static bool change_under_fault(struct store *store, const struct fault_case *fault, const char *dir,
                               uint64_t *done)
{
	struct error err = ERROR_INIT;
	for (int tries = 0; *done < CHANGES && tries < CHANGES; tries++) {
		enum status status = round_change(store, *done, &err);
		if (status == STATUS_OK) {
			(*done)++;
			continue;
		}
		check_reason(fault, status, err.message);
		struct vfs_fault again = fault->fault;
		uint64_t after_crash = count_after_crash(dir);
		if (status == STATUS_UNAVAILABLE) {
			assert_in_range(after_crash, *done, *done + 1);
		} else {
			assert_int_equal(after_crash, *done);
		}
		again.after = 0;
		vfs_shim_break(again.is_lasting ? &again : NULL);
		if (again.is_lasting && again.ops != VFS_READ) {
			assert_int_equal(count_changes(store), *done); /* reading goes on */
			struct store_health health;
			test_time.monotonic_ms += 2000;
			store_health_check(store, &health);
			assert_false(health.is_writable);
			check_reason(fault, health.reason, health.message);
			assert_int_not_equal(round_change(store, *done, &err), STATUS_OK);
		}
		vfs_shim_break(NULL);
		test_time.monotonic_ms += 2000;
		struct store_health health;
		store_health_check(store, &health);
		if (!health.is_writable) {
			print_error("%s: %s\n", fault->name, health.message);
		}
		assert_true(health.is_writable);
		assert_int_equal(health.reason, STATUS_OK);
		assert_int_equal(count_changes(store), *done);
		return false;
	}
	return vfs_shim_failures() == 0;
}

/* One life of a store with the fault at place @after. True: the fault lay behind everything. */
static bool run_round(const struct fault_case *fault, const char *dir, uint64_t after)
{
	copy_store(origin, dir);
	struct vfs_fault now = fault->fault;
	now.after = after;
	vfs_shim_break(&now);
	struct error err = ERROR_INIT;
	struct store *store = NULL;
	uint64_t done = 0;
	bool is_quiet = false;
	enum status status = store_open(dir, &test_time.clock, &store, &err);
	if (status == STATUS_OK) {
		is_quiet = change_under_fault(store, fault, dir, &done);
		while (done < CHANGES) {
			check_ok(round_change(store, done++, &err), &err);
		}
		store_close(store);
		is_quiet = is_quiet && vfs_shim_failures() == 0;
	} else {
		if (status == STATUS_CORRUPT) {
			print_error("%s at %" PRIu64 ": %s\n", fault->name, after, err.message);
			fail();
		}
		assert_string_not_equal(err.message, "");
	}
	vfs_shim_break(NULL);
	store = open_store(dir);
	assert_int_equal(count_changes(store), done);
	assert_int_equal(store_epoch(store), 1);
	check_ok(store_verify(store, &err), &err);
	store_close(store);
	return is_quiet;
}

static void test_every_operation_fails_in_turn(void **state)
{
	(void)state;
	char *dir = make_folder();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t after = 0;
		while (!run_round(&cases[i], dir, after)) {
			after++;
			assert_in_range(after, 0, 2000);
		}
		assert_true(after > 0);
	}
	remove_folder(dir);
	free(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_operation_fails_in_turn),
	};
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
