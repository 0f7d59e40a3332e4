/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guards: a word per rule that says "cannot match" without a look at the rule. Private to the engine.
 *
 * A flag's guards stand next to each other, while a rule, its conditions and their values are spread
 * over several cache lines each. A guard stands for one condition of its rule, before which none can
 * end in an error, so that the outcome of the walk is the same with and without guards. The attribute
 * of an evaluation becomes a mask: no bit when it is missing, one bit, by a hash, for a string, all
 * bits otherwise. A guard that has no bit of the mask fails.
 */
#pragma once

#include <stdint.h>
#include <string.h>

struct rule_guard {
	uint64_t bits;
	uint32_t attribute; /* UINT32_MAX: the rule has no guard */
};

#define RULE_GUARD_ALL UINT64_MAX

static inline uint64_t rule_guard_load(const char *bytes, size_t size)
{
	uint64_t value = 0;
	memcpy(&value, bytes, size);
	return value;
}

static inline uint64_t rule_guard_string(const char *string, size_t length)
{
	uint64_t head = 0;
	uint64_t tail = 0;
	if (length >= 8) {
		head = rule_guard_load(string, 8);
		tail = rule_guard_load(string + length - 8, 8);
	} else if (length >= 4) {
		head = rule_guard_load(string, 4);
		tail = rule_guard_load(string + length - 4, 4);
	} else if (length > 0) {
		head = rule_guard_load(string + length / 2, 1);
		tail = rule_guard_load(string, 1) << 8 | rule_guard_load(string + length - 1, 1);
	}
	uint64_t mixed = head ^ (tail << 31 | tail >> 33) ^ length;
	mixed = (mixed ^ mixed >> 32) * UINT64_C(0x9e3779b97f4a7c15);
	return UINT64_C(1) << (mixed >> 58);
}
