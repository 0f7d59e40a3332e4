/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strict JSON: one scanner that validates RFC 8259 text and indexes it in place; no tree, no copies.
 *
 * The scanner accepts exactly one document of valid UTF-8 and refuses what lenient parsers let
 * through: text behind the document, a BOM, `01`, `1.`, raw control bytes, lone surrogates, `\u0000`
 * (it would cut a C string), numbers beyond the range of a double, duplicate member names (compared
 * after unescaping), and anything over the limits. Every error names line and column in the message
 * and the place as a JSON Pointer.
 *
 * A `struct json` is a handle, passed by value, to one value of a document. It borrows the document,
 * which borrows the text: both must outlive it. An absent value is a handle of type JSON_ABSENT, so
 * look-ups can be chained. Numbers keep their text; nothing here turns 2^53+1 into something else.
 *
 * Thread-safe when nobody changes the text or the document. Independent of the locale. Scanning needs
 * no stack; what walks a whole document recurses as deep as its max_depth.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"

enum json_type {
	JSON_ABSENT,
	JSON_NULL,
	JSON_BOOLEAN,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT,
};

/* Bit of a type in a mask of allowed types. */
#define JSON_BIT(type) (1u << (type))

enum json_flags {
	JSON_FLAG_ESCAPED = 1, /* the string holds a backslash */
	JSON_FLAG_INTEGER = 2, /* the number has neither fraction nor exponent */
	JSON_FLAG_TRUE = 4,
};

/*
 * One value, in document order. In an object each value node follows the string node of its name.
 * 20 bytes: the index of a 64 KiB body stays in the cache.
 */
struct json_node {
	uint32_t offset; /* of the first byte in the text; for strings, of the opening quote */
	uint32_t length; /* of the raw text, quotes included */
	uint32_t next;   /* index of the node behind this value and all that is in it */
	uint32_t count;  /* elements of an array, members of an object */
	uint8_t type;    /* enum json_type */
	uint8_t flags;   /* enum json_flags */
};

struct json_doc {
	const char *text;
	size_t length;
	struct json_node *nodes;
	uint32_t count;
	bool owns_nodes;
};

struct json_limits {
	uint32_t max_bytes;
	uint32_t max_nodes;
	uint32_t max_depth; /* 1: a bare array or object whose elements are scalars */
};

/* For request bodies: 64 KiB, 16,384 nodes, depth 16. */
extern const struct json_limits json_limits_default;

struct json {
	const struct json_doc *doc;
	uint32_t index;
};

#define JSON_NONE ((struct json){ 0 })

/*
 * Scans @text into nodes of the caller and allocates nothing, except scratch for objects of more
 * than 16 members. STATUS_MALFORMED for bad grammar, STATUS_TOO_LARGE over a limit or @capacity.
 */
MUST_CHECK enum status json_scan(const char *text, size_t length, const struct json_limits *limits,
                                 struct json_node *nodes, uint32_t capacity, struct json_doc *ret_doc,
                                 struct error *err);

/* The same with nodes on the heap; release them with json_doc_deinit() (accepts a zeroed document). */
MUST_CHECK enum status json_parse(const char *text, size_t length, const struct json_limits *limits,
                                  struct json_doc *ret_doc, struct error *err);
void json_doc_deinit(struct json_doc *doc);

struct json json_root(const struct json_doc *doc);

static inline enum json_type json_type(struct json value)
{
	return value.doc == NULL ? JSON_ABSENT : (enum json_type)value.doc->nodes[value.index].type;
}

static inline bool json_is(struct json value, enum json_type type)
{
	return json_type(value) == type;
}

/* "a string", "an object", … for messages. */
const char *json_type_name(enum json_type type);

/* Elements of an array or members of an object; 0 for everything else. */
uint32_t json_count(struct json value);

/* Member @name of an object; absent when there is none or @object is not one. Linear. */
struct json json_get(struct json object, const char *name);

/*
 * Walks an array or object:
 *	struct json name, value = JSON_NONE;
 *	while (json_next(container, &name, &value)) …
 * @name is absent in arrays; NULL is allowed. Does nothing for scalars.
 */
bool json_next(struct json container, struct json *name, struct json *value);

/* The raw text of a value, not NUL-terminated; quotes included. */
const char *json_raw(struct json value, size_t *ret_length);
void json_raw_append(struct json value, struct buf *buf);

/* The same without the white space between tokens; names, strings and numbers keep their exact text. */
void json_compact_append(struct json value, struct buf *buf);

/* Is it this very string, after unescaping? */
bool json_equals(struct json string, const char *expected);

/*
 * Unescapes a string. _copy writes at most @size bytes, NUL included, and returns the full length
 * without NUL like snprintf (nothing useful was written when it is >= @size); _dup copies into the
 * arena and is NULL only when that is full. Both need JSON_STRING.
 */
size_t json_string_copy(struct json string, char *out, size_t size);
char *json_string_dup(struct json string, struct arena *arena, size_t *ret_length);

bool json_boolean(struct json value); /* false unless it is true */

/* False unless it is a number without fraction or exponent that fits. */
bool json_int64(struct json number, int64_t *ret);

/* Nearest double; false unless it is a number. The scanner has refused what would be infinite. */
bool json_double(struct json number, double *ret);

/* JSON Pointer of a value from its document's root. */
void json_path(struct json value, char *out, size_t size);

/*
 * error_fail() with the path of @value: `return json_fail(err, STATUS_INVALID, value, "…");`
 * For an absent value pass its parent.
 */
#define json_fail(err, code, value, ...) \
	(error_set((err), (code), __VA_ARGS__), json_error_locate((err), (value), NULL), (code))

/* The same for member @name of @object, which may be absent. */
#define json_fail_member(err, code, object, name, ...) \
	(error_set((err), (code), __VA_ARGS__), json_error_locate((err), (object), (name)), (code))

void json_error_locate(struct error *err, struct json value, const char *member);

/* ---- Reading an object by a table of its fields ---- */

struct json_field {
	const char *name;
	unsigned types; /* mask of JSON_BIT */
	size_t offset;  /* of a `struct json` in the target */
	bool required;
	uint32_t
	        max_count; /* elements, members, or raw bytes between a string's quotes; 0: no limit of its own */
};

#define JSON_FIELDS_MAX 32 /* in a table */

#define JSON_FIELD(target, member, types, required, max)                             \
	{                                                                            \
#member, (types), offsetof(struct target, member), (required), (max) \
	}

/*
 * Stores a handle for each field of @object in @target, JSON_NONE for those that are not there.
 * STATUS_INVALID names the field that is unknown, missing, too long or of a wrong type; @target is
 * untouched then.
 */
MUST_CHECK enum status json_fields(struct json object, const struct json_field *fields, size_t count,
                                   void *target, struct error *err);

/* ---- Merge patch (RFC 7396) ---- */

/*
 * Appends @target patched with @patch to @out, without white space. Numbers and strings keep their
 * exact text; members keep the target's order, new ones follow in the patch's. @target may be absent.
 */
void json_merge_patch(struct json target, struct json patch, struct buf *out);

/* Same value: objects regardless of member order, strings unescaped, numbers by their text. */
bool json_same(struct json a, struct json b);
