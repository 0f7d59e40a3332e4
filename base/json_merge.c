/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include "base/json_index.h"

struct merge {
	struct buf *out;
	bool has_member;
};

static void merge_name(struct merge *merge, struct json name)
{
	if (merge->has_member) {
		buf_append_char(merge->out, ',');
	}
	merge->has_member = true;
	json_raw_append(name, merge->out);
	buf_append_char(merge->out, ':');
}

/* Members of the target, as they are or as the patch wants them. */
static void merge_kept(struct merge *merge, struct json target, struct json patch)
{
	struct json_index index;
	struct json name, value = JSON_NONE;
	json_index_init(&index, patch);
	while (json_next(target, &name, &value)) {
		struct json change = json_index_get(&index, name);
		if (json_is(change, JSON_NULL)) {
			continue;
		}
		merge_name(merge, name);
		if (json_is(change, JSON_ABSENT)) {
			json_compact_append(value, merge->out);
		} else {
			json_merge_patch(value, change, merge->out);
		}
	}
	json_index_deinit(&index);
}

/* Members that only the patch has. */
static void merge_new(struct merge *merge, struct json target, struct json patch)
{
	struct json_index index;
	struct json name, value = JSON_NONE;
	json_index_init(&index, target);
	while (json_next(patch, &name, &value)) {
		bool is_new = json_is(json_index_get(&index, name), JSON_ABSENT);
		if (is_new && !json_is(value, JSON_NULL)) {
			merge_name(merge, name);
			json_merge_patch(JSON_NONE, value, merge->out);
		}
	}
	json_index_deinit(&index);
}

void json_merge_patch(struct json target, struct json patch, struct buf *out)
{
	if (!json_is(patch, JSON_OBJECT)) {
		json_compact_append(patch, out);
		return;
	}
	struct merge merge = { .out = out };
	struct json object = json_is(target, JSON_OBJECT) ? target : JSON_NONE;
	buf_append_char(out, '{');
	merge_kept(&merge, object, patch);
	merge_new(&merge, object, patch);
	buf_append_char(out, '}');
}
