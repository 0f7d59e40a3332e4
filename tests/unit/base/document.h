/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON documents for the unit tests of base. The text is copied to memory of its very size, without a
 * NUL behind it, so that a sanitizer sees every read past the end.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"

struct document {
	char *text;
	struct json_doc doc;
	struct error err;
	enum status status;
};

static const struct json_limits document_limits = { .max_bytes = 1u << 26,
	                                            .max_nodes = 1u << 24,
	                                            .max_depth = 64 };

static inline void document_parse_limited(struct document *document, const char *text, size_t length,
                                          const struct json_limits *limits)
{
	*document = (struct document){ .text = malloc(length > 0 ? length : 1) };
	assert_non_null(document->text);
	if (length > 0) {
		memcpy(document->text, text, length);
	}
	document->status = json_parse(document->text, length, limits, &document->doc, &document->err);
	assert_int_equal(document->err.status, document->status);
}

/* Refusal is an outcome to look at, not a failure. */
static inline void document_parse(struct document *document, const char *text, size_t length)
{
	document_parse_limited(document, text, length, &document_limits);
}

static inline struct json document_open(struct document *document, const char *text)
{
	document_parse(document, text, strlen(text));
	if (document->status != STATUS_OK) {
		fail_msg("`%s`: %s", text, document->err.message);
	}
	return json_root(&document->doc);
}

static inline void document_close(struct document *document)
{
	json_doc_deinit(&document->doc);
	free(document->text);
	document->text = NULL;
}
