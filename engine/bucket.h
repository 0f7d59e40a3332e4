/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bucketing: which share of a percentage split a key belongs to.
 *
 *	bucket = (uint64(murmur3_x86_32(salt ‖ key, seed 0)) × total_weight) >> 32
 *
 * the integer method of flagd's `fractional` (v2, 2026), so that other evaluators agree with ours;
 * frozen by tests/vectors/bucketing.json. MurmurHash3 is Austin Appleby's public-domain algorithm.
 * Pure; thread-safe. The hash stands here so that an evaluation has it inline.
 */
#pragma once

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* State of the hash after the salt, so that an evaluation hashes only the key. */
struct bucket_prefix {
	uint32_t hash;
	uint32_t length; /* of the salt, in bytes */
	uint8_t tail[4]; /* salt bytes that do not fill a block yet: length % 4 of them, then zeros */
};

uint32_t murmur3_x86_32(const void *bytes, size_t length, uint32_t seed);

void bucket_prefix_init(struct bucket_prefix *ret, const char *salt, size_t length);

static inline uint32_t murmur3_scramble(uint32_t block)
{
	block *= 0xcc9e2d51u;
	block = (block << 15) | (block >> 17);
	return block * 0x1b873593u;
}

static inline uint32_t murmur3_mix(uint32_t hash, uint32_t block)
{
	hash ^= murmur3_scramble(block);
	hash = (hash << 13) | (hash >> 19);
	return hash * 5 + 0xe6546b64u;
}

static inline uint32_t murmur3_finish(uint32_t hash, uint32_t length)
{
	hash ^= length;
	hash ^= hash >> 16;
	hash *= 0x85ebca6bu;
	hash ^= hash >> 13;
	hash *= 0xc2b2ae35u;
	return hash ^ (hash >> 16);
}

static inline uint32_t murmur3_load(const void *bytes)
{
	uint32_t block;
	memcpy(&block, bytes, sizeof(block));
	return le32toh(block);
}

/* bucket_hash() of a key that is shorter than a block. */
static inline uint32_t bucket_hash_short(const struct bucket_prefix *prefix, const char *key, size_t length)
{
	uint64_t rest = murmur3_load(prefix->tail);
	size_t rest_length = prefix->length % 4;
	for (size_t i = 0; i < length; i++) {
		rest |= (uint64_t)(uint8_t)key[i] << (8 * rest_length++);
	}
	uint32_t hash = prefix->hash;
	if (rest_length >= 4) {
		hash = murmur3_mix(hash, (uint32_t)rest);
		rest >>= 32;
	}
	return murmur3_finish(hash ^ murmur3_scramble((uint32_t)rest), prefix->length + (uint32_t)length);
}

/* murmur3_x86_32(salt ‖ key, 0) */
static inline uint32_t bucket_hash(const struct bucket_prefix *prefix, const char *key, size_t length)
{
	if (length < 4) {
		return bucket_hash_short(prefix, key, length);
	}
	/* The first block is the salt's tail and what it lacks of the key; the others lie in the key. */
	const size_t tail = prefix->length % 4;
	uint32_t hash =
	        murmur3_mix(prefix->hash, murmur3_load(prefix->tail) | murmur3_load(key) << (8 * tail));
	size_t at = 4 - tail;
	for (; at + 4 <= length; at += 4) {
		hash = murmur3_mix(hash, murmur3_load(key + at));
	}
	const uint64_t rest = (uint64_t)murmur3_load(key + length - 4) >> (32 - 8 * (length - at));
	return murmur3_finish(hash ^ murmur3_scramble((uint32_t)rest), prefix->length + (uint32_t)length);
}

/* In [0, total_weight). */
static inline uint32_t bucket_of(uint32_t hash, uint32_t total_weight)
{
	return (uint32_t)(((uint64_t)hash * total_weight) >> 32);
}
