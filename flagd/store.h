/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Store: the durable state, behind operations that are one transaction each (docs/adr/0006, docs/schema.md).
 *
 * Rows are documents with a version; the journal is the append-only list of what was done to them.
 * store_commit() is the only way to change anything: rows, journal entries, revisions and the stored
 * answer of an idempotent request become durable together or not at all, guarded by the versions
 * that the caller saw. Nothing here knows what the documents mean.
 *
 * This implementation is SQLite: one read-write connection in this one process (a lock file and
 * exclusive locking forbid a second), WAL, synchronous=FULL. Every row carries a BLAKE2b digest over all
 * of its columns, because a flipped bit in an unindexed value passes SQLite's own checks; each journal
 * entry hashes the one before it: BLAKE2b-256("halyard-journal-v1" ‖ previous ‖ length as 8 bytes
 * big-endian ‖ bytes). The journal's end is also noted in DIR/halyard.head, so that a deleted WAL or an
 * older copy of the database is noticed.
 *
 * Threads: one at a time (flagd's worker). No callback may call the store.
 *
 * Failures: STATUS_STORAGE_FULL and STATUS_READ_ONLY (folder or disk cannot be written): nothing was changed;
 * STATUS_UNAVAILABLE: I/O error; the commit is not there, unless the process ends before the store has
 * recovered, which it tries by itself before the next operation and then at most once a second;
 * STATUS_CORRUPT (says what to do): no more changes until a restart. Reads go on where they can.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/error.h"

#define STORE_HASH_BYTES 32

struct store;

/*
 * Opens DIR/halyard.db (creating both), takes DIR/flagd.lock, applies missing migrations (each one
 * transaction; checksums of the applied ones must match; a newer schema is refused with a sentence
 * that says what to do), then checks: quick_check (above 4 MiB: of the state only), schema against
 * ours, hash chain of the journal's last 1,000 entries, that no row is older than they tell, the
 * journal's end against the newest revisions and DIR/halyard.head. Digests of rows are checked by
 * store_load(). STATUS_CONFLICT: another process holds the lock, or the schema is newer.
 * STATUS_FORBIDDEN: every user may write DIR.
 *
 * A folder or disk that cannot be written is opened for reading, if no WAL waits there; see
 * store_health_check(). A journal without halyard.head was put back from a backup: the epoch rises.
 */
MUST_CHECK enum status store_open(const char *dir, const struct clock *clock, struct store **ret,
                                  struct error *err);
void store_close(struct store *store); /* checkpoints; NULL is allowed */

/* ---- Rows ---- */

enum store_table {
	STORE_ENVIRONMENT, /* key */
	STORE_FLAG,        /* key */
	STORE_SETTING,     /* key of the flag, environment */
	STORE_SEGMENT,     /* key */
	STORE_TOKEN,       /* key is the token's id; environment may be NULL */
	STORE_TABLE_COUNT
};

struct store_row {
	enum store_table table;
	const char *key;
	const char *environment; /* NULL unless the table has one */
	uint64_t version;        /* 1, 2, … */
	bool is_archived;
	int64_t created_ms, updated_ms;
	const char *doc; /* JSON, NUL-terminated */
	size_t doc_length;
	const uint8_t *secret_hash; /* STORE_TOKEN: STORE_HASH_BYTES of them; else NULL */
};

/* Borrowed for the call. False stops the walk. */
typedef bool store_row_visitor(void *user, const struct store_row *row);

/*
 * Every row: environments, flags, settings, segments, tokens, each in key order. A row whose digest
 * does not hold ends the walk with STATUS_CORRUPT naming it.
 */
MUST_CHECK enum status store_load(struct store *store, store_row_visitor *visit, void *user,
                                  struct error *err);

/* ---- Journal ---- */

/* What an entry is about, for searching; the truth is in its bytes. */
struct store_entry {
	uint64_t seq; /* 1, 2, … without a gap */
	int64_t at_ms;
	enum store_table table;
	const char *key;
	const char *environment; /* NULL: none */
	const char *action;      /* "setting.update" */
	const char *actor;       /* "token:tok_…" */
	const char *trace_id;
	const char *bytes; /* exact JSON of the entry */
	size_t length;
	const char *after;              /* the row's document after it; NULL: archived */
	uint64_t version;               /* of the row after it; 0: the row was not changed */
	uint8_t hash[STORE_HASH_BYTES]; /* set by the store */
};

struct store_head {
	uint64_t seq; /* 0: empty */
	int64_t at_ms;
	uint8_t hash[STORE_HASH_BYTES]; /* zeros when empty */
};
void store_journal_head(struct store *store, struct store_head *ret);

/* The hash that an entry with these bytes gets behind @previous. */
void store_journal_hash(const uint8_t previous[static STORE_HASH_BYTES], const char *bytes, size_t length,
                        uint8_t ret[static STORE_HASH_BYTES]);

/* False stops the walk. */
typedef bool store_entry_visitor(void *user, const struct store_entry *entry);

/* For a filter: a flag's definition and its settings. */
#define STORE_FLAG_AND_SETTING (-2)

struct store_filter {
	int table;               /* enum store_table, STORE_FLAG_AND_SETTING, or -1: any */
	const char *key;         /* NULL: any */
	const char *environment; /* NULL: any */
	uint64_t before_seq;     /* only older ones; 0: from the newest */
	int64_t at_ms;           /* only those that a reader at that time had; INT64_MAX: all */
	uint32_t limit;          /* 1 to 1,000 */
};

/*
 * Newest first; keyset paging by before_seq. Each entry is checked against its digest, which covers bytes
 * and hash. Cost per entry: one look-up with a key or an environment or neither; a table alone is a filter.
 */
MUST_CHECK enum status store_journal_list(struct store *store, const struct store_filter *filter,
                                          store_entry_visitor *visit, void *user, struct error *err);

/*
 * State as of a time: for every (table, key, environment) the newest entry up to the highest seq whose time
 * is not after @at_ms; archived ones are left out. For environments, flags, settings and segments.
 */
MUST_CHECK enum status store_state_at(struct store *store, int64_t at_ms, store_entry_visitor *visit,
                                      void *user, struct error *err);

/* ---- Commit ---- */

struct store_write {
	struct store_row row;
	uint64_t expected_version; /* 0: it must not exist */
};

struct store_revision {
	const char *environment;
	uint64_t revision; /* the new one: must be the stored one + 1 (1 for a new environment) */
	uint8_t digest[STORE_HASH_BYTES]; /* ruleset_digest() at that revision */
};

struct store_answer {
	const char *principal;
	const char *idempotency_key;
	uint8_t request_digest[STORE_HASH_BYTES]; /* of method, path and body */
	int http_status;
	const char *etag; /* "" when it has none */
	const char *body;
	size_t body_length;
};

struct store_commit {
	const struct store_write *writes; /* in this order; a flag and its environment before a setting */
	size_t write_count;
	const struct store_entry *entries; /* seq follows the head without a gap; one for each write */
	size_t entry_count;
	const struct store_revision *revisions;
	size_t revision_count;
	const struct store_answer *answer; /* NULL: not idempotent */
};

/*
 * STATUS_PRECONDITION_FAILED when a version, revision or seq is not what was expected, STATUS_CONFLICT when
 * the idempotency key exists, STATUS_INVALID when a row's flag or environment does not, STATUS_INTERNAL for
 * a write without the entry that tells of it (same table, key, environment, version; `after` is the
 * document, NULL if archived). Durable when it returns STATUS_OK.
 */
MUST_CHECK enum status store_commit(struct store *store, const struct store_commit *commit,
                                    struct error *err);

/* Newest revision of an environment; zero and a zero digest when there is none yet. */
MUST_CHECK enum status store_revision_get(struct store *store, const char *environment,
                                          uint64_t *ret_revision, uint8_t ret_digest[static STORE_HASH_BYTES],
                                          int64_t *ret_at_ms, struct error *err);

/* Rises only on restore or forced failover. */
uint64_t store_epoch(const struct store *store);
MUST_CHECK enum status store_epoch_bump(struct store *store, struct error *err);

/* Random id of this database, 32 hex digits; made on creation. */
const char *store_instance_id(const struct store *store);

/*
 * Stored answer of an idempotency key, younger than 24 h: STATUS_OK fills @ret (strings live until the next
 * call), STATUS_NOT_FOUND. Older ones are removed by the commits with an answer, a few at a time.
 */
MUST_CHECK enum status store_answer_find(struct store *store, const char *principal,
                                         const char *idempotency_key, struct store_answer *ret,
                                         struct error *err);

/* ---- Health ---- */

struct store_health {
	bool is_writable;
	enum status reason; /* STATUS_OK while writable */
	char message[256];  /* "" while writable */
	uint64_t wal_bytes;
	uint64_t database_bytes;
	uint64_t commits, failed_commits;
};

/*
 * Tries a tiny durable write when the last one failed, at most once a second, so that a disk with room
 * again is noticed without a restart; otherwise only reports.
 */
void store_health_check(struct store *store, struct store_health *ret);

/*
 * Whole check: integrity_check, foreign keys, all digests, the whole chain, each row against the newest
 * entry that changed it, revisions without a gap, halyard.head. Reads everything.
 */
MUST_CHECK enum status store_verify(struct store *store, struct error *err);
