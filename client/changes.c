/* SPDX-License-Identifier: Apache-2.0 */
#include "client/changes.h"

#include <stdlib.h>
#include <string.h>

static bool is_same_document(const struct item *a, const struct item *b)
{
	return a == b || memcmp(a->digest, b->digest, sizeof(a->digest)) == 0;
}

/* <0: only in @before, >0: only in @after, 0: in both. NULL is behind every key. */
static int key_order(const struct item *before, const struct item *after)
{
	if (before == NULL || after == NULL) {
		return before == NULL ? 1 : -1;
	}
	return before == after ? 0 : strcmp(before->key, after->key);
}

static const struct item *flag_item(const struct ruleset *ruleset, size_t index)
{
	return index < ruleset_flag_count(ruleset) ? &ruleset_flag_at(ruleset, index, NULL)->item : NULL;
}

static const struct item *segment_item(const struct ruleset *ruleset, size_t index)
{
	return index < ruleset_segment_count(ruleset) ? &ruleset_segment_at(ruleset, index, NULL)->item
	                                              : NULL;
}

static bool segments_are_same(const struct ruleset *before, const struct ruleset *after)
{
	size_t count = ruleset_segment_count(before);
	bool is_same = count == ruleset_segment_count(after);
	for (size_t i = 0; i < count && is_same; i++) {
		const struct item *a = segment_item(before, i);
		const struct item *b = segment_item(after, i);
		is_same = key_order(a, b) == 0 && is_same_document(a, b);
	}
	return is_same;
}

/* Walks both lists of flags, which are in key order; @keys NULL: only counts. */
static size_t flags_compare(const struct ruleset *before, const struct ruleset *after, const char **keys)
{
	size_t count = 0;
	size_t i = 0;
	size_t k = 0;
	for (;;) {
		const struct item *a = flag_item(before, i);
		const struct item *b = flag_item(after, k);
		if (a == NULL && b == NULL) {
			return count;
		}
		int order = key_order(a, b);
		i += order <= 0;
		k += order >= 0;
		if (order == 0 && is_same_document(a, b)) {
			continue;
		}
		if (keys != NULL) {
			keys[count] = order <= 0 ? a->key : b->key;
		}
		count++;
	}
}

void changes_init(struct changes *changes, const struct ruleset *before, const struct ruleset *after)
{
	*changes = (struct changes){ 0 };
	if (before == NULL || !segments_are_same(before, after)) {
		return;
	}
	size_t count = flags_compare(before, after, NULL);
	changes->keys = calloc(count + 1, sizeof(*changes->keys));
	if (changes->keys != NULL) {
		changes->count = flags_compare(before, after, changes->keys);
	}
}

void changes_deinit(struct changes *changes)
{
	free(changes->keys);
	*changes = (struct changes){ 0 };
}
