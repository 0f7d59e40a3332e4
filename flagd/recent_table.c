/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/recent_table.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#define FIRST_SLOT_COUNT 64

_Static_assert(crypto_shorthash_KEYBYTES == 16, "the header's hash_key is one of SipHash");

void recent_table_init(struct recent_table *table, size_t max_count, size_t entry_size)
{
	*table = (struct recent_table){ .max_count = max_count, .entry_size = entry_size };
	crypto_shorthash_keygen(table->hash_key);
}

void recent_table_deinit(struct recent_table *table)
{
	struct recent_entry *entry = table->newest;
	while (entry != NULL) {
		struct recent_entry *const older = entry->older;
		free(entry);
		entry = older;
	}
	free(table->slots);
	*table = (struct recent_table){ 0 };
}

static uint32_t key_hash(const struct recent_table *table, const void *key, size_t length)
{
	uint8_t bytes[crypto_shorthash_BYTES];
	uint32_t hash = 0;
	(void)crypto_shorthash(bytes, key, length, table->hash_key);
	memcpy(&hash, bytes, sizeof(hash));
	return hash;
}

static struct recent_entry **slot_of(const struct recent_table *table, uint32_t hash)
{
	return &table->slots[hash & (table->slot_count - 1)];
}

/* Twice the slots once there are more entries than slots; the old ones do as well when memory is short. */
static void slots_grow(struct recent_table *table)
{
	if (table->count < table->slot_count) {
		return;
	}
	const size_t slot_count = table->slot_count == 0 ? FIRST_SLOT_COUNT : table->slot_count * 2;
	struct recent_entry **const slots = calloc(slot_count, sizeof(struct recent_entry *));
	if (slots == NULL) {
		return;
	}
	free(table->slots);
	table->slots = slots;
	table->slot_count = slot_count;
	for (struct recent_entry *entry = table->newest; entry != NULL; entry = entry->older) {
		struct recent_entry **const slot = slot_of(table, entry->hash);
		entry->next_in_slot = *slot;
		*slot = entry;
	}
}

static void order_unlink(struct recent_table *table, struct recent_entry *entry)
{
	*(entry->newer != NULL ? &entry->newer->older : &table->newest) = entry->older;
	*(entry->older != NULL ? &entry->older->newer : &table->oldest) = entry->newer;
}

static void order_push(struct recent_table *table, struct recent_entry *entry)
{
	entry->newer = NULL;
	entry->older = table->newest;
	*(table->newest != NULL ? &table->newest->newer : &table->oldest) = entry;
	table->newest = entry;
}

static void oldest_remove(struct recent_table *table)
{
	struct recent_entry *const entry = table->oldest;
	struct recent_entry **link = slot_of(table, entry->hash);
	while (*link != entry) {
		link = &(*link)->next_in_slot;
	}
	*link = entry->next_in_slot;
	order_unlink(table, entry);
	table->count--;
	free(entry);
}

static struct recent_entry *entry_find(const struct recent_table *table, uint32_t hash, const void *key,
                                       size_t length)
{
	struct recent_entry *entry = table->slot_count == 0 ? NULL : *slot_of(table, hash);
	while (entry != NULL && (entry->hash != hash || entry->key_length != length ||
	                         memcmp(recent_table_key(table, entry), key, length) != 0)) {
		entry = entry->next_in_slot;
	}
	return entry;
}

static struct recent_entry *entry_add(struct recent_table *table, uint32_t hash, const void *key,
                                      size_t length, int64_t now_ms)
{
	if (length > UINT32_MAX) {
		return NULL;
	}
	if (table->count >= table->max_count && table->oldest != NULL &&
	    now_ms - table->oldest->seen_ms > RECENT_TABLE_KEEP_MS) {
		oldest_remove(table);
	}
	slots_grow(table);
	if (table->count >= table->max_count || table->slot_count == 0) {
		return NULL;
	}
	struct recent_entry *const entry = calloc(1, table->entry_size + length + 1);
	if (entry == NULL) {
		return NULL;
	}
	memcpy((char *)entry + table->entry_size, key, length);
	entry->hash = hash;
	entry->key_length = (uint32_t)length;
	struct recent_entry **const slot = slot_of(table, hash);
	entry->next_in_slot = *slot;
	*slot = entry;
	order_push(table, entry);
	table->count++;
	return entry;
}

void *recent_table_touch(struct recent_table *table, const void *key, size_t length, int64_t now_ms)
{
	const uint32_t hash = key_hash(table, key, length);
	struct recent_entry *entry = entry_find(table, hash, key, length);
	if (entry != NULL) {
		order_unlink(table, entry);
		order_push(table, entry);
	} else {
		entry = entry_add(table, hash, key, length, now_ms);
	}
	if (entry != NULL) {
		entry->seen_ms = now_ms;
	}
	return entry;
}
