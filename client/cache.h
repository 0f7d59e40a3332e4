/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last good snapshot on disk: FOLDER/<environment>.halyard, and the one before as ….halyard.prev.
 *
 *	halyard-cache-1 <environment> <epoch> <revision> <key> <length> <digest> <check>
 *	<the bundle, length bytes>
 *
 * key: base64 of the Ed25519 key that the bundle is verified with. epoch and revision: the highest that
 * were ever accepted. digest: BLAKE2b-256 of the bundle in hex. check: BLAKE2b-128 of the line before
 * it, in hex, so that the first line is believed even where the bundle behind it is torn.
 *
 * A file is read only when it is a regular file, not a symbolic link, of this user or root, and writable by
 * nobody else: whoever may write it could choose the key. Files are replaced atomically; the one
 * before is kept only when it was good. One thread at a time; several processes may share a folder,
 * and none replaces what is newer than its own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "engine/bundle.h"

#define CACHE_PATH_SIZE 4096

struct cache_head {
	char environment[BUNDLE_ENVIRONMENT_SIZE];
	uint64_t epoch, revision;
	uint8_t key[BUNDLE_PUBLIC_KEY_BYTES];
	size_t length;
	uint8_t digest[32];
};

struct cache_file {
	struct cache_head head;
	char *bytes; /* the whole file; NULL: nothing usable behind the head */
	const char *bundle;
	size_t length;
};

struct cache {
	char path[CACHE_PATH_SIZE];
	char previous_path[CACHE_PATH_SIZE];
	char environment[BUNDLE_ENVIRONMENT_SIZE];
};

/* STATUS_INVALID when @folder is too long. Does not look at the disk. */
MUST_CHECK enum status cache_init(struct cache *cache, const char *folder, const char *environment,
                                  struct error *err);

enum cache_generation { CACHE_CURRENT, CACHE_PREVIOUS };

/*
 * STATUS_NOT_FOUND when there is none. STATUS_CORRUPT for a torn or altered file: then *ret_has_head says
 * whether
 * @ret->head could be read nevertheless. STATUS_FORBIDDEN for another environment, or for a file that
 * others may write. On success cache_file_deinit() it.
 */
MUST_CHECK enum status cache_load(const struct cache *cache, enum cache_generation generation,
                                  struct cache_file *ret, bool *ret_has_head, struct error *err);
void cache_file_deinit(struct cache_file *file);

/* Parses the text of a cache file; what cache_load() does with what it read. Borrows @bytes. */
MUST_CHECK enum status cache_parse(const char *bytes, size_t length, struct cache_file *ret,
                                   bool *ret_has_head, struct error *err);

/* Appends the first line, LF included. */
void cache_head_write(const struct cache_head *head, struct buf *out);

/*
 * Stores a bundle. STATUS_OLDER, and nothing is touched, when the file on disk is for the same key and newer.
 * On any other failure the old file is still there.
 */
MUST_CHECK enum status cache_store(const struct cache *cache, uint64_t epoch, uint64_t revision,
                                   const uint8_t key[static BUNDLE_PUBLIC_KEY_BYTES], const char *bundle,
                                   size_t length, struct error *err);
