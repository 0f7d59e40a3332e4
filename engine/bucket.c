/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/bucket.h"

uint32_t murmur3_x86_32(const void *bytes, size_t length, uint32_t seed)
{
	const struct bucket_prefix start = { .hash = seed };
	return bucket_hash(&start, bytes, length);
}

void bucket_prefix_init(struct bucket_prefix *ret, const char *salt, size_t length)
{
	struct bucket_prefix prefix = { .length = (uint32_t)length };
	for (size_t i = 0; i < length / 4; i++) {
		prefix.hash = murmur3_mix(prefix.hash, murmur3_load(salt + 4 * i));
	}
	for (size_t i = 0; i < length % 4; i++) {
		prefix.tail[i] = (uint8_t)salt[length / 4 * 4 + i];
	}
	*ret = prefix;
}
