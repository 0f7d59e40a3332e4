/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounded hash table of entries in the order in which they were last seen. When it is full, an entry that
 * was not seen for RECENT_TABLE_KEEP_MS makes room for a new one, the oldest first; otherwise the new one
 * is refused. Hashing is keyed, so that nobody can choose keys that collide.
 *
 * An entry is a struct whose first member is `struct recent_entry`, zeroed when it is made, followed by a
 * copy of its key. One thread at a time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define RECENT_TABLE_KEEP_MS (60 * 60 * 1000)

struct recent_entry {
	struct recent_entry *next_in_slot;
	struct recent_entry *newer, *older;
	int64_t seen_ms;
	uint32_t hash;
	uint32_t key_length;
};

struct recent_table {
	struct recent_entry **slots;
	size_t slot_count; /* 0 or a power of two */
	size_t count, max_count;
	size_t entry_size;
	struct recent_entry *newest, *oldest;
	uint8_t hash_key[16];
};

/* @entry_size: sizeof the struct of an entry. After sodium_init(). */
void recent_table_init(struct recent_table *table, size_t max_count, size_t entry_size);
void recent_table_deinit(struct recent_table *table); /* accepts a zeroed one */

/* The entry of @key, now the newest, made when there is none. NULL: full, or out of memory. */
void *recent_table_touch(struct recent_table *table, const void *key, size_t length, int64_t now_ms);

/* The entry's key, NUL-terminated. */
static inline const char *recent_table_key(const struct recent_table *table, const void *entry)
{
	return (const char *)entry + table->entry_size;
}
