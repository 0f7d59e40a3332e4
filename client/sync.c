/* SPDX-License-Identifier: Apache-2.0 */
#include "client/sync.h"

void sync_init(struct sync *sync, const struct sync_options *options)
{
	*sync = (struct sync){
		.options = *options,
		.state = HALYARD_STATE_STARTING,
		.has_base = options->has_base,
		.next_ms = INT64_MIN,
		.stream_ms = INT64_MIN,
		.not_before_ms = INT64_MIN,
	};
}

static int64_t max_ms(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t min_ms(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* @first doubled @times times, at most @max. */
static int64_t doubled(int64_t first, uint32_t times, int64_t max)
{
	while (times > 0 && first < max) {
		first *= 2;
		times--;
	}
	return min_ms(first, max);
}

/* In [0, span]. */
static int64_t jitter(struct sync *sync, int64_t span)
{
	return sync->options.random(sync->options.random_user, (uint32_t)span + 1);
}

static void request_forget(struct sync *sync)
{
	sync->active = SYNC_REQUEST_NONE;
	sync->is_abort_due = false;
	sync->is_unwilling = false;
	sync->is_answered = false;
	sync->has_byte = false;
	sync->has_message = false;
}

/* Streams are answered and yet do not come through: poll, and try one again after a pause. */
static void stream_is_barren(struct sync *sync, int64_t now_ms)
{
	int64_t interval_ms = sync->options.poll_interval_ms;
	sync->stream_ms =
	        now_ms + doubled(interval_ms, sync->barren, max_ms(SYNC_STREAM_PAUSE_MS, interval_ms));
	sync->barren++;
}

/* The request in flight came to nothing; @is_overdue: because too little came, or nothing. */
static void request_fail(struct sync *sync, int64_t now_ms, enum sync_end end, bool is_overdue)
{
	bool was_stream = sync->active == SYNC_REQUEST_STREAM;
	if (was_stream && sync->has_message && now_ms - sync->started_ms >= SYNC_STEADY_MS) {
		sync->attempt = 0;
	}
	if (was_stream && sync->has_message) {
		sync->barren = 0;
	} else if (was_stream && !sync->is_unwilling && (sync->is_answered || is_overdue)) {
		stream_is_barren(sync, now_ms);
	}
	bool will_poll = was_stream && sync->stream_ms > now_ms && sync->state == HALYARD_STATE_POLLING;
	if (!will_poll) {
		sync->state = HALYARD_STATE_DISCONNECTED;
	}
	if (end != SYNC_END_CLOSED) {
		/* The world may be another when the daemon is back: streams first again. */
		sync->barren = 0;
		sync->stream_ms = now_ms;
	}
	int64_t cap = end == SYNC_END_REFUSED ? SYNC_REFUSED_MAX_MS : SYNC_BACKOFF_MAX_MS;
	int64_t wait_ms = jitter(sync, doubled(SYNC_BACKOFF_FIRST_MS, sync->attempt, cap));
	if (sync->attempt < UINT32_MAX) {
		sync->attempt++;
	}
	sync->next_ms = max_ms(now_ms, sync->not_before_ms) + wait_ms;
	request_forget(sync);
}

/* Why the request in flight has to be given up now, or NULL; the next time to ask in @ret_ms. */
static const char *request_overdue(const struct sync *sync, int64_t now_ms, int64_t *ret_ms)
{
	bool is_stream = sync->active == SYNC_REQUEST_STREAM;
	int64_t silence_ms = sync->options.silence_timeout_ms;
	int64_t answer_ms = sync->options.connect_timeout_ms + min_ms(SYNC_ANSWER_TIMEOUT_MS, silence_ms);
	int64_t silent_at = sync->has_byte ? sync->last_byte_ms + silence_ms : sync->started_ms + answer_ms;
	int64_t over_at = is_stream ? sync->last_message_ms + SYNC_MESSAGE_TIMEOUT_MS
	                            : sync->started_ms + SYNC_REQUEST_TIMEOUT_MS;
	*ret_ms = min_ms(silent_at, over_at);
	if (now_ms >= silent_at) {
		return sync->has_byte ? "The daemon fell silent" : "The daemon did not answer in time";
	}
	if (now_ms >= over_at) {
		return is_stream ? "The stream carried nothing complete for ten minutes"
		                 : "The answer took too long";
	}
	return NULL;
}

static void request_start(struct sync *sync, int64_t now_ms, struct sync_action *ret)
{
	enum sync_request request = SYNC_REQUEST_STREAM;
	if (sync->options.needs_keys) {
		request = SYNC_REQUEST_KEYS;
	} else if (sync->options.disable_streaming || now_ms < sync->stream_ms) {
		request = SYNC_REQUEST_SNAPSHOT;
	}
	request_forget(sync);
	sync->active = request;
	sync->started_ms = now_ms;
	sync->last_byte_ms = now_ms;
	sync->last_message_ms = now_ms;
	*ret = (struct sync_action){
		.type = SYNC_START,
		.request = request,
		.resume = sync->has_base && request != SYNC_REQUEST_KEYS,
		.until_ms = now_ms,
	};
}

void sync_next(struct sync *sync, int64_t now_ms, struct sync_action *ret)
{
	*ret = (struct sync_action){ .type = SYNC_WAIT };
	if (sync->active == SYNC_REQUEST_NONE) {
		if (now_ms >= sync->next_ms) {
			request_start(sync, now_ms, ret);
		} else {
			ret->until_ms = sync->next_ms;
		}
		return;
	}
	const char *reason = NULL;
	if (!sync->is_abort_due) {
		reason = request_overdue(sync, now_ms, &ret->until_ms);
		if (reason == NULL) {
			return;
		}
	}
	request_fail(sync, now_ms, SYNC_END_CLOSED, reason != NULL);
	*ret = (struct sync_action){ .type = SYNC_ABORT, .until_ms = now_ms, .reason = reason };
}

static void confirm(struct sync *sync, int64_t now_ms)
{
	sync->is_confirmed = true;
	sync->confirmed_ms = now_ms;
	sync->has_message = true;
	sync->last_message_ms = now_ms;
	sync->not_before_ms = INT64_MIN;
}

/* A poll, or the request for keys, succeeded. */
static void request_succeed(struct sync *sync, int64_t now_ms)
{
	int64_t wait_ms = 0;
	if (sync->active == SYNC_REQUEST_SNAPSHOT) {
		int64_t interval_ms = sync->options.poll_interval_ms;
		wait_ms = interval_ms - interval_ms / 10 + jitter(sync, interval_ms / 5);
		sync->state = HALYARD_STATE_POLLING;
	}
	sync->attempt = 0;
	sync->next_ms = now_ms + wait_ms;
	request_forget(sync);
}

void sync_on_response(struct sync *sync, int64_t now_ms, int http_status, bool has_expected_type,
                      int64_t retry_after_ms)
{
	if (sync->active == SYNC_REQUEST_NONE || sync->is_abort_due) {
		return;
	}
	sync->is_answered = true;
	sync->is_denied = http_status == 401 || http_status == 403;
	sync->is_unwilling =
	        sync->is_denied || http_status == 429 || (http_status >= 500 && http_status != 501);
	if (sync->is_denied) {
		sync->not_before_ms = now_ms + SYNC_DENIED_MS;
	}
	if ((http_status == 429 || http_status == 503) && retry_after_ms > 0) {
		sync->not_before_ms = now_ms + min_ms(retry_after_ms, SYNC_RETRY_AFTER_MAX_MS);
	}
	if (http_status == 304 && sync->active == SYNC_REQUEST_SNAPSHOT && sync->has_base) {
		confirm(sync, now_ms);
		request_succeed(sync, now_ms);
	} else if (http_status != 200 || !has_expected_type) {
		sync->is_abort_due = true;
	}
}

void sync_on_bytes(struct sync *sync, int64_t now_ms)
{
	sync->has_byte = true;
	sync->last_byte_ms = now_ms;
}

void sync_on_comment(struct sync *sync, int64_t now_ms)
{
	if (sync->active != SYNC_REQUEST_STREAM || sync->is_abort_due) {
		return;
	}
	/* Before the first snapshot of a client that has none, it says nothing about what is current. */
	if (sync->has_base) {
		confirm(sync, now_ms);
		sync->state = HALYARD_STATE_STREAMING;
	}
}

void sync_on_result(struct sync *sync, int64_t now_ms, enum status status)
{
	if (sync->active == SYNC_REQUEST_NONE || sync->is_abort_due) {
		return;
	}
	if (status != STATUS_OK) {
		sync->has_message = true; /* streams come through, whatever is in them */
		if (status == STATUS_CORRUPT || status == STATUS_CONFLICT) {
			sync->has_base = false;
		}
		sync->is_abort_due = true;
		return;
	}
	if (sync->active == SYNC_REQUEST_KEYS) {
		sync->options.needs_keys = false;
		request_succeed(sync, now_ms);
		return;
	}
	sync->has_base = true;
	confirm(sync, now_ms);
	if (sync->active == SYNC_REQUEST_STREAM) {
		sync->state = HALYARD_STATE_STREAMING;
	} else {
		request_succeed(sync, now_ms);
	}
}

void sync_require_keys(struct sync *sync)
{
	sync->options.needs_keys = true;
}

void sync_on_end(struct sync *sync, int64_t now_ms, enum sync_end end)
{
	if (sync->active != SYNC_REQUEST_NONE) {
		request_fail(sync, now_ms, end, false);
	}
}
