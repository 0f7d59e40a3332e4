/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/flag.h"

#include "engine/compile.h"
#include "engine/string_set.h"

struct segment_fields {
	struct json key, version, included, excluded, conditions;
};

/* clang-format off */
static const struct json_field segment_fields[] = {
	JSON_FIELD(segment_fields, key, JSON_BIT(JSON_STRING), true, 0),
	JSON_FIELD(segment_fields, version, JSON_BIT(JSON_STRING), false, 0),
	JSON_FIELD(segment_fields, included, JSON_BIT(JSON_ARRAY), false, FLAG_MAX_VALUES),
	JSON_FIELD(segment_fields, excluded, JSON_BIT(JSON_ARRAY), false, FLAG_MAX_VALUES),
	{ "if", JSON_BIT(JSON_ARRAY), offsetof(struct segment_fields, conditions), false, FLAG_MAX_CONDITIONS },
};
/* clang-format on */

static enum status keys_compile(struct compiler *compiler, struct json array, const struct string_set **ret,
                                struct error *err)
{
	if (json_count(array) == 0) {
		return STATUS_OK;
	}
	TRY(compile_keys_check(compiler, &array, 1, err));
	*ret = string_set_build(array, false, &compiler->arena);
	return COMPILER_ALLOCATED(*ret, err);
}

static enum status references_compile(struct compiler *compiler, struct segment *segment, struct error *err)
{
	uint32_t count = 0;
	compile_references(segment->conditions, segment->condition_count, NULL, &count);
	if (count == 0) {
		return STATUS_OK;
	}
	struct reference *references = arena_alloc_array(&compiler->arena, count, sizeof(*references));
	TRY(COMPILER_ALLOCATED(references, err));
	uint32_t used = 0;
	compile_references(segment->conditions, segment->condition_count, references, &used);
	segment->item.references = references;
	segment->item.reference_count = count;
	return STATUS_OK;
}

static enum status segment_fields_compile(struct compiler *compiler, struct segment *segment,
                                          struct error *err)
{
	struct segment_fields fields;
	TRY(json_fields(compiler->document, segment_fields, COUNT_OF(segment_fields), &fields, err));
	TRY(compile_version(compiler, err));
	TRY(keys_compile(compiler, fields.included, &segment->included, err));
	TRY(keys_compile(compiler, fields.excluded, &segment->excluded, err));
	if (json_count(fields.conditions) > 0) {
		TRY(compile_conditions(compiler, fields.conditions, &segment->conditions,
		                       &segment->condition_count, err));
	}
	TRY(references_compile(compiler, segment, err));
	return compile_attributes(compiler, &segment->attributes, &segment->attribute_count,
	                          &segment->key_attribute, err);
}

enum status segment_compile(struct json document, struct segment **ret, struct error *err)
{
	struct compiler compiler;
	enum status status = compiler_init(&compiler, document, ITEM_SEGMENT, sizeof(struct segment), err);
	if (status == STATUS_OK) {
		status = segment_fields_compile(&compiler, (struct segment *)compiler.item, err);
	}
	if (status != STATUS_OK) {
		if (err != NULL) {
			compiler_relocate(&compiler, err->path);
		}
		compiler_deinit(&compiler);
		return status;
	}
	*ret = (struct segment *)compiler_finish(&compiler);
	return STATUS_OK;
}
