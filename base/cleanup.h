/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scope-bound release (docs/adr/0002): AUTO(x_freep) struct x *x = NULL; transfer with STEAL(x).
 * A declaration always initialises. Never mix with `goto out` in one function.
 */
#pragma once

#define AUTO(function) __attribute__((cleanup(function)))

/* The pointer's value; the pointer becomes NULL. */
#define STEAL(pointer)                                   \
	({                                               \
		__typeof__(pointer) stolen_ = (pointer); \
		(pointer) = NULL;                        \
		stolen_;                                 \
	})

/* Declares x_freep() for AUTO from x_free(). */
// NOLINTBEGIN(bugprone-macro-parentheses): a type cannot stand in parentheses there
#define DEFINE_FREEP(type, free_function)                   \
	static inline void free_function##p(type **pointer) \
	{                                                   \
		free_function(*pointer);                    \
		*pointer = NULL;                            \
	}                                                   \
	_Static_assert(1, "")
// NOLINTEND(bugprone-macro-parentheses)
