/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts that operators compare, two lines of them: versions have one order, a version is in the range
 * that names it, an address is in its own network, a pattern always ends.
 */
#include "fuzz/fuzz.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "engine/bucket.h"
#include "engine/cidr.h"
#include "engine/pattern.h"
#include "engine/semver.h"

struct text {
	char *bytes; /* memory of its very size */
	size_t length;
};

static void check_that(int holds)
{
	if (!holds) {
		abort();
	}
}

static struct text text_copy(const uint8_t *bytes, size_t length)
{
	struct text text = { .bytes = malloc(length == 0 ? 1 : length), .length = length };
	check_that(text.bytes != NULL);
	memcpy(text.bytes, bytes, length);
	return text;
}

static void versions_check(struct text a, struct text b)
{
	struct semver version, other;
	struct semver_range range;
	const bool is_range = semver_range_parse(b.bytes, b.length, &range);
	if (!semver_parse(a.bytes, a.length, &version)) {
		return;
	}
	check_that(semver_compare(&version, &version) == 0);
	struct semver_range own;
	check_that(semver_range_parse(a.bytes, a.length, &own) && semver_range_match(&own, &version));
	if (is_range) {
		(void)semver_range_match(&range, &version);
	}
	if (semver_parse(b.bytes, b.length, &other)) {
		const int order = semver_compare(&version, &other);
		const int reverse = semver_compare(&other, &version);
		check_that((order > 0) == (reverse < 0) && (order < 0) == (reverse > 0));
	}
}

static void addresses_check(struct text a, struct text b)
{
	struct cidr address, network;
	if (cidr_parse_address(a.bytes, a.length, &address)) {
		check_that(cidr_parse(a.bytes, a.length, &network) && cidr_contains(&network, &address));
		check_that(address.bits == (address.is_v6 ? 128 : 32));
	}
	if (cidr_parse(b.bytes, b.length, &network)) {
		check_that(network.bits <= (network.is_v6 ? 128 : 32) && cidr_contains(&network, &network));
	}
}

static void patterns_check(struct text text, struct text subject)
{
	struct pattern *pattern = NULL;
	if (pattern_new(text.bytes, text.length, text.length % 2 == 1, &pattern, NULL) == STATUS_OK) {
		(void)pattern_match(pattern, subject.bytes, subject.length);
		pattern_free(pattern);
	}
}

static void buckets_check(struct text salt, struct text key)
{
	struct bucket_prefix prefix;
	const size_t length = salt.length + key.length;
	char *whole = malloc(length + 1);
	check_that(whole != NULL);
	memcpy(whole, salt.bytes, salt.length);
	memcpy(whole + salt.length, key.bytes, key.length);
	bucket_prefix_init(&prefix, salt.bytes, salt.length);
	check_that(bucket_hash(&prefix, key.bytes, key.length) == murmur3_x86_32(whole, length, 0));
	free(whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *line_end = size == 0 ? NULL : memchr(data, '\n', size);
	const size_t length = line_end == NULL ? size : (size_t)(line_end - data);
	const size_t rest = line_end == NULL ? 0 : size - length - 1;
	struct text a = text_copy(data, length);
	struct text b = text_copy(rest == 0 ? data : line_end + 1, rest);
	versions_check(a, b);
	addresses_check(a, b);
	patterns_check(a, b);
	buckets_check(a, b);
	free(a.bytes);
	free(b.bytes);
	return 0;
}
