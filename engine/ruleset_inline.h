/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of a ruleset, for the evaluator's look-ups. Private to the engine.
 *
 * One table per kind: items sorted by key, and an index over their hashes (open addressing, linear
 * probing, at most half full). A slot holds all that a look-up needs but the key's own bytes.
 */
#pragma once

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/arena.h"
#include "engine/ruleset.h"

struct ruleset_slot {
	uint32_t tag;        /* upper half of the key's hash */
	uint32_t index : 24; /* in items[] and problems[] */
	uint32_t key_length : 8;
	struct item *item; /* NULL: free */
};

_Static_assert(RULESET_MAX_ITEMS < 1 << 24 && FLAG_KEY_MAX_BYTES < 1 << 8, "both fit in a slot");

struct ruleset_table {
	struct ruleset_slot *slots;
	uint32_t mask; /* slots - 1 */
	uint32_t count;
	struct item **items;
	const char **problems; /* per item, NULL for what works; the array is NULL when all work */
};

struct ruleset {
	atomic_uint refs;
	struct ruleset_table tables[2]; /* by enum item_kind */
	struct ruleset_problem *problems;
	size_t problem_count;
	size_t text_bytes;
	struct arena arena; /* of the problems' texts */
};

/* memcmp() without a call: keys are short. */
static inline bool ruleset_key_equals(const char *a, const char *b, size_t length)
{
	size_t i = 0;
	for (; i + sizeof(uint64_t) <= length; i += sizeof(uint64_t)) {
		uint64_t left;
		uint64_t right;
		memcpy(&left, a + i, sizeof(left));
		memcpy(&right, b + i, sizeof(right));
		if (left != right) {
			return false;
		}
	}
	while (i < length && a[i] == b[i]) {
		i++;
	}
	return i == length;
}

/* @size is that of the table's kind of item; the key's bytes stand behind it. */
static inline const struct ruleset_slot *ruleset_table_find(const struct ruleset_table *table, size_t size,
                                                            const char *key, size_t length)
{
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
	return ruleset_table_find(&ruleset->tables[kind],
	                          kind == ITEM_FLAG ? sizeof(struct flag) : sizeof(struct segment), key,
	                          length);
}

/* NULL when the item works. */
static inline const char *ruleset_slot_problem(const struct ruleset_table *table,
                                               const struct ruleset_slot *slot)
{
	return table->problems != NULL ? table->problems[slot->index] : NULL;
}

/*
 * Finds what does not work: broken items, references that lead nowhere, cycles, chains that are too
 * deep or too costly, and whatever depends on one of those. Fills the problems of a ruleset whose
 * tables are complete.
 */
MUST_CHECK enum status ruleset_check(struct ruleset *ruleset, struct error *err);
