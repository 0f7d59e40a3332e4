/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts the allocations of this program and of the libraries that it uses. Include in the one source
 * file of a test. Under a sanitizer its own hook counts; otherwise malloc() and the like are ours.
 */
#pragma once

#include <stdatomic.h>
#include <stddef.h>

static atomic_size_t heap_allocations;

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define HEAP_IS_SANITIZED 1
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HEAP_IS_SANITIZED 1
#endif

#ifdef HEAP_IS_SANITIZED

int __sanitizer_install_malloc_and_free_hooks(void (*malloc_hook)(const volatile void *, size_t),
                                              void (*free_hook)(const volatile void *));

static void heap_on_malloc(const volatile void *memory, size_t size)
{
	(void)memory;
	(void)size;
	atomic_fetch_add(&heap_allocations, 1);
}

static void heap_on_free(const volatile void *memory)
{
	(void)memory;
}

__attribute__((constructor)) static void heap_install(void)
{
	(void)__sanitizer_install_malloc_and_free_hooks(heap_on_malloc, heap_on_free);
}

#else

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t nmemb, size_t size);
void *__libc_realloc(void *ptr, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

#define HEAP_EXPORT __attribute__((visibility("default"), used))

HEAP_EXPORT void *malloc(size_t size)
{
	atomic_fetch_add(&heap_allocations, 1);
	return __libc_malloc(size);
}

HEAP_EXPORT void *calloc(size_t nmemb, size_t size)
{
	atomic_fetch_add(&heap_allocations, 1);
	return __libc_calloc(nmemb, size);
}

HEAP_EXPORT void *realloc(void *ptr, size_t size)
{
	atomic_fetch_add(&heap_allocations, 1);
	return __libc_realloc(ptr, size);
}

HEAP_EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
	atomic_fetch_add(&heap_allocations, 1);
	return __libc_memalign(alignment, size);
}

#endif
