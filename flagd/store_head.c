/* SPDX-License-Identifier: Apache-2.0 */
/*
 * halyard.head: the journal's end, outside the database, so that a deleted WAL or an older copy of the
 * database is noticed.
 *
 * Written behind each commit without a flush: after a crash of the process it is exact, after a power
 * failure it may be older, which only makes the check less strict; it never names an entry that was
 * not durable first. Two slots of 512 bytes are written in turn, so that a torn one leaves the other.
 *
 * A journal without its mark is a database that was put back from a backup (a backup is of the
 * database alone): the epoch rises, so that clients accept the older revisions.
 */
#include "flagd/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

enum { SLOT_BYTES = 512, SLOTS = 2, FILE_BYTES = 4096, CHECK_BYTES = 8 };

#define SLOT_FORMAT "halyard-head-v1 %s %020" PRIu64 " %020" PRIu64 " %s "

static void free_string(char **string)
{
	free(*string);
}

static char *mark_path(const struct store *store)
{
	char *path = NULL;
	return asprintf(&path, "%s/halyard.head", store->dir) < 0 ? NULL : path;
}

/* Hex of the first bytes of BLAKE2b over @text. */
static void checksum(const char *text, size_t length, char ret[static 2 * CHECK_BYTES + 1])
{
	uint8_t hash[STORE_HASH_BYTES];
	(void)crypto_generichash(hash, sizeof(hash), (const uint8_t *)text, length, NULL, 0);
	(void)sodium_bin2hex(ret, 2 * CHECK_BYTES + 1, hash, CHECK_BYTES);
}

/* A line of text, padded with blanks. */
static void slot_format(const struct store *store, char ret[static SLOT_BYTES])
{
	char hash[2 * STORE_HASH_BYTES + 1];
	char check[2 * CHECK_BYTES + 1];
	char line[SLOT_BYTES];
	(void)sodium_bin2hex(hash, sizeof(hash), store->head.hash, STORE_HASH_BYTES);
	int length = snprintf(line, sizeof(line), SLOT_FORMAT, store->instance_id, store->epoch,
	                      store->head.seq, hash);
	checksum(line, (size_t)length, check);
	memset(ret, ' ', SLOT_BYTES);
	memcpy(ret, line, (size_t)length);
	memcpy(ret + length, check, 2 * CHECK_BYTES);
	ret[SLOT_BYTES - 1] = '\n';
}

static bool slot_parse(const char *slot, struct store_mark *ret)
{
	char line[SLOT_BYTES + 1];
	memcpy(line, slot, SLOT_BYTES);
	line[SLOT_BYTES] = '\0';
	char instance[33];
	char hash[2 * STORE_HASH_BYTES + 1];
	char found[2 * CHECK_BYTES + 1];
	struct store_mark mark = { .is_found = true, .is_readable = true };
	int length = 0;
	// NOLINTNEXTLINE(cert-err34-c): a number that is too large fails the checksum
	if (sscanf(line, "halyard-head-v1 %32s %20" SCNu64 " %20" SCNu64 " %64s %n%16s", instance,
	           &mark.epoch, &mark.seq, hash, &length, found) != 5) {
		return false;
	}
	char expected[2 * CHECK_BYTES + 1];
	checksum(line, (size_t)length, expected);
	size_t bytes = 0;
	if (strcmp(found, expected) != 0 ||
	    sodium_hex2bin(mark.hash, sizeof(mark.hash), hash, strlen(hash), NULL, &bytes, NULL) != 0 ||
	    bytes != sizeof(mark.hash)) {
		return false;
	}
	memcpy(mark.instance_id, instance, sizeof(instance));
	*ret = mark;
	return true;
}

static ssize_t read_file(const char *path, char *bytes, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0) {
		return -1;
	}
	ssize_t length = pread(fd, bytes, size, 0);
	int number = errno;
	(void)close(fd);
	errno = number;
	return length;
}

enum status store_mark_read(struct store *store, struct store_mark *ret, struct error *err)
{
	AUTO(free_string) char *path = mark_path(store);
	if (path == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory");
	}
	char bytes[SLOTS * SLOT_BYTES] = "";
	if (read_file(path, bytes, sizeof(bytes)) < 0) {
		if (errno == ENOENT) {
			*ret = (struct store_mark){ 0 };
			return STATUS_OK;
		}
		return error_fail(err, STATUS_UNAVAILABLE, "The file %s cannot be read: %s", path,
		                  strerrordesc_np(errno));
	}
	struct store_mark newest = { .is_found = true };
	for (int i = 0; i < SLOTS; i++) {
		struct store_mark mark;
		if (slot_parse(bytes + i * SLOT_BYTES, &mark) &&
		    (!newest.is_readable || mark.epoch > newest.epoch ||
		     (mark.epoch == newest.epoch && mark.seq > newest.seq))) {
			newest = mark;
		}
	}
	*ret = newest;
	return STATUS_OK;
}

/* Does the journal hold the very entry of the mark? */
static enum status check_entry(struct store *store, const struct store_mark *mark, struct error *err)
{
	sqlite3_stmt *statement = store_statement(store, STATEMENT_JOURNAL_AT);
	(void)sqlite3_bind_int64(statement, 1, (int64_t)mark->seq);
	int rc = sqlite3_step(statement);
	enum status status = STATUS_OK;
	if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
		status = store_fail(store, rc, "Reading the journal", err);
	} else {
		struct store_entry entry = { 0 };
		status = rc == SQLITE_ROW ? store_entry_read(store, statement, &entry, err) : STATUS_OK;
		if (status == STATUS_OK && memcmp(entry.hash, mark->hash, sizeof(mark->hash)) != 0) {
			status = store_damaged(store, err,
			                       "Journal entry %" PRIu64
			                       " is not the one that was acknowledged: the database was "
			                       "exchanged",
			                       mark->seq);
		}
	}
	store_release(statement);
	return status;
}

enum status store_mark_check(struct store *store, const struct store_mark *mark, struct error *err)
{
	if (!mark->is_readable) {
		return STATUS_OK;
	}
	if (strcmp(mark->instance_id, store->instance_id) != 0) {
		return store_damaged(store, err,
		                     "halyard.head belongs to another database (remove halyard.head if this "
		                     "one was put here on purpose)");
	}
	if (mark->seq > store->head.seq || mark->epoch > store->epoch) {
		return store_damaged(store, err,
		                     "The journal ends at entry %" PRIu64 " of epoch %" PRIu64
		                     ", but entry %" PRIu64 " of epoch %" PRIu64
		                     " was acknowledged: halyard.db-wal was removed or an older database "
		                     "put here (remove halyard.head to accept the loss)",
		                     store->head.seq, store->epoch, mark->seq, mark->epoch);
	}
	return mark->seq == 0 ? STATUS_OK : check_entry(store, mark, err);
}

/* Makes the file at its full size, durably: later writes need no room. */
static int create_file(const struct store *store, const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		return -1;
	}
	int dir_fd = open(store->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool is_ready = posix_fallocate(fd, 0, FILE_BYTES) == 0 && fsync(fd) == 0 && dir_fd >= 0 &&
	                fsync(dir_fd) == 0;
	if (dir_fd >= 0) {
		(void)close(dir_fd);
	}
	if (!is_ready) {
		(void)unlink(path);
		(void)close(fd);
		return -1;
	}
	return fd;
}

static int open_file(const struct store *store)
{
	AUTO(free_string) char *path = mark_path(store);
	if (path == NULL) {
		return -1;
	}
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	return fd < 0 && errno == ENOENT ? create_file(store, path) : fd;
}

void store_mark_write(struct store *store)
{
	if (store->head_fd < 0) {
		store->head_fd = open_file(store);
	}
	if (store->head_fd < 0) {
		return;
	}
	char slot[SLOT_BYTES];
	slot_format(store, slot);
	ssize_t length;
	do {
		length = pwrite(store->head_fd, slot, sizeof(slot),
		                (off_t)(store->head_writes % SLOTS) * SLOT_BYTES);
	} while (length < 0 && errno == EINTR);
	store->head_writes++;
}
