/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/evaluation.h"

#include <string.h>

void evaluation_write(const char *key, const struct eval_result *result, struct json_writer *w)
{
	json_begin_object(w);
	json_put_key_string(w, "key", key);
	json_put_key_string(w, "reason", eval_reason_name(result->reason));
	if (result->variant != NULL) {
		json_put_key(w, "value");
		json_put_raw(w, result->variant->json, result->variant->json_length);
		json_put_key_string(w, "variant", result->variant->name);
	}
	if (result->error != EVAL_ERROR_NONE) {
		json_put_key_string(w, "error_code", eval_error_name(result->error));
	}
	if (result->cause != NULL) {
		json_put_key_string(w, "cause", result->cause);
	}
	if (result->flag != NULL) {
		json_put_key_string(w, "version", result->flag->item.version);
	}
	json_end_object(w);
}

/* A literal without counting its bytes at run time. */
#define PUT(out, literal) buf_append((out), (literal), sizeof(literal) - 1)

static void metadata_put(const char *environment, const struct eval_result *result, struct buf *out)
{
	PUT(out, ",\"metadata\":{\"flagSetId\":\"");
	buf_append_string(out, environment);
	if (result->flag != NULL && result->flag->item.version[0] != '\0') {
		PUT(out, "\",\"version\":\"");
		buf_append_string(out, result->flag->item.version);
	}
	PUT(out, "\"");
	if (result->cause != NULL && result->error == EVAL_ERROR_NONE) {
		PUT(out, ",\"cause\":");
		json_append_string(out, result->cause, strlen(result->cause));
	}
	PUT(out, "}}");
}

static const char *failure_details(const struct eval_result *result)
{
	if (result->cause != NULL) {
		return result->cause;
	}
	return result->error == EVAL_ERROR_FLAG_NOT_FOUND ? "There is no such flag"
	                                                  : "The flag cannot be evaluated for this context";
}

static int failure_put(const char *environment, const struct eval_result *result, struct buf *out)
{
	PUT(out, ",\"errorCode\":\"");
	buf_append_string(out, eval_error_name(result->error));
	PUT(out, "\",\"errorDetails\":");
	const char *details = failure_details(result);
	json_append_string(out, details, strlen(details));
	metadata_put(environment, result, out);
	return result->error == EVAL_ERROR_FLAG_NOT_FOUND ? 404 : 400;
}

int evaluation_ofrep_write(const char *environment, const char *key, size_t key_length,
                           const struct eval_result *result, struct buf *out)
{
	PUT(out, "{\"key\":");
	json_append_string(out, key, key_length);
	if (result->error != EVAL_ERROR_NONE) {
		return failure_put(environment, result, out);
	}
	PUT(out, ",\"reason\":\"");
	buf_append_string(out, eval_reason_name(result->reason));
	PUT(out, "\"");
	if (result->variant != NULL) {
		PUT(out, ",\"value\":");
		buf_append(out, result->variant->json, result->variant->json_length);
		PUT(out, ",\"variant\":");
		json_append_string(out, result->variant->name, result->variant->name_length);
	}
	metadata_put(environment, result, out);
	return 200;
}
