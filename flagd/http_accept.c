/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/http_accept.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "flagd/http_connection.h"

#define ACCEPT_BACKLOG   4096
#define ACCEPT_MAX_ROUND 64
#define ACCEPT_PAUSE_MS  100
#define PEEK_BYTES       1024
#define SHED_LOG_MS      10000

/* ---- Opening ---- */

static enum status peer_parse(const char *address, uint16_t port, union http_peer *ret, struct error *err)
{
	*ret = (union http_peer){ 0 };
	if (inet_pton(AF_INET, address, &ret->v4.sin_addr) == 1) {
		ret->v4.sin_family = AF_INET;
		ret->v4.sin_port = htons(port);
		return STATUS_OK;
	}
	if (inet_pton(AF_INET6, address, &ret->v6.sin6_addr) == 1) {
		ret->v6.sin6_family = AF_INET6;
		ret->v6.sin6_port = htons(port);
		return STATUS_OK;
	}
	return error_fail(err, STATUS_INVALID, "The address %s to listen on is not an IPv4 or IPv6 address",
	                  address);
}

static bool socket_listen(int fd, const union http_peer *peer)
{
	const int one = 1;
	socklen_t size = peer->any.sa_family == AF_INET6 ? sizeof(peer->v6) : sizeof(peer->v4);
	return setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
	       setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == 0 &&
	       bind(fd, &peer->any, size) == 0 && listen(fd, ACCEPT_BACKLOG) == 0;
}

enum status http_accept_open(struct http_server *server, struct error *err)
{
	const struct http_options *options = &server->options;
	union http_peer peer;
	enum status status = peer_parse(options->address, options->port, &peer, err);
	if (status != STATUS_OK) {
		return status;
	}
	int fd = socket(peer.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof(peer);
	if (fd < 0 || !socket_listen(fd, &peer) || getsockname(fd, &peer.any, &size) != 0) {
		int error = errno;
		if (fd >= 0) {
			(void)close(fd);
		}
		return error_fail(err, STATUS_UNAVAILABLE, "Cannot listen on %s port %u: %s",
		                  options->address, options->port, strerrordesc_np(error));
	}
	server->listen_fd = fd;
	server->port = ntohs(peer.any.sa_family == AF_INET6 ? peer.v6.sin6_port : peer.v4.sin_port);
	return STATUS_OK;
}

void http_accept_start(struct http_loop *loop)
{
	/* Exclusive: a new connection wakes one of the loops, not all. */
	loop->is_listening =
	        loop->is_listening || http_loop_watch(loop, loop->server->listen_fd, EPOLLIN | EPOLLEXCLUSIVE,
	                                              &loop->listen_source);
	loop->listen_again_ms = loop->is_listening ? 0 : loop->now_ms + ACCEPT_PAUSE_MS;
}

void http_accept_stop(struct http_loop *loop)
{
	if (loop->is_listening) {
		(void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, loop->server->listen_fd, NULL);
		loop->is_listening = false;
	}
	loop->listen_again_ms = 0;
}

/* ---- Which loop ---- */

enum wish { WISH_UNKNOWN, WISH_API, WISH_STREAM };

/* What do the first bytes ask for? Too few to tell: WISH_UNKNOWN. */
static enum wish wish_read(const struct http_router *router, const char *bytes, size_t length)
{
	static const char get[] = "GET ";
	size_t prefix = sizeof(get) - 1;
	if (memcmp(bytes, get, length < prefix ? length : prefix) != 0) {
		return WISH_API;
	}
	const char *target = bytes + prefix;
	size_t rest = length < prefix ? 0 : length - prefix;
	const char *end = rest > 0 ? memchr(target, ' ', rest) : NULL;
	if (end == NULL) {
		bool is_whole = length == PEEK_BYTES || memchr(bytes, '\n', length) != NULL;
		return is_whole ? WISH_API : WISH_UNKNOWN;
	}
	char scratch[PEEK_BYTES + 1];
	struct http_path path;
	struct http_match match;
	if (http_path_split(target, (size_t)(end - target), scratch, &path, NULL) != STATUS_OK) {
		return WISH_API;
	}
	http_route_match(router, HTTP_GET, &path, &match);
	bool is_stream = match.route != NULL && (match.route->flags & HTTP_ROUTE_STREAM) != 0;
	return is_stream ? WISH_STREAM : WISH_API;
}

static void connection_hand_over(struct http_connection *connection, struct http_loop *to)
{
	http_timer_stop(connection);
	connection->loop = to;
	connection->next = atomic_load_explicit(&to->inbox, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(&to->inbox, &connection->next, connection,
	                                              memory_order_release, memory_order_relaxed)) {
	}
	http_loop_kick(to);
}

static void connection_drop(struct http_connection *connection)
{
	(void)close(connection->fd);
	http_connection_free(connection);
}

/* Looks at what is there. False: nothing or too little, wait for more. */
static bool connection_place(struct http_connection *connection)
{
	struct http_loop *loop = connection->loop;
	char bytes[PEEK_BYTES];
	ssize_t length = recv(connection->fd, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT);
	if (length < 0 && (errno == EAGAIN || errno == EINTR)) {
		return false;
	}
	if (length <= 0) {
		connection_drop(connection);
		return true;
	}
	switch (wish_read(loop->server->router, bytes, (size_t)length)) {
	case WISH_UNKNOWN:
		if (connection->arriving_ms == 0) {
			connection->arriving_ms = loop->now_ms;
		}
		return false;
	case WISH_API:
		break;
	case WISH_STREAM:
		if (loop->server->stream_loop != loop) {
			connection_hand_over(connection, loop->server->stream_loop);
			return true;
		}
		break;
	}
	http_connection_adopt(connection);
	return true;
}

void http_accept_first_bytes(struct http_connection *connection)
{
	struct http_loop *loop = connection->loop;
	int fd = connection->fd;
	/* Once placed it may be gone; libmicrohttpd's epoll takes the socket over. */
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL) != 0) {
		connection_drop(connection);
		return;
	}
	if (!connection_place(connection) &&
	    !http_loop_watch(loop, fd, EPOLLIN | EPOLLRDHUP | EPOLLET, &connection->source)) {
		connection_drop(connection);
	}
}

void http_accept_inbox(struct http_loop *loop)
{
	struct http_connection *connection =
	        atomic_exchange_explicit(&loop->inbox, NULL, memory_order_acquire);
	while (connection != NULL) {
		struct http_connection *next = connection->next;
		connection->next = NULL;
		if (loop->is_draining) {
			connection_drop(connection);
		} else {
			http_connection_adopt(connection);
		}
		connection = next;
	}
}

/* ---- Accepting ---- */

static void count_failure(struct http_loop *loop)
{
	(void)atomic_fetch_add_explicit(&loop->server->accept_failures, 1, memory_order_relaxed);
}

static void connection_refuse(struct http_loop *loop, int fd)
{
	static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\n"
	                             "Connection: close\r\nContent-Length: 0\r\nRetry-After: 1\r\n\r\n";
	(void)send(fd, answer, sizeof(answer) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	(void)close(fd);
	count_failure(loop);
}

static void connection_take(struct http_loop *loop, int fd, const union http_peer *peer)
{
	struct http_server *server = loop->server;
	if (atomic_load_explicit(&server->connections, memory_order_relaxed) >= server->max_connections) {
		connection_refuse(loop, fd);
		return;
	}
	struct http_connection *connection = http_connection_new(loop, fd, peer);
	if (connection == NULL) {
		count_failure(loop);
		return;
	}
	http_timer_start(connection, server->check_ms);
	if (!connection_place(connection) &&
	    !http_loop_watch(loop, fd, EPOLLIN | EPOLLRDHUP | EPOLLET, &connection->source)) {
		connection_drop(connection);
		count_failure(loop);
	}
}

/* Out of descriptors: closes the first in the queue with the help of the reserve. */
static void connection_shed(struct http_loop *loop)
{
	count_failure(loop);
	if (loop->now_ms >= loop->shed_log_ms) {
		loop->shed_log_ms = loop->now_ms + SHED_LOG_MS;
		log_warn("no file descriptors left: new connections are closed");
	}
	if (loop->reserve_fd >= 0) {
		(void)close(loop->reserve_fd);
		int fd = accept4(loop->server->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			(void)close(fd);
		}
	}
	loop->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (loop->reserve_fd < 0) {
		/* Another thread was faster: nobody can be served, so do not even ask for a while. */
		http_accept_stop(loop);
		loop->listen_again_ms = loop->now_ms + ACCEPT_PAUSE_MS;
	}
}

void http_accept_ready(struct http_loop *loop)
{
	for (int i = 0; i < ACCEPT_MAX_ROUND && loop->is_listening; i++) {
		union http_peer peer;
		socklen_t size = sizeof(peer);
		int fd = accept4(loop->server->listen_fd, &peer.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			connection_take(loop, fd, &peer);
			continue;
		}
		if (errno == EAGAIN) {
			return;
		}
		if (errno == EMFILE || errno == ENFILE) {
			connection_shed(loop);
		} else if (errno == ENOBUFS || errno == ENOMEM) {
			count_failure(loop);
			http_accept_stop(loop);
			loop->listen_again_ms = loop->now_ms + ACCEPT_PAUSE_MS;
		}
		/* Anything else is about one connection that is gone already. */
	}
}
