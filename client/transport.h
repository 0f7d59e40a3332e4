/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP for the background thread: libcurl behind a loop of our own, one request per channel.
 *
 * HTTP/1.1 over http or https, no redirects, no cookies, no compression. No proxy: the environment is not
 * looked at, so that a token never goes to a proxy that was meant for something else, and no thread of
 * ours races with setenv(). Headers are bounded to 64 KiB; the body's bound is the receiver's.
 *
 * Descriptors. A program may close descriptors that are not its own, and use their numbers for something else.
 * So every socket is remembered with its inode and looked at before it is used; when one is gone, all
 * requests end, and libcurl's state is abandoned (freeing it would close numbers that belong to others by now)
 * and built anew. For the same reason libcurl's own wake-up pair is never used.
 *
 * Everything belongs to one thread, but transport_wake(). No lock is held in callbacks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum transport_channel { TRANSPORT_MAIN, TRANSPORT_TELEMETRY, TRANSPORT_CHANNELS };

struct transport_response {
	int http_status;
	const char *content_type; /* "" when there is none */
	int64_t retry_after_ms;   /* 0 when there is none */
};

/* How a request ended. */
enum transport_end {
	TRANSPORT_COMPLETE,    /* the whole answer came */
	TRANSPORT_BROKEN,      /* the connection broke */
	TRANSPORT_REFUSED,     /* nobody listens */
	TRANSPORT_UNREACHABLE, /* no connection for another reason */
};

/*
 * Called from transport_run(). A callback must not start or abort requests; to give one up,
 * on_bytes returns false, and no more is told about it.
 */
struct transport_handler {
	void (*on_response)(void *user, enum transport_channel channel,
	                    const struct transport_response *response);
	bool (*on_bytes)(void *user, enum transport_channel channel, const char *bytes, size_t length);
	/* @message: a sentence, "" for TRANSPORT_COMPLETE. */
	void (*on_end)(void *user, enum transport_channel channel, enum transport_end end,
	               const char *message);
	void *user;
};

struct transport_options {
	const char *url; /* without a slash at the end */
	const char *token;
	uint32_t connect_timeout_ms;
	struct transport_handler handler;
};

struct transport_request {
	const char *path;   /* with its slash in front */
	const char *accept; /* content type */
	const char *header; /* one more, "Name: value", or NULL */
	const char *body;   /* of a POST, JSON; copied; NULL: a GET */
	size_t body_length;
};

struct transport;

/* STATUS_NO_MEMORY or STATUS_UNAVAILABLE (no descriptors). Copies what @options points to. */
MUST_CHECK enum status transport_new(const struct transport_options *options, struct transport **ret,
                                     struct error *err);
void transport_free(struct transport *transport); /* accepts NULL */

/*
 * Begins a request; one that is in flight on the channel is aborted. Failures come through on_end, too. Only
 * STATUS_NO_MEMORY is told at once.
 */
MUST_CHECK enum status transport_start(struct transport *transport, enum transport_channel channel,
                                       const struct transport_request *request, struct error *err);

/* Gives the request up without a callback; nothing when there is none. */
void transport_abort(struct transport *transport, enum transport_channel name);

bool transport_is_busy(const struct transport *transport, enum transport_channel channel);

/*
 * Waits for the network, transport_wake(), or until @until_ms of the monotonic clock, at most
 * TRANSPORT_MAX_WAIT_MS, and runs the callbacks.
 */
#define TRANSPORT_MAX_WAIT_MS 1000
void transport_run(struct transport *transport, int64_t until_ms);

/* From any thread: ends the wait. When the descriptors are gone, the wait ends by itself soon enough. */
void transport_wake(struct transport *transport);

/* How often libcurl's state had to be built anew because descriptors were gone. */
uint32_t transport_rebuilt_count(const struct transport *transport);
