/* SPDX-License-Identifier: Apache-2.0 */
/* A request target is split, or refused; what comes out has nothing in it that was to be kept out. */
#include "fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "flagd/http_path.h"

static void check_that(int holds)
{
	if (!holds) {
		abort();
	}
}

/* Ends inside the scratch memory, and holds clean UTF-8 only. */
static void text_check(const char *text, size_t length, const char *scratch, size_t size)
{
	check_that(text >= scratch && text + length < scratch + size && text[length] == '\0');
	check_that(utf8_is_valid(text, length));
	for (size_t i = 0; i < length; i++) {
		check_that((unsigned char)text[i] >= ' ' && text[i] != 0x7f);
	}
}

static void query_run(const struct http_path *path)
{
	size_t size = path->query_length + 2;
	char *scratch = malloc(size);
	struct http_pair pairs[HTTP_QUERY_MAX_PAIRS];
	size_t count = 0;
	check_that(scratch != NULL);
	enum status status = http_query_split(path->query, path->query_length, scratch, pairs, &count, NULL);
	for (size_t i = 0; status == STATUS_OK && i < count; i++) {
		text_check(pairs[i].name, strlen(pairs[i].name), scratch, size);
		check_that(pairs[i].name[0] != '\0');
		if (pairs[i].value[0] != '\0') {
			text_check(pairs[i].value, strlen(pairs[i].value), scratch, size);
		}
	}
	free(scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Exact sizes, so that a sanitizer sees the first byte too far. */
	char *target = malloc(size + 1);
	char *scratch = malloc(size + 1);
	struct http_path path;
	check_that(target != NULL && scratch != NULL);
	memcpy(target, data, size);
	if (http_path_split(target, size, scratch, &path, NULL) == STATUS_OK) {
		check_that(path.count <= HTTP_PATH_MAX_SEGMENTS);
		for (size_t i = 0; i < path.count; i++) {
			const struct http_segment *segment = &path.segments[i];
			text_check(segment->text, segment->length, scratch, size + 1);
			check_that(strchr(segment->text, '/') == NULL);
			check_that(strcmp(segment->text, ".") != 0 && strcmp(segment->text, "..") != 0);
			check_that(segment->length > 0 || i + 1 == path.count);
		}
		query_run(&path);
	}
	free(target);
	free(scratch);
	return 0;
}
