/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

/* Their checksums were computed with another implementation (Python's zlib.crc32). */
#define OWNER_TOKEN  "hly_o_00000000000000000000000000000000000000002owGHJ"
#define CLIENT_TOKEN "hly_c_AZaz09AZaz09AZaz09AZaz09AZaz09AZaz09AZaz0d9B2b"

static int sodium_setup(void **state)
{
	(void)state;
	return sodium_init() < 0 ? -1 : 0;
}

static void known_tokens_are_accepted(void **state)
{
	(void)state;
	enum token_kind kind = TOKEN_KIND_COUNT;
	assert_true(token_parse(OWNER_TOKEN, strlen(OWNER_TOKEN), &kind));
	assert_int_equal(kind, TOKEN_OWNER);
	assert_true(token_parse(CLIENT_TOKEN, strlen(CLIENT_TOKEN), &kind));
	assert_int_equal(kind, TOKEN_CLIENT);
	assert_true(token_parse(CLIENT_TOKEN, strlen(CLIENT_TOKEN), NULL));
}

static void new_tokens_have_the_documented_form(void **state)
{
	(void)state;
	for (int kind = 0; kind < TOKEN_KIND_COUNT; kind++) {
		char token[TOKEN_SIZE];
		token_new((enum token_kind)kind, token);
		assert_int_equal(strlen(token), TOKEN_SIZE - 1);
		assert_memory_equal(token, "hly_", 4);
		assert_int_equal(token[4], token_kind_name((enum token_kind)kind)[0]);
		assert_int_equal(token[5], '_');
		assert_int_equal(
		        strspn(token + 6, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"),
		        46);
		enum token_kind parsed = TOKEN_KIND_COUNT;
		assert_true(token_parse(token, strlen(token), &parsed));
		assert_int_equal(parsed, kind);
	}
}

/* Chi-squared over 62 characters: 61 degrees of freedom exceed 140 once in 10^7 runs. */
static void random_characters_are_unbiased(void **state)
{
	(void)state;
	unsigned counts[256] = { 0 };
	const unsigned tokens = 2000;
	for (unsigned i = 0; i < tokens; i++) {
		char token[TOKEN_SIZE];
		token_new(TOKEN_CLIENT, token);
		for (size_t at = 6; at < 46; at++) {
			counts[(unsigned char)token[at]]++;
		}
	}
	const double expected = tokens * 40 / 62.0;
	double chi_squared = 0;
	for (size_t c = 0; c < 256; c++) {
		if (counts[c] > 0) {
			chi_squared += (counts[c] - expected) * (counts[c] - expected) / expected;
		}
	}
	assert_true(chi_squared < 140);
}

static void any_changed_character_is_noticed(void **state)
{
	(void)state;
	char token[TOKEN_SIZE];
	token_new(TOKEN_OWNER, token);
	for (size_t at = 0; at < TOKEN_SIZE - 1; at++) {
		const char original = token[at];
		for (int c = 0; c < 256; c++) {
			token[at] = (char)c;
			assert_int_equal(token_parse(token, TOKEN_SIZE - 1, NULL), token[at] == original);
		}
		token[at] = original;
	}
	for (size_t at = 6; at + 1 < TOKEN_SIZE - 1; at++) {
		if (token[at] != token[at + 1]) {
			const char first = token[at];
			token[at] = token[at + 1];
			token[at + 1] = first;
			assert_false(token_parse(token, TOKEN_SIZE - 1, NULL));
			token[at + 1] = token[at];
			token[at] = first;
		}
	}
}

static void other_lengths_are_refused(void **state)
{
	(void)state;
	char longer[TOKEN_SIZE + 1];
	(void)snprintf(longer, sizeof(longer), "%s0", OWNER_TOKEN);
	enum token_kind kind = TOKEN_KIND_COUNT;
	for (size_t length = 0; length < TOKEN_SIZE - 1; length++) {
		assert_false(token_parse(OWNER_TOKEN, length, &kind));
	}
	assert_false(token_parse(longer, TOKEN_SIZE, &kind));
	assert_int_equal(kind, TOKEN_KIND_COUNT);
}

static void hash_depends_on_token_and_pepper(void **state)
{
	(void)state;
	const uint8_t pepper[TOKEN_PEPPER_BYTES] = { 1 }, other_pepper[TOKEN_PEPPER_BYTES] = { 2 };
	uint8_t hash[TOKEN_HASH_BYTES], again[TOKEN_HASH_BYTES], other[TOKEN_HASH_BYTES];
	token_hash(OWNER_TOKEN, strlen(OWNER_TOKEN), pepper, hash);
	token_hash(OWNER_TOKEN, strlen(OWNER_TOKEN), pepper, again);
	assert_memory_equal(hash, again, sizeof(hash));
	token_hash(OWNER_TOKEN, strlen(OWNER_TOKEN), other_pepper, other);
	assert_memory_not_equal(hash, other, sizeof(hash));
	token_hash(CLIENT_TOKEN, strlen(CLIENT_TOKEN), pepper, other);
	assert_memory_not_equal(hash, other, sizeof(hash));
	/* Frozen: stored hashes must go on to be found (Python's hashlib.blake2b). */
	char hex[2 * TOKEN_HASH_BYTES + 1];
	(void)sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash));
	assert_string_equal(hex, "823c4ff96dfe8fd959feb4460016da6b8adc06250df96dcfe5927483c4aed0cb");
}

static void id_is_the_start_of_the_hash(void **state)
{
	(void)state;
	const uint8_t hash[TOKEN_HASH_BYTES] = { 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xff };
	char id[TOKEN_ID_SIZE];
	token_id(hash, id);
	assert_string_equal(id, "tok_0123456789abcdef");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_tokens_are_accepted),
		cmocka_unit_test(new_tokens_have_the_documented_form),
		cmocka_unit_test(random_characters_are_unbiased),
		cmocka_unit_test(any_changed_character_is_noticed),
		cmocka_unit_test(other_lengths_are_refused),
		cmocka_unit_test(hash_depends_on_token_and_pepper),
		cmocka_unit_test(id_is_the_start_of_the_hash),
	};
	return cmocka_run_group_tests(tests, sodium_setup, NULL);
}
