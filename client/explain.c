/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/json_write.h"
#include "client/client.h"
#include "engine/eval.h"

#define EXPLAIN_MAX_BYTES ((size_t)4 * 1024 * 1024)

/* Where there is nothing to evaluate. */
static void explain_error(struct json_writer *w, const char *key, enum eval_error error, const char *cause)
{
	json_begin_object(w);
	json_put_key_string(w, "key", key);
	json_put_key_string(w, "reason", eval_reason_name(EVAL_REASON_ERROR));
	json_put_key_string(w, "error_code", eval_error_name(error));
	json_put_key_string(w, "cause", cause);
	json_put_key(w, "steps");
	json_begin_array(w);
	json_end_array(w);
	json_end_object(w);
}

static void explain(const struct snapshot *snapshot, const char *key,
                    const struct halyard_context *public_context, struct json_writer *w)
{
	static const struct context empty_context;
	const struct context *context =
	        public_context != NULL ? (const struct context *)public_context : &empty_context;
	if (key == NULL || !flag_key_is_valid(key, strnlen(key, FLAG_KEY_MAX_BYTES + 1))) {
		explain_error(w, "", EVAL_ERROR_FLAG_NOT_FOUND, "No flag can have this key");
	} else if (snapshot == NULL) {
		explain_error(w, key, EVAL_ERROR_PROVIDER_NOT_READY, "There is no snapshot yet");
	} else if (context->attribute_count > CONTEXT_MAX_ATTRIBUTES ||
	           (context->attribute_count > 0 && context->attributes == NULL)) {
		explain_error(w, key, EVAL_ERROR_INVALID_CONTEXT,
		              "The context has too many attributes, or none where it should");
	} else {
		eval_explain(snapshot->ruleset, key, strlen(key), context, w);
	}
}

size_t halyard_explain(struct halyard_client *client, const char *key, const struct halyard_context *context,
                       char *buffer, size_t size)
{
	struct buf text;
	struct json_writer w;
	buf_init(&text, EXPLAIN_MAX_BYTES);
	json_writer_init(&w, &text);
	if (client != NULL) {
		/* Inside a read guard the pinned snapshot is explained, as it is evaluated. */
		explain(client_read_begin(client), key, context, &w);
		client_read_end(client);
	} else {
		explain(NULL, key, context, &w);
	}
	const char *result = buf_status(&text, "explanation", NULL) == STATUS_OK ? buf_string(&text) : "{}";
	size_t length = strlen(result);
	if (size > 0) {
		size_t copied = length < size ? length : size - 1;
		memcpy(buffer, result, copied);
		buffer[copied] = '\0';
	}
	buf_deinit(&text);
	return length;
}
