/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_FIRST_BLOCK_BYTES 512
#define ARENA_MAX_BLOCK_BYTES   (256 * 1024)

struct arena_block {
	struct arena_block *older;
	size_t size; /* of bytes[] */
	alignas(max_align_t) unsigned char bytes[];
};

void arena_init(struct arena *arena, size_t max_bytes)
{
	*arena = (struct arena){ .max_bytes = max_bytes };
}

static void arena_blocks_free(struct arena_block *block)
{
	while (block != NULL) {
		struct arena_block *older = block->older;
		free(block);
		block = older;
	}
}

void arena_deinit(struct arena *arena)
{
	arena_blocks_free(arena->blocks);
	*arena = (struct arena){ 0 };
}

void arena_reset(struct arena *arena)
{
	struct arena_block *oldest = arena->blocks;
	while (oldest != NULL && oldest->older != NULL) {
		struct arena_block *older = oldest->older;
		free(oldest);
		oldest = older;
	}
	if (oldest != NULL) {
		memset(oldest->bytes, 0, oldest->size);
		arena->total_bytes = oldest->size;
	}
	arena->blocks = oldest;
	arena->used_bytes = 0;
}

static void *arena_block_add(struct arena *arena, size_t size)
{
	size_t block_size = arena->blocks == NULL ? ARENA_FIRST_BLOCK_BYTES : arena->blocks->size * 2;
	if (block_size > ARENA_MAX_BLOCK_BYTES) {
		block_size = ARENA_MAX_BLOCK_BYTES;
	}
	if (block_size < size) {
		block_size = size;
	}
	if (block_size > arena->max_bytes - arena->total_bytes) {
		block_size = arena->max_bytes - arena->total_bytes;
		if (block_size < size) {
			return NULL;
		}
	}
	struct arena_block *block = calloc(1, sizeof(*block) + block_size);
	if (block == NULL) {
		return NULL;
	}
	block->older = arena->blocks;
	block->size = block_size;
	arena->blocks = block;
	arena->total_bytes += block_size;
	arena->used_bytes = size;
	return block->bytes;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	const size_t align = alignof(max_align_t);
	if (size > SIZE_MAX / 2) {
		return NULL;
	}
	size = (size + align - 1) & ~(align - 1);
	if (size == 0) {
		size = align;
	}
	if (arena->blocks != NULL && size <= arena->blocks->size - arena->used_bytes) {
		void *memory = arena->blocks->bytes + arena->used_bytes;
		arena->used_bytes += size;
		return memory;
	}
	return arena_block_add(arena, size);
}

void *arena_alloc_array(struct arena *arena, size_t count, size_t size)
{
	if (size != 0 && count > SIZE_MAX / size) {
		return NULL;
	}
	return arena_alloc(arena, count * size);
}

char *arena_copy_string(struct arena *arena, const char *bytes, size_t length)
{
	char *copy = length < SIZE_MAX ? arena_alloc(arena, length + 1) : NULL;
	if (copy != NULL && length > 0) {
		memcpy(copy, bytes, length);
	}
	return copy;
}
