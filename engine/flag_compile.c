/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/flag.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json_write.h"
#include "engine/compile.h"
#include "engine/string_set.h"

/* Largest integer that every JSON reader keeps: 2^53 - 1. */
#define INTEGER_MAX INT64_C(9007199254740991)

struct flag_fields {
	struct json key, type, version, variants, enabled, off_variant, prerequisites, targets, rules;
	struct json fallthrough;
};

/* clang-format off */
static const struct json_field flag_fields[] = {
	JSON_FIELD(flag_fields, key, JSON_BIT(JSON_STRING), true, 0),
	JSON_FIELD(flag_fields, type, JSON_BIT(JSON_STRING), true, 0),
	JSON_FIELD(flag_fields, version, JSON_BIT(JSON_STRING), false, 0),
	JSON_FIELD(flag_fields, variants, JSON_BIT(JSON_OBJECT), true, FLAG_MAX_VARIANTS),
	JSON_FIELD(flag_fields, enabled, JSON_BIT(JSON_BOOLEAN), true, 0),
	JSON_FIELD(flag_fields, off_variant, JSON_BIT(JSON_STRING) | JSON_BIT(JSON_NULL), false, 0),
	JSON_FIELD(flag_fields, prerequisites, JSON_BIT(JSON_ARRAY), false, FLAG_MAX_PREREQUISITES),
	JSON_FIELD(flag_fields, targets, JSON_BIT(JSON_ARRAY), false, FLAG_MAX_TARGETS),
	JSON_FIELD(flag_fields, rules, JSON_BIT(JSON_ARRAY), false, FLAG_MAX_RULES),
	{ "default", JSON_BIT(JSON_OBJECT), offsetof(struct flag_fields, fallthrough), true, 0 },
};

struct prerequisite_fields {
	struct json flag, variants;
};

static const struct json_field prerequisite_fields[] = {
	JSON_FIELD(prerequisite_fields, flag, JSON_BIT(JSON_STRING), true, 0),
	JSON_FIELD(prerequisite_fields, variants, JSON_BIT(JSON_ARRAY), true, FLAG_MAX_VARIANTS),
};

struct target_fields {
	struct json variant, keys;
};

static const struct json_field target_fields[] = {
	JSON_FIELD(target_fields, variant, JSON_BIT(JSON_STRING), true, 0),
	JSON_FIELD(target_fields, keys, JSON_BIT(JSON_ARRAY), true, FLAG_MAX_VALUES),
};

struct rule_fields {
	struct json name, conditions, serve;
};

static const struct json_field rule_fields[] = {
	JSON_FIELD(rule_fields, name, JSON_BIT(JSON_STRING), false, 0),
	{ "if", JSON_BIT(JSON_ARRAY), offsetof(struct rule_fields, conditions), true, FLAG_MAX_CONDITIONS },
	JSON_FIELD(rule_fields, serve, JSON_BIT(JSON_OBJECT), true, 0),
};

struct serve_fields {
	struct json variant, split, bucket_by, salt;
};

static const struct json_field serve_fields[] = {
	JSON_FIELD(serve_fields, variant, JSON_BIT(JSON_STRING), false, 0),
	JSON_FIELD(serve_fields, split, JSON_BIT(JSON_ARRAY), false, FLAG_MAX_PARTS),
	JSON_FIELD(serve_fields, bucket_by, JSON_BIT(JSON_STRING), false, 0),
	JSON_FIELD(serve_fields, salt, JSON_BIT(JSON_STRING), false, 0),
};

struct part_fields {
	struct json variant, weight;
};

static const struct json_field part_fields[] = {
	JSON_FIELD(part_fields, variant, JSON_BIT(JSON_STRING), true, 0),
	JSON_FIELD(part_fields, weight, JSON_BIT(JSON_NUMBER), true, 0),
};
/* clang-format on */

/* ---- Variants ---- */

static enum status variant_name_compile(struct compiler *compiler, struct json name, struct variant *variant,
                                        struct error *err)
{
	size_t length = 0;
	variant->name = json_string_dup(name, &compiler->arena, &length);
	TRY(COMPILER_ALLOCATED(variant->name, err));
	if (length == 0 || length > FLAG_VARIANT_MAX_BYTES) {
		return json_fail(err, STATUS_INVALID, name, "A variant's name is 1 to %d bytes long",
		                 FLAG_VARIANT_MAX_BYTES);
	}
	for (size_t i = 0; i < length; i++) {
		if ((unsigned char)variant->name[i] < ' ' || variant->name[i] == 0x7f) {
			return json_fail(err, STATUS_INVALID, name,
			                 "A variant's name holds no control characters");
		}
	}
	variant->name_length = (uint32_t)length;
	memcpy(variant->name_start, variant->name, length < FLAG_NAME_START ? length : FLAG_NAME_START);
	return STATUS_OK;
}

static enum status number_compile(struct compiler *compiler, struct json value, struct variant *variant,
                                  struct error *err)
{
	double number = 0;
	if (!json_double(value, &number) || !isfinite(number)) {
		return json_fail(err, STATUS_INVALID, value, "The value of a number flag must be a number");
	}
	AUTO(buf_deinit) struct buf text = { .max_length = 64 };
	struct json_writer w;
	json_writer_init(&w, &text);
	json_put_double(&w, number);
	TRY(buf_status(&text, "number", err));
	variant->json = arena_copy_string(&compiler->arena, text.data, text.length);
	variant->json_length = (uint32_t)text.length;
	variant->value.number = number;
	return COMPILER_ALLOCATED(variant->json, err);
}

static enum status integer_compile(struct json value, struct variant *variant, struct error *err)
{
	int64_t integer = 0;
	if (!json_int64(value, &integer) || integer > INTEGER_MAX || integer < -INTEGER_MAX) {
		return json_fail(err, STATUS_INVALID, value,
		                 "The value of an integer flag must be an integer between %lld and %lld",
		                 (long long)-INTEGER_MAX, (long long)INTEGER_MAX);
	}
	variant->value.integer = integer;
	if (integer == 0) {
		variant->json = "0"; /* not -0 */
		variant->json_length = 1;
	}
	return STATUS_OK;
}

static enum status string_compile(struct compiler *compiler, struct json value, struct variant *variant,
                                  struct error *err)
{
	if (!json_is(value, JSON_STRING)) {
		return json_fail(err, STATUS_INVALID, value, "The value of a string flag must be a string");
	}
	variant->value.string.text = json_string_dup(value, &compiler->arena, &variant->value.string.length);
	return COMPILER_ALLOCATED(variant->value.string.text, err);
}

static enum status variant_value_compile(struct compiler *compiler, enum flag_type type, struct json value,
                                         struct variant *variant, struct error *err)
{
	variant->json = compiler_text(compiler, value, &variant->json_length);
	switch (type) {
	case FLAG_BOOLEAN:
		if (!json_is(value, JSON_BOOLEAN)) {
			return json_fail(err, STATUS_INVALID, value,
			                 "The value of a boolean flag must be true or false");
		}
		variant->value.boolean = json_boolean(value);
		return STATUS_OK;
	case FLAG_STRING:
		return string_compile(compiler, value, variant, err);
	case FLAG_INTEGER:
		return integer_compile(value, variant, err);
	case FLAG_NUMBER:
		return number_compile(compiler, value, variant, err);
	case FLAG_OBJECT:
		if (!json_is(value, JSON_OBJECT)) {
			return json_fail(err, STATUS_INVALID, value,
			                 "The value of an object flag must be an object");
		}
		return STATUS_OK;
	}
	return error_fail(err, STATUS_INTERNAL, "The flag has no type");
}

static enum status variants_compile(struct compiler *compiler, struct json object, struct flag *flag,
                                    struct error *err)
{
	uint32_t count = json_count(object);
	if (count == 0) {
		return json_fail(err, STATUS_INVALID, object, "A flag needs at least one variant");
	}
	struct variant *variants = arena_alloc_array(&compiler->arena, count, sizeof(*variants));
	TRY(COMPILER_ALLOCATED(variants, err));
	flag->variants = variants;
	struct json name = JSON_NONE;
	struct json value = JSON_NONE;
	while (json_next(object, &name, &value)) {
		struct variant *variant = &variants[flag->variant_count];
		TRY(variant_name_compile(compiler, name, variant, err));
		TRY(variant_value_compile(compiler, flag->type, value, variant, err));
		flag->variant_count++;
	}
	return STATUS_OK;
}

uint32_t flag_variant_find(const struct flag *flag, const char *name, size_t length)
{
	for (uint32_t i = 0; i < flag->variant_count; i++) {
		const struct variant *variant = &flag->variants[i];
		if (variant->name_length == length && memcmp(variant->name, name, length) == 0) {
			return i;
		}
	}
	return FLAG_NO_VARIANT;
}

/* A variant's name somewhere in the document, as its index. */
static enum status variant_resolve(const struct flag *flag, struct json name, uint32_t *ret,
                                   struct error *err)
{
	char text[FLAG_VARIANT_MAX_BYTES + 1];
	size_t length = json_string_copy(name, text, sizeof(text));
	uint32_t index = length < sizeof(text) ? flag_variant_find(flag, text, length) : FLAG_NO_VARIANT;
	if (index == FLAG_NO_VARIANT) {
		return json_fail(err, STATUS_INVALID, name, "The flag has no variant `%s`",
		                 length < sizeof(text) ? text : "…");
	}
	*ret = index;
	return STATUS_OK;
}

/* ---- What is served ---- */

static enum status part_compile(const struct flag *flag, struct json value, struct split_part *part,
                                uint64_t *total, struct error *err)
{
	struct part_fields fields;
	TRY(json_fields(value, part_fields, COUNT_OF(part_fields), &fields, err));
	TRY(variant_resolve(flag, fields.variant, &part->variant, err));
	int64_t weight = 0;
	if (!json_int64(fields.weight, &weight) || weight < 0 || weight > FLAG_MAX_WEIGHT) {
		return json_fail(err, STATUS_INVALID, fields.weight,
		                 "The weight must be an integer between 0 and %u", FLAG_MAX_WEIGHT);
	}
	*total += (uint64_t)weight;
	if (*total > FLAG_MAX_WEIGHT) {
		return json_fail(err, STATUS_INVALID, fields.weight,
		                 "The weights of a split sum up to more than %u", FLAG_MAX_WEIGHT);
	}
	part->end = (uint32_t)*total;
	return STATUS_OK;
}

/* The one variant that has all the weight, whatever the key. */
static uint32_t whole_variant(const struct split_part *parts, uint32_t count)
{
	uint32_t whole = FLAG_NO_VARIANT;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t start = i == 0 ? 0 : parts[i - 1].end;
		if (parts[i].end == start) {
			continue;
		}
		if (whole != FLAG_NO_VARIANT && whole != parts[i].variant) {
			return FLAG_NO_VARIANT;
		}
		whole = parts[i].variant;
	}
	return whole;
}

/* @parts is where they go; NULL: into the arena. */
static enum status parts_compile(struct compiler *compiler, const struct flag *flag, struct json array,
                                 struct split_part *parts, struct serve *serve, struct error *err)
{
	uint32_t count = json_count(array);
	if (count == 0) {
		return json_fail(err, STATUS_INVALID, array, "A split needs at least one part");
	}
	if (parts == NULL) {
		parts = arena_alloc_array(&compiler->arena, count, sizeof(*parts));
		TRY(COMPILER_ALLOCATED(parts, err));
	}
	uint64_t total = 0;
	uint32_t used = 0;
	struct json value = JSON_NONE;
	while (json_next(array, NULL, &value)) {
		TRY(part_compile(flag, value, &parts[used++], &total, err));
	}
	if (total == 0) {
		return json_fail(err, STATUS_INVALID, array, "At least one part needs a weight above 0");
	}
	serve->parts = parts;
	serve->part_count = count;
	serve->total_weight = (uint32_t)total;
	serve->whole_variant = whole_variant(parts, count);
	return STATUS_OK;
}

static enum status bucket_by_compile(struct compiler *compiler, struct json name, struct serve *serve,
                                     struct error *err)
{
	serve->bucket_by = FLAG_BY_KEY;
	serve->missing = "The split goes by the targeting key, which the context does not have";
	if (json_type(name) == JSON_ABSENT || json_equals(name, FLAG_KEY_ATTRIBUTE)) {
		return STATUS_OK;
	}
	TRY(match_attribute_add(&compiler->attributes, name, &compiler->arena, &serve->bucket_by, err));
	char missing[CONTEXT_MAX_NAME_BYTES + 128];
	int length =
	        snprintf(missing, sizeof(missing),
	                 "The split goes by the attribute `%s`, which the context does not have as a string, "
	                 "number or boolean",
	                 compiler->names[serve->bucket_by]);
	serve->missing = arena_copy_string(&compiler->arena, missing, (size_t)length);
	return COMPILER_ALLOCATED(serve->missing, err);
}

static enum status salt_compile(struct compiler *compiler, struct json salt, struct serve *serve,
                                struct error *err)
{
	const struct item *item = compiler->item;
	size_t length = item->key_length;
	serve->salt_text = item->key;
	if (json_type(salt) != JSON_ABSENT) {
		serve->salt_text = json_string_dup(salt, &compiler->arena, &length);
		TRY(COMPILER_ALLOCATED(serve->salt_text, err));
	}
	if (length > FLAG_SALT_MAX_BYTES) {
		return json_fail(err, STATUS_INVALID, salt, "The salt is longer than %d bytes",
		                 FLAG_SALT_MAX_BYTES);
	}
	bucket_prefix_init(&serve->salt, serve->salt_text, length);
	return STATUS_OK;
}

static enum status serve_compile(struct compiler *compiler, const struct flag *flag, struct json object,
                                 struct split_part *parts, struct serve *serve, struct error *err)
{
	struct serve_fields fields;
	TRY(json_fields(object, serve_fields, COUNT_OF(serve_fields), &fields, err));
	bool has_variant = json_type(fields.variant) != JSON_ABSENT;
	bool has_split = json_type(fields.split) != JSON_ABSENT;
	if (has_variant == has_split) {
		return json_fail(err, STATUS_INVALID, object, "Either `variant` or `split` must be given%s",
		                 has_variant ? ", not both" : "");
	}
	serve->whole_variant = FLAG_NO_VARIANT;
	if (has_split) {
		TRY(parts_compile(compiler, flag, fields.split, parts, serve, err));
		TRY(bucket_by_compile(compiler, fields.bucket_by, serve, err));
		return salt_compile(compiler, fields.salt, serve, err);
	}
	if (json_type(fields.bucket_by) != JSON_ABSENT) {
		return json_fail(err, STATUS_INVALID, fields.bucket_by, "Only a split has `bucket_by`");
	}
	if (json_type(fields.salt) != JSON_ABSENT) {
		return json_fail(err, STATUS_INVALID, fields.salt, "Only a split has a salt");
	}
	return variant_resolve(flag, fields.variant, &serve->variant, err);
}

/* ---- Who gets it ---- */

/* Names of another flag's variants: they are compared as text and checked by the ruleset. */
static enum status names_compile(struct compiler *compiler, struct json array, const char *const **ret,
                                 struct error *err)
{
	uint32_t count = json_count(array);
	if (count == 0) {
		return json_fail(err, STATUS_INVALID, array, "At least one variant must be named");
	}
	const char **names = arena_alloc_array(&compiler->arena, count, sizeof(*names));
	TRY(COMPILER_ALLOCATED(names, err));
	uint32_t used = 0;
	struct json value = JSON_NONE;
	while (json_next(array, NULL, &value)) {
		if (!json_is(value, JSON_STRING)) {
			return json_fail(err, STATUS_INVALID, value, "A variant's name must be a string");
		}
		names[used] = json_string_dup(value, &compiler->arena, NULL);
		TRY(COMPILER_ALLOCATED(names[used], err));
		used++;
	}
	*ret = names;
	return STATUS_OK;
}

static enum status prerequisites_compile(struct compiler *compiler, struct json array, struct flag *flag,
                                         struct error *err)
{
	if (json_count(array) == 0) {
		return STATUS_OK;
	}
	struct prerequisite *list =
	        arena_alloc_array(&compiler->arena, json_count(array), sizeof(struct prerequisite));
	TRY(COMPILER_ALLOCATED(list, err));
	flag->prerequisites = list;
	struct json value = JSON_NONE;
	while (json_next(array, NULL, &value)) {
		struct prerequisite *prerequisite = &list[flag->prerequisite_count];
		struct prerequisite_fields fields;
		TRY(json_fields(value, prerequisite_fields, COUNT_OF(prerequisite_fields), &fields, err));
		size_t length = 0;
		prerequisite->flag = json_string_dup(fields.flag, &compiler->arena, &length);
		TRY(COMPILER_ALLOCATED(prerequisite->flag, err));
		if (!flag_key_is_valid(prerequisite->flag, length)) {
			return json_fail(err, STATUS_INVALID, fields.flag, "This is not a flag's key");
		}
		prerequisite->flag_length = (uint32_t)length;
		prerequisite->variant_count = json_count(fields.variants);
		TRY(names_compile(compiler, fields.variants, &prerequisite->variants, err));
		flag->prerequisite_count++;
	}
	return STATUS_OK;
}

static enum status targets_compile(struct compiler *compiler, struct json array, struct flag *flag,
                                   struct error *err)
{
	if (json_count(array) == 0) {
		return STATUS_OK;
	}
	struct target *targets = arena_alloc_array(&compiler->arena, json_count(array), sizeof(*targets));
	TRY(COMPILER_ALLOCATED(targets, err));
	flag->targets = targets;
	struct json lists[FLAG_MAX_TARGETS];
	struct json value = JSON_NONE;
	while (json_next(array, NULL, &value)) {
		struct target *target = &targets[flag->target_count];
		struct target_fields fields;
		TRY(json_fields(value, target_fields, COUNT_OF(target_fields), &fields, err));
		TRY(variant_resolve(flag, fields.variant, &target->variant, err));
		lists[flag->target_count++] = fields.keys;
		target->key_count = json_count(fields.keys);
	}
	TRY(compile_keys_check(compiler, lists, flag->target_count, err));
	for (uint32_t i = 0; i < flag->target_count; i++) {
		// NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): the loop above filled target_count of them
		targets[i].keys = string_set_build(lists[i], false, &compiler->arena);
		TRY(COMPILER_ALLOCATED(targets[i].keys, err));
	}
	return STATUS_OK;
}

static enum status rule_compile(struct compiler *compiler, const struct flag *flag, struct json value,
                                struct rule *rule, struct error *err)
{
	struct rule_fields fields;
	TRY(json_fields(value, rule_fields, COUNT_OF(rule_fields), &fields, err));
	rule->name = "";
	if (json_type(fields.name) != JSON_ABSENT) {
		size_t length = 0;
		rule->name = json_string_dup(fields.name, &compiler->arena, &length);
		TRY(COMPILER_ALLOCATED(rule->name, err));
		if (length > FLAG_RULE_MAX_BYTES) {
			return json_fail(err, STATUS_INVALID, fields.name,
			                 "A rule's name is at most %d bytes long", FLAG_RULE_MAX_BYTES);
		}
	}
	TRY(compile_conditions(compiler, fields.conditions, &rule->conditions, &rule->condition_count, err));
	return serve_compile(compiler, flag, fields.serve, NULL, &rule->serve, err);
}

static enum status rules_compile(struct compiler *compiler, struct json array, struct flag *flag,
                                 struct error *err)
{
	if (json_count(array) == 0) {
		return STATUS_OK;
	}
	struct rule *rules = arena_alloc_array(&compiler->arena, json_count(array), sizeof(struct rule));
	TRY(COMPILER_ALLOCATED(rules, err));
	flag->rules = rules;
	struct json value = JSON_NONE;
	while (json_next(array, NULL, &value)) {
		flag->rule_count++; /* first: a failure releases the conditions that it leaves */
		TRY(rule_compile(compiler, flag, value, &rules[flag->rule_count - 1], err));
	}
	return STATUS_OK;
}

static enum status references_compile(struct compiler *compiler, struct flag *flag, struct error *err)
{
	uint32_t count = flag->prerequisite_count;
	for (uint32_t i = 0; i < flag->rule_count; i++) {
		compile_references(flag->rules[i].conditions, flag->rules[i].condition_count, NULL, &count);
	}
	if (count == 0) {
		return STATUS_OK;
	}
	struct reference *references = arena_alloc_array(&compiler->arena, count, sizeof(*references));
	TRY(COMPILER_ALLOCATED(references, err));
	uint32_t used = 0;
	for (; used < flag->prerequisite_count; used++) {
		const struct prerequisite *prerequisite = &flag->prerequisites[used];
		references[used] = (struct reference){ .use = REFERENCE_PREREQUISITE,
			                               .kind = ITEM_FLAG,
			                               .key = prerequisite->flag,
			                               .key_length = prerequisite->flag_length,
			                               .variant_count = prerequisite->variant_count,
			                               .variants = prerequisite->variants };
	}
	for (uint32_t i = 0; i < flag->rule_count; i++) {
		compile_references(flag->rules[i].conditions, flag->rules[i].condition_count, references,
		                   &used);
	}
	flag->item.references = references;
	flag->item.reference_count = count;
	return STATUS_OK;
}

static enum status flag_fields_compile(struct compiler *compiler, struct flag *flag, struct error *err)
{
	struct flag_fields fields;
	TRY(json_fields(compiler->document, flag_fields, COUNT_OF(flag_fields), &fields, err));
	TRY(compile_version(compiler, err));
	if (!flag_type_parse(fields.type, &flag->type)) {
		return json_fail(err, STATUS_INVALID, fields.type,
		                 "The type must be boolean, string, integer, number or object");
	}
	flag->is_enabled = json_boolean(fields.enabled);
	/* Room for the parts of the default next to the flag: most evaluations end there. */
	struct json split = json_get(fields.fallthrough, "split");
	struct split_part *parts = arena_alloc_array(&compiler->arena, json_count(split), sizeof(*parts));
	TRY(COMPILER_ALLOCATED(parts, err));
	TRY(variants_compile(compiler, fields.variants, flag, err));
	flag->off_variant = FLAG_NO_VARIANT;
	if (json_is(fields.off_variant, JSON_STRING)) {
		TRY(variant_resolve(flag, fields.off_variant, &flag->off_variant, err));
	}
	TRY(serve_compile(compiler, flag, fields.fallthrough, parts, &flag->fallthrough, err));
	TRY(prerequisites_compile(compiler, fields.prerequisites, flag, err));
	TRY(targets_compile(compiler, fields.targets, flag, err));
	TRY(rules_compile(compiler, fields.rules, flag, err));
	TRY(compile_attributes(compiler, &flag->attributes, &flag->attribute_count, &flag->key_attribute,
	                       err));
	TRY(rule_guards_compile(compiler, flag, err));
	TRY(references_compile(compiler, flag, err));
	flag->is_open = flag->is_enabled && flag->item.reference_count + flag->target_count == 0;
	return STATUS_OK;
}

enum status flag_compile(struct json document, struct flag **ret, struct error *err)
{
	struct compiler compiler;
	enum status status = compiler_init(&compiler, document, ITEM_FLAG, sizeof(struct flag), err);
	if (status == STATUS_OK) {
		status = flag_fields_compile(&compiler, (struct flag *)compiler.item, err);
	}
	if (status != STATUS_OK) {
		if (err != NULL) {
			compiler_relocate(&compiler, err->path);
		}
		compiler_deinit(&compiler);
		return status;
	}
	*ret = (struct flag *)compiler_finish(&compiler);
	return STATUS_OK;
}
