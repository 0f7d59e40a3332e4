/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/match.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/ascii.h"
#include "engine/cidr.h"
#include "engine/flag.h"
#include "engine/pattern.h"
#include "engine/semver.h"

/* A condition as it is written. */
struct match_source {
	struct json attribute, op, value, values, negate, ignore_case, flag;
};

#define SCALAR_BITS (JSON_BIT(JSON_STRING) | JSON_BIT(JSON_NUMBER) | JSON_BIT(JSON_BOOLEAN))

static const struct json_field match_fields[] = {
	JSON_FIELD(match_source, attribute, JSON_BIT(JSON_STRING), false, 0),
	JSON_FIELD(match_source, op, JSON_BIT(JSON_STRING), true, 0),
	JSON_FIELD(match_source, value, SCALAR_BITS, false, 0),
	JSON_FIELD(match_source, values, JSON_BIT(JSON_ARRAY), false, FLAG_MAX_VALUES),
	JSON_FIELD(match_source, negate, JSON_BIT(JSON_BOOLEAN), false, 0),
	JSON_FIELD(match_source, ignore_case, JSON_BIT(JSON_BOOLEAN), false, 0),
	JSON_FIELD(match_source, flag, JSON_BIT(JSON_STRING), false, 0),
};

/* Reads `value` (a scalar) or `values` (an array) into @condition, whose operator is set. */
typedef enum status operand_read(struct json operand, struct arena *arena, struct condition *condition,
                                 struct error *err);

static enum status match_fail_memory(struct error *err)
{
	return error_fail(err, STATUS_NO_MEMORY, "Out of memory while compiling a condition");
}

/* Like json_next() over `values`; over `value` it gives that one. */
static bool operand_next(struct json operand, struct json *value)
{
	if (json_is(operand, JSON_ARRAY)) {
		return json_next(operand, NULL, value);
	}
	const bool is_first = json_is(*value, JSON_ABSENT);
	*value = operand;
	return is_first;
}

static uint32_t operand_count(struct json operand)
{
	return json_is(operand, JSON_ARRAY) ? json_count(operand) : 1;
}

static enum status operand_fail_type(struct json value, const struct condition *condition, const char *wanted,
                                     struct error *err)
{
	return json_fail(err, STATUS_INVALID, value, "The operator `%s` compares with %s, not with %s",
	                 match_operator_name(condition->op), wanted, json_type_name(json_type(value)));
}

/* A string's bytes in the arena, of which there are 1 to @max_bytes. */
static enum status operand_read_text(struct json value, const struct condition *condition, size_t max_bytes,
                                     struct arena *arena, char **ret, size_t *ret_length, struct error *err)
{
	if (!json_is(value, JSON_STRING)) {
		return operand_fail_type(value, condition, "a string", err);
	}
	size_t length = 0;
	char *text = json_string_dup(value, arena, &length);
	if (text == NULL) {
		return match_fail_memory(err);
	}
	if (length == 0 || length > max_bytes) {
		return json_fail(err, STATUS_INVALID, value,
		                 "A value of the operator `%s` has 1 to %zu bytes",
		                 match_operator_name(condition->op), max_bytes);
	}
	*ret = text;
	*ret_length = length;
	return STATUS_OK;
}

/* ---- Operands, by kind ---- */

static int numbers_compare(const void *a, const void *b)
{
	return match_number_compare(a, b);
}

/* Sorts the numbers and drops those that are there twice. */
static uint32_t numbers_order(struct match_number *numbers, uint32_t count)
{
	uint32_t kept = 0;
	qsort(numbers, count, sizeof(*numbers), numbers_compare);
	for (uint32_t i = 0; i < count; i++) {
		if (i == 0 || match_number_compare(&numbers[kept - 1], &numbers[i]) != 0) {
			numbers[kept++] = numbers[i];
		}
	}
	return kept;
}

static enum status read_scalars(struct json operand, struct arena *arena, struct condition *condition,
                                struct error *err)
{
	struct match_values *values = &condition->operand.values;
	struct match_number *numbers = arena_alloc_array(arena, operand_count(operand), sizeof(*numbers));
	if (numbers == NULL) {
		return match_fail_memory(err);
	}
	bool has_strings = false;
	struct json value = JSON_NONE;
	while (operand_next(operand, &value)) {
		if (json_is(value, JSON_STRING)) {
			has_strings = true;
		} else if (json_is(value, JSON_BOOLEAN)) {
			values->has_true |= json_boolean(value);
			values->has_false |= !json_boolean(value);
		} else if (match_number_from_json(value, &numbers[values->number_count])) {
			values->number_count++;
		} else {
			return operand_fail_type(value, condition, "strings, numbers and booleans", err);
		}
	}
	values->number_count = numbers_order(numbers, values->number_count);
	values->numbers = numbers;
	if (has_strings) {
		values->strings = string_set_build(operand, condition->ignore_case, arena);
		return values->strings != NULL ? STATUS_OK : match_fail_memory(err);
	}
	return STATUS_OK;
}

static enum status read_strings(struct json operand, struct arena *arena, struct condition *condition,
                                struct error *err)
{
	struct match_text *texts = arena_alloc_array(arena, condition->count, sizeof(*texts));
	if (texts == NULL) {
		return match_fail_memory(err);
	}
	uint32_t i = 0;
	struct json value = JSON_NONE;
	for (; operand_next(operand, &value); i++) {
		char *text = NULL;
		const enum status status = operand_read_text(value, condition, MATCH_MAX_TEXT_BYTES, arena,
		                                             &text, &texts[i].length, err);
		if (status != STATUS_OK) {
			return status;
		}
		if (condition->ignore_case) {
			ascii_fold_copy(text, text, texts[i].length);
		}
		texts[i].text = text;
	}
	condition->operand.texts = texts;
	return STATUS_OK;
}

static enum status read_patterns(struct json operand, struct arena *arena, struct condition *condition,
                                 struct error *err)
{
	struct pattern **patterns = arena_alloc_array(arena, condition->count, sizeof(struct pattern *));
	if (patterns == NULL) {
		return match_fail_memory(err);
	}
	condition->operand.patterns = patterns;
	struct json value = JSON_NONE;
	for (uint32_t i = 0; operand_next(operand, &value); i++) {
		char *text = NULL;
		size_t length = 0;
		enum status status =
		        operand_read_text(value, condition, PATTERN_MAX_BYTES, arena, &text, &length, err);
		if (status == STATUS_OK) {
			status = pattern_new(text, length, condition->ignore_case, &patterns[i], err);
			if (status == STATUS_INVALID) {
				json_error_locate(err, value, NULL);
			}
		}
		if (status != STATUS_OK) {
			match_release(condition, 1);
			return status;
		}
	}
	return STATUS_OK;
}

static enum status read_number(struct json operand, struct arena *arena, struct condition *condition,
                               struct error *err)
{
	(void)arena;
	if (!match_number_from_json(operand, &condition->operand.number)) {
		return operand_fail_type(operand, condition, "a number", err);
	}
	return STATUS_OK;
}

static enum status read_time(struct json operand, struct arena *arena, struct condition *condition,
                             struct error *err)
{
	char text[64];
	struct match_number seconds;
	int64_t *time_ms = &condition->operand.time_ms;
	(void)arena;
	if (match_number_from_json(operand, &seconds)) {
		if (!match_number_to_time(&seconds, time_ms)) {
			return json_fail(err, STATUS_INVALID, operand,
			                 "A time as a number is unix seconds of the years 0000 to 9999");
		}
		return STATUS_OK;
	}
	if (!json_is(operand, JSON_STRING)) {
		return operand_fail_type(operand, condition, "a time", err);
	}
	const size_t length = json_string_copy(operand, text, sizeof(text));
	if (length >= sizeof(text) || !clock_rfc3339_parse(text, length, time_ms)) {
		return json_fail(err, STATUS_INVALID, operand,
		                 "A time is written like \"2026-11-21T09:30:00Z\" or as unix seconds");
	}
	return STATUS_OK;
}

static enum status read_semver(struct json operand, struct arena *arena, struct condition *condition,
                               struct error *err)
{
	char *text = NULL;
	size_t length = 0;
	const enum status status =
	        operand_read_text(operand, condition, SEMVER_MAX_BYTES, arena, &text, &length, err);
	if (status != STATUS_OK) {
		return status;
	}
	struct semver *version = arena_alloc(arena, sizeof(*version));
	if (version == NULL) {
		return match_fail_memory(err);
	}
	if (!semver_parse(text, length, version)) {
		return json_fail(err, STATUS_INVALID, operand,
		                 "This is not a semantic version like \"1.2.3\" or \"1.2.3-rc.1\"");
	}
	condition->operand.version = version;
	return STATUS_OK;
}

static enum status read_ranges(struct json operand, struct arena *arena, struct condition *condition,
                               struct error *err)
{
	struct semver_range *ranges = arena_alloc_array(arena, condition->count, sizeof(*ranges));
	if (ranges == NULL) {
		return match_fail_memory(err);
	}
	struct json value = JSON_NONE;
	for (uint32_t i = 0; operand_next(operand, &value); i++) {
		char *text = NULL;
		size_t length = 0;
		const enum status status =
		        operand_read_text(value, condition, SEMVER_MAX_BYTES, arena, &text, &length, err);
		if (status != STATUS_OK) {
			return status;
		}
		if (!semver_range_parse(text, length, &ranges[i])) {
			return json_fail(err, STATUS_INVALID, value,
			                 "This is not a range of versions like \"^1.2\", \"~1.2.3\", \"1.x\" "
			                 "or \">=1.2.0 <2.0.0\"");
		}
	}
	condition->operand.ranges = ranges;
	return STATUS_OK;
}

static enum status read_networks(struct json operand, struct arena *arena, struct condition *condition,
                                 struct error *err)
{
	struct cidr *networks = arena_alloc_array(arena, condition->count, sizeof(*networks));
	if (networks == NULL) {
		return match_fail_memory(err);
	}
	struct json value = JSON_NONE;
	for (uint32_t i = 0; operand_next(operand, &value); i++) {
		char text[64];
		if (!json_is(value, JSON_STRING)) {
			return operand_fail_type(value, condition, "a string", err);
		}
		const size_t length = json_string_copy(value, text, sizeof(text));
		if (length >= sizeof(text) || !cidr_parse(text, length, &networks[i])) {
			return json_fail(err, STATUS_INVALID, value,
			                 "This is not an address or network like \"10.0.0.0/8\" or "
			                 "\"2001:db8::/32\" (the bits behind the prefix must be zero)");
		}
	}
	condition->operand.networks = networks;
	return STATUS_OK;
}

static enum status read_keys(struct json operand, struct arena *arena, struct condition *condition,
                             struct error *err)
{
	const char **keys = arena_alloc_array(arena, condition->count, sizeof(*keys));
	if (keys == NULL) {
		return match_fail_memory(err);
	}
	struct json value = JSON_NONE;
	for (uint32_t i = 0; operand_next(operand, &value); i++) {
		char *text = NULL;
		size_t length = 0;
		const enum status status =
		        operand_read_text(value, condition, FLAG_KEY_MAX_BYTES, arena, &text, &length, err);
		if (status != STATUS_OK) {
			return status;
		}
		keys[i] = text;
	}
	condition->operand.keys = keys;
	return STATUS_OK;
}

enum operand_kind {
	OPERAND_SCALAR,
	OPERAND_SCALARS,
	OPERAND_STRINGS,
	OPERAND_PATTERNS,
	OPERAND_NUMBER,
	OPERAND_TIME,
	OPERAND_SEMVER,
	OPERAND_RANGES,
	OPERAND_CIDRS,
	OPERAND_NONE,
	OPERAND_SEGMENTS,
	OPERAND_VARIANTS,
};

static const struct operand_row {
	operand_read *read;  /* NULL: there is no operand */
	uint32_t max_values; /* 1: `value` only */
	bool no_attribute;
} operand_rows[] = {
	[OPERAND_SCALAR] = { read_scalars, 1, false },
	[OPERAND_SCALARS] = { read_scalars, FLAG_MAX_VALUES, false },
	[OPERAND_STRINGS] = { read_strings, MATCH_MAX_TEXTS, false },
	[OPERAND_PATTERNS] = { read_patterns, MATCH_MAX_PATTERNS, false },
	[OPERAND_NUMBER] = { read_number, 1, false },
	[OPERAND_TIME] = { read_time, 1, false },
	[OPERAND_SEMVER] = { read_semver, 1, false },
	[OPERAND_RANGES] = { read_ranges, FLAG_MAX_VALUES, false },
	[OPERAND_CIDRS] = { read_networks, FLAG_MAX_VALUES, false },
	[OPERAND_NONE] = { NULL, 0, false },
	[OPERAND_SEGMENTS] = { read_keys, FLAG_MAX_VALUES, true },
	[OPERAND_VARIANTS] = { read_keys, FLAG_MAX_VARIANTS, true },
};

/* ---- Operators ---- */

static const struct operator_row {
	const char *name;
	enum operand_kind operand;
	bool is_text;
} operator_rows[] = {
#define OPERATOR_ROW(name, constant, operand, text, what) \
	[MATCH_##constant] = { name, OPERAND_##operand, text },
	MATCH_OPERATOR_TABLE(OPERATOR_ROW)
#undef OPERATOR_ROW
};

const char *match_operator_name(enum match_operator op)
{
	return operator_rows[op].name;
}

static enum status operator_find(struct json name, enum match_operator *ret, struct error *err)
{
	char text[64];
	if (json_string_copy(name, text, sizeof(text)) >= sizeof(text)) {
		return json_fail(err, STATUS_INVALID, name, "Unknown operator with a name of %zu bytes",
		                 json_string_copy(name, text, sizeof(text)));
	}
	for (size_t i = 0; i < MATCH_OPERATOR_COUNT; i++) {
		if (strcmp(operator_rows[i].name, text) == 0) {
			*ret = (enum match_operator)i;
			return STATUS_OK;
		}
	}
	return json_fail(err, STATUS_INVALID, name, "Unknown operator `%s`", text);
}

enum status match_attribute_add(struct match_attributes *attributes, struct json name, struct arena *arena,
                                uint32_t *ret_index, struct error *err)
{
	for (uint32_t i = 0; i < attributes->count; i++) {
		if (json_equals(name, attributes->names[i])) {
			*ret_index = i;
			return STATUS_OK;
		}
	}
	size_t length = 0;
	const char *copy = json_string_dup(name, arena, &length);
	if (copy == NULL) {
		return match_fail_memory(err);
	}
	if (length == 0 || length > CONTEXT_MAX_NAME_BYTES) {
		return json_fail(err, STATUS_INVALID, name, "An attribute's name has 1 to %d bytes",
		                 CONTEXT_MAX_NAME_BYTES);
	}
	if (attributes->count == attributes->capacity) {
		return json_fail(err, STATUS_INVALID, name, "More than %u different attributes are looked at",
		                 attributes->capacity);
	}
	*ret_index = attributes->count;
	attributes->names[attributes->count++] = copy;
	return STATUS_OK;
}

/* A member that this operator must have, or must not. */
static enum status member_check(struct json document, const char *name, struct json member, bool is_wanted,
                                const char *op, struct error *err)
{
	const bool is_there = !json_is(member, JSON_ABSENT);
	if (is_there && !is_wanted) {
		return json_fail(err, STATUS_INVALID, member, "The operator `%s` takes no `%s`", op, name);
	}
	if (!is_there && is_wanted) {
		return json_fail_member(err, STATUS_INVALID, document, name, "The operator `%s` needs `%s`",
		                        op, name);
	}
	return STATUS_OK;
}

/* Which of `value` and `values` is the operand; absent when there is none. */
static enum status operand_choose(struct json document, const struct match_source *source,
                                  const struct operator_row *row, struct json *ret, struct error *err)
{
	const uint32_t max = operand_rows[row->operand].max_values;
	const bool has_values = !json_is(source->values, JSON_ABSENT);
	if (has_values && max == 1) {
		return json_fail(err, STATUS_INVALID, source->values,
		                 "The operator `%s` takes one `value`, not `values`", row->name);
	}
	if (has_values && !json_is(source->value, JSON_ABSENT)) {
		return json_fail(err, STATUS_INVALID, source->values,
		                 "Give either `value` or `values`, not both");
	}
	if (has_values && max > 1) {
		const uint32_t count = json_count(source->values);
		if (count == 0 || count > max) {
			return json_fail(err, STATUS_INVALID, source->values,
			                 "The operator `%s` takes 1 to %u values", row->name, max);
		}
		*ret = source->values;
		return STATUS_OK;
	}
	const bool is_wanted = max > 0;
	const enum status status =
	        has_values ? member_check(document, "values", source->values, false, row->name, err)
	                   : member_check(document, "value", source->value, is_wanted, row->name, err);
	if (status == STATUS_OK) {
		*ret = source->value;
	}
	return status;
}

static enum status members_check(struct json document, const struct match_source *source,
                                 const struct operator_row *row, struct error *err)
{
	enum status status = member_check(document, "attribute", source->attribute,
	                                  !operand_rows[row->operand].no_attribute, row->name, err);
	if (status == STATUS_OK) {
		status = member_check(document, "flag", source->flag, row->operand == OPERAND_VARIANTS,
		                      row->name, err);
	}
	if (status == STATUS_OK && !row->is_text) {
		status = member_check(document, "ignore_case", source->ignore_case, false, row->name, err);
	}
	return status;
}

/* What the operator looks at: an attribute, another flag, or neither. */
static enum status subject_read(const struct match_source *source, struct match_attributes *attributes,
                                struct arena *arena, struct condition *condition, struct error *err)
{
	if (!json_is(source->attribute, JSON_ABSENT)) {
		return match_attribute_add(attributes, source->attribute, arena, &condition->attribute, err);
	}
	if (json_is(source->flag, JSON_ABSENT)) {
		return STATUS_OK;
	}
	char *key = NULL;
	size_t length = 0;
	const enum status status =
	        operand_read_text(source->flag, condition, FLAG_KEY_MAX_BYTES, arena, &key, &length, err);
	if (status == STATUS_OK) {
		condition->flag = key;
	}
	return status;
}

/* What match_evaluate()'s short way goes by. */
static void membership_set(struct condition *condition)
{
	const bool is_in = condition->op == MATCH_EQ || condition->op == MATCH_IN;
	if (is_in || condition->op == MATCH_NE || condition->op == MATCH_NOT_IN) {
		condition->is_membership = condition->operand.values.strings != NULL;
		condition->membership_match = is_in != condition->is_negated;
	}
}

enum status match_compile(struct json document, struct match_attributes *attributes, struct arena *arena,
                          struct condition *ret, struct error *err)
{
	struct match_source source;
	struct condition condition = { .attribute = UINT32_MAX };
	struct json operand = JSON_NONE;
	enum status status = json_fields(document, match_fields,
	                                 sizeof(match_fields) / sizeof(match_fields[0]), &source, err);
	if (status == STATUS_OK) {
		status = operator_find(source.op, &condition.op, err);
	}
	if (status != STATUS_OK) {
		return status;
	}
	const struct operator_row *row = &operator_rows[condition.op];
	condition.is_negated = json_boolean(source.negate);
	condition.ignore_case = json_boolean(source.ignore_case);
	status = members_check(document, &source, row, err);
	if (status == STATUS_OK) {
		status = operand_choose(document, &source, row, &operand, err);
	}
	if (status == STATUS_OK) {
		status = subject_read(&source, attributes, arena, &condition, err);
	}
	if (status == STATUS_OK && operand_rows[row->operand].read != NULL) {
		condition.count = operand_count(operand);
		status = operand_rows[row->operand].read(operand, arena, &condition, err);
	}
	if (status != STATUS_OK) {
		return status;
	}
	membership_set(&condition);
	*ret = condition;
	return STATUS_OK;
}

void match_release(const struct condition *conditions, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (conditions[i].op != MATCH_MATCHES) {
			continue;
		}
		for (uint32_t k = 0; k < conditions[i].count; k++) {
			pattern_free(conditions[i].operand.patterns[k]);
		}
	}
}
