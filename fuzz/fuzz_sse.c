/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stream parser: what comes out must not depend on how the bytes are cut, and stay within its limits.
 * First byte: where the second reading cuts.
 */
#include <stdlib.h>
#include <string.h>

#include "client/sse.h"
#include "fuzz/fuzz.h"

#define MAX_LINE  200
#define MAX_EVENT 500

struct record {
	struct buf text;
};

static bool on_event(void *user, const struct sse_event *event)
{
	struct record *record = user;
	if (event->length > MAX_EVENT || strlen(event->type) >= SSE_TYPE_SIZE ||
	    strlen(event->id) >= SSE_ID_SIZE || event->length == 0 ||
	    event->data[event->length - 1] != '\n') {
		abort();
	}
	buf_append_string(&record->text, event->type);
	buf_append_string(&record->text, event->id);
	buf_append(&record->text, event->data, event->length);
	return true;
}

static bool on_comment(void *user)
{
	struct record *record = user;
	buf_append_char(&record->text, ':');
	return true;
}

/* Reads all of it in pieces of @piece bytes. */
static enum status read_all(const char *bytes, size_t size, size_t piece, struct record *record)
{
	struct sse sse;
	enum status status = STATUS_OK;
	const struct sse_handler handler = { .on_event = on_event, .on_comment = on_comment, .user = record };
	sse_init(&sse, MAX_LINE, MAX_EVENT);
	buf_init(&record->text, (size_t)16 * 1024 * 1024);
	for (size_t i = 0; i < size && status == STATUS_OK; i += piece) {
		status = sse_feed(&sse, bytes + i, size - i < piece ? size - i : piece, &handler, NULL);
	}
	sse_deinit(&sse);
	return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1) {
		return 0;
	}
	struct record whole;
	struct record cut;
	const char *bytes = (const char *)data + 1;
	enum status a = read_all(bytes, size - 1, size, &whole);
	enum status b = read_all(bytes, size - 1, (size_t)data[0] + 1, &cut);
	if (a != b || whole.text.length != cut.text.length ||
	    (whole.text.length > 0 && memcmp(whole.text.data, cut.text.data, whole.text.length) != 0)) {
		abort();
	}
	buf_deinit(&whole.text);
	buf_deinit(&cut.text);
	return 0;
}
