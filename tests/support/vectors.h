/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a file of tests/vectors/ for a unit test; every failure fails the test that runs. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"

struct vectors {
	char *text;
	struct json_doc doc;
};

#define VECTORS_MAX_BYTES (16 * 1024 * 1024)

static inline void vectors_parse(struct vectors *vectors, const char *text, size_t length)
{
	const struct json_limits limits = { .max_bytes = VECTORS_MAX_BYTES,
		                            .max_nodes = VECTORS_MAX_BYTES,
		                            .max_depth = 64 };
	struct error err = ERROR_INIT;
	if (json_parse(text, length, &limits, &vectors->doc, &err) != STATUS_OK) {
		fail_msg("%s", err.message);
	}
}

/* @name: "semver.json" */
static inline struct json vectors_open(struct vectors *vectors, const char *name)
{
	char path[4096];
	size_t length = 0;
	struct error err = ERROR_INIT;
	const char *folder = getenv("HALYARD_VECTORS");
	assert_non_null(folder);
	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	*vectors = (struct vectors){ 0 };
	if (file_read(path, VECTORS_MAX_BYTES, &vectors->text, &length, &err) != STATUS_OK) {
		fail_msg("%s", err.message);
	}
	vectors_parse(vectors, vectors->text, length);
	return json_root(&vectors->doc);
}

static inline void vectors_close(struct vectors *vectors)
{
	json_doc_deinit(&vectors->doc);
	free(vectors->text);
}

/* A string in memory of its very size, so that a sanitizer sees every byte read behind it; free() it. */
static inline char *vectors_string(struct json string, size_t *ret_length)
{
	assert_int_equal(json_type(string), JSON_STRING);
	const size_t length = json_string_copy(string, NULL, 0);
	char *copy = malloc(length + 1);
	assert_non_null(copy);
	assert_int_equal(json_string_copy(string, copy, length + 1), length);
	if (ret_length != NULL) {
		*ret_length = length;
	}
	return copy;
}

static inline uint32_t vectors_uint32(struct json number)
{
	int64_t value = 0;
	assert_true(json_int64(number, &value));
	assert_in_range(value, 0, UINT32_MAX);
	return (uint32_t)value;
}
