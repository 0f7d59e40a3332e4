/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/vectors.h"

#include "engine/bucket.h"

#define SALT_MAX 9
#define KEY_MAX  40

static void hash_agrees_with_the_published_vectors(void **state)
{
	(void)state;
	struct vectors vectors;
	struct json row = JSON_NONE;
	struct json rows = json_get(vectors_open(&vectors, "bucketing.json"), "murmur3_x86_32");
	assert_true(json_count(rows) >= 14);
	while (json_next(rows, NULL, &row)) {
		size_t length = 0;
		char *text = vectors_string(json_get(row, "utf8"), &length);
		const uint32_t seed = vectors_uint32(json_get(row, "seed"));
		assert_int_equal(murmur3_x86_32(text, length, seed), vectors_uint32(json_get(row, "hash")));
		free(text);
	}
	vectors_close(&vectors);
}

/* First part whose cumulative weight is above the bucket. */
static uint32_t part_of(struct json weights, uint32_t bucket)
{
	uint32_t index = 0, end = 0;
	struct json weight = JSON_NONE;
	while (json_next(weights, NULL, &weight)) {
		end += vectors_uint32(weight);
		if (bucket < end) {
			break;
		}
		index++;
	}
	return index;
}

static uint32_t total_of(struct json weights)
{
	uint32_t total = 0;
	struct json weight = JSON_NONE;
	while (json_next(weights, NULL, &weight)) {
		total += vectors_uint32(weight);
	}
	return total;
}

static void buckets_agree_with_the_published_vectors(void **state)
{
	(void)state;
	struct vectors vectors;
	struct json row = JSON_NONE;
	struct json rows = json_get(vectors_open(&vectors, "bucketing.json"), "fractional_v2");
	assert_true(json_count(rows) >= 14);
	while (json_next(rows, NULL, &row)) {
		size_t length = 0;
		char *input = vectors_string(json_get(row, "hash_input_utf8"), &length);
		struct json weights = json_get(row, "weights");
		for (size_t salt_length = 0; salt_length <= length; salt_length++) {
			struct bucket_prefix prefix;
			bucket_prefix_init(&prefix, input, salt_length);
			const uint32_t hash = bucket_hash(&prefix, input + salt_length, length - salt_length);
			assert_int_equal(hash, vectors_uint32(json_get(row, "murmur3_32_seed0")));
			const uint32_t bucket = bucket_of(hash, total_of(weights));
			assert_int_equal(bucket, vectors_uint32(json_get(row, "bucket")));
			assert_int_equal(part_of(weights, bucket),
			                 vectors_uint32(json_get(row, "variant_index")));
		}
		free(input);
	}
	vectors_close(&vectors);
}

/* Every byte of the key matters and none outside of it: keys stand at the very end of their memory. */
static void salt_and_key_hash_like_one_text(void **state)
{
	(void)state;
	uint8_t text[SALT_MAX + KEY_MAX];
	uint32_t random = 1;
	for (size_t i = 0; i < sizeof(text); i++) {
		random = random * 1664525u + 1013904223u;
		text[i] = (uint8_t)(random >> 24);
	}
	for (size_t salt_length = 0; salt_length <= SALT_MAX; salt_length++) {
		struct bucket_prefix prefix;
		bucket_prefix_init(&prefix, (const char *)text, salt_length);
		for (size_t length = 0; length <= KEY_MAX; length++) {
			const uint32_t wanted = murmur3_x86_32(text, salt_length + length, 0);
			char *memory = malloc(length + 8);
			assert_non_null(memory);
			for (size_t offset = 0; offset < 8; offset++) {
				char *key = memory + offset;
				memcpy(key, text + salt_length, length);
				assert_int_equal(bucket_hash(&prefix, key, length), wanted);
			}
			free(memory);
			char *exact = malloc(length == 0 ? 1 : length);
			assert_non_null(exact);
			memcpy(exact, text + salt_length, length);
			assert_int_equal(bucket_hash(&prefix, exact, length), wanted);
			if (length > 0) {
				exact[length - 1] ^= 0x40;
				assert_int_not_equal(bucket_hash(&prefix, exact, length), wanted);
			}
			free(exact);
		}
	}
}

static void buckets_fill_their_range(void **state)
{
	(void)state;
	assert_int_equal(bucket_of(0, 100000), 0);
	assert_int_equal(bucket_of(UINT32_MAX, 100000), 99999);
	assert_int_equal(bucket_of(UINT32_MAX, 1), 0);
	assert_int_equal(bucket_of(UINT32_MAX, UINT32_MAX), UINT32_MAX - 1);
	assert_int_equal(bucket_of(UINT32_MAX, 0), 0);
	assert_int_equal(bucket_of(0x80000000u, 2), 1);
	assert_int_equal(bucket_of(0x7fffffffu, 2), 0);
}

static void keys_spread_evenly(void **state)
{
	(void)state;
	enum { PARTS = 20, KEYS = 40000 };
	uint32_t counts[PARTS] = { 0 };
	struct bucket_prefix prefix;
	bucket_prefix_init(&prefix, "banner", 6);
	for (int i = 0; i < KEYS; i++) {
		char key[32];
		const int length = snprintf(key, sizeof(key), "user-%d", i);
		counts[bucket_of(bucket_hash(&prefix, key, (size_t)length), PARTS)]++;
	}
	double chi_squared = 0;
	for (size_t i = 0; i < PARTS; i++) {
		const double off = counts[i] - (double)KEYS / PARTS;
		chi_squared += off * off / ((double)KEYS / PARTS);
	}
	assert_true(chi_squared < 43.8); /* 19 degrees of freedom, p = 0.001 */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hash_agrees_with_the_published_vectors),
		cmocka_unit_test(buckets_agree_with_the_published_vectors),
		cmocka_unit_test(salt_and_key_hash_like_one_text),
		cmocka_unit_test(buckets_fill_their_range),
		cmocka_unit_test(keys_spread_evenly),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
