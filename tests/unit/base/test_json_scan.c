/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/base/document.h"

#include "tests/support/heap.h"

#include "base/buf.h"

#define NODES 64

/* Scans into nodes of the caller; the text has no NUL behind it. */
static enum status scan(const char *text, size_t length, const struct json_limits *limits, uint32_t capacity,
                        struct error *err)
{
	struct json_node *nodes = malloc((capacity + 1) * sizeof(*nodes));
	char *copy = malloc(length + 1);
	struct json_doc doc;
	struct json_doc untouched;
	assert_non_null(nodes);
	assert_non_null(copy);
	memcpy(copy + 1, text, length);
	memset(&doc, 0x5a, sizeof(doc));
	memset(&untouched, 0x5a, sizeof(untouched));
	enum status status = json_scan(copy + 1, length, limits, nodes, capacity, &doc, err);
	if (status == STATUS_OK) {
		assert_int_equal(doc.nodes[0].next, doc.count);
		assert_true(doc.count <= capacity);
		assert_false(doc.owns_nodes);
	} else {
		assert_memory_equal(&doc, &untouched, sizeof(doc));
	}
	free(copy);
	free(nodes);
	return status;
}

static enum status scan_default(const char *text)
{
	return scan(text, strlen(text), &json_limits_default, NODES, NULL);
}

static void every_fault_says_what_and_where(void **state)
{
	(void)state;
	static const struct {
		const char *text, *path, *message;
	} faults[] = {
		{ "", "", "Expected a value but the document ends at line 1, column 1" },
		{ " \n ", "", "Expected a value but the document ends at line 2, column 2" },
		{ "[1,\n 02]", "/1", "A number must not start with a zero at line 2, column 2" },
		{ "{\"a\":{\"b\":[1,{\"c\":tru}]}}", "/a/b/1/c",
		  "Expected a value but found `t` at line 1, column 19" },
		{ "{\"a\":{\"b\":[1,{\"c\":1 2}]}}", "/a/b/1",
		  "Expected `,` or `}` but found `2` at line 1, column 21" },
		{ "[[],[1 2]]", "/1", "Expected `,` or `]` but found `2` at line 1, column 8" },
		{ "[{},{\"a\"}]", "/1", "Expected `:` but found `}` at line 1, column 9" },
		{ "[{},{a:1}]", "/1",
		  "Expected the name of a member in double quotes but found `a` at line 1, column 6" },
		{ "[0,{\"a\":1,}]", "/1",
		  "Expected the name of a member in double quotes but found `}` at line 1, column 11" },
		{ "{\"a/b~c\":{\"\\u00e4\\/\":[-]}}", "/a~1b~0c/\xc3\xa4~1/0",
		  "Expected a digit but found `]` at line 1, column 24" },
		{ "[\"\xc3\xa4\", x]", "/1", "Expected a value but found `x` at line 1, column 7" },
		{ "[\xe2\x82\xac]", "/0", "Expected a value but found U+20AC at line 1, column 2" },
		{ "[\x01]", "/0", "Expected a value but found byte 0x01 at line 1, column 2" },
		{ "[\xff]", "/0", "Expected a value but found byte 0xFF at line 1, column 2" },
		{ "[\"a\tb\"]", "/0", "Control byte 0x09 in a string must be escaped at line 1, column 4" },
		{ "[\"a\xff\"]", "/0", "Invalid UTF-8 in a string at line 1, column 4" },
		{ "[\"ab", "/0", "The string is not closed at line 1, column 5" },
		{ "[\"ab\\", "/0", "The string is not closed at line 1, column 6" },
		{ "[\"\\x\"]", "/0", "Unknown escape in a string at line 1, column 3" },
		{ "[\"\\u12g4\"]", "/0", "Four hex digits must follow \\u in a string at line 1, column 3" },
		{ "[\"a\\u0000\"]", "/0", "The character U+0000 is not allowed at line 1, column 4" },
		{ "{\"a\":\"\\ud800\"}", "/a", "Lone surrogate in a string at line 1, column 7" },
		{ "[1e999]", "/0", "The number is beyond the range of a double at line 1, column 2" },
		{ "[1.]", "/0", "Expected a digit but found `]` at line 1, column 4" },
		{ "{\"a\":1}\n\n x", "", "There is text behind the document at line 3, column 2" },
		{ "\xef\xbb\xbf{}", "",
		  "The document starts with a byte order mark, which must be left out, at line 1, column 1" },
		{ "{\"a\":1,\"b\":2,\"a\":3}", "/a", "The member `a` is given twice at line 1, column 14" },
		{ "[{\"a\":{\"x\":1,\n\"\\u0078\":2}}]", "/0/a/x",
		  "The member `\\u0078` is given twice at line 2, column 1" },
	};
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		struct error err = ERROR_INIT;
		enum status status =
		        scan(faults[i].text, strlen(faults[i].text), &json_limits_default, NODES, &err);
		assert_int_equal(status, STATUS_MALFORMED);
		assert_int_equal(err.status, STATUS_MALFORMED);
		assert_string_equal(err.message, faults[i].message);
		assert_string_equal(err.path, faults[i].path);
	}
}

static void no_error_is_wanted(void **state)
{
	(void)state;
	assert_int_equal(scan_default("[1,]"), STATUS_MALFORMED);
	assert_int_equal(scan_default("{\"a\":1,\"a\":1}"), STATUS_MALFORMED);
	assert_int_equal(scan_default("[1]"), STATUS_OK);
}

static void the_limit_of_bytes(void **state)
{
	(void)state;
	const struct json_limits limits = { .max_bytes = 5, .max_nodes = 10, .max_depth = 2 };
	struct error err = ERROR_INIT;
	assert_int_equal(scan("[123]", 5, &limits, NODES, &err), STATUS_OK);
	assert_int_equal(err.status, STATUS_OK);
	assert_int_equal(scan("[1234]", 6, &limits, NODES, &err), STATUS_TOO_LARGE);
	assert_string_equal(err.message, "The document is longer than 5 bytes");
	assert_int_equal(scan("[123] ", 6, &limits, NODES, &err), STATUS_TOO_LARGE);
}

static void the_limit_of_nodes(void **state)
{
	(void)state;
	const struct json_limits limits = { .max_bytes = 100, .max_nodes = 4, .max_depth = 2 };
	struct error err = ERROR_INIT;
	assert_int_equal(scan("[1,2,3]", 7, &limits, NODES, &err), STATUS_OK);
	assert_int_equal(scan("[1,2,3,4]", 9, &limits, NODES, &err), STATUS_TOO_LARGE);
	assert_string_equal(err.message, "The document has more than 4 values and names at line 1, column 8");
	assert_string_equal(err.path, "/3");
	/* Names count, and so does the room that the caller gives. */
	assert_int_equal(scan("{\"a\":1,\"b\":2}", 13, &limits, NODES, &err), STATUS_TOO_LARGE);
	assert_int_equal(scan("[1,2]", 5, &limits, 3, &err), STATUS_OK);
	assert_int_equal(scan("[1,2]", 5, &limits, 2, &err), STATUS_TOO_LARGE);
	assert_int_equal(scan("1", 1, &limits, 0, &err), STATUS_TOO_LARGE);
	assert_int_equal(scan("[]", 2, &limits, 0, &err), STATUS_TOO_LARGE);
}

static void the_limit_of_depth(void **state)
{
	(void)state;
	const struct json_limits limits = { .max_bytes = 100, .max_nodes = 100, .max_depth = 2 };
	const struct json_limits scalars = { .max_bytes = 100, .max_nodes = 100, .max_depth = 0 };
	struct error err = ERROR_INIT;
	assert_int_equal(scan("[[1],{\"a\":2}]", 13, &limits, NODES, &err), STATUS_OK);
	assert_int_equal(scan("[[1],{\"a\":{}}]", 14, &limits, NODES, &err), STATUS_TOO_LARGE);
	assert_string_equal(err.path, "/1/a");
	assert_string_equal(err.message,
	                    "Arrays and objects are nested more than 2 deep at line 1, column 11");
	assert_int_equal(scan("1", 1, &scalars, NODES, &err), STATUS_OK);
	assert_int_equal(scan("[]", 2, &scalars, NODES, &err), STATUS_TOO_LARGE);
}

static char *repeat(char c, size_t count)
{
	char *text = malloc(count);
	assert_non_null(text);
	memset(text, c, count);
	return text;
}

/* Nesting costs nodes, never stack: with a limit that allows it, 100,000 levels are read. */
static void deep_nesting(void **state)
{
	(void)state;
	enum { DEPTH = 100000 };
	const struct json_limits limits = { .max_bytes = 2 * DEPTH, .max_nodes = DEPTH, .max_depth = DEPTH };
	const struct json_limits shallow = { .max_bytes = 2 * DEPTH, .max_nodes = DEPTH, .max_depth = 16 };
	char *text = repeat('[', 2 * DEPTH);
	struct error err = ERROR_INIT;
	assert_int_equal(scan(text, DEPTH, &shallow, DEPTH, &err), STATUS_TOO_LARGE);
	assert_string_equal(err.path, "/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0");
	assert_int_equal(scan(text, DEPTH, &limits, DEPTH, &err), STATUS_MALFORMED);
	memset(text + DEPTH, ']', DEPTH);
	assert_int_equal(scan(text, 2 * DEPTH, &limits, DEPTH, &err), STATUS_OK);
	text[DEPTH] = '}';
	assert_int_equal(scan(text, 2 * DEPTH, &limits, DEPTH, &err), STATUS_MALFORMED);
	free(text);
}

static void names_given_twice(void **state)
{
	(void)state;
	static const char *const refused[] = {
		"{\"\":1,\"\":2}",
		"{\"a\":1,\"b\":2,\"c\":3,\"b\":4}",
		"{\"a\":1,\"\\u0061\":2}",
		"{\"\\u0061\":1,\"a\":2}",
		"{\"\\u0061\":1,\"\\u0061\":2}",
		"{\"\\/\":1,\"/\":2}",
		"{\"\\ud83d\\udea9\":1,\"\xf0\x9f\x9a\xa9\":2}",
		"{\"\\n\":1,\"\\u000a\":2}",
		"{\"x\":{\"a\":[{\"b\":1,\"b\":1}]}}",
		"{\"a\":{\"a\":{\"a\":1}},\"b\":{},\"a\":[]}",
	};
	static const char *const accepted[] = {
		"{\"a\":{\"a\":{\"a\":1}}}",
		"[{\"a\":1},{\"a\":1}]",
		"{\"a\":\"a\",\"b\":\"a\"}",
		"{\"a\":1,\"A\":2}",
		"{\"\\\\u0061\":1,\"a\":2}",
		"{\"\":1,\" \":2}",
		"{\"ab\":1,\"a\":2,\"b\":3,\"ba\":4,\"aab\":5}",
		"{\"\xc3\xa9\":1,\"e\xcc\x81\":2}",
	};
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		assert_int_equal(scan_default(refused[i]), STATUS_MALFORMED);
	}
	for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
		assert_int_equal(scan_default(accepted[i]), STATUS_OK);
	}
}

/* {"name-0":0,"name-1":1,…} with member @twice named like member 0, when it is not 0; escaped on request. */
static void put_members(struct buf *buf, unsigned count, unsigned twice, bool is_escaped)
{
	buf_append_char(buf, '{');
	for (unsigned i = 0; i < count; i++) {
		const unsigned number = twice != 0 && i == twice ? 0 : i;
		const char *name = is_escaped && i == twice ? "n\\u0061me" : "name";
		buf_append_format(buf, "%s\"%s-%u\":%u", i > 0 ? "," : "", name, number, i);
	}
	buf_append_char(buf, '}');
	assert_false(buf->failed);
}

static void names_given_twice_in_objects_of_any_size(void **state)
{
	(void)state;
	static const unsigned sizes[] = { 2, 3, 15, 16, 17, 18, 31, 32, 33, 1000, 16384 };
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (unsigned variant = 0; variant < 4; variant++) {
			struct buf buf;
			struct document document;
			const unsigned twice = variant == 0 ? 0 : variant == 1 ? 1 : sizes[i] - 1;
			buf_init(&buf, 1 << 20);
			put_members(&buf, sizes[i], twice, variant == 3);
			document_parse(&document, buf.data, buf.length);
			assert_int_equal(document.status, twice == 0 ? STATUS_OK : STATUS_MALFORMED);
			assert_string_equal(document.err.path, twice == 0 ? "" : "/name-0");
			document_close(&document);
			buf_deinit(&buf);
		}
	}
}

/* Long names, of which the escaped ones are hashed in pieces; member @twice is called like member 0. */
static void put_long_members(struct buf *buf, unsigned length, unsigned twice)
{
	enum { COUNT = 20 };
	buf_append_char(buf, '{');
	for (unsigned i = 0; i < COUNT; i++) {
		buf_append_format(buf, "%s\"%s", i > 0 ? "," : "", i % 2 == 0 ? "\\u0078" : "x");
		for (unsigned j = 0; j < length; j++) {
			buf_append_char(buf, 'x');
		}
		buf_append_format(buf, "%u\":%u", i == twice ? 0 : i, i);
	}
	buf_append_char(buf, '}');
	assert_false(buf->failed);
}

static void long_names_given_twice(void **state)
{
	(void)state;
	static const unsigned lengths[] = { 0,   14,  126, 127, 238, 239, 240,  241, 251,
		                            252, 253, 254, 255, 256, 300, 1000, 5000 };
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		for (unsigned twice = 0; twice < 20; twice++) {
			struct buf buf;
			struct document document;
			buf_init(&buf, 1 << 20);
			put_long_members(&buf, lengths[i], twice);
			document_parse(&document, buf.data, buf.length);
			assert_int_equal(document.status, twice == 0 ? STATUS_OK : STATUS_MALFORMED);
			document_close(&document);
			buf_deinit(&buf);
		}
	}
}

static void small_documents_allocate_nothing(void **state)
{
	(void)state;
	static const char text[] =
	        "{\"context\":{\"targetingKey\":\"user-7\",\"\\u0072ole\":\"dev\",\"n\":[1,2.5e3]}}";
	struct json_node nodes[NODES];
	struct json_doc doc;
	const size_t before = heap_allocations;
	assert_int_equal(json_scan(text, sizeof(text) - 1, &json_limits_default, nodes, NODES, &doc, NULL),
	                 STATUS_OK);
	assert_int_equal(heap_allocations, before);
	assert_int_equal(json_parse(text, sizeof(text) - 1, &json_limits_default, &doc, NULL), STATUS_OK);
	assert_true(heap_allocations > before);
	json_doc_deinit(&doc);
}

static void parse_grows_as_needed(void **state)
{
	(void)state;
	enum { COUNT = 200000 };
	struct buf buf;
	struct document document;
	buf_init(&buf, 1 << 20);
	buf_append_char(&buf, '[');
	for (unsigned i = 0; i < COUNT; i++) {
		buf_append_string(&buf, i > 0 ? ",1" : "1");
	}
	buf_append_char(&buf, ']');
	document_parse(&document, buf.data, buf.length);
	assert_int_equal(document.status, STATUS_OK);
	assert_int_equal(document.doc.count, COUNT + 1);
	assert_int_equal(json_count(json_root(&document.doc)), COUNT);
	document_close(&document);

	const struct json_limits limits = { .max_bytes = 1 << 20, .max_nodes = COUNT, .max_depth = 1 };
	document_parse_limited(&document, buf.data, buf.length, &limits);
	assert_int_equal(document.status, STATUS_TOO_LARGE);
	assert_string_equal(document.err.path, "/199999");
	document_close(&document);
	buf_deinit(&buf);
}

static void flags_of_values(void **state)
{
	(void)state;
	struct document document;
	(void)document_open(&document, "[1,-1,1.0,1e1,\"a\",\"\\n\",true,false,\"plain \xc3\xa4\",0]");
	static const unsigned flags[] = {
		0, JSON_FLAG_INTEGER, JSON_FLAG_INTEGER, 0, 0, 0, JSON_FLAG_ESCAPED, JSON_FLAG_TRUE, 0,
		0, JSON_FLAG_INTEGER
	};
	assert_int_equal(document.doc.count, sizeof(flags) / sizeof(flags[0]));
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		assert_int_equal(document.doc.nodes[i].flags, flags[i]);
	}
	document_close(&document);
}

/* Every position of what is special in a string, relative to the blocks in which strings are searched. */
static void strings_of_every_length(void **state)
{
	(void)state;
	static const char *const specials[] = { "\"", "\\n", "\xc3\xa4", "\x1f", "\x7f", "\xff" };
	static const enum status expected[] = { STATUS_MALFORMED, STATUS_OK, STATUS_OK,
		                                STATUS_MALFORMED, STATUS_OK, STATUS_MALFORMED };
	for (size_t kind = 0; kind < sizeof(specials) / sizeof(specials[0]); kind++) {
		for (size_t length = 0; length < 70; length++) {
			char text[100];
			int used = snprintf(text, sizeof(text), "[\"%.*s%s%s\"]", (int)length,
			                    "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"
			                    "abcdefghijklmnopqrstuvwxyz",
			                    specials[kind], length % 2 == 0 ? "x" : "0123456789abcdef");
			assert_int_equal(scan(text, (size_t)used, &json_limits_default, NODES, NULL),
			                 expected[kind]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_fault_says_what_and_where),
		cmocka_unit_test(no_error_is_wanted),
		cmocka_unit_test(the_limit_of_bytes),
		cmocka_unit_test(the_limit_of_nodes),
		cmocka_unit_test(the_limit_of_depth),
		cmocka_unit_test(deep_nesting),
		cmocka_unit_test(names_given_twice),
		cmocka_unit_test(names_given_twice_in_objects_of_any_size),
		cmocka_unit_test(long_names_given_twice),
		cmocka_unit_test(small_documents_allocate_nothing),
		cmocka_unit_test(parse_grows_as_needed),
		cmocka_unit_test(flags_of_values),
		cmocka_unit_test(strings_of_every_length),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
