/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/ruleset_inline.h"

#include <stdlib.h>

#include "base/cleanup.h"

#define MIN_SLOTS      4
#define CHUNK_FILL     48 /* items of the chunks that a longer run is split into */
#define LINE_MAX_BYTES (sizeof("segment   ") + FLAG_KEY_MAX_BYTES + (size_t)2 * FLAG_DIGEST_BYTES)

/* ---- Chunks ---- */

static void chunk_unref(struct ruleset_chunk *chunk)
{
	if (atomic_fetch_sub_explicit(&chunk->refs, 1, memory_order_acq_rel) != 1) {
		return;
	}
	for (uint32_t i = 0; i < chunk->count; i++) {
		item_unref(chunk->items[i]);
	}
	free(chunk->lines);
	free(chunk);
}

/* "flag <key> <digest in hex>" and LF */
static size_t line_write(const struct item *item, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const char *kind = ruleset_kind_name(item->kind);
	char *at = mempcpy(out, kind, strlen(kind));
	*at++ = ' ';
	at = mempcpy(at, item->key, item->key_length);
	*at++ = ' ';
	for (size_t i = 0; i < sizeof(item->digest); i++) {
		*at++ = digits[item->digest[i] >> 4];
		*at++ = digits[item->digest[i] & 15];
	}
	*at++ = '\n';
	return (size_t)(at - out);
}

static struct ruleset_chunk *chunk_new(struct item *const *items, uint32_t count)
{
	size_t lines_size = 0;
	for (uint32_t i = 0; i < count; i++) {
		lines_size += LINE_MAX_BYTES - FLAG_KEY_MAX_BYTES + items[i]->key_length;
	}
	struct ruleset_chunk *chunk = malloc(sizeof(*chunk) + count * sizeof(chunk->items[0]));
	char *lines = malloc(lines_size);
	if (chunk == NULL || lines == NULL) {
		free(chunk);
		free(lines);
		return NULL;
	}
	*chunk = (struct ruleset_chunk){ .count = count, .lines = lines };
	atomic_init(&chunk->refs, 1);
	for (uint32_t i = 0; i < count; i++) {
		struct item *item = item_ref(items[i]);
		chunk->items[i] = item;
		chunk->suspect_count += item->broken != NULL || item->reference_count > 0;
		chunk->text_bytes += item->text_length;
		chunk->lines_length += line_write(item, lines + chunk->lines_length);
	}
	return chunk;
}

static void chunk_append(struct ruleset_table *table, struct ruleset_chunk *chunk)
{
	table->starts[table->chunk_count] = table->count;
	table->chunks[table->chunk_count++] = chunk;
	table->count += chunk->count;
}

/* Shares the chunks from @from up to @to. */
static void chunks_share(struct ruleset_table *table, const struct ruleset_table *base, uint32_t from,
                         uint32_t to)
{
	for (uint32_t i = from; i < to; i++) {
		atomic_fetch_add_explicit(&base->chunks[i]->refs, 1, memory_order_relaxed);
		chunk_append(table, base->chunks[i]);
	}
}

/* One chunk of a run of items, or several of much the same size. */
static enum status chunks_make(struct ruleset_table *table, struct item *const *run, size_t length,
                               struct error *err)
{
	size_t parts = length <= RULESET_CHUNK_MAX ? length > 0 : (length + CHUNK_FILL - 1) / CHUNK_FILL;
	for (size_t i = 0; i < parts; i++) {
		size_t from = length * i / parts;
		size_t to = length * (i + 1) / parts;
		struct ruleset_chunk *chunk = chunk_new(run + from, (uint32_t)(to - from));
		if (chunk == NULL) {
			return error_fail(err, STATUS_NO_MEMORY, "Out of memory");
		}
		chunk_append(table, chunk);
	}
	return STATUS_OK;
}

/* The chunk from @from on that @key belongs to: the last one that does not begin behind it. */
static uint32_t chunk_seek(const struct ruleset_table *table, uint32_t from, const char *key)
{
	uint32_t low = from;
	uint32_t high = table->chunk_count;
	while (low + 1 < high) {
		uint32_t middle = low + (high - low) / 2;
		if (strcmp(table->chunks[middle]->items[0]->key, key) <= 0) {
			low = middle;
		} else {
			high = middle;
		}
	}
	return low;
}

/* ---- Merging ---- */

/* Items of a chunk (NULL: none) with edits applied, written to @run. */
static enum status run_merge(const struct ruleset_chunk *chunk, const struct ruleset_edit *edits,
                             size_t edit_count, struct item **run, size_t *ret_length, struct error *err)
{
	size_t length = 0;
	uint32_t at = 0;
	uint32_t count = chunk != NULL ? chunk->count : 0;
	for (size_t i = 0; i < edit_count; i++) {
		while (at < count && strcmp(chunk->items[at]->key, edits[i].key) < 0) {
			run[length++] = chunk->items[at++];
		}
		bool is_there = at < count && strcmp(chunk->items[at]->key, edits[i].key) == 0;
		if (edits[i].item == NULL && !is_there) {
			return error_fail(err, STATUS_INVALID, "The %s `%s` cannot be removed: there is none",
			                  ruleset_kind_name(edits[i].kind), edits[i].key);
		}
		at += is_there;
		if (edits[i].item != NULL) {
			run[length++] = edits[i].item;
		}
	}
	while (at < count) {
		run[length++] = chunk->items[at++];
	}
	*ret_length = length;
	return STATUS_OK;
}

/* How many of the edits belong in front of @next (NULL: all). */
static size_t edits_before(const struct ruleset_edit *edits, size_t count, const struct ruleset_chunk *next)
{
	size_t i = 0;
	while (i < count && (next == NULL || strcmp(edits[i].key, next->items[0]->key) < 0)) {
		i++;
	}
	return i;
}

static enum status table_merge(struct ruleset_table *table, const struct ruleset_table *base,
                               const struct ruleset_edit *edits, size_t edit_count, struct item **run,
                               struct error *err)
{
	uint32_t chunk = 0;
	while (edit_count > 0) {
		uint32_t target = chunk_seek(base, chunk, edits[0].key);
		chunks_share(table, base, chunk, target);
		bool has_chunk = target < base->chunk_count;
		const struct ruleset_chunk *next =
		        target + 1 < base->chunk_count ? base->chunks[target + 1] : NULL;
		size_t taken = edits_before(edits, edit_count, next);
		size_t length = 0;
		enum status status =
		        run_merge(has_chunk ? base->chunks[target] : NULL, edits, taken, run, &length, err);
		if (status == STATUS_OK) {
			status = chunks_make(table, run, length, err);
		}
		if (status != STATUS_OK) {
			return status;
		}
		chunk = target + has_chunk;
		edits += taken;
		edit_count -= taken;
	}
	chunks_share(table, base, chunk, base->chunk_count);
	return STATUS_OK;
}

/* ---- Index ---- */

static void slot_put(struct ruleset_table *table, struct item *item)
{
	uint32_t at = (uint32_t)item->hash & table->mask;
	while (table->slots[at].item != NULL) {
		at = (at + 1) & table->mask;
	}
	table->slots[at] = (struct ruleset_slot){ .tag = (uint32_t)(item->hash >> 32),
		                                  .home = (uint32_t)item->hash & 0xffffff,
		                                  .key_length = (uint8_t)item->key_length,
		                                  .item = item };
}

/* Frees a slot and moves up those behind it that would not be found any more. */
static void slot_remove(struct ruleset_table *table, struct ruleset_slot *slot)
{
	uint32_t hole = (uint32_t)(slot - table->slots);
	for (uint32_t at = (hole + 1) & table->mask; table->slots[at].item != NULL;
	     at = (at + 1) & table->mask) {
		uint32_t distance = (at - table->slots[at].home) & table->mask;
		if (distance >= ((at - hole) & table->mask)) {
			table->slots[hole] = table->slots[at];
			hole = at;
		}
	}
	table->slots[hole] = (struct ruleset_slot){ 0 };
}

static struct ruleset_slot *slot_find(const struct ruleset_table *table, const struct ruleset_edit *edit)
{
	const struct ruleset_slot *slot = ruleset_table_find(table, edit->kind, edit->key, strlen(edit->key));
	return slot != NULL ? &table->slots[slot - table->slots] : NULL;
}

/* Removals first: so there are never more items than there will be, and always free slots. */
static void slots_patch(struct ruleset_table *table, const struct ruleset_edit *edits, size_t edit_count)
{
	for (size_t i = 0; i < edit_count; i++) {
		if (edits[i].item == NULL) {
			slot_remove(table, slot_find(table, &edits[i]));
		}
	}
	for (size_t i = 0; i < edit_count; i++) {
		struct ruleset_slot *slot = edits[i].item != NULL ? slot_find(table, &edits[i]) : NULL;
		if (slot != NULL) {
			slot->item = edits[i].item;
		} else if (edits[i].item != NULL) {
			slot_put(table, edits[i].item);
		}
	}
}

static uint32_t slots_needed(uint32_t count)
{
	uint32_t slots = MIN_SLOTS;
	while (slots < 2 * count) {
		slots *= 2;
	}
	return slots;
}

static enum status table_index(struct ruleset_table *table, const struct ruleset_table *base,
                               const struct ruleset_edit *edits, size_t edit_count, struct error *err)
{
	uint32_t needed = slots_needed(table->count);
	uint32_t there = base->slots != NULL ? base->mask + 1 : 0;
	bool is_copied = there == needed || there == 2 * needed;
	uint32_t slots = is_copied ? there : needed;
	table->mask = slots - 1;
	table->slots =
	        is_copied ? malloc(slots * sizeof(*table->slots)) : calloc(slots, sizeof(*table->slots));
	if (table->slots == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory");
	}
	if (is_copied) {
		memcpy(table->slots, base->slots, slots * sizeof(*table->slots));
		slots_patch(table, edits, edit_count);
		return STATUS_OK;
	}
	for (uint32_t i = 0; i < table->chunk_count; i++) {
		for (uint32_t k = 0; k < table->chunks[i]->count; k++) {
			slot_put(table, table->chunks[i]->items[k]);
		}
	}
	return STATUS_OK;
}

/* ---- Tables ---- */

static void free_items(struct item ***items)
{
	free(*items);
}

/* Removals leave small chunks behind; after many of them all are made anew. */
static bool is_scattered(const struct ruleset_table *table)
{
	return table->chunk_count > 16 + 4 * (table->count / RULESET_CHUNK_MAX);
}

static enum status table_gather(struct ruleset_table *table, struct error *err)
{
	const uint32_t old_count = table->chunk_count;
	AUTO(free_items) struct item **items = malloc(table->count * sizeof(struct item *) + 1);
	struct ruleset_chunk **old = malloc(old_count * sizeof(struct ruleset_chunk *));
	if (items == NULL || old == NULL) {
		free(old);
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory");
	}
	uint32_t count = 0;
	for (uint32_t i = 0; i < old_count; i++) {
		const struct ruleset_chunk *chunk = old[i] = table->chunks[i];
		memcpy(&items[count], chunk->items, chunk->count * sizeof(struct item *));
		count += chunk->count;
	}
	/* The new chunks are fewer than the old ones: there is room for them. */
	table->chunk_count = 0;
	table->count = 0;
	enum status status = chunks_make(table, items, count, err);
	for (uint32_t i = 0; i < old_count; i++) {
		chunk_unref(old[i]);
	}
	free(old);
	return status;
}

enum status ruleset_table_init(struct ruleset_table *table, const struct ruleset_table *base,
                               const struct ruleset_edit *edits, size_t edit_count, struct error *err)
{
	const size_t chunks = base->chunk_count + 2 * edit_count + 2;
	AUTO(free_items) struct item **run = malloc((RULESET_CHUNK_MAX + edit_count) * sizeof(struct item *));
	table->chunks = malloc(chunks * sizeof(struct ruleset_chunk *));
	table->starts = malloc(chunks * sizeof(*table->starts));
	if (run == NULL || table->chunks == NULL || table->starts == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory");
	}
	enum status status = table_merge(table, base, edits, edit_count, run, err);
	if (status == STATUS_OK && is_scattered(table)) {
		status = table_gather(table, err);
	}
	return status == STATUS_OK ? table_index(table, base, edits, edit_count, err) : status;
}

void ruleset_table_deinit(struct ruleset_table *table)
{
	for (uint32_t i = 0; i < table->chunk_count; i++) {
		chunk_unref(table->chunks[i]);
	}
	free(table->chunks);
	free(table->starts);
	free(table->slots);
}

struct item *ruleset_table_at(const struct ruleset_table *table, size_t index)
{
	uint32_t low = 0;
	uint32_t high = table->chunk_count;
	while (low + 1 < high) {
		uint32_t middle = low + (high - low) / 2;
		if (table->starts[middle] <= index) {
			low = middle;
		} else {
			high = middle;
		}
	}
	return table->chunks[low]->items[index - table->starts[low]];
}
