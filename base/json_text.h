/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of JSON strings, for the modules json_*.c only.
 */
#pragma once

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/json.h"

static inline bool json_is_plain(char c)
{
	unsigned char byte = (unsigned char)c;
	return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

/* First byte from @p on that is not plain: a quote, a backslash, a control byte or not ASCII. */
static inline const char *json_skip_plain(const char *p, const char *end)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	const uint64_t tops = UINT64_C(0x8080808080808080);
#ifdef __SSE2__
	while (end - p >= 16) {
		/* Signed bytes: what is not ASCII is negative and thus below the space, too. */
		__m128i block = _mm_loadu_si128((const __m128i *)p);
		__m128i special = _mm_or_si128(_mm_cmplt_epi8(block, _mm_set1_epi8(0x20)),
		                               _mm_or_si128(_mm_cmpeq_epi8(block, _mm_set1_epi8('"')),
		                                            _mm_cmpeq_epi8(block, _mm_set1_epi8('\\'))));
		unsigned bits = (unsigned)_mm_movemask_epi8(special);
		if (bits != 0) {
			return p + (unsigned)__builtin_ctz(bits);
		}
		p += 16;
	}
#endif
	while (end - p >= 8) {
		uint64_t word;
		memcpy(&word, p, sizeof(word));
		word = le64toh(word);
		uint64_t quote = word ^ ones * '"';
		uint64_t backslash = word ^ ones * '\\';
		/* The top bit of a byte that is special; a borrow can spoil only bytes behind the first. */
		uint64_t special = (word | ((word - ones * 0x20) & ~word) | ((quote - ones) & ~quote) |
		                    ((backslash - ones) & ~backslash)) &
		                   tops;
		if (special != 0) {
			return p + (unsigned)__builtin_ctzll(special) / 8;
		}
		p += 8;
	}
	while (p < end && json_is_plain(*p)) {
		p++;
	}
	return p;
}

static inline int json_hex_digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
	                              : -1;
}

/* UTF-16 unit of the four hex digits at @p; -1 when they are not. */
static inline int32_t json_hex_unit(const char *p, const char *end)
{
	if (end - p < 4) {
		return -1;
	}
	int32_t unit = 0;
	for (int i = 0; i < 4; i++) {
		int digit = json_hex_digit(p[i]);
		if (digit < 0) {
			return -1;
		}
		unit = unit << 4 | digit;
	}
	return unit;
}

static inline bool json_is_high_surrogate(int32_t unit)
{
	return unit >= 0xd800 && unit <= 0xdbff;
}

static inline bool json_is_low_surrogate(int32_t unit)
{
	return unit >= 0xdc00 && unit <= 0xdfff;
}

/*
 * Reads the unescaped bytes of a string piece by piece. A piece never ends inside a character, so
 * json_chars_read() needs room for four bytes; it returns 0 at the end.
 */
struct json_chars {
	const char *p;
	const char *end;
};

struct json_chars json_chars_of(struct json string);
size_t json_chars_read(struct json_chars *chars, char *out, size_t size);

/* The same text after unescaping? Both must be strings; they may be of two documents. */
bool json_string_same(struct json a, struct json b);
