/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who wants to hear of changes.
 *
 * Callbacks run in the one thread that calls subscribers_notify(), without a lock held. Subscribing
 * and unsubscribing work from any thread and from within a callback.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/include/halyard/halyard.h"

typedef void subscriber_callback(void *user, const struct halyard_change *change);

struct subscriber;

struct subscribers {
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t returned;
	struct subscriber *first; /* by id */
	uint64_t last_id;
	uint64_t running_id; /* whose callback is running; 0: none */
	pthread_t runner;    /* the thread that runs it */
};

void subscribers_init(struct subscribers *subscribers);
void subscribers_deinit(struct subscribers *subscribers);

/* 0: out of memory. */
uint64_t subscribers_add(struct subscribers *subscribers, subscriber_callback *callback, void *user);

/* Waits for the callback when it is running, unless it is the caller. An unknown id is allowed. */
void subscribers_remove(struct subscribers *subscribers, uint64_t id);

bool subscribers_is_empty(struct subscribers *subscribers);

/* Calls each in the order of subscription. */
void subscribers_notify(struct subscribers *subscribers, const struct halyard_change *change);
