/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/ruleset.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "engine/ruleset_inline.h"

#define PROBLEMS_MAX_BYTES ((size_t)128 * 1024 * 1024)
#define MIN_SLOTS          2

DEFINE_FREEP(struct ruleset, ruleset_unref);

/* ---- Life ---- */

struct ruleset *ruleset_ref(const struct ruleset *ruleset)
{
	struct ruleset *self = (struct ruleset *)ruleset; /* only the count changes */
	atomic_fetch_add_explicit(&self->refs, 1, memory_order_relaxed);
	return self;
}

static void table_deinit(struct ruleset_table *table)
{
	for (uint32_t i = 0; i < table->count; i++) {
		item_unref(table->items[i]);
	}
	free(table->items);
	free(table->slots);
	free(table->problems);
}

void ruleset_unref(struct ruleset *ruleset)
{
	if (ruleset == NULL || atomic_fetch_sub_explicit(&ruleset->refs, 1, memory_order_acq_rel) != 1) {
		return;
	}
	table_deinit(&ruleset->tables[ITEM_FLAG]);
	table_deinit(&ruleset->tables[ITEM_SEGMENT]);
	free(ruleset->problems);
	arena_deinit(&ruleset->arena);
	free(ruleset);
}

/* ---- Making ---- */

static const char *kind_name(enum item_kind kind)
{
	return kind == ITEM_FLAG ? "flag" : "segment";
}

static int edit_compare(const void *left, const void *right)
{
	const struct ruleset_edit *a = left;
	const struct ruleset_edit *b = right;
	return a->kind != b->kind ? (a->kind < b->kind ? -1 : 1) : strcmp(a->key, b->key);
}

/* Sorts a copy of the edits by kind and key. */
static enum status edits_sort(const struct ruleset_edit *edits, size_t count, struct ruleset_edit **ret,
                              struct error *err)
{
	struct ruleset_edit *sorted = calloc(count + 1, sizeof(*sorted));
	if (sorted == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory");
	}
	bool is_sorted = true;
	for (size_t i = 0; i < count; i++) {
		sorted[i] = edits[i];
		is_sorted = is_sorted && (i == 0 || edit_compare(&sorted[i - 1], &sorted[i]) < 0);
	}
	if (!is_sorted) {
		qsort(sorted, count, sizeof(*sorted), edit_compare);
	}
	for (size_t i = 0; i < count; i++) {
		const struct ruleset_edit *edit = &sorted[i];
		enum status status = STATUS_OK;
		if (i > 0 && edit_compare(edit - 1, edit) == 0) {
			status = error_fail(err, STATUS_INVALID, "The %s `%s` is changed twice",
			                    kind_name(edit->kind), edit->key);
		} else if (edit->item != NULL &&
		           (edit->item->kind != edit->kind || strcmp(edit->item->key, edit->key) != 0)) {
			status = error_fail(err, STATUS_INVALID, "The %s `%s` cannot stand at the key `%s`",
			                    kind_name(edit->item->kind), edit->item->key, edit->key);
		}
		if (status != STATUS_OK) {
			free(sorted);
			return status;
		}
	}
	*ret = sorted;
	return STATUS_OK;
}

/* First item at or behind @start whose key is not lower than @key. */
static uint32_t table_seek(const struct ruleset_table *table, uint32_t start, const char *key)
{
	uint32_t low = start;
	uint32_t high = table->count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (strcmp(table->items[middle]->key, key) < 0) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

static void table_append(struct ruleset_table *table, struct item *const *items, uint32_t count)
{
	if (count > 0) {
		// NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): a table without items has count 0
		memcpy(&table->items[table->count], items, count * sizeof(*items));
		table->count += count;
	}
}

/* Items of @base with the edits applied, in key order; the references are not taken yet. */
static enum status table_merge(struct ruleset_table *table, const struct ruleset_table *base,
                               const struct ruleset_edit *edits, size_t edit_count, struct error *err)
{
	table->items = malloc((base->count + edit_count + 1) * sizeof(*table->items));
	if (table->items == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory");
	}
	uint32_t position = 0;
	for (size_t i = 0; i < edit_count; i++) {
		uint32_t found = table_seek(base, position, edits[i].key);
		table_append(table, &base->items[position], found - position);
		position = found;
		bool is_there = found < base->count && strcmp(base->items[found]->key, edits[i].key) == 0;
		if (edits[i].item == NULL && !is_there) {
			table->count = 0;
			return error_fail(err, STATUS_INVALID, "The %s `%s` cannot be removed: there is none",
			                  kind_name(edits[i].kind), edits[i].key);
		}
		position += is_there;
		if (edits[i].item != NULL) {
			table_append(table, &edits[i].item, 1);
		}
	}
	table_append(table, &base->items[position], base->count - position);
	return STATUS_OK;
}

static enum status table_index(struct ruleset_table *table, struct error *err)
{
	uint32_t slots = MIN_SLOTS;
	while (slots < 2 * table->count) {
		slots *= 2;
	}
	table->slots = calloc(slots, sizeof(*table->slots));
	if (table->slots == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory");
	}
	table->mask = slots - 1;
	for (uint32_t i = 0; i < table->count; i++) {
		struct item *item = table->items[i];
		uint32_t at = (uint32_t)item->hash & table->mask;
		while (table->slots[at].item != NULL) {
			at = (at + 1) & table->mask;
		}
		table->slots[at] = (struct ruleset_slot){ .tag = (uint32_t)(item->hash >> 32),
			                                  .index = i & 0xffffff,
			                                  .key_length = (uint8_t)item->key_length,
			                                  .item = item };
	}
	return STATUS_OK;
}

/* Takes the references at once: from here on ruleset_unref() gives them back. */
static void table_hold(struct ruleset *ruleset, const struct ruleset_table *table)
{
	for (uint32_t i = 0; i < table->count; i++) {
		// NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): table_append() filled `count` items
		(void)item_ref(table->items[i]);
		ruleset->text_bytes += table->items[i]->text_length;
	}
}

static enum status ruleset_fill(struct ruleset *ruleset, const struct ruleset *base,
                                const struct ruleset_edit *edits, size_t count, struct error *err)
{
	static const struct ruleset_table empty = { 0 };
	size_t first = 0;
	for (enum item_kind kind = ITEM_FLAG; kind <= ITEM_SEGMENT; kind++) {
		size_t end = first;
		while (end < count && edits[end].kind == kind) {
			end++;
		}
		struct ruleset_table *table = &ruleset->tables[kind];
		enum status status = table_merge(table, base != NULL ? &base->tables[kind] : &empty,
		                                 &edits[first], end - first, err);
		if (status != STATUS_OK) {
			return status;
		}
		table_hold(ruleset, table);
		status = table_index(table, err);
		if (status != STATUS_OK) {
			return status;
		}
		first = end;
	}
	if (ruleset->tables[ITEM_FLAG].count + ruleset->tables[ITEM_SEGMENT].count > RULESET_MAX_ITEMS) {
		return error_fail(err, STATUS_TOO_LARGE, "An environment holds at most %d flags and segments",
		                  RULESET_MAX_ITEMS);
	}
	return STATUS_OK;
}

static void free_edits(struct ruleset_edit **edits)
{
	free(*edits);
}

enum status ruleset_new(const struct ruleset *base, const struct ruleset_edit *edits, size_t edit_count,
                        struct ruleset **ret, struct error *err)
{
	if (edit_count > 2 * (size_t)RULESET_MAX_ITEMS) {
		return error_fail(err, STATUS_TOO_LARGE, "More than %d changes at once",
		                  2 * RULESET_MAX_ITEMS);
	}
	AUTO(free_edits) struct ruleset_edit *sorted = NULL;
	enum status status = edits_sort(edits, edit_count, &sorted, err);
	if (status != STATUS_OK) {
		return status;
	}
	AUTO(ruleset_unrefp) struct ruleset *ruleset = calloc(1, sizeof(*ruleset));
	if (ruleset == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory");
	}
	atomic_init(&ruleset->refs, 1);
	arena_init(&ruleset->arena, PROBLEMS_MAX_BYTES);
	status = ruleset_fill(ruleset, base, sorted, edit_count, err);
	if (status == STATUS_OK) {
		status = ruleset_check(ruleset, err);
	}
	if (status == STATUS_OK) {
		*ret = STEAL(ruleset);
	}
	return status;
}

/* ---- Reading ---- */

static const struct item *item_find(const struct ruleset *ruleset, enum item_kind kind, const char *key,
                                    size_t length, const char **ret_problem)
{
	const struct ruleset_table *table = &ruleset->tables[kind];
	const struct ruleset_slot *slot = ruleset_find(ruleset, kind, key, length);
	if (ret_problem != NULL) {
		*ret_problem = slot != NULL ? ruleset_slot_problem(table, slot) : NULL;
	}
	return slot != NULL ? slot->item : NULL;
}

static const struct item *item_at(const struct ruleset *ruleset, enum item_kind kind, size_t index,
                                  const char **ret_problem)
{
	const struct ruleset_table *table = &ruleset->tables[kind];
	if (ret_problem != NULL) {
		*ret_problem = table->problems != NULL ? table->problems[index] : NULL;
	}
	return table->items[index];
}

const struct flag *ruleset_flag_find(const struct ruleset *ruleset, const char *key, size_t length,
                                     const char **ret_problem)
{
	return (const struct flag *)item_find(ruleset, ITEM_FLAG, key, length, ret_problem);
}

const struct segment *ruleset_segment_find(const struct ruleset *ruleset, const char *key, size_t length,
                                           const char **ret_problem)
{
	return (const struct segment *)item_find(ruleset, ITEM_SEGMENT, key, length, ret_problem);
}

size_t ruleset_flag_count(const struct ruleset *ruleset)
{
	return ruleset->tables[ITEM_FLAG].count;
}

const struct flag *ruleset_flag_at(const struct ruleset *ruleset, size_t index, const char **ret_problem)
{
	return (const struct flag *)item_at(ruleset, ITEM_FLAG, index, ret_problem);
}

size_t ruleset_segment_count(const struct ruleset *ruleset)
{
	return ruleset->tables[ITEM_SEGMENT].count;
}

const struct segment *ruleset_segment_at(const struct ruleset *ruleset, size_t index,
                                         const char **ret_problem)
{
	return (const struct segment *)item_at(ruleset, ITEM_SEGMENT, index, ret_problem);
}

size_t ruleset_problem_count(const struct ruleset *ruleset)
{
	return ruleset->problem_count;
}

const struct ruleset_problem *ruleset_problem_at(const struct ruleset *ruleset, size_t index)
{
	return &ruleset->problems[index];
}

size_t ruleset_text_bytes(const struct ruleset *ruleset)
{
	return ruleset->text_bytes;
}

void ruleset_digest(const struct ruleset *ruleset, uint8_t ret[static FLAG_DIGEST_BYTES])
{
	static const char title[] = "halyard-ruleset-v1\n";
	crypto_generichash_state state;
	(void)crypto_generichash_init(&state, NULL, 0, FLAG_DIGEST_BYTES);
	(void)crypto_generichash_update(&state, (const unsigned char *)title, sizeof(title) - 1);
	for (enum item_kind kind = ITEM_FLAG; kind <= ITEM_SEGMENT; kind++) {
		const struct ruleset_table *table = &ruleset->tables[kind];
		for (uint32_t i = 0; i < table->count; i++) {
			const struct item *item = table->items[i];
			char hex[2 * FLAG_DIGEST_BYTES + 1];
			char line[16 + FLAG_KEY_MAX_BYTES + sizeof(hex)];
			(void)sodium_bin2hex(hex, sizeof(hex), item->digest, sizeof(item->digest));
			size_t length = (size_t)snprintf(line, sizeof(line), "%s %s %s\n", kind_name(kind),
			                                 item->key, hex);
			(void)crypto_generichash_update(&state, (const unsigned char *)line, length);
		}
	}
	(void)crypto_generichash_final(&state, ret, FLAG_DIGEST_BYTES);
}
