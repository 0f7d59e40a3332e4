/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/store_internal.h"

#include <string.h>

static const char *const tables[] = { "schema_migrations", "identity", "environment", "flag",  "setting",
	                              "segment",           "token",    "revision",    "answer" };

/* Each row against the newest entry that changed it: same version, same document unless it is archived. */
#define ROW_DIFFERS(table, environment)                                                         \
	"SELECT 'The row of " table                                                             \
	" ' || quote(r.key) || ' is not what the journal tells of it' FROM " table              \
	" AS r LEFT JOIN journal AS j ON j.seq = (SELECT seq FROM journal WHERE kind = '" table \
	"' AND key = r.key AND environment = " environment                                      \
	" AND version > 0 ORDER BY seq DESC LIMIT 1) WHERE r.version IS NOT j.version OR "      \
	"j.after IS NOT CASE r.archived WHEN 0 THEN r.doc END LIMIT 1"

static const char *const queries[] = {
	"SELECT 'A row of ' || \"table\" || ' belongs to one of ' || parent || ' that does not exist' "
	"FROM pragma_foreign_key_check",
	ROW_DIFFERS("environment", "''"),
	ROW_DIFFERS("flag", "''"),
	ROW_DIFFERS("setting", "r.environment"),
	ROW_DIFFERS("segment", "''"),
	ROW_DIFFERS("token", "coalesce(r.environment, '')"),
	"SELECT 'Revision ' || (before + 1) || ' of environment ' || quote(environment) || ' is missing' "
	"FROM (SELECT environment, revision, lag(revision, 1, 0) OVER (PARTITION BY environment "
	"ORDER BY revision) AS before FROM revision) WHERE revision <> before + 1",
	"SELECT 'Revision ' || revision || ' of environment ' || quote(environment) || "
	"' is out of step with the journal' FROM (SELECT *, lag(seq, 1, 0) OVER (PARTITION BY environment "
	"ORDER BY revision) AS before FROM revision) "
	"WHERE seq < before OR seq > (SELECT coalesce(max(seq), 0) FROM journal)",
};

enum status store_verify(struct store *store, struct error *err)
{
	enum status status = store_ready(store, err);
	if (status == STATUS_OK) {
		status = store_check_structure(store, "PRAGMA integrity_check(1)", err);
	}
	for (size_t i = 0; status == STATUS_OK && i < sizeof(tables) / sizeof(tables[0]); i++) {
		char sql[64];
		(void)snprintf(sql, sizeof(sql), "SELECT * FROM %s", tables[i]);
		status = store_check_rows(store, tables[i], sql, err);
	}
	if (status == STATUS_OK) {
		status = store_check_chain(store, 1, err);
	}
	if (status == STATUS_OK) {
		status = store_check_rows_behind(store, 1, err);
	}
	for (size_t i = 0; status == STATUS_OK && i < sizeof(queries) / sizeof(queries[0]); i++) {
		status = store_check_none(store, queries[i], 0, err);
	}
	struct store_mark mark = { 0 };
	if (status == STATUS_OK) {
		status = store_mark_read(store, &mark, err);
	}
	return status == STATUS_OK ? store_mark_check(store, &mark, err) : status;
}
