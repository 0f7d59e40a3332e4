/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The least that a server of streams can do: epoll, no HTTP library, one send per reader. The baseline of the
 * fan-out figures.
 *
 *	bench_bare_stream PORT
 *
 * A GET opens a stream; a POST sends 300 bytes to every stream, as one chunk, and is answered 204 after that.
 * Prints "ready" when it listens.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_FDS 32768

static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                           "Transfer-Encoding: chunked\r\n\r\n";
static const char done[] = "HTTP/1.1 204 No Content\r\n\r\n";

static bool is_stream[MAX_FDS];
static int highest;
static char frame[512];
static size_t frame_length;

static void frame_make(unsigned number)
{
	char text[301];
	int length = snprintf(text, sizeof(text), "id: %u\nevent: delta\ndata: ", number);
	memset(text + length, 'x', 298 - (size_t)length);
	memcpy(text + 298, "\n\n", 3);
	frame_length = (size_t)snprintf(frame, sizeof(frame), "12c\r\n%s\r\n", text);
}

static void broadcast(void)
{
	static unsigned number;
	frame_make(++number);
	for (int fd = 0; fd <= highest; fd++) {
		if (is_stream[fd] && send(fd, frame, frame_length, MSG_NOSIGNAL) < 0 && errno != EAGAIN) {
			is_stream[fd] = false;
		}
	}
}

static void client_serve(int fd)
{
	char request[4096];
	ssize_t length = recv(fd, request, sizeof(request), 0);
	if (length <= 0) {
		is_stream[fd] = false;
		(void)close(fd);
		return;
	}
	if (request[0] == 'P') {
		broadcast();
		(void)send(fd, done, sizeof(done) - 1, MSG_NOSIGNAL);
		return;
	}
	is_stream[fd] = true;
	highest = fd > highest ? fd : highest;
	(void)send(fd, head, sizeof(head) - 1, MSG_NOSIGNAL);
}

static void client_accept(int listener, int epoll)
{
	const int one = 1;
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		return;
	}
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (fd >= MAX_FDS || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
		(void)close(fd);
	}
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		(void)fprintf(stderr, "usage: bench_bare_stream PORT\n");
		return 2;
	}
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	struct sockaddr_in address = { .sin_family = AF_INET,
		                       .sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10)) };
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	const int one = 1;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN, .data.fd = listener };
	if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
	    bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
	    listen(listener, 4096) != 0 || epoll < 0 ||
	    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) != 0) {
		perror("bench_bare_stream");
		return 1;
	}
	(void)puts("ready");
	(void)fflush(stdout);
	for (;;) {
		struct epoll_event events[256];
		int count = epoll_wait(epoll, events, 256, -1);
		for (int i = 0; i < count; i++) {
			if (events[i].data.fd == listener) {
				client_accept(listener, epoll);
			} else {
				client_serve(events[i].data.fd);
			}
		}
	}
}
