/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cache.h"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "base/file.h"

static char folder[64];
static struct cache cache;
static uint8_t key[BUNDLE_PUBLIC_KEY_BYTES];
static const char bundle_1[] = "the first bundle\nof two lines\n";
static const char bundle_2[] = "the second bundle\n";

static int setup(void **state)
{
	struct error err = ERROR_INIT;
	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/halyard-test-XXXXXX");
	memset(key, 7, sizeof(key));
	return sodium_init() >= 0 && mkdtemp(folder) != NULL &&
	                       cache_init(&cache, folder, "prod", &err) == STATUS_OK
	               ? 0
	               : -1;
}

static int teardown(void **state)
{
	(void)state;
	(void)unlink(cache.path);
	(void)unlink(cache.previous_path);
	return rmdir(folder); /* fails when a temporary file was left behind */
}

static void store(uint64_t revision, const char *bundle)
{
	struct error err = ERROR_INIT;
	if (cache_store(&cache, 1, revision, key, bundle, strlen(bundle), &err) != STATUS_OK) {
		fail_msg("%s", err.message);
	}
}

static enum status load(enum cache_generation generation, struct cache_file *ret, bool *ret_has_head)
{
	struct error err = ERROR_INIT;
	*ret = (struct cache_file){ 0 };
	enum status status = cache_load(&cache, generation, ret, ret_has_head, &err);
	assert_int_equal(status == STATUS_OK, err.status == STATUS_OK);
	assert_int_equal(status == STATUS_OK, ret->bytes != NULL);
	return status;
}

static void expect(enum cache_generation generation, uint64_t revision, const char *bundle)
{
	struct cache_file file;
	bool has_head = false;
	assert_int_equal(load(generation, &file, &has_head), STATUS_OK);
	assert_true(has_head);
	assert_int_equal(file.head.epoch, 1);
	assert_int_equal(file.head.revision, revision);
	assert_string_equal(file.head.environment, "prod");
	assert_memory_equal(file.head.key, key, sizeof(key));
	assert_int_equal(file.length, strlen(bundle));
	assert_memory_equal(file.bundle, bundle, file.length);
	cache_file_deinit(&file);
}

static void expect_unusable(enum status expected)
{
	struct cache_file file;
	bool has_head = false;
	assert_int_equal(load(CACHE_CURRENT, &file, &has_head), expected);
	cache_file_deinit(&file);
}

static char *file_bytes(size_t *ret_length)
{
	char *bytes = NULL;
	struct error err = ERROR_INIT;
	assert_int_equal(file_read(cache.path, 65536, &bytes, ret_length, &err), STATUS_OK);
	return bytes;
}

/* Writes the current file as it is, not as cache_store() would. */
static void file_write(const char *bytes, size_t length)
{
	struct error err = ERROR_INIT;
	assert_int_equal(file_replace(cache.path, bytes, length, 0600, &err), STATUS_OK);
}

static void test_generations(void **state)
{
	(void)state;
	struct stat info;
	expect_unusable(STATUS_NOT_FOUND);
	store(1, bundle_1);
	expect(CACHE_CURRENT, 1, bundle_1);
	assert_int_equal(stat(cache.path, &info), 0);
	assert_int_equal(info.st_mode & 0777, 0600);
	assert_int_equal(access(cache.previous_path, F_OK), -1);
	store(2, bundle_2);
	expect(CACHE_CURRENT, 2, bundle_2);
	expect(CACHE_PREVIOUS, 1, bundle_1);
	store(3, bundle_1);
	expect(CACHE_CURRENT, 3, bundle_1);
	expect(CACHE_PREVIOUS, 2, bundle_2);
	/* An empty one, and one with bytes of every value. */
	store(4, "");
	expect(CACHE_CURRENT, 4, "");
}

/* Another process may know more: it is not set back. */
static void test_never_goes_back(void **state)
{
	(void)state;
	struct error err = ERROR_INIT;
	uint8_t other_key[BUNDLE_PUBLIC_KEY_BYTES] = { 1 };
	store(5, bundle_1);
	assert_int_equal(cache_store(&cache, 1, 4, key, bundle_2, strlen(bundle_2), &err), STATUS_OLDER);
	assert_int_equal(cache_store(&cache, 0, 9, key, bundle_2, strlen(bundle_2), &err), STATUS_OLDER);
	expect(CACHE_CURRENT, 5, bundle_1);
	store(5, bundle_2);
	expect(CACHE_CURRENT, 5, bundle_2);
	/* What another key signed is no measure, and no previous generation either. */
	(void)unlink(cache.previous_path);
	assert_int_equal(cache_store(&cache, 1, 1, other_key, bundle_1, strlen(bundle_1), &err), STATUS_OK);
	assert_int_equal(access(cache.previous_path, F_OK), -1);
}

/* Every bit of the file: nothing altered is taken, and a head that is whole still says how far it was. */
static void test_bit_flips(void **state)
{
	(void)state;
	size_t length = 0;
	store(1, bundle_2);
	store(2, bundle_1);
	char *bytes = file_bytes(&length);
	size_t head_length = (size_t)(strchr(bytes, '\n') - bytes) + 1;
	for (size_t i = 0; i < length * 8; i++) {
		struct cache_file file = { 0 };
		struct error err = ERROR_INIT;
		bool has_head = false;
		bytes[i / 8] ^= (char)(1 << i % 8);
		assert_int_equal(cache_parse(bytes, length, &file, &has_head, &err), STATUS_CORRUPT);
		assert_true(err.message[0] != '\0');
		assert_int_equal(has_head, i / 8 >= head_length);
		if (has_head) {
			assert_int_equal(file.head.revision, 2);
		}
		bytes[i / 8] ^= (char)(1 << i % 8);
	}
	/* So on the disk: the one before is still there, and a damaged one does not take its place. */
	for (size_t i = 0; i < length; i += 13) {
		bytes[i] ^= 0x10;
		file_write(bytes, length);
		bytes[i] ^= 0x10;
		expect_unusable(STATUS_CORRUPT);
		expect(CACHE_PREVIOUS, 1, bundle_2);
	}
	store(3, bundle_2);
	expect(CACHE_CURRENT, 3, bundle_2);
	expect(CACHE_PREVIOUS, 1, bundle_2);
	free(bytes);
}

static void test_cuts_and_garbage(void **state)
{
	(void)state;
	size_t length = 0;
	store(2, bundle_1);
	char *bytes = file_bytes(&length);
	for (size_t cut = 0; cut < length; cut++) {
		file_write(bytes, cut);
		expect_unusable(STATUS_CORRUPT);
	}
	char *longer = calloc(1, length + 1);
	assert_non_null(longer);
	memcpy(longer, bytes, length);
	file_write(longer, length + 1);
	expect_unusable(STATUS_CORRUPT);
	free(longer);
	const char *const garbage[] = {
		"\n",
		"halyard-cache-1\n",
		"halyard-cache-2 prod 1 2 k 0 d c\n",
		"halyard-cache-1  1 2 k 0 d c\n",
		"halyard-cache-1 prod 18446744073709551616 2 k 0 d c\n",
		"halyard-cache-1 prod -1 2 k 0 d c\n",
		"halyard-cache-1 prod 1 2 BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc= 99999999999 00 00\n",
	};
	for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
		file_write(garbage[i], strlen(garbage[i]));
		expect_unusable(STATUS_CORRUPT);
	}
	char line[2048];
	memset(line, 'x', sizeof(line));
	file_write(line, sizeof(line));
	expect_unusable(STATUS_CORRUPT);
	free(bytes);
}

static void test_foreign_files(void **state)
{
	(void)state;
	struct error err = ERROR_INIT;
	struct cache staging;
	struct cache_file file;
	bool has_head = true;
	store(1, bundle_1);
	/* of another environment, under this name */
	assert_int_equal(cache_init(&staging, folder, "staging", &err), STATUS_OK);
	assert_int_equal(rename(cache.path, staging.path), 0);
	assert_int_equal(cache_load(&staging, CACHE_CURRENT, &file, &has_head, &err), STATUS_FORBIDDEN);
	assert_non_null(strstr(err.message, "environment prod"));
	assert_false(has_head);
	assert_int_equal(rename(staging.path, cache.path), 0);
	/* a symbolic link, even to a good file */
	assert_int_equal(rename(cache.path, staging.path), 0);
	assert_int_equal(symlink(staging.path, cache.path), 0);
	expect_unusable(STATUS_FORBIDDEN);
	assert_int_equal(unlink(cache.path), 0);
	assert_int_equal(rename(staging.path, cache.path), 0);
	expect(CACHE_CURRENT, 1, bundle_1);
	/* one that others may write: they could have chosen the key */
	const mode_t modes[] = { 0666, 0620, 0602 };
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		assert_int_equal(chmod(cache.path, modes[i]), 0);
		expect_unusable(STATUS_FORBIDDEN);
	}
	assert_int_equal(chmod(cache.path, 0644), 0);
	expect(CACHE_CURRENT, 1, bundle_1);
	if (geteuid() == 0) {
		assert_int_equal(chown(cache.path, 12345, 12345), 0);
		expect_unusable(STATUS_FORBIDDEN);
	}
	/* a folder */
	assert_int_equal(unlink(cache.path), 0);
	assert_int_equal(mkdir(cache.path, 0700), 0);
	expect_unusable(STATUS_FORBIDDEN);
	assert_int_equal(rmdir(cache.path), 0);
}

/* The disk is full in the middle of the write: what was there is there. */
static void test_full_disk(void **state)
{
	(void)state;
	store(1, bundle_1);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		/* A file may only grow to a hundred bytes: write(2) fails as on a full disk. */
		struct rlimit limit = { .rlim_cur = 100, .rlim_max = 100 };
		(void)signal(SIGXFSZ, SIG_IGN);
		(void)setrlimit(RLIMIT_FSIZE, &limit);
		struct error err = ERROR_INIT;
		enum status status = cache_store(&cache, 1, 2, key, bundle_2, strlen(bundle_2), &err);
		_exit(status != STATUS_OK && err.message[0] != '\0' ? 0 : 1);
	}
	int result = -1;
	assert_int_equal(waitpid(child, &result, 0), child);
	assert_int_equal(result, 0);
	expect(CACHE_CURRENT, 1, bundle_1);
	/* It recovers by itself. */
	store(2, bundle_2);
	expect(CACHE_CURRENT, 2, bundle_2);
	expect(CACHE_PREVIOUS, 1, bundle_1);
}

static void test_no_folder(void **state)
{
	(void)state;
	struct cache missing;
	struct error err = ERROR_INIT;
	struct cache_file file;
	bool has_head = false;
	assert_int_equal(cache_init(&missing, "/nonexistent/folder", "prod", &err), STATUS_OK);
	assert_int_equal(cache_load(&missing, CACHE_CURRENT, &file, &has_head, &err), STATUS_NOT_FOUND);
	assert_int_not_equal(cache_store(&missing, 1, 1, key, "x", 1, &err), STATUS_OK);
	assert_non_null(strstr(err.message, "/nonexistent/folder"));
	char *name = malloc(CACHE_PATH_SIZE + 1);
	assert_non_null(name);
	memset(name, 'x', CACHE_PATH_SIZE);
	name[CACHE_PATH_SIZE] = '\0';
	assert_int_equal(cache_init(&missing, name, "prod", &err), STATUS_INVALID);
	free(name);
}

static void writer_run(void)
{
	for (uint64_t revision = 2;; revision++) {
		const char *bundle = revision % 2 == 0 ? bundle_2 : bundle_1;
		if (cache_store(&cache, 1, revision, key, bundle, strlen(bundle), NULL) != STATUS_OK) {
			_exit(1);
		}
	}
}

/* A writer that is killed at any moment leaves a whole file. */
static void test_killed_writer(void **state)
{
	(void)state;
	store(1, bundle_1);
	for (int round = 0; round < 30; round++) {
		pid_t child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			writer_run();
		}
		/* It is killed while it writes, every time a little later. */
		struct cache_file file;
		bool has_head = false;
		uint64_t revision = 0;
		for (int reads = 0; reads < round || revision < 2; reads++) {
			assert_int_equal(load(CACHE_CURRENT, &file, &has_head), STATUS_OK);
			revision = file.head.revision;
			cache_file_deinit(&file);
		}
		assert_int_equal(kill(child, SIGKILL), 0);
		assert_int_equal(waitpid(child, NULL, 0), child);
		enum status status = load(CACHE_CURRENT, &file, &has_head);
		cache_file_deinit(&file);
		assert_int_equal(status, STATUS_OK);
		assert_int_equal(unlink(cache.path), 0);
		store(1, bundle_1);
	}
}

/* What killed writers leave behind, too. */
static int teardown_all(void **state)
{
	DIR *list = opendir(folder);
	for (const struct dirent *entry; list != NULL && (entry = readdir(list)) != NULL;) {
		(void)unlinkat(dirfd(list), entry->d_name, 0);
	}
	(void)closedir(list);
	return teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_generations, setup, teardown),
		cmocka_unit_test_setup_teardown(test_never_goes_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bit_flips, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cuts_and_garbage, setup, teardown),
		cmocka_unit_test_setup_teardown(test_foreign_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_folder, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed_writer, setup, teardown_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
