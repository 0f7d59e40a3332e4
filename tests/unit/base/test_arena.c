/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"

static bool is_zero(const void *memory, size_t size)
{
	const unsigned char *bytes = memory;
	for (size_t i = 0; i < size; i++) {
		if (bytes[i] != 0) {
			return false;
		}
	}
	return true;
}

static void memory_is_zeroed_aligned_and_apart(void **state)
{
	(void)state;
	struct arena arena;
	unsigned char *pieces[500];
	arena_init(&arena, 1 << 20);
	for (size_t i = 0; i < 500; i++) {
		pieces[i] = arena_alloc(&arena, i);
		assert_non_null(pieces[i]);
		assert_int_equal((uintptr_t)pieces[i] % alignof(max_align_t), 0);
		assert_true(is_zero(pieces[i], i));
		memset(pieces[i], (int)(i % 255) + 1, i);
	}
	for (size_t i = 0; i < 500; i++) {
		for (size_t j = 0; j < i; j++) {
			assert_int_equal(pieces[i][j], i % 255 + 1);
		}
	}
	arena_deinit(&arena);
}

static void the_maximum_holds(void **state)
{
	(void)state;
	struct arena arena;
	arena_init(&arena, 4096);
	size_t total = 0;
	while (arena_alloc(&arena, 64) != NULL) {
		total += 64;
		assert_true(total <= 4096);
	}
	assert_true(total >= 2048);
	assert_true(arena.total_bytes <= 4096);
	arena_deinit(&arena);

	arena_init(&arena, 1024);
	assert_null(arena_alloc(&arena, 1025));
	assert_non_null(arena_alloc(&arena, 1024));
	assert_null(arena_alloc(&arena, 1));
	arena_deinit(&arena);

	arena_init(&arena, 0);
	assert_null(arena_alloc(&arena, 0));
	arena_deinit(&arena);
}

static void large_pieces_get_blocks_of_their_own(void **state)
{
	(void)state;
	struct arena arena;
	arena_init(&arena, 4 << 20);
	char *small = arena_alloc(&arena, 10);
	char *large = arena_alloc(&arena, 1 << 20);
	assert_non_null(small);
	assert_non_null(large);
	memset(large, 1, 1 << 20);
	assert_true(is_zero(small, 10));
	assert_non_null(arena_alloc(&arena, 10));
	arena_deinit(&arena);
}

static void huge_sizes_fail(void **state)
{
	(void)state;
	static const size_t sizes[] = { SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 15, SIZE_MAX - 31,
		                        SIZE_MAX / 2 + 1 };
	struct arena arena;
	arena_init(&arena, SIZE_MAX);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_null(arena_alloc(&arena, sizes[i]));
	}
	assert_null(arena_alloc_array(&arena, SIZE_MAX / 2, 3));
	assert_null(arena_alloc_array(&arena, 3, SIZE_MAX / 2));
	assert_null(arena_copy_string(&arena, "x", SIZE_MAX));
	assert_non_null(arena_alloc(&arena, 1));
	arena_deinit(&arena);
}

static void arrays_are_zeroed(void **state)
{
	(void)state;
	struct arena arena;
	arena_init(&arena, 100000);
	uint64_t *numbers = arena_alloc_array(&arena, 1000, sizeof(*numbers));
	assert_non_null(numbers);
	assert_true(is_zero(numbers, 8000));
	assert_non_null(arena_alloc_array(&arena, 0, 8));
	assert_non_null(arena_alloc_array(&arena, 8, 0));
	arena_deinit(&arena);
}

static void strings_are_copied_with_a_nul(void **state)
{
	(void)state;
	struct arena arena;
	arena_init(&arena, 1000);
	const char text[] = { 'a', '\0', 'b' };
	char *copy = arena_copy_string(&arena, text, sizeof(text));
	assert_memory_equal(copy, "a\0b", 4);
	assert_string_equal(arena_copy_string(&arena, NULL, 0), "");
	assert_null(arena_copy_string(&arena, text, 5000));
	arena_deinit(&arena);
}

static void reset_keeps_one_block_and_zeroes_it(void **state)
{
	(void)state;
	struct arena arena;
	arena_init(&arena, 10000);
	arena_reset(&arena);
	for (int round = 0; round < 5; round++) {
		char *piece;
		size_t count = 0;
		while ((piece = arena_alloc(&arena, 100)) != NULL) {
			assert_true(is_zero(piece, 100));
			memset(piece, 0xff, 100);
			count++;
		}
		assert_true(count >= 50);
		arena_reset(&arena);
		assert_non_null(arena.blocks);
		assert_true(arena.total_bytes < 1000);
		assert_int_equal(arena.used_bytes, 0);
	}
	arena_deinit(&arena);
}

static void a_zeroed_arena_is_deinitialised(void **state)
{
	(void)state;
	struct arena arena = { 0 };
	arena_deinit(&arena);
	assert_null(arena_alloc(&arena, 1));
	arena_reset(&arena);
	arena_deinit(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_zeroed_aligned_and_apart),
		cmocka_unit_test(the_maximum_holds),
		cmocka_unit_test(large_pieces_get_blocks_of_their_own),
		cmocka_unit_test(huge_sizes_fail),
		cmocka_unit_test(arrays_are_zeroed),
		cmocka_unit_test(strings_are_copied_with_a_nul),
		cmocka_unit_test(reset_keeps_one_block_and_zeroes_it),
		cmocka_unit_test(a_zeroed_arena_is_deinitialised),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
