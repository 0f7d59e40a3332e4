/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Immutable set of strings for membership tests: a list compared in turn while small, a hash
 * table beyond. Built once in an arena; read from any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/json.h"

struct string_set;

/* From an array of JSON strings; with @ignore_case both sides are folded (ASCII). NULL: arena full. */
const struct string_set *string_set_build(struct json array, bool ignore_case, struct arena *arena);

bool string_set_contains(const struct string_set *set, const char *string, size_t length);
uint32_t string_set_count(const struct string_set *set);
