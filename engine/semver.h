/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Semantic versions by the precedence rules of semver.org 2.0.0, and ranges over them.
 *
 * Compared values may leave out minor and patch (`1`, `1.2`: zero) and start with `v`; build
 * metadata is ignored. Numbers of any length compare by value. Pure, no allocation, thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct semver {
	uint64_t major, minor, patch;
	const char *prerelease; /* borrowed from the text; NULL when there is none */
	size_t prerelease_length;
	int parts; /* how many of major.minor.patch were written, 1 to 3 */
};

/* False when the text is not a version. */
bool semver_parse(const char *text, size_t length, struct semver *ret);

/* <0, 0, >0 by precedence. */
int semver_compare(const struct semver *a, const struct semver *b);

/*
 * One range: `^1.2.3`, `~1.2`, `1.x`, `1.2.*`, `*`, a bare version (equality), or `=`, `>`, `>=`,
 * `<`, `<=` in front of one; caret, tilde and x as npm documents them. A pre-release matches only a
 * comparator that names a pre-release of the same major.minor.patch, or an equality.
 */
struct semver_range {
	struct semver low, high; /* low <= v < high; the flags say which ends count */
	bool has_low, has_high, is_low_open, is_high_closed;
};

bool semver_range_parse(const char *text, size_t length, struct semver_range *ret);
bool semver_range_match(const struct semver_range *range, const struct semver *version);
