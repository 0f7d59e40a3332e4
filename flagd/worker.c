/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/worker.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct worker {
	struct worker_options options;
	pthread_t thread;
	pthread_mutex_t lock; /* protects what follows */
	pthread_cond_t changed;
	bool is_stopping;
	size_t head, count; /* ring */
	struct http_request *queue[WORKER_MAX_QUEUE];
};

static void deadline_set(struct timespec *deadline, int seconds)
{
	(void)clock_gettime(CLOCK_MONOTONIC, deadline);
	deadline->tv_sec += seconds;
}

/* The next request, or NULL: time for a tick. *ret_stop when there is nothing left to do. */
static struct http_request *worker_next(struct worker *worker, const struct timespec *tick, bool *ret_stop)
{
	struct http_request *request = NULL;
	(void)pthread_mutex_lock(&worker->lock);
	int waited = 0;
	while (worker->count == 0 && !worker->is_stopping && waited == 0) {
		waited = pthread_cond_timedwait(&worker->changed, &worker->lock, tick);
	}
	if (worker->count > 0) {
		request = worker->queue[worker->head];
		worker->head = (worker->head + 1) % WORKER_MAX_QUEUE;
		worker->count--;
	}
	*ret_stop = request == NULL && worker->is_stopping;
	(void)pthread_mutex_unlock(&worker->lock);
	return request;
}

static void *worker_main(void *argument)
{
	struct worker *worker = argument;
	struct timespec tick;
	deadline_set(&tick, 1);
	for (;;) {
		bool stop = false;
		struct http_request *request = worker_next(worker, &tick, &stop);
		if (stop) {
			return NULL;
		}
		if (request != NULL) {
			worker->options.run(worker->options.user, request);
		}
		struct timespec now;
		deadline_set(&now, 0);
		if (now.tv_sec > tick.tv_sec || (now.tv_sec == tick.tv_sec && now.tv_nsec >= tick.tv_nsec)) {
			worker->options.tick(worker->options.user);
			deadline_set(&tick, 1);
		}
	}
}

enum status worker_start(const struct worker_options *options, struct worker **ret, struct error *err)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	if (worker == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory while starting the worker");
	}
	worker->options = *options;
	(void)pthread_mutex_init(&worker->lock, NULL);
	pthread_condattr_t attributes;
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&worker->changed, &attributes);
	(void)pthread_condattr_destroy(&attributes);
	/* Signals are for the main thread. */
	sigset_t all;
	sigset_t before;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	int failed = pthread_create(&worker->thread, NULL, worker_main, worker);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failed != 0) {
		(void)pthread_cond_destroy(&worker->changed);
		(void)pthread_mutex_destroy(&worker->lock);
		free(worker);
		return error_fail(err, STATUS_UNAVAILABLE, "The worker thread cannot be started");
	}
	*ret = worker;
	return STATUS_OK;
}

bool worker_push(struct worker *worker, struct http_request *request)
{
	(void)pthread_mutex_lock(&worker->lock);
	bool fits = worker->count < WORKER_MAX_QUEUE && !worker->is_stopping;
	if (fits) {
		worker->queue[(worker->head + worker->count) % WORKER_MAX_QUEUE] = request;
		worker->count++;
		(void)pthread_cond_signal(&worker->changed);
	}
	(void)pthread_mutex_unlock(&worker->lock);
	return fits;
}

void worker_stop(struct worker *worker)
{
	if (worker == NULL) {
		return;
	}
	(void)pthread_mutex_lock(&worker->lock);
	worker->is_stopping = true;
	(void)pthread_cond_signal(&worker->changed);
	(void)pthread_mutex_unlock(&worker->lock);
	(void)pthread_join(worker->thread, NULL);
	(void)pthread_cond_destroy(&worker->changed);
	(void)pthread_mutex_destroy(&worker->lock);
	free(worker);
}
