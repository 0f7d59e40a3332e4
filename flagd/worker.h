/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Worker: one thread that runs deferred requests in order and a tick once a second.
 */
#pragma once

#include "flagd/http.h"

#define WORKER_MAX_QUEUE 4096

struct worker_options {
	void *user;
	void (*run)(void *user, struct http_request *request);
	void (*tick)(void *user);
};

struct worker;

MUST_CHECK enum status worker_start(const struct worker_options *options, struct worker **ret,
                                    struct error *err);

/* Any thread. False when the queue is full or the worker is stopping. */
bool worker_push(struct worker *worker, struct http_request *request);

/* Runs what is queued, then ends the thread and frees. NULL is allowed. */
void worker_stop(struct worker *worker);
