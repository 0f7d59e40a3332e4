/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_index.h"
#include "base/json_lex.h"
#include "base/utf8.h"

#define NO_NODE UINT32_MAX

const struct json_limits json_limits_default = { .max_bytes = 64 * 1024,
	                                         .max_nodes = 16384,
	                                         .max_depth = 16 };

/*
 * There is no stack: while a container is open, its `next` is the index of the container around it.
 *
 * Scanning functions take a position and return the one behind what they read, or NULL after a
 * fault. They are inline and hand no pointer to this structure to functions that are not, so that
 * it lives in registers. White space is looked for only where something else was expected.
 */
struct scan {
	const char *text;
	const char *end;
	struct json_lexer *lexer;
	struct json_node *nodes;
	struct json_node *node; /* the next free one, nodes[count] */
	uint32_t count;
	uint32_t capacity;
	uint32_t open; /* innermost open container */
	uint32_t depth;
	uint32_t fault_node;   /* the value at fault; NO_NODE: the innermost open container … */
	bool fault_in_element; /* … or its next element, which has no node yet */
};

#define SCAN_INLINE  static inline __attribute__((always_inline))
#define LIKELY(test) __builtin_expect((test), 1)

/* More nodes than @nodes, which has @capacity; NULL when there must not be more. */
static struct json_node *scan_grow(struct json_lexer *lexer, struct json_node *nodes, uint32_t *capacity,
                                   const char *at)
{
	uint32_t max = lexer->limits->max_nodes;
	if (!lexer->grows || *capacity >= max) {
		(void)json_lex_fail(lexer, STATUS_TOO_LARGE, at,
		                    "The document has more than %u values and names", *capacity);
		return NULL;
	}
	uint32_t wanted = *capacity > max / 2 ? max : *capacity * 2;
	struct json_node *grown = realloc(nodes, wanted * sizeof(*nodes));
	if (grown == NULL) {
		(void)json_lex_fail(lexer, STATUS_NO_MEMORY, NULL, "Out of memory while reading JSON");
		return NULL;
	}
	*capacity = wanted;
	return grown;
}

/* Adds the node of the text from @from to @to; returns @to. */
SCAN_INLINE const char *scan_add(struct scan *s, enum json_type type, unsigned flags, const char *from,
                                 const char *to)
{
	if (!LIKELY(s->count < s->capacity)) {
		uint32_t capacity = s->capacity;
		struct json_node *nodes = scan_grow(s->lexer, s->nodes, &capacity, from);
		if (nodes == NULL) {
			return NULL;
		}
		s->nodes = nodes;
		s->node = nodes + s->count;
		s->capacity = capacity;
	}
	s->count++;
	*s->node++ = (struct json_node){
		.offset = (uint32_t)(from - s->text),
		.length = (uint32_t)(to - from),
		.next = s->count,
		.type = (uint8_t)type,
		.flags = (uint8_t)flags,
	};
	return to;
}

SCAN_INLINE const char *scan_string(struct scan *s, const char *p)
{
	const char *after = json_skip_plain(p + 1, s->end);
	if (LIKELY(after < s->end && *after == '"')) {
		return scan_add(s, JSON_STRING, 0, p, after + 1);
	}
	after = json_lex_string_rest(s->lexer, after);
	return after != NULL ? scan_add(s, JSON_STRING, s->lexer->flags, p, after) : NULL;
}

/* A number or literal. */
SCAN_INLINE const char *scan_word(struct scan *s, const char *p)
{
	if (p == s->end) {
		return json_lex_fail_expected(s->lexer, p, "a value");
	}
	enum json_type type = JSON_NUMBER;
	bool is_number = (*p >= '0' && *p <= '9') || *p == '-';
	const char *after = is_number ? json_lex_number(s->lexer, p) : json_lex_literal(s->lexer, p, &type);
	return after != NULL ? scan_add(s, type, s->lexer->flags, p, after) : NULL;
}

/* The opening bracket at @p: that container is the innermost one now. */
SCAN_INLINE const char *scan_open(struct scan *s, const char *p)
{
	if (s->depth >= s->lexer->limits->max_depth) {
		return json_lex_fail(s->lexer, STATUS_TOO_LARGE, p,
		                     "Arrays and objects are nested more than %u deep",
		                     s->lexer->limits->max_depth);
	}
	if (scan_add(s, *p == '{' ? JSON_OBJECT : JSON_ARRAY, 0, p, p + 1) == NULL) {
		return NULL;
	}
	s->node[-1].next = s->open;
	s->open = s->count - 1;
	s->depth++;
	return p + 1;
}

/* Name and colon of a member. */
SCAN_INLINE const char *scan_name(struct scan *s, const char *p)
{
	if (!LIKELY(p < s->end && *p == '"')) {
		p = json_lex_space(p, s->end);
		if (p == s->end || *p != '"') {
			return json_lex_fail_expected(s->lexer, p, "the name of a member in double quotes");
		}
	}
	p = scan_string(s, p);
	if (p == NULL) {
		return NULL;
	}
	if (!LIKELY(p < s->end && *p == ':')) {
		p = json_lex_space(p, s->end);
		if (p == s->end || *p != ':') {
			return json_lex_fail_expected(s->lexer, p, "`:`");
		}
	}
	return p + 1;
}

/* The node of a name that object node @object has twice, after filling the fault; NO_NODE when none. */
static uint32_t scan_names_check(const struct json_doc *doc, uint32_t object, struct json_lexer *lexer)
{
	uint32_t name;
	if (!json_names_check(doc, object, &name)) {
		(void)json_lex_fail(lexer, STATUS_NO_MEMORY, NULL, "Out of memory while reading JSON");
		return object;
	}
	if (name == 0) {
		return NO_NODE;
	}
	const char *raw = doc->text + doc->nodes[name].offset + 1;
	size_t length = utf8_cut(raw, doc->nodes[name].length - 2, 64);
	(void)json_lex_fail(lexer, STATUS_MALFORMED, raw - 1, "The member `%.*s` is given twice", (int)length,
	                    raw);
	return name;
}

SCAN_INLINE const char *scan_close(struct scan *s, const char *p)
{
	uint32_t index = s->open;
	struct json_node *container = &s->nodes[index];
	container->length = (uint32_t)(p - s->text) - container->offset;
	s->open = container->next;
	container->next = s->count;
	s->depth--;
	if (container->type == JSON_OBJECT && container->count > 1) {
		const struct json_doc doc = { .text = s->text, .nodes = s->nodes, .count = s->count };
		s->fault_node = scan_names_check(&doc, index, s->lexer);
		return s->fault_node == NO_NODE ? p : NULL;
	}
	return p;
}

/*
 * What follows a value: closes every container that ends here and stops at the next element or
 * member, or behind the outermost value.
 */
SCAN_INLINE const char *scan_after(struct scan *s, const char *p)
{
	while (s->open != NO_NODE) {
		struct json_node *container = &s->nodes[s->open];
		container->count++;
		if (LIKELY(p < s->end && *p == ',')) {
			return p + 1;
		}
		bool is_object = container->type == JSON_OBJECT;
		char closing = is_object ? '}' : ']';
		if (!LIKELY(p < s->end && *p == closing)) {
			p = json_lex_space(p, s->end);
			if (p < s->end && *p == ',') {
				return p + 1;
			}
			if (p == s->end || *p != closing) {
				return json_lex_fail_expected(s->lexer, p,
				                              is_object ? "`,` or `}`" : "`,` or `]`");
			}
		}
		p = scan_close(s, p + 1);
		if (p == NULL) {
			return NULL;
		}
	}
	return p;
}

/* The fault is in a value that has no node yet: element `count` of an array, or behind a name. */
SCAN_INLINE const char *scan_value_failed(struct scan *s)
{
	s->fault_in_element = s->open != NO_NODE && s->nodes[s->open].type == JSON_ARRAY;
	s->fault_node = s->open == NO_NODE || s->fault_in_element ? NO_NODE : s->count - 1;
	return NULL;
}

/* What follows an opening bracket: the first name or value, or the closing one. */
SCAN_INLINE const char *scan_first(struct scan *s, const char *p)
{
	bool is_object = s->node[-1].type == JSON_OBJECT;
	p = json_lex_space(p, s->end);
	if (p < s->end && *p == (is_object ? '}' : ']')) {
		return scan_close(s, p + 1);
	}
	return is_object ? scan_name(s, p) : p;
}

/* A value and what follows it, up to the next value; behind the document when none is open any more. */
SCAN_INLINE const char *scan_step(struct scan *s, const char *p)
{
	if (LIKELY(p < s->end && *p == '"')) {
		p = scan_string(s, p);
	} else if (p < s->end && (*p == '{' || *p == '[')) {
		uint32_t index = s->count;
		p = scan_open(s, p);
		if (p != NULL) {
			p = scan_first(s, p);
			if (p == NULL || s->open == index) {
				return p;
			}
		}
	} else if (p < s->end && json_lex_is_space(*p)) {
		return json_lex_space(p, s->end);
	} else {
		p = scan_word(s, p);
	}
	if (p == NULL) {
		return scan_value_failed(s);
	}
	p = scan_after(s, p);
	if (p != NULL && s->open != NO_NODE && s->nodes[s->open].type == JSON_OBJECT) {
		return scan_name(s, p);
	}
	return p;
}

static void scan_report_place(const char *text, const struct json_lexer *lexer)
{
	size_t line = 1;
	size_t column = 1;
	for (const char *p = text; p < lexer->fault; p++) {
		bool is_newline = *p == '\n';
		line += is_newline;
		column = is_newline ? 1 : column + (((unsigned char)*p & 0xc0) != 0x80);
	}
	struct error *err = lexer->err;
	size_t used = strlen(err->message);
	(void)snprintf(err->message + used, sizeof(err->message) - used, " at line %zu, column %zu", line,
	               column);
}

/* Completes the error: line and column behind the message, and the JSON Pointer. */
static void scan_report(const struct scan *s, const struct json_lexer *lexer)
{
	if (lexer->err == NULL || lexer->fault == NULL) {
		return;
	}
	scan_report_place(s->text, lexer);
	/* Closing what is open makes the index walkable up to the fault. */
	for (uint32_t open = s->open; open != NO_NODE;) {
		uint32_t outer = s->nodes[open].next;
		s->nodes[open].next = s->count;
		open = outer;
	}
	const struct json_doc doc = { .text = s->text, .nodes = s->nodes, .count = s->count };
	if (s->fault_node != NO_NODE) {
		json_error_locate(lexer->err, (struct json){ &doc, s->fault_node }, NULL);
	} else if (s->open != NO_NODE) {
		char element[16];
		(void)snprintf(element, sizeof(element), "%u", s->nodes[s->open].count);
		json_error_locate(lexer->err, (struct json){ &doc, s->open },
		                  s->fault_in_element ? element : NULL);
	}
}

/* Scans with the nodes of @doc, of which there are doc->count, and updates them. */
static enum status scan_run(struct json_doc *doc, const struct json_limits *limits, struct error *err)
{
	const char *text = doc->length > 0 ? doc->text : "";
	if (doc->length > limits->max_bytes) {
		return error_fail(err, STATUS_TOO_LARGE, "The document is longer than %u bytes",
		                  limits->max_bytes);
	}
	if (doc->length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		return error_fail(err, STATUS_MALFORMED,
		                  "The document starts with a byte order mark, which must be left out, "
		                  "at line 1, column 1");
	}
	struct json_lexer lexer = {
		.end = text + doc->length, .limits = limits, .grows = doc->owns_nodes, .err = err
	};
	struct scan s = {
		.text = text,
		.end = lexer.end,
		.lexer = &lexer,
		.nodes = doc->nodes,
		.node = doc->nodes,
		.capacity = doc->count,
		.open = NO_NODE,
		.fault_node = NO_NODE,
	};
	const char *p = json_lex_space(text, s.end);
	do {
		p = scan_step(&s, p);
	} while (p != NULL && s.open != NO_NODE);
	doc->nodes = s.nodes;
	doc->count = s.count;
	if (p != NULL) {
		p = json_lex_space(p, s.end);
		if (p == s.end) {
			return STATUS_OK;
		}
		(void)json_lex_fail(&lexer, STATUS_MALFORMED, p, "There is text behind the document");
	}
	const struct scan failed = s;
	scan_report(&failed, &lexer);
	return lexer.status;
}

enum status json_scan(const char *text, size_t length, const struct json_limits *limits,
                      struct json_node *nodes, uint32_t capacity, struct json_doc *ret_doc, struct error *err)
{
	struct json_doc doc = {
		.text = text,
		.length = length,
		.nodes = nodes,
		.count = capacity < limits->max_nodes ? capacity : limits->max_nodes,
	};
	enum status status = scan_run(&doc, limits, err);
	if (status == STATUS_OK) {
		*ret_doc = doc;
	}
	return status;
}

/* A typical document has a node for each eight bytes or more. */
static uint32_t first_capacity(size_t length, const struct json_limits *limits)
{
	size_t estimate = (length < limits->max_bytes ? length : limits->max_bytes) / 8 + 16;
	return estimate < limits->max_nodes ? (uint32_t)estimate : limits->max_nodes;
}

enum status json_parse(const char *text, size_t length, const struct json_limits *limits,
                       struct json_doc *ret_doc, struct error *err)
{
	struct json_doc doc = {
		.text = text,
		.length = length,
		.count = first_capacity(length, limits),
		.owns_nodes = true,
	};
	doc.nodes = malloc((doc.count + 1) * sizeof(*doc.nodes));
	if (doc.nodes == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory while reading JSON");
	}
	enum status status = scan_run(&doc, limits, err);
	if (status != STATUS_OK) {
		free(doc.nodes);
		return status;
	}
	// NOLINTNEXTLINE(clang-analyzer-optin.portability.UnixAPI): a document has at least one node
	struct json_node *fitting = realloc(doc.nodes, doc.count * sizeof(*fitting));
	doc.nodes = fitting != NULL ? fitting : doc.nodes;
	*ret_doc = doc;
	return STATUS_OK;
}

void json_doc_deinit(struct json_doc *doc)
{
	if (doc->owns_nodes) {
		free(doc->nodes);
	}
	*doc = (struct json_doc){ 0 };
}
