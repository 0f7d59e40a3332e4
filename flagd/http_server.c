/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "flagd/http_accept.h"
#include "flagd/http_loop.h"

#define MAX_API_LOOPS 16

/* Descriptors that are left to everything else in the process: store, log, outgoing connections. */
#define DESCRIPTORS_FOR_OTHERS 64

#define CHECK_MAX_MS 2500
#define CHECK_MIN_MS 20
#define TICK_MAX_MS  250

static const char *const method_names[HTTP_METHOD_COUNT] = {
	[HTTP_GET] = "GET",     [HTTP_POST] = "POST",     [HTTP_PUT] = "PUT",
	[HTTP_PATCH] = "PATCH", [HTTP_DELETE] = "DELETE",
};

const char *http_method_name(enum http_method method)
{
	return (unsigned)method < HTTP_METHOD_COUNT ? method_names[method] : "?";
}

/* Raises the limit of descriptors; what it allows is the number of connections that we take. */
static uint32_t descriptors_reserve(uint32_t max_connections)
{
	struct rlimit limit;
	rlim_t wanted = (rlim_t)max_connections + DESCRIPTORS_FOR_OTHERS;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) {
		return max_connections;
	}
	limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
		(void)getrlimit(RLIMIT_NOFILE, &limit);
	}
	if (limit.rlim_cur >= wanted) {
		return max_connections;
	}
	rlim_t rest = limit.rlim_cur > 2 * DESCRIPTORS_FOR_OTHERS ? limit.rlim_cur - DESCRIPTORS_FOR_OTHERS
	                                                          : limit.rlim_cur / 2;
	log_warn("the limit of open files allows fewer connections than configured",
	         LOG_INT("configured", max_connections), LOG_INT("allowed", (int64_t)rest));
	return (uint32_t)rest;
}

static uint32_t min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* A deadline is noticed at most a quarter late. */
static void intervals_choose(struct http_server *server)
{
	const struct http_options *options = &server->options;
	uint32_t shortest = min_u32(min_u32(options->request_deadline_ms, options->idle_timeout_ms),
	                            min_u32(options->heartbeat_ms, options->stream_stall_ms));
	uint32_t check_ms = min_u32(shortest / 4, CHECK_MAX_MS);
	server->check_ms = check_ms < CHECK_MIN_MS ? CHECK_MIN_MS : check_ms;
	server->tick_ms = min_u32(server->check_ms, TICK_MAX_MS);
}

static enum status options_check(const struct http_options *options, struct error *err)
{
	if (options->api_loops < 1 || options->api_loops > MAX_API_LOOPS) {
		return error_fail(err, STATUS_INVALID, "The number of API loops must be 1 to %d",
		                  MAX_API_LOOPS);
	}
	if (options->max_connections == 0 || options->request_deadline_ms == 0 ||
	    options->idle_timeout_ms == 0 || options->heartbeat_ms == 0 || options->stream_stall_ms == 0) {
		return error_fail(err, STATUS_INVALID, "The limits of the HTTP server must not be zero");
	}
	return STATUS_OK;
}

/* Signals are for the main thread; and a broken pipe is an error of write(2), not the end. */
static enum status threads_start(struct http_server *server, struct error *err)
{
	sigset_t all;
	sigset_t before;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	int error = 0;
	for (unsigned i = 0; i < server->loop_count && error == 0; i++) {
		struct http_loop *loop = &server->loops[i];
		error = pthread_create(&loop->thread, NULL, http_loop_run, loop);
		loop->has_thread = error == 0;
	}
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error != 0) {
		return error_fail(err, STATUS_UNAVAILABLE, "Cannot start the HTTP threads: %s",
		                  strerrordesc_np(error));
	}
	return STATUS_OK;
}

static enum status server_start(struct http_server *server, struct error *err)
{
	const struct http_options *options = &server->options;
	enum status status = http_router_new(options->routes, options->route_count, &server->router, err);
	if (status == STATUS_OK) {
		status = http_accept_open(server, err);
	}
	for (unsigned i = 0; i < server->loop_count && status == STATUS_OK; i++) {
		status = http_loop_init(&server->loops[i], server, i < options->api_loops, err);
	}
	return status == STATUS_OK ? threads_start(server, err) : status;
}

enum status http_server_open(const struct http_options *options, struct http_server **ret, struct error *err)
{
	enum status status = options_check(options, err);
	if (status != STATUS_OK) {
		return status;
	}
	struct http_server *server = calloc(1, sizeof(*server));
	struct http_loop *loops = calloc(options->api_loops + 1, sizeof(*loops));
	if (server == NULL || loops == NULL) {
		free(server);
		free(loops);
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory while starting the HTTP server");
	}
	server->options = *options;
	server->listen_fd = -1;
	server->loops = loops;
	server->loop_count = options->api_loops + 1;
	server->stream_loop = &loops[options->api_loops];
	server->max_connections = descriptors_reserve(options->max_connections);
	intervals_choose(server);
	status = server_start(server, err);
	if (status != STATUS_OK) {
		http_server_close(server, 0);
		return status;
	}
	*ret = server;
	return STATUS_OK;
}

uint16_t http_server_port(const struct http_server *server)
{
	return server->port;
}

void http_server_close(struct http_server *server, uint32_t grace_ms)
{
	if (server == NULL) {
		return;
	}
	atomic_store_explicit(&server->close_deadline_ms,
	                      clock_monotonic_ms(server->options.clock) + grace_ms, memory_order_relaxed);
	atomic_store_explicit(&server->is_closing, true, memory_order_release);
	if (server->listen_fd >= 0) {
		/* Who comes now learns at once that nobody is there. */
		(void)shutdown(server->listen_fd, SHUT_RDWR);
	}
	for (unsigned i = 0; i < server->loop_count; i++) {
		if (server->loops[i].has_thread) {
			http_loop_kick(&server->loops[i]);
		}
	}
	for (unsigned i = 0; i < server->loop_count; i++) {
		if (server->loops[i].has_thread) {
			(void)pthread_join(server->loops[i].thread, NULL);
		}
	}
	/* The worker's last call has been answered, but may not have returned yet. */
	while (atomic_load_explicit(&server->running, memory_order_acquire) != 0) {
		(void)sched_yield();
	}
	for (unsigned i = 0; i < server->loop_count; i++) {
		http_loop_deinit(&server->loops[i]);
	}
	if (server->listen_fd >= 0) {
		(void)close(server->listen_fd);
	}
	http_router_free(server->router);
	free(server->loops);
	free(server);
}

void http_wake(struct http_server *server)
{
	for (unsigned i = 0; i < server->loop_count; i++) {
		struct http_loop *loop = &server->loops[i];
		if (!atomic_exchange_explicit(&loop->is_woken, true, memory_order_acq_rel)) {
			http_loop_kick(loop);
		}
	}
}

void http_server_stats(const struct http_server *server, struct http_stats *ret)
{
	*ret = (struct http_stats){
		.connections = atomic_load_explicit(&server->connections, memory_order_relaxed),
		.streams = atomic_load_explicit(&server->streams, memory_order_relaxed),
		.rejected_hygiene = atomic_load_explicit(&server->rejected_hygiene, memory_order_relaxed),
		.reaped = atomic_load_explicit(&server->reaped, memory_order_relaxed),
		.accept_failures = atomic_load_explicit(&server->accept_failures, memory_order_relaxed),
	};
}
