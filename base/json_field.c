/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

#define FIELD_NAME_MAX_BYTES 64

/* "a string", "a string or null", "a string, an array or null" */
static void field_types_name(unsigned types, char *out, size_t size)
{
	static const enum json_type order[] = { JSON_BOOLEAN, JSON_NUMBER, JSON_STRING,
		                                JSON_ARRAY,   JSON_OBJECT, JSON_NULL };
	size_t used = 0;
	out[0] = '\0';
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		if ((types & JSON_BIT(order[i])) == 0) {
			continue;
		}
		types &= ~JSON_BIT(order[i]);
		const char *joint = used == 0 ? "" : types == 0 ? " or " : ", ";
		used += (size_t)snprintf(out + used, size - used, "%s%s", joint, json_type_name(order[i]));
	}
}

/* Index of the field called @name, or @count. What stands in the table's order is found at the first look, at @hint. */
static size_t field_find(struct json name, const struct json_field *fields, size_t count, size_t hint)
{
	for (size_t i = 0; i < count; i++) {
		size_t index = hint + i < count ? hint + i : hint + i - count;
		if (json_equals(name, fields[index].name)) {
			return index;
		}
	}
	return count;
}

static enum status field_fail_unknown(struct json name, struct error *err)
{
	size_t length;
	const char *raw = json_raw(name, &length);
	length = utf8_cut(raw + 1, length - 2, FIELD_NAME_MAX_BYTES);
	return json_fail(err, STATUS_INVALID, name, "Unknown field `%.*s`", (int)length, raw + 1);
}

static enum status field_fail_type(const struct json_field *field, struct json value, struct error *err)
{
	char types[128];
	field_types_name(field->types & ~JSON_BIT(JSON_ABSENT), types, sizeof(types));
	return json_fail(err, STATUS_INVALID, value, "The field `%s` must be %s, not %s", field->name, types,
	                 json_type_name(json_type(value)));
}

static enum status field_size_check(const struct json_field *field, struct json value, struct error *err)
{
	size_t size = json_count(value);
	const char *unit = "bytes long";
	const char *verb = "be";
	if (json_is(value, JSON_STRING)) {
		(void)json_raw(value, &size);
		size -= 2;
	} else {
		unit = json_is(value, JSON_ARRAY) ? "elements" : "members";
		verb = "have";
	}
	if (field->max_count == 0 || size <= field->max_count) {
		return STATUS_OK;
	}
	return json_fail(err, STATUS_INVALID, value, "The field `%s` must %s at most %u %s", field->name,
	                 verb, field->max_count, unit);
}

/* Handles of the members in @found, by field. */
static enum status fields_find(struct json object, const struct json_field *fields, size_t count,
                               struct json *found, struct error *err)
{
	if (!json_is(object, JSON_OBJECT)) {
		return json_fail(err, STATUS_INVALID, object, "This must be an object, not %s",
		                 json_type_name(json_type(object)));
	}
	struct json name, value = JSON_NONE;
	size_t hint = 0;
	while (json_next(object, &name, &value)) {
		size_t index = field_find(name, fields, count, hint);
		if (index == count) {
			return field_fail_unknown(name, err);
		}
		if ((fields[index].types & JSON_BIT(json_type(value))) == 0) {
			return field_fail_type(&fields[index], value, err);
		}
		enum status status = field_size_check(&fields[index], value, err);
		if (status != STATUS_OK) {
			return status;
		}
		found[index] = value;
		hint = index + 1 < count ? index + 1 : 0;
	}
	return STATUS_OK;
}

enum status json_fields(struct json object, const struct json_field *fields, size_t count, void *target,
                        struct error *err)
{
	struct json found[JSON_FIELDS_MAX] = { 0 };
	assert(count <= JSON_FIELDS_MAX);
	enum status status = fields_find(object, fields, count, found, err);
	if (status != STATUS_OK) {
		return status;
	}
	for (size_t i = 0; i < count; i++) {
		if (fields[i].required && found[i].doc == NULL) {
			return json_fail_member(err, STATUS_INVALID, object, fields[i].name,
			                        "The field `%s` is required", fields[i].name);
		}
	}
	for (size_t i = 0; i < count; i++) {
		memcpy((char *)target + fields[i].offset, &found[i], sizeof(found[i]));
	}
	return STATUS_OK;
}
