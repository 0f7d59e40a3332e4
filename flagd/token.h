/* SPDX-License-Identifier: Apache-2.0 */
/*
 * API tokens: typed, checksummed, random; stored only as keyed hashes.
 *
 *	hly_<kind>_<40 base62 characters><6 characters of checksum>
 *
 * The random part has 238 bits. The checksum is the CRC-32 (ISO 3309) of everything before it in base62,
 * so that a scanner recognises a leaked token offline and the daemon drops garbage before it hashes.
 * What is stored is BLAKE2b-256 of the whole token, keyed with the pepper, which lives in a file
 * outside the database: a stolen database verifies no guess. Nothing here branches on or looks up a table
 * by the secret characters. Pure but for randomness (after sodium_init()); thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOKEN_SIZE         53 /* 52 characters and NUL */
#define TOKEN_HASH_BYTES   32
#define TOKEN_PEPPER_BYTES 32
#define TOKEN_ID_SIZE      21 /* "tok_", 16 hex digits of the hash, NUL: names a token, reveals nothing */

/* The letter in the prefix. */
enum token_kind {
	TOKEN_OWNER,  /* o: everything */
	TOKEN_CLIENT, /* c: evaluation, snapshot, stream and telemetry of one environment */
	TOKEN_WEB, /* w: evaluated values of one environment and nothing else: may be seen by users of a web page */
	TOKEN_KIND_COUNT
};

const char *token_kind_name(enum token_kind kind); /* "owner", "client", "web" */

/* A fresh token; wipe it (sodium_memzero) once it was handed over. */
void token_new(enum token_kind kind, char ret[static TOKEN_SIZE]);

/* Form and checksum, without any secret. @ret_kind is untouched when it is not a token; NULL is allowed. */
bool token_parse(const char *text, size_t length, enum token_kind *ret_kind);

void token_hash(const char *token, size_t length, const uint8_t pepper[static TOKEN_PEPPER_BYTES],
                uint8_t ret[static TOKEN_HASH_BYTES]);

void token_id(const uint8_t hash[static TOKEN_HASH_BYTES], char ret[static TOKEN_ID_SIZE]);
