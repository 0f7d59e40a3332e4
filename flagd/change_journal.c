/* SPDX-License-Identifier: Apache-2.0 */
/* Part of flagd/change.h: journal entries, signed snapshots, the commit, and answers that are given again. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "flagd/change_internal.h"

#define IDEMPOTENCY_KEY_MAX_BYTES 128

static const struct principal *actor(const struct change *change)
{
	return change->request != NULL ? auth_principal(change->request) : NULL;
}

static const char *actor_id(const struct change *change)
{
	return actor(change) != NULL ? actor(change)->id : "flagd";
}

static const char *actor_type(const struct change *change)
{
	return actor(change) != NULL ? "token" : "system";
}

static void actor_write(const struct change *change, struct json_writer *w)
{
	const struct http_request *request = change->request;
	json_put_key(w, "actor");
	json_begin_object(w);
	json_put_key_string(w, "type", actor_type(change));
	json_put_key_string(w, "id", actor_id(change));
	json_put_key_string(w, "name", actor(change) != NULL ? actor(change)->name : "flagd");
	json_end_object(w);
	json_put_key(w, "origin");
	json_begin_object(w);
	json_put_key_string(w, "channel", request != NULL ? "http" : "start");
	if (request != NULL) {
		json_put_key_string(w, "address", request->address);
	}
	json_end_object(w);
	json_put_key_string(w, "trace_id", change->trace_id);
	if (request != NULL) {
		json_put_key_string(w, "request_id", request->request_id);
	}
}

static const char *subject_name(enum store_table table)
{
	switch (table) {
	case STORE_ENVIRONMENT:
		return NULL;
	case STORE_FLAG:
	case STORE_SETTING:
		return "flag";
	case STORE_SEGMENT:
		return "segment";
	case STORE_TOKEN:
		return "token";
	case STORE_TABLE_COUNT:
		break;
	}
	return NULL;
}

static void subject_write(const struct row *row, struct json_writer *w)
{
	const char *environment = row->table == STORE_ENVIRONMENT ? row->key : row->environment;
	if (environment != NULL) {
		json_put_key_string(w, "environment", environment);
	}
	const char *name = subject_name(row->table);
	if (name != NULL) {
		json_put_key_string(w, name, row->key);
	}
}

static void entry_write(const struct change *change, const struct change_pending *pending, uint64_t seq,
                        struct buf *out)
{
	struct json_writer w;
	json_writer_init(&w, out);
	json_begin_object(&w);
	json_put_key_uint64_string(&w, "seq", seq);
	json_put_key_time(&w, "at", change->now_ms);
	json_put_key_string(&w, "action", pending->action);
	actor_write(change, &w);
	subject_write(pending->row, &w);
	json_put_key_uint64_string(&w, "version", pending->row->version);
	json_put_key_string(&w, "reason", change->reason);
	json_put_key_string(&w, "result", "applied");
	json_put_key(&w, "revisions");
	json_begin_object(&w);
	for (size_t i = 0; i < change->environment_count; i++) {
		json_put_key_uint64_string(&w, change->environments[i].environment,
		                           change->environments[i].revision);
	}
	json_end_object(&w);
	const struct row *old = pending->old;
	json_put_key(&w, "before");
	json_put_value(&w, old != NULL && !old->is_archived ? row_json(old) : JSON_NONE);
	json_put_key(&w, "after");
	json_put_value(&w, pending->row->is_archived ? JSON_NONE : row_json(pending->row));
	json_end_object(&w);
}

/* The entries, and the journal's head behind them. */
static enum status entries_write(struct change *change, struct store_head *ret_head, struct error *err)
{
	store_journal_head(change->app->store, ret_head);
	for (size_t i = 0; i < change->row_count; i++) {
		struct change_pending *pending = &change->rows[i];
		pending->entry_start = change->entries.length;
		entry_write(change, pending, ret_head->seq + 1, &change->entries);
		pending->entry_length = change->entries.length - pending->entry_start;
		enum status status = buf_status(&change->entries, "journal entry", err);
		if (status != STATUS_OK) {
			return status;
		}
		uint8_t hash[STORE_HASH_BYTES];
		store_journal_hash(ret_head->hash, change->entries.data + pending->entry_start,
		                   pending->entry_length, hash);
		memcpy(ret_head->hash, hash, sizeof(hash));
		ret_head->seq++;
	}
	return STATUS_OK;
}

static bool has_token_rows(const struct change *change)
{
	for (size_t i = 0; i < change->row_count; i++) {
		if (change->rows[i].row->table == STORE_TOKEN) {
			return true;
		}
	}
	return false;
}

static enum status tokens_build(struct change *change, struct error *err)
{
	if (!has_token_rows(change)) {
		return STATUS_OK;
	}
	return app_tokens_build(change->app, &change->publication.tokens, err);
}

enum status change_journal_build(struct change *change, struct error *err)
{
	struct store_head head;
	enum status status = entries_write(change, &head, err);
	for (size_t i = 0; i < change->environment_count && status == STATUS_OK; i++) {
		struct change_environment *environment = &change->environments[i];
		ruleset_digest(environment->ruleset, environment->digest);
		struct publication_entry entry = { .environment = environment->environment,
			                           .ruleset = environment->ruleset,
			                           .digest = environment->digest,
			                           .edits = environment->edits,
			                           .edit_count = environment->edit_count,
			                           .revision = environment->revision,
			                           .now_ms = change->now_ms,
			                           .audit_size = head.seq,
			                           .audit_head = head.hash };
		status = publication_add(&change->publication, change->app->publisher, &entry, err);
	}
	if (status == STATUS_OK) {
		status = tokens_build(change, err);
	}
	if (status == STATUS_OK && (change->environment_count > 0 || change->publication.tokens != NULL)) {
		status = publication_prepare(&change->publication, change->app->publisher, err);
	}
	return status;
}

/* ---- Idempotency ---- */

static const char *idempotency_key(const struct change *change)
{
	return change->request != NULL ? http_header(change->request, "Idempotency-Key") : NULL;
}

bool change_is_retryable(const struct change *change)
{
	return idempotency_key(change) != NULL;
}

/* Of what was asked: the same key with another request is a mistake of the caller. */
static void request_digest(const struct change *change, uint8_t ret[static STORE_HASH_BYTES])
{
	const struct http_request *request = change->request;
	crypto_generichash_state state;
	(void)crypto_generichash_init(&state, NULL, 0, STORE_HASH_BYTES);
	const char *parts[HTTP_MAX_PARAMS + 1] = { request->route->name };
	memcpy(&parts[1], request->params, sizeof(request->params));
	for (size_t i = 0; i < HTTP_MAX_PARAMS + 1; i++) {
		const char *part = parts[i] != NULL ? parts[i] : "";
		(void)crypto_generichash_update(&state, (const unsigned char *)part, strlen(part) + 1);
	}
	(void)crypto_generichash_update(&state, (const unsigned char *)request->body, request->body_length);
	(void)crypto_generichash_final(&state, ret, STORE_HASH_BYTES);
}

static void answer_give(struct change *change, const struct store_answer *answer)
{
	struct http_reply *reply = change->reply;
	if (answer->body_length > 0) {
		http_reply_json(reply, answer->http_status);
		buf_append(&reply->body, answer->body, answer->body_length);
	} else {
		http_reply_empty(reply, answer->http_status);
	}
	if (answer->etag[0] != '\0') {
		http_reply_header(reply, "ETag", "%s", answer->etag);
	}
	http_reply_header(reply, "Idempotent-Replayed", "true");
}

bool change_replay(struct change *change)
{
	const char *key = idempotency_key(change);
	if (key == NULL) {
		return false;
	}
	struct error err = ERROR_INIT;
	struct store_answer answer;
	enum status status = STATUS_OK;
	if (key[0] == '\0' || strlen(key) > IDEMPOTENCY_KEY_MAX_BYTES) {
		status = error_fail(&err, STATUS_INVALID, "The header `Idempotency-Key` has 1 to %d bytes",
		                    IDEMPOTENCY_KEY_MAX_BYTES);
	} else {
		status = store_answer_find(change->app->store, actor_id(change), key, &answer, &err);
	}
	if (status == STATUS_NOT_FOUND) {
		return false;
	}
	if (status == STATUS_OK) {
		uint8_t digest[STORE_HASH_BYTES];
		request_digest(change, digest);
		if (memcmp(digest, answer.request_digest, sizeof(digest)) == 0) {
			answer_give(change, &answer);
			return true;
		}
		(void)error_fail(&err, STATUS_CONFLICT,
		                 "This `Idempotency-Key` was used for another request");
	}
	http_reply_problem(change->request, change->reply, &err);
	return true;
}

/* ---- Commit ---- */

/* Arrays of one commit, in the request's arena or, when they are large, on the heap. */
struct commit_parts {
	struct store_write *writes;
	struct store_entry *entries;
	struct store_revision *revisions;
};

static void commit_parts_free(struct commit_parts *parts)
{
	free(parts->writes);
	free(parts->entries);
	free(parts->revisions);
}

static void write_fill(const struct change_pending *pending, struct store_write *write)
{
	const struct row *row = pending->row;
	*write = (struct store_write){
		.row = { .table = row->table,
		         .key = row->key,
		         .environment = row->environment,
		         .version = row->version,
		         .is_archived = row->is_archived,
		         .created_ms = row->created_ms,
		         .updated_ms = row->updated_ms,
		         .doc = row->text,
		         .doc_length = strlen(row->text),
		         .secret_hash = row->table == STORE_TOKEN ? row->secret_hash : NULL },
		.expected_version = pending->old != NULL ? pending->old->version : 0,
	};
}

static void entry_fill(const struct change *change, const struct change_pending *pending, uint64_t seq,
                       const char *actor_text, struct store_entry *entry)
{
	const struct row *row = pending->row;
	*entry = (struct store_entry){
		.seq = seq,
		.at_ms = change->now_ms,
		.table = row->table,
		.key = row->key,
		.environment = row->environment,
		.action = pending->action,
		.actor = actor_text,
		.trace_id = change->trace_id,
		.bytes = change->entries.data + pending->entry_start,
		.length = pending->entry_length,
		.after = row->is_archived ? NULL : row->text,
		.version = row->version,
	};
}

static bool commit_parts_fill(const struct change *change, const char *actor_text, struct commit_parts *parts)
{
	parts->writes = calloc(change->row_count + 1, sizeof(*parts->writes));
	parts->entries = calloc(change->row_count + 1, sizeof(*parts->entries));
	parts->revisions = calloc(change->environment_count + 1, sizeof(*parts->revisions));
	if (parts->writes == NULL || parts->entries == NULL || parts->revisions == NULL) {
		return false;
	}
	struct store_head head;
	store_journal_head(change->app->store, &head);
	for (size_t i = 0; i < change->row_count; i++) {
		write_fill(&change->rows[i], &parts->writes[i]);
		entry_fill(change, &change->rows[i], head.seq + i + 1, actor_text, &parts->entries[i]);
	}
	for (size_t i = 0; i < change->environment_count; i++) {
		const struct change_environment *environment = &change->environments[i];
		parts->revisions[i].environment = environment->environment;
		parts->revisions[i].revision = environment->revision;
		memcpy(parts->revisions[i].digest, environment->digest, sizeof(environment->digest));
	}
	return true;
}

static const char *reply_etag(const struct http_reply *reply)
{
	for (size_t i = 0; i < reply->header_count; i++) {
		if (strcmp(reply->headers[i].name, "ETag") == 0) {
			return reply->headers[i].value;
		}
	}
	return "";
}

static void answer_fill(const struct change *change, struct store_answer *answer)
{
	const struct buf *body = change->stored_body != NULL ? change->stored_body : &change->reply->body;
	answer->http_status = change->reply->status;
	answer->etag = reply_etag(change->reply);
	answer->body = buf_string(body);
	answer->body_length = body->length;
	request_digest(change, answer->request_digest);
}

enum status change_store(struct change *change, struct error *err)
{
	char actor_text[TOKEN_ID_SIZE + 8];
	(void)snprintf(actor_text, sizeof(actor_text), "%s:%s", actor_type(change), actor_id(change));
	struct commit_parts parts = { 0 };
	if (!commit_parts_fill(change, actor_text, &parts)) {
		commit_parts_free(&parts);
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory while committing");
	}
	struct store_answer answer = { .principal = actor_id(change),
		                       .idempotency_key = idempotency_key(change) };
	if (answer.idempotency_key != NULL) {
		answer_fill(change, &answer);
	}
	struct store_commit commit = {
		.writes = parts.writes,
		.write_count = change->row_count,
		.entries = parts.entries,
		.entry_count = change->row_count,
		.revisions = parts.revisions,
		.revision_count = change->environment_count,
		.answer = answer.idempotency_key != NULL ? &answer : NULL,
	};
	enum status status = store_commit(change->app->store, &commit, err);
	commit_parts_free(&parts);
	return status;
}
