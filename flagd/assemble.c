/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/assemble.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "flagd/doc.h"

/* Edits that make an environment's ruleset from nothing. */
struct assembly {
	struct ruleset *const *siblings;
	size_t sibling_count;
	struct ruleset_edit *list;
	size_t count;
};

static void assembly_free(struct assembly *edits)
{
	for (size_t i = 0; i < edits->count; i++) {
		item_unref(edits->list[i].item);
	}
	free(edits->list);
}

static struct item *item_find(const struct ruleset *ruleset, enum item_kind kind, const char *key)
{
	size_t length = strlen(key);
	if (kind == ITEM_FLAG) {
		const struct flag *flag = ruleset_flag_find(ruleset, key, length, NULL);
		return flag != NULL ? (struct item *)&flag->item : NULL;
	}
	const struct segment *segment = ruleset_segment_find(ruleset, key, length, NULL);
	return segment != NULL ? (struct item *)&segment->item : NULL;
}

/* A sibling's item of the same text, with a reference of its own; NULL when there is none. */
static struct item *item_shared(const struct assembly *edits, enum item_kind kind, const char *key,
                                const struct buf *text)
{
	for (size_t i = 0; i < edits->sibling_count; i++) {
		struct item *item = item_find(edits->siblings[i], kind, key);
		if (item != NULL && item->text_length == text->length &&
		    memcmp(item->text, text->data, text->length) == 0) {
			return item_ref(item);
		}
	}
	return NULL;
}

static enum status item_add(struct buf *text, enum item_kind kind, const char *key, struct assembly *edits,
                            struct error *err)
{
	enum status status = buf_status(text, "document", err);
	struct item *shared = status == STATUS_OK ? item_shared(edits, kind, key, text) : NULL;
	if (shared != NULL) {
		edits->list[edits->count++] = (struct ruleset_edit){ kind, key, shared };
		return STATUS_OK;
	}
	struct flag *flag = NULL;
	struct segment *segment = NULL;
	if (status == STATUS_OK && kind == ITEM_FLAG) {
		status = flag_load(text->data, text->length, &flag, err);
	} else if (status == STATUS_OK) {
		status = segment_load(text->data, text->length, &segment, err);
	}
	if (status != STATUS_OK) {
		return status;
	}
	struct item *item = kind == ITEM_FLAG ? &flag->item : &segment->item;
	if (item->broken != NULL) {
		log_error("a stored document does not work", LOG_STRING("key", key),
		          LOG_STRING("why", item->broken));
	}
	edits->list[edits->count++] = (struct ruleset_edit){ kind, key, item };
	return STATUS_OK;
}

/* Setting of a flag: both tables are in order, so a search goes on from where the last one ended, @at. */
static const struct row *setting_next(const struct catalogue *catalogue, const char *key,
                                      const char *environment, size_t *at)
{
	size_t count = catalogue_count(catalogue, STORE_SETTING);
	for (; *at < count; (*at)++) {
		const struct row *row = catalogue_at(catalogue, STORE_SETTING, *at);
		int order = strcmp(row->key, key);
		if (order == 0) {
			order = strcmp(row->environment, environment);
		}
		if (order >= 0) {
			return order == 0 ? row : NULL;
		}
	}
	return NULL;
}

static enum status flags_add(const struct catalogue *catalogue, const char *environment,
                             struct assembly *edits, struct buf *text, struct error *err)
{
	enum status status = STATUS_OK;
	size_t at = 0;
	for (size_t i = 0; i < catalogue_count(catalogue, STORE_FLAG) && status == STATUS_OK; i++) {
		const struct row *flag = catalogue_at(catalogue, STORE_FLAG, i);
		const struct row *setting = setting_next(catalogue, flag->key, environment, &at);
		if (flag->is_archived || setting == NULL) {
			continue;
		}
		buf_reset(text);
		doc_compose_flag(flag->key, row_json(flag), row_json(setting), setting->version, text);
		status = item_add(text, ITEM_FLAG, flag->key, edits, err);
	}
	return status;
}

static enum status segments_add(const struct catalogue *catalogue, struct assembly *edits, struct buf *text,
                                struct error *err)
{
	enum status status = STATUS_OK;
	for (size_t i = 0; i < catalogue_count(catalogue, STORE_SEGMENT) && status == STATUS_OK; i++) {
		const struct row *row = catalogue_at(catalogue, STORE_SEGMENT, i);
		if (row->is_archived) {
			continue;
		}
		buf_reset(text);
		doc_compose_segment(row->key, row_json(row), row->version, text);
		status = item_add(text, ITEM_SEGMENT, row->key, edits, err);
	}
	return status;
}

enum status assemble_ruleset(const struct catalogue *catalogue, const char *environment,
                             struct ruleset *const *siblings, size_t sibling_count, struct ruleset **ret,
                             struct error *err)
{
	struct assembly edits = {
		.siblings = siblings,
		.sibling_count = sibling_count,
		.list = calloc(catalogue_count(catalogue, STORE_FLAG) +
		                       catalogue_count(catalogue, STORE_SEGMENT) + 1,
		               sizeof(struct ruleset_edit)),
	};
	if (edits.list == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory while loading flags");
	}
	struct buf text;
	buf_init(&text, FLAG_MAX_TEXT_BYTES);
	enum status status = flags_add(catalogue, environment, &edits, &text, err);
	if (status == STATUS_OK) {
		status = segments_add(catalogue, &edits, &text, err);
	}
	if (status == STATUS_OK) {
		status = ruleset_new(NULL, edits.list, edits.count, ret, err);
	}
	buf_deinit(&text);
	assembly_free(&edits);
	return status;
}
