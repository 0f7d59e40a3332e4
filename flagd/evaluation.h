/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON of one evaluation, for the admin API and OFREP. Any thread. */
#pragma once

#include "base/json_write.h"
#include "engine/eval.h"

/* {"key","reason","value"?,"variant"?,"error_code"?,"cause"?} */
void evaluation_write(const char *key, const struct eval_result *result, struct json_writer *w);

/*
 * OFREP success {"key","value"?,"reason","variant"?,"metadata"} or failure {"key","errorCode","errorDetails","metadata"}.
 * Returns the HTTP status of a single evaluation: 200, 400 or 404.
 */
int evaluation_ofrep_write(const char *environment, const char *key, size_t key_length,
                           const struct eval_result *result, struct buf *out);
