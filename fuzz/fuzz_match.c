/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A condition (first line) against a context (the rest): both are read or refused, every attribute
 * gets an outcome, and the negated condition gets the other one.
 */
#include "fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "engine/match.h"

#define ARENA_BYTES    (1024 * 1024)
#define ATTRIBUTES_MAX 1

static void check_that(int holds)
{
	if (!holds) {
		abort();
	}
}

static size_t string_length(const struct context_attribute *attribute)
{
	return attribute != NULL && attribute->type == CONTEXT_STRING ? strlen(attribute->value.string) : 0;
}

static void evaluate(const struct condition *condition, const struct context_attribute *attribute)
{
	struct condition opposite = *condition;
	opposite.is_negated = !condition->is_negated;
	opposite.membership_match = !condition->membership_match;
	const size_t length = string_length(attribute);
	const enum match_outcome outcome = match_evaluate(condition, attribute, length);
	const enum match_outcome other = match_evaluate(&opposite, attribute, length);
	check_that(match_evaluate_any(condition, attribute, length) == outcome);
	check_that(outcome == MATCH_EXCEEDED ? other == MATCH_EXCEEDED : other == (MATCH_YES - outcome));
}

static void evaluate_all(const struct condition *condition, struct json object)
{
	struct arena arena;
	struct context context;
	arena_init(&arena, ARENA_BYTES);
	if (context_read(object, &arena, &context, NULL) == STATUS_OK) {
		evaluate(condition, NULL);
		for (size_t i = 0; i < context.attribute_count; i++) {
			check_that(strlen(context.attributes[i].name) <= CONTEXT_MAX_NAME_BYTES);
			evaluate(condition, &context.attributes[i]);
		}
	}
	arena_deinit(&arena);
}

static void run(struct json document, struct json object)
{
	struct arena arena;
	struct condition condition;
	struct error err = ERROR_INIT;
	const char *names[ATTRIBUTES_MAX];
	struct match_attributes attributes = { .names = names, .capacity = ATTRIBUTES_MAX };
	arena_init(&arena, ARENA_BYTES);
	const enum status status = match_compile(document, &attributes, &arena, &condition, &err);
	if (status == STATUS_OK) {
		evaluate_all(&condition, object);
		match_release(&condition, 1);
	} else {
		check_that(err.status == status && err.message[0] != '\0');
	}
	arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	const char *line_end = size == 0 ? NULL : memchr(text, '\n', size);
	if (line_end == NULL) {
		return 0;
	}
	const size_t length = (size_t)(line_end - text);
	struct json_doc condition = { 0 }, context = { 0 };
	if (json_parse(text, length, &json_limits_default, &condition, NULL) == STATUS_OK &&
	    json_parse(line_end + 1, size - length - 1, &json_limits_default, &context, NULL) == STATUS_OK) {
		run(json_root(&condition), json_root(&context));
	}
	json_doc_deinit(&condition);
	json_doc_deinit(&context);
	return 0;
}
