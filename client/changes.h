/* SPDX-License-Identifier: Apache-2.0 */
/* Which flags differ between two rulesets. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "engine/ruleset.h"

struct changes {
	const char **keys; /* borrowed from the two rulesets; NULL: any flag may differ */
	size_t count;
};

/*
 * Any flag may differ when @before is NULL, when a segment differs, or when memory for the list ran out. keys is never
 * NULL for a list, even an empty one.
 */
void changes_init(struct changes *changes, const struct ruleset *before, const struct ruleset *after);
void changes_deinit(struct changes *changes);
