/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/string_set.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "engine/ascii.h"

/* Folded text is hashed in pieces from the stack; XXH3 is at its best up to 240 bytes. */
#define STRING_SET_FOLD_BYTES 240

static uint64_t string_set_hash(const struct string_set *set, const char *string, size_t length)
{
	if (!set->ignore_case) {
		return XXH3_64bits(string, length);
	}
	uint64_t hash = 0;
	do {
		char folded[STRING_SET_FOLD_BYTES];
		const size_t part = length < sizeof(folded) ? length : sizeof(folded);
		ascii_fold_copy(folded, string, part);
		hash = XXH3_64bits_withSeed(folded, part, hash);
		string += part;
		length -= part;
	} while (length > 0);
	return hash;
}

static bool string_set_entry_equals(const struct string_set *set, const struct string_set_entry *entry,
                                    const char *string, size_t length)
{
	if (entry->length != length) {
		return false;
	}
	return set->ignore_case ? ascii_equals_folded(entry->text, string, length)
	                        : memcmp(entry->text, string, length) == 0;
}

/* Slot that holds the string, or the free one where it would be put. */
static uint32_t string_set_probe(const struct string_set *set, uint64_t hash, const char *string,
                                 size_t length)
{
	const uint32_t mask = set->slots - 1;
	uint32_t slot = (uint32_t)hash & mask;
	while (set->entries[slot].text != NULL) {
		if (set->entries[slot].tag == hash &&
		    string_set_entry_equals(set, &set->entries[slot], string, length)) {
			break;
		}
		slot = (slot + 1) & mask;
	}
	return slot;
}

/* Slot that holds the string, or a free one: `count` in a list that is full. */
static uint32_t string_set_slot(const struct string_set *set, uint64_t hash, const char *string,
                                size_t length)
{
	if (set->is_table) {
		return string_set_probe(set, hash, string, length);
	}
	uint32_t slot = 0;
	while (slot < set->count && !string_set_entry_equals(set, &set->entries[slot], string, length)) {
		slot++;
	}
	return slot;
}

uint32_t string_set_find(const struct string_set *set, const char *string, size_t length)
{
	if (length > set->max_length) {
		return STRING_SET_NONE;
	}
	const uint64_t hash = set->is_table ? string_set_hash(set, string, length) : 0;
	const uint32_t slot = string_set_slot(set, hash, string, length);
	return slot < set->slots && set->entries[slot].text != NULL ? slot : STRING_SET_NONE;
}

/* False when the arena is full. */
static bool string_set_add(struct string_set *set, struct json value, struct arena *arena)
{
	size_t length = 0;
	char *text = json_string_dup(value, arena, &length);
	if (text == NULL) {
		return false;
	}
	if (set->ignore_case) {
		ascii_fold_copy(text, text, length);
	}
	const uint64_t tag =
	        set->is_table ? string_set_hash(set, text, length) : string_set_tag(text, length);
	struct string_set_entry *entry = &set->entries[string_set_slot(set, tag, text, length)];
	if (entry->text == NULL) {
		*entry = (struct string_set_entry){ .tag = tag, .text = text, .length = length };
		set->max_length = length > set->max_length ? length : set->max_length;
		set->count++;
	}
	return true;
}

/* At least half of a table stays free, so that a search for what is not there ends soon. */
static uint32_t string_set_slots(uint32_t count)
{
	uint32_t slots = 2 * STRING_SET_LIST_MAX;
	while (slots / 2 < count) {
		slots *= 2;
	}
	return slots;
}

const struct string_set *string_set_build(struct json strings, bool ignore_case, struct arena *arena)
{
	struct json value = JSON_NONE;
	uint32_t count = json_is(strings, JSON_STRING) ? 1 : 0;
	while (json_next(strings, NULL, &value)) {
		count += json_is(value, JSON_STRING) ? 1 : 0;
	}
	const bool is_table = count > STRING_SET_LIST_MAX;
	const uint32_t slots = is_table ? string_set_slots(count) : count;
	struct string_set *set = arena_alloc(arena, sizeof(*set) + slots * sizeof(set->entries[0]));
	if (set == NULL) {
		return NULL;
	}
	set->slots = slots;
	set->is_table = is_table;
	set->ignore_case = ignore_case;
	if (json_is(strings, JSON_STRING)) {
		return string_set_add(set, strings, arena) ? set : NULL;
	}
	value = JSON_NONE;
	while (json_next(strings, NULL, &value)) {
		if (json_is(value, JSON_STRING) && !string_set_add(set, value, arena)) {
			return NULL;
		}
	}
	return set;
}
