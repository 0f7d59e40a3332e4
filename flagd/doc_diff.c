/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/doc_diff.h"

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

static void path_push(struct buf *path, struct json name)
{
	char key[256];
	(void)json_string_copy(name, key, sizeof(key));
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
}

static void path_pop(struct buf *path, size_t length)
{
	path->length = length;
	if (path->data != NULL) {
		path->data[length] = '\0';
	}
}

static void diff_walk(struct buf *path, struct json before, struct json after, struct json_writer *w);

static struct json member(struct json object, struct json name)
{
	char key[256];
	(void)json_string_copy(name, key, sizeof(key));
	return json_get(object, key);
}

static void diff_objects(struct buf *path, struct json before, struct json after, struct json_writer *w)
{
	struct json name = JSON_NONE;
	struct json value = JSON_NONE;
	size_t length = path->length;
	while (json_next(before, &name, &value)) {
		path_push(path, name);
		diff_walk(path, value, member(after, name), w);
		path_pop(path, length);
	}
	name = JSON_NONE;
	value = JSON_NONE;
	while (json_next(after, &name, &value)) {
		if (json_is(member(before, name), JSON_ABSENT)) {
			path_push(path, name);
			diff_put(path, JSON_NONE, value, w);
			path_pop(path, length);
		}
	}
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
	buf_init(&path, 8192);
	json_begin_array(w);
	if (json_is(before, JSON_OBJECT) || json_is(after, JSON_OBJECT)) {
		diff_objects(&path, before, after, w);
	} else {
		diff_walk(&path, before, after, w);
	}
	json_end_array(w);
	buf_deinit(&path);
}
