/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/client/peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct connection {
	struct peer *peer;
	int slot;
	int fd;
};

bool peer_send(const struct peer_call *call, const char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t sent = send(call->fd, bytes, length, MSG_NOSIGNAL);
		if (sent <= 0) {
			return false;
		}
		bytes += sent;
		length -= (size_t)sent;
	}
	return true;
}

bool peer_print(const struct peer_call *call, const char *format, ...)
{
	char text[4096];
	va_list args;
	va_start(args, format);
	int length = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return length > 0 && (size_t)length < sizeof(text) && peer_send(call, text, (size_t)length);
}

void peer_hang(const struct peer_call *call)
{
	char byte;
	while (recv(call->fd, &byte, 1, 0) > 0) {
		/* whatever it says */
	}
}

bool peer_path_is(const struct peer_call *call, const char *method, const char *path)
{
	char line[512];
	int length = snprintf(line, sizeof(line), "%s %s HTTP/1.1\r\n", method, path);
	return length > 0 && strncmp(call->head, line, (size_t)length) == 0;
}

const char *peer_header(const struct peer_call *call, const char *name, char *out, size_t size)
{
	size_t name_length = strlen(name);
	out[0] = '\0';
	for (const char *line = strstr(call->head, "\r\n"); line != NULL; line = strstr(line, "\r\n")) {
		line += 2;
		if (strncasecmp(line, name, name_length) == 0 && line[name_length] == ':') {
			const char *value = line + name_length + 1;
			value += strspn(value, " ");
			(void)snprintf(out, size, "%.*s", (int)strcspn(value, "\r\n"), value);
			break;
		}
	}
	return out;
}

/* Reads a head and the body that it announces; false at the end. */
static bool call_read(struct peer_call *call)
{
	size_t length = 0;
	char *end = NULL;
	memset(call->head, 0, sizeof(call->head));
	while (end == NULL) {
		/* A byte at a time: what follows the head is the body's. */
		if (length + 1 >= sizeof(call->head) || recv(call->fd, call->head + length, 1, 0) != 1) {
			return false;
		}
		length++;
		end = length >= 4 && memcmp(call->head + length - 4, "\r\n\r\n", 4) == 0 ? call->head + length
		                                                                         : NULL;
	}
	char text[32];
	call->body_length = strtoul(peer_header(call, "Content-Length", text, sizeof(text)), NULL, 10);
	if (call->body_length > PEER_BODY_MAX) {
		return false;
	}
	call->body = calloc(1, call->body_length + 1);
	return call->body != NULL &&
	       (call->body_length == 0 ||
	        recv(call->fd, call->body, call->body_length, MSG_WAITALL) == (ssize_t)call->body_length);
}

static void *connection_main(void *user)
{
	struct connection *connection = user;
	struct peer *peer = connection->peer;
	struct peer_call *call = calloc(1, sizeof(*call));
	bool goes_on = call != NULL;
	while (goes_on) {
		call->fd = connection->fd;
		goes_on = call_read(call) && peer->answer(peer->user, peer, call);
		free(call->body);
		call->body = NULL;
	}
	free(call);
	pthread_mutex_lock(&peer->lock);
	(void)close(connection->fd);
	peer->fds[connection->slot] = -1;
	peer->running--;
	pthread_cond_broadcast(&peer->idle);
	pthread_mutex_unlock(&peer->lock);
	free(connection);
	return NULL;
}

static void connection_take(struct peer *peer, int fd)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	pthread_t thread;
	int yes = 1;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	pthread_mutex_lock(&peer->lock);
	int slot = 0;
	while (slot < PEER_CONNECTIONS_MAX && peer->fds[slot] >= 0) {
		slot++;
	}
	if (connection != NULL && slot < PEER_CONNECTIONS_MAX && !atomic_load(&peer->is_stopping)) {
		*connection = (struct connection){ .peer = peer, .slot = slot, .fd = fd };
		if (pthread_create(&thread, NULL, connection_main, connection) == 0) {
			pthread_detach(thread);
			peer->fds[slot] = fd;
			peer->running++;
			pthread_mutex_unlock(&peer->lock);
			return;
		}
	}
	pthread_mutex_unlock(&peer->lock);
	free(connection);
	(void)close(fd);
}

static void *listen_main(void *user)
{
	struct peer *peer = user;
	while (!atomic_load(&peer->is_stopping)) {
		struct pollfd polled = { .fd = peer->listen_fd, .events = POLLIN };
		if (poll(&polled, 1, 20) > 0) {
			int fd = accept4(peer->listen_fd, NULL, NULL, SOCK_CLOEXEC);
			if (fd >= 0) {
				connection_take(peer, fd);
			}
		}
	}
	return NULL;
}

void peer_start(struct peer *peer, uint16_t port,
                bool (*answer)(void *user, struct peer *peer, struct peer_call *call), void *user)
{
	*peer = (struct peer){ .answer = answer, .user = user };
	pthread_mutex_init(&peer->lock, NULL);
	pthread_cond_init(&peer->idle, NULL);
	for (int i = 0; i < PEER_CONNECTIONS_MAX; i++) {
		peer->fds[i] = -1;
	}
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	socklen_t length = sizeof(address);
	int yes = 1;
	peer->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(peer->listen_fd >= 0);
	assert_int_equal(setsockopt(peer->listen_fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)), 0);
	assert_int_equal(bind(peer->listen_fd, (struct sockaddr *)&address, length), 0);
	assert_int_equal(getsockname(peer->listen_fd, (struct sockaddr *)&address, &length), 0);
	assert_int_equal(listen(peer->listen_fd, 64), 0);
	peer->port = ntohs(address.sin_port);
	(void)snprintf(peer->url, sizeof(peer->url), "http://127.0.0.1:%u", peer->port);
	assert_int_equal(pthread_create(&peer->thread, NULL, listen_main, peer), 0);
}

void peer_cut(struct peer *peer)
{
	pthread_mutex_lock(&peer->lock);
	for (int i = 0; i < PEER_CONNECTIONS_MAX; i++) {
		if (peer->fds[i] >= 0) {
			(void)shutdown(peer->fds[i], SHUT_RDWR);
		}
	}
	pthread_mutex_unlock(&peer->lock);
}

void peer_stop(struct peer *peer)
{
	atomic_store(&peer->is_stopping, true);
	assert_int_equal(pthread_join(peer->thread, NULL), 0);
	peer_cut(peer);
	pthread_mutex_lock(&peer->lock);
	while (peer->running > 0) {
		pthread_cond_wait(&peer->idle, &peer->lock);
	}
	pthread_mutex_unlock(&peer->lock);
	(void)close(peer->listen_fd);
	pthread_cond_destroy(&peer->idle);
	pthread_mutex_destroy(&peer->lock);
}

bool peer_owns(struct peer *peer, int fd)
{
	bool owns = fd == peer->listen_fd;
	pthread_mutex_lock(&peer->lock);
	for (int i = 0; i < PEER_CONNECTIONS_MAX; i++) {
		owns = owns || fd == peer->fds[i];
	}
	pthread_mutex_unlock(&peer->lock);
	return owns;
}
