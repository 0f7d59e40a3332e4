/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/eval.h"

#include <math.h>

#include "base/json_write.h"
#include "base/utf8.h"
#include "engine/eval_inline.h"

struct recorder {
	struct json_writer *w;
	const struct ruleset *ruleset;
	const struct context *context;
	const struct flag *flag;
	const char *const *names; /* attributes of the flag's conditions */
	const struct rule *rule;  /* that is being looked at */
};

/* A caller's string may be anything; what is not UTF-8 in it is shown as U+FFFD. */
static void put_text(struct json_writer *w, const char *text, size_t length)
{
	if (utf8_is_valid(text, length)) {
		json_put_string_n(w, text, length);
		return;
	}
	const char *end = text + length;
	struct buf clean;
	buf_init(&clean, 3 * length);
	while (text < end) {
		size_t sequence = utf8_sequence(text, end);
		buf_append(&clean, sequence > 0 ? text : "\xef\xbf\xbd", sequence > 0 ? sequence : 3);
		text += sequence > 0 ? sequence : 1;
	}
	w->buf->failed = w->buf->failed || clean.failed;
	w->buf->no_memory = w->buf->no_memory || clean.no_memory;
	json_put_string_n(w, buf_string(&clean), clean.length);
	buf_deinit(&clean);
}

static void put_variant(struct json_writer *w, const struct flag *flag, uint32_t variant)
{
	json_put_key_string(w, "variant", variant != FLAG_NO_VARIANT ? flag->variants[variant].name : NULL);
}

static void put_scalar(struct json_writer *w, const struct context_attribute *attribute)
{
	switch (attribute->type) {
	case CONTEXT_STRING:
		put_text(w, attribute->value.string, strlen(attribute->value.string));
		return;
	case CONTEXT_INTEGER:
		json_put_int64(w, attribute->value.integer);
		return;
	case CONTEXT_NUMBER:
		if (isfinite(attribute->value.number)) {
			json_put_double(w, attribute->value.number);
			return;
		}
		break;
	case CONTEXT_BOOLEAN:
		json_put_boolean(w, attribute->value.boolean);
		return;
	case CONTEXT_OBJECT:
		json_begin_object(w);
		json_end_object(w);
		return;
	case CONTEXT_ARRAY: /* not in an array */
	case CONTEXT_NULL:
		break;
	}
	json_put_null(w);
}

/* null: the attribute is missing. */
static void put_attribute(struct json_writer *w, const struct context_attribute *attribute)
{
	if (attribute == NULL) {
		json_put_null(w);
		return;
	}
	if (attribute->type != CONTEXT_ARRAY) {
		put_scalar(w, attribute);
		return;
	}
	json_begin_array(w);
	for (size_t i = 0; i < attribute->value.array.count; i++) {
		put_scalar(w, &attribute->value.array.items[i]);
	}
	json_end_array(w);
}

static void put_names(struct json_writer *w, const char *key, const char *const *names, uint32_t count)
{
	json_put_key(w, key);
	json_begin_array(w);
	for (uint32_t i = 0; i < count; i++) {
		json_put_string(w, names[i]);
	}
	json_end_array(w);
}

static void put_step(struct json_writer *w, const char *step)
{
	json_begin_object(w);
	json_put_key_string(w, "step", step);
}

/* ---- Steps ---- */

static void step_enabled(void *user, bool is_enabled)
{
	struct recorder *recorder = user;
	put_step(recorder->w, "enabled");
	json_put_key_boolean(recorder->w, "result", is_enabled);
	json_end_object(recorder->w);
}

static void step_prerequisite(void *user, const struct prerequisite *prerequisite,
                              const struct eval_result *result, bool holds)
{
	struct recorder *recorder = user;
	struct json_writer *w = recorder->w;
	put_step(w, "prerequisite");
	json_put_key_string(w, "flag", prerequisite->flag);
	json_put_key_string(w, "variant", result->variant != NULL ? result->variant->name : NULL);
	put_names(w, "wanted", prerequisite->variants, prerequisite->variant_count);
	json_put_key_boolean(w, "result", holds);
	json_end_object(w);
}

static void step_target(void *user, uint32_t index, bool lists_key)
{
	struct recorder *recorder = user;
	put_step(recorder->w, "target");
	json_put_key_int64(recorder->w, "index", index);
	put_variant(recorder->w, recorder->flag, recorder->flag->targets[index].variant);
	json_put_key_boolean(recorder->w, "result", lists_key);
	json_end_object(recorder->w);
}

static void step_rule_begin(void *user, uint32_t index)
{
	struct recorder *recorder = user;
	recorder->rule = &recorder->flag->rules[index];
	put_step(recorder->w, "rule");
	json_put_key_int64(recorder->w, "index", index);
	json_put_key_string(recorder->w, "name", recorder->rule->name);
	json_put_key(recorder->w, "conditions");
	json_begin_array(recorder->w);
}

static void step_rule_end(void *user, bool holds)
{
	struct recorder *recorder = user;
	json_end_array(recorder->w);
	json_put_key_boolean(recorder->w, "result", holds);
	if (holds && recorder->rule->serve.part_count == 0) {
		put_variant(recorder->w, recorder->flag, recorder->rule->serve.variant);
	}
	json_end_object(recorder->w);
}

/* The variant that the other flag gives; the walk only kept whether it is a wanted one. */
static void put_flag_condition(struct recorder *recorder, const struct condition *condition)
{
	struct eval_result result;
	eval_flag(recorder->ruleset, condition->flag, strlen(condition->flag), recorder->context, &result);
	json_put_key_string(recorder->w, "flag", condition->flag);
	put_names(recorder->w, "wanted", condition->operand.keys, condition->count);
	json_put_key_string(recorder->w, "actual", result.variant != NULL ? result.variant->name : NULL);
}

static void step_condition(void *user, const struct condition *condition, const struct eval_slot *slot,
                           enum match_outcome outcome)
{
	struct recorder *recorder = user;
	struct json_writer *w = recorder->w;
	json_begin_object(w);
	json_put_key_string(w, "op", match_operator_name(condition->op));
	if (condition->op == MATCH_FLAG) {
		put_flag_condition(recorder, condition);
	} else if (condition->op == MATCH_IN_SEGMENT) {
		put_names(w, "segments", condition->operand.keys, condition->count);
	} else {
		json_put_key_string(w, "attribute", recorder->names[condition->attribute]);
		json_put_key(w, "actual");
		// NOLINTNEXTLINE(clang-analyzer-core.NullDereference): these operators look at an attribute
		put_attribute(w, slot->attribute);
	}
	if (condition->is_negated) {
		json_put_key_boolean(w, "negate", true);
	}
	json_put_key(w, "result");
	if (outcome == MATCH_EXCEEDED) {
		json_put_null(w); /* an error: `cause` of the evaluation has it */
	} else {
		json_put_boolean(w, outcome == MATCH_YES);
	}
	json_end_object(w);
}

static void step_split(void *user, const struct serve *serve, const struct eval_bucket *bucket,
                       uint32_t variant)
{
	struct recorder *recorder = user;
	struct json_writer *w = recorder->w;
	put_step(w, "split");
	json_put_key_string(w, "bucket_by",
	                    serve->bucket_by != FLAG_BY_KEY ? recorder->names[serve->bucket_by]
	                                                    : FLAG_KEY_ATTRIBUTE);
	json_put_key_string(w, "salt", serve->salt_text);
	json_put_key_int64(w, "total", serve->total_weight);
	if (!bucket->is_missing) {
		uint32_t part = eval_split_part(serve, bucket->bucket);
		json_put_key(w, "value");
		put_text(w, bucket->text, bucket->length);
		json_put_key_int64(w, "hash", bucket->hash);
		json_put_key_int64(w, "bucket", bucket->bucket);
		json_put_key_int64(w, "boundary", serve->parts[part].end);
	}
	put_variant(w, recorder->flag, variant);
	json_end_object(w);
}

static void step_fallthrough(void *user, uint32_t variant)
{
	struct recorder *recorder = user;
	put_step(recorder->w, "default");
	put_variant(recorder->w, recorder->flag, variant);
	json_end_object(recorder->w);
}

/* ---- The whole ---- */

static void put_result(struct json_writer *w, const struct eval_result *result)
{
	json_put_key_string(w, "reason", eval_reason_name(result->reason));
	if (result->variant != NULL) {
		json_put_key_string(w, "variant", result->variant->name);
		json_put_key(w, "value");
		json_put_raw(w, result->variant->json, result->variant->json_length);
	}
	if (result->error != EVAL_ERROR_NONE) {
		json_put_key_string(w, "error_code", eval_error_name(result->error));
	}
	if (result->cause != NULL) {
		json_put_key_string(w, "cause", result->cause);
	}
}

void eval_explain(const struct ruleset *ruleset, const char *key, size_t key_length,
                  const struct context *context, struct json_writer *w)
{
	struct eval_result result;
	eval_flag(ruleset, key, key_length, context, &result);
	json_begin_object(w);
	json_put_key(w, "key");
	put_text(w, key, key_length);
	put_result(w, &result);
	json_put_key(w, "steps");
	json_begin_array(w);
	const char *problem = NULL;
	const struct flag *flag = ruleset_flag_find(ruleset, key, key_length, &problem);
	if (flag != NULL && problem == NULL) {
		struct recorder recorder = { .w = w,
			                     .ruleset = ruleset,
			                     .context = context,
			                     .flag = flag,
			                     .names = flag->attributes };
		char text[EVAL_TEXT_SIZE];
		const struct eval_steps steps = { .user = &recorder,
			                          .text = text,
			                          .enabled = step_enabled,
			                          .prerequisite = step_prerequisite,
			                          .target = step_target,
			                          .rule_begin = step_rule_begin,
			                          .condition = step_condition,
			                          .rule_end = step_rule_end,
			                          .split = step_split,
			                          .fallthrough = step_fallthrough };
		eval_walk(ruleset, flag, context, 0, &result, &steps);
	}
	json_end_array(w);
	json_end_object(w);
}
