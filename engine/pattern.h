/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regular expressions bounded in time: PCRE2 with a match limit, without JIT and without heap.
 *
 * A pattern is compiled once (UTF, no callouts, no \C, at most 512 bytes). A match uses only the
 * caller's stack; when it would take more than PATTERN_MATCH_LIMIT steps or the stack scratch it ends
 * with PATTERN_EXCEEDED, which the evaluator turns into an error of that flag: never silently false.
 * A compiled pattern is immutable and thread-safe.
 */
#pragma once

#include <stddef.h>

#include "base/error.h"

#define PATTERN_MAX_BYTES         512
#define PATTERN_SUBJECT_MAX_BYTES 8192
#define PATTERN_MATCH_LIMIT       100000

struct pattern;

enum pattern_result { PATTERN_NO_MATCH, PATTERN_MATCH, PATTERN_EXCEEDED };

/* STATUS_INVALID with PCRE2's reason and offset. */
MUST_CHECK enum status pattern_new(const char *text, size_t length, int ignore_case, struct pattern **ret,
                                   struct error *err);
void pattern_free(struct pattern *pattern);

/* Searches anywhere in the subject; anchor with ^ and $. */
enum pattern_result pattern_match(const struct pattern *pattern, const char *subject, size_t length);
