/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UTF-8 by RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. Pure functions.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the sequence at @p (1 to 4); 0 when it is invalid or cut off at @end. Needs @p < @end. */
size_t utf8_sequence(const char *p, const char *end);

/* Code point of the valid sequence of @length bytes at @p. */
uint32_t utf8_decode(const char *p, size_t length);

/* Writes @code_point (a Unicode scalar value) and returns its 1 to 4 bytes. */
size_t utf8_encode(uint32_t code_point, char out[static 4]);

bool utf8_is_valid(const char *bytes, size_t length);

/* @length without a sequence at the end that is cut off. */
size_t utf8_trim(const char *bytes, size_t length);

/* The longest prefix of @max bytes or less that does not end inside a sequence. */
size_t utf8_cut(const char *bytes, size_t length, size_t max);
