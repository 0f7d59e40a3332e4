/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Line 1 is a flag's document, line 2 a context, the others are segments. What compiles is evaluated and
 * explained, and the steps of the explanation must lead to the result of the evaluation.
 */
#include "fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/json_write.h"
#include "engine/eval.h"

#define MAX_SEGMENTS    8
#define MAX_EXPLANATION (16 * 1024 * 1024)

static void require(bool holds)
{
	if (!holds) {
		abort();
	}
}

/* The next line of @data, without its LF. */
static const char *line_take(const uint8_t **data, size_t *size, size_t *ret_length)
{
	const char *line = (const char *)*data;
	const uint8_t *end = *size > 0 ? memchr(*data, '\n', *size) : NULL;
	*ret_length = end != NULL ? (size_t)(end - *data) : *size;
	size_t taken = *ret_length + (end != NULL);
	*data += taken;
	*size -= taken;
	return line;
}

static struct json explanation_parse(const struct buf *text, struct json_doc *doc)
{
	const struct json_limits limits = { .max_bytes = MAX_EXPLANATION,
		                            .max_nodes = MAX_EXPLANATION,
		                            .max_depth = 64 };
	struct error err = ERROR_INIT;
	enum status status = json_parse(text->data, text->length, &limits, doc, &err);
	require(status == STATUS_OK || status == STATUS_NO_MEMORY);
	return json_root(doc);
}

/* The variant that the steps end with. */
static struct json steps_variant(struct json steps)
{
	struct json step = JSON_NONE;
	struct json variant = JSON_NONE;
	while (json_next(steps, NULL, &step)) {
		struct json kind = json_get(step, "step");
		bool serves = json_equals(kind, "split") || json_equals(kind, "default") ||
		              json_boolean(json_get(step, "result"));
		if (serves && !json_equals(kind, "prerequisite")) {
			variant = json_get(step, "variant");
		}
	}
	return variant;
}

static void explanation_check(const struct ruleset *ruleset, const struct flag *flag,
                              const struct context *context)
{
	struct eval_result result;
	eval_flag(ruleset, flag->item.key, flag->item.key_length, context, &result);
	require(result.flag == flag);
	require((result.reason == EVAL_REASON_ERROR) == (result.error != EVAL_ERROR_NONE));
	require(result.error == EVAL_ERROR_NONE || (result.variant == NULL && result.cause != NULL));
	struct buf text;
	struct json_writer w;
	buf_init(&text, MAX_EXPLANATION);
	json_writer_init(&w, &text);
	eval_explain(ruleset, flag->item.key, flag->item.key_length, context, &w);
	require(!text.failed);
	struct json_doc doc = { 0 };
	struct json root = explanation_parse(&text, &doc);
	require(json_equals(json_get(root, "reason"), eval_reason_name(result.reason)));
	if (result.error == EVAL_ERROR_NONE && result.reason != EVAL_REASON_DISABLED) {
		require(json_equals(steps_variant(json_get(root, "steps")), result.variant->name));
	}
	json_doc_deinit(&doc);
	buf_deinit(&text);
}

static void evaluate(const struct ruleset *ruleset, const struct flag *flag, const char *text, size_t length)
{
	struct json_doc doc = { 0 };
	struct arena arena;
	arena_init(&arena, 1 << 24);
	struct context context = { 0 };
	if (json_parse(text, length, &json_limits_default, &doc, NULL) == STATUS_OK &&
	    context_read(json_root(&doc), &arena, &context, NULL) == STATUS_OK) {
		explanation_check(ruleset, flag, &context);
	}
	const struct context keyed = { .targeting_key = "user-1" };
	explanation_check(ruleset, flag, &keyed);
	arena_deinit(&arena);
	json_doc_deinit(&doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ruleset_edit edits[1 + MAX_SEGMENTS] = { 0 };
	size_t count = 0;
	size_t length = 0;
	const char *document = line_take(&data, &size, &length);
	struct flag *flag = NULL;
	if (flag_load(document, length, &flag, NULL) != STATUS_OK) {
		return 0;
	}
	require(flag->item.text_length <= length && strlen(flag->item.text) == flag->item.text_length);
	edits[count++] = (struct ruleset_edit){ ITEM_FLAG, flag->item.key, &flag->item };
	size_t context_length = 0;
	const char *context = line_take(&data, &size, &context_length);
	while (size > 0 && count < 1 + MAX_SEGMENTS) {
		struct segment *segment = NULL;
		const char *line = line_take(&data, &size, &length);
		if (segment_load(line, length, &segment, NULL) == STATUS_OK) {
			edits[count++] =
			        (struct ruleset_edit){ ITEM_SEGMENT, segment->item.key, &segment->item };
		}
	}
	struct ruleset *ruleset = NULL;
	if (ruleset_new(NULL, edits, count, &ruleset, NULL) == STATUS_OK) {
		evaluate(ruleset, flag, context, context_length);
	}
	ruleset_unref(ruleset);
	for (size_t i = 0; i < count; i++) {
		item_unref(edits[i].item);
	}
	return 0;
}
