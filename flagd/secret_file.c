/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "base/file.h"

#define KEY_BYTES   32
#define LINE_LENGTH 44 /* base64 of KEY_BYTES, without the LF */

_Static_assert(KEY_BYTES == SECRET_PEPPER_BYTES, "one file format fits all keys");
_Static_assert(KEY_BYTES == SECRET_SIGNING_PUBLIC_BYTES, "one file format fits all keys");
_Static_assert(KEY_BYTES == crypto_sign_SEEDBYTES, "the seed is what is stored");
_Static_assert(SECRET_SIGNING_SECRET_BYTES == crypto_sign_SECRETKEYBYTES, "the key is libsodium's");

static enum status path_join(char ret[static PATH_MAX], const char *dir, const char *name, struct error *err)
{
	const int length = snprintf(ret, PATH_MAX, "%s/%s", dir, name);
	if (length < 0 || length >= PATH_MAX) {
		return error_fail(err, STATUS_INVALID, "The path of the data folder is too long for %s",
		                  name);
	}
	return STATUS_OK;
}

static enum status line_decode(const char *path, const char *line, size_t length,
                               uint8_t ret[static KEY_BYTES], struct error *err)
{
	size_t decoded = 0;
	if (length == LINE_LENGTH + 1 && line[LINE_LENGTH] == '\n') {
		length--;
	}
	if (length != LINE_LENGTH ||
	    sodium_base642bin(ret, KEY_BYTES, line, length, NULL, &decoded, NULL,
	                      sodium_base64_VARIANT_ORIGINAL) != 0 ||
	    decoded != KEY_BYTES) {
		return error_fail(
		        err, STATUS_CORRUPT,
		        "%s does not hold one line with the base64 of 32 bytes; restore it from a backup",
		        path);
	}
	return STATUS_OK;
}

static void line_encode(const uint8_t key[static KEY_BYTES], char ret[static LINE_LENGTH + 2])
{
	(void)sodium_bin2base64(ret, LINE_LENGTH + 1, key, KEY_BYTES, sodium_base64_VARIANT_ORIGINAL);
	memcpy(ret + LINE_LENGTH, "\n", 2);
}

static enum status secret_stat_check(const char *path, const struct stat *info, struct error *err)
{
	if (!S_ISREG(info->st_mode)) {
		return error_fail(err, STATUS_UNTRUSTED,
		                  "%s is not a regular file; put the key file itself there", path);
	}
	if ((info->st_mode & 077) != 0) {
		return error_fail(err, STATUS_UNTRUSTED,
		                  "%s is open to others than its owner (mode %04o); run: chmod 600 %s", path,
		                  (unsigned)info->st_mode & 07777, path);
	}
	if (info->st_uid != geteuid() && info->st_uid != 0) {
		return error_fail(err, STATUS_UNTRUSTED,
		                  "%s belongs to user %u, who can read it; run: chown %u %s", path,
		                  (unsigned)info->st_uid, (unsigned)geteuid(), path);
	}
	return STATUS_OK;
}

/* Reads at most @size bytes; one more than a line's tells that the file is too long. */
static ssize_t bytes_read(int fd, char *out, size_t size)
{
	size_t length = 0;
	while (length < size) {
		const ssize_t got = read(fd, out + length, size - length);
		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got < 0) {
			return -1;
		}
		if (got == 0) {
			break;
		}
		length += (size_t)got;
	}
	return (ssize_t)length;
}

static enum status secret_read_fd(int fd, const char *path, uint8_t ret[static KEY_BYTES], struct error *err)
{
	struct stat info;
	if (fstat(fd, &info) != 0) {
		return error_fail(err, STATUS_UNAVAILABLE, "%s cannot be examined: %s", path,
		                  strerrordesc_np(errno));
	}
	enum status status = secret_stat_check(path, &info, err);
	if (status != STATUS_OK) {
		return status;
	}
	char line[LINE_LENGTH + 2];
	uint8_t key[KEY_BYTES];
	const ssize_t length = bytes_read(fd, line, sizeof(line));
	if (length < 0) {
		status = error_fail(err, STATUS_UNAVAILABLE, "%s cannot be read: %s", path,
		                    strerrordesc_np(errno));
	} else {
		status = line_decode(path, line, (size_t)length, key, err);
	}
	if (status == STATUS_OK) {
		memcpy(ret, key, KEY_BYTES);
	}
	sodium_memzero(line, sizeof(line));
	sodium_memzero(key, sizeof(key));
	return status;
}

/* The checks are made on the open file, so that nobody can exchange it in between. */
static enum status secret_read(const char *path, uint8_t ret[static KEY_BYTES], struct error *err)
{
	/* O_NONBLOCK: opening a pipe that somebody put there must not hang. */
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT) {
		return error_fail(err, STATUS_NOT_FOUND,
		                  "%s is missing; restore it from the backup of this data folder", path);
	}
	if (fd < 0 && errno == ELOOP) {
		return error_fail(err, STATUS_UNTRUSTED,
		                  "%s is a symbolic link; put the key file itself there", path);
	}
	if (fd < 0) {
		return error_fail(err, STATUS_UNAVAILABLE, "%s cannot be opened: %s", path,
		                  strerrordesc_np(errno));
	}
	const enum status status = secret_read_fd(fd, path, ret, err);
	(void)close(fd);
	return status;
}

static enum status secret_create(const char *path, uint8_t ret[static KEY_BYTES], struct error *err)
{
	uint8_t key[KEY_BYTES];
	char line[LINE_LENGTH + 2];
	randombytes_buf(key, sizeof(key));
	line_encode(key, line);
	const enum status status = file_create(path, line, LINE_LENGTH + 1, 0600, err);
	if (status == STATUS_OK) {
		memcpy(ret, key, KEY_BYTES);
	}
	sodium_memzero(key, sizeof(key));
	sodium_memzero(line, sizeof(line));
	return status;
}

enum status secret_file_pepper(const char *dir, bool may_create, uint8_t ret[static SECRET_PEPPER_BYTES],
                               struct error *err)
{
	char path[PATH_MAX];
	enum status status = path_join(path, dir, "pepper.key", err);
	if (status == STATUS_OK) {
		status = secret_read(path, ret, err);
	}
	if (status == STATUS_NOT_FOUND && may_create) {
		status = secret_create(path, ret, err);
	}
	return status;
}

/* signing.pub must be what belongs to the key; a missing one is written. */
static enum status public_settle(const char *path, const uint8_t public_key[static KEY_BYTES],
                                 struct error *err)
{
	char line[LINE_LENGTH + 2];
	line_encode(public_key, line);
	char *bytes = NULL;
	size_t length = 0;
	struct error read_err;
	enum status status = file_read(path, 4096, &bytes, &length, &read_err);
	if (status == STATUS_NOT_FOUND) {
		return file_replace(path, line, LINE_LENGTH + 1, 0644, err);
	}
	if (status != STATUS_OK) {
		return error_fail(err, status, "%s", read_err.message);
	}
	uint8_t stored[KEY_BYTES];
	status = line_decode(path, bytes, length, stored, NULL);
	free(bytes);
	if (status != STATUS_OK || memcmp(stored, public_key, KEY_BYTES) != 0) {
		return error_fail(
		        err, STATUS_UNTRUSTED,
		        "%s is not the public key of the signing.key beside it; restore both from the same "
		        "backup, or remove signing.pub when signing.key is the right one",
		        path);
	}
	return STATUS_OK;
}

static enum status seed_load(const char *key_path, const char *public_path, bool may_create,
                             uint8_t ret[static KEY_BYTES], struct error *err)
{
	const enum status status = secret_read(key_path, ret, err);
	if (status != STATUS_NOT_FOUND || !may_create) {
		return status;
	}
	struct stat info;
	if (lstat(public_path, &info) == 0) {
		return error_fail(
		        err, STATUS_NOT_FOUND,
		        "%s is missing but %s is there: restore signing.key from the backup, or remove "
		        "signing.pub to make a new key that every client must be given",
		        key_path, public_path);
	}
	return secret_create(key_path, ret, err);
}

enum status secret_file_signing(const char *dir, bool may_create,
                                uint8_t ret_public[static SECRET_SIGNING_PUBLIC_BYTES],
                                uint8_t ret_secret[static SECRET_SIGNING_SECRET_BYTES], struct error *err)
{
	char key_path[PATH_MAX], public_path[PATH_MAX];
	uint8_t seed[KEY_BYTES];
	enum status status = path_join(key_path, dir, "signing.key", err);
	if (status == STATUS_OK) {
		status = path_join(public_path, dir, "signing.pub", err);
	}
	if (status == STATUS_OK) {
		status = seed_load(key_path, public_path, may_create, seed, err);
	}
	if (status != STATUS_OK) {
		return status;
	}
	uint8_t public_key[SECRET_SIGNING_PUBLIC_BYTES], secret_key[SECRET_SIGNING_SECRET_BYTES];
	(void)crypto_sign_seed_keypair(public_key, secret_key, seed);
	status = public_settle(public_path, public_key, err);
	if (status == STATUS_OK) {
		memcpy(ret_public, public_key, sizeof(public_key));
		memcpy(ret_secret, secret_key, sizeof(secret_key));
	}
	sodium_memzero(seed, sizeof(seed));
	sodium_memzero(secret_key, sizeof(secret_key));
	return status;
}
