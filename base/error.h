/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors: a status, a sentence and, where a document is at fault, the place in it.
 *
 * A `struct error` lives on the caller's stack and is untouched on success. A function that can
 * fail takes `struct error *err` last (NULL allowed: the caller wants the status only), returns
 * the same status that it stores, and leaves its `ret_` parameters alone on failure. Nothing on an
 * error path allocates. Library code never logs: the edge that can act logs once.
 *
 * Messages are complete sentences without a final full stop, for a stranger to read; they never
 * hold a secret. `path` is a JSON Pointer (RFC 6901) into the document at fault, or "".
 */
#pragma once

#include <stddef.h>

#include "base/status.h"

#define ERROR_MESSAGE_SIZE 384
#define ERROR_PATH_SIZE    192

struct error {
	enum status status;
	char path[ERROR_PATH_SIZE];
	char message[ERROR_MESSAGE_SIZE];
};

#define ERROR_INIT ((struct error){ .status = STATUS_OK })

/* Every function that returns a status must have it looked at. */
#define MUST_CHECK __attribute__((warn_unused_result))

/*
 * Fills @err and evaluates to @code: `return error_fail(err, STATUS_INVALID, "…", …);`
 * A macro, because analyzers do not look into variadic functions for the returned code.
 */
#define error_fail(err, code, ...) (error_set((err), (code), __VA_ARGS__), (code))

void error_set(struct error *err, enum status status, const char *format, ...)
        __attribute__((cold, format(printf, 3, 4)));

/* Sets only the path; an empty @path clears it. Longer paths are cut. */
void error_path_set(struct error *err, const char *path);

/* Puts @prefix in front of the path: "/rules/0" under "/environments/prod". */
void error_path_prefix(struct error *err, const char *prefix);

/* Puts "@text: " in front of the message: what was being done when it failed. */
void error_wrap(struct error *err, const char *text);
