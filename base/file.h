/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole small files, read and written so that a crash leaves the old or the new one, never a part.
 * EINTR is retried. Messages name the path and the reason. Thread-safe for different paths.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

/*
 * Reads a regular file of at most @max_bytes; NUL-terminated, free() it. @ret_length may be NULL.
 * STATUS_NOT_FOUND when it is not there, STATUS_TOO_LARGE, STATUS_INVALID for a symbolic link at the
 * last component and for what is not a regular file, STATUS_UNAVAILABLE otherwise.
 */
MUST_CHECK enum status file_read(const char *path, size_t max_bytes, char **ret_bytes, size_t *ret_length,
                                 struct error *err);

/*
 * Replaces @path: temporary file beside it, write, fsync, rename, fsync of the folder. @mode is the
 * new file's, whatever the umask. A symbolic link is replaced, not followed. STATUS_STORAGE_FULL,
 * STATUS_READ_ONLY or STATUS_UNAVAILABLE say why it failed.
 */
MUST_CHECK enum status file_replace(const char *path, const void *bytes, size_t length, mode_t mode,
                                    struct error *err);

/* Fails with STATUS_CONFLICT when @path exists; otherwise like file_replace(). */
MUST_CHECK enum status file_create(const char *path, const void *bytes, size_t length, mode_t mode,
                                   struct error *err);
