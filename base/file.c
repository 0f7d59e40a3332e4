/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"

/* A temporary file beside the wanted one; unlinked on the way out unless it took its place. */
struct temporary {
	char path[PATH_MAX];
	int fd;
	bool exists;
};

static void fd_close(const int *fd)
{
	if (*fd >= 0) {
		(void)close(*fd);
	}
}

static void temporary_deinit(const struct temporary *temporary)
{
	fd_close(&temporary->fd);
	if (temporary->exists) {
		(void)unlink(temporary->path);
	}
}

static enum status status_from_errno(int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
		return STATUS_NOT_FOUND;
	case EEXIST:
		return STATUS_CONFLICT;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return STATUS_STORAGE_FULL;
	case EROFS:
	case EACCES:
	case EPERM:
		return STATUS_READ_ONLY;
	case ENOMEM:
		return STATUS_NO_MEMORY;
	default:
		return STATUS_UNAVAILABLE;
	}
}

/* Fails with the reason in errno. */
static enum status file_fail(struct error *err, enum status status, const char *what, const char *path)
{
	char reason[128];
	const char *text = strerror_r(errno, reason, sizeof(reason));
	return error_fail(err, status, "Cannot %s `%s`: %s", what, path, text);
}

static enum status file_fail_write(struct error *err, const char *path)
{
	enum status status = status_from_errno(errno);
	/* The folder is missing: to somebody who writes, that is no lookup that found nothing. */
	status = status == STATUS_NOT_FOUND ? STATUS_UNAVAILABLE : status;
	return file_fail(err, status, "write", path);
}

static int open_retry(const char *path, int flags)
{
	int fd;
	do {
		fd = open(path, flags | O_CLOEXEC);
	} while (fd < 0 && errno == EINTR);
	return fd;
}

/* Reads up to the end of the file, one byte more than @max_bytes at most. */
static enum status fd_read(int fd, const char *path, size_t size_hint, struct buf *buf, struct error *err)
{
	for (;;) {
		size_t room = buf->max_length - buf->length;
		size_t wanted = size_hint > buf->length ? size_hint - buf->length + 1 : 4096;
		wanted = wanted < room ? wanted : room;
		if (wanted == 0) {
			return STATUS_OK;
		}
		if (!buf_reserve(buf, wanted)) {
			return buf_status(buf, "file", err);
		}
		ssize_t got = read(fd, buf->data + buf->length, wanted);
		if (got == 0) {
			return STATUS_OK;
		}
		if (got < 0 && errno != EINTR) {
			return file_fail(err, STATUS_UNAVAILABLE, "read", path);
		}
		buf->length += got > 0 ? (size_t)got : 0;
	}
}

enum status file_read(const char *path, size_t max_bytes, char **ret_bytes, size_t *ret_length,
                      struct error *err)
{
	/* O_NONBLOCK: opening a FIFO must not wait for its writer. */
	AUTO(fd_close) int fd = open_retry(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	struct stat info;
	if (fd < 0 && errno == ELOOP) {
		return error_fail(err, STATUS_INVALID, "Cannot read `%s`: it is a symbolic link", path);
	}
	if (fd < 0 || fstat(fd, &info) != 0) {
		bool is_missing = errno == ENOENT || errno == ENOTDIR;
		return file_fail(err, is_missing ? STATUS_NOT_FOUND : STATUS_UNAVAILABLE, "read", path);
	}
	if (!S_ISREG(info.st_mode)) {
		return error_fail(err, STATUS_INVALID, "Cannot read `%s`: it is not a regular file", path);
	}
	AUTO(buf_deinit) struct buf buf = { 0 };
	size_t limit = max_bytes < SIZE_MAX ? max_bytes + 1 : max_bytes;
	size_t size = info.st_size > 0 ? (size_t)info.st_size : 0;
	buf_init(&buf, limit);
	if (size <= max_bytes) {
		enum status status = fd_read(fd, path, size, &buf, err);
		if (status != STATUS_OK) {
			return status;
		}
	}
	if (size > max_bytes || buf.length > max_bytes) {
		return error_fail(err, STATUS_TOO_LARGE, "Cannot read `%s`: it is larger than %zu bytes",
		                  path, max_bytes);
	}
	buf_append(&buf, "", 0); /* the NUL behind the bytes, of which there may be none */
	if (buf.failed) {
		return buf_status(&buf, "file", err);
	}
	*ret_bytes = buf_steal(&buf, ret_length);
	return STATUS_OK;
}

static bool fd_write(int fd, const char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t put = write(fd, bytes, length);
		if (put < 0 && errno != EINTR) {
			return false;
		}
		bytes += put > 0 ? put : 0;
		length -= put > 0 ? (size_t)put : 0;
	}
	return true;
}

static bool fd_sync(int fd)
{
	int result;
	do {
		result = fsync(fd);
	} while (result != 0 && errno == EINTR);
	return result == 0;
}

static enum status temporary_write(struct temporary *temporary, const char *path, const void *bytes,
                                   size_t length, mode_t mode, struct error *err)
{
	int path_length = snprintf(temporary->path, sizeof(temporary->path), "%s.XXXXXX", path);
	if (path_length < 0 || (size_t)path_length >= sizeof(temporary->path)) {
		errno = ENAMETOOLONG;
		return file_fail_write(err, path);
	}
	temporary->fd = mkostemp(temporary->path, O_CLOEXEC);
	temporary->exists = temporary->fd >= 0;
	if (!temporary->exists || !fd_write(temporary->fd, bytes, length) ||
	    fchmod(temporary->fd, mode) != 0 || !fd_sync(temporary->fd)) {
		return file_fail_write(err, path);
	}
	return STATUS_OK;
}

/* Makes the new name survive a power loss. */
static enum status folder_sync(const char *path, struct error *err)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(path, '/');
	int length = slash == NULL ? 1 : slash == path ? 1 : (int)(slash - path);
	(void)snprintf(folder, sizeof(folder), "%.*s", length, slash == NULL ? "." : path);
	AUTO(fd_close) int fd = open_retry(folder, O_RDONLY | O_DIRECTORY);
	if (fd < 0 || (!fd_sync(fd) && errno != EINVAL)) {
		return file_fail_write(err, path);
	}
	return STATUS_OK;
}

enum status file_replace(const char *path, const void *bytes, size_t length, mode_t mode, struct error *err)
{
	AUTO(temporary_deinit) struct temporary temporary = { .fd = -1 };
	enum status status = temporary_write(&temporary, path, bytes, length, mode, err);
	if (status != STATUS_OK) {
		return status;
	}
	if (rename(temporary.path, path) != 0) {
		return file_fail_write(err, path);
	}
	temporary.exists = false;
	return folder_sync(path, err);
}

/*
 * A second name, unlike a rename, never replaces; the first one is unlinked on the way out. File
 * systems without second names have a rename that does not replace.
 */
static bool name_create(struct temporary *temporary, const char *path)
{
	if (link(temporary->path, path) == 0) {
		return true;
	}
	if (errno != EPERM && errno != EOPNOTSUPP) {
		return false;
	}
	temporary->exists = renameat2(AT_FDCWD, temporary->path, AT_FDCWD, path, RENAME_NOREPLACE) != 0;
	return !temporary->exists;
}

enum status file_create(const char *path, const void *bytes, size_t length, mode_t mode, struct error *err)
{
	AUTO(temporary_deinit) struct temporary temporary = { .fd = -1 };
	enum status status = temporary_write(&temporary, path, bytes, length, mode, err);
	if (status != STATUS_OK) {
		return status;
	}
	if (!name_create(&temporary, path)) {
		return file_fail_write(err, path);
	}
	return folder_sync(path, err);
}
