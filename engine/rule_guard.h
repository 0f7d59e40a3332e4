/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guards: which rules cannot match, without a look at them. Private to the engine.
 *
 * Most rules do not match most users, and a rule, its conditions and their values are spread over
 * several cache lines each. A flag's guards stand together, one for each attribute. The attribute's value
 * in a context becomes a mask: no bit when it is missing, one bit, by a hash, for a string, all bits
 * otherwise. A rule whose bits have none of the mask's cannot match.
 *
 * A guard stands for a condition of its rule before which none can end in an error, so that evaluation
 * comes to the same with and without guards.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct guarded_rule {
	uint64_t bits;
	uint32_t rule; /* index */
};

struct rule_guard {
	const char *name;                 /* of the attribute */
	uint64_t bits;                    /* of all its rules */
	const struct guarded_rule *rules; /* in the flag's order */
	uint32_t rule_count;
	bool is_key; /* the attribute is FLAG_KEY_ATTRIBUTE */
};

#define RULE_GUARD_ALL UINT64_MAX

static inline uint64_t rule_guard_load(const char *bytes, size_t size)
{
	uint64_t value = 0;
	memcpy(&value, bytes, size);
	return value;
}

/* The mask of a string. */
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
