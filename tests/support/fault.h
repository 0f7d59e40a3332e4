/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lets the n-th allocation of the code under test fail. Include in the one source file of a test that is
 * linked with -Wl,--wrap for malloc, calloc, realloc and free; what shared libraries allocate is
 * not seen. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void __wrap_free(void *memory);

static struct {
	size_t countdown; /* the allocation that brings it to 0 fails; 0: none does */
	bool has_failed;
	long held; /* allocations that were not freed yet */
} fault;

static bool fault_is_due(void)
{
	if (fault.countdown == 0 || --fault.countdown > 0) {
		return false;
	}
	fault.has_failed = true;
	return true;
}

void *__wrap_malloc(size_t size)
{
	void *memory = fault_is_due() ? NULL : __real_malloc(size);
	fault.held += memory != NULL;
	return memory;
}

void *__wrap_calloc(size_t count, size_t size)
{
	void *memory = fault_is_due() ? NULL : __real_calloc(count, size);
	fault.held += memory != NULL;
	return memory;
}

void *__wrap_realloc(void *memory, size_t size)
{
	if (fault_is_due()) {
		return NULL;
	}
	void *moved = __real_realloc(memory, size);
	fault.held += memory == NULL && moved != NULL;
	return moved;
}

void __wrap_free(void *memory)
{
	fault.held -= memory != NULL;
	__real_free(memory);
}

/* Lets allocation @number, counted from 1, fail from here on. */
static inline void fault_set(size_t number)
{
	fault.countdown = number;
	fault.has_failed = false;
}

/* Ends it; was there a failure? */
static inline bool fault_end(void)
{
	fault.countdown = 0;
	return fault.has_failed;
}
