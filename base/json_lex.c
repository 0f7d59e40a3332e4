/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json_lex.h"

#include <math.h>
#include <string.h>

#include "base/number.h"
#include "base/utf8.h"

const char *json_lex_fail_expected(struct json_lexer *lexer, const char *at, const char *expected)
{
	if (at == lexer->end) {
		return json_lex_fail(lexer, STATUS_MALFORMED, at, "Expected %s but the document ends",
		                     expected);
	}
	unsigned char c = (unsigned char)*at;
	if (c > 0x20 && c < 0x7f) {
		return json_lex_fail(lexer, STATUS_MALFORMED, at, "Expected %s but found `%c`", expected, c);
	}
	size_t length = utf8_sequence(at, lexer->end);
	if (length > 1) {
		return json_lex_fail(lexer, STATUS_MALFORMED, at, "Expected %s but found U+%04X", expected,
		                     utf8_decode(at, length));
	}
	return json_lex_fail(lexer, STATUS_MALFORMED, at, "Expected %s but found byte 0x%02X", expected, c);
}

static const char *lex_escape(struct json_lexer *lexer, const char *p)
{
	const char *end = lexer->end;
	if (end - p < 2) {
		return json_lex_fail(lexer, STATUS_MALFORMED, end, "The string is not closed");
	}
	if (p[1] != 'u') {
		bool is_known = p[1] != '\0' && strchr("\"\\/bfnrt", p[1]) != NULL;
		return is_known ? p + 2
		                : json_lex_fail(lexer, STATUS_MALFORMED, p, "Unknown escape in a string");
	}
	int32_t unit = json_hex_unit(p + 2, end);
	if (unit < 0) {
		return json_lex_fail(lexer, STATUS_MALFORMED, p,
		                     "Four hex digits must follow \\u in a string");
	}
	if (unit == 0) {
		return json_lex_fail(lexer, STATUS_MALFORMED, p, "The character U+0000 is not allowed");
	}
	if (json_is_high_surrogate(unit) && end - p >= 12 && p[6] == '\\' && p[7] == 'u' &&
	    json_is_low_surrogate(json_hex_unit(p + 8, end))) {
		return p + 12;
	}
	if (json_is_high_surrogate(unit) || json_is_low_surrogate(unit)) {
		return json_lex_fail(lexer, STATUS_MALFORMED, p, "Lone surrogate in a string");
	}
	return p + 6;
}

const char *json_lex_string_rest(struct json_lexer *lexer, const char *p)
{
	const char *end = lexer->end;
	lexer->flags = 0;
	while (p < end && *p != '"') {
		unsigned char c = (unsigned char)*p;
		if (c >= 0x80) {
			size_t length = utf8_sequence(p, end);
			if (length == 0) {
				return json_lex_fail(lexer, STATUS_MALFORMED, p, "Invalid UTF-8 in a string");
			}
			p += length;
		} else if (c == '\\') {
			lexer->flags = JSON_FLAG_ESCAPED;
			p = lex_escape(lexer, p);
			if (p == NULL) {
				return NULL;
			}
		} else if (c < 0x20) {
			return json_lex_fail(lexer, STATUS_MALFORMED, p,
			                     "Control byte 0x%02X in a string must be escaped", c);
		} else {
			p = json_skip_plain(p, end);
		}
	}
	return p < end ? p + 1 : json_lex_fail(lexer, STATUS_MALFORMED, p, "The string is not closed");
}

const char *json_lex_number(struct json_lexer *lexer, const char *start)
{
	const char *end = lexer->end;
	const char *integer = start + (*start == '-');
	const char *p = json_lex_digits(integer, end);
	ptrdiff_t digits = p - integer;
	ptrdiff_t exponent_digits = 0;
	lexer->flags = JSON_FLAG_INTEGER;
	if (digits == 0) {
		return json_lex_fail_expected(lexer, p, "a digit");
	}
	if (*integer == '0' && digits > 1) {
		return json_lex_fail(lexer, STATUS_MALFORMED, start, "A number must not start with a zero");
	}
	if (p < end && *p == '.') {
		const char *fraction = p + 1;
		p = json_lex_digits(fraction, end);
		lexer->flags = 0;
		if (p == fraction) {
			return json_lex_fail_expected(lexer, p, "a digit");
		}
	}
	if (p < end && (*p == 'e' || *p == 'E')) {
		p++;
		p += p < end && (*p == '-' || *p == '+');
		const char *exponent = p;
		p = json_lex_digits(exponent, end);
		lexer->flags = 0;
		exponent_digits = p - exponent;
		if (exponent_digits == 0) {
			return json_lex_fail_expected(lexer, p, "a digit");
		}
	}
	/* Nothing below 1e(200 + 99) can be infinite. */
	bool may_overflow = digits > 200 || exponent_digits > 2;
	if (may_overflow && !isfinite(number_parse(start, (size_t)(p - start)))) {
		return json_lex_fail(lexer, STATUS_MALFORMED, start,
		                     "The number is beyond the range of a double");
	}
	return p;
}

const char *json_lex_literal(struct json_lexer *lexer, const char *p, enum json_type *ret_type)
{
	size_t left = (size_t)(lexer->end - p);
	if (left >= 4 && memcmp(p, "true", 4) == 0) {
		lexer->flags = JSON_FLAG_TRUE;
		*ret_type = JSON_BOOLEAN;
		return p + 4;
	}
	lexer->flags = 0;
	if (left >= 5 && memcmp(p, "false", 5) == 0) {
		*ret_type = JSON_BOOLEAN;
		return p + 5;
	}
	if (left >= 4 && memcmp(p, "null", 4) == 0) {
		*ret_type = JSON_NULL;
		return p + 4;
	}
	return json_lex_fail_expected(lexer, p, "a value");
}
