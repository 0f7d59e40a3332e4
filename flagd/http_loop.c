/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/http_loop.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "flagd/http_accept.h"
#include "flagd/http_connection.h"
#include "flagd/http_exchange.h"
#include "flagd/http_response.h"
#include "flagd/http_stream.h"

#define LOOP_EVENTS 128

/*
 * Memory of a connection in libmicrohttpd: request head and answer's head have to fit. It is zeroed
 * for every request, so more costs time. Streams are many and their heads are short.
 */
#define API_CONNECTION_BYTES    (8 * 1024)
#define STREAM_CONNECTION_BYTES (4 * 1024)

/*
 * libmicrohttpd reports "busy" for a connection whose buffer is full of what is not yet a whole chunk
 * line. After so many rounds without any progress the loop waits a little before it asks again.
 */
#define BUSY_ROUNDS  64
#define BUSY_WAIT_MS 2

bool http_loop_watch(struct http_loop *loop, int fd, uint32_t events, struct http_source *source)
{
	struct epoll_event event = { .events = events, .data.ptr = source };
	return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

void http_loop_kick(struct http_loop *loop)
{
	/* Fails only when the counter is full: then the loop is awake. */
	while (eventfd_write(loop->event_fd, 1) != 0 && errno == EINTR) {
	}
}

/* ---- libmicrohttpd's daemon ---- */

/* Paths are decoded by us, once. */
static size_t unescape_nothing(void *user, struct MHD_Connection *mhd, char *text)
{
	(void)user;
	(void)mhd;
	return strlen(text);
}

static void mhd_log(void *user, const char *format, va_list args)
{
	(void)user;
	(void)format;
	(void)args;
}

static enum status daemon_start(struct http_loop *loop, bool is_api, struct error *err)
{
	size_t bytes = is_api ? API_CONNECTION_BYTES : STREAM_CONNECTION_BYTES;
	/* Not strict for clients: the hygiene is, and answers instead of just closing. */
	loop->daemon = MHD_start_daemon(
	        MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0,
	        NULL, NULL, http_exchange_handle, loop, MHD_OPTION_EXTERNAL_LOGGER, mhd_log, NULL,
	        MHD_OPTION_NOTIFY_CONNECTION, http_connection_notify, loop, MHD_OPTION_NOTIFY_COMPLETED,
	        http_exchange_completed, loop, MHD_OPTION_URI_LOG_CALLBACK, http_exchange_line, loop,
	        MHD_OPTION_UNESCAPE_CALLBACK, unescape_nothing, NULL, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
	        bytes, MHD_OPTION_CONNECTION_LIMIT, loop->server->max_connections,
	        MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
	if (loop->daemon == NULL) {
		return error_fail(err, STATUS_UNAVAILABLE, "Cannot start an HTTP loop: %s",
		                  strerrordesc_np(errno));
	}
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(loop->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	if (info == NULL || !http_loop_watch(loop, info->epoll_fd, EPOLLIN, &loop->mhd_source)) {
		return error_fail(err, STATUS_UNAVAILABLE, "Cannot watch the connections of an HTTP loop");
	}
	return STATUS_OK;
}

enum status http_loop_init(struct http_loop *loop, struct http_server *server, bool is_api, struct error *err)
{
	const struct http_options *options = &server->options;
	loop->server = server;
	loop->mhd_source.kind = HTTP_SOURCE_MHD;
	loop->event_source.kind = HTTP_SOURCE_EVENT;
	loop->listen_source.kind = HTTP_SOURCE_LISTEN;
	loop->now_ms = clock_monotonic_ms(options->clock);
	loop->slot_number = loop->now_ms / server->tick_ms;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	loop->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	loop->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (loop->epoll_fd < 0 || loop->event_fd < 0 || loop->reserve_fd < 0 ||
	    !http_loop_watch(loop, loop->event_fd, EPOLLIN, &loop->event_source)) {
		return error_fail(err, STATUS_UNAVAILABLE, "Cannot make an HTTP loop: %s",
		                  strerrordesc_np(errno));
	}
	if (!http_response_init(loop)) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory while starting an HTTP loop");
	}
	randombytes_buf(&loop->random_state, sizeof(loop->random_state));
	enum status status = daemon_start(loop, is_api, err);
	if (status != STATUS_OK) {
		return status;
	}
	if (is_api) {
		http_accept_start(loop);
		if (!loop->is_listening) {
			return error_fail(err, STATUS_UNAVAILABLE, "Cannot watch the listen socket: %s",
			                  strerrordesc_np(errno));
		}
	}
	if (options->app_loop_new != NULL) {
		loop->app = options->app_loop_new(options->app);
		if (loop->app == NULL) {
			return error_fail(err, STATUS_NO_MEMORY, "Out of memory while starting an HTTP loop");
		}
	}
	return STATUS_OK;
}

static void fd_close(int fd)
{
	if (fd >= 0) {
		(void)close(fd);
	}
}

void http_loop_deinit(struct http_loop *loop)
{
	if (loop->server == NULL) {
		return;
	}
	if (loop->daemon != NULL) {
		MHD_stop_daemon(loop->daemon);
	}
	loop->is_draining = true;
	http_accept_inbox(loop);
	http_exchange_pool_deinit(loop);
	http_response_deinit(loop);
	if (loop->app != NULL && loop->server->options.app_loop_free != NULL) {
		loop->server->options.app_loop_free(loop->server->options.app, loop->app);
	}
	fd_close(loop->epoll_fd);
	fd_close(loop->event_fd);
	fd_close(loop->reserve_fd);
	*loop = (struct http_loop){ 0 };
}

/* ---- The rounds ---- */

static void drain_begin(struct http_loop *loop)
{
	loop->is_draining = true;
	http_accept_stop(loop);
	http_stream_end_all(loop);
}

static void event_take(struct http_loop *loop)
{
	eventfd_t count;
	(void)eventfd_read(loop->event_fd, &count);
	http_accept_inbox(loop);
	http_exchange_finish_all(loop);
	if (atomic_exchange_explicit(&loop->is_woken, false, memory_order_acquire)) {
		http_response_drop_blobs(loop);
		http_stream_wake_all(loop);
	}
	if (!loop->is_draining && atomic_load_explicit(&loop->server->is_closing, memory_order_acquire)) {
		drain_begin(loop);
	}
}

static void event_dispatch(struct http_loop *loop, const struct epoll_event *event)
{
	struct http_source *source = event->data.ptr;
	switch (source->kind) {
	case HTTP_SOURCE_MHD:
		loop->is_mhd_ready = true;
		break;
	case HTTP_SOURCE_EVENT:
		event_take(loop);
		break;
	case HTTP_SOURCE_LISTEN:
		http_accept_ready(loop);
		break;
	case HTTP_SOURCE_CONNECTION: {
		struct http_connection *connection = (struct http_connection *)source;
		if (connection->phase == HTTP_PHASE_WAITING) {
			http_accept_first_bytes(connection);
		} else if (connection->phase == HTTP_PHASE_LINGERING) {
			http_connection_linger(connection);
		} else {
			http_stream_event(connection, event->events);
		}
		break;
	}
	}
}

/* Nothing is in flight any more, or the time is up; the worker has to give back what it has. */
static bool drain_is_over(const struct http_loop *loop)
{
	if (!loop->is_draining || loop->worker_count > 0) {
		return false;
	}
	return (loop->exchanges == NULL && loop->streams == NULL) ||
	       loop->now_ms >= atomic_load_explicit(&loop->server->close_deadline_ms, memory_order_relaxed);
}

static int wait_ms(struct http_loop *loop, unsigned busy_rounds)
{
	MHD_UNSIGNED_LONG_LONG mhd_ms;
	if (MHD_get_timeout(loop->daemon, &mhd_ms) == MHD_YES && mhd_ms == 0) {
		loop->is_mhd_ready = true;
		return busy_rounds > BUSY_ROUNDS ? BUSY_WAIT_MS : 0;
	}
	if (loop->is_mhd_ready) {
		return 0; /* resumed connections, of which libmicrohttpd's timeout knows nothing */
	}
	bool is_timed = loop->timer_count > 0 || loop->listen_again_ms != 0 || loop->is_draining;
	if (!is_timed) {
		return -1;
	}
	int64_t next_ms = (loop->now_ms / loop->server->tick_ms + 1) * loop->server->tick_ms;
	return (int)(next_ms - loop->now_ms);
}

/* One batch of events, then what is due, then libmicrohttpd. */
static void round_run(struct http_loop *loop, int timeout_ms)
{
	struct epoll_event events[LOOP_EVENTS];
	int count = epoll_wait(loop->epoll_fd, events, LOOP_EVENTS, timeout_ms);
	loop->now_ms = clock_monotonic_ms(loop->server->options.clock);
	for (int i = 0; i < count; i++) {
		event_dispatch(loop, &events[i]);
	}
	if (loop->listen_again_ms != 0 && loop->now_ms >= loop->listen_again_ms) {
		http_accept_start(loop);
	}
	http_timer_run(loop);
	if (loop->is_mhd_ready) {
		loop->is_mhd_ready = false;
		(void)MHD_run(loop->daemon);
	}
}

void *http_loop_run(void *loop_pointer)
{
	struct http_loop *loop = loop_pointer;
	unsigned busy_rounds = 0;
	while (!drain_is_over(loop)) {
		uint64_t progress = loop->progress;
		int timeout_ms = wait_ms(loop, busy_rounds);
		round_run(loop, timeout_ms);
		bool has_waited = timeout_ms < 0 || timeout_ms > BUSY_WAIT_MS;
		busy_rounds = has_waited || loop->progress != progress ? 0 : busy_rounds + 1;
	}
	http_connection_drop_all(loop);
	http_stream_cut_all(loop);
	MHD_stop_daemon(loop->daemon);
	loop->daemon = NULL;
	return NULL;
}
