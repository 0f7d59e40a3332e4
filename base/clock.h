/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time as a parameter. Wall time (unix, ms, UTC) may jump and is for people and records; monotonic
 * time (ms since an arbitrary point) is for deadlines and intervals. Code that needs time takes a
 * `const struct clock *`; tests pass one of their own. Thread-safe if its functions are; the
 * system clock is.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct clock {
	int64_t (*wall_ms)(void *user);
	int64_t (*monotonic_ms)(void *user);
	void *user;
};

extern const struct clock clock_system;

static inline int64_t clock_wall_ms(const struct clock *clock)
{
	return clock->wall_ms(clock->user);
}

static inline int64_t clock_monotonic_ms(const struct clock *clock)
{
	return clock->monotonic_ms(clock->user);
}

#define CLOCK_RFC3339_SIZE 32

/* "2026-11-21T09:30:00.125Z"; years 0000 to 9999, others are clamped. */
void clock_rfc3339_format(int64_t unix_ms, char out[static CLOCK_RFC3339_SIZE]);

/*
 * RFC 3339 date-time with Z or an offset and up to nine digits of fraction (cut to ms), or a bare
 * date (midnight UTC). A leap second is the first second of the next day. False for anything else.
 */
bool clock_rfc3339_parse(const char *text, size_t length, int64_t *ret_unix_ms);
