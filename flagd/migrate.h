/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Migrations: numbered SQL that brings a database from any older schema to ours.
 *
 * The files migrations/NNNN_name.sql are embedded by tools/embed_sql.py. Each is applied in one
 * transaction together with its row in schema_migrations and `PRAGMA user_version`, so a crash leaves the
 * version before or after it. Applied ones are known by their SHA-256; what differs or is newer is
 * never touched. Same threads as the connection.
 */
#pragma once

#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct migration {
	int version; /* 1, 2, … */
	const char *name;
	const char *sha256; /* of the file, 64 hex digits */
	const char *sql;
};

extern const struct migration migrations_all[];
extern const size_t migrations_count;

/*
 * Applies what is missing of @list. STATUS_CONFLICT: the database was written by a newer flagd or by
 * one with another migration of the same number. STATUS_CORRUPT: its list of migrations is damaged.
 * On failure the database is as before the migration that failed.
 */
MUST_CHECK enum status migrate_apply(sqlite3 *db, const struct migration *list, size_t count, int64_t now_ms,
                                     struct error *err);

/* STATUS_CORRUPT unless the schema is exactly the one that @list makes in an empty database. */
MUST_CHECK enum status migrate_check(sqlite3 *db, const struct migration *list, size_t count,
                                     struct error *err);
