/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/eval.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>

#include "base/number.h"
#include "engine/eval_inline.h"

static const char *const reason_names[] = {
#define EVAL_NAME(name) [EVAL_REASON_##name] = #name,
	EVAL_REASON_TABLE(EVAL_NAME)
#undef EVAL_NAME
};

static const char *const error_names[] = {
#define EVAL_NAME(name) [EVAL_ERROR_##name] = #name,
	EVAL_ERROR_TABLE(EVAL_NAME)
#undef EVAL_NAME
};

const char *eval_reason_name(enum eval_reason reason)
{
	return reason_names[reason];
}

const char *eval_error_name(enum eval_error error)
{
	return error_names[error];
}

/* ---- Attributes ---- */

/* Is there anything behind its pointer? A program may have made the context by hand. */
static bool attribute_has_value(const struct context_attribute *attribute)
{
	if (attribute->type == CONTEXT_ARRAY) {
		return attribute->value.array.items != NULL || attribute->value.array.count == 0;
	}
	return attribute->type != CONTEXT_STRING || attribute->value.string != NULL;
}

static const struct context_attribute *attribute_find(const struct context *context, const char *name)
{
	const struct context_attribute *end = context->attributes + context->attribute_count;
	for (const struct context_attribute *it = context->attributes; it < end; it++) {
		if (it->name != NULL && it->name[0] == name[0] && strcmp(it->name, name) == 0) {
			return attribute_has_value(it) ? it : NULL;
		}
	}
	return NULL;
}

void eval_slot_fill(struct eval_scope *scope, uint32_t index)
{
	const struct context_attribute *attribute;
	if (index == scope->key_attribute && scope->context->targeting_key != NULL) {
		scope->key = (struct context_attribute){ .name = FLAG_KEY_ATTRIBUTE,
			                                 .type = CONTEXT_STRING,
			                                 .value.string = scope->context->targeting_key };
		attribute = &scope->key;
	} else {
		attribute = attribute_find(scope->context, scope->names[index]);
	}
	const bool is_missing = attribute == NULL || attribute->type == CONTEXT_NULL;
	const bool is_string = attribute != NULL && attribute->type == CONTEXT_STRING;
	scope->slots[index] = (struct eval_slot){ .attribute = is_missing ? NULL : attribute,
		                                  .length = is_string ? strlen(attribute->value.string) : 0 };
	scope->resolved |= UINT64_C(1) << index;
}

/* What a guard sees of a context. */
static uint64_t guard_mask(const struct context *context, const struct rule_guard *guard)
{
	const char *string = guard->is_key ? context->targeting_key : NULL;
	if (string == NULL) {
		const struct context_attribute *attribute = attribute_find(context, guard->name);
		if (attribute == NULL || attribute->type == CONTEXT_NULL) {
			return 0;
		}
		if (attribute->type != CONTEXT_STRING) {
			return RULE_GUARD_ALL;
		}
		string = attribute->value.string;
	}
	return rule_guard_string(string, strlen(string));
}

/* The first rule that can match, by the guards; rule_count: none can. */
__attribute__((noinline)) uint32_t eval_first_rule(const struct flag *flag, const struct context *context)
{
	uint32_t first = flag->unguarded;
	for (uint32_t i = 0; i < flag->guard_count; i++) {
		const struct rule_guard *guard = &flag->guards[i];
		const uint64_t mask = guard_mask(context, guard);
		if ((mask & guard->bits) == 0) {
			continue;
		}
		for (uint32_t k = 0; k < guard->rule_count && guard->rules[k].rule < first; k++) {
			if ((mask & guard->rules[k].bits) != 0) {
				first = guard->rules[k].rule;
			}
		}
	}
	return first;
}

void eval_bucket_attribute(const struct context *context, const struct flag *flag, const struct serve *serve,
                           char text[static EVAL_TEXT_SIZE], struct eval_bucket *ret)
{
	_Static_assert(EVAL_TEXT_SIZE >= NUMBER_TEXT_SIZE, "every number fits");
	const struct context_attribute *attribute =
	        attribute_find(context, flag->attributes[serve->bucket_by]);
	switch (attribute != NULL ? attribute->type : CONTEXT_NULL) {
	case CONTEXT_STRING:
		eval_bucket_fill(serve, attribute->value.string, strlen(attribute->value.string), ret);
		return;
	case CONTEXT_INTEGER: {
		int length = snprintf(text, EVAL_TEXT_SIZE, "%lld", (long long)attribute->value.integer);
		eval_bucket_fill(serve, text, (size_t)length, ret);
		return;
	}
	case CONTEXT_NUMBER:
		if (isfinite(attribute->value.number)) {
			eval_bucket_fill(serve, text, number_format(attribute->value.number, text), ret);
			return;
		}
		break;
	case CONTEXT_BOOLEAN:
		if (attribute->value.boolean) {
			eval_bucket_fill(serve, "true", strlen("true"), ret);
		} else {
			eval_bucket_fill(serve, "false", strlen("false"), ret);
		}
		return;
	case CONTEXT_ARRAY:
	case CONTEXT_OBJECT:
	case CONTEXT_NULL:
		break;
	}
	ret->is_missing = true;
}

uint32_t eval_serve_attribute(const struct context *context, const struct flag *flag,
                              const struct serve *serve, struct eval_result *ret)
{
	char text[EVAL_TEXT_SIZE];
	struct eval_bucket bucket;
	eval_bucket_attribute(context, flag, serve, text, &bucket);
	return eval_split_serve(flag, serve, &bucket, ret);
}

/* ---- Other flags and segments ---- */

static enum match_outcome segment_evaluate(struct eval_scope *outer, const struct segment *segment)
{
	const struct context *context = outer->context;
	const char *key = context->targeting_key;
	if (key != NULL && segment->excluded != NULL &&
	    string_set_contains(segment->excluded, key, strlen(key))) {
		return MATCH_NO;
	}
	if (key != NULL && segment->included != NULL &&
	    string_set_contains(segment->included, key, strlen(key))) {
		return MATCH_YES;
	}
	if (segment->condition_count == 0) {
		return MATCH_NO;
	}
	struct eval_scope scope;
	eval_scope_init(&scope, outer->ruleset, context, segment->attributes, segment->key_attribute,
	                outer->depth + 1);
	enum match_outcome outcome =
	        eval_conditions(&scope, segment->conditions, segment->condition_count, NULL);
	if (outcome == MATCH_EXCEEDED) {
		outer->error = scope.error;
		outer->cause = scope.cause;
	}
	return outcome;
}

static enum match_outcome segments_evaluate(struct eval_scope *scope, const struct condition *condition)
{
	for (uint32_t i = 0; i < condition->count; i++) {
		const char *key = condition->operand.keys[i];
		const struct segment *segment = ruleset_segment_find(scope->ruleset, key, strlen(key), NULL);
		enum match_outcome outcome = segment_evaluate(scope, segment);
		if (outcome != MATCH_NO) {
			return outcome;
		}
	}
	return MATCH_NO;
}

static enum match_outcome flag_evaluate(struct eval_scope *scope, const struct condition *condition)
{
	const struct flag *flag =
	        ruleset_flag_find(scope->ruleset, condition->flag, strlen(condition->flag), NULL);
	struct eval_result result;
	eval_nested(scope->ruleset, flag, scope->context, scope->depth + 1, &result);
	if (result.error != EVAL_ERROR_NONE) {
		scope->error = result.error;
		scope->cause = result.cause;
		return MATCH_EXCEEDED;
	}
	for (uint32_t i = 0; i < condition->count && result.variant != NULL; i++) {
		if (strcmp(result.variant->name, condition->operand.keys[i]) == 0) {
			return MATCH_YES;
		}
	}
	return MATCH_NO;
}

enum match_outcome eval_reference(struct eval_scope *scope, const struct condition *condition)
{
	enum match_outcome outcome = condition->op == MATCH_FLAG ? flag_evaluate(scope, condition)
	                                                         : segments_evaluate(scope, condition);
	if (outcome == MATCH_EXCEEDED || !condition->is_negated) {
		return outcome;
	}
	return outcome == MATCH_YES ? MATCH_NO : MATCH_YES;
}

/* ---- Flags ---- */

/* The general walk, with its large frame, apart from the short one. */
__attribute__((noinline)) static void flag_walk(const struct ruleset *ruleset, const struct flag *flag,
                                                const struct context *context, unsigned depth,
                                                struct eval_result *ret)
{
	eval_walk(ruleset, flag, context, depth, ret, NULL);
}

/* ruleset_check() has made sure that what a flag refers to is there, works and is not too deep. */
void eval_nested(const struct ruleset *ruleset, const struct flag *flag, const struct context *context,
                 unsigned depth, struct eval_result *ret)
{
	assert(flag != NULL && depth <= EVAL_MAX_DEPTH);
	flag_walk(ruleset, flag, context, depth, ret);
}

void eval_flag(const struct ruleset *ruleset, const char *key, size_t key_length,
               const struct context *context, struct eval_result *ret)
{
	const struct ruleset_slot *slot = ruleset_find(ruleset, ITEM_FLAG, key, key_length);
	if (__builtin_expect(slot == NULL, 0)) {
		eval_result_error(NULL, EVAL_ERROR_FLAG_NOT_FOUND, "There is no flag of this key", ret);
		return;
	}
	const struct flag *flag = (const struct flag *)slot->item;
	if (flag->is_open && flag->rule_count == 0) {
		eval_fallthrough(context, flag, EVAL_REASON_STATIC, ret, NULL);
		return;
	}
	if (flag->is_open && eval_first_rule(flag, context) == flag->rule_count) {
		eval_fallthrough(context, flag, EVAL_REASON_DEFAULT, ret, NULL);
		return;
	}
	const char *problem = ruleset_problem_find(ruleset, slot->item);
	if (problem != NULL) {
		eval_result_error(flag,
		                  flag->item.broken != NULL ? EVAL_ERROR_PARSE_ERROR : EVAL_ERROR_GENERAL,
		                  problem, ret);
		return;
	}
	flag_walk(ruleset, flag, context, 0, ret);
}
