/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Semantic versions by the precedence rules of semver.org 2.0.0, and ranges over them.
 *
 * Versions may leave out minor and patch (`1`, `1.2`: zero; then there is no pre-release either) and
 * start with `v`; build metadata is checked and ignored. As in the specification a number has no
 * leading zeros. Major, minor and patch beyond 64 bits are not a version; numbers in a pre-release
 * may have any length. Pure, no allocation, thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEMVER_MAX_BYTES 256

struct semver {
	uint64_t major, minor, patch;
	const char *prerelease; /* borrowed from the text; NULL when there is none */
	size_t prerelease_length;
	int parts; /* how many of major.minor.patch were written, 1 to 3 */
};

/* False when the text is not a version, or longer than SEMVER_MAX_BYTES. */
bool semver_parse(const char *text, size_t length, struct semver *ret);

/* <0, 0, >0 by precedence. */
int semver_compare(const struct semver *a, const struct semver *b);

/*
 * A range: one or more comparators with spaces between them, all of which must hold. A comparator is
 * `^1.2.3`, `~1.2`, `1.x`, `1.2.*`, `*`, a version, or `=`, `>`, `>=`, `<`, `<=` in front of one, each
 * as npm documents it: a bare `1.2` is `1.2.x`, `>1.2` is `>=1.3.0`. A pre-release matches only when a
 * comparator names a pre-release of the same major.minor.patch. There is neither `||` nor ` - `: a
 * condition takes several ranges.
 */
struct semver_range {
	struct semver low, high; /* low <= v < high; the flags say which ends count */
	bool has_low, has_high, is_low_open, is_high_closed;
};

bool semver_range_parse(const char *text, size_t length, struct semver_range *ret);
bool semver_range_match(const struct semver_range *range, const struct semver *version);
