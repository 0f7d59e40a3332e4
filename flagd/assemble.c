/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/assemble.h"

#include <stdlib.h>

#include "base/log.h"
#include "flagd/doc.h"

/* Edits that make an environment's ruleset from nothing. */
struct assembly {
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

static enum status item_add(struct buf *text, enum item_kind kind, const char *key, struct assembly *edits,
                            struct error *err)
{
	enum status status = buf_status(text, "document", err);
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

static enum status flags_add(const struct catalogue *catalogue, const char *environment,
                             struct assembly *edits, struct buf *text, struct error *err)
{
	enum status status = STATUS_OK;
	for (size_t i = 0; i < catalogue_count(catalogue, STORE_FLAG) && status == STATUS_OK; i++) {
		const struct row *flag = catalogue_at(catalogue, STORE_FLAG, i);
		const struct row *setting = catalogue_find(catalogue, STORE_SETTING, flag->key, environment);
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

enum status assemble_ruleset(const struct catalogue *catalogue, const char *environment, struct ruleset **ret,
                             struct error *err)
{
	struct assembly edits = {
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
