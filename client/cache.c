/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

#define CACHE_HEAD_MAX    512
#define CACHE_CHECK_BYTES 16
#define CACHE_KEY_SIZE    45 /* base64 of 32 bytes and NUL */
#define CACHE_HEX_SIZE    65

enum status cache_init(struct cache *cache, const char *folder, const char *environment, struct error *err)
{
	*cache = (struct cache){ 0 };
	(void)snprintf(cache->environment, sizeof(cache->environment), "%s", environment);
	int length = snprintf(cache->path, sizeof(cache->path), "%s/%s.halyard", folder, environment);
	int previous_length = snprintf(cache->previous_path, sizeof(cache->previous_path),
	                               "%s/%s.halyard.prev", folder, environment);
	if (length < 0 || previous_length < 0 || (size_t)previous_length >= sizeof(cache->previous_path)) {
		return error_fail(err, STATUS_INVALID, "cache_dir is longer than a path may be");
	}
	return STATUS_OK;
}

void cache_head_write(const struct cache_head *head, struct buf *out)
{
	char key[CACHE_KEY_SIZE];
	char digest[CACHE_HEX_SIZE];
	char line[CACHE_HEAD_MAX];
	sodium_bin2base64(key, sizeof(key), head->key, sizeof(head->key), sodium_base64_VARIANT_ORIGINAL);
	sodium_bin2hex(digest, sizeof(digest), head->digest, sizeof(head->digest));
	int written = snprintf(line, sizeof(line), "halyard-cache-1 %s %" PRIu64 " %" PRIu64 " %s %zu %s ",
	                       head->environment, head->epoch, head->revision, key, head->length, digest);
	size_t length = written > 0 ? (size_t)written : 0;
	uint8_t check[CACHE_CHECK_BYTES];
	char check_hex[2 * CACHE_CHECK_BYTES + 1];
	crypto_generichash(check, sizeof(check), (const unsigned char *)line, length, NULL, 0);
	sodium_bin2hex(check_hex, sizeof(check_hex), check, sizeof(check));
	buf_append(out, line, length);
	buf_append_string(out, check_hex);
	buf_append_char(out, '\n');
}

/* The next word of the line, NUL-terminated in @out; false when it is empty or too long. */
static bool word_take(const char **cursor, const char *end, char *out, size_t size)
{
	const char *start = *cursor;
	const char *stop = start;
	while (stop < end && *stop != ' ') {
		stop++;
	}
	size_t length = (size_t)(stop - start);
	if (length == 0 || length >= size) {
		return false;
	}
	memcpy(out, start, length);
	out[length] = '\0';
	*cursor = stop < end ? stop + 1 : end;
	return true;
}

static bool number_take(const char **cursor, const char *end, uint64_t *ret)
{
	char word[21];
	char *stop = NULL;
	if (!word_take(cursor, end, word, sizeof(word)) || word[0] < '0' || word[0] > '9') {
		return false;
	}
	errno = 0;
	*ret = strtoull(word, &stop, 10);
	return errno == 0 && *stop == '\0';
}

/* Reads the words; whether the line is exactly what they say is for the caller to check. */
static bool head_read(const char *line, size_t length, struct cache_head *ret)
{
	const char *cursor = line;
	const char *end = line + length;
	char word[CACHE_HEX_SIZE];
	uint64_t bundle_length = 0;
	size_t key_length = 0;
	size_t digest_length = 0;
	*ret = (struct cache_head){ 0 };
	if (!word_take(&cursor, end, word, sizeof(word)) || strcmp(word, "halyard-cache-1") != 0 ||
	    !word_take(&cursor, end, ret->environment, sizeof(ret->environment)) ||
	    !number_take(&cursor, end, &ret->epoch) || !number_take(&cursor, end, &ret->revision) ||
	    !word_take(&cursor, end, word, sizeof(word)) ||
	    sodium_base642bin(ret->key, sizeof(ret->key), word, strlen(word), NULL, &key_length, NULL,
	                      sodium_base64_VARIANT_ORIGINAL) != 0 ||
	    key_length != sizeof(ret->key) || !number_take(&cursor, end, &bundle_length) ||
	    bundle_length > BUNDLE_MAX_BYTES || !word_take(&cursor, end, word, sizeof(word)) ||
	    sodium_hex2bin(ret->digest, sizeof(ret->digest), word, strlen(word), NULL, &digest_length,
	                   NULL) != 0 ||
	    digest_length != sizeof(ret->digest)) {
		return false;
	}
	ret->length = (size_t)bundle_length;
	return true;
}

/* True when the first line is whole; then *ret_length is its length with LF. */
static bool head_parse(const char *bytes, size_t length, struct cache_head *ret, size_t *ret_length)
{
	const char *end = memchr(bytes, '\n', length < CACHE_HEAD_MAX ? length : CACHE_HEAD_MAX);
	struct cache_head head;
	if (end == NULL || !head_read(bytes, (size_t)(end - bytes), &head)) {
		return false;
	}
	/* There is one way to write a head: anything else, the check included, was altered. */
	struct buf expected;
	buf_init(&expected, CACHE_HEAD_MAX);
	cache_head_write(&head, &expected);
	size_t head_length = (size_t)(end - bytes) + 1;
	bool is_same = !expected.failed && expected.length == head_length &&
	               memcmp(expected.data, bytes, head_length) == 0;
	buf_deinit(&expected);
	if (is_same) {
		*ret = head;
		*ret_length = head_length;
	}
	return is_same;
}

enum status cache_parse(const char *bytes, size_t length, struct cache_file *ret, bool *ret_has_head,
                        struct error *err)
{
	struct cache_head head;
	size_t head_length = 0;
	*ret_has_head = head_parse(bytes, length, &head, &head_length);
	if (!*ret_has_head) {
		return error_fail(err, STATUS_CORRUPT, "The first line is damaged");
	}
	*ret = (struct cache_file){ .head = head };
	uint8_t digest[sizeof(head.digest)];
	if (length - head_length != head.length) {
		return error_fail(err, STATUS_CORRUPT, "It is %zu bytes long instead of %zu", length,
		                  head_length + head.length);
	}
	crypto_generichash(digest, sizeof(digest), (const unsigned char *)bytes + head_length, head.length,
	                   NULL, 0);
	if (memcmp(digest, head.digest, sizeof(digest)) != 0) {
		return error_fail(err, STATUS_CORRUPT, "Its digest is not the one that it was written with");
	}
	ret->bundle = bytes + head_length;
	ret->length = head.length;
	return STATUS_OK;
}

/* Would somebody else's bytes be taken for ours? */
static enum status owner_check(const char *path, struct error *err)
{
	struct stat info;
	if (lstat(path, &info) != 0) {
		return errno == ENOENT ? error_fail(err, STATUS_NOT_FOUND, "%s is not there", path)
		                       : error_fail(err, STATUS_UNAVAILABLE, "%s cannot be looked at: %s",
		                                    path, strerrordesc_np(errno));
	}
	if (!S_ISREG(info.st_mode)) {
		return error_fail(err, STATUS_FORBIDDEN, "%s is not a regular file", path);
	}
	if ((info.st_uid != geteuid() && info.st_uid != 0) || (info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
		return error_fail(err, STATUS_FORBIDDEN, "%s can be written by other users", path);
	}
	return STATUS_OK;
}

enum status cache_load(const struct cache *cache, enum cache_generation generation, struct cache_file *ret,
                       bool *ret_has_head, struct error *err)
{
	const char *path = generation == CACHE_CURRENT ? cache->path : cache->previous_path;
	char *bytes = NULL;
	size_t length = 0;
	*ret_has_head = false;
	enum status status = owner_check(path, err);
	if (status == STATUS_OK) {
		status = file_read(path, CACHE_HEAD_MAX + BUNDLE_MAX_BYTES, &bytes, &length, err);
	}
	if (status != STATUS_OK) {
		return status;
	}
	struct cache_file file = { 0 };
	status = cache_parse(bytes, length, &file, ret_has_head, err);
	if (*ret_has_head && strcmp(file.head.environment, cache->environment) != 0) {
		*ret_has_head = false;
		status = error_fail(err, STATUS_FORBIDDEN, "It is for the environment %s",
		                    file.head.environment);
	}
	if (status != STATUS_OK) {
		free(bytes);
		error_wrap(err, path);
		ret->head = file.head;
		return status;
	}
	file.bytes = bytes;
	*ret = file;
	return STATUS_OK;
}

void cache_file_deinit(struct cache_file *file)
{
	free(file->bytes);
	*file = (struct cache_file){ 0 };
}

/* Keeps the current file, which is good, as the previous one, without a moment in which it has no name. */
static void previous_keep(const struct cache *cache)
{
	char link_path[CACHE_PATH_SIZE];
	int length = snprintf(link_path, sizeof(link_path), "%s.%ld", cache->previous_path, (long)getpid());
	if (length < 0 || (size_t)length >= sizeof(link_path)) {
		return;
	}
	(void)unlink(link_path);
	if (link(cache->path, link_path) == 0) {
		if (rename(link_path, cache->previous_path) != 0) {
			(void)unlink(link_path);
		}
		/* rename() of two names of one file does nothing and leaves both. */
		(void)unlink(link_path);
	} else if (errno != ENOENT) {
		(void)rename(cache->path, cache->previous_path);
	}
}

enum status cache_store(const struct cache *cache, uint64_t epoch, uint64_t revision,
                        const uint8_t key[static BUNDLE_PUBLIC_KEY_BYTES], const char *bundle, size_t length,
                        struct error *err)
{
	struct cache_file old = { 0 };
	bool has_head = false;
	enum status old_status = cache_load(cache, CACHE_CURRENT, &old, &has_head, NULL);
	bool is_good = old_status == STATUS_OK && memcmp(old.head.key, key, sizeof(old.head.key)) == 0;
	bool is_newer =
	        is_good && (old.head.epoch != epoch ? old.head.epoch > epoch : old.head.revision > revision);
	cache_file_deinit(&old);
	if (is_newer) {
		return error_fail(err, STATUS_OLDER, "%s holds something newer", cache->path);
	}
	struct cache_head head = { .epoch = epoch, .revision = revision, .length = length };
	(void)snprintf(head.environment, sizeof(head.environment), "%s", cache->environment);
	memcpy(head.key, key, sizeof(head.key));
	crypto_generichash(head.digest, sizeof(head.digest), (const unsigned char *)bundle, length, NULL, 0);
	struct buf text;
	buf_init(&text, CACHE_HEAD_MAX + BUNDLE_MAX_BYTES);
	buf_reserve(&text, CACHE_HEAD_MAX + length);
	cache_head_write(&head, &text);
	buf_append(&text, bundle, length);
	enum status status = buf_status(&text, "cache file", err);
	if (status == STATUS_OK && is_good) {
		previous_keep(cache);
	}
	if (status == STATUS_OK) {
		status = file_replace(cache->path, text.data, text.length, S_IRUSR | S_IWUSR, err);
	}
	buf_deinit(&text);
	return status;
}
