/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of a ruleset. Private to the engine.
 *
 * One table per kind of item. Its chunks hold the items in key order and are shared, counted by reference,
 * with the ruleset that it was made from: a change touches one chunk, not every item. Its slots are the
 * index over the keys' hashes (open addressing, linear probing, at most half full), copied and patched.
 * A slot holds all that a look-up needs but the key's own bytes, which stand behind the item.
 */
#pragma once

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/arena.h"
#include "engine/ruleset.h"

struct ruleset_slot {
	uint32_t tag;       /* upper half of the key's hash */
	uint32_t home : 24; /* lowest bits of the hash: where the search begins */
	uint32_t key_length : 8;
	struct item *item; /* NULL: free */
};

_Static_assert(4 * RULESET_MAX_ITEMS < 1 << 24 && FLAG_KEY_MAX_BYTES < 1 << 8, "both fit in a slot");

#define RULESET_CHUNK_MAX 64 /* items */

/* Immutable. Holds a reference of each of its items. */
struct ruleset_chunk {
	atomic_uint refs;
	uint32_t count;
	uint32_t suspect_count; /* items that are broken or refer to others: ruleset_check() has to look */
	size_t text_bytes;      /* of the items' documents */
	size_t lines_length;
	char *lines; /* what ruleset_digest() hashes of the items */
	struct item *items[];
};

struct ruleset_table {
	struct ruleset_slot *slots;
	uint32_t mask; /* slots - 1 */
	uint32_t count;
	uint32_t chunk_count;
	struct ruleset_chunk **chunks;
	uint32_t *starts; /* per chunk: the index of its first item */
};

struct ruleset {
	atomic_uint refs;
	struct ruleset_table tables[2];   /* by enum item_kind */
	struct ruleset_problem *problems; /* flags, then segments, by key */
	size_t problem_count;
	struct arena arena; /* of the problems' texts */
};

static inline uint64_t ruleset_key_word(const char *bytes)
{
	uint64_t word;
	memcpy(&word, bytes, sizeof(word));
	return word;
}

/* memcmp() without a call: keys are short. */
static inline bool ruleset_key_equals(const char *a, const char *b, size_t length)
{
	size_t i = 0;
	if (length < sizeof(uint64_t)) {
		while (i < length && a[i] == b[i]) {
			i++;
		}
		return i == length;
	}
	/* The last word overlaps the one before it. */
	const size_t last = length - sizeof(uint64_t);
	while (i < last && ruleset_key_word(a + i) == ruleset_key_word(b + i)) {
		i += sizeof(uint64_t);
	}
	return i >= last && ruleset_key_word(a + last) == ruleset_key_word(b + last);
}

static inline const struct ruleset_slot *ruleset_table_find(const struct ruleset_table *table,
                                                            enum item_kind kind, const char *key,
                                                            size_t length)
{
	/* The key's bytes stand behind the item. */
	const size_t size = kind == ITEM_FLAG ? sizeof(struct flag) : sizeof(struct segment);
	const uint64_t hash = XXH3_64bits(key, length);
	for (uint32_t i = (uint32_t)hash & table->mask;; i = (i + 1) & table->mask) {
		const struct ruleset_slot *slot = &table->slots[i];
		if (slot->item == NULL) {
			return NULL;
		}
		if (slot->tag == (uint32_t)(hash >> 32) && slot->key_length == length &&
		    ruleset_key_equals((const char *)slot->item + size, key, length)) {
			return slot;
		}
	}
}

static inline const struct ruleset_slot *ruleset_find(const struct ruleset *ruleset, enum item_kind kind,
                                                      const char *key, size_t length)
{
	return ruleset_table_find(&ruleset->tables[kind], kind, key, length);
}

/* NULL when the item works. */
const char *ruleset_problem_find(const struct ruleset *ruleset, const struct item *item);

static inline const char *ruleset_kind_name(enum item_kind kind)
{
	return kind == ITEM_FLAG ? "flag" : "segment";
}

/*
 * Fills @table with what is in @base, changed by @edits, which are sorted, each key once, and all of its
 * kind. STATUS_INVALID for a removal of what is not there. What a failure leaves is released like the rest.
 */
MUST_CHECK enum status ruleset_table_init(struct ruleset_table *table, const struct ruleset_table *base,
                                          const struct ruleset_edit *edits, size_t edit_count,
                                          struct error *err);
void ruleset_table_deinit(struct ruleset_table *table);
struct item *ruleset_table_at(const struct ruleset_table *table, size_t index);

/*
 * Finds what does not work: broken items, references that lead nowhere, cycles, chains that are too
 * deep or too costly, and whatever depends on one of those. Fills the problems of a ruleset whose
 * tables are complete.
 */
MUST_CHECK enum status ruleset_check(struct ruleset *ruleset, struct error *err);
