/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the store share: a data folder of their own, a clock to turn, changes in one call. */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "flagd/store.h"

/* A clock that stands until it is turned. */
struct test_clock {
	struct clock clock;
	int64_t wall_ms;
	int64_t monotonic_ms;
};

static int64_t test_clock_wall(void *user)
{
	return ((struct test_clock *)user)->wall_ms;
}

static int64_t test_clock_monotonic(void *user)
{
	return ((struct test_clock *)user)->monotonic_ms;
}

static struct test_clock test_time = {
	.clock = { test_clock_wall, test_clock_monotonic, &test_time },
	.wall_ms = 1800000000000,
	.monotonic_ms = 5000,
};

static inline void check_ok_at(enum status status, const struct error *err, const char *file, int line)
{
	if (status != STATUS_OK) {
		print_error("%s:%d: %s: %s\n", file, line, status_slug(status), err->message);
		fail();
	}
}
#define check_ok(call, err) check_ok_at((call), (err), __FILE__, __LINE__)

/* The status, and a message that holds @text. */
static inline void check_fails(enum status got, enum status expected, const struct error *err,
                               const char *text)
{
	if (got != expected || strstr(err->message, text) == NULL) {
		print_error("got %s \"%s\", expected %s \"…%s…\"\n", status_slug(got), err->message,
		            status_slug(expected), text);
		fail();
	}
}

/* ---- Folders ---- */

static inline void remove_folder(const char *dir)
{
	DIR *stream = opendir(dir);
	for (struct dirent *entry; stream != NULL && (entry = readdir(stream)) != NULL;) {
		(void)unlinkat(dirfd(stream), entry->d_name, 0);
	}
	if (stream != NULL) {
		(void)closedir(stream);
	}
	(void)rmdir(dir);
}

/* A fresh folder below $TMPDIR; the caller removes it. */
static inline char *make_folder(void)
{
	const char *base = getenv("TMPDIR");
	char *dir = NULL;
	assert_true(asprintf(&dir, "%s/halyard-store-XXXXXX", base == NULL ? "/tmp" : base) > 0);
	assert_non_null(mkdtemp(dir));
	return dir;
}

/* DIR/NAME in a buffer that the fourth next call reuses. */
static inline const char *in_folder(const char *dir, const char *name)
{
	static char paths[4][512];
	static int next;
	char *path = paths[next++ % 4];
	(void)snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	return path;
}

static inline char *read_bytes(const char *path, size_t *ret_length)
{
	int fd = open(path, O_RDONLY);
	struct stat info;
	if (fd < 0 || fstat(fd, &info) != 0) {
		*ret_length = 0;
		return NULL;
	}
	char *bytes = malloc((size_t)info.st_size + 1);
	assert_non_null(bytes);
	assert_int_equal(read(fd, bytes, (size_t)info.st_size), info.st_size);
	(void)close(fd);
	*ret_length = (size_t)info.st_size;
	return bytes;
}

static inline void write_bytes(const char *path, const void *bytes, size_t length)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, length), (ssize_t)length);
	(void)close(fd);
}

static inline void copy_file(const char *from, const char *to)
{
	size_t length = 0;
	char *bytes = read_bytes(from, &length);
	assert_non_null(bytes);
	write_bytes(to, bytes, length);
	free(bytes);
}

static inline struct store *open_store(const char *dir)
{
	struct error err = ERROR_INIT;
	struct store *store = NULL;
	check_ok(store_open(dir, &test_time.clock, &store, &err), &err);
	return store;
}

/* ---- Changes ---- */

/* One row with its entry and, unless it is 0, the revision of an environment. */
struct test_change {
	enum store_table table;
	const char *key;
	const char *environment; /* of a setting or token */
	uint64_t version;
	const char *doc;
	bool is_archived;
	const char *revision_of;
	uint64_t revision;
	const struct store_answer *answer;
};

static inline enum status change_try(struct store *store, const struct test_change *change, struct error *err)
{
	static const uint8_t secret[STORE_HASH_BYTES] = { 7, 7, 7 };
	struct store_head head;
	store_journal_head(store, &head);
	char bytes[4096];
	int length = snprintf(
	        bytes, sizeof(bytes),
	        "{\"seq\":\"%" PRIu64 "\",\"key\":\"%s\",\"version\":\"%" PRIu64 "\",\"after\":%.3000s}",
	        head.seq + 1, change->key, change->version, change->is_archived ? "null" : change->doc);
	struct store_write write = {
		.row = { .table = change->table,
		         .key = change->key,
		         .environment = change->environment,
		         .version = change->version,
		         .is_archived = change->is_archived,
		         .created_ms = 1700000000000,
		         .updated_ms = test_time.wall_ms,
		         .doc = change->doc,
		         .doc_length = strlen(change->doc),
		         .secret_hash = change->table == STORE_TOKEN ? secret : NULL },
		.expected_version = change->version - 1,
	};
	struct store_entry entry = {
		.seq = head.seq + 1,
		.at_ms = test_time.wall_ms,
		.table = change->table,
		.key = change->key,
		.environment = change->environment,
		.action = "test.change",
		.actor = "token:tok_1",
		.trace_id = "4bf92f3577b34da6a3ce929d0e0e4736",
		.bytes = bytes,
		.length = (size_t)length,
		.after = change->is_archived ? NULL : change->doc,
		.version = change->version,
	};
	struct store_revision revision = { .environment = change->revision_of, .revision = change->revision };
	memset(revision.digest, (int)(change->revision & 0xff), sizeof(revision.digest));
	struct store_commit commit = {
		.writes = &write,
		.write_count = 1,
		.entries = &entry,
		.entry_count = 1,
		.revisions = &revision,
		.revision_count = change->revision == 0 ? 0 : 1,
		.answer = change->answer,
	};
	return store_commit(store, &commit, err);
}

static inline void change_do(struct store *store, const struct test_change *change)
{
	struct error err = ERROR_INIT;
	check_ok(change_try(store, change, &err), &err);
}

/* Environments dev and prod (revision 1 each), @flags flags and their settings in both, a segment, tokens. */
static inline void fill_store(struct store *store, int flags)
{
	static const char *const environments[] = { "dev", "prod" };
	for (size_t i = 0; i < 2; i++) {
		change_do(store, &(struct test_change){ STORE_ENVIRONMENT, .key = environments[i],
		                                        .version = 1, .doc = "{\"protected\":false}",
		                                        .revision_of = environments[i], .revision = 1 });
	}
	for (int i = 0; i < flags; i++) {
		char key[32];
		char doc[160];
		(void)snprintf(key, sizeof(key), "flag-%04d", i);
		(void)snprintf(doc, sizeof(doc),
		               "{\"type\":\"boolean\",\"number\":%d,\"description\":\"%s\"}", i * 7919,
		               "Discord alerts for critical failures");
		change_do(store, &(struct test_change){ STORE_FLAG, .key = key, .version = 1, .doc = doc });
		for (size_t e = 0; e < 2; e++) {
			change_do(store,
			          &(struct test_change){
			                  STORE_SETTING, .key = key, .environment = environments[e],
			                  .version = 1, .doc = "{\"enabled\":false,\"default\":\"on\"}",
			                  .revision_of = environments[e], .revision = (uint64_t)i + 2 });
		}
	}
	change_do(store,
	          &(struct test_change){ STORE_SEGMENT, .key = "ops", .version = 1, .doc = "{\"if\":[]}" });
	change_do(store, &(struct test_change){ STORE_TOKEN, .key = "tok_owner", .version = 1,
	                                        .doc = "{\"kind\":\"owner\"}" });
	change_do(store, &(struct test_change){ STORE_TOKEN, .key = "tok_bot", .environment = "prod",
	                                        .version = 1, .doc = "{\"kind\":\"client\"}" });
}

/* ---- What a store says, as text ---- */

struct dump {
	FILE *out;
	char *text;
	size_t length;
};

static inline bool dump_row(void *user, const struct store_row *row)
{
	struct dump *dump = user;
	(void)fprintf(dump->out, "row %d %s %s %" PRIu64 " %d %" PRId64 " %" PRId64 " %.*s", (int)row->table,
	              row->key, row->environment == NULL ? "-" : row->environment, row->version,
	              row->is_archived, row->created_ms, row->updated_ms, (int)row->doc_length, row->doc);
	for (size_t i = 0; row->secret_hash != NULL && i < STORE_HASH_BYTES; i++) {
		(void)fprintf(dump->out, "%02x", row->secret_hash[i]);
	}
	(void)fputc('\n', dump->out);
	return true;
}

static inline bool dump_entry(void *user, const struct store_entry *entry)
{
	struct dump *dump = user;
	(void)fprintf(dump->out,
	              "entry %" PRIu64 " %" PRId64 " %d %s %s %s %s %s %" PRIu64 " %s %.*s %02x%02x\n",
	              entry->seq, entry->at_ms, (int)entry->table, entry->key,
	              entry->environment == NULL ? "-" : entry->environment, entry->action, entry->actor,
	              entry->trace_id, entry->version, entry->after == NULL ? "-" : entry->after,
	              (int)entry->length, entry->bytes, entry->hash[0], entry->hash[31]);
	return true;
}

/* Rows, the whole journal, revisions of dev and prod, epoch and identity; NULL when something failed. */
static inline char *dump_store(struct store *store, struct error *err)
{
	struct dump dump = { 0 };
	dump.out = open_memstream(&dump.text, &dump.length);
	assert_non_null(dump.out);
	enum status status = store_load(store, dump_row, &dump, err);
	struct store_head head;
	store_journal_head(store, &head);
	for (uint64_t before = head.seq + 1; status == STATUS_OK && before > 1;) {
		struct store_filter filter = {
			.table = -1, .before_seq = before, .at_ms = INT64_MAX, .limit = 1000
		};
		status = store_journal_list(store, &filter, dump_entry, &dump, err);
		before = before > 1000 ? before - 1000 : 0;
	}
	static const char *const environments[] = { "dev", "prod" };
	for (size_t i = 0; status == STATUS_OK && i < 2; i++) {
		uint64_t revision = 0;
		uint8_t digest[STORE_HASH_BYTES];
		int64_t at_ms = 0;
		status = store_revision_get(store, environments[i], &revision, digest, &at_ms, err);
		(void)fprintf(dump.out, "revision %" PRIu64 " %02x %" PRId64 "\n", revision, digest[0],
		              at_ms);
	}
	(void)fprintf(dump.out, "head %" PRIu64 " epoch %" PRIu64 " %s\n", head.seq, store_epoch(store),
	              store_instance_id(store));
	(void)fclose(dump.out);
	if (status != STATUS_OK) {
		free(dump.text);
		return NULL;
	}
	return dump.text;
}
