/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/ruleset.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "engine/ruleset_inline.h"

#define PROBLEMS_MAX_BYTES ((size_t)128 * 1024 * 1024)

DEFINE_FREEP(struct ruleset, ruleset_unref);

/* ---- Life ---- */

struct ruleset *ruleset_ref(const struct ruleset *ruleset)
{
	struct ruleset *self = (struct ruleset *)ruleset; /* only the count changes */
	atomic_fetch_add_explicit(&self->refs, 1, memory_order_relaxed);
	return self;
}

void ruleset_unref(struct ruleset *ruleset)
{
	if (ruleset == NULL || atomic_fetch_sub_explicit(&ruleset->refs, 1, memory_order_acq_rel) != 1) {
		return;
	}
	ruleset_table_deinit(&ruleset->tables[ITEM_FLAG]);
	ruleset_table_deinit(&ruleset->tables[ITEM_SEGMENT]);
	free(ruleset->problems);
	arena_deinit(&ruleset->arena);
	free(ruleset);
}

/* ---- Making ---- */

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
			                    ruleset_kind_name(edit->kind), edit->key);
		} else if (edit->item != NULL &&
		           (edit->item->kind != edit->kind || strcmp(edit->item->key, edit->key) != 0)) {
			status = error_fail(err, STATUS_INVALID, "The %s `%s` cannot stand at the key `%s`",
			                    ruleset_kind_name(edit->item->kind), edit->item->key, edit->key);
		}
		if (status != STATUS_OK) {
			free(sorted);
			return status;
		}
	}
	*ret = sorted;
	return STATUS_OK;
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
		const struct ruleset_table *from = base != NULL ? &base->tables[kind] : &empty;
		enum status status =
		        ruleset_table_init(&ruleset->tables[kind], from, &edits[first], end - first, err);
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

static int problem_compare(const struct ruleset_problem *problem, const struct item *item)
{
	if (problem->kind != item->kind) {
		return problem->kind < item->kind ? -1 : 1;
	}
	return strcmp(problem->key, item->key);
}

const char *ruleset_problem_find(const struct ruleset *ruleset, const struct item *item)
{
	if (item->broken != NULL || item->reference_count == 0) {
		return item->broken;
	}
	size_t low = 0;
	size_t high = ruleset->problem_count;
	while (low < high) {
		const size_t middle = low + (high - low) / 2;
		const int order = problem_compare(&ruleset->problems[middle], item);
		if (order == 0) {
			return ruleset->problems[middle].message;
		}
		if (order < 0) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return NULL;
}

static const struct item *item_find(const struct ruleset *ruleset, enum item_kind kind, const char *key,
                                    size_t length, const char **ret_problem)
{
	const struct ruleset_slot *slot = ruleset_find(ruleset, kind, key, length);
	if (ret_problem != NULL) {
		*ret_problem = slot != NULL ? ruleset_problem_find(ruleset, slot->item) : NULL;
	}
	return slot != NULL ? slot->item : NULL;
}

static const struct item *item_at(const struct ruleset *ruleset, enum item_kind kind, size_t index,
                                  const char **ret_problem)
{
	const struct item *item = ruleset_table_at(&ruleset->tables[kind], index);
	if (ret_problem != NULL) {
		*ret_problem = ruleset_problem_find(ruleset, item);
	}
	return item;
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
	size_t bytes = 0;
	for (enum item_kind kind = ITEM_FLAG; kind <= ITEM_SEGMENT; kind++) {
		const struct ruleset_table *table = &ruleset->tables[kind];
		for (uint32_t i = 0; i < table->chunk_count; i++) {
			bytes += table->chunks[i]->text_bytes;
		}
	}
	return bytes;
}

void ruleset_digest(const struct ruleset *ruleset, uint8_t ret[static FLAG_DIGEST_BYTES])
{
	static const char title[] = "halyard-ruleset-v1\n";
	crypto_generichash_state state;
	(void)crypto_generichash_init(&state, NULL, 0, FLAG_DIGEST_BYTES);
	(void)crypto_generichash_update(&state, (const unsigned char *)title, sizeof(title) - 1);
	for (enum item_kind kind = ITEM_FLAG; kind <= ITEM_SEGMENT; kind++) {
		const struct ruleset_table *table = &ruleset->tables[kind];
		for (uint32_t i = 0; i < table->chunk_count; i++) {
			const struct ruleset_chunk *chunk = table->chunks[i];
			(void)crypto_generichash_update(&state, (const unsigned char *)chunk->lines,
			                                chunk->lines_length);
		}
	}
	(void)crypto_generichash_final(&state, ret, FLAG_DIGEST_BYTES);
}
