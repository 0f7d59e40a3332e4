/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bucketing: which share of a percentage split a key belongs to.
 *
 *	bucket = (uint64(murmur3_x86_32(salt ‖ key, seed 0)) × total_weight) >> 32
 *
 * the integer method of flagd's `fractional` (v2, 2026), so that other evaluators agree with ours;
 * frozen by tests/vectors/bucketing.json. MurmurHash3 is Austin Appleby's public-domain algorithm.
 * Pure; thread-safe.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* State of the hash after the salt, so that an evaluation hashes only the key. */
struct bucket_prefix {
	uint32_t hash;
	uint32_t length; /* of the salt, in bytes */
	uint8_t tail[4]; /* salt bytes that do not fill a block yet: length % 4 of them */
};

uint32_t murmur3_x86_32(const void *bytes, size_t length, uint32_t seed);

void bucket_prefix_init(struct bucket_prefix *ret, const char *salt, size_t length);

/* murmur3_x86_32(salt ‖ key, 0) */
uint32_t bucket_hash(const struct bucket_prefix *prefix, const char *key, size_t length);

/* In [0, total_weight). */
static inline uint32_t bucket_of(uint32_t hash, uint32_t total_weight)
{
	return (uint32_t)(((uint64_t)hash * total_weight) >> 32);
}
