/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one door for change.
 *
 *	struct change change;
 *	if (!change_begin(&change, request, reply, "setting.update", reason)) return;
 *	status = change_put(&change, &(struct change_row){ … }, &err);     once per row
 *	status = change_prepare(&change, &err);
 *	… render the answer from the catalogue, which shows the state after the change …
 *	status = change_commit(&change, &err);
 *	change_end(&change);
 *
 * change_put() puts new rows into the catalogue; change_prepare() compiles what they affect in every environment,
 * refuses what would break, and builds journal entries, revisions and signed snapshots; change_commit() makes
 * rows, entries, revisions and the stored answer durable in one transaction and then publishes.
 * change_end() takes everything back that was not committed: a preview is a change without commit.
 *
 * Worker thread only.
 */
#pragma once

#include "flagd/app.h"

/* Of an environment's documents: a bundle (BUNDLE_MAX_BYTES) also has a line's head for each, and the manifest. */
#define CHANGE_MAX_RULESET_BYTES (48u * 1024 * 1024)

struct change_row {
	enum store_table table;
	const char *key;
	const char *environment; /* NULL unless the table has one */
	const char *action;      /* of its journal entry; NULL: the change's */
	const char *doc;         /* canonical JSON; NULL: as it is (archiving) */
	size_t doc_length;
	bool is_archived;
	const char *path; /* where its members stand in the request's body: "/environments/prod", "" */
	const uint8_t *secret_hash;
};

struct change_pending; /* flagd/change.c */

struct change {
	struct app *app;
	struct http_request *request; /* NULL: flagd itself */
	struct http_reply *reply;
	char trace_id[TRACE_ID_SIZE];
	const char *action;
	const char *reason;
	int64_t now_ms; /* wall time of everything in it */
	bool is_dry_run;
	bool is_committed;
	struct change_pending *rows;
	size_t row_count, row_capacity;
	struct change_environment *environments;
	size_t environment_count;
	struct publication publication;
	const struct buf *
	        stored_body; /* for the idempotent answer, where the reply holds a secret; NULL: the reply's */
	struct buf entries;  /* bytes of all journal entries, one behind the other */
};

/*
 * Starts a change asked for by @request. False: the reply is already there, because the idempotency key was used
 * before (the stored answer is given again) or something failed. Reads `dry_run`.
 */
bool change_begin(struct change *change, struct http_request *request, struct http_reply *reply,
                  const char *action, const char *reason);

/* Starts a change of flagd's own: no request, no preview. */
void change_begin_system(struct change *change, struct app *app, const char *action, const char *reason);

/* Nothing happens for a row that is the same already. */
MUST_CHECK enum status change_put(struct change *change, const struct change_row *row, struct error *err);

/* Did any row differ? */
bool change_has_rows(const struct change *change);

MUST_CHECK enum status change_prepare(struct change *change, struct error *err);

/* The reply must be complete: with an Idempotency-Key it is stored as it is. */
MUST_CHECK enum status change_commit(struct change *change, struct error *err);

void change_end(struct change *change);

/* {"dry_run":true,"changes":[…],"warnings":[…]} of what was put. */
void change_preview_write(const struct change *change, struct json_writer *w);
