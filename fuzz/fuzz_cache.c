/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache file: whatever is taken from it is exactly what its head says, and writing that head again gives the
 * same bytes.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "client/cache.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cache_file file = { 0 };
	bool has_head = false;
	if (sodium_init() < 0) {
		abort();
	}
	enum status status = cache_parse((const char *)data, size, &file, &has_head, NULL);
	if (status == STATUS_OK && !has_head) {
		abort();
	}
	if (!has_head) {
		return 0;
	}
	struct buf head;
	buf_init(&head, 4096);
	cache_head_write(&file.head, &head);
	if (head.length > size || memcmp(head.data, data, head.length) != 0) {
		abort();
	}
	if (status == STATUS_OK &&
	    (file.length != size - head.length || file.bundle != (const char *)data + head.length)) {
		abort();
	}
	buf_deinit(&head);
	return 0;
}
