/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evaluation context: who or what a flag is evaluated for.
 *
 * Plain values owned by the caller and only borrowed for the call. The layout is the public one of
 * <halyard/halyard.h> (asserted there), so a client's context is used as it is. A nested object is
 * flattened: {"app":{"version":"1.2"}} is the attribute "app.version", and "app" itself is present
 * with CONTEXT_OBJECT so that `exists` can see it. An attribute without a name, and one whose string or items
 * are NULL, are as good as missing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"

enum context_type {
	CONTEXT_STRING = 1,
	CONTEXT_INTEGER,
	CONTEXT_NUMBER,
	CONTEXT_BOOLEAN,
	CONTEXT_ARRAY,  /* of strings, numbers and booleans */
	CONTEXT_OBJECT, /* present, without a value of its own */
	CONTEXT_NULL,   /* as good as missing */
};

struct context_attribute {
	const char *name; /* NUL-terminated dot path */
	enum context_type type;
	union {
		const char *string; /* NUL-terminated UTF-8 */
		int64_t integer;
		double number;
		bool boolean;
		struct {
			const struct context_attribute *items; /* names unused */
			size_t count;
		} array;
	} value;
};

struct context {
	const char *targeting_key; /* NUL-terminated; NULL: none */
	const struct context_attribute *attributes;
	size_t attribute_count;
};

#define CONTEXT_MAX_ATTRIBUTES 1024
#define CONTEXT_MAX_KEY_BYTES  1024 /* of the targeting key */
#define CONTEXT_MAX_NAME_BYTES 256  /* of an attribute's dot path */

/*
 * Reads {"targetingKey": "…", …} of an evaluation request. @object may be absent or null: an empty
 * context. Everything is placed in @arena. The targetingKey is also an attribute of that name.
 *
 * One odd attribute must not fail a request: a container in an array becomes an item of type
 * CONTEXT_OBJECT, which matches nothing, and an attribute whose dot path is longer than
 * CONTEXT_MAX_NAME_BYTES, which no condition can name, is left out. Of two attributes with one dot
 * path ({"a.b":1,"a":{"b":2}}) the first counts.
 *
 * STATUS_INVALID names what is wrong: not an object, a targetingKey that is not a string or longer
 * than CONTEXT_MAX_KEY_BYTES, more than CONTEXT_MAX_ATTRIBUTES.
 */
MUST_CHECK enum status context_read(struct json object, struct arena *arena, struct context *ret,
                                    struct error *err);
