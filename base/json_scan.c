/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_index.h"
#include "base/json_text.h"
#include "base/number.h"
#include "base/utf8.h"

#define NO_CONTAINER UINT32_MAX

const struct json_limits json_limits_default = { .max_bytes = 64 * 1024,
	                                         .max_nodes = 16384,
	                                         .max_depth = 16 };

/*
 * There is no stack: while a container is open, its `next` is the index of the container around it.
 * Scanning functions take a position and return the one behind what they read, or NULL after
 * scan_fail().
 */
struct scan {
	const char *text;
	const char *end;
	struct json_node *nodes;
	uint32_t count;
	uint32_t capacity;
	uint32_t max_nodes;
	uint32_t open; /* innermost open container */
	uint32_t depth;
	uint32_t max_depth;
	bool grows; /* the nodes are ours, on the heap */
	struct error *err;
	enum status status;
	const char *fault;   /* where it failed; NULL: the message needs no place */
	uint32_t fault_node; /* the value at fault, NO_CONTAINER: the innermost open container */
};

#define scan_fail(s, code, at, ...)                                                         \
	(error_set((s)->err, (code), __VA_ARGS__), (s)->status = (code), (s)->fault = (at), \
	 (const char *)NULL)

static const char *scan_fail_expected(struct scan *s, const char *at, const char *expected)
{
	if (at == s->end) {
		return scan_fail(s, STATUS_MALFORMED, at, "Expected %s but the document ends", expected);
	}
	unsigned char c = (unsigned char)*at;
	if (c > 0x20 && c < 0x7f) {
		return scan_fail(s, STATUS_MALFORMED, at, "Expected %s but found `%c`", expected, c);
	}
	size_t length = utf8_sequence(at, s->end);
	if (length > 1) {
		return scan_fail(s, STATUS_MALFORMED, at, "Expected %s but found U+%04X", expected,
		                 utf8_decode(at, length));
	}
	return scan_fail(s, STATUS_MALFORMED, at, "Expected %s but found byte 0x%02X", expected, c);
}

static inline const char *scan_space(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) {
		p++;
	}
	return p;
}

static bool scan_grow(struct scan *s, const char *at)
{
	if (!s->grows || s->capacity >= s->max_nodes) {
		(void)scan_fail(s, STATUS_TOO_LARGE, at, "The document has more than %u values and names",
		                s->max_nodes < s->capacity ? s->max_nodes : s->capacity);
		return false;
	}
	uint32_t capacity = s->capacity > s->max_nodes / 2 ? s->max_nodes : s->capacity * 2;
	struct json_node *nodes = realloc(s->nodes, capacity * sizeof(*nodes));
	if (nodes == NULL) {
		(void)scan_fail(s, STATUS_NO_MEMORY, NULL, "Out of memory while reading JSON");
		return false;
	}
	s->nodes = nodes;
	s->capacity = capacity;
	return true;
}

/* Adds the node of the text from @from to @to; evaluates to @to. */
static inline const char *scan_add(struct scan *s, enum json_type type, unsigned flags, const char *from,
                                   const char *to)
{
	if (__builtin_expect(s->count >= s->capacity, 0) && !scan_grow(s, from)) {
		return NULL;
	}
	s->nodes[s->count] = (struct json_node){
		.offset = (uint32_t)(from - s->text),
		.length = (uint32_t)(to - from),
		.next = s->count + 1,
		.type = (uint8_t)type,
		.flags = (uint8_t)flags,
	};
	s->count++;
	return to;
}

static const char *scan_escape(struct scan *s, const char *p)
{
	if (s->end - p < 2) {
		return scan_fail(s, STATUS_MALFORMED, s->end, "The string is not closed");
	}
	if (p[1] != 'u') {
		return strchr("\"\\/bfnrt", p[1]) != NULL && p[1] != '\0'
		               ? p + 2
		               : scan_fail(s, STATUS_MALFORMED, p, "Unknown escape in a string");
	}
	int32_t unit = json_hex_unit(p + 2, s->end);
	if (unit < 0) {
		return scan_fail(s, STATUS_MALFORMED, p, "Four hex digits must follow \\u");
	}
	if (unit == 0) {
		return scan_fail(s, STATUS_MALFORMED, p, "The character U+0000 is not allowed");
	}
	if (json_is_high_surrogate(unit)) {
		bool has_pair = s->end - p >= 12 && p[6] == '\\' && p[7] == 'u' &&
		                json_is_low_surrogate(json_hex_unit(p + 8, s->end));
		return has_pair ? p + 12 : scan_fail(s, STATUS_MALFORMED, p, "Lone surrogate in a string");
	}
	if (json_is_low_surrogate(unit)) {
		return scan_fail(s, STATUS_MALFORMED, p, "Lone surrogate in a string");
	}
	return p + 6;
}

/* The part of a string from its first byte that is not plain: escapes, other scripts, faults. */
static const char *scan_string_rest(struct scan *s, const char *p, unsigned *flags)
{
	while (p < s->end && *p != '"') {
		unsigned char c = (unsigned char)*p;
		if (c == '\\') {
			*flags |= JSON_FLAG_ESCAPED;
			p = scan_escape(s, p);
			if (p == NULL) {
				return NULL;
			}
		} else if (c >= 0x80) {
			size_t length = utf8_sequence(p, s->end);
			if (length == 0) {
				return scan_fail(s, STATUS_MALFORMED, p, "Invalid UTF-8 in a string");
			}
			p += length;
		} else if (c < 0x20) {
			return scan_fail(s, STATUS_MALFORMED, p,
			                 "Control byte 0x%02X in a string must be escaped", c);
		} else {
			p = json_skip_plain(p, s->end);
		}
	}
	return p < s->end ? p + 1 : scan_fail(s, STATUS_MALFORMED, p, "The string is not closed");
}

static inline const char *scan_string(struct scan *s, const char *p)
{
	unsigned flags = 0;
	const char *after = json_skip_plain(p + 1, s->end);
	if (__builtin_expect(after < s->end && *after == '"', 1)) {
		after++;
	} else {
		after = scan_string_rest(s, after, &flags);
		if (after == NULL) {
			return NULL;
		}
	}
	return scan_add(s, JSON_STRING, flags, p, after);
}

static inline const char *scan_digits(const char *p, const char *end)
{
	while (p < end && *p >= '0' && *p <= '9') {
		p++;
	}
	return p;
}

static const char *scan_number(struct scan *s, const char *start)
{
	const char *end = s->end;
	const char *integer = start + (*start == '-');
	const char *p = scan_digits(integer, end);
	ptrdiff_t digits = p - integer;
	ptrdiff_t exponent_digits = 0;
	unsigned flags = JSON_FLAG_INTEGER;
	if (digits == 0) {
		return scan_fail_expected(s, p, "a digit");
	}
	if (*integer == '0' && digits > 1) {
		return scan_fail(s, STATUS_MALFORMED, start, "A number must not start with a zero");
	}
	if (p < end && *p == '.') {
		const char *fraction = p + 1;
		p = scan_digits(fraction, end);
		flags = 0;
		if (p == fraction) {
			return scan_fail_expected(s, p, "a digit");
		}
	}
	if (p < end && (*p == 'e' || *p == 'E')) {
		p++;
		p += p < end && (*p == '-' || *p == '+');
		const char *exponent = p;
		p = scan_digits(exponent, end);
		flags = 0;
		exponent_digits = p - exponent;
		if (exponent_digits == 0) {
			return scan_fail_expected(s, p, "a digit");
		}
	}
	/* Nothing below 1e(200 + 99) can be infinite. */
	bool may_overflow = digits > 200 || exponent_digits > 2;
	if (may_overflow && !isfinite(number_parse(start, (size_t)(p - start)))) {
		return scan_fail(s, STATUS_MALFORMED, start, "The number is beyond the range of a double");
	}
	return scan_add(s, JSON_NUMBER, flags, start, p);
}

static const char *scan_word(struct scan *s, const char *p)
{
	size_t left = (size_t)(s->end - p);
	if (left >= 4 && memcmp(p, "true", 4) == 0) {
		return scan_add(s, JSON_BOOLEAN, JSON_FLAG_TRUE, p, p + 4);
	}
	if (left >= 5 && memcmp(p, "false", 5) == 0) {
		return scan_add(s, JSON_BOOLEAN, 0, p, p + 5);
	}
	if (left >= 4 && memcmp(p, "null", 4) == 0) {
		return scan_add(s, JSON_NULL, 0, p, p + 4);
	}
	return scan_fail_expected(s, p, "a value");
}

/* A value: a whole scalar, or the opening bracket of a container, which becomes the innermost one. */
static inline const char *scan_value(struct scan *s, const char *p)
{
	if (p == s->end) {
		return scan_fail_expected(s, p, "a value");
	}
	if (*p == '"') {
		return scan_string(s, p);
	}
	if ((*p >= '0' && *p <= '9') || *p == '-') {
		return scan_number(s, p);
	}
	if (*p != '{' && *p != '[') {
		return scan_word(s, p);
	}
	if (s->depth >= s->max_depth) {
		return scan_fail(s, STATUS_TOO_LARGE, p, "Arrays and objects are nested more than %u deep",
		                 s->max_depth);
	}
	uint32_t index = s->count;
	const char *after = scan_add(s, *p == '{' ? JSON_OBJECT : JSON_ARRAY, 0, p, p + 1);
	if (after != NULL) {
		s->nodes[index].next = s->open;
		s->open = index;
		s->depth++;
	}
	return after;
}

/* Name and colon of a member; @p is at the name. */
static inline const char *scan_name(struct scan *s, const char *p)
{
	if (p == s->end || *p != '"') {
		return scan_fail_expected(s, p, "the name of a member in double quotes");
	}
	p = scan_string(s, p);
	if (p == NULL) {
		return NULL;
	}
	p = scan_space(p, s->end);
	if (p == s->end || *p != ':') {
		return scan_fail_expected(s, p, "`:`");
	}
	return scan_space(p + 1, s->end);
}

static const char *scan_names_check(struct scan *s, uint32_t object, const char *p)
{
	const struct json_doc doc = { .text = s->text, .nodes = s->nodes, .count = s->count };
	uint32_t name;
	if (!json_names_check(&doc, object, &name)) {
		return scan_fail(s, STATUS_NO_MEMORY, NULL, "Out of memory while reading JSON");
	}
	if (name == 0) {
		return p;
	}
	s->fault_node = name;
	const char *raw = s->text + s->nodes[name].offset + 1;
	size_t length = utf8_cut(raw, s->nodes[name].length - 2, 64);
	return scan_fail(s, STATUS_MALFORMED, raw - 1, "The member `%.*s` is given twice", (int)length, raw);
}

static inline const char *scan_close(struct scan *s, const char *p)
{
	uint32_t index = s->open;
	struct json_node *container = &s->nodes[index];
	container->length = (uint32_t)(p - s->text) - container->offset;
	s->open = container->next;
	container->next = s->count;
	s->depth--;
	if (container->type == JSON_OBJECT && container->count > 1) {
		return scan_names_check(s, index, p);
	}
	return p;
}

/*
 * What follows a value: closes every container that ends here and stops at the next element or
 * member, or behind the outermost value.
 */
static inline const char *scan_after(struct scan *s, const char *p)
{
	while (s->open != NO_CONTAINER) {
		struct json_node *container = &s->nodes[s->open];
		bool is_object = container->type == JSON_OBJECT;
		container->count++;
		p = scan_space(p, s->end);
		if (p < s->end && *p == ',') {
			return scan_space(p + 1, s->end);
		}
		if (p == s->end || *p != (is_object ? '}' : ']')) {
			return scan_fail_expected(s, p, is_object ? "`,` or `}`" : "`,` or `]`");
		}
		p = scan_close(s, p + 1);
		if (p == NULL) {
			return NULL;
		}
	}
	return p;
}

/* The fault is in a value that has no node yet: element `count` of an array, or behind a name. */
static const char *scan_value_failed(struct scan *s)
{
	if (s->open != NO_CONTAINER && s->nodes[s->open].type == JSON_OBJECT) {
		s->fault_node = s->count - 1;
	} else {
		s->fault_node = s->count;
	}
	return NULL;
}

static const char *scan_document(struct scan *s)
{
	const char *p = scan_space(s->text, s->end);
	for (;;) {
		uint32_t index = s->count;
		p = scan_value(s, p);
		if (p == NULL) {
			return scan_value_failed(s);
		}
		bool is_opened = s->open == index;
		if (is_opened) {
			p = scan_space(p, s->end);
			bool is_empty = p < s->end && *p == (s->nodes[index].type == JSON_OBJECT ? '}' : ']');
			p = is_empty ? scan_close(s, p + 1) : p;
			is_opened = !is_empty;
		}
		if (!is_opened) {
			p = scan_after(s, p);
			if (p == NULL || s->open == NO_CONTAINER) {
				return p;
			}
		}
		if (s->nodes[s->open].type == JSON_OBJECT) {
			p = scan_name(s, p);
			if (p == NULL) {
				return NULL;
			}
		}
	}
}

/* Completes the error: line and column behind the message, and the JSON Pointer. */
static void scan_report(struct scan *s)
{
	struct error *err = s->err;
	if (err == NULL || s->fault == NULL) {
		return;
	}
	size_t line = 1;
	size_t column = 1;
	for (const char *p = s->text; p < s->fault; p++) {
		bool is_newline = *p == '\n';
		line += is_newline;
		column = is_newline ? 1 : column + (((unsigned char)*p & 0xc0) != 0x80);
	}
	size_t used = strlen(err->message);
	(void)snprintf(err->message + used, sizeof(err->message) - used, " at line %zu, column %zu", line,
	               column);

	/* Closing what is open makes the index walkable up to the fault. */
	uint32_t innermost = s->open;
	while (s->open != NO_CONTAINER) {
		uint32_t outer = s->nodes[s->open].next;
		s->nodes[s->open].next = s->count;
		s->open = outer;
	}
	const struct json_doc doc = { .text = s->text, .length = 0, .nodes = s->nodes, .count = s->count };
	if (s->fault_node < s->count) {
		json_error_locate(err, (struct json){ &doc, s->fault_node }, NULL);
	} else if (innermost != NO_CONTAINER) {
		char element[16];
		(void)snprintf(element, sizeof(element), "%u", s->nodes[innermost].count);
		bool in_element = s->fault_node == s->count;
		json_error_locate(err, (struct json){ &doc, innermost }, in_element ? element : NULL);
	}
}

static enum status scan_run(struct scan *s, const struct json_limits *limits, size_t length)
{
	s->status = STATUS_OK;
	s->max_depth = limits->max_depth;
	s->max_nodes = limits->max_nodes;
	s->open = NO_CONTAINER;
	s->fault_node = NO_CONTAINER;
	if (length > limits->max_bytes) {
		return error_fail(s->err, STATUS_TOO_LARGE, "The document is longer than %u bytes",
		                  limits->max_bytes);
	}
	if (length >= 3 && memcmp(s->text, "\xef\xbb\xbf", 3) == 0) {
		return error_fail(s->err, STATUS_MALFORMED,
		                  "The document starts with a byte order mark, which must be left out, "
		                  "at line 1, column 1");
	}
	const char *p = scan_document(s);
	if (p != NULL) {
		p = scan_space(p, s->end);
		if (p == s->end) {
			return STATUS_OK;
		}
		(void)scan_fail(s, STATUS_MALFORMED, p, "There is text behind the document");
	}
	scan_report(s);
	return s->status;
}

enum status json_scan(const char *text, size_t length, const struct json_limits *limits,
                      struct json_node *nodes, uint32_t capacity, struct json_doc *ret_doc, struct error *err)
{
	struct scan s = {
		.text = length > 0 ? text : "",
		.end = length > 0 ? text + length : "",
		.nodes = nodes,
		.capacity = capacity < limits->max_nodes ? capacity : limits->max_nodes,
		.err = err,
	};
	enum status status = scan_run(&s, limits, length);
	if (status == STATUS_OK) {
		*ret_doc = (struct json_doc){ text, length, nodes, s.count, false };
	}
	return status;
}

/* A typical document has a node for each eight bytes or more. */
static uint32_t json_first_capacity(size_t length, const struct json_limits *limits)
{
	size_t estimate = length / 8 + 16;
	return estimate < limits->max_nodes ? (uint32_t)estimate : limits->max_nodes;
}

enum status json_parse(const char *text, size_t length, const struct json_limits *limits,
                       struct json_doc *ret_doc, struct error *err)
{
	uint32_t capacity = json_first_capacity(length > limits->max_bytes ? 0 : length, limits);
	struct scan s = {
		.text = length > 0 ? text : "",
		.end = length > 0 ? text + length : "",
		.nodes = malloc((capacity + 1) * sizeof(struct json_node)),
		.capacity = capacity,
		.grows = true,
		.err = err,
	};
	if (s.nodes == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory while reading JSON");
	}
	enum status status = scan_run(&s, limits, length);
	if (status != STATUS_OK) {
		free(s.nodes);
		return status;
	}
	struct json_node *nodes = realloc(s.nodes, s.count * sizeof(*nodes));
	*ret_doc = (struct json_doc){ text, length, nodes != NULL ? nodes : s.nodes, s.count, true };
	return STATUS_OK;
}

void json_doc_deinit(struct json_doc *doc)
{
	if (doc->owns_nodes) {
		free(doc->nodes);
	}
	*doc = (struct json_doc){ 0 };
}
