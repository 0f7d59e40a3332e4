/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A durable change against a bare SQLite transaction that writes the same rows to the same tables
 * without digests, version checks, foreign keys and triggers; WAL and synchronous=FULL both. They take
 * turns in blocks, so that both meet the same disk. Then reading, in CPU time: start, history and state.
 *
 *	bench_store DIR [COMMITS [FLAGS [ENTRIES]]]
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <sqlite3.h>

#include "flagd/store.h"

#define BLOCK   250
#define FLAGS   64
#define ENTRIES 100000

static double now_us(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* Of this process: reading waits for nothing. */
static double cpu_us(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static _Noreturn void die(const char *what, const char *why)
{
	(void)fprintf(stderr, "bench_store: %s: %s\n", what, why);
	exit(1);
}

static int64_t wall(void *user)
{
	(void)user;
	struct timespec now;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static const struct clock system_time = { wall, wall, NULL };

/* ---- What is written: a setting of 450 bytes, its entry of 1,150, a revision ---- */

struct change {
	char key[32];
	char doc[451];
	char bytes[1200];
	uint64_t version;
	uint64_t revision;
};

static void change_fill(struct change *change, uint64_t number, unsigned flags)
{
	(void)snprintf(change->key, sizeof(change->key), "flag-%05u", (unsigned)(number % flags));
	int used =
	        snprintf(change->doc, sizeof(change->doc), "{\"enabled\":true,\"note\":\"%" PRIu64, number);
	memset(change->doc + used, 'x', sizeof(change->doc) - (size_t)used - 3);
	memcpy(change->doc + sizeof(change->doc) - 3, "\"}", 3);
	(void)snprintf(change->bytes, sizeof(change->bytes),
	               "{\"seq\":\"%" PRIu64 "\",\"action\":\"setting.update\",\"reason\":\"%0200d\","
	               "\"before\":%s,\"after\":%s}",
	               number, 0, change->doc, change->doc);
	change->version = number / flags + 1;
	change->revision = number + 1;
}

/* ---- Bare ---- */

static const char bare_schema[] =
        "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
        "CREATE TABLE setting (key TEXT, environment TEXT, version INTEGER, archived INTEGER, created_ms "
        "INTEGER,"
        " updated_ms INTEGER, doc TEXT, digest BLOB, PRIMARY KEY (key, environment)) STRICT, WITHOUT ROWID;"
        "CREATE TABLE journal (seq INTEGER PRIMARY KEY, at_ms INTEGER, latest_ms INTEGER, kind TEXT, key "
        "TEXT,"
        " environment TEXT, action TEXT, actor TEXT, trace_id TEXT, version INTEGER, hash BLOB, after TEXT,"
        " bytes TEXT, digest BLOB) STRICT;"
        "CREATE INDEX journal_subject ON journal (kind, key, environment);"
        "CREATE INDEX journal_environment ON journal (environment) WHERE environment <> '';"
        "CREATE TABLE revision (environment TEXT, revision INTEGER, seq INTEGER, at_ms INTEGER, ruleset BLOB,"
        " digest BLOB, PRIMARY KEY (environment, revision)) STRICT, WITHOUT ROWID;";

enum { BARE_BEGIN, BARE_COMMIT, BARE_SETTING, BARE_JOURNAL, BARE_REVISION, BARE_COUNT };

static const char *const bare_sql[BARE_COUNT] = {
	"BEGIN IMMEDIATE",
	"COMMIT",
	"INSERT INTO setting VALUES (?1, 'prod', ?2, 0, 1, 1, ?3, ?4) ON CONFLICT DO UPDATE SET version = "
	"?2, "
	"updated_ms = 1, doc = ?3, digest = ?4",
	"INSERT INTO journal VALUES (?1, 1, 1, 'setting', ?2, 'prod', 'setting.update', 'token:tok_bench', "
	"'4bf92f3577b34da6a3ce929d0e0e4736', ?3, ?6, ?4, ?5, ?6)",
	"INSERT INTO revision VALUES ('prod', ?1, ?1, 1, ?2, ?2)",
};

struct bare {
	sqlite3 *db;
	sqlite3_stmt *statements[BARE_COUNT];
};

static void bare_open(struct bare *bare, const char *path)
{
	if (sqlite3_open(path, &bare->db) != SQLITE_OK ||
	    sqlite3_exec(bare->db, bare_schema, NULL, NULL, NULL) != SQLITE_OK) {
		die("bare database", sqlite3_errmsg(bare->db));
	}
	for (size_t i = 0; i < BARE_COUNT; i++) {
		if (sqlite3_prepare_v2(bare->db, bare_sql[i], -1, &bare->statements[i], NULL) != SQLITE_OK) {
			die("bare statement", sqlite3_errmsg(bare->db));
		}
	}
}

static void bare_run(struct bare *bare, int id)
{
	if (sqlite3_step(bare->statements[id]) != SQLITE_DONE) {
		die("bare statement", sqlite3_errmsg(bare->db));
	}
	(void)sqlite3_reset(bare->statements[id]);
}

static void bare_commit(struct bare *bare, const struct change *change)
{
	static const uint8_t digest[32] = { 1 };
	sqlite3_stmt *setting = bare->statements[BARE_SETTING];
	sqlite3_stmt *journal = bare->statements[BARE_JOURNAL];
	sqlite3_stmt *revision = bare->statements[BARE_REVISION];
	bare_run(bare, BARE_BEGIN);
	(void)sqlite3_bind_text(setting, 1, change->key, -1, SQLITE_STATIC);
	(void)sqlite3_bind_int64(setting, 2, (int64_t)change->version);
	(void)sqlite3_bind_text(setting, 3, change->doc, -1, SQLITE_STATIC);
	(void)sqlite3_bind_blob(setting, 4, digest, sizeof(digest), SQLITE_STATIC);
	bare_run(bare, BARE_SETTING);
	(void)sqlite3_bind_int64(journal, 1, (int64_t)change->revision);
	(void)sqlite3_bind_text(journal, 2, change->key, -1, SQLITE_STATIC);
	(void)sqlite3_bind_int64(journal, 3, (int64_t)change->version);
	(void)sqlite3_bind_text(journal, 4, change->doc, -1, SQLITE_STATIC);
	(void)sqlite3_bind_text(journal, 5, change->bytes, -1, SQLITE_STATIC);
	(void)sqlite3_bind_blob(journal, 6, digest, sizeof(digest), SQLITE_STATIC);
	bare_run(bare, BARE_JOURNAL);
	(void)sqlite3_bind_int64(revision, 1, (int64_t)change->revision);
	(void)sqlite3_bind_blob(revision, 2, digest, sizeof(digest), SQLITE_STATIC);
	bare_run(bare, BARE_REVISION);
	bare_run(bare, BARE_COMMIT);
}

/* ---- Store ---- */

static void store_put(struct store *store, enum store_table table, const char *key, const char *environment,
                      const struct change *change, bool has_revision)
{
	struct store_head head;
	store_journal_head(store, &head);
	size_t length = strlen(change->doc);
	struct store_write write = {
		.row = { .table = table,
		         .key = key,
		         .environment = environment,
		         .version = change->version,
		         .created_ms = 1,
		         .updated_ms = 1,
		         .doc = change->doc,
		         .doc_length = length },
		.expected_version = change->version - 1,
	};
	struct store_entry entry = {
		.seq = head.seq + 1,
		.at_ms = wall(NULL),
		.table = table,
		.key = key,
		.environment = environment,
		.action = "setting.update",
		.actor = "token:tok_bench",
		.trace_id = "4bf92f3577b34da6a3ce929d0e0e4736",
		.bytes = change->bytes,
		.length = strlen(change->bytes),
		.after = change->doc,
		.version = change->version,
	};
	struct store_revision revision = { .environment = environment, .revision = change->revision };
	struct store_commit commit = { .writes = &write,
		                       .write_count = 1,
		                       .entries = &entry,
		                       .entry_count = 1,
		                       .revisions = &revision,
		                       .revision_count = has_revision ? 1 : 0 };
	struct error err = ERROR_INIT;
	if (store_commit(store, &commit, &err) != STATUS_OK) {
		die("store_commit", err.message);
	}
}

static struct store *store_make(const char *dir, unsigned flags)
{
	struct error err = ERROR_INIT;
	struct store *store = NULL;
	if (store_open(dir, &system_time, &store, &err) != STATUS_OK) {
		die("store_open", err.message);
	}
	struct change change;
	change_fill(&change, 0, flags);
	store_put(store, STORE_ENVIRONMENT, "prod", NULL, &change, false);
	for (unsigned i = 0; i < flags; i++) {
		change_fill(&change, i, flags);
		store_put(store, STORE_FLAG, change.key, NULL, &change, false);
	}
	return store;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static void report(const char *name, double *us, size_t count)
{
	double sum = 0;
	for (size_t i = 0; i < count; i++) {
		sum += us[i];
	}
	qsort(us, count, sizeof(*us), compare);
	(void)printf("%-28s %8.0f /s   p50 %6.0f us   p99 %6.0f us\n", name, (double)count * 1e6 / sum,
	             us[count / 2], us[count * 99 / 100]);
}

static void bench_commit(const char *dir, const char *bare_path, size_t commits)
{
	struct store *store = store_make(dir, FLAGS);
	struct bare bare = { 0 };
	bare_open(&bare, bare_path);
	double *store_us = calloc(commits, sizeof(double));
	double *bare_us = calloc(commits, sizeof(double));
	if (store_us == NULL || bare_us == NULL) {
		die("calloc", "out of memory");
	}
	double total[2] = { 0, 0 };
	for (size_t i = 0; i < 2 * commits; i++) {
		size_t number = i / (2 * BLOCK) * BLOCK + i % BLOCK;
		bool is_bare = i / BLOCK % 2 == 0;
		struct change change;
		change_fill(&change, number, FLAGS);
		double start = now_us();
		if (is_bare) {
			bare_commit(&bare, &change);
		} else {
			store_put(store, STORE_SETTING, change.key, "prod", &change, true);
		}
		double took = now_us() - start;
		(is_bare ? bare_us : store_us)[number] = took;
		total[is_bare] += took;
	}
	report("bare transaction", bare_us, commits);
	report("store_commit", store_us, commits);
	(void)printf("store_commit / bare: %.2f (rate), %.2f (median)\n", total[1] / total[0],
	             bare_us[commits / 2] / store_us[commits / 2]);
	free(store_us);
	free(bare_us);
	(void)sqlite3_close_v2(bare.db);
	store_close(store);
}

/* ---- Reading ---- */

static bool count_row(void *user, const struct store_row *row)
{
	*(uint64_t *)user += row->doc_length;
	return true;
}

static bool count_entry(void *user, const struct store_entry *entry)
{
	*(uint64_t *)user += entry->length;
	return true;
}

/* Fills the journal through the store, many entries in a commit. */
static void fill(struct store *store, unsigned flags, unsigned entries)
{
	enum { BATCH = 500 };
	static struct change changes[BATCH];
	static struct store_write writes[BATCH];
	static struct store_entry journal[BATCH];
	for (unsigned done = 0; done < entries;) {
		struct store_head head;
		store_journal_head(store, &head);
		unsigned count = entries - done < BATCH ? entries - done : BATCH;
		for (unsigned i = 0; i < count; i++) {
			struct change *change = &changes[i];
			change_fill(change, done + i, flags);
			writes[i] = (struct store_write){
				.row = { .table = STORE_SETTING,
				         .key = change->key,
				         .environment = "prod",
				         .version = change->version,
				         .doc = change->doc,
				         .doc_length = strlen(change->doc) },
				.expected_version = change->version - 1,
			};
			journal[i] = (struct store_entry){
				.seq = head.seq + 1 + i,
				.at_ms = wall(NULL),
				.table = STORE_SETTING,
				.key = change->key,
				.environment = "prod",
				.action = "setting.update",
				.actor = "token:tok_bench",
				.trace_id = "4bf92f3577b34da6a3ce929d0e0e4736",
				.bytes = change->bytes,
				.length = strlen(change->bytes),
				.after = change->doc,
				.version = change->version,
			};
		}
		struct store_commit commit = {
			.writes = writes, .write_count = count, .entries = journal, .entry_count = count
		};
		struct error err = ERROR_INIT;
		if (store_commit(store, &commit, &err) != STATUS_OK) {
			die("store_commit", err.message);
		}
		done += count;
	}
}

static void bench_list(struct store *store, const char *name, struct store_filter filter)
{
	enum { ROUNDS = 200 };
	struct error err = ERROR_INIT;
	uint64_t bytes = 0;
	double start = cpu_us();
	for (int i = 0; i < ROUNDS; i++) {
		if (store_journal_list(store, &filter, count_entry, &bytes, &err) != STATUS_OK) {
			die("store_journal_list", err.message);
		}
	}
	(void)printf("%-44s %8.0f us\n", name, (cpu_us() - start) / ROUNDS);
}

static void bench_read(const char *dir, unsigned flags, unsigned entries)
{
	struct store *store = store_make(dir, flags);
	fill(store, flags, entries);
	store_close(store);
	struct error err = ERROR_INIT;
	double start = cpu_us();
	if (store_open(dir, &system_time, &store, &err) != STATUS_OK) {
		die("store_open", err.message);
	}
	double opened = cpu_us();
	uint64_t bytes = 0;
	if (store_load(store, count_row, &bytes, &err) != STATUS_OK) {
		die("store_load", err.message);
	}
	(void)printf("%u flags with a setting, %u entries: open %.1f ms, load %.1f ms (%.1f MB)\n", flags,
	             entries, (opened - start) / 1e3, (cpu_us() - opened) / 1e3, (double)bytes / 1e6);
	bench_list(store, "history of a setting, newest 50",
	           (struct store_filter){ STORE_SETTING, "flag-00007", "prod", 0, INT64_MAX, 50 });
	bench_list(store, "history of a flag and its settings",
	           (struct store_filter){ STORE_FLAG_AND_SETTING, "flag-00007", NULL, 0, INT64_MAX, 50 });
	bench_list(store, "the same before the middle, at a time",
	           (struct store_filter){ STORE_FLAG_AND_SETTING, "flag-00007", NULL, entries / 2,
	                                  wall(NULL) - 200, 50 });
	bench_list(store, "all, newest 50", (struct store_filter){ -1, NULL, NULL, 0, INT64_MAX, 50 });
	bench_list(store, "of an environment, newest 50",
	           (struct store_filter){ -1, NULL, "prod", 0, INT64_MAX, 50 });
	start = cpu_us();
	if (store_state_at(store, INT64_MAX - 1, count_entry, &bytes, &err) != STATUS_OK) {
		die("store_state_at", err.message);
	}
	(void)printf("%-44s %8.1f ms\n", "state of everything", (cpu_us() - start) / 1e3);
	start = cpu_us();
	if (store_verify(store, &err) != STATUS_OK) {
		die("store_verify", err.message);
	}
	(void)printf("%-44s %8.1f ms\n", "store_verify", (cpu_us() - start) / 1e3);
	store_close(store);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		(void)fputs("usage: bench_store DIR [COMMITS [FLAGS [ENTRIES]]]\n", stderr);
		return 2;
	}
	char dir[512];
	char path[512];
	size_t commits = argc > 2 ? strtoul(argv[2], NULL, 10) / BLOCK * BLOCK : 5000;
	unsigned flags = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 10000;
	unsigned entries = argc > 4 ? (unsigned)strtoul(argv[4], NULL, 10) : ENTRIES;
	if (mkdir(argv[1], 0700) != 0) {
		die(argv[1], "must not exist yet");
	}
	(void)snprintf(dir, sizeof(dir), "%s/store", argv[1]);
	(void)snprintf(path, sizeof(path), "%s/bare.db", argv[1]);
	if (commits > 0) {
		bench_commit(dir, path, commits);
	}
	if (flags > 0) {
		(void)snprintf(dir, sizeof(dir), "%s/read", argv[1]);
		bench_read(dir, flags, entries);
	}
	return 0;
}
