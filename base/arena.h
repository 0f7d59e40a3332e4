/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arena: many small allocations with one life and one free.
 *
 * Memory is zeroed, aligned for any type, never moves and is returned only by arena_deinit() or
 * arena_reset(). The maximum is mandatory. Allocation returns NULL when it is reached or memory
 * runs out. One thread at a time; once nobody allocates any more, any thread may read.
 */
#pragma once

#include <stddef.h>

struct arena_block;

struct arena {
	struct arena_block *blocks; /* newest first */
	size_t used_bytes;          /* of the newest block */
	size_t total_bytes;         /* of all blocks */
	size_t max_bytes;
};

void arena_init(struct arena *arena, size_t max_bytes);
void arena_deinit(struct arena *arena); /* accepts a zeroed arena */

/* Forgets every allocation but keeps the oldest block for reuse. */
void arena_reset(struct arena *arena);

__attribute__((malloc, alloc_size(2))) void *arena_alloc(struct arena *arena, size_t size);

/* Zeroed array; NULL also when count * size overflows. */
void *arena_alloc_array(struct arena *arena, size_t count, size_t size);

/* Copy of @length bytes with a NUL behind them. */
char *arena_copy_string(struct arena *arena, const char *bytes, size_t length);
