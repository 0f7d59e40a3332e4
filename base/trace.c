/* SPDX-License-Identifier: Apache-2.0 */
#include "base/trace.h"

#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* version "-" trace-id "-" parent-id "-" flags */
#define TRACE_ID_AT      3
#define TRACE_SPAN_AT    36
#define TRACE_FLAGS_AT   53
#define TRACE_V00_LENGTH 55

#define TRACE_POOL_BYTES (16 * TRACE_ID_SIZE)

/*
 * Random bytes ahead, per thread, because asking the kernel for each request's would cost more than
 * reading its body. A fork makes the child's stale: the two must not name different things alike.
 */
static _Thread_local struct {
	unsigned char bytes[TRACE_POOL_BYTES];
	size_t left;
	unsigned generation;
} trace_pool;

static pthread_once_t trace_once = PTHREAD_ONCE_INIT;
static atomic_uint trace_generation = 1;

static void trace_forked(void)
{
	(void)atomic_fetch_add_explicit(&trace_generation, 1, memory_order_relaxed);
}

static void trace_random_init(void)
{
	if (sodium_init() < 0 || pthread_atfork(NULL, NULL, trace_forked) != 0) {
		abort(); /* no randomness or no memory at the start: nothing that needs them can work */
	}
}

static const unsigned char *trace_random_take(size_t count)
{
	unsigned generation = atomic_load_explicit(&trace_generation, memory_order_relaxed);
	if (trace_pool.left < count || trace_pool.generation != generation) {
		(void)pthread_once(&trace_once, trace_random_init);
		randombytes_buf(trace_pool.bytes, sizeof(trace_pool.bytes));
		trace_pool.left = sizeof(trace_pool.bytes);
		trace_pool.generation = generation;
	}
	trace_pool.left -= count;
	return trace_pool.bytes + trace_pool.left;
}

/* @size - 1 random hex digits, not all zero. */
static void trace_random(char *out, size_t size)
{
	size_t count = size / 2;
	const unsigned char *bytes;
	do {
		bytes = trace_random_take(count);
	} while (sodium_is_zero(bytes, count));
	/* Not sodium_bin2hex(): its constant time is for secrets, and this is on every request's way. */
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < count; i++) {
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15];
	}
	out[2 * count] = '\0';
}

static int trace_hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Only lower-case hex digits? Upper-case ones are not allowed. */
static bool trace_is_hex(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (trace_hex_digit(text[i]) < 0) {
			return false;
		}
	}
	return true;
}

static bool trace_is_id(const char *text, size_t length)
{
	return trace_is_hex(text, length) && strspn(text, "0") < length;
}

static bool trace_parent_is_valid(const char *text)
{
	size_t length = strlen(text);
	if (length < TRACE_V00_LENGTH || text[TRACE_ID_AT - 1] != '-' || text[TRACE_SPAN_AT - 1] != '-' ||
	    text[TRACE_FLAGS_AT - 1] != '-') {
		return false;
	}
	if (!trace_is_hex(text, 2) || memcmp(text, "ff", 2) == 0) {
		return false;
	}
	/* Version 00 ends here; a later one may go on behind a dash. */
	bool is_version_00 = memcmp(text, "00", 2) == 0;
	if (length > TRACE_V00_LENGTH && (is_version_00 || text[TRACE_V00_LENGTH] != '-')) {
		return false;
	}
	return trace_is_id(text + TRACE_ID_AT, TRACE_ID_SIZE - 1) &&
	       trace_is_id(text + TRACE_SPAN_AT, TRACE_SPAN_SIZE - 1) &&
	       trace_is_hex(text + TRACE_FLAGS_AT, 2);
}

void trace_start(struct trace *ret, const char *traceparent)
{
	*ret = (struct trace){ .is_sampled = true };
	trace_random(ret->span, sizeof(ret->span));
	if (traceparent == NULL || !trace_parent_is_valid(traceparent)) {
		trace_random(ret->id, sizeof(ret->id));
		return;
	}
	memcpy(ret->id, traceparent + TRACE_ID_AT, TRACE_ID_SIZE - 1);
	memcpy(ret->parent_span, traceparent + TRACE_SPAN_AT, TRACE_SPAN_SIZE - 1);
	ret->is_sampled = (trace_hex_digit(traceparent[TRACE_FLAGS_AT + 1]) & 1) != 0;
}

void trace_format(const struct trace *trace, char out[static TRACE_PARENT_SIZE])
{
	memcpy(out, "00-", TRACE_ID_AT);
	memcpy(out + TRACE_ID_AT, trace->id, TRACE_ID_SIZE - 1);
	out[TRACE_SPAN_AT - 1] = '-';
	memcpy(out + TRACE_SPAN_AT, trace->span, TRACE_SPAN_SIZE - 1);
	memcpy(out + TRACE_FLAGS_AT - 1, trace->is_sampled ? "-01" : "-00",
	       TRACE_PARENT_SIZE - TRACE_FLAGS_AT + 1);
}
