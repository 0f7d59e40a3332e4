/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json_index.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/json_text.h"

static pthread_once_t json_seed_once = PTHREAD_ONCE_INIT;
static uint64_t json_seed;

static void json_seed_create(void)
{
	if (getrandom(&json_seed, sizeof(json_seed), GRND_NONBLOCK) != sizeof(json_seed)) {
		/* No entropy this early in boot: the address space layout and the clock have some. */
		json_seed = (uint64_t)(uintptr_t)&json_seed ^ ((uint64_t)time(NULL) << 32);
	}
}

/* Hash of the unescaped text: the same name has the same hash however it is written. */
static uint32_t json_name_hash(struct json name)
{
	const struct json_node *node = &name.doc->nodes[name.index];
	const char *raw = name.doc->text + node->offset + 1;
	(void)pthread_once(&json_seed_once, json_seed_create);
	if ((node->flags & JSON_FLAG_ESCAPED) == 0) {
		return (uint32_t)XXH3_64bits_withSeed(raw, node->length - 2, json_seed);
	}
	XXH3_state_t state;
	XXH3_INITSTATE(&state); /* or what lies on the stack could pass for a secret of this seed */
	(void)XXH3_64bits_reset_withSeed(&state, json_seed);
	struct json_chars chars = json_chars_of(name);
	char chunk[256];
	size_t length;
	do {
		length = json_chars_read(&chars, chunk, sizeof(chunk));
		(void)XXH3_64bits_update(&state, chunk, length);
	} while (length > 0);
	return (uint32_t)XXH3_64bits_digest(&state);
}

/* Node of the equal name that is in the table already, or 0 after storing @name. */
static uint32_t json_slots_add(struct json_index_slot *slots, uint32_t mask, struct json name)
{
	uint32_t hash = json_name_hash(name);
	uint32_t at = hash & mask;
	for (; slots[at].name != 0; at = (at + 1) & mask) {
		if (slots[at].hash == hash &&
		    json_string_same((struct json){ name.doc, slots[at].name }, name)) {
			return slots[at].name;
		}
	}
	slots[at] = (struct json_index_slot){ name.index, hash };
	return 0;
}

static uint32_t json_slots_size(uint32_t count)
{
	uint32_t size = 2 * JSON_INDEX_SMALL;
	while (size / 2 < count) {
		size *= 2;
	}
	return size;
}

void json_index_init(struct json_index *index, struct json object)
{
	*index = (struct json_index){ .object = object };
	uint32_t count = json_is(object, JSON_OBJECT) ? json_count(object) : 0;
	if (count <= JSON_INDEX_SMALL) {
		return;
	}
	uint32_t size = json_slots_size(count);
	index->slots = calloc(size, sizeof(*index->slots));
	if (index->slots == NULL) {
		return;
	}
	index->mask = size - 1;
	struct json name, value = JSON_NONE;
	while (json_next(object, &name, &value)) {
		(void)json_slots_add(index->slots, index->mask, name);
	}
}

void json_index_deinit(struct json_index *index)
{
	free(index->slots);
	*index = (struct json_index){ 0 };
}

struct json json_index_get(const struct json_index *index, struct json name)
{
	if (index->slots == NULL) {
		struct json candidate, value = JSON_NONE;
		while (json_next(index->object, &candidate, &value)) {
			if (json_string_same(candidate, name)) {
				return value;
			}
		}
		return JSON_NONE;
	}
	uint32_t hash = json_name_hash(name);
	for (uint32_t at = hash & index->mask; index->slots[at].name != 0; at = (at + 1) & index->mask) {
		struct json candidate = { index->object.doc, index->slots[at].name };
		if (index->slots[at].hash == hash && json_string_same(candidate, name)) {
			return (struct json){ candidate.doc, candidate.index + 1 };
		}
	}
	return JSON_NONE;
}

static bool json_names_check_hashed(const struct json_doc *doc, uint32_t object, uint32_t *ret_name)
{
	const struct json_node *node = &doc->nodes[object];
	struct json_index_slot small[2 * JSON_INDEX_SMALL] = { 0 };
	uint32_t size = json_slots_size(node->count);
	bool is_small = size == 2 * JSON_INDEX_SMALL;
	struct json_index_slot *slots = is_small ? small : calloc(size, sizeof(*slots));
	if (slots == NULL) {
		return false;
	}
	uint32_t found = 0;
	for (uint32_t i = object + 1; i < node->next && found == 0; i = doc->nodes[i + 1].next) {
		found = json_slots_add(slots, size - 1, (struct json){ doc, i }) != 0 ? i : 0;
	}
	if (!is_small) {
		free(slots);
	}
	*ret_name = found;
	return true;
}

/* Is there a name between @first and @name that equals @name? None of them is escaped. */
static bool json_names_repeat(const struct json_doc *doc, uint32_t first, uint32_t name)
{
	const struct json_node *nodes = doc->nodes;
	const char *text = doc->text + nodes[name].offset;
	uint32_t length = nodes[name].length;
	for (uint32_t i = first; i < name; i = nodes[i + 1].next) {
		if (nodes[i].length == length && memcmp(doc->text + nodes[i].offset, text, length) == 0) {
			return true;
		}
	}
	return false;
}

bool json_names_check(const struct json_doc *doc, uint32_t object, uint32_t *ret_name)
{
	const struct json_node *nodes = doc->nodes;
	const struct json_node *node = &nodes[object];
	if (node->count > JSON_INDEX_SMALL) {
		return json_names_check_hashed(doc, object, ret_name);
	}
	/* Names whose length, first and last byte give an unseen bit are new and need no comparison. */
	uint64_t seen[4] = { 0 };
	const struct json_node *end = nodes + node->next;
	for (const struct json_node *name = node + 1; name < end; name = nodes + name[1].next) {
		if ((name->flags & JSON_FLAG_ESCAPED) != 0) {
			return json_names_check_hashed(doc, object, ret_name);
		}
		const char *raw = doc->text + name->offset;
		uint32_t mix = name->length << 16 | (uint32_t)(unsigned char)raw[1] << 8 |
		               (unsigned char)raw[name->length - 2];
		uint32_t bit = mix * 0x9e3779b1u >> 24;
		uint64_t mask = UINT64_C(1) << (bit & 63);
		uint32_t index = (uint32_t)(name - nodes);
		if ((seen[bit >> 6] & mask) != 0 && json_names_repeat(doc, object + 1, index)) {
			*ret_name = index;
			return true;
		}
		seen[bit >> 6] |= mask;
	}
	*ret_name = 0;
	return true;
}
