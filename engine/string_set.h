/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Immutable set of strings for membership tests: a list compared in turn while small, a hash
 * table beyond. Built once in an arena; read from any thread.
 *
 * The layout is open only so that a test of a small set is inline; nobody else looks into it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "base/json.h"

#define STRING_SET_LIST_MAX 8 /* strings of a list; more are a table */

struct string_set_entry {
	uint64_t tag;     /* of lists: string_set_tag(); of tables: hash of the string */
	const char *text; /* folded when the set ignores case; NULL: free slot of a table */
	size_t length;
};

struct string_set {
	uint32_t count; /* different strings */
	uint32_t slots; /* of entries[]: `count`, or a power of two */
	size_t max_length;
	bool is_table;
	bool ignore_case;
	struct string_set_entry entries[];
};

/*
 * The strings of a JSON array, or one JSON string; other values in the array are left out. With
 * @ignore_case both sides are folded (ASCII). NULL: arena full.
 */
const struct string_set *string_set_build(struct json strings, bool ignore_case, struct arena *arena);

#define STRING_SET_NONE UINT32_MAX

/* Slot of the string in entries[], the same for every spelling of it; STRING_SET_NONE when it is not there.
 */
uint32_t string_set_find(const struct string_set *set, const char *string, size_t length);

static inline uint32_t string_set_count(const struct string_set *set)
{
	return set->count;
}

/* Differs whenever the length or the first four bytes differ; tells strings up to four bytes apart. */
static inline uint64_t string_set_tag(const char *string, size_t length)
{
	uint32_t start = 0;
	if (length >= sizeof(start)) {
		memcpy(&start, string, sizeof(start));
	} else if (length > 0) {
		start = (uint32_t)(uint8_t)string[0] | (uint32_t)(uint8_t)string[length / 2] << 8 |
		        (uint32_t)(uint8_t)string[length - 1] << 16;
	}
	return (uint64_t)length << 32 | start;
}

static inline bool string_set_contains(const struct string_set *set, const char *string, size_t length)
{
	if (length > set->max_length) {
		return false;
	}
	if (set->is_table || set->ignore_case) {
		return string_set_find(set, string, length) != STRING_SET_NONE;
	}
	const uint64_t tag = string_set_tag(string, length);
	for (uint32_t i = 0; i < set->count; i++) {
		if (set->entries[i].tag == tag &&
		    (length <= 4 || memcmp(set->entries[i].text, string, length) == 0)) {
			return true;
		}
	}
	return false;
}
