/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/flag.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "engine/compile.h"

#define SMALL_NODES 512 /* of a document that is scanned without the heap */

/* A list of FLAG_MAX_TEXT_BYTES holds at most one value every four bytes: `"",` and a space. */
static const struct json_limits item_limits = {
	.max_bytes = FLAG_MAX_TEXT_BYTES,
	.max_nodes = FLAG_MAX_TEXT_BYTES / 4,
	.max_depth = 32,
};

static const char *const type_names[] = {
	[FLAG_BOOLEAN] = "boolean", [FLAG_STRING] = "string", [FLAG_INTEGER] = "integer",
	[FLAG_NUMBER] = "number",   [FLAG_OBJECT] = "object",
};

const char *flag_type_name(enum flag_type type)
{
	return type_names[type];
}

bool flag_type_parse(struct json string, enum flag_type *ret)
{
	for (size_t i = 0; i < COUNT_OF(type_names); i++) {
		if (json_is(string, JSON_STRING) && json_equals(string, type_names[i])) {
			*ret = (enum flag_type)i;
			return true;
		}
	}
	return false;
}

static bool is_alphanumeric(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool flag_key_is_valid(const char *key, size_t length)
{
	if (length == 0 || length > FLAG_KEY_MAX_BYTES || !is_alphanumeric(key[0])) {
		return false;
	}
	for (size_t i = 1; i < length; i++) {
		if (!is_alphanumeric(key[i]) && key[i] != '.' && key[i] != '_' && key[i] != '-') {
			return false;
		}
	}
	return true;
}

/* The item of a document that did not compile for the reason @why, as far as it can be read. */
static enum status broken_item_new(struct json document, enum item_kind kind, const struct error *why,
                                   struct item **ret, struct error *err)
{
	size_t size = kind == ITEM_FLAG ? sizeof(struct flag) : sizeof(struct segment);
	struct compiler compiler;
	enum status status = compiler_init(&compiler, document, kind, size, err);
	if (status == STATUS_OK && compile_version(&compiler, err) == STATUS_NO_MEMORY) {
		status = STATUS_NO_MEMORY; /* otherwise it may be the version that is wrong */
	}
	char *message = NULL;
	if (status == STATUS_OK) {
		size_t message_size = sizeof(why->path) + sizeof(why->message) + 2;
		message = arena_alloc(&compiler.arena, message_size);
		status = COMPILER_ALLOCATED(message, err);
	}
	if (status != STATUS_OK) {
		compiler_deinit(&compiler);
		return status;
	}
	(void)snprintf(message, sizeof(why->path) + sizeof(why->message) + 2, "%s%s%s", why->path,
	               why->path[0] != '\0' ? ": " : "", why->message);
	compiler.item->broken = message;
	if (kind == ITEM_FLAG) {
		struct flag *flag = (struct flag *)compiler.item;
		flag->off_variant = FLAG_NO_VARIANT;
		(void)flag_type_parse(json_get(document, "type"), &flag->type);
	}
	*ret = compiler_finish(&compiler);
	return STATUS_OK;
}

static enum status item_compile(struct json document, enum item_kind kind, struct item **ret,
                                struct error *err)
{
	struct flag *flag = NULL;
	struct segment *segment = NULL;
	enum status status = kind == ITEM_FLAG ? flag_compile(document, &flag, err)
	                                       : segment_compile(document, &segment, err);
	if (status == STATUS_OK) {
		*ret = kind == ITEM_FLAG ? &flag->item : &segment->item;
	}
	return status;
}

enum status item_load(enum item_kind kind, const char *text, size_t length, struct item **ret,
                      struct error *err)
{
	struct json_node nodes[SMALL_NODES];
	AUTO(json_doc_deinit) struct json_doc doc = { 0 };
	enum status status = json_scan(text, length, &item_limits, nodes, SMALL_NODES, &doc, err);
	if (status == STATUS_TOO_LARGE) {
		status = json_parse(text, length, &item_limits, &doc, err);
	}
	if (status != STATUS_OK) {
		return status;
	}
	struct error why = ERROR_INIT;
	status = item_compile(json_root(&doc), kind, ret, &why);
	if (status != STATUS_OK && status != STATUS_NO_MEMORY) {
		status = broken_item_new(json_root(&doc), kind, &why, ret, err);
	} else if (status != STATUS_OK && err != NULL) {
		*err = why;
	}
	return status;
}

enum status flag_load(const char *text, size_t length, struct flag **ret, struct error *err)
{
	struct item *item = NULL;
	enum status status = item_load(ITEM_FLAG, text, length, &item, err);
	if (status == STATUS_OK) {
		*ret = (struct flag *)item;
	}
	return status;
}

enum status segment_load(const char *text, size_t length, struct segment **ret, struct error *err)
{
	struct item *item = NULL;
	enum status status = item_load(ITEM_SEGMENT, text, length, &item, err);
	if (status == STATUS_OK) {
		*ret = (struct segment *)item;
	}
	return status;
}
