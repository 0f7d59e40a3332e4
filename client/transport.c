/* SPDX-License-Identifier: Apache-2.0 */
#include "client/transport.h"

#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/address.h"
#include "client/descriptors.h"

#define HEADERS_MAX_BYTES ((size_t)64 * 1024)
#define TOKEN_MAX_BYTES   600
#define RETRY_WAIT_MS     100 /* between looks while there are no descriptors to work with */
#define REBUILD_AFTER_MS  250 /* whoever closes descriptors one by one must be done before new ones are made */

struct channel {
	struct transport *transport;
	enum transport_channel name;
	CURL *easy; /* NULL until the first request */
	struct curl_slist *headers;
	bool is_busy;
	bool is_answered; /* the final status line and headers came */
	bool is_given_up; /* by on_bytes */
	size_t header_bytes;
	char message[CURL_ERROR_SIZE];
};

/* libcurl's state that had to be left alone. Kept reachable: it is abandoned on purpose, not forgotten. */
struct abandoned {
	struct abandoned *next;
	CURLM *multi;
	CURL *easies[TRANSPORT_CHANNELS];
	struct curl_slist *headers[TRANSPORT_CHANNELS];
};
static _Atomic(struct abandoned *) abandoned_list;

struct transport {
	char url[ADDRESS_SIZE];
	char authorization[TOKEN_MAX_BYTES];
	uint32_t connect_timeout_ms;
	struct transport_handler handler;
	CURLM *multi; /* NULL while it cannot be built */
	struct channel channels[TRANSPORT_CHANNELS];
	struct descriptors sockets;
	int64_t timer_ms; /* when libcurl wants to be called; -1: not */
	int64_t build_ms; /* nothing is built before */
	uint32_t rebuilt_count;

	pthread_mutex_t wake_lock; /* guards what follows */
	struct descriptors wake;   /* both ends of a socket pair; empty while there is none */
	int wake_read, wake_write;
};

/* ---- What libcurl calls ---- */

static curl_socket_t socket_open(void *user, curlsocktype purpose, struct curl_sockaddr *address)
{
	(void)user;
	(void)purpose;
	int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
	return fd >= 0 ? fd : CURL_SOCKET_BAD;
}

/*
 * libcurl 7.88 closes a socket that is not connected yet without asking here. So a socket is remembered
 * while libcurl waits for it, and for longer only once it has carried an answer.
 */
static int socket_close(void *user, curl_socket_t fd)
{
	struct transport *transport = user;
	const struct descriptor *descriptor = descriptors_find(&transport->sockets, fd);
	if (descriptor != NULL && !descriptor_is_ours(descriptor)) {
		return 0; /* the number is somebody else's by now */
	}
	descriptors_remove(&transport->sockets, fd);
	return close(fd);
}

/* The connection of a transfer that is answered: by now the others that were tried are closed. */
static void socket_keep(struct transport *transport, const CURL *easy)
{
	for (uint32_t i = 0; i < transport->sockets.count; i++) {
		struct descriptor *descriptor = &transport->sockets.list[i];
		descriptor->is_kept = descriptor->is_kept || descriptor->owner == easy;
	}
}

/* libcurl wants (no longer) to know when something can be done with a socket. */
static int socket_watch(CURL *easy, curl_socket_t fd, int what, void *user, void *socket_user)
{
	struct transport *transport = user;
	(void)socket_user;
	struct descriptor *descriptor = descriptors_find(&transport->sockets, fd);
	if (what == CURL_POLL_REMOVE) {
		if (descriptor != NULL && descriptor->is_kept) {
			descriptor->events = 0;
		} else {
			descriptors_remove(&transport->sockets, fd);
		}
		return 0;
	}
	if (descriptor == NULL && descriptors_add(&transport->sockets, fd)) {
		descriptor = descriptors_find(&transport->sockets, fd);
	}
	if (descriptor == NULL) {
		return -1;
	}
	descriptor->owner = easy;
	descriptor->events = 0;
	if (what == CURL_POLL_IN || what == CURL_POLL_INOUT) {
		descriptor->events |= POLLIN;
	}
	if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT) {
		descriptor->events |= POLLOUT;
	}
	return 0;
}

static int timer_set(CURLM *multi, long timeout_ms, void *user)
{
	struct transport *transport = user;
	(void)multi;
	transport->timer_ms = timeout_ms < 0 ? -1 : clock_monotonic_ms(&clock_system) + timeout_ms;
	return 0;
}

static void response_tell(struct channel *channel, long http_status)
{
	char *type = NULL;
	curl_off_t retry_after_s = 0;
	(void)curl_easy_getinfo(channel->easy, CURLINFO_CONTENT_TYPE, &type);
	(void)curl_easy_getinfo(channel->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
	const struct transport_response response = {
		.http_status = (int)http_status,
		.content_type = type != NULL ? type : "",
		.retry_after_ms = retry_after_s > INT32_MAX ? INT32_MAX : (int64_t)retry_after_s * 1000,
	};
	channel->is_answered = true;
	socket_keep(channel->transport, channel->easy);
	const struct transport_handler *handler = &channel->transport->handler;
	handler->on_response(handler->user, channel->name, &response);
}

// NOLINTNEXTLINE(readability-non-const-parameter): the type is libcurl's
static size_t header_receive(char *bytes, size_t size, size_t count, void *user)
{
	struct channel *channel = user;
	size_t length = size * count;
	channel->header_bytes += length;
	if (channel->header_bytes > HEADERS_MAX_BYTES) {
		(void)snprintf(channel->message, sizeof(channel->message), "The headers are too large");
		return CURL_WRITEFUNC_ERROR;
	}
	long http_status = 0;
	bool is_last = length <= 2 && (bytes[0] == '\r' || bytes[0] == '\n');
	if (is_last && !channel->is_answered &&
	    curl_easy_getinfo(channel->easy, CURLINFO_RESPONSE_CODE, &http_status) == CURLE_OK &&
	    http_status >= 200) {
		response_tell(channel, http_status);
	}
	return length;
}

static size_t body_receive(char *bytes, size_t size, size_t count, void *user)
{
	struct channel *channel = user;
	const struct transport_handler *handler = &channel->transport->handler;
	size_t length = size * count;
	if (!handler->on_bytes(handler->user, channel->name, bytes, length)) {
		channel->is_given_up = true;
		return CURL_WRITEFUNC_ERROR;
	}
	return length;
}

/* ---- Life cycle ---- */

/* Makes the socket pair that ends a wait. */
static bool wake_open(struct transport *transport)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
		return false;
	}
	pthread_mutex_lock(&transport->wake_lock);
	transport->wake = (struct descriptors){ 0 };
	bool is_done =
	        descriptors_add(&transport->wake, pair[0]) && descriptors_add(&transport->wake, pair[1]);
	transport->wake.count = is_done ? transport->wake.count : 0;
	transport->wake_read = pair[0];
	transport->wake_write = pair[1];
	pthread_mutex_unlock(&transport->wake_lock);
	return is_done;
}

static void wake_close(struct transport *transport)
{
	pthread_mutex_lock(&transport->wake_lock);
	for (uint32_t i = 0; i < transport->wake.count; i++) {
		if (descriptor_is_ours(&transport->wake.list[i])) {
			(void)close(transport->wake.list[i].fd);
		}
	}
	transport->wake.count = 0;
	pthread_mutex_unlock(&transport->wake_lock);
}

/* Is there something to work with? Tries to make it when not. */
static bool transport_is_built(struct transport *transport)
{
	if (transport->multi != NULL) {
		return true;
	}
	if (clock_monotonic_ms(&clock_system) < transport->build_ms ||
	    (transport->wake.count == 0 && !wake_open(transport))) {
		return false;
	}
	transport->multi = curl_multi_init();
	if (transport->multi == NULL) {
		return false;
	}
	transport->timer_ms = -1;
	(void)curl_multi_setopt(transport->multi, CURLMOPT_SOCKETFUNCTION, socket_watch);
	(void)curl_multi_setopt(transport->multi, CURLMOPT_SOCKETDATA, transport);
	(void)curl_multi_setopt(transport->multi, CURLMOPT_TIMERFUNCTION, timer_set);
	(void)curl_multi_setopt(transport->multi, CURLMOPT_TIMERDATA, transport);
	(void)curl_multi_setopt(transport->multi, CURLMOPT_MAXCONNECTS, 4L);
	return true;
}

enum status transport_new(const struct transport_options *options, struct transport **ret, struct error *err)
{
	struct transport *transport = calloc(1, sizeof(*transport));
	if (transport == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory");
	}
	(void)snprintf(transport->url, sizeof(transport->url), "%s", options->url);
	(void)snprintf(transport->authorization, sizeof(transport->authorization), "Authorization: Bearer %s",
	               options->token);
	transport->connect_timeout_ms = options->connect_timeout_ms;
	transport->handler = options->handler;
	pthread_mutex_init(&transport->wake_lock, NULL);
	for (int i = 0; i < TRANSPORT_CHANNELS; i++) {
		transport->channels[i].transport = transport;
		transport->channels[i].name = (enum transport_channel)i;
	}
	*ret = transport;
	return STATUS_OK;
}

/* Leaves libcurl's state alone for good: its descriptors mean something else by now. */
static void transport_abandon(struct transport *transport)
{
	struct abandoned *abandoned = calloc(1, sizeof(*abandoned));
	if (abandoned != NULL) {
		abandoned->multi = transport->multi;
	}
	transport->multi = NULL;
	for (int i = 0; i < TRANSPORT_CHANNELS; i++) {
		struct channel *channel = &transport->channels[i];
		if (abandoned != NULL) {
			abandoned->easies[i] = channel->easy;
			abandoned->headers[i] = channel->headers;
		}
		channel->easy = NULL;
		channel->headers = NULL;
		channel->is_busy = false;
	}
	transport->sockets.count = 0;
	if (abandoned != NULL) {
		abandoned->next = atomic_load(&abandoned_list);
		while (!atomic_compare_exchange_weak(&abandoned_list, &abandoned->next, abandoned)) {
			/* another client's thread was first; next is what it put there */
		}
	}
}

static bool transport_is_whole(struct transport *transport)
{
	pthread_mutex_lock(&transport->wake_lock);
	bool is_whole = descriptors_are_ours(&transport->wake);
	pthread_mutex_unlock(&transport->wake_lock);
	return is_whole && descriptors_are_ours(&transport->sockets);
}

void transport_free(struct transport *transport)
{
	if (transport == NULL) {
		return;
	}
	if (!transport_is_whole(transport)) {
		transport_abandon(transport);
	}
	for (int i = 0; i < TRANSPORT_CHANNELS; i++) {
		transport_abort(transport, (enum transport_channel)i);
		curl_easy_cleanup(transport->channels[i].easy);
		curl_slist_free_all(transport->channels[i].headers);
	}
	if (transport->multi != NULL) {
		(void)curl_multi_cleanup(transport->multi);
	}
	wake_close(transport);
	pthread_mutex_destroy(&transport->wake_lock);
	sodium_memzero(transport->authorization, sizeof(transport->authorization));
	free(transport);
}

void transport_wake(struct transport *transport)
{
	pthread_mutex_lock(&transport->wake_lock);
	if (transport->wake.count > 0 && descriptors_are_ours(&transport->wake)) {
		(void)send(transport->wake_write, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	pthread_mutex_unlock(&transport->wake_lock);
}

uint32_t transport_rebuilt_count(const struct transport *transport)
{
	return transport->rebuilt_count;
}

/* ---- Requests ---- */

/* Options that every request has. */
static void easy_prepare(struct channel *channel)
{
	struct transport *transport = channel->transport;
	CURL *easy = channel->easy;
	curl_easy_reset(easy);
	(void)curl_easy_setopt(easy, CURLOPT_PRIVATE, channel);
	(void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* never wait for a resolver that hangs */
	(void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	(void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	(void)curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	(void)curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	(void)curl_easy_setopt(easy, CURLOPT_PROXY, "");
	(void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)transport->connect_timeout_ms);
	(void)curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_USERAGENT, "libhalyard/" HALYARD_VERSION);
	(void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, channel->message);
	(void)curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, socket_open);
	(void)curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transport);
	(void)curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, socket_close);
	(void)curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, transport);
	(void)curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, header_receive);
	(void)curl_easy_setopt(easy, CURLOPT_HEADERDATA, channel);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, body_receive);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, channel);
}

static bool header_add(struct channel *channel, const char *line)
{
	struct curl_slist *list = curl_slist_append(channel->headers, line);
	if (list == NULL) {
		return false;
	}
	channel->headers = list;
	return true;
}

/* Everything of one request; false when out of memory. */
static bool request_prepare(struct channel *channel, const struct transport_request *request)
{
	char url[ADDRESS_SIZE];
	char accept[128];
	(void)snprintf(url, sizeof(url), "%s%s", channel->transport->url, request->path);
	(void)snprintf(accept, sizeof(accept), "Accept: %s", request->accept);
	curl_slist_free_all(channel->headers);
	channel->headers = NULL;
	bool is_done = header_add(channel, channel->transport->authorization) &&
	               header_add(channel, accept) &&
	               (request->header == NULL || header_add(channel, request->header));
	if (request->body != NULL) {
		/* No "Expect: 100-continue": the body is small, and waiting for it costs a round trip. */
		is_done = is_done && header_add(channel, "Content-Type: application/json") &&
		          header_add(channel, "Expect:") &&
		          curl_easy_setopt(channel->easy, CURLOPT_POSTFIELDSIZE_LARGE,
		                           (curl_off_t)request->body_length) == CURLE_OK &&
		          curl_easy_setopt(channel->easy, CURLOPT_COPYPOSTFIELDS, request->body) == CURLE_OK;
	}
	return is_done && curl_easy_setopt(channel->easy, CURLOPT_URL, url) == CURLE_OK &&
	       curl_easy_setopt(channel->easy, CURLOPT_HTTPHEADER, channel->headers) == CURLE_OK;
}

enum status transport_start(struct transport *transport, enum transport_channel name,
                            const struct transport_request *request, struct error *err)
{
	struct channel *channel = &transport->channels[name];
	transport_abort(transport, name);
	if (!transport_is_built(transport)) {
		return error_fail(err, STATUS_UNAVAILABLE, "No descriptors are left to connect with");
	}
	if (channel->easy == NULL) {
		channel->easy = curl_easy_init();
	}
	if (channel->easy == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory while starting a request");
	}
	easy_prepare(channel);
	channel->is_answered = false;
	channel->is_given_up = false;
	channel->header_bytes = 0;
	channel->message[0] = '\0';
	if (!request_prepare(channel, request) ||
	    curl_multi_add_handle(transport->multi, channel->easy) != CURLM_OK) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory while starting a request");
	}
	channel->is_busy = true;
	return STATUS_OK;
}

void transport_abort(struct transport *transport, enum transport_channel name)
{
	struct channel *channel = &transport->channels[name];
	if (channel->is_busy) {
		(void)curl_multi_remove_handle(transport->multi, channel->easy);
		channel->is_busy = false;
	}
}

bool transport_is_busy(const struct transport *transport, enum transport_channel channel)
{
	return transport->channels[channel].is_busy;
}

static enum transport_end end_of(CURL *easy, CURLcode code)
{
	long system_error = 0;
	curl_off_t connected_us = 0;
	(void)curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &system_error);
	(void)curl_easy_getinfo(easy, CURLINFO_CONNECT_TIME_T, &connected_us);
	if (code == CURLE_OK) {
		return TRANSPORT_COMPLETE;
	}
	if (code == CURLE_COULDNT_CONNECT && system_error == ECONNREFUSED) {
		return TRANSPORT_REFUSED;
	}
	return connected_us == 0 ? TRANSPORT_UNREACHABLE : TRANSPORT_BROKEN;
}

static void request_finish(struct transport *transport, CURL *easy, CURLcode code)
{
	struct channel *channel = NULL;
	(void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&channel);
	(void)curl_multi_remove_handle(transport->multi, easy);
	channel->is_busy = false;
	if (channel->is_given_up) {
		return;
	}
	enum transport_end end = end_of(easy, code);
	const char *message = "";
	if (end != TRANSPORT_COMPLETE) {
		message = channel->message[0] != '\0' ? channel->message : curl_easy_strerror(code);
	}
	transport->handler.on_end(transport->handler.user, channel->name, end, message);
}

/* ---- The loop ---- */

/* Descriptors were taken: everything in flight is over, and libcurl starts anew. */
static void transport_rebuild(struct transport *transport)
{
	bool was_busy[TRANSPORT_CHANNELS];
	for (int i = 0; i < TRANSPORT_CHANNELS; i++) {
		was_busy[i] = transport->channels[i].is_busy;
	}
	transport_abandon(transport);
	wake_close(transport);
	transport->rebuilt_count++;
	transport->build_ms = clock_monotonic_ms(&clock_system) + REBUILD_AFTER_MS;
	for (int i = 0; i < TRANSPORT_CHANNELS; i++) {
		if (was_busy[i]) {
			transport->handler.on_end(transport->handler.user, (enum transport_channel)i,
			                          TRANSPORT_BROKEN,
			                          "The program closed the library's descriptors");
		}
	}
}

static void sockets_act(struct transport *transport, const struct pollfd *polled, uint32_t count)
{
	int running = 0;
	for (uint32_t i = 0; i < count; i++) {
		int bits = 0;
		bits |= (polled[i].revents & POLLIN) != 0 ? CURL_CSELECT_IN : 0;
		bits |= (polled[i].revents & POLLOUT) != 0 ? CURL_CSELECT_OUT : 0;
		bits |= (polled[i].revents & (POLLERR | POLLHUP)) != 0 ? CURL_CSELECT_ERR | CURL_CSELECT_IN
		                                                       : 0;
		/* What was done for one socket may have closed another. */
		const struct descriptor *descriptor = descriptors_find(&transport->sockets, polled[i].fd);
		if (bits != 0 && descriptor != NULL && descriptor->events != 0) {
			(void)curl_multi_socket_action(transport->multi, polled[i].fd, bits, &running);
		}
	}
	if (transport->timer_ms >= 0 && clock_monotonic_ms(&clock_system) >= transport->timer_ms) {
		transport->timer_ms = -1;
		(void)curl_multi_socket_action(transport->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	}
	int left = 0;
	for (CURLMsg *done; (done = curl_multi_info_read(transport->multi, &left)) != NULL;) {
		if (done->msg == CURLMSG_DONE) {
			request_finish(transport, done->easy_handle, done->data.result);
		}
	}
}

static int wait_ms(const struct transport *transport, int64_t until_ms)
{
	if (transport->timer_ms >= 0 && transport->timer_ms < until_ms) {
		until_ms = transport->timer_ms;
	}
	int64_t left_ms = until_ms - clock_monotonic_ms(&clock_system);
	if (left_ms < 0) {
		return 0;
	}
	return left_ms < TRANSPORT_MAX_WAIT_MS ? (int)left_ms : TRANSPORT_MAX_WAIT_MS;
}

void transport_run(struct transport *transport, int64_t until_ms)
{
	if (!transport_is_built(transport)) {
		int left_ms = wait_ms(transport, until_ms);
		(void)poll(NULL, 0, left_ms < RETRY_WAIT_MS ? left_ms : RETRY_WAIT_MS);
		return;
	}
	if (!transport_is_whole(transport)) {
		transport_rebuild(transport);
		return;
	}
	struct pollfd polled[DESCRIPTORS_MAX + 1];
	nfds_t count = 0;
	for (uint32_t i = 0; i < transport->sockets.count; i++) {
		const struct descriptor *descriptor = &transport->sockets.list[i];
		if (descriptor->events != 0) {
			polled[count++] =
			        (struct pollfd){ .fd = descriptor->fd, .events = descriptor->events };
		}
	}
	polled[count] = (struct pollfd){ .fd = transport->wake_read, .events = POLLIN };
	if (poll(polled, count + 1, wait_ms(transport, until_ms)) < 0) {
		return; /* EINTR: everything is looked at again */
	}
	if (!transport_is_whole(transport)) {
		transport_rebuild(transport);
		return;
	}
	char drained[64];
	if ((polled[count].revents & POLLIN) != 0) {
		(void)recv(transport->wake_read, drained, sizeof(drained), MSG_DONTWAIT);
	}
	sockets_act(transport, polled, (uint32_t)count);
}
