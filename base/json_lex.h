/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words of JSON: strings, numbers, literals and white space. For json_scan.c only.
 *
 * A function takes the position of a word and returns the one behind it, or NULL after filling the
 * fault. What is common is inline, because it decides the speed of the scanner.
 */
#pragma once

#include "base/json_text.h"

/* What the inner loop rarely needs. */
struct json_lexer {
	const char *end; /* of the text */
	unsigned flags;  /* enum json_flags of the last number, literal or string that was not plain */
	const struct json_limits *limits;
	bool grows; /* the nodes are ours, on the heap */
	struct error *err;
	enum status status;
	const char *fault; /* where it failed; NULL: the message needs no place */
};

/* Stores the error and evaluates to NULL. */
#define json_lex_fail(lexer, code, at, ...)                                                             \
	(error_set((lexer)->err, (code), __VA_ARGS__), (lexer)->status = (code), (lexer)->fault = (at), \
	 (const char *)NULL)

/* "Expected a value but found `}`" */
const char *json_lex_fail_expected(struct json_lexer *lexer, const char *at, const char *expected);

/* From the first byte of a string that is not plain to behind its closing quote. */
const char *json_lex_string_rest(struct json_lexer *lexer, const char *p);

const char *json_lex_number(struct json_lexer *lexer, const char *start);

/* Behind the digits at @p. */
static inline const char *json_lex_digits(const char *p, const char *end)
{
	while (p < end && *p >= '0' && *p <= '9') {
		p++;
	}
	return p;
}

/* `true`, `false` or `null`, whose type goes to @ret_type. */
const char *json_lex_literal(struct json_lexer *lexer, const char *p, enum json_type *ret_type);

static inline bool json_lex_is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline const char *json_lex_space(const char *p, const char *end)
{
	while (p < end && json_lex_is_space(*p)) {
		p++;
	}
	return p;
}
