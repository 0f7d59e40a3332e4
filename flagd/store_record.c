/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Row digest: BLAKE2b-256 over the table's name and each column but the digest, in the order of their
 * declaration. A value is hashed as its type and its bytes: 0 for NULL; 1 and 8 bytes big-endian for
 * an integer; 2 (text) or 3 (blob), length as 8 bytes big-endian, bytes. The name is hashed as a text.
 */
#include "flagd/store_internal.h"

#include <string.h>

enum { TAG_NULL, TAG_INTEGER, TAG_TEXT, TAG_BLOB };

static void hash_head(crypto_generichash_state *hash, uint8_t tag, uint64_t value)
{
	uint8_t head[9] = { tag };
	for (int i = 0; i < 8; i++) {
		head[1 + i] = (uint8_t)(value >> (56 - 8 * i));
	}
	(void)crypto_generichash_update(hash, head, tag == TAG_NULL ? 1 : sizeof(head));
}

static void hash_bytes(crypto_generichash_state *hash, uint8_t tag, const void *bytes, size_t length)
{
	hash_head(hash, tag, length);
	if (length > 0) {
		(void)crypto_generichash_update(hash, bytes, length);
	}
}

static void hash_begin(crypto_generichash_state *hash, const char *table)
{
	(void)crypto_generichash_init(hash, NULL, 0, STORE_HASH_BYTES);
	hash_bytes(hash, TAG_TEXT, table, strlen(table));
}

void store_record_begin(struct store_record *record, sqlite3_stmt *statement, const char *table)
{
	record->statement = statement;
	record->index = 1;
	record->rc = SQLITE_OK;
	record->hash = (crypto_generichash_state *)(((uintptr_t)record->room + 63) & ~(uintptr_t)63);
	hash_begin(record->hash, table);
}

static void keep(struct store_record *record, int rc)
{
	if (record->rc == SQLITE_OK) {
		record->rc = rc;
	}
	record->index++;
}

void store_record_integer(struct store_record *record, int64_t value)
{
	hash_head(record->hash, TAG_INTEGER, (uint64_t)value);
	keep(record, sqlite3_bind_int64(record->statement, record->index, value));
}

void store_record_text(struct store_record *record, const char *text, size_t length)
{
	if (text == NULL) {
		hash_head(record->hash, TAG_NULL, 0);
		keep(record, sqlite3_bind_null(record->statement, record->index));
		return;
	}
	hash_bytes(record->hash, TAG_TEXT, text, length);
	keep(record,
	     sqlite3_bind_text64(record->statement, record->index, text, length, SQLITE_STATIC, SQLITE_UTF8));
}

void store_record_string(struct store_record *record, const char *string)
{
	store_record_text(record, string, string == NULL ? 0 : strlen(string));
}

void store_record_blob(struct store_record *record, const void *bytes, size_t length)
{
	hash_bytes(record->hash, TAG_BLOB, bytes, length);
	keep(record, sqlite3_bind_blob64(record->statement, record->index, bytes, length, SQLITE_STATIC));
}

int store_record_end(struct store_record *record)
{
	uint8_t digest[STORE_HASH_BYTES];
	(void)crypto_generichash_final(record->hash, digest, sizeof(digest));
	keep(record,
	     sqlite3_bind_blob(record->statement, record->index, digest, sizeof(digest), SQLITE_TRANSIENT));
	return record->rc;
}

/* Hashes one column of the current row. */
static int hash_column(crypto_generichash_state *hash, sqlite3_stmt *statement, int column)
{
	int type = sqlite3_column_type(statement, column);
	if (type == SQLITE_NULL) {
		hash_head(hash, TAG_NULL, 0);
		return SQLITE_OK;
	}
	if (type == SQLITE_INTEGER) {
		hash_head(hash, TAG_INTEGER, (uint64_t)sqlite3_column_int64(statement, column));
		return SQLITE_OK;
	}
	if (type != SQLITE_TEXT && type != SQLITE_BLOB) {
		return SQLITE_CORRUPT;
	}
	const void *bytes = sqlite3_column_blob(statement, column);
	int length = sqlite3_column_bytes(statement, column);
	if (bytes == NULL && length > 0) {
		return SQLITE_NOMEM;
	}
	hash_bytes(hash, type == SQLITE_TEXT ? TAG_TEXT : TAG_BLOB, bytes, (size_t)length);
	return SQLITE_OK;
}

int store_record_check(sqlite3_stmt *statement, const char *table)
{
	crypto_generichash_state hash;
	hash_begin(&hash, table);
	int last = sqlite3_column_count(statement) - 1;
	for (int column = 0; column < last; column++) {
		int rc = hash_column(&hash, statement, column);
		if (rc != SQLITE_OK) {
			return rc;
		}
	}
	uint8_t digest[STORE_HASH_BYTES];
	(void)crypto_generichash_final(&hash, digest, sizeof(digest));
	const void *stored = sqlite3_column_blob(statement, last);
	if (sqlite3_column_bytes(statement, last) != (int)sizeof(digest)) {
		return SQLITE_CORRUPT;
	}
	if (stored == NULL) {
		return SQLITE_NOMEM;
	}
	return memcmp(stored, digest, sizeof(digest)) == 0 ? SQLITE_OK : SQLITE_CORRUPT;
}
