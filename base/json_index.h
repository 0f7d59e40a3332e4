/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Member look-up by name in large objects, for json_*.c and what compares documents (flagd/doc_diff.c).
 *
 * A hash table over the names (unescaped) of one object, seeded per process so that nobody can
 * choose names that collide. Small objects, and every object when memory runs out, are searched
 * linearly instead: slower, never wrong.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"

#define JSON_INDEX_SMALL 16 /* members that are searched linearly */

struct json_index_slot {
	uint32_t name; /* node; 0: empty, as no name is the root */
	uint32_t hash;
};

struct json_index {
	struct json object;
	struct json_index_slot *slots; /* NULL: search linearly */
	uint32_t mask;
};

void json_index_init(struct json_index *index, struct json object);
void json_index_deinit(struct json_index *index);

/* Value of the member called like the string @name, which may be of another document. */
struct json json_index_get(const struct json_index *index, struct json name);

/*
 * Looks for a name that object node @object holds twice: the second one's node in @ret_name, or 0.
 * False when memory ran out. Linear in the size of the object.
 */
bool json_names_check(const struct json_doc *doc, uint32_t object, uint32_t *ret_name);
