/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/match.h"

#include <string.h>

#include "base/clock.h"
#include "engine/ascii.h"
#include "engine/cidr.h"
#include "engine/flag.h"
#include "engine/pattern.h"
#include "engine/semver.h"

/* ---- Scalars and arrays ---- */

/* Positions of a condition's values: false, true, the numbers, the slots of the strings. */
#define VALUE_NONE         UINT32_MAX
#define VALUE_FIRST_NUMBER 2
#define VALUE_MAX          (VALUE_FIRST_NUMBER + 4 * FLAG_MAX_VALUES) /* a set has under four slots a string */

static uint32_t find_number(const struct match_values *values, const struct context_attribute *attribute)
{
	struct match_number number;
	if (!match_number_from_attribute(attribute, &number)) {
		return VALUE_NONE;
	}
	uint32_t low = 0, high = values->number_count;
	while (low < high) {
		const uint32_t middle = low + (high - low) / 2;
		const int order = match_number_compare(&number, &values->numbers[middle]);
		if (order == 0) {
			return VALUE_FIRST_NUMBER + middle;
		}
		if (order < 0) {
			high = middle;
		} else {
			low = middle + 1;
		}
	}
	return VALUE_NONE;
}

static uint32_t find_string(const struct match_values *values, const char *string, size_t length)
{
	if (values->strings == NULL || string == NULL) {
		return VALUE_NONE;
	}
	const uint32_t slot = string_set_find(values->strings, string, length);
	return slot == STRING_SET_NONE ? VALUE_NONE : VALUE_FIRST_NUMBER + values->number_count + slot;
}

/* Position of the value that the attribute equals. */
static uint32_t find_value(const struct match_values *values, const struct context_attribute *attribute,
                           size_t length)
{
	switch (attribute->type) {
	case CONTEXT_STRING:
		return find_string(values, attribute->value.string, length);
	case CONTEXT_INTEGER:
	case CONTEXT_NUMBER:
		return find_number(values, attribute);
	case CONTEXT_BOOLEAN:
		if (attribute->value.boolean) {
			return values->has_true ? 1 : VALUE_NONE;
		}
		return values->has_false ? 0 : VALUE_NONE;
	case CONTEXT_ARRAY:
	case CONTEXT_OBJECT:
	case CONTEXT_NULL:
		break;
	}
	return VALUE_NONE;
}

static size_t attribute_length(const struct context_attribute *attribute)
{
	const bool is_string = attribute->type == CONTEXT_STRING && attribute->value.string != NULL;
	return is_string ? strlen(attribute->value.string) : 0;
}

static bool is_scalar(const struct context_attribute *attribute)
{
	struct match_number number;
	return attribute->type == CONTEXT_STRING || attribute->type == CONTEXT_BOOLEAN ||
	       match_number_from_attribute(attribute, &number);
}

static bool array_holds_any(const struct match_values *values, const struct context_attribute *array)
{
	for (size_t i = 0; i < array->value.array.count; i++) {
		const struct context_attribute *item = &array->value.array.items[i];
		if (find_value(values, item, attribute_length(item)) != VALUE_NONE) {
			return true;
		}
	}
	return false;
}

/* Ticks off each value that an item equals, so that the cost does not grow with their product. */
static bool array_holds_all(const struct match_values *values, const struct context_attribute *array)
{
	const uint32_t slots = values->strings != NULL ? values->strings->slots : 0;
	const uint32_t strings = values->strings != NULL ? values->strings->count : 0;
	uint32_t missing = strings + values->number_count + values->has_false + values->has_true;
	if (missing > array->value.array.count) {
		return false;
	}
	uint64_t seen[VALUE_MAX / 64 + 1];
	memset(seen, 0, ((VALUE_FIRST_NUMBER + values->number_count + slots) / 64 + 1) * sizeof(seen[0]));
	for (size_t i = 0; i < array->value.array.count && missing > 0; i++) {
		const struct context_attribute *item = &array->value.array.items[i];
		const uint32_t value = find_value(values, item, attribute_length(item));
		const uint64_t bit = 1ull << (value % 64);
		if (value != VALUE_NONE && (seen[value / 64] & bit) == 0) {
			seen[value / 64] |= bit;
			missing--;
		}
	}
	return missing == 0;
}

/* ---- Text ---- */

static bool text_equals(const struct condition *condition, const struct match_text *text, const char *string)
{
	return condition->ignore_case ? ascii_equals_folded(text->text, string, text->length)
	                              : memcmp(text->text, string, text->length) == 0;
}

static bool text_starts_or_ends(const struct condition *condition, const char *string, size_t length)
{
	for (uint32_t i = 0; i < condition->count; i++) {
		const struct match_text *text = &condition->operand.texts[i];
		if (text->length > length) {
			continue;
		}
		const size_t offset = condition->op == MATCH_ENDS_WITH ? length - text->length : 0;
		if (text_equals(condition, text, string + offset)) {
			return true;
		}
	}
	return false;
}

static bool text_contains(const struct condition *condition, const char *string, size_t length)
{
	for (uint32_t i = 0; i < condition->count; i++) {
		const struct match_text *text = &condition->operand.texts[i];
		if (memmem(string, length, text->text, text->length) != NULL) {
			return true;
		}
	}
	return false;
}

/* Folds the string piece by piece; pieces overlap by as much as a text can stand across their border. */
static bool text_contains_folded(const struct condition *condition, const char *string, size_t length)
{
	char folded[4 * MATCH_MAX_TEXT_BYTES];
	for (;;) {
		const size_t part = length < sizeof(folded) ? length : sizeof(folded);
		ascii_fold_copy(folded, string, part);
		if (text_contains(condition, folded, part)) {
			return true;
		}
		if (part == length) { // cppcheck-suppress knownConditionTrueFalse ; it is when length fits
			return false;
		}
		string += part - (MATCH_MAX_TEXT_BYTES - 1);
		length -= part - (MATCH_MAX_TEXT_BYTES - 1);
	}
}

static enum match_outcome text_matches(const struct condition *condition, const char *string, size_t length)
{
	for (uint32_t i = 0; i < condition->count; i++) {
		switch (pattern_match(condition->operand.patterns[i], string, length)) {
		case PATTERN_NO_MATCH:
			break;
		case PATTERN_MATCH:
			return MATCH_YES;
		case PATTERN_EXCEEDED:
			return MATCH_EXCEEDED;
		}
	}
	return MATCH_NO;
}

static enum match_outcome match_text(const struct condition *condition, const char *string, size_t length)
{
	if (condition->op == MATCH_MATCHES) {
		return text_matches(condition, string, length);
	}
	bool is_match;
	if (condition->op != MATCH_CONTAINS) {
		is_match = text_starts_or_ends(condition, string, length);
	} else if (condition->ignore_case) {
		is_match = text_contains_folded(condition, string, length);
	} else {
		is_match = text_contains(condition, string, length);
	}
	return is_match ? MATCH_YES : MATCH_NO;
}

/* ---- Order: numbers, times, versions ---- */

enum { ORDER_BELOW = 1, ORDER_SAME = 2, ORDER_ABOVE = 4 };

/* Where the attribute may stand against the value. */
static const uint8_t accepted_orders[MATCH_OPERATOR_COUNT] = {
	[MATCH_LT] = ORDER_BELOW,        [MATCH_LE] = ORDER_BELOW | ORDER_SAME,
	[MATCH_GT] = ORDER_ABOVE,        [MATCH_GE] = ORDER_ABOVE | ORDER_SAME,
	[MATCH_BEFORE] = ORDER_BELOW,    [MATCH_AFTER] = ORDER_ABOVE,
	[MATCH_SEMVER_EQ] = ORDER_SAME,  [MATCH_SEMVER_NE] = ORDER_BELOW | ORDER_ABOVE,
	[MATCH_SEMVER_LT] = ORDER_BELOW, [MATCH_SEMVER_LE] = ORDER_BELOW | ORDER_SAME,
	[MATCH_SEMVER_GT] = ORDER_ABOVE, [MATCH_SEMVER_GE] = ORDER_ABOVE | ORDER_SAME,
};

static bool order_holds(enum match_operator op, int order)
{
	const int bit = order < 0 ? ORDER_BELOW : order > 0 ? ORDER_ABOVE : ORDER_SAME;
	return (accepted_orders[op] & bit) != 0;
}

static bool match_order_number(const struct condition *condition, const struct context_attribute *attribute)
{
	struct match_number number;
	return match_number_from_attribute(attribute, &number) &&
	       order_holds(condition->op, match_number_compare(&number, &condition->operand.number));
}

static bool match_order_time(const struct condition *condition, const struct context_attribute *attribute,
                             size_t length)
{
	int64_t time_ms = 0;
	struct match_number seconds;
	if (attribute->type == CONTEXT_STRING) {
		if (!clock_rfc3339_parse(attribute->value.string, length, &time_ms)) {
			return false;
		}
	} else if (!match_number_from_attribute(attribute, &seconds) ||
	           !match_number_to_time(&seconds, &time_ms)) {
		return false;
	}
	const int64_t wanted_ms = condition->operand.time_ms;
	return order_holds(condition->op, (time_ms > wanted_ms) - (time_ms < wanted_ms));
}

static bool match_version(const struct condition *condition, const char *string, size_t length)
{
	struct semver version;
	if (!semver_parse(string, length, &version)) {
		return false;
	}
	if (condition->op != MATCH_SEMVER_MATCH) {
		return order_holds(condition->op, semver_compare(&version, condition->operand.version));
	}
	for (uint32_t i = 0; i < condition->count; i++) {
		if (semver_range_match(&condition->operand.ranges[i], &version)) {
			return true;
		}
	}
	return false;
}

static bool match_network(const struct condition *condition, const char *string, size_t length)
{
	struct cidr address;
	if (!cidr_parse_address(string, length, &address)) {
		return false;
	}
	for (uint32_t i = 0; i < condition->count; i++) {
		if (cidr_contains(&condition->operand.networks[i], &address)) {
			return true;
		}
	}
	return false;
}

/* ---- Operators ---- */

/* The outcome before negation, for an attribute that is there. */
static enum match_outcome match_attribute(const struct condition *condition,
                                          const struct context_attribute *attribute, size_t length)
{
	const struct match_values *values = &condition->operand.values;
	const bool is_string = attribute->type == CONTEXT_STRING;
	const bool is_array = attribute->type == CONTEXT_ARRAY;
	const char *string = is_string ? attribute->value.string : "";
	bool is_match = false;
	switch (condition->op) {
	case MATCH_EQ:
	case MATCH_IN:
		is_match = find_value(values, attribute, length) != VALUE_NONE;
		break;
	case MATCH_NE:
	case MATCH_NOT_IN:
		is_match = is_scalar(attribute) && find_value(values, attribute, length) == VALUE_NONE;
		break;
	case MATCH_CONTAINS:
	case MATCH_STARTS_WITH:
	case MATCH_ENDS_WITH:
	case MATCH_MATCHES:
		return is_string ? match_text(condition, string, length) : MATCH_NO;
	case MATCH_LT:
	case MATCH_LE:
	case MATCH_GT:
	case MATCH_GE:
		is_match = match_order_number(condition, attribute);
		break;
	case MATCH_BEFORE:
	case MATCH_AFTER:
		is_match = match_order_time(condition, attribute, length);
		break;
	case MATCH_SEMVER_EQ:
	case MATCH_SEMVER_NE:
	case MATCH_SEMVER_LT:
	case MATCH_SEMVER_LE:
	case MATCH_SEMVER_GT:
	case MATCH_SEMVER_GE:
	case MATCH_SEMVER_MATCH:
		is_match = is_string && match_version(condition, string, length);
		break;
	case MATCH_IN_CIDR:
		is_match = is_string && match_network(condition, string, length);
		break;
	case MATCH_EXISTS:
		is_match = true;
		break;
	case MATCH_ANY_OF:
		is_match = is_array && array_holds_any(values, attribute);
		break;
	case MATCH_ALL_OF:
		is_match = is_array && array_holds_all(values, attribute);
		break;
	case MATCH_NONE_OF:
		is_match = is_array && !array_holds_any(values, attribute);
		break;
	case MATCH_IN_SEGMENT:
	case MATCH_FLAG:
	case MATCH_OPERATOR_COUNT:
		return MATCH_EXCEEDED; /* not ours to answer, and nothing may be silently false */
	}
	return is_match ? MATCH_YES : MATCH_NO;
}

enum match_outcome match_evaluate_any(const struct condition *condition,
                                      const struct context_attribute *attribute, size_t length)
{
	enum match_outcome outcome = MATCH_NO;
	if (attribute != NULL && attribute->type != CONTEXT_NULL) {
		outcome = match_attribute(condition, attribute, length);
	}
	if (condition->is_negated && outcome != MATCH_EXCEEDED) {
		outcome = outcome == MATCH_YES ? MATCH_NO : MATCH_YES;
	}
	return outcome;
}
