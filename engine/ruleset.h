/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ruleset: the immutable set of compiled flags and segments of one environment at one revision.
 *
 * A ruleset is made from the one before and a list of edits; it shares every item that did not change,
 * so a change costs one compilation and the copy of a table. Making it checks what lies between
 * items: a flag whose prerequisites or conditions name a missing flag, variant or segment, or that is
 * part of a cycle, is reported and evaluates to an error; the others work.
 *
 * Items are kept sorted by key. Look-up is one xxh3 hash and one comparison. Counted by reference;
 * read from any thread.
 */
#pragma once

#include "engine/flag.h"

#define RULESET_MAX_ITEMS 100000

struct ruleset_edit {
	enum item_kind kind;
	const char *key;   /* of the item that is set or removed */
	struct item *item; /* borrowed, the ruleset takes a reference of its own; NULL removes the key */
};

/* One flag or segment that does not work, and why. Strings live as long as the ruleset. */
struct ruleset_problem {
	enum item_kind kind;
	const char *key;
	const char *message;
};

struct ruleset;

/*
 * @base may be NULL (empty). STATUS_INVALID for two edits of one key or a removal of what is not
 * there; STATUS_TOO_LARGE over RULESET_MAX_ITEMS. The result has one reference.
 */
MUST_CHECK enum status ruleset_new(const struct ruleset *base, const struct ruleset_edit *edits,
                                   size_t edit_count, struct ruleset **ret, struct error *err);
struct ruleset *ruleset_ref(const struct ruleset *ruleset);
void ruleset_unref(struct ruleset *ruleset); /* accepts NULL */

/* NULL when there is none. ruleset_flag_find() sets @ret_problem (NULL allowed) for one that does not work.
 */
const struct flag *ruleset_flag_find(const struct ruleset *ruleset, const char *key, size_t length,
                                     const char **ret_problem);
const struct segment *ruleset_segment_find(const struct ruleset *ruleset, const char *key, size_t length,
                                           const char **ret_problem);

/* In key order. */
size_t ruleset_flag_count(const struct ruleset *ruleset);
const struct flag *ruleset_flag_at(const struct ruleset *ruleset, size_t index, const char **ret_problem);
size_t ruleset_segment_count(const struct ruleset *ruleset);
const struct segment *ruleset_segment_at(const struct ruleset *ruleset, size_t index,
                                         const char **ret_problem);

/* Everything that does not work. */
size_t ruleset_problem_count(const struct ruleset *ruleset);
const struct ruleset_problem *ruleset_problem_at(const struct ruleset *ruleset, size_t index);

/*
 * BLAKE2b-256 over the lines "halyard-ruleset-v1\n", then per flag in key order
 * "flag <key> <hex digest of its text>\n", then per segment "segment <key> <hex digest>\n".
 */
void ruleset_digest(const struct ruleset *ruleset, uint8_t ret[static FLAG_DIGEST_BYTES]);

/* Sum of the texts' lengths: what a full snapshot holds. */
size_t ruleset_text_bytes(const struct ruleset *ruleset);
