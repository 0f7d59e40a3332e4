/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the engine's tests share: documents in single quotes, rulesets and contexts made of them.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "engine/eval.h"

#define FIXTURE_MAX_ITEMS 64

/* A copy in the heap with every ' made a ". */
static inline char *fixture_text(const char *quoted)
{
	char *text = strdup(quoted);
	assert_non_null(text);
	for (char *p = text; *p != '\0'; p++) {
		*p = *p == '\'' ? '"' : *p;
	}
	return text;
}

static inline void fixture_ok(enum status status, const struct error *err)
{
	if (status != STATUS_OK) {
		fail_msg("%s: %s", err->path, err->message);
	}
}

/* Flags have a type, segments have none. */
static inline struct item *fixture_item(const char *quoted)
{
	char *text = fixture_text(quoted);
	struct error err = ERROR_INIT;
	struct item *item = NULL;
	enum item_kind kind = strstr(text, "\"type\":") != NULL ? ITEM_FLAG : ITEM_SEGMENT;
	fixture_ok(item_load(kind, text, strlen(text), &item, &err), &err);
	free(text);
	return item;
}

/* @documents ends with NULL. */
static inline struct ruleset *fixture_ruleset(const char *const *documents)
{
	struct ruleset_edit edits[FIXTURE_MAX_ITEMS] = { 0 };
	size_t count = 0;
	for (; documents[count] != NULL; count++) {
		assert_true(count < FIXTURE_MAX_ITEMS);
		struct item *item = fixture_item(documents[count]);
		edits[count] = (struct ruleset_edit){ .kind = item->kind, .key = item->key, .item = item };
	}
	struct ruleset *ruleset = NULL;
	struct error err = ERROR_INIT;
	fixture_ok(ruleset_new(NULL, edits, count, &ruleset, &err), &err);
	for (size_t i = 0; i < count; i++) {
		item_unref(edits[i].item);
	}
	return ruleset;
}

#define FIXTURE_RULESET(...) fixture_ruleset((const char *const[]){ __VA_ARGS__, NULL })

/* Context of an evaluation request; its strings live in @arena. */
static inline struct context fixture_context(const char *quoted, struct arena *arena)
{
	char *text = fixture_text(quoted);
	struct error err = ERROR_INIT;
	struct json_doc doc = { 0 };
	struct context context = { 0 };
	fixture_ok(json_parse(text, strlen(text), &json_limits_default, &doc, &err), &err);
	fixture_ok(context_read(json_root(&doc), arena, &context, &err), &err);
	json_doc_deinit(&doc);
	free(text);
	return context;
}

static inline struct eval_result fixture_eval(const struct ruleset *ruleset, const char *key,
                                              const char *context_quoted)
{
	struct arena arena;
	arena_init(&arena, 1 << 20);
	struct context context = fixture_context(context_quoted, &arena);
	struct eval_result result;
	memset(&result, 0xa5, sizeof(result));
	eval_flag(ruleset, key, strlen(key), &context, &result);
	arena_deinit(&arena);
	return result;
}

/* Where the steps of an explanation lead: the reason, and the variant that was served. */
static inline const char *fixture_steps_outcome(struct json steps, struct json *ret_variant)
{
	const char *outcome = "none";
	struct json step = JSON_NONE;
	while (json_next(steps, NULL, &step)) {
		struct json kind = json_get(step, "step");
		bool result = json_boolean(json_get(step, "result"));
		bool is_gate = json_equals(kind, "enabled") || json_equals(kind, "prerequisite");
		if (is_gate && !result) {
			outcome = "DISABLED";
		} else if ((json_equals(kind, "target") || json_equals(kind, "rule")) && result) {
			outcome = "TARGETING_MATCH";
			*ret_variant = json_get(step, "variant");
		} else if (json_equals(kind, "split")) {
			outcome = "SPLIT";
			*ret_variant = json_get(step, "variant");
		} else if (json_equals(kind, "default")) {
			outcome = strcmp(outcome, "SPLIT") == 0 ? "SPLIT" : "DEFAULT";
			*ret_variant = json_get(step, "variant");
		}
	}
	return outcome;
}
