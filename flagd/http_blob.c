/* SPDX-License-Identifier: Apache-2.0 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "flagd/http.h"

struct http_blob *http_blob_new(const void *bytes, size_t length)
{
	if (length > SIZE_MAX - sizeof(struct http_blob)) {
		return NULL;
	}
	struct http_blob *blob = malloc(sizeof(*blob) + length);
	if (blob == NULL) {
		return NULL;
	}
	atomic_init(&blob->refs, 1);
	blob->length = length;
	if (length > 0) {
		memcpy(blob->bytes, bytes, length);
	}
	return blob;
}

struct http_blob *http_blob_ref(struct http_blob *blob)
{
	(void)atomic_fetch_add_explicit(&blob->refs, 1, memory_order_relaxed);
	return blob;
}

void http_blob_unref(struct http_blob *blob)
{
	if (blob != NULL && atomic_fetch_sub_explicit(&blob->refs, 1, memory_order_acq_rel) == 1) {
		free(blob);
	}
}
