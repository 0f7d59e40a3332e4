/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"

static bool utf8_is_continuation(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

/* The second byte carries the rules against overlong forms, surrogates and too large values. */
static bool utf8_second_is_valid(unsigned char first, unsigned char second)
{
	switch (first) {
	case 0xe0:
		return second >= 0xa0 && second <= 0xbf;
	case 0xed:
		return second >= 0x80 && second <= 0x9f;
	case 0xf0:
		return second >= 0x90 && second <= 0xbf;
	case 0xf4:
		return second >= 0x80 && second <= 0x8f;
	default:
		return utf8_is_continuation(second);
	}
}

size_t utf8_sequence(const char *p, const char *end)
{
	const unsigned char *bytes = (const unsigned char *)p;
	size_t left = (size_t)(end - p);
	if (bytes[0] < 0x80) {
		return 1;
	}
	size_t length = bytes[0] < 0xc2   ? 0
	                : bytes[0] < 0xe0 ? 2
	                : bytes[0] < 0xf0 ? 3
	                : bytes[0] < 0xf5 ? 4
	                                  : 0;
	if (length == 0 || left < length || !utf8_second_is_valid(bytes[0], bytes[1])) {
		return 0;
	}
	for (size_t i = 2; i < length; i++) {
		if (!utf8_is_continuation(bytes[i])) {
			return 0;
		}
	}
	return length;
}

uint32_t utf8_decode(const char *p, size_t length)
{
	static const unsigned char first_mask[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	uint32_t code_point = (unsigned char)p[0] & first_mask[length];
	for (size_t i = 1; i < length; i++) {
		code_point = code_point << 6 | ((unsigned char)p[i] & 0x3f);
	}
	return code_point;
}

size_t utf8_encode(uint32_t code_point, char out[static 4])
{
	if (code_point < 0x80) {
		out[0] = (char)code_point;
		return 1;
	}
	if (code_point < 0x800) {
		out[0] = (char)(0xc0 | code_point >> 6);
		out[1] = (char)(0x80 | (code_point & 0x3f));
		return 2;
	}
	if (code_point < 0x10000) {
		out[0] = (char)(0xe0 | code_point >> 12);
		out[1] = (char)(0x80 | (code_point >> 6 & 0x3f));
		out[2] = (char)(0x80 | (code_point & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | code_point >> 18);
	out[1] = (char)(0x80 | (code_point >> 12 & 0x3f));
	out[2] = (char)(0x80 | (code_point >> 6 & 0x3f));
	out[3] = (char)(0x80 | (code_point & 0x3f));
	return 4;
}

bool utf8_is_valid(const char *bytes, size_t length)
{
	const char *end = bytes + length;
	while (bytes < end) {
		size_t sequence = utf8_sequence(bytes, end);
		if (sequence == 0) {
			return false;
		}
		bytes += sequence;
	}
	return true;
}

size_t utf8_trim(const char *bytes, size_t length)
{
	size_t start = length;
	while (start > 0 && length - start < 3 && utf8_is_continuation((unsigned char)bytes[start - 1])) {
		start--;
	}
	if (start == 0) {
		return length;
	}
	unsigned char first = (unsigned char)bytes[start - 1];
	size_t needs = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
	return length - (start - 1) < needs ? start - 1 : length;
}

size_t utf8_cut(const char *bytes, size_t length, size_t max)
{
	return length <= max ? length : utf8_trim(bytes, max);
}
