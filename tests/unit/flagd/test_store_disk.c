/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real file systems that are full or read-only: small ones in memory, mounted in a mount namespace of this
 * process. Skipped where that is not allowed.
 */
#include "tests/unit/flagd/store_fixture.h"

#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>

static char *place;    /* where the file system is mounted */
static char data[300]; /* the data folder on it */
static bool may_mount;

static int group_setup(void **state)
{
	(void)state;
	place = make_folder();
	(void)snprintf(data, sizeof(data), "%s/data", place);
	may_mount = unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	remove_folder(place);
	free(place);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	return !may_mount || mount("none", place, "tmpfs", 0, "size=3m") == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	return !may_mount || umount2(place, MNT_DETACH) == 0 ? 0 : -1;
}

static void remount(bool is_read_only)
{
	unsigned long flags = MS_REMOUNT | (is_read_only ? MS_RDONLY : 0);
	assert_int_equal(mount("none", place, "tmpfs", flags, "size=3m"), 0);
}

/* Takes all the room that is left. */
static void fill_disk(void)
{
	int fd = open(in_folder(place, "fill"), O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	static const char zeros[4096];
	while (write(fd, zeros, sizeof(zeros)) > 0) {
	}
	assert_int_equal(errno, ENOSPC);
	(void)close(fd);
}

static void free_disk(void)
{
	assert_int_equal(unlink(in_folder(place, "fill")), 0);
}

static struct test_change next_change(uint64_t version)
{
	return (struct test_change){ STORE_FLAG,           .key = "flag-0001",
		                     .version = version,   .doc = "{\"big\":true}",
		                     .revision_of = "dev", .revision = version + 2 };
}

/* Changes until one fails; the version that failed. */
static uint64_t change_until(struct store *store, uint64_t version, enum status expected)
{
	struct error err = ERROR_INIT;
	enum status status = STATUS_OK;
	for (; version < 600 && status == STATUS_OK; version += status == STATUS_OK ? 1 : 0) {
		struct test_change change = next_change(version);
		status = change_try(store, &change, &err);
	}
	assert_int_equal(status, expected);
	return version;
}

static void check_reads(struct store *store, uint64_t seq)
{
	struct error err = ERROR_INIT;
	char *text = dump_store(store, &err);
	assert_non_null(text);
	free(text);
	struct store_head head;
	store_journal_head(store, &head);
	assert_int_equal(head.seq, seq);
}

static uint64_t seq_of(struct store *store)
{
	struct store_head head;
	store_journal_head(store, &head);
	return head.seq;
}

static struct store_health health_after(struct store *store, int64_t ms)
{
	struct store_health health;
	test_time.monotonic_ms += ms;
	store_health_check(store, &health);
	return health;
}

static void test_a_full_disk_while_running(void **state)
{
	(void)state;
	if (!may_mount) {
		skip();
	}
	struct error err = ERROR_INIT;
	struct store *store = open_store(data);
	fill_store(store, 2);
	fill_disk();
	uint64_t version = change_until(store, 2, STATUS_STORAGE_FULL);
	uint64_t seq = seq_of(store);
	check_reads(store, seq);
	struct store_health health = health_after(store, 2000);
	assert_false(health.is_writable);
	assert_int_equal(health.reason, STATUS_STORAGE_FULL);
	assert_non_null(strstr(health.message, "disk is full"));
	(void)change_until(store, version, STATUS_STORAGE_FULL);
	check_reads(store, seq);
	free_disk();
	/* Looked at once a second only. */
	assert_false(health_after(store, 0).is_writable);
	assert_true(health_after(store, 1000).is_writable);
	struct test_change change = next_change(version);
	check_ok(change_try(store, &change, &err), &err);
	check_ok(store_verify(store, &err), &err);
	store_close(store);
	store = open_store(data);
	check_reads(store, seq + 1);
	store_close(store);
}

/* Without asking for its health: the next change just works. */
static void test_room_again_is_used_at_once(void **state)
{
	(void)state;
	if (!may_mount) {
		skip();
	}
	struct error err = ERROR_INIT;
	struct store *store = open_store(data);
	fill_store(store, 2);
	fill_disk();
	uint64_t version = change_until(store, 2, STATUS_STORAGE_FULL);
	free_disk();
	struct test_change change = next_change(version);
	check_ok(change_try(store, &change, &err), &err);
	struct store_health health = health_after(store, 0);
	assert_true(health.is_writable);
	assert_string_equal(health.message, "");
	store_close(store);
}

static void test_starting_on_a_full_disk(void **state)
{
	(void)state;
	if (!may_mount) {
		skip();
	}
	struct store *store = open_store(data);
	fill_store(store, 2);
	uint64_t seq = seq_of(store);
	store_close(store);
	fill_disk();
	store = open_store(data);
	check_reads(store, seq);
	uint64_t version = change_until(store, 2, STATUS_STORAGE_FULL);
	assert_int_equal(version, 2);
	check_reads(store, seq);
	assert_false(health_after(store, 2000).is_writable);
	free_disk();
	assert_true(health_after(store, 2000).is_writable);
	struct error err = ERROR_INIT;
	struct test_change change = next_change(2);
	check_ok(change_try(store, &change, &err), &err);
	store_close(store);
}

static void test_a_new_folder_on_a_full_disk(void **state)
{
	(void)state;
	if (!may_mount) {
		skip();
	}
	struct error err = ERROR_INIT;
	struct store *store = NULL;
	fill_disk();
	enum status status = store_open(data, &test_time.clock, &store, &err);
	assert_int_equal(status, STATUS_STORAGE_FULL);
	free_disk();
	store = open_store(data);
	fill_store(store, 1);
	store_close(store);
}

static void test_a_read_only_folder(void **state)
{
	(void)state;
	if (!may_mount) {
		skip();
	}
	struct error err = ERROR_INIT;
	struct store *store = open_store(data);
	fill_store(store, 2);
	uint64_t seq = seq_of(store);
	store_close(store);
	remount(true);
	store = open_store(data);
	check_reads(store, seq);
	check_ok(store_verify(store, &err), &err);
	struct test_change change = next_change(2);
	check_fails(change_try(store, &change, &err), STATUS_READ_ONLY, &err, "cannot be written");
	check_fails(store_epoch_bump(store, &err), STATUS_READ_ONLY, &err, "cannot be written");
	struct store_health health = health_after(store, 2000);
	assert_false(health.is_writable);
	assert_int_equal(health.reason, STATUS_READ_ONLY);
	struct store *second = NULL;
	check_fails(store_open(data, &test_time.clock, &second, &err), STATUS_CONFLICT, &err,
	            "Another flagd");
	remount(false);
	assert_true(health_after(store, 2000).is_writable);
	check_ok(change_try(store, &change, &err), &err);
	check_reads(store, seq + 1);
	store_close(store);
}

static void test_a_read_only_folder_with_changes_in_the_wal(void **state)
{
	(void)state;
	if (!may_mount) {
		skip();
	}
	struct error err = ERROR_INIT;
	struct store *store = open_store(data);
	fill_store(store, 1);
	uint64_t seq = seq_of(store);
	copy_file(in_folder(data, "halyard.db-wal"), in_folder(data, "copy"));
	copy_file(in_folder(data, "halyard.db"), in_folder(data, "db"));
	store_close(store);
	assert_int_equal(rename(in_folder(data, "copy"), in_folder(data, "halyard.db-wal")), 0);
	assert_int_equal(rename(in_folder(data, "db"), in_folder(data, "halyard.db")), 0);
	remount(true);
	struct store *none = NULL;
	check_fails(store_open(data, &test_time.clock, &none, &err), STATUS_READ_ONLY, &err,
	            "make the folder writable");
	remount(false);
	store = open_store(data);
	check_reads(store, seq);
	store_close(store);
	/* Nothing there at all. */
	remove_folder(data);
	remount(true);
	check_fails(store_open(data, &test_time.clock, &none, &err), STATUS_READ_ONLY, &err,
	            "cannot be made");
	remount(false);
}

/* A commit needs no descriptor; opening does, and says so. */
static void test_no_descriptors_left(void **state)
{
	(void)state;
	struct error err = ERROR_INIT;
	char *dir = make_folder();
	struct store *store = open_store(dir);
	fill_store(store, 2);
	struct rlimit before;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	int first_free = dup(0);
	(void)close(first_free);
	struct rlimit none = { .rlim_cur = (rlim_t)first_free, .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	uint64_t version = change_until(store, 2, STATUS_OK);
	check_reads(store, version - 2 + 11);
	assert_true(health_after(store, 2000).is_writable);
	char *other = NULL;
	assert_true(asprintf(&other, "%s/other", dir) > 0);
	struct store *second = NULL;
	check_fails(store_open(other, &test_time.clock, &second, &err), STATUS_UNAVAILABLE, &err,
	            "Too many open files");
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	store_close(store);
	remove_folder(other);
	free(other);
	remove_folder(dir);
	free(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_full_disk_while_running, setup, teardown),
		cmocka_unit_test_setup_teardown(test_room_again_is_used_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_starting_on_a_full_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_new_folder_on_a_full_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_read_only_folder, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_read_only_folder_with_changes_in_the_wal, setup,
		                                teardown),
		cmocka_unit_test(test_no_descriptors_left),
	};
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
