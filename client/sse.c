/* SPDX-License-Identifier: Apache-2.0 */
#include "client/sse.h"

#include <stdio.h>
#include <string.h>

/* Buffers above this are given back between events. */
#define SSE_KEEP_BYTES ((size_t)256 * 1024)

void sse_init(struct sse *sse, size_t max_line_bytes, size_t max_event_bytes)
{
	*sse = (struct sse){ 0 };
	buf_init(&sse->line, max_line_bytes);
	buf_init(&sse->data, max_event_bytes);
}

void sse_deinit(struct sse *sse)
{
	buf_deinit(&sse->line);
	buf_deinit(&sse->data);
}

static void buf_shrink(struct buf *buf)
{
	if (buf->capacity > SSE_KEEP_BYTES) {
		size_t max_length = buf->max_length;
		buf_deinit(buf);
		buf_init(buf, max_length);
	} else {
		buf_reset(buf);
	}
}

void sse_reset(struct sse *sse)
{
	buf_shrink(&sse->line);
	buf_shrink(&sse->data);
	sse->type[0] = '\0';
	sse->id[0] = '\0';
	sse->after_cr = false;
	sse->is_started = false;
	sse->has_data = false;
}

static bool event_dispatch(struct sse *sse, const struct sse_handler *handler)
{
	bool go_on = true;
	if (sse->has_data && handler->on_event != NULL) {
		const struct sse_event event = {
			.type = sse->type[0] != '\0' ? sse->type : "message",
			.id = sse->id,
			.data = buf_string(&sse->data),
			.length = sse->data.length,
		};
		go_on = handler->on_event(handler->user, &event);
	}
	sse->type[0] = '\0';
	sse->has_data = false;
	buf_shrink(&sse->data);
	return go_on;
}

static void field_set(struct sse *sse, const char *name, size_t name_length, const char *value, size_t length)
{
	if (name_length == 4 && memcmp(name, "data", 4) == 0) {
		buf_append(&sse->data, value, length);
		buf_append_char(&sse->data, '\n');
		sse->has_data = true;
	} else if (name_length == 5 && memcmp(name, "event", 5) == 0) {
		(void)snprintf(sse->type, sizeof(sse->type), "%.*s", (int)length, value);
	} else if (name_length == 2 && memcmp(name, "id", 2) == 0) {
		/* An id that would be cut, or holds a NUL, is no id to resume from. */
		if (length < sizeof(sse->id) && memchr(value, '\0', length) == NULL) {
			memcpy(sse->id, value, length);
			sse->id[length] = '\0';
		}
	}
}

/* Handles the line in sse->line; false when the handler stops. */
static bool line_handle(struct sse *sse, const struct sse_handler *handler)
{
	const char *line = buf_string(&sse->line);
	size_t length = sse->line.length;
	if (!sse->is_started) {
		sse->is_started = true;
		if (length >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) {
			line += 3;
			length -= 3;
		}
	}
	if (length == 0) {
		return event_dispatch(sse, handler);
	}
	if (line[0] == ':') {
		return handler->on_comment == NULL || handler->on_comment(handler->user);
	}
	const char *colon = memchr(line, ':', length);
	if (colon == NULL) {
		field_set(sse, line, length, "", 0);
		return true;
	}
	size_t name_length = (size_t)(colon - line);
	const char *value = colon + 1;
	size_t value_length = length - name_length - 1;
	if (value_length > 0 && value[0] == ' ') {
		value++;
		value_length--;
	}
	field_set(sse, line, name_length, value, value_length);
	return true;
}

/* Length of the piece of a line at the start of @bytes: up to a CR or LF, or all. */
static size_t line_piece(const char *bytes, size_t length)
{
	const char *lf = memchr(bytes, '\n', length);
	size_t piece = lf != NULL ? (size_t)(lf - bytes) : length;
	const char *cr = memchr(bytes, '\r', piece);
	return cr != NULL ? (size_t)(cr - bytes) : piece;
}

enum status sse_feed(struct sse *sse, const char *bytes, size_t length, const struct sse_handler *handler,
                     struct error *err)
{
	bool go_on = true;
	while (length > 0 && go_on && !sse->line.failed && !sse->data.failed) {
		if (sse->after_cr && bytes[0] == '\n') {
			bytes++;
			length--;
			sse->after_cr = false;
			continue;
		}
		sse->after_cr = false;
		size_t piece = line_piece(bytes, length);
		buf_append(&sse->line, bytes, piece);
		if (piece < length && !sse->line.failed) {
			sse->after_cr = bytes[piece] == '\r';
			go_on = line_handle(sse, handler);
			buf_shrink(&sse->line);
			piece++;
		}
		bytes += piece;
		length -= piece;
	}
	enum status status = buf_status(&sse->line, "line of the stream", err);
	return status != STATUS_OK ? status : buf_status(&sse->data, "event of the stream", err);
}
