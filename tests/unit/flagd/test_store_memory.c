/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The k-th allocation of SQLite fails, for every k, while a store is opened and while it is used. Nothing but
 * "out of memory" may be said of that, and nothing may be there in part.
 */
#include "tests/unit/flagd/store_fixture.h"

#include <sqlite3.h>

#include "tests/support/vfs_shim.h"

static sqlite3_mem_methods real_memory;
static uint64_t allocations;
static uint64_t failing; /* number of the one that fails; 0: none */

static bool allocation_fails(void)
{
	return ++allocations == failing;
}

static void *breaking_malloc(int size)
{
	return allocation_fails() ? NULL : real_memory.xMalloc(size);
}

static void *breaking_realloc(void *memory, int size)
{
	return allocation_fails() ? NULL : real_memory.xRealloc(memory, size);
}

static void fail_allocation(uint64_t number)
{
	allocations = 0;
	failing = number;
}

static char *dir;

static int group_setup(void **state)
{
	(void)state;
	vfs_shim_install();
	dir = make_folder();
	struct store *store = open_store(dir);
	fill_store(store, 3);
	store_close(store);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	remove_folder(dir);
	free(dir);
	return 0;
}

static void check_no_memory(enum status status, const struct error *err, uint64_t number)
{
	if (status != STATUS_NO_MEMORY && status != STATUS_UNAVAILABLE) {
		print_error("allocation %" PRIu64 ": %s: %s\n", number, status_slug(status), err->message);
		fail();
	}
}

static void test_opening(void **state)
{
	(void)state;
	/* A part of them, unless HALYARD_TEST_ALL is set: each one costs a whole opening. */
	uint64_t step = getenv("HALYARD_TEST_ALL") != NULL ? 1 : 17;
	uint64_t number = 1;
	for (bool is_done = false; !is_done; number += step) {
		struct error err = ERROR_INIT;
		struct store *store = NULL;
		fail_allocation(number);
		enum status status = store_open(dir, &test_time.clock, &store, &err);
		is_done = allocations < number;
		fail_allocation(0);
		if (status != STATUS_OK) {
			check_no_memory(status, &err, number);
		}
		store_close(store);
	}
	print_message("%" PRIu64 " allocations\n", number);
	assert_true(number > 100);
	struct store *store = open_store(dir);
	assert_int_equal(store_epoch(store), 1);
	struct error err = ERROR_INIT;
	check_ok(store_verify(store, &err), &err);
	store_close(store);
}

static bool take_row(void *user, const struct store_row *row)
{
	(*(size_t *)user)++;
	return row->key[0] != '\0';
}

static bool take_entry(void *user, const struct store_entry *entry)
{
	(*(size_t *)user)++;
	return entry->key[0] != '\0';
}

/* What is done with a store; each gives the status of its last call. */
static enum status use_load(struct store *store, struct error *err)
{
	size_t count = 0;
	enum status status = store_load(store, take_row, &count, err);
	assert_true(status != STATUS_OK || count == 14);
	return status;
}

static enum status use_list(struct store *store, struct error *err)
{
	size_t count = 0;
	struct store_filter filter = { -1, "flag-0001", NULL, 0, INT64_MAX, 10 };
	enum status status = store_journal_list(store, &filter, take_entry, &count, err);
	if (status == STATUS_OK) {
		filter.key = NULL;
		filter.at_ms = 5;
		status = store_journal_list(store, &filter, take_entry, &count, err);
	}
	assert_true(status != STATUS_OK || count >= 3);
	return status;
}

static enum status use_state(struct store *store, struct error *err)
{
	size_t count = 0;
	enum status status = store_state_at(store, INT64_MAX, take_entry, &count, err);
	assert_true(status != STATUS_OK || count == 12);
	return status;
}

static enum status use_answer(struct store *store, struct error *err)
{
	struct store_answer answer;
	enum status status = store_answer_find(store, "nobody", "key", &answer, err);
	return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static enum status use_revision(struct store *store, struct error *err)
{
	uint64_t revision = 0;
	int64_t at_ms = 0;
	uint8_t digest[STORE_HASH_BYTES];
	return store_revision_get(store, "dev", &revision, digest, &at_ms, err);
}

static enum status use_commit(struct store *store, struct error *err)
{
	struct store_head head;
	store_journal_head(store, &head);
	char key[32];
	(void)snprintf(key, sizeof(key), "k%" PRIu64, head.seq);
	struct store_answer answer = {
		.principal = "p", .idempotency_key = key, .http_status = 200, .etag = "", .body = ""
	};
	uint64_t version = head.seq - 14 + 2;
	return change_try(store,
	                  &(struct test_change){ STORE_SETTING, .key = "flag-0001", .environment = "dev",
	                                         .version = version, .doc = "{}", .revision_of = "dev",
	                                         .revision = version + 3, .answer = &answer },
	                  err);
}

static const struct {
	const char *name;
	enum status (*use)(struct store *store, struct error *err);
} uses[] = {
	{ "load", use_load },       { "list", use_list },          { "state", use_state },
	{ "answer", use_answer },   { "revision", use_revision },  { "commit", use_commit },
	{ "verify", store_verify }, { "epoch", store_epoch_bump },
};

static void test_using(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++) {
		struct store *store = open_store(dir);
		uint64_t number = 1;
		for (bool is_done = false; !is_done; number++) {
			struct store_head before;
			store_journal_head(store, &before);
			uint64_t epoch = store_epoch(store);
			struct error err = ERROR_INIT;
			fail_allocation(number);
			enum status status = uses[i].use(store, &err);
			is_done = allocations < number;
			fail_allocation(0);
			struct store_head after;
			store_journal_head(store, &after);
			if (status != STATUS_OK) {
				check_no_memory(status, &err, number);
				assert_int_equal(after.seq, before.seq);
				assert_int_equal(store_epoch(store), epoch);
			}
			test_time.monotonic_ms += 2000;
			check_ok(use_revision(store, &err), &err);
		}
		print_message("%s: %" PRIu64 " allocations\n", uses[i].name, number);
		struct error err = ERROR_INIT;
		check_ok(store_verify(store, &err), &err);
		store_close(store);
	}
}

int main(void)
{
	sqlite3_mem_methods memory;
	if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_memory) != SQLITE_OK) {
		return 1;
	}
	memory = real_memory;
	memory.xMalloc = breaking_malloc;
	memory.xRealloc = breaking_realloc;
	if (sqlite3_config(SQLITE_CONFIG_MALLOC, &memory) != SQLITE_OK) {
		return 1;
	}
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_opening),
		cmocka_unit_test(test_using),
	};
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
