/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer that says over TCP whatever a test wants, right or wrong: one thread a connection, the request's head
 * and body read, the answer left to the test. Not a daemon.
 */
#pragma once

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PEER_CONNECTIONS_MAX 64
#define PEER_HEAD_MAX        8192
#define PEER_BODY_MAX        (256 * 1024)

struct peer_call {
	int fd;
	char head[PEER_HEAD_MAX]; /* request line and headers */
	char *body;               /* NUL-terminated */
	size_t body_length;
};

struct peer {
	char url[64];
	uint16_t port;
	/*
	 * Answers one request in the connection's thread; true: the connection may carry another one. Called for every
	 * request; @user is the test's.
	 */
	bool (*answer)(void *user, struct peer *peer, struct peer_call *call);
	void *user;
	int listen_fd;
	atomic_bool is_stopping;
	pthread_t thread;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t idle;
	int fds[PEER_CONNECTIONS_MAX]; /* open connections; -1: free */
	int running;
};

/* Fails the test when it cannot. @port 0: any. */
void peer_start(struct peer *peer, uint16_t port,
                bool (*answer)(void *user, struct peer *peer, struct peer_call *call), void *user);

/* Cuts every connection and ends every thread. */
void peer_stop(struct peer *peer);

/* Cuts every connection, and goes on listening. */
void peer_cut(struct peer *peer);

/* Is that one of its descriptors? */
bool peer_owns(struct peer *peer, int fd);

/* False when the other side is gone. */
bool peer_send(const struct peer_call *call, const char *bytes, size_t length);
bool peer_print(const struct peer_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Blocks until the other side closes, or the peer stops. */
void peer_hang(const struct peer_call *call);

bool peer_path_is(const struct peer_call *call, const char *method, const char *path);

/* Value of a header, "" when it is missing; in a buffer of the caller's. */
const char *peer_header(const struct peer_call *call, const char *name, char *out, size_t size);
