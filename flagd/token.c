/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/token.h"

#include <string.h>

#include <sodium.h>

#define PREFIX_LENGTH   6 /* "hly_o_" */
#define RANDOM_LENGTH   40
#define CHECKSUM_LENGTH 6
#define TOKEN_LENGTH    (PREFIX_LENGTH + RANDOM_LENGTH + CHECKSUM_LENGTH)

_Static_assert(TOKEN_LENGTH + 1 == TOKEN_SIZE, "the header's size holds a token and its NUL");

static const struct {
	const char *name;
	const char *prefix;
} kinds[TOKEN_KIND_COUNT] = {
	[TOKEN_OWNER] = { "owner", "hly_o_" },
	[TOKEN_CLIENT] = { "client", "hly_c_" },
	[TOKEN_WEB] = { "web", "hly_w_" },
};

/* 0-9A-Za-z by arithmetic: a table's cache line would tell which character it was. */
static char base62_digit(uint32_t value)
{
	const uint32_t is_upper = (9 - value) >> 31;
	const uint32_t is_lower = (35 - value) >> 31;
	return (char)('0' + value + is_upper * ('A' - '9' - 1) + is_lower * ('a' - 'Z' - 1));
}

/* 1 or 0; `|` of comparisons, so that there is no branch. */
static uint32_t is_base62(uint32_t c)
{
	return (uint32_t)(c - '0' < 10) | (uint32_t)((c | 0x20) - 'a' < 26);
}

/* What bit @bit of @byte adds to the sum. */
static uint32_t crc_of_bit(uint32_t byte, unsigned bit, uint32_t sum)
{
	return sum & (0 - ((byte >> bit) & 1));
}

/*
 * CRC-32 (ISO 3309), a byte a step. The step is linear, so it is the sum of what each bit of the byte
 * contributes; the usual table of 256 sums would be looked up by the secret. Written out: a loop takes twice
 * the time, more than the hash that the check is to spare.
 */
static uint32_t crc32(const char *bytes, size_t length)
{
	uint32_t crc = UINT32_MAX;
	for (size_t i = 0; i < length; i++) {
		const uint32_t byte = crc ^ (unsigned char)bytes[i];
		const uint32_t low = (crc_of_bit(byte, 0, 0x77073096) ^ crc_of_bit(byte, 1, 0xee0e612c)) ^
		                     (crc_of_bit(byte, 2, 0x076dc419) ^ crc_of_bit(byte, 3, 0x0edb8832));
		const uint32_t high = (crc_of_bit(byte, 4, 0x1db71064) ^ crc_of_bit(byte, 5, 0x3b6e20c8)) ^
		                      (crc_of_bit(byte, 6, 0x76dc4190) ^ crc_of_bit(byte, 7, 0xedb88320));
		crc = (crc >> 8) ^ low ^ high;
	}
	return ~crc;
}

/* Most significant digit first; 62^6 exceeds 2^32. */
static void checksum_format(const char *token, char ret[static CHECKSUM_LENGTH])
{
	uint32_t crc = crc32(token, PREFIX_LENGTH + RANDOM_LENGTH);
	for (size_t i = CHECKSUM_LENGTH; i-- > 0; crc /= 62) {
		ret[i] = base62_digit(crc % 62);
	}
}

const char *token_kind_name(enum token_kind kind)
{
	return kinds[kind].name;
}

void token_new(enum token_kind kind, char ret[static TOKEN_SIZE])
{
	memcpy(ret, kinds[kind].prefix, PREFIX_LENGTH);
	for (size_t i = 0; i < RANDOM_LENGTH; i++) {
		ret[PREFIX_LENGTH + i] = base62_digit(randombytes_uniform(62));
	}
	checksum_format(ret, ret + PREFIX_LENGTH + RANDOM_LENGTH);
	ret[TOKEN_LENGTH] = '\0';
}

bool token_parse(const char *text, size_t length, enum token_kind *ret_kind)
{
	if (length != TOKEN_LENGTH) {
		return false;
	}
	size_t kind = 0;
	while (kind < TOKEN_KIND_COUNT && memcmp(text, kinds[kind].prefix, PREFIX_LENGTH) != 0) {
		kind++;
	}
	if (kind == TOKEN_KIND_COUNT) {
		return false;
	}
	uint32_t is_valid = 1;
	for (size_t i = PREFIX_LENGTH; i < TOKEN_LENGTH; i++) {
		is_valid &= is_base62((unsigned char)text[i]);
	}
	char checksum[CHECKSUM_LENGTH];
	checksum_format(text, checksum);
	const int differs = sodium_memcmp(text + TOKEN_LENGTH - CHECKSUM_LENGTH, checksum, sizeof(checksum));
	sodium_memzero(checksum, sizeof(checksum));
	if (is_valid == 0 || differs != 0) {
		return false;
	}
	if (ret_kind != NULL) {
		*ret_kind = (enum token_kind)kind;
	}
	return true;
}

void token_hash(const char *token, size_t length, const uint8_t pepper[static TOKEN_PEPPER_BYTES],
                uint8_t ret[static TOKEN_HASH_BYTES])
{
	(void)crypto_generichash(ret, TOKEN_HASH_BYTES, (const unsigned char *)token, length, pepper,
	                         TOKEN_PEPPER_BYTES);
}

void token_id(const uint8_t hash[static TOKEN_HASH_BYTES], char ret[static TOKEN_ID_SIZE])
{
	memcpy(ret, "tok_", 4);
	(void)sodium_bin2hex(ret + 4, TOKEN_ID_SIZE - 4, hash, 8);
}
