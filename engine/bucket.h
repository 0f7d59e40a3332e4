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

/* The last @length % 4 bytes, the first of them lowest; nothing outside the key is read. */
static inline uint64_t murmur3_load_rest(const char *key, size_t length)
{
	if (length >= 4) {
		return (uint64_t)murmur3_load(key + length - 4) >> (32 - 8 * (length % 4));
	}
	uint64_t rest = 0;
	for (size_t i = 0; i < length; i++) {
		rest |= (uint64_t)(uint8_t)key[i] << (8 * i);
	}
	return rest;
}

/* murmur3_x86_32(salt ‖ key, 0) */
static inline uint32_t bucket_hash(const struct bucket_prefix *prefix, const char *key, size_t length)
{
	/* The salt's tail shifts the blocks against the key: `pending` holds the bytes not mixed yet. */
	const uint32_t shift = 8 * (prefix->length % 4);
	uint64_t pending = murmur3_load(prefix->tail);
	uint32_t hash = prefix->hash;
	for (size_t i = 0; i < length / 4; i++) {
		pending |= (uint64_t)murmur3_load(key + 4 * i) << shift;
		hash = murmur3_mix(hash, (uint32_t)pending);
		pending >>= 32;
	}
	pending |= murmur3_load_rest(key, length) << shift;
	if (prefix->length % 4 + length % 4 >= 4) {
		hash = murmur3_mix(hash, (uint32_t)pending);
		pending >>= 32;
	}
	return murmur3_finish(hash ^ murmur3_scramble((uint32_t)pending), prefix->length + (uint32_t)length);
}

/* In [0, total_weight). */
static inline uint32_t bucket_of(uint32_t hash, uint32_t total_weight)
{
	return (uint32_t)(((uint64_t)hash * total_weight) >> 32);
}
