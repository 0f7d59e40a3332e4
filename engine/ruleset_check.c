/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/ruleset_inline.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "engine/eval.h"

#define CYCLE_MAX_NAMES 8 /* that a message lists */

enum visit { VISIT_NEW, VISIT_OPEN, VISIT_DONE };

/* One flag or segment in the graph of references. */
struct node {
	const struct item *item;
	const char *problem;
	const char *root; /* the problem that this one comes from, without the way there */
	uint32_t next;    /* reference to look at next */
	uint32_t opener;  /* node that it was reached from */
	uint32_t height;  /* longest chain of references below */
	uint32_t cost;    /* evaluations of other items that it can take, saturated */
	enum visit visit;
};

#define NO_NODE UINT32_MAX

/* Only of items that are broken or refer to others: the rest works. Flags first, then segments, by key. */
struct graph {
	struct ruleset *ruleset;
	struct node *nodes;
	uint32_t count;
	uint32_t *numbers[2]; /* per kind and slot of its table: the node's index and 1; 0: none */
	bool no_memory;
};

static void graph_deinit(struct graph *graph)
{
	free(graph->nodes);
	free(graph->numbers[ITEM_FLAG]);
	free(graph->numbers[ITEM_SEGMENT]);
}

static const char *reference_word(const struct reference *reference)
{
	if (reference->kind == ITEM_SEGMENT) {
		return "Segment";
	}
	return reference->use == REFERENCE_PREREQUISITE ? "Prerequisite" : "Flag";
}

/* A sentence in the ruleset's arena; every part is bounded by the keys' and variants' lengths. */
__attribute__((format(printf, 2, 3))) static const char *graph_text(struct graph *graph, const char *format,
                                                                    ...)
{
	char text[ERROR_PATH_SIZE + ERROR_MESSAGE_SIZE + CYCLE_MAX_NAMES * (FLAG_KEY_MAX_BYTES + 8)];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	const char *copy = arena_copy_string(&graph->ruleset->arena, text, strlen(text));
	graph->no_memory = graph->no_memory || copy == NULL;
	return copy;
}

static void node_fail(struct node *node, const char *problem, const char *root)
{
	if (node->problem == NULL) {
		node->problem = problem;
		node->root = root;
	}
}

/* The item that a reference leads to; NULL when there is none. @ret_node is NO_NODE for one that works. */
static const struct item *reference_find(const struct graph *graph, const struct reference *reference,
                                         uint32_t *ret_node)
{
	const struct ruleset_table *table = &graph->ruleset->tables[reference->kind];
	const struct ruleset_slot *slot =
	        ruleset_table_find(table, reference->kind, reference->key, reference->key_length);
	*ret_node = NO_NODE;
	if (slot == NULL) {
		return NULL;
	}
	uint32_t number = graph->numbers[reference->kind][slot - table->slots];
	*ret_node = number > 0 ? number - 1 : NO_NODE;
	return slot->item;
}

/* Everything from @start up to @end, which refers to @start, is one cycle. */
static void cycle_fail(struct graph *graph, uint32_t start, uint32_t end)
{
	const char *names[CYCLE_MAX_NAMES + 1];
	uint32_t count = 0; /* of the cycle; names[] has its last ones, backwards */
	for (uint32_t at = end;; at = graph->nodes[at].opener) {
		if (count < CYCLE_MAX_NAMES) {
			names[count] = graph->nodes[at].item->key;
		}
		count++;
		if (at == start) {
			break;
		}
	}
	char text[CYCLE_MAX_NAMES * (FLAG_KEY_MAX_BYTES + 8)];
	size_t length = 0;
	text[0] = '\0';
	for (uint32_t i = count < CYCLE_MAX_NAMES ? count : CYCLE_MAX_NAMES; i-- > 0;) {
		int written = snprintf(text + length, sizeof(text) - length, "%s → ", names[i]);
		length += (size_t)written;
	}
	const char *first = graph->nodes[start].item->key;
	const char *problem = count <= CYCLE_MAX_NAMES
	                              ? graph_text(graph, "Cycle: %s%s", text, first)
	                              : graph_text(graph, "Cycle: %s → … → %s%s", first, text, first);
	for (uint32_t at = end;; at = graph->nodes[at].opener) {
		node_fail(&graph->nodes[at], problem, problem);
		if (at == start) {
			break;
		}
	}
}

/* Are the variants that a reference names there? */
static void reference_variants_check(struct graph *graph, struct node *node,
                                     const struct reference *reference, const struct flag *flag)
{
	for (uint32_t i = 0; i < reference->variant_count && node->problem == NULL; i++) {
		const char *name = reference->variants[i];
		if (flag_variant_find(flag, name, strlen(name)) == FLAG_NO_VARIANT) {
			const char *problem =
			        graph_text(graph, "%s `%s` has no variant `%.*s`", reference_word(reference),
			                   reference->key, FLAG_VARIANT_MAX_BYTES, name);
			node_fail(node, problem, problem);
		}
	}
}

/* Takes over what is known of the item behind a reference, which is done. */
static void reference_finish(struct graph *graph, struct node *node, const struct reference *reference)
{
	static const struct node works = { 0 };
	uint32_t index = NO_NODE;
	const struct item *item = reference_find(graph, reference, &index);
	if (item == NULL) {
		const char *problem = graph_text(graph, "%s `%s` does not exist", reference_word(reference),
		                                 reference->key);
		node_fail(node, problem, problem);
		return;
	}
	const struct node *child = index != NO_NODE ? &graph->nodes[index] : &works;
	if (child->problem != NULL) {
		const char *problem = graph_text(graph, "%s `%s` does not work: %s",
		                                 reference_word(reference), reference->key, child->root);
		node_fail(node, problem, child->root);
		return;
	}
	if (reference->kind == ITEM_FLAG) {
		reference_variants_check(graph, node, reference, (const struct flag *)item);
	}
	node->height = child->height >= node->height ? child->height + 1 : node->height;
	node->cost = node->cost + 1 + child->cost;
	if (node->cost > EVAL_MAX_COST) {
		node->cost = EVAL_MAX_COST + 1;
	}
}

static void node_finish(struct graph *graph, struct node *node)
{
	for (uint32_t i = 0; i < node->item->reference_count && node->problem == NULL; i++) {
		reference_finish(graph, node, &node->item->references[i]);
	}
	if (node->problem == NULL && node->height > EVAL_MAX_DEPTH) {
		const char *problem =
		        graph_text(graph, "`%s` refers to others that refer to others, more than %d deep",
		                   node->item->key, EVAL_MAX_DEPTH);
		node_fail(node, problem, problem);
	}
	if (node->problem == NULL && node->cost > EVAL_MAX_COST) {
		const char *problem = graph_text(
		        graph, "`%s` refers to so many others that it could take more than %d evaluations",
		        node->item->key, EVAL_MAX_COST);
		node_fail(node, problem, problem);
	}
	node->visit = VISIT_DONE;
}

/* Depth first from @start without recursion: the way back is in the nodes. */
static void graph_visit(struct graph *graph, uint32_t start)
{
	uint32_t at = start;
	graph->nodes[at].opener = NO_NODE;
	while (at != NO_NODE) {
		struct node *node = &graph->nodes[at];
		node->visit = VISIT_OPEN;
		if (node->next == node->item->reference_count) {
			node_finish(graph, node);
			at = node->opener;
			continue;
		}
		uint32_t child = NO_NODE;
		(void)reference_find(graph, &node->item->references[node->next++], &child);
		if (child == NO_NODE || graph->nodes[child].visit == VISIT_DONE) {
			continue;
		}
		if (graph->nodes[child].visit == VISIT_OPEN) {
			cycle_fail(graph, child, at);
			continue;
		}
		graph->nodes[child].opener = at;
		at = child;
	}
}

/* Gives the ruleset what the walk has found. */
static enum status graph_store(const struct graph *graph, struct error *err)
{
	size_t count = 0;
	for (uint32_t i = 0; i < graph->count; i++) {
		count += graph->nodes[i].problem != NULL;
	}
	if (count == 0) {
		return STATUS_OK;
	}
	struct ruleset *ruleset = graph->ruleset;
	ruleset->problems = calloc(count, sizeof(*ruleset->problems));
	if (ruleset->problems == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory");
	}
	for (uint32_t i = 0; i < graph->count; i++) {
		const struct node *node = &graph->nodes[i];
		if (node->problem != NULL) {
			ruleset->problems[ruleset->problem_count++] = (struct ruleset_problem){
				.kind = node->item->kind, .key = node->item->key, .message = node->problem
			};
		}
	}
	return STATUS_OK;
}

static uint32_t suspects_count(const struct ruleset *ruleset)
{
	uint32_t count = 0;
	for (enum item_kind kind = ITEM_FLAG; kind <= ITEM_SEGMENT; kind++) {
		const struct ruleset_table *table = &ruleset->tables[kind];
		for (uint32_t i = 0; i < table->chunk_count; i++) {
			count += table->chunks[i]->suspect_count;
		}
	}
	return count;
}

static void node_add(struct graph *graph, const struct item *item)
{
	if (item->broken == NULL && item->reference_count == 0) {
		return;
	}
	const struct ruleset_table *table = &graph->ruleset->tables[item->kind];
	const struct ruleset_slot *slot = ruleset_table_find(table, item->kind, item->key, item->key_length);
	graph->nodes[graph->count++] =
	        (struct node){ .item = item,
		               .problem = item->broken,
		               .root = item->broken,
		               .visit = item->reference_count == 0 ? VISIT_DONE : VISIT_NEW };
	graph->numbers[item->kind][slot - table->slots] = graph->count;
}

static enum status graph_init(struct graph *graph, uint32_t count, struct error *err)
{
	const struct ruleset_table *tables = graph->ruleset->tables;
	graph->nodes = calloc(count, sizeof(*graph->nodes));
	for (enum item_kind kind = ITEM_FLAG; kind <= ITEM_SEGMENT; kind++) {
		graph->numbers[kind] = calloc((size_t)tables[kind].mask + 1, sizeof(uint32_t));
		if (graph->nodes == NULL || graph->numbers[kind] == NULL) {
			return error_fail(err, STATUS_NO_MEMORY, "Out of memory");
		}
		for (uint32_t i = 0; i < tables[kind].chunk_count; i++) {
			const struct ruleset_chunk *chunk = tables[kind].chunks[i];
			for (uint32_t k = 0; chunk->suspect_count > 0 && k < chunk->count; k++) {
				node_add(graph, chunk->items[k]);
			}
		}
	}
	return STATUS_OK;
}

enum status ruleset_check(struct ruleset *ruleset, struct error *err)
{
	uint32_t count = suspects_count(ruleset);
	if (count == 0) {
		return STATUS_OK;
	}
	AUTO(graph_deinit) struct graph graph = { .ruleset = ruleset };
	enum status status = graph_init(&graph, count, err);
	if (status != STATUS_OK) {
		return status;
	}
	for (uint32_t i = 0; i < graph.count; i++) {
		if (graph.nodes[i].visit == VISIT_NEW) {
			graph_visit(&graph, i);
		}
	}
	if (graph.no_memory) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory");
	}
	return graph_store(&graph, err);
}
