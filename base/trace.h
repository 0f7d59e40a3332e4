/* SPDX-License-Identifier: Apache-2.0 */
/*
 * W3C Trace Context, level 1: reads and writes `traceparent`.
 *
 * A bad header starts a new trace, as the recommendation asks, which is sampled; nothing here fails.
 * Randomness comes from libsodium, a few traces' worth at a time and per thread. Pure values,
 * thread-safe, also after a fork.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define TRACE_ID_SIZE     33 /* 32 lower-case hex digits and NUL */
#define TRACE_SPAN_SIZE   17
#define TRACE_PARENT_SIZE 56

struct trace {
	char id[TRACE_ID_SIZE];
	char span[TRACE_SPAN_SIZE];        /* ours */
	char parent_span[TRACE_SPAN_SIZE]; /* the caller's, "" when we started the trace */
	bool is_sampled;
};

/* Continues the trace of @traceparent (NULL allowed) with a new span, or starts one. */
void trace_start(struct trace *ret, const char *traceparent);

/* "00-<id>-<span>-01" */
void trace_format(const struct trace *trace, char out[static TRACE_PARENT_SIZE]);
