/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/doc_diff.h"

#include <stdlib.h>

#include "base/json_index.h"
#include "engine/flag.h"

/* Names stand in it once for each level; `~` and `/` take two bytes. */
#define PATH_MAX_BYTES (2u * FLAG_MAX_TEXT_BYTES)

static void diff_put(struct buf *path, struct json before, struct json after, struct json_writer *w)
{
	json_begin_object(w);
	json_put_key_string(w, "path", buf_string(path));
	if (!json_is(before, JSON_ABSENT)) {
		json_put_key_value(w, "from", before);
	}
	if (!json_is(after, JSON_ABSENT)) {
		json_put_key_value(w, "to", after);
	}
	json_end_object(w);
}

/* A member's name may be as long as the document. */
static void path_push(struct buf *path, struct json name)
{
	char small[128];
	size_t size = json_string_copy(name, small, sizeof(small)) + 1;
	char *key = size <= sizeof(small) ? small : malloc(size);
	if (key == NULL) {
		path->failed = path->no_memory = true;
		return;
	}
	if (key != small) {
		(void)json_string_copy(name, key, size);
	}
	buf_append_char(path, '/');
	for (const char *c = key; *c != '\0'; c++) {
		if (*c == '~') {
			buf_append_string(path, "~0");
		} else if (*c == '/') {
			buf_append_string(path, "~1");
		} else {
			buf_append_char(path, *c);
		}
	}
	if (key != small) {
		free(key);
	}
}

static void path_pop(struct buf *path, size_t length)
{
	path->length = length;
	if (path->data != NULL) {
		path->data[length] = '\0';
	}
}

static void diff_walk(struct buf *path, struct json before, struct json after, struct json_writer *w);

static void diff_objects(struct buf *path, struct json before, struct json after, struct json_writer *w)
{
	struct json name = JSON_NONE;
	struct json value = JSON_NONE;
	size_t length = path->length;
	struct json_index others;
	json_index_init(&others, after);
	while (json_next(before, &name, &value)) {
		path_push(path, name);
		diff_walk(path, value, json_index_get(&others, name), w);
		path_pop(path, length);
	}
	json_index_deinit(&others);
	name = JSON_NONE;
	value = JSON_NONE;
	json_index_init(&others, before);
	while (json_next(after, &name, &value)) {
		if (json_is(json_index_get(&others, name), JSON_ABSENT)) {
			path_push(path, name);
			diff_put(path, JSON_NONE, value, w);
			path_pop(path, length);
		}
	}
	json_index_deinit(&others);
}

static void diff_arrays(struct buf *path, struct json before, struct json after, struct json_writer *w)
{
	struct json a = JSON_NONE;
	struct json b = JSON_NONE;
	size_t length = path->length;
	for (unsigned i = 0; json_next(before, NULL, &a) && json_next(after, NULL, &b); i++) {
		buf_append_format(path, "/%u", i);
		diff_walk(path, a, b, w);
		path_pop(path, length);
	}
}

static void diff_walk(struct buf *path, struct json before, struct json after, struct json_writer *w)
{
	if (json_is(before, JSON_OBJECT) && json_is(after, JSON_OBJECT)) {
		diff_objects(path, before, after, w);
	} else if (json_is(before, JSON_ARRAY) && json_is(after, JSON_ARRAY) &&
	           json_count(before) == json_count(after)) {
		diff_arrays(path, before, after, w);
	} else if (!json_same(before, after)) {
		diff_put(path, before, after, w);
	}
}

void doc_diff(struct json before, struct json after, struct json_writer *w)
{
	struct buf path;
	buf_init(&path, PATH_MAX_BYTES);
	json_begin_array(w);
	if (json_is(before, JSON_OBJECT) || json_is(after, JSON_OBJECT)) {
		diff_objects(&path, before, after, w);
	} else {
		diff_walk(&path, before, after, w);
	}
	json_end_array(w);
	w->buf->failed |= path.failed;
	w->buf->no_memory |= path.no_memory;
	buf_deinit(&path);
}
