/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cJSON is lenient, so what the strict scanner accepts cJSON must accept, too, and both must see the same
 * values. The documents are made of pieces and then spoiled, always the same ones.
 */
#include "tests/unit/base/document.h"

#include <cjson/cJSON.h>

#include "base/buf.h"
#include "base/json_write.h"

enum { DOCUMENTS = 60000, MAX_BYTES = 400 };

static uint64_t seed = 88172645463325252;

static unsigned random_below(unsigned limit)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed >> 33) % limit;
}

static const char *const strings[] = {
	"\"\"",
	"\"a\"",
	"\"b\"",
	"\"\\u0061\"",
	"\"\\n\\\"\\\\\\/\"",
	"\"\\ud83d\\udea9\"",
	"\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x9a\xa9\"",
	"\"a longer string of plain text\"",
	"\"\\uD800\"",
	"\"\xff\"",
};

static const char *const scalars[] = {
	"0",     "-0",   "1",     "-17",  "3.25", "1e5", "2E-3", "9007199254740993",
	"1e400", "true", "false", "null", "tru",  "01",  "-",    "1.",
};

static const char *const spoilers[] = {
	"{",    "}",    "[",    "]",  ",", ":", "\"", "\\", " ", "\n", "0", "-", ".", "e", "\xef\xbb\xbf",
	"\x01", "\xc3", "null", "//", "'",
};

#define PICK(table) (table)[random_below(sizeof(table) / sizeof((table)[0]))]

static void put_value(struct buf *buf, unsigned depth)
{
	const unsigned kind = random_below(depth < 4 ? 8 : 4);
	if (kind < 2) {
		buf_append_string(buf, PICK(scalars));
		return;
	}
	if (kind < 4) {
		buf_append_string(buf, PICK(strings));
		return;
	}
	const bool is_object = kind < 6;
	const unsigned count = random_below(4);
	buf_append_char(buf, is_object ? '{' : '[');
	for (unsigned i = 0; i < count; i++) {
		buf_append_string(buf, i == 0 ? "" : random_below(8) == 0 ? " ,\n" : ",");
		if (is_object) {
			buf_append_string(buf, PICK(strings));
			buf_append_string(buf, random_below(8) == 0 ? " : " : ":");
		}
		put_value(buf, depth + 1);
	}
	buf_append_char(buf, is_object ? '}' : ']');
}

/* Inserts, overwrites or removes something somewhere. */
static void spoil(struct buf *buf)
{
	const char *spoiler = PICK(spoilers);
	const size_t at = random_below((unsigned)buf->length + 1);
	const unsigned removed = random_below(3);
	struct buf copy;
	buf_init(&copy, MAX_BYTES * 4);
	buf_append(&copy, buf->data, at);
	if (random_below(4) != 0) {
		buf_append_string(&copy, spoiler);
	}
	if (at + removed < buf->length) {
		buf_append(&copy, buf->data + at + removed, buf->length - at - removed);
	}
	buf_reset(buf);
	buf_append(buf, buf_string(&copy), copy.length);
	buf_deinit(&copy);
}

static bool is_same(struct json value, const cJSON *other);

static bool children_are_same(struct json value, const cJSON *other)
{
	const bool is_object = json_is(value, JSON_OBJECT);
	const cJSON *child = other->child;
	struct json name, element = JSON_NONE;
	while (json_next(value, &name, &element)) {
		if (child == NULL || (is_object && !json_equals(name, child->string)) ||
		    !is_same(element, child)) {
			return false;
		}
		child = child->next;
	}
	return child == NULL;
}

static bool is_same(struct json value, const cJSON *other)
{
	double number = 0;
	switch (json_type(value)) {
	case JSON_ABSENT:
		return false;
	case JSON_NULL:
		return cJSON_IsNull(other);
	case JSON_BOOLEAN:
		return cJSON_IsBool(other) && json_boolean(value) == (cJSON_IsTrue(other) != 0);
	case JSON_NUMBER:
		return json_double(value, &number) && cJSON_IsNumber(other) && number == other->valuedouble;
	case JSON_STRING:
		return cJSON_IsString(other) && json_equals(value, other->valuestring);
	case JSON_ARRAY:
		return cJSON_IsArray(other) && children_are_same(value, other);
	case JSON_OBJECT:
		return cJSON_IsObject(other) && children_are_same(value, other);
	}
	return false;
}

/* Whatever was accepted: cJSON agrees, and so does a second reading of the compact text. */
static void accepted_check(const struct document *document, const char *text)
{
	struct json root = json_root(&document->doc);
	struct document again;
	struct buf compact;
	cJSON *other = cJSON_ParseWithLength(document->text, document->doc.length);
	if (other == NULL || !is_same(root, other)) {
		fail_msg("cJSON does not agree about %s", text);
	}
	cJSON_Delete(other);
	buf_init(&compact, MAX_BYTES * 8);
	json_compact_append(root, &compact);
	assert_true(json_same(root, document_open(&again, buf_string(&compact))));
	document_close(&again);
	buf_deinit(&compact);
}

static void cjson_accepts_what_we_accept(void **state)
{
	(void)state;
	unsigned accepted = 0, refused = 0;
	struct buf text;
	buf_init(&text, MAX_BYTES * 2);
	for (int i = 0; i < DOCUMENTS; i++) {
		struct document document;
		buf_reset(&text);
		put_value(&text, random_below(3));
		for (unsigned spoils = random_below(3); spoils > 0; spoils--) {
			spoil(&text);
		}
		document_parse(&document, buf_string(&text), text.length);
		if (document.status == STATUS_OK) {
			accepted_check(&document, buf_string(&text));
			accepted++;
		} else {
			assert_int_equal(document.status, STATUS_MALFORMED);
			refused++;
		}
		document_close(&document);
	}
	assert_true(accepted > DOCUMENTS / 10);
	assert_true(refused > DOCUMENTS / 10);
	buf_deinit(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cjson_accepts_what_we_accept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
