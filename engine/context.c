/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/context.h"

#include <string.h>

#define CONTEXT_KEY_NAME "targetingKey"

/*
 * What is being built. Both areas are large enough beforehand, so the walk never asks the arena for a
 * single name or value: an attribute takes at least two nodes, and a string's text holds two quotes
 * more than the string.
 */
struct context_reader {
	const struct json_doc *doc;
	struct arena *arena;
	struct context_attribute *attributes;
	size_t count, capacity;
	char *strings; /* where the next one goes */
	const char *targeting_key;
};

static enum status context_fail_memory(struct error *err)
{
	return error_fail(err, STATUS_NO_MEMORY, "Out of memory while reading the context");
}

static struct json context_value_at(const struct context_reader *reader, uint32_t index)
{
	return (struct json){ .doc = reader->doc, .index = index };
}

/* Unescaped and NUL-terminated. */
static const char *context_read_string(struct context_reader *reader, uint32_t index, size_t *ret_length)
{
	const struct json_node *node = &reader->doc->nodes[index];
	char *string = reader->strings;
	size_t length = node->length - 2;
	if ((node->flags & JSON_FLAG_ESCAPED) != 0) {
		length = json_string_copy(context_value_at(reader, index), string, node->length);
	} else {
		memcpy(string, reader->doc->text + node->offset + 1, length);
		string[length] = '\0';
	}
	reader->strings += length + 1;
	*ret_length = length;
	return string;
}

static void context_read_number(const struct context_reader *reader, uint32_t index,
                                struct context_attribute *ret)
{
	const struct json number = context_value_at(reader, index);
	ret->type = CONTEXT_INTEGER;
	if (!json_int64(number, &ret->value.integer)) {
		ret->type = CONTEXT_NUMBER;
		(void)json_double(number, &ret->value.number);
	}
}

/* A container has no value of its own here. */
static void context_read_value(struct context_reader *reader, uint32_t index, struct context_attribute *ret)
{
	size_t length = 0;
	const struct json_node *node = &reader->doc->nodes[index];
	switch ((enum json_type)node->type) {
	case JSON_STRING:
		ret->type = CONTEXT_STRING;
		ret->value.string = context_read_string(reader, index, &length);
		break;
	case JSON_NUMBER:
		context_read_number(reader, index, ret);
		break;
	case JSON_BOOLEAN:
		ret->type = CONTEXT_BOOLEAN;
		ret->value.boolean = (node->flags & JSON_FLAG_TRUE) != 0;
		break;
	case JSON_ARRAY:
	case JSON_OBJECT:
		ret->type = CONTEXT_OBJECT;
		break;
	case JSON_NULL:
	case JSON_ABSENT:
		ret->type = CONTEXT_NULL;
		break;
	}
}

static enum status context_read_array(struct context_reader *reader, uint32_t index,
                                      struct context_attribute *ret, struct error *err)
{
	const struct json_node *array = &reader->doc->nodes[index];
	struct context_attribute *items = arena_alloc_array(reader->arena, array->count, sizeof(*items));
	if (items == NULL) {
		return context_fail_memory(err);
	}
	size_t count = 0;
	for (uint32_t i = index + 1; i < array->next; i = reader->doc->nodes[i].next) {
		context_read_value(reader, i, &items[count++]);
	}
	ret->type = CONTEXT_ARRAY;
	ret->value.array.items = items;
	ret->value.array.count = count;
	return STATUS_OK;
}

static enum status context_read_key(struct context_reader *reader, uint32_t index,
                                    const struct context_attribute *attribute, struct error *err)
{
	const struct json value = context_value_at(reader, index);
	if (attribute->type == CONTEXT_NULL) {
		return STATUS_OK;
	}
	if (attribute->type != CONTEXT_STRING) {
		return json_fail(err, STATUS_INVALID, value, "The `%s` must be a string, not %s",
		                 CONTEXT_KEY_NAME, json_type_name(json_type(value)));
	}
	if (strlen(attribute->value.string) > CONTEXT_MAX_KEY_BYTES) {
		return json_fail(err, STATUS_INVALID, value, "The `%s` is longer than %d bytes",
		                 CONTEXT_KEY_NAME, CONTEXT_MAX_KEY_BYTES);
	}
	reader->targeting_key = attribute->value.string;
	return STATUS_OK;
}

/* Dot path of what is being read; `text` is NULL at the top. */
struct context_path {
	const char *text;
	size_t length;
};

/* "parent.name"; the name itself at the top. False when the arena is full. */
static bool context_path_join(const struct context_reader *reader, struct context_path parent,
                              struct context_path *path)
{
	if (parent.text == NULL) {
		return true;
	}
	const size_t length = parent.length + 1 + path->length;
	char *joined = arena_alloc(reader->arena, length + 1);
	if (joined == NULL) {
		return false;
	}
	memcpy(joined, parent.text, parent.length);
	joined[parent.length] = '.';
	memcpy(joined + parent.length + 1, path->text, path->length);
	*path = (struct context_path){ joined, length };
	return true;
}

static enum status context_read_members(struct context_reader *reader, uint32_t index,
                                        struct context_path path, struct error *err);

/* The member whose value is at @index and whose name is in front of it. */
static enum status context_read_member(struct context_reader *reader, uint32_t index,
                                       struct context_path parent, struct error *err)
{
	struct context_path path = { 0 };
	path.text = context_read_string(reader, index - 1, &path.length);
	const size_t full_length = path.length + (parent.text == NULL ? 0 : parent.length + 1);
	if (full_length > CONTEXT_MAX_NAME_BYTES) {
		return STATUS_OK;
	}
	if (reader->count == reader->capacity) {
		return json_fail(err, STATUS_INVALID, context_value_at(reader, index),
		                 "The context has more than %d attributes", CONTEXT_MAX_ATTRIBUTES);
	}
	if (!context_path_join(reader, parent, &path)) {
		return context_fail_memory(err);
	}
	struct context_attribute *attribute = &reader->attributes[reader->count++];
	attribute->name = path.text;
	context_read_value(reader, index, attribute);
	if (parent.text == NULL && strcmp(path.text, CONTEXT_KEY_NAME) == 0) {
		return context_read_key(reader, index, attribute, err);
	}
	if (reader->doc->nodes[index].type == JSON_ARRAY) {
		return context_read_array(reader, index, attribute, err);
	}
	if (attribute->type == CONTEXT_OBJECT) {
		return context_read_members(reader, index, path, err);
	}
	return STATUS_OK;
}

/* Members of the object at @index. The recursion ends because every level makes the path longer. */
static enum status context_read_members(struct context_reader *reader, uint32_t index,
                                        struct context_path path, struct error *err)
{
	const struct json_node *nodes = reader->doc->nodes;
	for (uint32_t name = index + 1; name < nodes[index].next; name = nodes[name + 1].next) {
		const enum status status = context_read_member(reader, name + 1, path, err);
		if (status != STATUS_OK) {
			return status;
		}
	}
	return STATUS_OK;
}

enum status context_read(struct json object, struct arena *arena, struct context *ret, struct error *err)
{
	if (json_is(object, JSON_ABSENT) || json_is(object, JSON_NULL)) {
		*ret = (struct context){ 0 };
		return STATUS_OK;
	}
	if (!json_is(object, JSON_OBJECT)) {
		return json_fail(err, STATUS_INVALID, object, "The context must be an object, not %s",
		                 json_type_name(json_type(object)));
	}
	const struct json_node *node = &object.doc->nodes[object.index];
	size_t capacity = (node->next - object.index) / 2;
	if (capacity > CONTEXT_MAX_ATTRIBUTES) {
		capacity = CONTEXT_MAX_ATTRIBUTES;
	}
	struct context_reader reader = { .doc = object.doc, .arena = arena, .capacity = capacity };
	reader.attributes = arena_alloc_array(arena, capacity, sizeof(*reader.attributes));
	reader.strings = arena_alloc(arena, node->length);
	if (reader.attributes == NULL || reader.strings == NULL) {
		return context_fail_memory(err);
	}
	const enum status status =
	        context_read_members(&reader, object.index, (struct context_path){ 0 }, err);
	if (status != STATUS_OK) {
		return status;
	}
	*ret = (struct context){ .targeting_key = reader.targeting_key,
		                 .attributes = reader.attributes,
		                 .attribute_count = reader.count };
	return STATUS_OK;
}
