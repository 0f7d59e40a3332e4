/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conditions of rules and segments: one row per operator.
 *
 * {"attribute":"role","op":"in","values":["ops"],"negate":true,"ignore_case":true}
 *
 * A missing attribute (or null) and a value of a type that the operator does not compare never match.
 * `negate` negates that outcome: a negated condition on a missing attribute holds. `ne` and `not_in`
 * are the negations of `eq` and `in` except that a missing attribute does not match them either:
 * they say something about a value that is there. Numbers compare by value whatever their type, and
 * exactly; NaN is a value of no type. (docs/operators.md is made from this table.)
 *
 * An operator that is not in the table makes its flag an error that names it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"
#include "engine/context.h"
#include "engine/match_number.h"
#include "engine/string_set.h"

#define MATCH_MAX_PATTERNS   16   /* values of `matches` */
#define MATCH_MAX_TEXTS      1000 /* values of `contains`, `starts_with` and `ends_with` */
#define MATCH_MAX_TEXT_BYTES 1024 /* of one of them */

/*        name          constant       operand   text  what it says */
#define MATCH_OPERATOR_TABLE(X)                                                                  \
	X("eq", EQ, SCALAR, 1, "the attribute is the value")                                     \
	X("ne", NE, SCALAR, 1, "the attribute is there and is not the value")                    \
	X("in", IN, SCALARS, 1, "the attribute is one of the values")                            \
	X("not_in", NOT_IN, SCALARS, 1, "the attribute is there and is none of the values")      \
	X("contains", CONTAINS, STRINGS, 1, "the text holds one of the values")                  \
	X("starts_with", STARTS_WITH, STRINGS, 1, "the text starts with one of the values")      \
	X("ends_with", ENDS_WITH, STRINGS, 1, "the text ends with one of the values")            \
	X("matches", MATCHES, PATTERNS, 1, "a regular expression finds something in the text")   \
	X("lt", LT, NUMBER, 0, "the number is less than the value")                              \
	X("le", LE, NUMBER, 0, "the number is the value or less")                                \
	X("gt", GT, NUMBER, 0, "the number is greater than the value")                           \
	X("ge", GE, NUMBER, 0, "the number is the value or greater")                             \
	X("before", BEFORE, TIME, 0, "the time (RFC 3339, or unix seconds) is before the value") \
	X("after", AFTER, TIME, 0, "the time (RFC 3339, or unix seconds) is after the value")    \
	X("semver_eq", SEMVER_EQ, SEMVER, 0, "the version has the same precedence")              \
	X("semver_ne", SEMVER_NE, SEMVER, 0, "the version is there and has another precedence")  \
	X("semver_lt", SEMVER_LT, SEMVER, 0, "the version is lower")                             \
	X("semver_le", SEMVER_LE, SEMVER, 0, "the version is lower or the same")                 \
	X("semver_gt", SEMVER_GT, SEMVER, 0, "the version is higher")                            \
	X("semver_ge", SEMVER_GE, SEMVER, 0, "the version is higher or the same")                \
	X("semver_match", SEMVER_MATCH, RANGES, 0, "the version is in a range: ^1.2, ~1.2, 1.x") \
	X("in_cidr", IN_CIDR, CIDRS, 0, "the address is in a network, IPv4 or IPv6")             \
	X("exists", EXISTS, NONE, 0, "the attribute is there and not null")                      \
	X("any_of", ANY_OF, SCALARS, 1, "the array holds at least one of the values")            \
	X("all_of", ALL_OF, SCALARS, 1, "the array holds all of the values")                     \
	X("none_of", NONE_OF, SCALARS, 1, "the array is there and holds none of the values")     \
	X("in_segment", IN_SEGMENT, SEGMENTS, 0, "the context is in one of the segments")        \
	X("flag", FLAG, VARIANTS, 0, "another flag (`flag`) gives one of these variants")

enum match_operator {
#define MATCH_ENUM(name, constant, operand, text, what) MATCH_##constant,
	MATCH_OPERATOR_TABLE(MATCH_ENUM)
#undef MATCH_ENUM
	        MATCH_OPERATOR_COUNT
};

const char *match_operator_name(enum match_operator op);

/* Values of eq, ne, in, not_in, any_of, all_of and none_of, apart by type. */
struct match_values {
	const struct string_set *strings;   /* NULL: none */
	const struct match_number *numbers; /* ascending, each once */
	uint32_t number_count;
	bool has_false, has_true;
};

struct match_text {
	const char *text; /* folded when the condition ignores case */
	size_t length;
};

struct cidr;
struct pattern;
struct semver;
struct semver_range;

/* Compiled operand: which member counts follows from the operator. */
struct condition {
	enum match_operator op;
	uint32_t attribute; /* index into the owner's attributes; UINT32_MAX for in_segment and flag */
	bool is_negated;
	bool ignore_case;
	bool is_membership;    /* eq, ne, in, not_in: a string matches by operand.values.strings alone */
	bool membership_match; /* … and this is the outcome when it is there, its negation when not */
	uint32_t count;        /* of what the union points to */
	union {
		struct match_values values;
		const struct match_text *texts;
		struct pattern *const *patterns;
		struct match_number number;
		int64_t time_ms;
		const struct semver *version;
		const struct semver_range *ranges;
		const struct cidr *networks;
		const char *const *keys; /* segments, or variants of `flag` */
	} operand;
	const char *flag; /* for MATCH_FLAG */
};

/*
 * Names that the conditions of one item look at, each once, collected while compiling. The caller
 * gives the array; the names are in the arena.
 */
struct match_attributes {
	const char **names;
	uint32_t count, capacity;
};

/* Index of the name, added when it is new. STATUS_INVALID when it is empty, too long or one too many. */
MUST_CHECK enum status match_attribute_add(struct match_attributes *attributes, struct json name,
                                           struct arena *arena, uint32_t *ret_index, struct error *err);

/* STATUS_INVALID with the path of the wrong member. Release what lives outside the arena. */
MUST_CHECK enum status match_compile(struct json condition, struct match_attributes *attributes,
                                     struct arena *arena, struct condition *ret, struct error *err);

/* Releases what lives outside the arena (patterns). */
void match_release(const struct condition *conditions, uint32_t count);

enum match_outcome { MATCH_NO, MATCH_YES, MATCH_EXCEEDED };

/* match_evaluate() without the short way. */
enum match_outcome match_evaluate_any(const struct condition *condition,
                                      const struct context_attribute *attribute, size_t length);

/*
 * Every operator but in_segment and flag, which the evaluator answers. @attribute is NULL when it is
 * missing. @length is its string's length when it is a string. No allocation.
 */
static inline enum match_outcome match_evaluate(const struct condition *condition,
                                                const struct context_attribute *attribute, size_t length)
{
	if (condition->is_membership && attribute != NULL && attribute->type == CONTEXT_STRING) {
		const bool is_there = string_set_contains(condition->operand.values.strings,
		                                          attribute->value.string, length);
		return is_there == condition->membership_match ? MATCH_YES : MATCH_NO;
	}
	return match_evaluate_any(condition, attribute, length);
}
