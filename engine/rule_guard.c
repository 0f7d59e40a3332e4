/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/rule_guard.h"

#include "engine/compile.h"
#include "engine/string_set.h"

/* Can the condition end in an error? */
static bool is_fallible(const struct condition *condition)
{
	return condition->op == MATCH_MATCHES || condition->op == MATCH_IN_SEGMENT ||
	       condition->op == MATCH_FLAG;
}

static uint64_t guard_bits(const struct condition *condition)
{
	bool is_membership = condition->op == MATCH_EQ || condition->op == MATCH_IN;
	const struct match_values *values = &condition->operand.values;
	if (!is_membership || condition->ignore_case || values->strings == NULL || values->number_count > 0 ||
	    values->has_false || values->has_true) {
		return RULE_GUARD_ALL;
	}
	uint64_t bits = 0;
	for (uint32_t i = 0; i < values->strings->slots; i++) {
		const struct string_set_entry *entry = &values->strings->entries[i];
		bits |= entry->text != NULL ? rule_guard_string(entry->text, entry->length) : 0;
	}
	return bits;
}

/* The condition with the fewest bits of those that can guard the rule; NULL: none can. */
static const struct condition *guard_choose(const struct rule *rule)
{
	const struct condition *chosen = NULL;
	for (uint32_t i = 0; i < rule->condition_count && !is_fallible(&rule->conditions[i]); i++) {
		const struct condition *condition = &rule->conditions[i];
		if (condition->is_negated) {
			continue; /* holds for a missing attribute */
		}
		if (chosen == NULL ||
		    __builtin_popcountll(guard_bits(condition)) < __builtin_popcountll(guard_bits(chosen))) {
			chosen = condition;
		}
	}
	return chosen;
}

/* Writes the rules that the attribute guards, of the first @count, and returns how many there are. */
static uint32_t guarded_rules_fill(const struct condition *const *chosen, uint32_t count, uint32_t attribute,
                                   struct guarded_rule *rules)
{
	uint32_t used = 0;
	for (uint32_t i = 0; i < count; i++) {
		if (chosen[i]->attribute != attribute) {
			continue;
		}
		rules[used++] = (struct guarded_rule){ .bits = guard_bits(chosen[i]), .rule = i };
	}
	return used;
}

/* Guards of the rules in front of the first that has none: behind it nothing would be saved. */
enum status rule_guards_compile(struct compiler *compiler, struct flag *flag, struct error *err)
{
	const struct condition *chosen[FLAG_MAX_RULES];
	uint32_t count = 0;
	while (count < flag->rule_count && (chosen[count] = guard_choose(&flag->rules[count])) != NULL) {
		count++;
	}
	flag->unguarded = (uint16_t)count;
	struct rule_guard *guards =
	        arena_alloc_array(&compiler->arena, flag->attribute_count, sizeof(*guards));
	struct guarded_rule *rules = arena_alloc_array(&compiler->arena, count, sizeof(*rules));
	TRY(COMPILER_ALLOCATED(guards, err));
	TRY(COMPILER_ALLOCATED(rules, err));
	for (uint32_t attribute = 0; attribute < flag->attribute_count; attribute++) {
		uint32_t used = guarded_rules_fill(chosen, count, attribute, rules);
		if (used == 0) {
			continue;
		}
		struct rule_guard *guard = &guards[flag->guard_count++];
		*guard = (struct rule_guard){ .name = flag->attributes[attribute],
			                      .rules = rules,
			                      .rule_count = used,
			                      .is_key = attribute == flag->key_attribute };
		for (uint32_t i = 0; i < used; i++) {
			guard->bits |= rules[i].bits;
		}
		rules += used;
	}
	flag->guards = guards;
	return STATUS_OK;
}
