/* SPDX-License-Identifier: Apache-2.0 */
#include "client/client.h"

#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "base/clock.h"
#include "client/options.h"

static _Thread_local char open_error[ERROR_MESSAGE_SIZE];

atomic_uint client_fork_generation;

/* ---- Process-wide set-up ---- */

static bool is_process_ready;

static void fork_in_child(void)
{
	urcu_bp_after_fork_child();
	atomic_fetch_add(&client_fork_generation, 1);
}

static void process_init(void)
{
	/* liburcu's locks must be free in a child, and its list of readers must be the child's. */
	is_process_ready = sodium_init() >= 0 && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK &&
	                   pthread_atfork(urcu_bp_before_fork, urcu_bp_after_fork_parent, fork_in_child) == 0;
}

/* ---- Log ---- */

static void log_call(void *user, enum halyard_log_level level, const char *message)
{
	const struct halyard_client *client = user;
	client->settings.log(client->settings.log_user, level, message);
}

void client_log(struct halyard_client *client, enum halyard_log_level level, const char *format, ...)
{
	if (client->settings.log == NULL) {
		return;
	}
	char message[DELIVERY_LOG_BYTES];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	delivery_log(&client->delivery, level, message);
}

/* In the delivery thread. */
static void on_cache(void *user, enum status status, const struct error *err)
{
	struct halyard_client *client = user;
	if (status == STATUS_OLDER) {
		client_log(client, HALYARD_LOG_DEBUG, "The cache is left alone: %s", err->message);
	} else if (status != STATUS_OK) {
		client_log(client, HALYARD_LOG_WARN, "The cache cannot be written: %s", err->message);
	}
}

/* ---- Threads ---- */

struct thread_start {
	struct halyard_client *client;
	enum client_thread which;
};

/* The last thing that a thread does: says so, or frees what nobody waits for any longer. */
static void thread_leave(struct halyard_client *client, enum client_thread which)
{
	pthread_mutex_lock(&client->lock);
	client->is_running[which] = false;
	bool is_last = client->is_abandoned && !client->is_running[CLIENT_NETWORK] &&
	               !client->is_running[CLIENT_DELIVERY];
	pthread_cond_broadcast(&client->changed);
	pthread_mutex_unlock(&client->lock);
	if (is_last) {
		client_free(client);
	}
}

static void *network_main(void *user)
{
	struct halyard_client *client = user;
	worker_run(client);
	thread_leave(client, CLIENT_NETWORK);
	return NULL;
}

static void *delivery_main(void *user)
{
	struct halyard_client *client = user;
	delivery_run(&client->delivery);
	thread_leave(client, CLIENT_DELIVERY);
	return NULL;
}

/* With every signal blocked: the program's handlers run in the program's threads. */
static bool thread_start(struct halyard_client *client, enum client_thread which, void *(*run)(void *))
{
	sigset_t all;
	sigset_t before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	client->is_running[which] = true;
	bool is_started = pthread_create(&client->threads[which], NULL, run, client) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	client->is_started[which] = is_started;
	if (is_started) {
		(void)pthread_setname_np(client->threads[which],
		                         which == CLIENT_NETWORK ? "halyard-net" : "halyard-work");
	} else {
		client->is_running[which] = false;
	}
	return is_started;
}

/* ---- Open and close ---- */

static void client_init(struct halyard_client *client, const struct client_settings *settings,
                        const uint8_t *key)
{
	client->settings = *settings;
	client->stale_after_ms = settings->stale_after_ms;
	client->fork_generation = atomic_load(&client_fork_generation);
	atomic_init(&client->confirmed_ms, CLIENT_NEVER);
	atomic_init(&client->tick_ms, clock_monotonic_ms(&clock_system));
	pthread_mutex_init(&client->lock, NULL);
	pthread_condattr_t attributes;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&client->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	snapshot_store_init(&client->store);
	subscribers_init(&client->subscribers);
	delivery_init(&client->delivery, &client->store, &client->subscribers,
	              settings->has_cache ? &client->cache : NULL);
	client->delivery.on_cache = on_cache;
	client->delivery.on_log = log_call;
	client->delivery.user = client;
	char instance[TELEMETRY_INSTANCE_SIZE];
	(void)snprintf(instance, sizeof(instance), "%08x%08x", randombytes_random(), randombytes_random());
	telemetry_init(&client->telemetry, instance, randombytes_random());
	intake_init(&client->worker.intake, settings->environment, key);
}

void client_free(struct halyard_client *client)
{
	worker_deinit(client);
	telemetry_deinit(&client->telemetry);
	delivery_deinit(&client->delivery);
	subscribers_deinit(&client->subscribers);
	snapshot_store_deinit(&client->store);
	pthread_cond_destroy(&client->changed);
	pthread_mutex_destroy(&client->lock);
	sodium_memzero(client->settings.token, sizeof(client->settings.token));
	free(client);
}

/* Everything but the threads. */
static enum status client_new(const struct halyard_options *given, struct halyard_client **ret,
                              struct error *err)
{
	struct halyard_options options;
	struct client_settings settings;
	uint8_t key[BUNDLE_PUBLIC_KEY_BYTES];
	bool has_key = false;
	struct cache cache = { 0 };
	enum status status = options_copy(given, &options, err);
	if (status == STATUS_OK) {
		status = options_read(&options, &settings, key, &has_key, err);
	}
	if (status == STATUS_OK && settings.has_cache) {
		status = cache_init(&cache, options.cache_dir, settings.environment, err);
	}
	if (status != STATUS_OK) {
		return status;
	}
	struct halyard_client *client = aligned_alloc(_Alignof(struct halyard_client), sizeof(*client));
	if (client == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory");
	}
	memset(client, 0, sizeof(*client));
	client_init(client, &settings, has_key ? key : NULL);
	client->cache = cache;
	status = worker_init(client, err);
	if (status != STATUS_OK) {
		client_free(client);
		return status;
	}
	client_load(client, options.bootstrap_file);
	*ret = client;
	return STATUS_OK;
}

static int open_failed(int result, const char *message)
{
	(void)snprintf(open_error, sizeof(open_error), "%s", message);
	return result;
}

int halyard_open(struct halyard_client **ret_client, const struct halyard_options *options)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, process_init);
	struct error err = ERROR_INIT;
	struct halyard_client *client = NULL;
	open_error[0] = '\0';
	if (ret_client == NULL) {
		return open_failed(HALYARD_E_INVALID, "ret_client is missing");
	}
	if (!is_process_ready) {
		return open_failed(HALYARD_E_MEMORY, "The libraries underneath could not be set up");
	}
	enum status status = client_new(options, &client, &err);
	if (status != STATUS_OK) {
		return open_failed(status == STATUS_INVALID ? HALYARD_E_INVALID : HALYARD_E_MEMORY,
		                   err.message);
	}
	if (!thread_start(client, CLIENT_DELIVERY, delivery_main)) {
		client_free(client);
		return open_failed(HALYARD_E_MEMORY, "No thread could be started");
	}
	if (!thread_start(client, CLIENT_NETWORK, network_main)) {
		halyard_close(client);
		return open_failed(HALYARD_E_MEMORY, "No thread could be started");
	}
	*ret_client = client;
	return HALYARD_OK;
}

const char *halyard_open_error(void)
{
	return open_error;
}

static struct timespec deadline_get(uint32_t timeout_ms)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	long ns = until.tv_nsec + (long)(timeout_ms % 1000) * 1000000;
	until.tv_sec += (time_t)(timeout_ms / 1000) + ns / 1000000000;
	until.tv_nsec = ns % 1000000000;
	return until;
}

int halyard_wait_ready(struct halyard_client *client, uint32_t timeout_ms)
{
	if (client == NULL || client_is_inherited(client)) {
		return HALYARD_E_CLOSED;
	}
	struct timespec until = deadline_get(timeout_ms);
	int result = HALYARD_OK;
	int waited = 0;
	pthread_mutex_lock(&client->lock);
	while (!client->is_ready) {
		if (client->is_closing) {
			result = HALYARD_E_CLOSED;
		} else if (client->is_denied) {
			result = HALYARD_E_DENIED;
		} else if (client->is_untrusted) {
			result = HALYARD_E_UNTRUSTED;
		} else if (waited != 0) {
			result = HALYARD_E_TIMEOUT;
		}
		if (result != HALYARD_OK) {
			break;
		}
		waited = pthread_cond_timedwait(&client->changed, &client->lock, &until);
	}
	pthread_mutex_unlock(&client->lock);
	return result;
}

/*
 * In a child: nothing of the threads may be touched, because nobody knows what they were doing when the process was
 * forked, and the sockets are the parent's. So only what evaluations use is freed, and the token wiped.
 */
static void inherited_free(struct halyard_client *client)
{
	const struct snapshot *current = atomic_load(&client->store.current);
	atomic_store(&client->store.current, NULL);
	snapshot_free((struct snapshot *)current);
	sodium_memzero(client->settings.token, sizeof(client->settings.token));
	free(client);
}

/* Waits for both threads until the deadline. False: they go on, and the last of them frees the client. */
static bool threads_wait(struct halyard_client *client, const struct timespec *until, bool may_abandon)
{
	int waited = 0;
	pthread_mutex_lock(&client->lock);
	while (waited == 0 && (client->is_running[CLIENT_NETWORK] || client->is_running[CLIENT_DELIVERY])) {
		waited = pthread_cond_timedwait(&client->changed, &client->lock, until);
	}
	bool is_done = !client->is_running[CLIENT_NETWORK] && !client->is_running[CLIENT_DELIVERY];
	client->is_abandoned = !is_done && may_abandon;
	pthread_mutex_unlock(&client->lock);
	return is_done;
}

void halyard_close(struct halyard_client *client)
{
	if (client == NULL) {
		return;
	}
	if (client_is_inherited(client)) {
		inherited_free(client);
		return;
	}
	pthread_t threads[CLIENT_THREADS];
	bool was_started[CLIENT_THREADS];
	memcpy(threads, client->threads, sizeof(threads));
	memcpy(was_started, client->is_started, sizeof(was_started));
	pthread_mutex_lock(&client->lock);
	client->is_closing = true;
	pthread_cond_broadcast(&client->changed);
	pthread_mutex_unlock(&client->lock);
	delivery_close(&client->delivery);
	transport_wake(client->worker.transport);
	/* The network is not waited for beyond its time; a callback of the program's is. */
	struct timespec until = deadline_get(CLIENT_CLOSE_MS);
	bool is_done = threads_wait(client, &until, false);
	while (!is_done && delivery_is_calling(&client->delivery)) {
		until = deadline_get(CLIENT_CALLBACK_MS);
		is_done = threads_wait(client, &until, false);
	}
	is_done = is_done || threads_wait(client, &until, true);
	for (int i = 0; i < CLIENT_THREADS; i++) {
		if (was_started[i] && is_done) {
			pthread_join(threads[i], NULL);
		} else if (was_started[i]) {
			pthread_detach(threads[i]);
		}
	}
	if (is_done) {
		client_free(client);
	}
}
