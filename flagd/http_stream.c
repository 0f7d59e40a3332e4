/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/http_stream.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "flagd/http_connection.h"

static const char heartbeat[] = ": hb\n\n";

/* What the kernel may hold for one stream's reader; otherwise it grows to megabytes for each slow one. */
#define STREAM_SEND_BYTES (64 * 1024)

/* HTTP/1.0 has no chunks: libmicrohttpd sends from a buffer of this size. */
#define STREAM_BLOCK_BYTES 256

struct http_stream {
	struct http_connection *connection;
	struct http_stream *next; /* in loop->streams */
	struct http_stream **prev_link;
	const struct http_stream_ops *ops;
	void *state;
	struct http_blob *blob; /* being sent */
	size_t offset;          /* of its bytes, those already taken */
	bool is_suspended;
	bool is_ended; /* nothing comes any more */
	bool is_heartbeat_due;
	int64_t taken_ms;     /* when libmicrohttpd last took bytes or was told that there are none */
	int64_t heartbeat_ms; /* when the next one is due */
};

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
	if (stream->is_suspended || delay > stream->heartbeat_ms - loop->now_ms) {
		delay = stream->heartbeat_ms - loop->now_ms;
	}
	http_timer_start(stream->connection, delay > 0 ? (uint32_t)delay : 0);
}

/* Has the application anything? Then it is in stream->blob. */
static bool stream_poll(struct http_stream *stream)
{
	if (stream->blob == NULL && !stream->is_ended) {
		stream->offset = 0;
		stream->is_ended =
		        !stream->ops->next(stream->state, stream->connection->loop->app, &stream->blob);
	}
	return stream->blob != NULL || stream->is_ended;
}

static void stream_resume(struct http_stream *stream)
{
	if (stream->is_suspended) {
		stream->is_suspended = false;
		stream->taken_ms = stream->connection->loop->now_ms;
		MHD_resume_connection(stream->connection->mhd);
		stream->connection->loop->is_mhd_ready = true;
	}
}

static size_t blob_take(struct http_stream *stream, char *out, size_t size)
{
	size_t length = stream->blob->length - stream->offset;
	if (length > size) {
		length = size;
	}
	memcpy(out, stream->blob->bytes + stream->offset, length);
	stream->offset += length;
	if (stream->offset == stream->blob->length) {
		http_blob_unref(stream->blob);
		stream->blob = NULL;
	}
	return length;
}

/* libmicrohttpd wants bytes. */
static ssize_t stream_read(void *user, uint64_t position, char *out, size_t size)
{
	struct http_stream *stream = user;
	struct http_loop *loop = stream->connection->loop;
	size_t length = 0;
	(void)position;
	loop->progress++;
	stream->taken_ms = loop->now_ms;
	while (length < size && stream_poll(stream) && stream->blob != NULL) {
		length += blob_take(stream, out + length, size - length);
	}
	if (length == 0 && stream->is_heartbeat_due && !stream->is_ended) {
		length = sizeof(heartbeat) - 1;
		memcpy(out, heartbeat, length);
	}
	if (length > 0) {
		stream->is_heartbeat_due = false;
		heartbeat_schedule(stream);
		return (ssize_t)length;
	}
	if (stream->is_ended) {
		return MHD_CONTENT_READER_END_OF_STREAM;
	}
	stream->is_suspended = true;
	MHD_suspend_connection(stream->connection->mhd);
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

struct MHD_Response *http_stream_new(struct http_exchange *exchange)
{
	struct http_reply *reply = &exchange->reply;
	struct http_connection *connection = exchange->connection;
	struct http_loop *loop = connection->loop;
	struct http_stream *stream = calloc(1, sizeof(*stream));
	if (stream == NULL) {
		return NULL;
	}
	struct MHD_Response *response = MHD_create_response_from_callback(
	        MHD_SIZE_UNKNOWN, STREAM_BLOCK_BYTES, stream_read, stream, stream_free);
	if (response == NULL) {
		free(stream);
		return NULL;
	}
	stream->connection = connection;
	stream->ops = reply->stream;
	stream->state = reply->stream_state;
	reply->stream = NULL;
	reply->stream_state = NULL;
	stream->next = loop->streams;
	stream->prev_link = &loop->streams;
	if (stream->next != NULL) {
		stream->next->prev_link = &stream->next;
	}
	loop->streams = stream;
	connection->stream = stream;
	stream->taken_ms = loop->now_ms;
	(void)atomic_fetch_add_explicit(&loop->server->streams, 1, memory_order_relaxed);
	const int send_bytes = STREAM_SEND_BYTES;
	(void)setsockopt(connection->fd, SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof(send_bytes));
	/* Without it a departed peer is noticed at the next heartbeat. */
	(void)http_loop_watch(loop, connection->fd, EPOLLRDHUP | EPOLLET, &connection->source);
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
		if (stream->is_suspended && stream_poll(stream)) {
			stream_resume(stream);
		}
	}
}

void http_stream_end_all(struct http_loop *loop)
{
	for (struct http_stream *stream = loop->streams; stream != NULL; stream = stream->next) {
		stream->is_ended = true;
		stream_resume(stream);
	}
}

void http_stream_check(struct http_connection *connection)
{
	struct http_stream *stream = connection->stream;
	struct http_loop *loop = connection->loop;
	if (!stream->is_suspended &&
	    loop->now_ms - stream->taken_ms >= loop->server->options.stream_stall_ms) {
		(void)atomic_fetch_add_explicit(&loop->server->reaped, 1, memory_order_relaxed);
		http_connection_cut(connection);
		return;
	}
	if (loop->now_ms >= stream->heartbeat_ms) {
		stream->is_heartbeat_due = true;
		heartbeat_schedule(stream);
		stream_resume(stream);
	}
	timer_schedule(stream);
}

void http_stream_peer_gone(struct http_connection *connection)
{
	struct http_stream *stream = connection->stream;
	http_blob_unref(stream->blob);
	stream->blob = NULL;
	stream->is_ended = true;
	http_connection_cut(connection);
	stream_resume(stream);
}

void http_stream_cut_all(struct http_loop *loop)
{
	for (struct http_stream *stream = loop->streams; stream != NULL; stream = stream->next) {
		stream->is_ended = true;
		http_connection_cut(stream->connection);
		stream_resume(stream);
	}
}
