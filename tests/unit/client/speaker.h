/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer that speaks the daemon's side of docs/protocol.md well enough for a client to follow it, and that can be
 * told to speak it wrongly. Header only; everything fails the test that runs.
 */
#pragma once

#include <sys/socket.h>

#include "client/include/halyard/halyard.h"
#include "tests/unit/client/bundles.h"
#include "tests/unit/client/peer.h"

#define SPEAKER_EVENTS_MAX 4096

enum speaker_mode {
	SPEAKER_WELL,
	SPEAKER_DENIES,       /* 401 to everything */
	SPEAKER_NO_STREAMS,   /* 404 to streams */
	SPEAKER_HANGS,        /* reads requests, never answers */
	SPEAKER_HALF_HEAD,    /* stops in the middle of the head */
	SPEAKER_HTML,         /* a page for everything: another server */
	SPEAKER_MUTE_STREAM,  /* a stream that carries nothing */
	SPEAKER_ENDLESS_LINE, /* a stream of one line */
};

struct speaker {
	struct peer peer;
	struct issuer issuer;
	struct ruleset *ruleset;
	uint64_t epoch, revision;
	pthread_mutex_t lock; /* guards what follows, and what stands above */
	pthread_cond_t changed;
	enum speaker_mode mode;
	struct buf whole;                 /* of the current revision */
	char *events[SPEAKER_EVENTS_MAX]; /* texts of deltas, as they go over the stream */
	size_t event_count;
	bool no_heartbeat;
	int streams, polls, not_modified, keys, reports;
	char last_event_id[64]; /* of the last stream */
	char last_path[128];
	char report[65536]; /* the last one */
	int report_status;
};

/* A bundle as an event. */
static inline char *speaker_event(const char *type, uint64_t epoch, uint64_t revision,
                                  const struct buf *bundle)
{
	struct buf out;
	buf_init(&out, 2 * (size_t)BUNDLE_MAX_BYTES);
	buf_append_format(&out, "id: %llu-%llu\nevent: %s\n", (unsigned long long)epoch,
	                  (unsigned long long)revision, type);
	for (const char *line = bundle->data; line < bundle->data + bundle->length;) {
		const char *end = strchr(line, '\n');
		buf_append_string(&out, "data: ");
		buf_append(&out, line, (size_t)(end - line) + 1);
		line = end + 1;
	}
	buf_append_char(&out, '\n');
	assert_false(out.failed);
	return buf_steal(&out, NULL);
}

static inline bool speaker_stream(struct speaker *speaker, struct peer_call *call)
{
	char id[64];
	char current[64];
	bool goes_on = peer_print(call, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
	pthread_mutex_lock(&speaker->lock);
	speaker->streams++;
	(void)peer_header(call, "Last-Event-ID", id, sizeof(id));
	(void)snprintf(speaker->last_event_id, sizeof(speaker->last_event_id), "%s", id);
	(void)snprintf(current, sizeof(current), "%llu-%llu", (unsigned long long)speaker->epoch,
	               (unsigned long long)speaker->revision);
	size_t next = speaker->event_count;
	enum speaker_mode mode = speaker->mode;
	char *first = strcmp(id, current) == 0
	                      ? strdup(": ok\n\n")
	                      : speaker_event("snapshot", speaker->epoch, speaker->revision, &speaker->whole);
	pthread_cond_broadcast(&speaker->changed);
	pthread_mutex_unlock(&speaker->lock);
	if (mode == SPEAKER_MUTE_STREAM) {
		peer_hang(call);
	} else if (mode == SPEAKER_ENDLESS_LINE) {
		while (goes_on) {
			goes_on = peer_send(
			        call, "data: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 62);
		}
	} else {
		goes_on = goes_on && peer_send(call, first, strlen(first));
	}
	free(first);
	pthread_mutex_lock(&speaker->lock);
	while (goes_on && !atomic_load(&speaker->peer.is_stopping)) {
		while (next < speaker->event_count && goes_on) {
			char *event = strdup(speaker->events[next++]);
			pthread_mutex_unlock(&speaker->lock);
			goes_on = peer_send(call, event, strlen(event));
			free(event);
			pthread_mutex_lock(&speaker->lock);
		}
		/* A heartbeat now and then also tells when the other side is gone. */
		struct timespec until;
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += 50 * 1000000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		bool is_quiet = speaker->no_heartbeat;
		if (goes_on && pthread_cond_timedwait(&speaker->changed, &speaker->lock, &until) != 0) {
			char byte;
			pthread_mutex_unlock(&speaker->lock);
			goes_on = recv(call->fd, &byte, 1, MSG_DONTWAIT) != 0 &&
			          (is_quiet || peer_send(call, ": hb\n\n", 6));
			pthread_mutex_lock(&speaker->lock);
		}
	}
	pthread_mutex_unlock(&speaker->lock);
	return false;
}

static inline bool speaker_snapshot(struct speaker *speaker, struct peer_call *call)
{
	char match[64];
	char tag[64];
	pthread_mutex_lock(&speaker->lock);
	speaker->polls++;
	(void)snprintf(tag, sizeof(tag), "\"%llu-%llu\"", (unsigned long long)speaker->epoch,
	               (unsigned long long)speaker->revision);
	bool is_same = strcmp(peer_header(call, "If-None-Match", match, sizeof(match)), tag) == 0;
	speaker->not_modified += is_same;
	size_t length = speaker->whole.length;
	char *whole = malloc(length);
	memcpy(whole, speaker->whole.data, length);
	pthread_cond_broadcast(&speaker->changed);
	pthread_mutex_unlock(&speaker->lock);
	bool goes_on =
	        is_same ? peer_print(call, "HTTP/1.1 304 Not Modified\r\nETag: %s\r\n\r\n", tag)
	                : peer_print(call,
	                             "HTTP/1.1 200 OK\r\nContent-Type: application/x-halyard-bundle\r\n"
	                             "ETag: %s\r\nContent-Length: %zu\r\n\r\n",
	                             tag, length) &&
	                          peer_send(call, whole, length);
	free(whole);
	return goes_on;
}

static inline bool speaker_report(struct speaker *speaker, struct peer_call *call)
{
	pthread_mutex_lock(&speaker->lock);
	speaker->reports++;
	(void)snprintf(speaker->report, sizeof(speaker->report), "%s", call->body);
	int status = speaker->report_status;
	pthread_cond_broadcast(&speaker->changed);
	pthread_mutex_unlock(&speaker->lock);
	return peer_print(call, "HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n", status);
}

static inline bool speaker_answer(void *user, struct peer *peer, struct peer_call *call)
{
	struct speaker *speaker = user;
	char token[64];
	(void)peer;
	pthread_mutex_lock(&speaker->lock);
	enum speaker_mode mode = speaker->mode;
	(void)snprintf(speaker->last_path, sizeof(speaker->last_path), "%.*s", (int)strcspn(call->head, "\r"),
	               call->head);
	pthread_mutex_unlock(&speaker->lock);
	(void)peer_header(call, "Authorization", token, sizeof(token));
	bool is_stream = peer_path_is(call, "GET", "/api/v1/environments/prod/events");
	if (mode == SPEAKER_DENIES || strcmp(token, "Bearer hly_c_test") != 0) {
		return peer_print(call, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
	}
	if (mode == SPEAKER_HANGS || mode == SPEAKER_HALF_HEAD) {
		(void)peer_print(call, "%s",
		                 mode == SPEAKER_HALF_HEAD ? "HTTP/1.1 200 OK\r\nContent-Ty" : "");
		peer_hang(call);
		return false;
	}
	if (mode == SPEAKER_HTML) {
		return peer_print(
		        call, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\n<html");
	}
	if (is_stream && mode != SPEAKER_NO_STREAMS) {
		return speaker_stream(speaker, call);
	}
	if (peer_path_is(call, "GET", "/api/v1/environments/prod/snapshot")) {
		return speaker_snapshot(speaker, call);
	}
	if (peer_path_is(call, "POST", "/api/v1/telemetry")) {
		return speaker_report(speaker, call);
	}
	if (peer_path_is(call, "GET", "/api/v1/signing-keys")) {
		char body[256];
		int length = snprintf(
		        body, sizeof(body),
		        "{\"keys\":[{\"key_id\":\"0\",\"algorithm\":\"Ed25519\",\"public_key\":\"%s\"}]}",
		        speaker->issuer.key_text);
		pthread_mutex_lock(&speaker->lock);
		speaker->keys++;
		pthread_mutex_unlock(&speaker->lock);
		return peer_print(
		        call,
		        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		        length, body);
	}
	return peer_print(call, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
}

/* Takes over @ruleset. */
static inline void speaker_start(struct speaker *speaker, struct ruleset *ruleset)
{
	memset(speaker, 0, sizeof(*speaker));
	issuer_init(&speaker->issuer, "prod");
	speaker->ruleset = ruleset;
	speaker->epoch = 1;
	speaker->revision = 1;
	speaker->report_status = 204;
	pthread_mutex_init(&speaker->lock, NULL);
	pthread_cond_init(&speaker->changed, NULL);
	speaker->whole = issuer_snapshot(&speaker->issuer, 1, 1, ruleset);
	peer_start(&speaker->peer, 0, speaker_answer, speaker);
}

/* Comes back on the same port, after peer_stop(). */
static inline void speaker_restart(struct speaker *speaker)
{
	uint16_t port = speaker->peer.port;
	peer_start(&speaker->peer, port, speaker_answer, speaker);
}

static inline void speaker_deinit(struct speaker *speaker)
{
	for (size_t i = 0; i < speaker->event_count; i++) {
		free(speaker->events[i]);
	}
	buf_deinit(&speaker->whole);
	ruleset_unref(speaker->ruleset);
	pthread_cond_destroy(&speaker->changed);
	pthread_mutex_destroy(&speaker->lock);
}

static inline void speaker_stop(struct speaker *speaker)
{
	peer_stop(&speaker->peer);
	speaker_deinit(speaker);
}

static inline void speaker_mode_set(struct speaker *speaker, enum speaker_mode mode)
{
	pthread_mutex_lock(&speaker->lock);
	speaker->mode = mode;
	pthread_mutex_unlock(&speaker->lock);
}

/* Puts a text on every stream, as it is. */
static inline void speaker_say(struct speaker *speaker, const char *text)
{
	pthread_mutex_lock(&speaker->lock);
	assert_true(speaker->event_count < SPEAKER_EVENTS_MAX);
	speaker->events[speaker->event_count++] = strdup(text);
	pthread_cond_broadcast(&speaker->changed);
	pthread_mutex_unlock(&speaker->lock);
}

/* The next revision: @document is changed. @told: on the streams, too. */
static inline void speaker_change(struct speaker *speaker, const char *document, bool told)
{
	pthread_mutex_lock(&speaker->lock);
	speaker->revision++;
	struct buf delta = issuer_delta(&speaker->issuer, speaker->epoch, speaker->revision,
	                                &speaker->ruleset, document);
	char *event = speaker_event("delta", speaker->epoch, speaker->revision, &delta);
	buf_deinit(&speaker->whole);
	speaker->whole =
	        issuer_snapshot(&speaker->issuer, speaker->epoch, speaker->revision, speaker->ruleset);
	pthread_mutex_unlock(&speaker->lock);
	if (told) {
		speaker_say(speaker, event);
	}
	free(event);
	buf_deinit(&delta);
}

/* Waits until a counter is at least @count; fails after ten seconds. */
static inline void speaker_wait(struct speaker *speaker, const int *counter, int count)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 10;
	pthread_mutex_lock(&speaker->lock);
	int waited = 0;
	while (*counter < count && waited == 0) {
		waited = pthread_cond_timedwait(&speaker->changed, &speaker->lock, &until);
	}
	int reached = *counter;
	pthread_mutex_unlock(&speaker->lock);
	assert_true(reached >= count);
}
