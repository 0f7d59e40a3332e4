/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_scan(): what is refused says where; what is accepted can be walked, located, merged with itself
 * and written again without becoming something else.
 */
#include "fuzz/fuzz.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/json_write.h"
#include "base/utf8.h"

#define MAX_OUTPUT_BYTES (16 * 1024 * 1024)

static const struct json_limits limits = { .max_bytes = 1024 * 1024, .max_nodes = 65536, .max_depth = 32 };

static void require(bool holds)
{
	if (!holds) {
		abort();
	}
}

static void string_check(struct json string)
{
	struct buf written;
	struct json_doc doc = { 0 };
	const size_t length = json_string_copy(string, NULL, 0);
	char *text = malloc(length + 1);
	if (text == NULL) {
		abort();
	}
	require(json_string_copy(string, text, length + 1) == length);
	require(strlen(text) == length && utf8_is_valid(text, length) && json_equals(string, text));
	buf_init(&written, MAX_OUTPUT_BYTES);
	json_append_string(&written, text, length);
	require(json_parse(written.data, written.length, &limits, &doc, NULL) == STATUS_OK);
	require(json_same(json_root(&doc), string));
	json_doc_deinit(&doc);
	buf_deinit(&written);
	free(text);
}

static void number_check(struct json number)
{
	double value = NAN;
	int64_t integer = 0;
	require(json_double(number, &value) && isfinite(value));
	require(!json_int64(number, &integer) || (double)integer == value);
}

static void value_check(struct json value, uint32_t *visited)
{
	char path[64];
	struct json name, child = JSON_NONE;
	uint32_t count = 0;
	(*visited)++;
	json_path(value, path, sizeof(path));
	require(utf8_is_valid(path, strlen(path)));
	if (json_is(value, JSON_STRING)) {
		string_check(value);
	} else if (json_is(value, JSON_NUMBER)) {
		number_check(value);
	}
	while (json_next(value, &name, &child)) {
		if (json_is(value, JSON_OBJECT)) {
			(*visited)++;
			string_check(name);
		}
		value_check(child, visited);
		count++;
	}
	require(count == json_count(value));
}

/* The text in @text is the same value as @value. */
static void text_check(const struct buf *text, struct json value)
{
	struct json_doc doc = { 0 };
	require(!text->failed);
	require(json_parse(text->data, text->length, &limits, &doc, NULL) == STATUS_OK);
	require(json_same(json_root(&doc), value) && json_same(value, json_root(&doc)));
	json_doc_deinit(&doc);
}

static bool has_null_member(struct json value)
{
	struct json name, child = JSON_NONE;
	while (json_is(value, JSON_OBJECT) && json_next(value, &name, &child)) {
		if (json_is(child, JSON_NULL) || has_null_member(child)) {
			return true;
		}
	}
	return false;
}

static void document_check(struct json root)
{
	struct buf text;
	uint32_t visited = 0;
	value_check(root, &visited);
	require(visited == root.doc->count);
	buf_init(&text, MAX_OUTPUT_BYTES);
	json_compact_append(root, &text);
	text_check(&text, root);
	if (!has_null_member(root)) {
		buf_reset(&text);
		json_merge_patch(root, root, &text);
		text_check(&text, root);
		buf_reset(&text);
		json_merge_patch(JSON_NONE, root, &text);
		text_check(&text, root);
	}
	buf_deinit(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct json_doc doc = { 0 };
	struct error err = ERROR_INIT;
	enum status status = json_parse((const char *)data, size, &limits, &doc, &err);
	require(status == STATUS_OK || status == STATUS_MALFORMED || status == STATUS_TOO_LARGE);
	require(err.status == status);
	require(utf8_is_valid(err.message, strlen(err.message)) && utf8_is_valid(err.path, strlen(err.path)));
	if (status == STATUS_OK) {
		document_check(json_root(&doc));
		json_doc_deinit(&doc);
	} else {
		require(err.message[0] != '\0' && doc.nodes == NULL);
	}
	return 0;
}
