/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"

#define NOBODY 65534

static char folder[64];

/* A path in the test's folder; each of the last four stays valid. */
static const char *in_folder(const char *name)
{
	static char paths[4][PATH_MAX];
	static unsigned next;
	char *path = paths[next++ % 4];
	(void)snprintf(path, PATH_MAX, "%s/%s", folder, name);
	return path;
}

static int setup(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/halyard-file-XXXXXX");
	return mkdtemp(folder) != NULL ? 0 : -1;
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* Number of files, temporary ones included; removes them on request. */
static unsigned folder_walk(bool removes)
{
	struct dirent **entries = NULL;
	const int count = scandir(folder, &entries, is_visible, alphasort);
	assert_true(count >= 0);
	for (int i = 0; i < count; i++) {
		if (removes) {
			(void)remove(in_folder(entries[i]->d_name));
		}
		free(entries[i]);
	}
	free(entries);
	return (unsigned)count;
}

static unsigned folder_count(void)
{
	return folder_walk(false);
}

static int teardown(void **state)
{
	(void)state;
	(void)folder_walk(true);
	return rmdir(folder);
}

static void read_expect(const char *path, const char *expected)
{
	char *bytes = NULL;
	size_t length = 0;
	struct error err = ERROR_INIT;
	if (file_read(path, 1 << 20, &bytes, &length, &err) != STATUS_OK) {
		fail_msg("%s", err.message);
	}
	assert_int_equal(length, strlen(expected));
	assert_memory_equal(bytes, expected, length + 1);
	free(bytes);
}

static void read_expect_failure(const char *path, size_t max_bytes, enum status status, const char *reason)
{
	char *bytes = folder;
	size_t length = 4711;
	struct error err = ERROR_INIT;
	assert_int_equal(file_read(path, max_bytes, &bytes, &length, &err), status);
	assert_int_equal(err.status, status);
	assert_ptr_equal(bytes, folder);
	assert_int_equal(length, 4711);
	assert_non_null(strstr(err.message, path));
	if (strstr(err.message, reason) == NULL) {
		fail_msg("%s", err.message);
	}
}

static void what_is_written_is_read(void **state)
{
	(void)state;
	const char *path = in_folder("a");
	char *bytes = NULL;
	size_t length = 0;
	assert_int_equal(file_replace(path, "hello", 5, 0600, NULL), STATUS_OK);
	read_expect(path, "hello");
	assert_int_equal(file_replace(path, NULL, 0, 0600, NULL), STATUS_OK);
	read_expect(path, "");
	assert_int_equal(file_replace(path, "a\0b\n", 4, 0600, NULL), STATUS_OK);
	assert_int_equal(file_read(path, 4, &bytes, &length, NULL), STATUS_OK);
	assert_int_equal(length, 4);
	assert_memory_equal(bytes, "a\0b\n", 5);
	free(bytes);
	assert_int_equal(file_read(path, 4, &bytes, NULL, NULL), STATUS_OK);
	free(bytes);
	assert_int_equal(folder_count(), 1);
}

static void files_of_every_size(void **state)
{
	(void)state;
	static const size_t sizes[] = { 1, 255, 256, 257, 4095, 4096, 4097, 100000 };
	const char *path = in_folder("sizes");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char *text = malloc(sizes[i] + 1);
		assert_non_null(text);
		memset(text, 'a' + (int)i, sizes[i]);
		text[sizes[i]] = '\0';
		assert_int_equal(file_replace(path, text, sizes[i], 0600, NULL), STATUS_OK);
		read_expect(path, text);
		read_expect_failure(path, sizes[i] - 1, STATUS_TOO_LARGE, "larger than");
		free(text);
	}
	char *bytes = NULL;
	assert_int_equal(file_replace(path, "x", 1, 0600, NULL), STATUS_OK);
	assert_int_equal(file_read(path, SIZE_MAX, &bytes, NULL, NULL), STATUS_OK);
	free(bytes);
}

/* /proc says that its files are empty. */
static void the_size_that_is_told_is_not_trusted(void **state)
{
	(void)state;
	char *bytes = NULL;
	size_t length = 0;
	assert_int_equal(file_read("/proc/self/status", 1 << 20, &bytes, &length, NULL), STATUS_OK);
	assert_true(length > 100 && strstr(bytes, "Pid:") != NULL);
	free(bytes);
	read_expect_failure("/proc/self/status", 100, STATUS_TOO_LARGE, "larger than 100 bytes");
}

static void what_is_not_there(void **state)
{
	(void)state;
	assert_int_equal(file_replace(in_folder("file"), "x", 1, 0600, NULL), STATUS_OK);
	read_expect_failure(in_folder("none"), 100, STATUS_NOT_FOUND, "No such file or directory");
	read_expect_failure(in_folder("no/folder"), 100, STATUS_NOT_FOUND, "No such file or directory");
	read_expect_failure(in_folder("file/below"), 100, STATUS_NOT_FOUND, "Not a directory");
	char *bytes = NULL;
	assert_int_equal(file_read("", 100, &bytes, NULL, NULL), STATUS_NOT_FOUND);
}

static void only_regular_files_are_read(void **state)
{
	(void)state;
	assert_int_equal(file_replace(in_folder("real"), "x", 1, 0600, NULL), STATUS_OK);
	assert_int_equal(symlink("real", in_folder("link")), 0);
	assert_int_equal(mkfifo(in_folder("fifo"), 0600), 0);
	read_expect_failure(in_folder("link"), 100, STATUS_INVALID, "symbolic link");
	read_expect_failure(in_folder("fifo"), 100, STATUS_INVALID, "not a regular file");
	read_expect_failure(folder, 100, STATUS_INVALID, "not a regular file");
	read_expect_failure("/dev/null", 100, STATUS_INVALID, "not a regular file");
}

static void the_mode_is_what_was_asked_for(void **state)
{
	(void)state;
	static const mode_t modes[] = { 0600, 0644, 0400, 0666 };
	const char *path = in_folder("mode");
	struct stat info;
	const mode_t old = umask(077);
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		assert_int_equal(file_replace(path, "x", 1, modes[i], NULL), STATUS_OK);
		assert_int_equal(stat(path, &info), 0);
		assert_int_equal(info.st_mode & 07777, modes[i]);
	}
	assert_int_equal(unlink(path), 0);
	assert_int_equal(file_create(path, "x", 1, 0640, NULL), STATUS_OK);
	assert_int_equal(stat(path, &info), 0);
	assert_int_equal(info.st_mode & 07777, 0640);
	assert_int_equal(info.st_nlink, 1);
	(void)umask(old);
}

static void create_never_replaces(void **state)
{
	(void)state;
	struct error err = ERROR_INIT;
	const char *path = in_folder("created");
	assert_int_equal(file_create(path, "first", 5, 0600, &err), STATUS_OK);
	const unsigned count = folder_count();
	assert_int_equal(file_create(path, "second", 6, 0600, &err), STATUS_CONFLICT);
	assert_non_null(strstr(err.message, path));
	assert_non_null(strstr(err.message, "File exists"));
	read_expect(path, "first");
	assert_int_equal(symlink("nowhere", in_folder("dangling")), 0);
	assert_int_equal(file_create(in_folder("dangling"), "x", 1, 0600, &err), STATUS_CONFLICT);
	assert_int_equal(folder_count(), count + 1);
}

/* A link is replaced, not what it points to. */
static void replace_does_not_follow_links(void **state)
{
	(void)state;
	struct stat info;
	assert_int_equal(file_replace(in_folder("target"), "target", 6, 0600, NULL), STATUS_OK);
	assert_int_equal(symlink("target", in_folder("alias")), 0);
	assert_int_equal(file_replace(in_folder("alias"), "new", 3, 0600, NULL), STATUS_OK);
	read_expect(in_folder("target"), "target");
	assert_int_equal(lstat(in_folder("alias"), &info), 0);
	assert_true(S_ISREG(info.st_mode));
}

static void replace_expect_failure(const char *path, enum status status, const char *reason)
{
	struct error err = ERROR_INIT;
	const unsigned count = folder_count();
	assert_int_equal(file_replace(path, "new", 3, 0600, &err), status);
	assert_int_equal(file_create(path, "new", 3, 0600, NULL), status);
	if (strstr(err.message, reason) == NULL || strstr(err.message, path) == NULL) {
		fail_msg("%s", err.message);
	}
	assert_int_equal(folder_count(), count);
}

static void what_cannot_be_written(void **state)
{
	(void)state;
	char long_path[2 * PATH_MAX];
	memset(long_path, 'x', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = '\0';
	struct error err = ERROR_INIT;
	assert_int_equal(file_replace(long_path, "x", 1, 0600, &err), STATUS_UNAVAILABLE);
	replace_expect_failure(in_folder("no/folder"), STATUS_UNAVAILABLE, "No such file or directory");
	assert_int_equal(mkdir(in_folder("subfolder"), 0700), 0);
	assert_int_equal(file_replace(in_folder("subfolder"), "x", 1, 0600, &err), STATUS_UNAVAILABLE);
	assert_non_null(strstr(err.message, "Is a directory"));
	assert_int_equal(file_create(in_folder("subfolder"), "x", 1, 0600, &err), STATUS_CONFLICT);
}

/* The folder may be read but not written by the user that root becomes for this test. */
static void a_folder_that_is_read_only(void **state)
{
	(void)state;
	const bool is_root = geteuid() == 0;
	const char *path = in_folder("kept");
	assert_int_equal(file_replace(path, "old", 3, 0644, NULL), STATUS_OK);
	assert_int_equal(file_replace(in_folder("hidden"), "old", 3, 0, NULL), STATUS_OK);
	assert_int_equal(chmod(folder, 0555), 0);
	assert_true(!is_root || seteuid(NOBODY) == 0);
	replace_expect_failure(path, STATUS_READ_ONLY, "Permission denied");
	read_expect(path, "old");
	read_expect_failure(in_folder("hidden"), 100, STATUS_UNAVAILABLE, "Permission denied");
	assert_true(!is_root || seteuid(0) == 0);
	assert_int_equal(chmod(folder, 0700), 0);
}

static void a_disk_that_is_full(void **state)
{
	(void)state;
	struct rlimit unlimited, tight;
	const char *path = in_folder("full");
	char bytes[1000] = { 0 };
	struct error err = ERROR_INIT;
	assert_int_equal(file_replace(path, "old", 3, 0600, NULL), STATUS_OK);
	const unsigned count = folder_count();
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &unlimited), 0);
	tight = unlimited;
	tight.rlim_cur = 500;
	void (*old)(int) = signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
	const enum status status = file_replace(path, bytes, sizeof(bytes), 0600, &err);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &unlimited), 0);
	(void)signal(SIGXFSZ, old);
	assert_int_equal(status, STATUS_STORAGE_FULL);
	assert_non_null(strstr(err.message, path));
	read_expect(path, "old");
	assert_int_equal(folder_count(), count);
}

static void no_descriptors_are_left(void **state)
{
	(void)state;
	struct rlimit old, none;
	char *bytes = NULL;
	struct error err = ERROR_INIT;
	const char *path = in_folder("descriptors");
	assert_int_equal(file_replace(path, "old", 3, 0600, NULL), STATUS_OK);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	const enum status reading = file_read(path, 100, &bytes, NULL, &err);
	const enum status writing = file_replace(path, "new", 3, 0600, NULL);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(reading, STATUS_UNAVAILABLE);
	assert_int_equal(writing, STATUS_UNAVAILABLE);
	assert_non_null(strstr(err.message, "Too many open files"));
	read_expect(path, "old");
}

static atomic_bool replacing;

static void *replace_again_and_again(void *path)
{
	static char text[20000];
	for (int i = 0; i < 100; i++) {
		memset(text, 'a' + i % 26, sizeof(text));
		if (file_replace(path, text, i % 2 == 0 ? sizeof(text) : 10, 0600, NULL) != STATUS_OK) {
			break;
		}
	}
	atomic_store(&replacing, false);
	return NULL;
}

/* Whoever reads meanwhile gets all of one version. */
static void replace_is_atomic(void **state)
{
	(void)state;
	pthread_t thread;
	char path[PATH_MAX];
	(void)snprintf(path, sizeof(path), "%s", in_folder("atomic"));
	assert_int_equal(file_replace(path, "aaaaaaaaaa", 10, 0600, NULL), STATUS_OK);
	atomic_store(&replacing, true);
	assert_int_equal(pthread_create(&thread, NULL, replace_again_and_again, path), 0);
	unsigned reads = 0;
	do {
		char *bytes = NULL;
		size_t length = 0;
		assert_int_equal(file_read(path, 1 << 20, &bytes, &length, NULL), STATUS_OK);
		assert_true(length == 10 || length == 20000);
		for (size_t i = 1; i < length; i++) {
			assert_int_equal(bytes[i], bytes[0]);
		}
		free(bytes);
		reads++;
	} while (atomic_load(&replacing));
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(reads > 0);
}

static void relative_paths(void **state)
{
	(void)state;
	char old[PATH_MAX];
	assert_non_null(getcwd(old, sizeof(old)));
	assert_int_equal(chdir(folder), 0);
	assert_int_equal(file_replace("relative", "x", 1, 0600, NULL), STATUS_OK);
	assert_int_equal(file_create("./created-relative", "y", 1, 0600, NULL), STATUS_OK);
	read_expect("relative", "x");
	assert_int_equal(chdir(old), 0);
	read_expect(in_folder("created-relative"), "y");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(files_of_every_size),
		cmocka_unit_test(the_size_that_is_told_is_not_trusted),
		cmocka_unit_test(what_is_not_there),
		cmocka_unit_test(only_regular_files_are_read),
		cmocka_unit_test(the_mode_is_what_was_asked_for),
		cmocka_unit_test(create_never_replaces),
		cmocka_unit_test(replace_does_not_follow_links),
		cmocka_unit_test(what_cannot_be_written),
		cmocka_unit_test(a_folder_that_is_read_only),
		cmocka_unit_test(a_disk_that_is_full),
		cmocka_unit_test(no_descriptors_are_left),
		cmocka_unit_test(replace_is_atomic),
		cmocka_unit_test(relative_paths),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
