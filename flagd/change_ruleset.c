/* SPDX-License-Identifier: Apache-2.0 */
/* Part of flagd/change.h: from changed rows to the next ruleset of every environment that they affect. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flagd/change_internal.h"

static enum status no_memory(struct error *err)
{
	return error_fail(err, STATUS_NO_MEMORY, "Out of memory while preparing a change");
}

void change_rulesets_free(struct change *change)
{
	for (size_t i = 0; i < change->environment_count; i++) {
		struct change_environment *environment = &change->environments[i];
		for (size_t e = 0; e < environment->edit_count; e++) {
			item_unref(environment->edits[e].item);
		}
		free(environment->edits);
		ruleset_unref(environment->ruleset);
		free(environment->environment);
	}
	free(change->environments);
	change->environments = NULL;
	change->environment_count = 0;
}

/* The list entry of an environment, made when it is missing. NULL: out of memory. */
static struct change_environment *environment_get(struct change *change, const char *key)
{
	for (size_t i = 0; i < change->environment_count; i++) {
		if (strcmp(change->environments[i].environment, key) == 0) {
			return &change->environments[i];
		}
	}
	struct change_environment *list =
	        reallocarray(change->environments, change->environment_count + 1, sizeof(*list));
	if (list == NULL) {
		return NULL;
	}
	change->environments = list;
	struct change_environment *environment = &list[change->environment_count];
	*environment = (struct change_environment){ .environment = strdup(key) };
	if (environment->environment == NULL) {
		return NULL;
	}
	const struct snapshot *current = publisher_find(change->app->publisher, key);
	environment->is_new = current == NULL;
	environment->revision = current == NULL ? 1 : snapshot_manifest(current)->revision + 1;
	change->environment_count++;
	return environment;
}

static const struct item *item_find(const struct ruleset *base, enum item_kind kind, const char *key)
{
	if (base == NULL) {
		return NULL;
	}
	if (kind == ITEM_FLAG) {
		const struct flag *flag = ruleset_flag_find(base, key, strlen(key), NULL);
		return flag != NULL ? &flag->item : NULL;
	}
	const struct segment *segment = ruleset_segment_find(base, key, strlen(key), NULL);
	return segment != NULL ? &segment->item : NULL;
}

/*
 * @item's reference is taken over, also on failure. Left out: a removal of what is not there, and an item that is the
 * same as before (a new description reaches no client).
 */
static enum status edit_add(struct change_environment *environment, const struct ruleset *base,
                            enum item_kind kind, const char *key, struct item *item, struct error *err)
{
	const struct item *old = item_find(base, kind, key);
	bool is_same = item == NULL
	                       ? old == NULL
	                       : old != NULL && memcmp(old->digest, item->digest, sizeof(item->digest)) == 0;
	if (is_same) {
		item_unref(item);
		return STATUS_OK;
	}
	if (environment->edit_count == environment->edit_capacity) {
		size_t capacity = environment->edit_capacity == 0 ? 8 : environment->edit_capacity * 2;
		struct ruleset_edit *edits = reallocarray(environment->edits, capacity, sizeof(*edits));
		if (edits == NULL) {
			item_unref(item);
			return no_memory(err);
		}
		environment->edits = edits;
		environment->edit_capacity = capacity;
	}
	environment->edits[environment->edit_count++] = (struct ruleset_edit){ kind, key, item };
	return STATUS_OK;
}

static bool edit_exists(const struct change_environment *environment, enum item_kind kind, const char *key)
{
	for (size_t i = 0; i < environment->edit_count; i++) {
		if (environment->edits[i].kind == kind && strcmp(environment->edits[i].key, key) == 0) {
			return true;
		}
	}
	return false;
}

/* Where the setting of (flag, environment) stands in the request's body; NULL when the change does not touch it. */
static const char *setting_path(const struct change *change, const char *flag, const char *environment)
{
	for (size_t i = 0; i < change->row_count; i++) {
		const struct row *row = change->rows[i].row;
		if (row->table == STORE_SETTING && strcmp(row->key, flag) == 0 &&
		    strcmp(row->environment, environment) == 0) {
			return change->rows[i].path;
		}
	}
	return NULL;
}

/* An error in the composed document, as one in the body: definition members stand at the top, settings at @path. */
static void error_place(const struct change *change, const char *flag, const char *environment,
                        struct error *err)
{
	if (err == NULL) {
		return;
	}
	const char *path = setting_path(change, flag, environment);
	if (strncmp(err->path, "/variants", strlen("/variants")) == 0) {
		return;
	}
	if (path != NULL) {
		error_path_prefix(err, path);
		return;
	}
	char where[ERROR_PATH_SIZE + 96];
	(void)snprintf(where, sizeof(where), "The settings in environment %s no longer fit (%s)", environment,
	               err->path);
	error_wrap(err, where);
	error_path_set(err, "/variants");
}

static enum status flag_item_new(const struct change *change, const struct row *flag,
                                 const struct row *setting, struct item **ret, struct error *err)
{
	struct buf text;
	buf_init(&text, FLAG_MAX_TEXT_BYTES);
	doc_compose_flag(flag->key, row_json(flag), row_json(setting), setting->version, &text);
	enum status status = buf_status(&text, "flag", err);
	struct json_doc doc = { 0 };
	if (status == STATUS_OK) {
		status = json_parse(text.data, text.length, &doc_limits, &doc, err);
	}
	struct flag *compiled = NULL;
	if (status == STATUS_OK) {
		status = flag_compile(json_root(&doc), &compiled, err);
		if (status != STATUS_OK) {
			error_place(change, flag->key, setting->environment, err);
		}
	}
	json_doc_deinit(&doc);
	buf_deinit(&text);
	if (status == STATUS_OK) {
		*ret = &compiled->item;
	}
	return status;
}

static enum status flag_edit(struct change *change, const char *key, const char *environment_key,
                             struct error *err)
{
	struct catalogue *catalogue = change->app->catalogue;
	struct change_environment *environment = environment_get(change, environment_key);
	if (environment == NULL) {
		return no_memory(err);
	}
	if (!environment->is_new && edit_exists(environment, ITEM_FLAG, key)) {
		return STATUS_OK;
	}
	const struct row *flag = catalogue_find(catalogue, STORE_FLAG, key, NULL);
	const struct row *setting = catalogue_find(catalogue, STORE_SETTING, key, environment_key);
	struct item *item = NULL;
	if (flag != NULL && !flag->is_archived && setting != NULL) {
		enum status status = flag_item_new(change, flag, setting, &item, err);
		if (status != STATUS_OK) {
			return status;
		}
	}
	const struct snapshot *current = publisher_find(change->app->publisher, environment_key);
	return edit_add(environment, current != NULL ? snapshot_ruleset(current) : NULL, ITEM_FLAG, key, item,
	                err);
}

static enum status segment_item_new(const struct row *row, const char *path, struct item **ret,
                                    struct error *err)
{
	struct buf text;
	buf_init(&text, FLAG_MAX_TEXT_BYTES);
	doc_compose_segment(row->key, row_json(row), row->version, &text);
	enum status status = buf_status(&text, "segment", err);
	struct json_doc doc = { 0 };
	if (status == STATUS_OK) {
		status = json_parse(text.data, text.length, &doc_limits, &doc, err);
	}
	struct segment *compiled = NULL;
	if (status == STATUS_OK) {
		status = segment_compile(json_root(&doc), &compiled, err);
		if (status != STATUS_OK) {
			error_path_prefix(err, path);
		}
	}
	json_doc_deinit(&doc);
	buf_deinit(&text);
	if (status == STATUS_OK) {
		*ret = &compiled->item;
	}
	return status;
}

/* One compiled segment serves all environments. */
static enum status segment_edit(struct change *change, const struct change_pending *pending,
                                const char *environment_key, struct item **shared, struct error *err)
{
	struct change_environment *environment = environment_get(change, environment_key);
	if (environment == NULL) {
		return no_memory(err);
	}
	const struct row *row = pending->row;
	if (!row->is_archived && *shared == NULL) {
		enum status status = segment_item_new(row, pending->path, shared, err);
		if (status != STATUS_OK) {
			return status;
		}
	}
	const struct snapshot *current = publisher_find(change->app->publisher, environment_key);
	return edit_add(environment, current != NULL ? snapshot_ruleset(current) : NULL, ITEM_SEGMENT,
	                row->key, row->is_archived ? NULL : item_ref(*shared), err);
}

/* Everything that is in a new environment besides its settings' flags: the segments. */
static enum status environment_fill(struct change *change, const char *environment_key, struct error *err)
{
	struct catalogue *catalogue = change->app->catalogue;
	enum status status = STATUS_OK;
	for (size_t i = 0; i < catalogue_count(catalogue, STORE_SEGMENT) && status == STATUS_OK; i++) {
		struct change_pending pending = { .row = catalogue_at(catalogue, STORE_SEGMENT, i),
			                          .path = (char[]){ "" } };
		if (pending.row->is_archived) {
			continue;
		}
		struct item *item = NULL;
		status = segment_edit(change, &pending, environment_key, &item, err);
		item_unref(item);
	}
	return status;
}

/* Each row in every environment that it affects. */
static enum status row_edit(struct change *change, size_t index, struct error *err)
{
	struct catalogue *catalogue = change->app->catalogue;
	const struct row *row = change->rows[index].row;
	switch (row->table) {
	case STORE_SETTING:
		return flag_edit(change, row->key, row->environment, err);
	case STORE_ENVIRONMENT:
		if (publisher_find(change->app->publisher, row->key) == NULL) {
			return environment_get(change, row->key) != NULL
			               ? environment_fill(change, row->key, err)
			               : no_memory(err);
		}
		return STATUS_OK;
	case STORE_FLAG:
	case STORE_SEGMENT:
		break;
	case STORE_TOKEN:
	case STORE_TABLE_COUNT:
		return STATUS_OK;
	}
	struct item *shared = NULL;
	enum status status = STATUS_OK;
	for (size_t i = 0; i < catalogue_count(catalogue, STORE_ENVIRONMENT) && status == STATUS_OK; i++) {
		const char *environment = catalogue_at(catalogue, STORE_ENVIRONMENT, i)->key;
		status = row->table == STORE_FLAG
		                 ? flag_edit(change, row->key, environment, err)
		                 : segment_edit(change, &change->rows[index], environment, &shared, err);
	}
	item_unref(shared);
	return status;
}

static int edit_compare(const void *a, const void *b)
{
	const struct ruleset_edit *left = a;
	const struct ruleset_edit *right = b;
	if (left->kind != right->kind) {
		return left->kind < right->kind ? -1 : 1;
	}
	return strcmp(left->key, right->key);
}

static bool problem_exists(const struct ruleset *ruleset, const struct ruleset_problem *problem)
{
	for (size_t i = 0; ruleset != NULL && i < ruleset_problem_count(ruleset); i++) {
		const struct ruleset_problem *other = ruleset_problem_at(ruleset, i);
		if (other->kind == problem->kind && strcmp(other->key, problem->key) == 0) {
			return true;
		}
	}
	return false;
}

/* A change may not break what works: its own items, or others that refer to them. */
static enum status problems_check(const struct change *change, const struct change_environment *environment,
                                  const struct ruleset *base, struct error *err)
{
	for (size_t i = 0; i < ruleset_problem_count(environment->ruleset); i++) {
		const struct ruleset_problem *problem = ruleset_problem_at(environment->ruleset, i);
		const char *kind = problem->kind == ITEM_FLAG ? "flag" : "segment";
		if (edit_exists(environment, problem->kind, problem->key)) {
			const char *path = problem->kind == ITEM_FLAG ? setting_path(change, problem->key,
			                                                             environment->environment)
			                                              : "";
			error_set(err, STATUS_INVALID, "In environment %s the %s `%s` would not work: %s",
			          environment->environment, kind, problem->key, problem->message);
			error_path_set(err, path != NULL ? path : "");
			return STATUS_INVALID;
		}
		if (!problem_exists(base, problem)) {
			return error_fail(err, STATUS_CONFLICT, "In environment %s the %s `%s` needs it: %s",
			                  environment->environment, kind, problem->key, problem->message);
		}
	}
	return STATUS_OK;
}

/* What cannot be sent as a whole must not be published: nobody could start from it. */
static enum status size_check(const struct change_environment *environment, const struct ruleset *base,
                              struct error *err)
{
	size_t size = ruleset_text_bytes(environment->ruleset);
	if (size <= CHANGE_MAX_RULESET_BYTES || (base != NULL && size <= ruleset_text_bytes(base))) {
		return STATUS_OK;
	}
	return error_fail(err, STATUS_TOO_LARGE,
	                  "The flags and segments of environment %s would be longer than %u MiB together",
	                  environment->environment, CHANGE_MAX_RULESET_BYTES / (1024u * 1024));
}

static enum status environment_build(const struct change *change, struct change_environment *environment,
                                     struct error *err)
{
	if (environment->edit_count > 1) {
		qsort(environment->edits, environment->edit_count, sizeof(environment->edits[0]),
		      edit_compare);
	}
	const struct snapshot *current = publisher_find(change->app->publisher, environment->environment);
	const struct ruleset *base = current != NULL ? snapshot_ruleset(current) : NULL;
	enum status status =
	        ruleset_new(base, environment->edits, environment->edit_count, &environment->ruleset, err);
	if (status != STATUS_OK) {
		return status;
	}
	status = size_check(environment, base, err);
	return status == STATUS_OK ? problems_check(change, environment, base, err) : status;
}

/* Environments in which nothing differs get no revision. */
static void unchanged_drop(struct change *change)
{
	size_t kept = 0;
	for (size_t i = 0; i < change->environment_count; i++) {
		struct change_environment *environment = &change->environments[i];
		if (environment->is_new || environment->edit_count > 0) {
			change->environments[kept++] = *environment;
		} else {
			free(environment->edits);
			free(environment->environment);
		}
	}
	change->environment_count = kept;
}

enum status change_rulesets_build(struct change *change, struct error *err)
{
	enum status status = STATUS_OK;
	for (size_t i = 0; i < change->row_count && status == STATUS_OK; i++) {
		status = row_edit(change, i, err);
	}
	if (status == STATUS_OK) {
		unchanged_drop(change);
	}
	for (size_t i = 0; i < change->environment_count && status == STATUS_OK; i++) {
		status = environment_build(change, &change->environments[i], err);
	}
	return status;
}
