/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/http_stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "flagd/http_connection.h"

/* What the kernel may hold for one stream's reader; otherwise it grows to megabytes for each slow one. */
#define STREAM_SEND_BYTES (64 * 1024)

struct http_stream {
	struct http_connection *connection;
	struct http_stream *next; /* in loop->streams */
	struct http_stream **prev_link;
	const struct http_stream_ops *ops;
	void *state;
	struct MHD_Response *response; /* until its head was sent */
	struct http_blob *blob;        /* being sent, as one chunk */
	size_t sent;                   /* bytes of the chunk that the socket has taken, framing included */
	char prefix[20];               /* the chunk's length line; "" for HTTP/1.0 */
	uint8_t prefix_length;
	bool is_chunked;
	bool is_ours;         /* the head was sent, libmicrohttpd is suspended, the socket is ours */
	bool is_blocked;      /* the socket takes no more now */
	bool is_ended;        /* nothing comes any more */
	bool is_broken;       /* … and what was begun cannot be finished */
	int64_t taken_ms;     /* when the socket last took something, or something to send came up */
	int64_t heartbeat_ms; /* when the next one is due */
};

/* ---- Timer ---- */

/* Heartbeats of many streams are spread, so that they do not become a broadcast of their own. */
static void heartbeat_schedule(struct http_stream *stream)
{
	struct http_loop *loop = stream->connection->loop;
	uint32_t interval = loop->server->options.heartbeat_ms;
	uint32_t jitter = (uint32_t)(http_loop_random(loop) % (interval / 5 + 1));
	stream->heartbeat_ms = loop->now_ms + interval - jitter;
}

static void timer_schedule(struct http_stream *stream)
{
	const struct http_loop *loop = stream->connection->loop;
	int64_t delay = loop->server->options.stream_stall_ms / 4;
	if (delay > stream->heartbeat_ms - loop->now_ms) {
		delay = stream->heartbeat_ms - loop->now_ms;
	}
	http_timer_start(stream->connection, delay > 0 ? (uint32_t)delay : 0);
}

/* ---- Sending ---- */

/* Gives the connection back to libmicrohttpd, to be ended. */
static void stream_return(struct http_stream *stream)
{
	stream->is_ended = true;
	if (stream->is_ours) {
		stream->is_ours = false;
		MHD_resume_connection(stream->connection->mhd);
		stream->connection->loop->is_mhd_ready = true;
	}
}

static void stream_break(struct http_stream *stream)
{
	stream->is_broken = true;
	http_connection_cut(stream->connection);
	stream_return(stream);
}

/* Has the application anything? Then it is in stream->blob. */
static bool stream_poll(struct http_stream *stream)
{
	struct http_loop *loop = stream->connection->loop;
	if (stream->blob == NULL && !stream->is_ended) {
		stream->is_ended = !stream->ops->next(stream->state, loop->app, &stream->blob);
		if (stream->blob != NULL) {
			stream->sent = 0;
			stream->taken_ms = loop->now_ms;
			if (stream->is_chunked) {
				stream->prefix_length =
				        (uint8_t)snprintf(stream->prefix, sizeof(stream->prefix), "%zx\r\n",
				                          stream->blob->length);
			}
		}
	}
	return stream->blob != NULL;
}

/* One part of a chunk, without the first @skip bytes of what is left of it. */
static size_t part_add(struct iovec *iov, const char *bytes, size_t length, size_t *skip)
{
	if (*skip >= length) {
		*skip -= length;
		return 0;
	}
	iov->iov_base = (void *)(bytes + *skip); /* only read from */
	iov->iov_len = length - *skip;
	*skip = 0;
	return 1;
}

/* What is left of the chunk, to the socket. */
static ssize_t chunk_send(const struct http_stream *stream)
{
	struct iovec iov[3];
	size_t skip = stream->sent;
	size_t count = part_add(iov, stream->prefix, stream->prefix_length, &skip);
	count += part_add(iov + count, stream->blob->bytes, stream->blob->length, &skip);
	if (stream->is_chunked) {
		count += part_add(iov + count, "\r\n", 2, &skip);
	}
	const struct msghdr message = { .msg_iov = iov, .msg_iovlen = count };
	return sendmsg(stream->connection->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static bool chunk_is_sent(const struct http_stream *stream)
{
	size_t framing = stream->is_chunked ? (size_t)stream->prefix_length + 2 : 0;
	return stream->sent == framing + stream->blob->length;
}

/* Sends until there is nothing more, or the socket is full. */
static void stream_pump(struct http_stream *stream)
{
	bool has_sent = false;
	stream->is_blocked = false;
	while (stream_poll(stream)) {
		ssize_t length = stream->blob->length > 0 ? chunk_send(stream) : 0;
		if (length < 0 && errno == EAGAIN) {
			stream->is_blocked = true;
			break;
		}
		if (length < 0 && errno != EINTR) {
			stream_break(stream);
			return;
		}
		stream->sent += length > 0 ? (size_t)length : 0;
		has_sent = true;
		if (stream->blob->length == 0 || chunk_is_sent(stream)) {
			http_blob_unref(stream->blob);
			stream->blob = NULL;
		}
	}
	if (has_sent) {
		stream->taken_ms = stream->connection->loop->now_ms;
		heartbeat_schedule(stream);
	}
	if (stream->is_ended && stream->blob == NULL) {
		stream_return(stream);
	}
}

static void heartbeat_send(struct http_stream *stream)
{
	static const char chunk[] = "6\r\n: hb\n\n\r\n";
	const char *bytes = stream->is_chunked ? chunk : chunk + 3;
	size_t length = stream->is_chunked ? sizeof(chunk) - 1 : 6;
	heartbeat_schedule(stream);
	/* With nothing on its way there is room; if not for all of it, nothing can be done about it. */
	if (send(stream->connection->fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)length) {
		stream_break(stream);
	}
}

/* ---- libmicrohttpd's callbacks ---- */

struct header_copy {
	char name[64];
	char value[320];
};

static enum MHD_Result header_take(void *user, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct header_copy *copy = user;
	(void)kind;
	(void)snprintf(copy->name, sizeof(copy->name), "%s", name);
	(void)snprintf(copy->value, sizeof(copy->value), "%s", value);
	return MHD_NO; /* one is enough */
}

/* The head was sent: a KiB and a half of headers for each of many streams are not needed any more. */
static void headers_drop(struct MHD_Response *response)
{
	struct header_copy copy;
	while (MHD_get_response_headers(response, header_take, &copy) > 0 &&
	       MHD_del_response_header(response, copy.name, copy.value) == MHD_YES) {
	}
}

/* libmicrohttpd wants the body: after the head, and when it got the connection back. */
// NOLINTNEXTLINE(readability-non-const-parameter): libmicrohttpd's signature
static ssize_t stream_read(void *user, uint64_t position, char *out, size_t size)
{
	struct http_stream *stream = user;
	(void)position;
	(void)out;
	(void)size;
	stream->connection->loop->progress++;
	if (stream->is_broken) {
		return MHD_CONTENT_READER_END_WITH_ERROR;
	}
	if (stream->response != NULL) {
		headers_drop(stream->response);
		stream->response = NULL;
	}
	if (stream->is_ended && stream->blob == NULL) {
		return MHD_CONTENT_READER_END_OF_STREAM;
	}
	stream->is_ours = true;
	MHD_suspend_connection(stream->connection->mhd);
	stream_pump(stream);
	return 0;
}

/* libmicrohttpd has dropped the response. */
static void stream_free(void *user)
{
	struct http_stream *stream = user;
	struct http_loop *loop = stream->connection->loop;
	*stream->prev_link = stream->next;
	if (stream->next != NULL) {
		stream->next->prev_link = stream->prev_link;
	}
	stream->connection->stream = NULL;
	http_timer_start(stream->connection, loop->server->check_ms);
	(void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, stream->connection->fd, NULL);
	(void)atomic_fetch_sub_explicit(&loop->server->streams, 1, memory_order_relaxed);
	http_blob_unref(stream->blob);
	stream->ops->close(stream->state);
	free(stream);
}

/* ---- For the exchange and the loop ---- */

static void stream_link(struct http_stream *stream)
{
	struct http_loop *loop = stream->connection->loop;
	stream->next = loop->streams;
	stream->prev_link = &loop->streams;
	if (stream->next != NULL) {
		stream->next->prev_link = &stream->next;
	}
	loop->streams = stream;
	stream->connection->stream = stream;
	(void)atomic_fetch_add_explicit(&loop->server->streams, 1, memory_order_relaxed);
}

struct MHD_Response *http_stream_new(struct http_exchange *exchange)
{
	struct http_reply *reply = &exchange->reply;
	struct http_connection *connection = exchange->connection;
	struct http_loop *loop = connection->loop;
	const int send_bytes = STREAM_SEND_BYTES;
	struct http_stream *stream = calloc(1, sizeof(*stream));
	if (stream == NULL) {
		return NULL;
	}
	/* The block of a byte is never used: what is sent is sent by us. */
	struct MHD_Response *response =
	        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 1, stream_read, stream, stream_free);
	if (response == NULL) {
		free(stream);
		return NULL;
	}
	stream->connection = connection;
	stream->response = response;
	stream->is_chunked = !exchange->facts.is_http_10;
	stream->taken_ms = loop->now_ms;
	stream->ops = reply->stream;
	stream->state = reply->stream_state;
	reply->stream = NULL;
	reply->stream_state = NULL;
	stream_link(stream);
	/* For room in the socket, and for the peer's departure. */
	if (!http_loop_watch(loop, connection->fd, EPOLLOUT | EPOLLRDHUP | EPOLLET, &connection->source)) {
		MHD_destroy_response(response);
		return NULL;
	}
	(void)setsockopt(connection->fd, SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof(send_bytes));
	heartbeat_schedule(stream);
	timer_schedule(stream);
	if (reply->content_type == NULL) {
		reply->content_type = "text/event-stream";
	}
	return response;
}

void http_stream_wake_all(struct http_loop *loop)
{
	for (struct http_stream *stream = loop->streams; stream != NULL; stream = stream->next) {
		if (stream->is_ours && !stream->is_blocked) {
			stream_pump(stream);
		}
	}
}

void http_stream_end_all(struct http_loop *loop)
{
	for (struct http_stream *stream = loop->streams; stream != NULL; stream = stream->next) {
		stream->is_ended = true;
		if (stream->is_ours && stream->blob == NULL) {
			stream_return(stream);
		}
	}
}

void http_stream_cut_all(struct http_loop *loop)
{
	for (struct http_stream *stream = loop->streams; stream != NULL; stream = stream->next) {
		stream_break(stream);
	}
}

void http_stream_check(struct http_connection *connection)
{
	struct http_stream *stream = connection->stream;
	struct http_loop *loop = connection->loop;
	bool is_stuck = !stream->is_ours || stream->is_blocked;
	if (is_stuck && loop->now_ms - stream->taken_ms >= loop->server->options.stream_stall_ms) {
		(void)atomic_fetch_add_explicit(&loop->server->reaped, 1, memory_order_relaxed);
		stream_break(stream);
		return;
	}
	if (loop->now_ms >= stream->heartbeat_ms) {
		if (is_stuck) {
			heartbeat_schedule(stream);
		} else {
			heartbeat_send(stream);
		}
	}
	timer_schedule(stream);
}

void http_stream_event(struct http_connection *connection, uint32_t events)
{
	struct http_stream *stream = connection->stream;
	if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
		stream_break(stream);
	} else if (stream->is_ours && stream->is_blocked) {
		stream_pump(stream);
	}
}
