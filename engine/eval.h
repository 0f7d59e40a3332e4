/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evaluation: (ruleset, key, context) to a variant and the reason for it. Pure.
 *
 * Order: unknown flag → FLAG_NOT_FOUND. A flag that does not work → its error. Not enabled → off
 * variant, DISABLED. A prerequisite without its wanted variant → off variant, DISABLED, `cause`. A
 * target that lists the key → TARGETING_MATCH. First rule whose conditions all hold →
 * TARGETING_MATCH, or SPLIT when it serves a split. Else `default`: STATIC when the flag has neither
 * targets, rules nor prerequisites, DEFAULT when it has, SPLIT for a split. A split that is reached
 * without its attribute → TARGETING_KEY_MISSING, unless one variant has all the weight.
 *
 * An error on the way (a regular expression that exceeds its limit, a prerequisite or condition on a
 * flag that ends in an error) is the flag's error; it never counts as "does not match".
 *
 * A split goes by the text of its attribute: a string's bytes (an empty one is a value, too), an
 * integer in decimal, a number and a boolean as JSON writes them (`1.5`, `2.0`, `true`). An array, an
 * object and null are as good as missing.
 *
 * No lock, no allocation, no I/O, no clock, no global; bounded stack (under 64 KiB with the deepest
 * chain of prerequisites and segments). Any thread, as long as the ruleset is held.
 */
#pragma once

#include "engine/context.h"
#include "engine/ruleset.h"

/* Names as in the OpenFeature specification. */
#define EVAL_REASON_TABLE(X) \
	X(UNKNOWN)           \
	X(STATIC)            \
	X(DEFAULT)           \
	X(TARGETING_MATCH)   \
	X(SPLIT)             \
	X(DISABLED)          \
	X(ERROR)

#define EVAL_ERROR_TABLE(X)      \
	X(NONE)                  \
	X(FLAG_NOT_FOUND)        \
	X(PARSE_ERROR)           \
	X(TYPE_MISMATCH)         \
	X(TARGETING_KEY_MISSING) \
	X(INVALID_CONTEXT)       \
	X(PROVIDER_NOT_READY)    \
	X(GENERAL)

enum eval_reason {
#define EVAL_ENUM(name) EVAL_REASON_##name,
	EVAL_REASON_TABLE(EVAL_ENUM)
#undef EVAL_ENUM
};

enum eval_error {
#define EVAL_ENUM(name) EVAL_ERROR_##name,
	EVAL_ERROR_TABLE(EVAL_ENUM)
#undef EVAL_ENUM
};

const char *eval_reason_name(enum eval_reason reason);
const char *eval_error_name(enum eval_error error);

/*
 * Prerequisites, segments and conditions on flags nest at most this deep, and an evaluation can lead to
 * at most this many evaluations of other items; more is an error of the flag (ruleset.h).
 */
#define EVAL_MAX_DEPTH 16
#define EVAL_MAX_COST  4096

struct eval_result {
	enum eval_reason reason;
	enum eval_error error;
	const struct flag *flag;       /* NULL: not found */
	const struct variant *variant; /* NULL: the caller's default is to be used */
	const char *cause;             /* NULL, the prerequisite that failed, or why it is an error */
};

void eval_flag(const struct ruleset *ruleset, const char *key, size_t key_length,
               const struct context *context, struct eval_result *ret);

/* ---- Explain: the same walk with its steps recorded ---- */

/*
 * Appends the object of one evaluation with every step to @w:
 * {"key","reason","variant"?,"value"?,"error_code"?,"cause"?,"steps":[
 *	{"step":"enabled","result":true},
 *	{"step":"prerequisite","flag":…,"variant":…,"wanted":[…],"result":…},
 *	{"step":"target","index":0,"variant":…,"result":false},
 *	{"step":"rule","index":0,"name":…,"conditions":[
 *		{"op":…,"attribute":…,"actual":…,"negate"?:true,"result":…}, …],"result":…,"variant"?},
 *	{"step":"split","bucket_by":…,"salt":…,"total":…,"value"?,"hash"?,"bucket"?,"boundary"?,"variant":…},
 *	{"step":"default","variant":…}]}
 * Conditions behind the first that fails are not evaluated and not listed. `actual` is null for an
 * attribute that is missing; in_segment has `segments` instead, flag has `flag`, `wanted` and the
 * variant as `actual`. `result` of a condition that ended in an error is null. A split without its
 * attribute has no `value`, `hash`, `bucket` and `boundary`. A rule that serves a split has no
 * `variant` of its own. Members may be added.
 *
 * Of the context only what the flag looks at is shown.
 */
struct json_writer;
void eval_explain(const struct ruleset *ruleset, const char *key, size_t key_length,
                  const struct context *context, struct json_writer *w);
