/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <stdio.h>
#include <string.h>

#include "base/json_index.h"
#include "base/json_text.h"
#include "base/number.h"
#include "base/utf8.h"

static const struct json_node *json_node(struct json value)
{
	return &value.doc->nodes[value.index];
}

struct json json_root(const struct json_doc *doc)
{
	return doc->count > 0 ? (struct json){ doc, 0 } : JSON_NONE;
}

const char *json_type_name(enum json_type type)
{
	static const char *const names[] = {
		[JSON_ABSENT] = "nothing",   [JSON_NULL] = "null",       [JSON_BOOLEAN] = "a boolean",
		[JSON_NUMBER] = "a number",  [JSON_STRING] = "a string", [JSON_ARRAY] = "an array",
		[JSON_OBJECT] = "an object",
	};
	return names[type];
}

uint32_t json_count(struct json value)
{
	return value.doc == NULL ? 0 : json_node(value)->count;
}

bool json_next(struct json container, struct json *name, struct json *value)
{
	enum json_type type = json_type(container);
	if (type != JSON_OBJECT && type != JSON_ARRAY) {
		return false;
	}
	const struct json_node *nodes = container.doc->nodes;
	uint32_t next = value->doc == NULL ? container.index + 1 : nodes[value->index].next;
	if (next >= nodes[container.index].next) {
		return false;
	}
	bool is_object = type == JSON_OBJECT;
	if (name != NULL) {
		*name = is_object ? (struct json){ container.doc, next } : JSON_NONE;
	}
	*value = (struct json){ container.doc, next + is_object };
	return true;
}

/* ---- Strings ---- */

struct json_chars json_chars_of(struct json string)
{
	const struct json_node *node = json_node(string);
	const char *raw = string.doc->text + node->offset;
	return (struct json_chars){ raw + 1, raw + node->length - 1 };
}

/* Decodes the escape at @p; the scanner has checked it. */
static size_t json_escape_read(const char **p, const char *end, char out[static 4])
{
	static const char *const letters = "bfnrt";
	static const char controls[] = "\b\f\n\r\t";
	char c = (*p)[1];
	if (c != 'u') {
		const char *letter = strchr(letters, c);
		out[0] = letter != NULL ? controls[letter - letters] : c;
		*p += 2;
		return 1;
	}
	uint32_t unit = (uint32_t)json_hex_unit(*p + 2, end);
	*p += 6;
	if (json_is_high_surrogate((int32_t)unit)) {
		uint32_t low = (uint32_t)json_hex_unit(*p + 2, end);
		unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
		*p += 6;
	}
	return utf8_encode(unit, out);
}

size_t json_chars_read(struct json_chars *chars, char *out, size_t size)
{
	size_t length = 0;
	while (chars->p < chars->end && size - length >= 4) {
		if (*chars->p == '\\') {
			length += json_escape_read(&chars->p, chars->end, out + length);
		} else {
			size_t sequence = utf8_sequence(chars->p, chars->end);
			memcpy(out + length, chars->p, sequence);
			chars->p += sequence;
			length += sequence;
		}
	}
	return length;
}

/* Compares what is left in @chars with @bytes. */
static bool json_chars_equal(struct json_chars chars, const char *bytes, size_t length)
{
	char piece[64];
	size_t got;
	while ((got = json_chars_read(&chars, piece, sizeof(piece))) > 0) {
		if (got > length || memcmp(piece, bytes, got) != 0) {
			return false;
		}
		bytes += got;
		length -= got;
	}
	return length == 0;
}

static bool json_is_escaped(struct json string)
{
	return (json_node(string)->flags & JSON_FLAG_ESCAPED) != 0;
}

static bool json_equals_n(struct json string, const char *expected, size_t length)
{
	const struct json_node *node = json_node(string);
	if ((node->flags & JSON_FLAG_ESCAPED) != 0) {
		return json_chars_equal(json_chars_of(string), expected, length);
	}
	return node->length == length + 2 &&
	       memcmp(string.doc->text + node->offset + 1, expected, length) == 0;
}

/* Two escaped strings: in pieces of one character, as pieces of equal texts can differ in length. */
static bool json_escaped_same(struct json_chars a, struct json_chars b)
{
	for (;;) {
		char piece_a[4];
		char piece_b[4];
		size_t length_a = json_chars_read(&a, piece_a, sizeof(piece_a));
		size_t length_b = json_chars_read(&b, piece_b, sizeof(piece_b));
		if (length_a != length_b || memcmp(piece_a, piece_b, length_a) != 0) {
			return false;
		}
		if (length_a == 0) {
			return true;
		}
	}
}

bool json_string_same(struct json a, struct json b)
{
	if (!json_is_escaped(a)) {
		struct json_chars chars = json_chars_of(a);
		return json_equals_n(b, chars.p, (size_t)(chars.end - chars.p));
	}
	if (!json_is_escaped(b)) {
		return json_string_same(b, a);
	}
	return json_escaped_same(json_chars_of(a), json_chars_of(b));
}

bool json_equals(struct json string, const char *expected)
{
	return json_is(string, JSON_STRING) && json_equals_n(string, expected, strlen(expected));
}

size_t json_string_copy(struct json string, char *out, size_t size)
{
	struct json_chars chars = json_chars_of(string);
	size_t length = 0;
	if (!json_is_escaped(string)) {
		length = (size_t)(chars.end - chars.p);
		if (length < size) {
			memcpy(out, chars.p, length);
			out[length] = '\0';
		}
		return length;
	}
	char piece[64];
	size_t got;
	while ((got = json_chars_read(&chars, piece, sizeof(piece))) > 0) {
		if (length < size && got < size - length) {
			memcpy(out + length, piece, got);
			out[length + got] = '\0';
		}
		length += got;
	}
	if (length == 0 && size > 0) {
		out[0] = '\0';
	}
	return length;
}

char *json_string_dup(struct json string, struct arena *arena, size_t *ret_length)
{
	size_t length = json_string_copy(string, NULL, 0);
	char *copy = arena_alloc(arena, length + 1);
	if (copy == NULL) {
		return NULL;
	}
	(void)json_string_copy(string, copy, length + 1);
	if (ret_length != NULL) {
		*ret_length = length;
	}
	return copy;
}

/* ---- Scalars and raw text ---- */

struct json json_get(struct json object, const char *name)
{
	size_t length = strlen(name);
	struct json key, value = JSON_NONE;
	if (!json_is(object, JSON_OBJECT)) {
		return JSON_NONE;
	}
	while (json_next(object, &key, &value)) {
		if (json_equals_n(key, name, length)) {
			return value;
		}
	}
	return JSON_NONE;
}

const char *json_raw(struct json value, size_t *ret_length)
{
	if (value.doc == NULL) {
		*ret_length = 0;
		return "";
	}
	*ret_length = json_node(value)->length;
	return value.doc->text + json_node(value)->offset;
}

void json_raw_append(struct json value, struct buf *buf)
{
	size_t length;
	const char *raw = json_raw(value, &length);
	buf_append(buf, raw, length);
}

/* Bytes of an array or object without white space. */
static size_t compact_length(struct json container)
{
	const struct json_node *nodes = container.doc->nodes;
	size_t length = 0;
	for (uint32_t i = container.index; i < nodes[container.index].next; i++) {
		const struct json_node *node = &nodes[i];
		bool is_object = node->type == JSON_OBJECT;
		if (!is_object && node->type != JSON_ARRAY) {
			length += node->length;
			continue;
		}
		uint32_t commas = node->count > 0 ? node->count - 1 : 0;
		length += 2 + commas + (is_object ? node->count : 0);
	}
	return length;
}

void json_compact_append(struct json value, struct buf *buf)
{
	enum json_type type = json_type(value);
	bool is_container = type == JSON_OBJECT || type == JSON_ARRAY;
	/* What we store is compact already, so mostly this is one copy. */
	if (!is_container || compact_length(value) == json_node(value)->length) {
		json_raw_append(value, buf);
		return;
	}
	bool is_object = type == JSON_OBJECT;
	bool has_element = false;
	struct json name, element = JSON_NONE;
	buf_append_char(buf, is_object ? '{' : '[');
	while (json_next(value, &name, &element)) {
		if (has_element) {
			buf_append_char(buf, ',');
		}
		has_element = true;
		if (is_object) {
			json_raw_append(name, buf);
			buf_append_char(buf, ':');
		}
		json_compact_append(element, buf);
	}
	buf_append_char(buf, is_object ? '}' : ']');
}

bool json_boolean(struct json value)
{
	return json_is(value, JSON_BOOLEAN) && (json_node(value)->flags & JSON_FLAG_TRUE) != 0;
}

bool json_int64(struct json number, int64_t *ret)
{
	if (!json_is(number, JSON_NUMBER) || (json_node(number)->flags & JSON_FLAG_INTEGER) == 0) {
		return false;
	}
	size_t length;
	const char *p = json_raw(number, &length);
	const char *end = p + length;
	bool is_negative = *p == '-';
	p += is_negative;
	int64_t value = 0; /* counted downwards, as the negative range is the larger one */
	for (; p < end; p++) {
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_sub_overflow(value, *p - '0', &value)) {
			return false;
		}
	}
	if (!is_negative && value == INT64_MIN) {
		return false;
	}
	*ret = is_negative ? value : -value;
	return true;
}

bool json_double(struct json number, double *ret)
{
	if (!json_is(number, JSON_NUMBER)) {
		return false;
	}
	size_t length;
	const char *text = json_raw(number, &length);
	*ret = number_parse(text, length);
	return true;
}

/* ---- Places ---- */

struct path {
	char *out;
	size_t size;
	size_t length;
};

/* False when it does not fit; then nothing more is appended. */
static bool path_append(struct path *path, const char *bytes, size_t length)
{
	if (length >= path->size - path->length) {
		path->size = path->length + 1;
		return false;
	}
	memcpy(path->out + path->length, bytes, length);
	path->length += length;
	path->out[path->length] = '\0';
	return true;
}

/* Appends a name as a reference token of RFC 6901, whole characters only. */
static void path_append_token(struct path *path, const char *bytes, size_t length)
{
	const char *end = bytes + length;
	while (bytes < end) {
		size_t sequence = utf8_sequence(bytes, end);
		sequence = sequence == 0 ? 1 : sequence;
		bool is_done = *bytes == '~'   ? path_append(path, "~0", 2)
		               : *bytes == '/' ? path_append(path, "~1", 2)
		                               : path_append(path, bytes, sequence);
		if (!is_done) {
			return;
		}
		bytes += sequence;
	}
}

static void path_append_name(struct path *path, struct json name)
{
	struct json_chars chars = json_chars_of(name);
	char piece[64];
	size_t got;
	(void)path_append(path, "/", 1);
	while ((got = json_chars_read(&chars, piece, sizeof(piece))) > 0) {
		path_append_token(path, piece, got);
	}
}

/*
 * Steps from @container to the child that is or holds node @target. Reads no further than that child:
 * the scanner asks for places in documents that end in the middle.
 */
static struct json path_step(struct path *path, struct json container, uint32_t target)
{
	const struct json_node *nodes = container.doc->nodes;
	bool is_object = nodes[container.index].type == JSON_OBJECT;
	uint32_t child = container.index + 1;
	for (uint32_t position = 0;; position++) {
		struct json name = { container.doc, child };
		child += is_object && child != target;
		if (nodes[child].next <= target) {
			child = nodes[child].next;
			continue;
		}
		if (is_object) {
			path_append_name(path, name);
		} else {
			char element[16];
			int length = snprintf(element, sizeof(element), "/%u", position);
			(void)path_append(path, element, (size_t)length);
		}
		return (struct json){ container.doc, child };
	}
}

static void path_build(struct path *path, struct json value)
{
	path->out[0] = '\0';
	if (value.doc == NULL) {
		return;
	}
	struct json at = { value.doc, 0 };
	while (at.index != value.index) {
		at = path_step(path, at, value.index);
	}
}

// NOLINTNEXTLINE(readability-non-const-parameter): written to through `path`
void json_path(struct json value, char *out, size_t size)
{
	if (size > 0) {
		struct path path = { out, size, 0 };
		path_build(&path, value);
	}
}

void json_error_locate(struct error *err, struct json value, const char *member)
{
	if (err == NULL) {
		return;
	}
	struct path path = { err->path, sizeof(err->path), 0 };
	path_build(&path, value);
	if (member != NULL) {
		(void)path_append(&path, "/", 1);
		path_append_token(&path, member, strlen(member));
	}
}

/* ---- Comparison ---- */

static bool json_same_members(struct json a, struct json b)
{
	struct json_index index;
	json_index_init(&index, b);
	struct json name, value = JSON_NONE;
	bool is_same = json_count(a) == json_count(b);
	while (is_same && json_next(a, &name, &value)) {
		struct json other = json_index_get(&index, name);
		is_same = other.doc != NULL && json_same(value, other);
	}
	json_index_deinit(&index);
	return is_same;
}

static bool json_same_elements(struct json a, struct json b)
{
	struct json x = JSON_NONE, y = JSON_NONE;
	bool is_same = json_count(a) == json_count(b);
	while (is_same && json_next(a, NULL, &x) && json_next(b, NULL, &y)) {
		is_same = json_same(x, y);
	}
	return is_same;
}

bool json_same(struct json a, struct json b)
{
	enum json_type type = json_type(a);
	if (type != json_type(b)) {
		return false;
	}
	switch (type) {
	case JSON_ABSENT:
	case JSON_NULL:
		return true;
	case JSON_BOOLEAN:
		return json_boolean(a) == json_boolean(b);
	case JSON_NUMBER: {
		size_t length_a, length_b;
		const char *text_a = json_raw(a, &length_a);
		const char *text_b = json_raw(b, &length_b);
		return length_a == length_b && memcmp(text_a, text_b, length_a) == 0;
	}
	case JSON_STRING:
		return json_string_same(a, b);
	case JSON_ARRAY:
		return json_same_elements(a, b);
	case JSON_OBJECT:
		return json_same_members(a, b);
	}
	return false;
}
