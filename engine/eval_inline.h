/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk of an evaluation, as a template. Private to the engine.
 *
 * eval.c makes the plain walk from it (@steps is the constant NULL and costs nothing), eval_explain.c
 * the one that records: so there is one order of evaluation, in one place.
 */
#pragma once

#include <string.h>

#include "engine/eval.h"
#include "engine/match.h"
#include "engine/rule_guard.h"
#include "engine/ruleset_inline.h"
#include "engine/string_set.h"

#define EVAL_TEMPLATE static inline __attribute__((always_inline))

_Static_assert(FLAG_MAX_ATTRIBUTES <= 64, "eval_scope.resolved has a bit per attribute");

struct eval_slot {
	const struct context_attribute *attribute; /* NULL: missing */
	size_t length;                             /* of its string */
};

/* Attributes that one item's conditions look at; each is looked for in the context at most once. */
struct eval_scope {
	const struct ruleset *ruleset;
	const struct context *context;
	const char *const *names;
	uint32_t key_attribute;
	unsigned depth;
	uint64_t resolved;            /* bit per slot that is filled; the others are not initialised */
	enum eval_error error;        /* of the condition that ended with MATCH_EXCEEDED */
	const char *cause;            /* … */
	struct context_attribute key; /* the targeting key as an attribute */
	struct eval_slot slots[FLAG_MAX_ATTRIBUTES];
};

/* What a split goes by. */
struct eval_bucket {
	const char *text;
	size_t length;
	uint32_t hash;
	uint32_t bucket;
	bool is_missing;
};

#define EVAL_TEXT_SIZE 32 /* of an integer or number that a split goes by */

/* Where explain looks in. Each is called when the step is over. */
struct eval_steps {
	void *user;
	char *text; /* EVAL_TEXT_SIZE bytes for a number that a split goes by */
	void (*enabled)(void *user, bool is_enabled);
	void (*prerequisite)(void *user, const struct prerequisite *prerequisite,
	                     const struct eval_result *result, bool holds);
	void (*target)(void *user, uint32_t index, bool lists_key);
	void (*rule_begin)(void *user, uint32_t index);
	void (*condition)(void *user, const struct condition *condition, const struct eval_slot *slot,
	                  enum match_outcome outcome);
	void (*rule_end)(void *user, bool holds);
	void (*split)(void *user, const struct serve *serve, const struct eval_bucket *bucket,
	              uint32_t variant);
	void (*fallthrough)(void *user, uint32_t variant);
};

/* Out of line, in eval.c. */
uint32_t eval_first_rule(const struct flag *flag, const struct context *context);
void eval_nested(const struct ruleset *ruleset, const struct flag *flag, const struct context *context,
                 unsigned depth, struct eval_result *ret);
enum match_outcome eval_reference(struct eval_scope *scope, const struct condition *condition);
void eval_slot_fill(struct eval_scope *scope, uint32_t index);

/* The bucket of a split by another attribute than the key; numbers are written to @text. */
void eval_bucket_attribute(const struct context *context, const struct flag *flag, const struct serve *serve,
                           char text[static EVAL_TEXT_SIZE], struct eval_bucket *ret);
uint32_t eval_serve_attribute(const struct context *context, const struct flag *flag,
                              const struct serve *serve, struct eval_result *ret);

EVAL_TEMPLATE void eval_result_variant(const struct flag *flag, uint32_t variant, enum eval_reason reason,
                                       const char *cause, struct eval_result *ret)
{
	ret->reason = reason;
	ret->error = EVAL_ERROR_NONE;
	ret->flag = flag;
	ret->variant = variant != FLAG_NO_VARIANT ? &flag->variants[variant] : NULL;
	ret->cause = cause;
}

EVAL_TEMPLATE void eval_result_error(const struct flag *flag, enum eval_error error, const char *cause,
                                     struct eval_result *ret)
{
	*ret = (struct eval_result){
		.reason = EVAL_REASON_ERROR, .error = error, .flag = flag, .cause = cause
	};
}

EVAL_TEMPLATE uint32_t eval_split_part(const struct serve *serve, uint32_t bucket)
{
	/* All parts are looked at: which one it is cannot be predicted, how many there are can. */
	uint32_t part = 0;
	for (uint32_t i = 0; i + 1 < serve->part_count; i++) {
		part += serve->parts[i].end <= bucket;
	}
	return part;
}

EVAL_TEMPLATE void eval_bucket_fill(const struct serve *serve, const char *text, size_t length,
                                    struct eval_bucket *bucket)
{
	bucket->is_missing = false;
	bucket->text = text;
	bucket->length = length;
	bucket->hash = bucket_hash(&serve->salt, text, length);
	bucket->bucket = bucket_of(bucket->hash, serve->total_weight);
}

/* Serves a split by the bucket that was found. The variant's index, for explain. */
EVAL_TEMPLATE uint32_t eval_split_serve(const struct flag *flag, const struct serve *serve,
                                        const struct eval_bucket *bucket, struct eval_result *ret)
{
	uint32_t variant = serve->whole_variant;
	if (variant == FLAG_NO_VARIANT && bucket->is_missing) {
		eval_result_error(flag, EVAL_ERROR_TARGETING_KEY_MISSING, serve->missing, ret);
		return FLAG_NO_VARIANT;
	}
	if (variant == FLAG_NO_VARIANT) {
		variant = serve->parts[eval_split_part(serve, bucket->bucket)].variant;
	}
	eval_result_variant(flag, variant, EVAL_REASON_SPLIT, NULL, ret);
	return variant;
}

/* Serves a variant or a split; @reason counts for a variant. The variant's index, for explain. */
EVAL_TEMPLATE uint32_t eval_serve(const struct context *context, const struct flag *flag,
                                  const struct serve *serve, enum eval_reason reason, struct eval_result *ret,
                                  const struct eval_steps *steps)
{
	if (serve->part_count == 0) {
		eval_result_variant(flag, serve->variant, reason, NULL, ret);
		return serve->variant;
	}
	struct eval_bucket bucket = { .is_missing = true };
	const char *key = context->targeting_key;
	if (steps == NULL && serve->whole_variant != FLAG_NO_VARIANT) {
		return eval_split_serve(flag, serve, &bucket, ret);
	}
	if (serve->bucket_by == FLAG_BY_KEY && key != NULL) {
		eval_bucket_fill(serve, key, strlen(key), &bucket);
	} else if (serve->bucket_by != FLAG_BY_KEY && steps == NULL) {
		return eval_serve_attribute(context, flag, serve, ret);
	} else if (serve->bucket_by != FLAG_BY_KEY) {
		eval_bucket_attribute(context, flag, serve, steps->text, &bucket);
	}
	uint32_t variant = eval_split_serve(flag, serve, &bucket, ret);
	if (steps != NULL) {
		steps->split(steps->user, serve, &bucket, variant);
	}
	return variant;
}

EVAL_TEMPLATE void eval_fallthrough(const struct context *context, const struct flag *flag,
                                    enum eval_reason reason, struct eval_result *ret,
                                    const struct eval_steps *steps)
{
	uint32_t variant = eval_serve(context, flag, &flag->fallthrough, reason, ret, steps);
	if (steps != NULL) {
		steps->fallthrough(steps->user, variant);
	}
}

/* Only the members in front of slots[] are set. */
EVAL_TEMPLATE void eval_scope_init(struct eval_scope *scope, const struct ruleset *ruleset,
                                   const struct context *context, const char *const *names,
                                   uint32_t key_attribute, unsigned depth)
{
	scope->ruleset = ruleset;
	scope->context = context;
	scope->names = names;
	scope->key_attribute = key_attribute;
	scope->depth = depth;
	scope->resolved = 0;
}

EVAL_TEMPLATE const struct eval_slot *eval_slot_get(struct eval_scope *scope, uint32_t index)
{
	if (__builtin_expect((scope->resolved >> index & 1) == 0, 0)) {
		eval_slot_fill(scope, index);
	}
	return &scope->slots[index];
}

/* Do all conditions hold? MATCH_EXCEEDED: scope->error and ->cause say what went wrong. */
EVAL_TEMPLATE enum match_outcome eval_conditions(struct eval_scope *scope, const struct condition *conditions,
                                                 uint32_t count, const struct eval_steps *steps)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct condition *condition = &conditions[i];
		const struct eval_slot *slot = NULL;
		enum match_outcome outcome;
		if (condition->attribute == UINT32_MAX) {
			outcome = eval_reference(scope, condition);
		} else {
			slot = eval_slot_get(scope, condition->attribute);
			outcome = match_evaluate(condition, slot->attribute, slot->length);
			if (outcome == MATCH_EXCEEDED) {
				scope->error = EVAL_ERROR_GENERAL;
				scope->cause = "A regular expression took too many steps";
			}
		}
		if (steps != NULL) {
			steps->condition(steps->user, condition, slot, outcome);
		}
		if (outcome != MATCH_YES) {
			return outcome;
		}
	}
	return MATCH_YES;
}

/* True: @ret is set, a prerequisite does not hold. */
EVAL_TEMPLATE bool eval_prerequisites(const struct ruleset *ruleset, const struct flag *flag,
                                      const struct context *context, unsigned depth, struct eval_result *ret,
                                      const struct eval_steps *steps)
{
	for (uint32_t i = 0; i < flag->prerequisite_count; i++) {
		const struct prerequisite *prerequisite = &flag->prerequisites[i];
		const struct flag *other =
		        ruleset_flag_find(ruleset, prerequisite->flag, prerequisite->flag_length, NULL);
		struct eval_result result;
		eval_nested(ruleset, other, context, depth + 1, &result);
		bool holds = false;
		for (uint32_t k = 0; k < prerequisite->variant_count && result.variant != NULL; k++) {
			holds = holds || strcmp(result.variant->name, prerequisite->variants[k]) == 0;
		}
		if (steps != NULL) {
			steps->prerequisite(steps->user, prerequisite, &result, holds);
		}
		if (result.error != EVAL_ERROR_NONE) {
			eval_result_error(flag, result.error, result.cause, ret);
			return true;
		}
		if (!holds) {
			eval_result_variant(flag, flag->off_variant, EVAL_REASON_DISABLED, prerequisite->flag,
			                    ret);
			return true;
		}
	}
	return false;
}

/* True: @ret is set, a target lists the key. */
EVAL_TEMPLATE bool eval_targets(const struct flag *flag, const struct context *context,
                                struct eval_result *ret, const struct eval_steps *steps)
{
	const char *key = context->targeting_key;
	size_t length = flag->target_count > 0 && key != NULL ? strlen(key) : 0;
	for (uint32_t i = 0; i < flag->target_count; i++) {
		const struct target *target = &flag->targets[i];
		bool lists_key = key != NULL && string_set_contains(target->keys, key, length);
		if (steps != NULL) {
			steps->target(steps->user, i, lists_key);
		}
		if (lists_key) {
			eval_result_variant(flag, target->variant, EVAL_REASON_TARGETING_MATCH, NULL, ret);
			return true;
		}
	}
	return false;
}

/* True: @ret is set, a rule serves or fails. */
EVAL_TEMPLATE bool eval_rules(struct eval_scope *scope, const struct flag *flag, struct eval_result *ret,
                              const struct eval_steps *steps)
{
	for (uint32_t i = steps == NULL ? eval_first_rule(flag, scope->context) : 0; i < flag->rule_count;
	     i++) {
		if (steps != NULL) {
			steps->rule_begin(steps->user, i);
		}
		const struct rule *rule = &flag->rules[i];
		enum match_outcome outcome =
		        eval_conditions(scope, rule->conditions, rule->condition_count, steps);
		if (steps != NULL) {
			steps->rule_end(steps->user, outcome == MATCH_YES);
		}
		if (outcome == MATCH_EXCEEDED) {
			eval_result_error(flag, scope->error, scope->cause, ret);
			return true;
		}
		if (outcome == MATCH_YES) {
			(void)eval_serve(scope->context, flag, &rule->serve, EVAL_REASON_TARGETING_MATCH, ret,
			                 steps);
			return true;
		}
	}
	return false;
}

/* The whole walk of a flag that works. */
EVAL_TEMPLATE void eval_walk(const struct ruleset *ruleset, const struct flag *flag,
                             const struct context *context, unsigned depth, struct eval_result *ret,
                             const struct eval_steps *steps)
{
	if (steps != NULL) {
		steps->enabled(steps->user, flag->is_enabled);
	}
	if (!flag->is_enabled) {
		eval_result_variant(flag, flag->off_variant, EVAL_REASON_DISABLED, NULL, ret);
		return;
	}
	struct eval_scope scope;
	eval_scope_init(&scope, ruleset, context, flag->attributes, flag->key_attribute, depth);
	if (!eval_prerequisites(ruleset, flag, context, depth, ret, steps) &&
	    !eval_targets(flag, context, ret, steps) && !eval_rules(&scope, flag, ret, steps)) {
		bool is_static = flag->prerequisite_count + flag->target_count + flag->rule_count == 0;
		eval_fallthrough(context, flag, is_static ? EVAL_REASON_STATIC : EVAL_REASON_DEFAULT, ret,
		                 steps);
	}
}
