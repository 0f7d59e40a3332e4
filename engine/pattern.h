/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regular expressions bounded in time: PCRE2 without JIT, without heap, with every step counted.
 *
 * A pattern is compiled once: UTF, groups capture only by name, `$` is the very end of the subject,
 * no \C, at most 512 bytes. PCRE2's own match limit starts anew at each place in the subject and
 * does not see the characters that one step passes over, so 8 KiB could still take it a second; a
 * pattern therefore carries automatic callouts that count both. A match uses only the caller's
 * stack, less than 24 KiB. When it would take more than PATTERN_MATCH_LIMIT steps, or that stack, it
 * ends with PATTERN_EXCEEDED, which the evaluator turns into an error of that flag: never silently
 * false. A compiled pattern is immutable and thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define PATTERN_MAX_BYTES         512
#define PATTERN_MAX_CODE_BYTES    (16 * 1024) /* compiled */
#define PATTERN_MAX_NESTING       32
#define PATTERN_MAX_GROUPS        16 /* with a name */
#define PATTERN_SUBJECT_MAX_BYTES 8192
#define PATTERN_MATCH_LIMIT       100000 /* steps: items of the pattern that are tried … */
#define PATTERN_STEP_BYTES        8      /* … and this many bytes of the subject passed over */

struct pattern;

enum pattern_result { PATTERN_NO_MATCH, PATTERN_MATCH, PATTERN_EXCEEDED };

/* STATUS_INVALID with PCRE2's reason and offset. */
MUST_CHECK enum status pattern_new(const char *text, size_t length, bool ignore_case, struct pattern **ret,
                                   struct error *err);
void pattern_free(struct pattern *pattern); /* accepts NULL */

/*
 * Searches anywhere in the subject; anchor with ^ and $. Bytes that are not UTF-8 match nothing. A
 * subject of more than PATTERN_SUBJECT_MAX_BYTES is PATTERN_EXCEEDED.
 */
enum pattern_result pattern_match(const struct pattern *pattern, const char *subject, size_t length);
