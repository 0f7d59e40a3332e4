/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/http_connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "flagd/http_exchange.h"
#include "flagd/http_stream.h"

/*
 * Bytes that came this much later than the end of the last request belong to the next one. Covers the
 * age of loop->now_ms and the kernel's coarser clock.
 */
#define IDLE_SLACK_MS 50

/* How long a refused peer may go on sending. */
#define LINGER_MS 1000

/* ---- Timer ---- */

static void timer_insert(struct http_connection *connection, int64_t slot_number)
{
	struct http_loop *loop = connection->loop;
	struct http_connection **slot = &loop->slots[slot_number & (HTTP_TIMER_SLOTS - 1)];
	connection->next = *slot;
	if (connection->next != NULL) {
		connection->next->prev_link = &connection->next;
	}
	connection->prev_link = slot;
	*slot = connection;
	loop->timer_count++;
}

void http_timer_start(struct http_connection *connection, uint32_t delay_ms)
{
	struct http_loop *loop = connection->loop;
	http_timer_stop(connection);
	connection->check_ms = loop->now_ms + delay_ms;
	int64_t slot_number = connection->check_ms / loop->server->tick_ms + 1;
	if (slot_number < loop->slot_number) {
		slot_number = loop->slot_number;
	}
	timer_insert(connection, slot_number);
}

void http_timer_stop(struct http_connection *connection)
{
	if (connection->prev_link == NULL) {
		return;
	}
	*connection->prev_link = connection->next;
	if (connection->next != NULL) {
		connection->next->prev_link = connection->prev_link;
	}
	connection->prev_link = NULL;
	connection->next = NULL;
	connection->loop->timer_count--;
}

static void connection_check(struct http_connection *connection);
static void connection_drop(struct http_connection *connection);

static void slot_run(struct http_loop *loop, int64_t slot_number)
{
	struct http_connection *due = loop->slots[slot_number & (HTTP_TIMER_SLOTS - 1)];
	loop->slots[slot_number & (HTTP_TIMER_SLOTS - 1)] = NULL;
	if (due != NULL) {
		due->prev_link = &due;
	}
	while (due != NULL) {
		struct http_connection *connection = due;
		http_timer_stop(connection);
		if (connection->check_ms <= loop->now_ms) {
			connection_check(connection);
		} else {
			/* A later turn of the wheel. */
			timer_insert(connection, connection->check_ms / loop->server->tick_ms + 1);
		}
	}
}

void http_timer_run(struct http_loop *loop)
{
	int64_t current = loop->now_ms / loop->server->tick_ms;
	if (current - loop->slot_number >= HTTP_TIMER_SLOTS) {
		loop->slot_number = current - HTTP_TIMER_SLOTS + 1; /* slept for more than a turn */
	}
	while (loop->slot_number <= current) {
		slot_run(loop, loop->slot_number++);
	}
}

/* ---- Deadlines ---- */

void http_connection_cut(struct http_connection *connection)
{
	if (!connection->is_cut) {
		connection->is_cut = true;
		(void)shutdown(connection->fd, SHUT_RDWR);
	}
}

static void connection_reap(struct http_connection *connection)
{
	(void)atomic_fetch_add_explicit(&connection->loop->server->reaped, 1, memory_order_relaxed);
	if (connection->phase == HTTP_PHASE_WAITING) {
		connection_drop(connection);
	} else {
		http_connection_cut(connection);
	}
}

/* When the peer last sent something, by the kernel; INT64_MIN when it does not say. */
static int64_t last_received_ms(const struct http_connection *connection)
{
	struct tcp_info info;
	socklen_t size = sizeof(info);
	if (getsockopt(connection->fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) {
		return INT64_MIN;
	}
	return connection->loop->now_ms - info.tcpi_last_data_recv;
}

/*
 * True when it has to go. libmicrohttpd does not say when the first byte of a request came; the kernel says
 * when the last one did. Once a byte is newer than the last answer, a request is arriving.
 */
static bool reading_is_over(struct http_connection *connection)
{
	const struct http_loop *loop = connection->loop;
	const struct http_options *options = &loop->server->options;
	if (connection->answers != connection->answers_checked) {
		connection->answers_checked = connection->answers;
		if (connection->exchange == NULL) {
			return false;
		}
	}
	if (connection->arriving_ms == 0) {
		int64_t last = last_received_ms(connection);
		if (last > connection->idle_ms + IDLE_SLACK_MS) {
			connection->arriving_ms = last;
		}
	}
	if (connection->arriving_ms != 0) {
		return loop->now_ms - connection->arriving_ms >= options->request_deadline_ms;
	}
	return loop->now_ms - connection->idle_ms >= options->idle_timeout_ms;
}

static void connection_check(struct http_connection *connection)
{
	struct http_loop *loop = connection->loop;
	const struct http_options *options = &loop->server->options;
	bool is_over = false;
	switch (connection->phase) {
	case HTTP_PHASE_WAITING:
		is_over = connection->arriving_ms != 0
		                  ? loop->now_ms - connection->arriving_ms >= options->request_deadline_ms
		                  : loop->now_ms - connection->idle_ms >= options->idle_timeout_ms;
		break;
	case HTTP_PHASE_READING:
		is_over = reading_is_over(connection);
		break;
	case HTTP_PHASE_WORKER:
		break;
	case HTTP_PHASE_SENDING:
		is_over = loop->now_ms >= connection->send_deadline_ms;
		break;
	case HTTP_PHASE_STREAM:
		http_stream_check(connection);
		return;
	case HTTP_PHASE_LINGERING:
		connection_drop(connection);
		return;
	}
	if (is_over) {
		connection_reap(connection);
	} else {
		http_timer_start(connection, loop->server->check_ms);
	}
}

/* ---- Life ---- */

static void address_write(const union http_peer *peer, char out[static INET6_ADDRSTRLEN])
{
	const void *bytes = &peer->v4.sin_addr;
	int family = AF_INET;
	if (peer->any.sa_family == AF_INET6) {
		bool is_mapped = IN6_IS_ADDR_V4MAPPED(&peer->v6.sin6_addr);
		family = is_mapped ? AF_INET : AF_INET6;
		bytes = is_mapped ? peer->v6.sin6_addr.s6_addr + 12 : peer->v6.sin6_addr.s6_addr;
	}
	if (inet_ntop(family, bytes, out, INET6_ADDRSTRLEN) == NULL) {
		out[0] = '\0';
	}
}

struct http_connection *http_connection_new(struct http_loop *loop, int fd, const union http_peer *peer)
{
	struct http_connection *connection = calloc(1, sizeof(*connection));
	if (connection == NULL) {
		(void)close(fd);
		return NULL;
	}
	connection->source.kind = HTTP_SOURCE_CONNECTION;
	connection->phase = HTTP_PHASE_WAITING;
	connection->loop = loop;
	connection->fd = fd;
	connection->idle_ms = loop->now_ms;
	connection->peer = *peer;
	address_write(peer, connection->address);
	(void)atomic_fetch_add_explicit(&loop->server->connections, 1, memory_order_relaxed);
	return connection;
}

void http_connection_free(struct http_connection *connection)
{
	http_timer_stop(connection);
	(void)atomic_fetch_sub_explicit(&connection->loop->server->connections, 1, memory_order_relaxed);
	free(connection);
}

void http_connection_adopt(struct http_connection *connection)
{
	struct http_loop *loop = connection->loop;
	socklen_t size = connection->peer.any.sa_family == AF_INET6 ? sizeof(connection->peer.v6)
	                                                            : sizeof(connection->peer.v4);
	connection->phase = HTTP_PHASE_READING;
	http_timer_start(connection, loop->server->check_ms);
	loop->accepting = connection;
	/* On failure libmicrohttpd closes the socket; whether it notified us before decides who frees. */
	(void)MHD_add_connection(loop->daemon, connection->fd, &connection->peer.any, size);
	if (loop->accepting != NULL) {
		loop->accepting = NULL;
		http_connection_free(connection);
	}
	loop->is_mhd_ready = true;
}

static void connection_drop(struct http_connection *connection)
{
	(void)close(connection->fd);
	http_connection_free(connection);
}

void http_connection_drop_all(struct http_loop *loop)
{
	for (size_t i = 0; i < HTTP_TIMER_SLOTS; i++) {
		struct http_connection *next = NULL;
		for (struct http_connection *c = loop->slots[i]; c != NULL; c = next) {
			next = c->next;
			if (c->phase == HTTP_PHASE_WAITING || c->phase == HTTP_PHASE_LINGERING) {
				connection_drop(c);
			}
		}
	}
}

void http_connection_linger(struct http_connection *connection)
{
	char bytes[16 * 1024];
	ssize_t length = 0;
	do {
		length = recv(connection->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	} while (length > 0);
	if (length == 0 || (errno != EAGAIN && errno != EINTR)) {
		connection_drop(connection);
	}
}

/* libmicrohttpd is about to close its descriptor; a copy keeps the socket. False: it goes as well. */
static bool linger_start(struct http_connection *connection)
{
	struct http_loop *loop = connection->loop;
	if (!connection->is_lingering || connection->is_cut || loop->is_draining) {
		return false;
	}
	int fd = fcntl(connection->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0) {
		return false;
	}
	connection->fd = fd;
	connection->mhd = NULL;
	connection->phase = HTTP_PHASE_LINGERING;
	http_timer_start(connection, LINGER_MS);
	if (!http_loop_watch(loop, fd, EPOLLIN | EPOLLRDHUP, &connection->source)) {
		(void)close(fd);
		return false;
	}
	return true;
}

static void connection_closed(struct http_connection *connection)
{
	/* libmicrohttpd does not announce the end of every request that it gives up. */
	if (connection->exchange != NULL) {
		http_exchange_release(connection->exchange);
	}
	if (!linger_start(connection)) {
		http_connection_free(connection);
	}
}

void http_connection_notify(void *loop, struct MHD_Connection *mhd, void **context,
                            enum MHD_ConnectionNotificationCode code)
{
	struct http_loop *self = loop;
	switch (code) {
	case MHD_CONNECTION_NOTIFY_STARTED:
		*context = self->accepting;
		self->accepting->mhd = mhd;
		self->accepting = NULL;
		break;
	case MHD_CONNECTION_NOTIFY_CLOSED:
		connection_closed(*context);
		*context = NULL;
		break;
	}
}
