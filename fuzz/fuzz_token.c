/* SPDX-License-Identifier: Apache-2.0 */
/* token_parse() must agree with a second, naive reading of the format, on the input and on its repair. */
#include "fuzz/fuzz.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "flagd/token.h"

#define CHECKSUM_AT 46

static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

static void checksum_naive(const char *text, char ret[static 6])
{
	uint32_t crc = UINT32_MAX;
	for (size_t i = 0; i < CHECKSUM_AT; i++) {
		crc ^= (unsigned char)text[i];
		for (int bit = 0; bit < 8; bit++) {
			crc = (crc & 1) != 0 ? (crc >> 1) ^ 0xedb88320u : crc >> 1;
		}
	}
	crc = ~crc;
	for (size_t i = 6; i-- > 0; crc /= 62) {
		ret[i] = digits[crc % 62];
	}
}

static bool form_is_valid_naive(const char *text, size_t length)
{
	if (length != TOKEN_SIZE - 1 || (memcmp(text, "hly_o_", 6) != 0 && memcmp(text, "hly_c_", 6) != 0)) {
		return false;
	}
	for (size_t i = 6; i < length; i++) {
		if (memchr(digits, text[i], 62) == NULL) {
			return false;
		}
	}
	return true;
}

static void agreement_check(const char *text, size_t length)
{
	char checksum[6] = { 0 };
	bool expected = form_is_valid_naive(text, length);
	if (expected) {
		checksum_naive(text, checksum);
		expected = memcmp(text + CHECKSUM_AT, checksum, sizeof(checksum)) == 0;
	}
	enum token_kind kind = TOKEN_KIND_COUNT;
	if (token_parse(text, length, &kind) != expected) {
		abort();
	}
	if (expected ? token_kind_name(kind)[0] != text[4] : kind != TOKEN_KIND_COUNT) {
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	agreement_check((const char *)data, size);
	if (size >= CHECKSUM_AT) {
		char repaired[TOKEN_SIZE - 1];
		memcpy(repaired, data, CHECKSUM_AT);
		checksum_naive(repaired, repaired + CHECKSUM_AT);
		agreement_check(repaired, sizeof(repaired));
	}
	return 0;
}
