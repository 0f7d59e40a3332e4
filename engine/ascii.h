/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Case folding of ASCII letters; every other byte stays, so UTF-8 stays valid. Independent of the
 * locale. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

static inline char ascii_fold(char c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

static inline void ascii_fold_copy(char *out, const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		out[i] = ascii_fold(text[i]);
	}
}

/* Is @text, once folded, equal to @folded? */
static inline bool ascii_equals_folded(const char *folded, const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (folded[i] != ascii_fold(text[i])) {
			return false;
		}
	}
	return true;
}
