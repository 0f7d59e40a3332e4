/* SPDX-License-Identifier: Apache-2.0 */
#include "client/subscribers.h"

#include <stdlib.h>

struct subscriber {
	struct subscriber *next;
	uint64_t id;
	subscriber_callback *callback;
	void *user;
};

void subscribers_init(struct subscribers *subscribers)
{
	*subscribers = (struct subscribers){ 0 };
	pthread_mutex_init(&subscribers->lock, NULL);
	pthread_cond_init(&subscribers->returned, NULL);
}

void subscribers_deinit(struct subscribers *subscribers)
{
	while (subscribers->first != NULL) {
		struct subscriber *next = subscribers->first->next;
		free(subscribers->first);
		subscribers->first = next;
	}
	pthread_cond_destroy(&subscribers->returned);
	pthread_mutex_destroy(&subscribers->lock);
}

uint64_t subscribers_add(struct subscribers *subscribers, subscriber_callback *callback, void *user)
{
	struct subscriber *subscriber = malloc(sizeof(*subscriber));
	if (subscriber == NULL) {
		return 0;
	}
	*subscriber = (struct subscriber){ .callback = callback, .user = user };
	pthread_mutex_lock(&subscribers->lock);
	subscriber->id = ++subscribers->last_id;
	uint64_t id = subscriber->id;
	struct subscriber **end = &subscribers->first;
	while (*end != NULL) {
		end = &(*end)->next;
	}
	*end = subscriber;
	pthread_mutex_unlock(&subscribers->lock);
	return id;
}

void subscribers_remove(struct subscribers *subscribers, uint64_t id)
{
	struct subscriber *removed = NULL;
	pthread_mutex_lock(&subscribers->lock);
	struct subscriber **link = &subscribers->first;
	while (*link != NULL && (*link)->id != id) {
		link = &(*link)->next;
	}
	if (*link != NULL) {
		removed = *link;
		*link = removed->next;
	}
	while (id != 0 && subscribers->running_id == id &&
	       !pthread_equal(subscribers->runner, pthread_self())) {
		pthread_cond_wait(&subscribers->returned, &subscribers->lock);
	}
	pthread_mutex_unlock(&subscribers->lock);
	free(removed);
}

bool subscribers_is_empty(struct subscribers *subscribers)
{
	pthread_mutex_lock(&subscribers->lock);
	bool is_empty = subscribers->first == NULL;
	pthread_mutex_unlock(&subscribers->lock);
	return is_empty;
}

void subscribers_notify(struct subscribers *subscribers, const struct halyard_change *change)
{
	uint64_t done_id = 0;
	pthread_mutex_lock(&subscribers->lock);
	for (;;) {
		/* The list may have changed while no lock was held: look for the next id from the start. */
		const struct subscriber *next = subscribers->first;
		while (next != NULL && next->id <= done_id) {
			next = next->next;
		}
		if (next == NULL) {
			break;
		}
		const struct subscriber call = *next;
		done_id = call.id;
		subscribers->running_id = call.id;
		subscribers->runner = pthread_self();
		pthread_mutex_unlock(&subscribers->lock);
		call.callback(call.user, change);
		pthread_mutex_lock(&subscribers->lock);
		subscribers->running_id = 0;
		pthread_cond_broadcast(&subscribers->returned);
	}
	pthread_mutex_unlock(&subscribers->lock);
}
