/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers of conditions and contexts: compared by value, exactly, whether they are integers or
 * doubles (2^53 + 1 is not 2^53). Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "engine/context.h"

struct match_number {
	bool is_integer;
	union {
		int64_t integer;
		double number; /* not NaN */
	} value;
};

/* False unless it is a number. */
bool match_number_from_json(struct json value, struct match_number *ret);
bool match_number_from_attribute(const struct context_attribute *attribute, struct match_number *ret);

/* <0, 0, >0 */
int match_number_compare(const struct match_number *a, const struct match_number *b);

/* Unix seconds to milliseconds; false outside the years 0000 to 9999. */
bool match_number_to_time(const struct match_number *seconds, int64_t *ret_unix_ms);
