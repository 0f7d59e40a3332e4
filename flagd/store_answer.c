/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/store_internal.h"

#include <string.h>

static enum status answer_read(struct store *store, sqlite3_stmt *statement, struct store_answer *ret,
                               struct error *err)
{
	enum { ID, PRINCIPAL, KEY, CREATED, REQUEST, HTTP_STATUS, ETAG, BODY };
	int rc = store_record_check(statement, "answer");
	if (rc == SQLITE_CORRUPT) {
		return store_damaged(store, err, "A stored answer does not fit its digest");
	}
	const char *principal = store_column_text(statement, PRINCIPAL);
	const char *key = store_column_text(statement, KEY);
	const void *request = sqlite3_column_blob(statement, REQUEST);
	const char *etag = store_column_text(statement, ETAG);
	const char *body = store_column_text(statement, BODY);
	if (rc != SQLITE_OK || principal == NULL || key == NULL || request == NULL || etag == NULL ||
	    body == NULL) {
		return store_fail(store, rc == SQLITE_OK ? SQLITE_NOMEM : rc, "Reading a stored answer", err);
	}
	/* One after the other; offsets, because the buffer moves while it grows. */
	size_t body_length = (size_t)sqlite3_column_bytes(statement, BODY);
	struct buf *buf = &store->answer;
	buf_reset(buf);
	buf_append(buf, principal, strlen(principal) + 1);
	buf_append(buf, key, strlen(key) + 1);
	buf_append(buf, etag, strlen(etag) + 1);
	buf_append(buf, body, body_length);
	enum status status = buf_status(buf, "A stored answer", err);
	if (status != STATUS_OK) {
		return status;
	}
	struct store_answer answer = { .http_status = sqlite3_column_int(statement, HTTP_STATUS),
		                       .body_length = body_length };
	memcpy(answer.request_digest, request, sizeof(answer.request_digest));
	answer.principal = buf->data;
	answer.idempotency_key = answer.principal + strlen(answer.principal) + 1;
	answer.etag = answer.idempotency_key + strlen(answer.idempotency_key) + 1;
	answer.body = answer.etag + strlen(answer.etag) + 1;
	*ret = answer;
	return STATUS_OK;
}

enum status store_answer_find(struct store *store, const char *principal, const char *idempotency_key,
                              struct store_answer *ret, struct error *err)
{
	enum status status = store_ready(store, err);
	if (status != STATUS_OK) {
		return status;
	}
	sqlite3_stmt *statement = store_statement(store, STATEMENT_ANSWER_FIND);
	(void)sqlite3_bind_text(statement, 1, principal, -1, SQLITE_STATIC);
	(void)sqlite3_bind_text(statement, 2, idempotency_key, -1, SQLITE_STATIC);
	int rc = sqlite3_step(statement);
	int64_t age_ms = 0;
	if (rc == SQLITE_ROW) {
		age_ms = clock_wall_ms(store->clock) - sqlite3_column_int64(statement, 3);
	}
	if (rc == SQLITE_ROW && age_ms < STORE_ANSWER_TTL_MS && age_ms > -STORE_ANSWER_TTL_MS) {
		status = answer_read(store, statement, ret, err);
	} else if (rc == SQLITE_ROW || rc == SQLITE_DONE) {
		status = error_fail(err, STATUS_NOT_FOUND, "This idempotency key was not used yet");
	} else {
		status = store_fail(store, rc, "Reading a stored answer", err);
	}
	store_release(statement);
	return status;
}
