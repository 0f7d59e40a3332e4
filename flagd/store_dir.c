/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data folder. Made with mode 0700, its files with 0600. A folder that every user may write is
 * refused: anybody could put another database there. The lock is a flock(2) on flagd.lock, kept until
 * the store is closed; the file holds the process id for people and stays.
 */
#include "flagd/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static enum status status_of_errno(int number)
{
	if (number == ENOSPC || number == EDQUOT) {
		return STATUS_STORAGE_FULL;
	}
	if (number == EROFS || number == EACCES || number == EPERM) {
		return STATUS_READ_ONLY;
	}
	return number == ENOMEM ? STATUS_NO_MEMORY : STATUS_UNAVAILABLE;
}

static enum status make_folder(const char *dir, struct error *err)
{
	if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
		int number = errno;
		struct stat info;
		if (stat(dir, &info) != 0) {
			return error_fail(err, status_of_errno(number),
			                  "The data folder %s cannot be made: %s", dir,
			                  strerrordesc_np(number));
		}
	}
	struct stat info;
	if (stat(dir, &info) != 0) {
		return error_fail(err, status_of_errno(errno), "The data folder %s cannot be read: %s", dir,
		                  strerrordesc_np(errno));
	}
	if (!S_ISDIR(info.st_mode)) {
		return error_fail(err, STATUS_INVALID, "The data folder %s is not a folder", dir);
	}
	if ((info.st_mode & S_IWOTH) != 0) {
		return error_fail(err, STATUS_FORBIDDEN,
		                  "The data folder %s can be written by every user; run: chmod o-w %s", dir,
		                  dir);
	}
	return STATUS_OK;
}

/* What the holder wrote: "1234\n". */
static long read_pid(int fd)
{
	char text[24] = "";
	ssize_t length = pread(fd, text, sizeof(text) - 1, 0);
	return length > 0 ? strtol(text, NULL, 10) : 0;
}

static enum status take_lock(struct store *store, const char *path, struct error *err)
{
	int flags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
	int fd = open(path, O_RDWR | O_CREAT | flags, 0600);
	if (fd < 0 && (errno == EROFS || errno == EACCES)) {
		fd = open(path, O_RDONLY | flags);
	}
	if (fd < 0) {
		return error_fail(err, status_of_errno(errno), "The lock file %s cannot be opened: %s", path,
		                  strerrordesc_np(errno));
	}
	while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno == EINTR) {
			continue;
		}
		int number = errno;
		long pid = read_pid(fd);
		(void)close(fd);
		if (number == EWOULDBLOCK) {
			return error_fail(err, STATUS_CONFLICT,
			                  "Another flagd (process %ld) uses the data folder %s", pid,
			                  store->dir);
		}
		return error_fail(err, status_of_errno(number), "The lock file %s cannot be locked: %s", path,
		                  strerrordesc_np(number));
	}
	char text[24];
	int length = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	/* Only for people: a full or read-only disk does not matter. */
	if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)length, 0) != length) {
		errno = 0;
	}
	store->lock_fd = fd;
	return STATUS_OK;
}

enum status store_dir_open(struct store *store, const char *dir, struct error *err)
{
	enum status status = make_folder(dir, err);
	if (status != STATUS_OK) {
		return status;
	}
	store->dir = realpath(dir, NULL);
	if (store->dir == NULL) {
		return error_fail(err, status_of_errno(errno), "The data folder %s cannot be found: %s", dir,
		                  strerrordesc_np(errno));
	}
	if (asprintf(&store->path, "%s/halyard.db", store->dir) < 0) {
		store->path = NULL;
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory");
	}
	char *lock_path = NULL;
	if (asprintf(&lock_path, "%s/flagd.lock", store->dir) < 0) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory");
	}
	status = take_lock(store, lock_path, err);
	free(lock_path);
	return status;
}

/* Before SQLite, so that the mode is ours from the start and no link is followed. */
static enum status create_file(const char *path, struct error *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		return error_fail(err, status_of_errno(errno), "The database %s cannot be made: %s", path,
		                  strerrordesc_np(errno));
	}
	(void)close(fd);
	return STATUS_OK;
}

static enum status missing(const struct store *store, const char *what, uint64_t expected, struct error *err)
{
	return error_fail(err, STATUS_CORRUPT,
	                  "The database %s is %s, but %llu journal entries were acknowledged; %s; to start "
	                  "anew without them, remove halyard.head",
	                  store->path, what, (unsigned long long)expected, STORE_ADVICE);
}

enum status store_dir_prepare(struct store *store, uint64_t expected, struct error *err)
{
	struct stat info;
	if (lstat(store->path, &info) != 0) {
		if (errno != ENOENT) {
			return error_fail(err, status_of_errno(errno), "The database %s cannot be read: %s",
			                  store->path, strerrordesc_np(errno));
		}
		return expected > 0 ? missing(store, "missing", expected, err)
		                    : create_file(store->path, err);
	}
	if (!S_ISREG(info.st_mode) || info.st_nlink != 1) {
		return error_fail(err, STATUS_INVALID,
		                  "The database %s must be a plain file without other links to it",
		                  store->path);
	}
	/* SQLite would also throw away the WAL of an empty file. */
	if (info.st_size == 0 && expected > 0) {
		return missing(store, "empty", expected, err);
	}
	if ((info.st_mode & 077) != 0 && chmod(store->path, 0600) != 0 && errno != EROFS) {
		return error_fail(err, status_of_errno(errno),
		                  "The mode of the database %s cannot be set to 0600: %s", store->path,
		                  strerrordesc_np(errno));
	}
	return STATUS_OK;
}

bool store_dir_is_writable(const struct store *store)
{
	return faccessat(AT_FDCWD, store->dir, W_OK, AT_EACCESS) == 0 &&
	       faccessat(AT_FDCWD, store->path, W_OK, AT_EACCESS) == 0;
}
