/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/doc.h"

#include <stdio.h>
#include <string.h>

const struct json_limits doc_limits = {
	.max_bytes = FLAG_MAX_TEXT_BYTES,
	.max_nodes = 262144,
	.max_depth = 24,
};

#define STRING  JSON_BIT(JSON_STRING)
#define BOOLEAN JSON_BIT(JSON_BOOLEAN)
#define NUMBER  JSON_BIT(JSON_NUMBER)
#define ARRAY   JSON_BIT(JSON_ARRAY)
#define OBJECT  JSON_BIT(JSON_OBJECT)
#define NULLED  JSON_BIT(JSON_NULL)

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static enum status done(const struct buf *out, struct error *err)
{
	return buf_status(out, "document", err);
}

/* A document that was merged or stored, as JSON again. */
static enum status reparse(const struct buf *text, struct json_doc *ret, struct error *err)
{
	enum status status = buf_status(text, "document", err);
	if (status != STATUS_OK) {
		return status;
	}
	return json_parse(text->data, text->length, &doc_limits, ret, err);
}

enum status doc_reason(struct json body, struct arena *arena, const char **ret, struct error *err)
{
	struct json reason = json_get(body, "reason");
	if (json_is(reason, JSON_ABSENT) || json_is(reason, JSON_NULL)) {
		*ret = "";
		return STATUS_OK;
	}
	if (!json_is(reason, JSON_STRING)) {
		return json_fail(err, STATUS_INVALID, reason, "The field `reason` must be a string, not %s",
		                 json_type_name(json_type(reason)));
	}
	size_t length = 0;
	char *text = json_string_dup(reason, arena, &length);
	if (text == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory while reading the reason");
	}
	if (length > DOC_MAX_REASON_BYTES) {
		return json_fail(err, STATUS_INVALID, reason, "The reason is longer than %d bytes",
		                 DOC_MAX_REASON_BYTES);
	}
	*ret = text;
	return STATUS_OK;
}

bool doc_environment_key_is_valid(const char *key)
{
	size_t length = strlen(key);
	if (length == 0 || length > 64 || key[0] == '-') {
		return false;
	}
	return strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

/* ---- Environments ---- */

struct environment_body {
	struct json key, description, protected, copy_from, reason;
};

static const struct json_field environment_fields[] = {
	JSON_FIELD(environment_body, key, STRING, false, 0),
	JSON_FIELD(environment_body, description, STRING, false, 2000),
	JSON_FIELD(environment_body, protected, BOOLEAN, false, 0),
	JSON_FIELD(environment_body, copy_from, STRING | NULLED, false, 0),
	JSON_FIELD(environment_body, reason, STRING | NULLED, false, 0),
};

enum status doc_environment(struct json body, struct json old, struct buf *out, struct error *err)
{
	struct environment_body fields;
	enum status status = json_fields(body, environment_fields, COUNT(environment_fields), &fields, err);
	if (status != STATUS_OK) {
		return status;
	}
	if (json_is(fields.description, JSON_ABSENT)) {
		fields.description = json_get(old, "description");
	}
	if (json_is(fields.protected, JSON_ABSENT)) {
		fields.protected = json_get(old, "protected");
	}
	struct json_writer w;
	json_writer_init(&w, out);
	json_begin_object(&w);
	json_put_key(&w, "description");
	if (json_is(fields.description, JSON_ABSENT)) {
		json_put_string(&w, "");
	} else {
		json_put_value(&w, fields.description);
	}
	json_put_key_boolean(&w, "protected", json_boolean(fields.protected));
	json_end_object(&w);
	return done(out, err);
}

/* ---- Flags ---- */

struct flag_body {
	struct json key, type, variants, description, owner, tags, kind, expected_lifetime_days, environments,
	        reason;
};

static const struct json_field flag_fields[] = {
	JSON_FIELD(flag_body, key, STRING, false, 0),
	JSON_FIELD(flag_body, type, STRING, false, 0),
	JSON_FIELD(flag_body, variants, OBJECT, false, FLAG_MAX_VARIANTS),
	JSON_FIELD(flag_body, description, STRING, false, 4000),
	JSON_FIELD(flag_body, owner, STRING, false, 200),
	JSON_FIELD(flag_body, tags, ARRAY, false, 32),
	JSON_FIELD(flag_body, kind, STRING, false, 0),
	JSON_FIELD(flag_body, expected_lifetime_days, NUMBER | NULLED, false, 0),
	JSON_FIELD(flag_body, environments, OBJECT, false, 64),
	JSON_FIELD(flag_body, reason, STRING | NULLED, false, 0),
};

static const char *const flag_kinds[] = { "release", "operational", "kill_switch", "permission",
	                                  "configuration" };

static enum status flag_kind_check(struct json kind, struct error *err)
{
	if (json_is(kind, JSON_ABSENT)) {
		return STATUS_OK;
	}
	for (size_t i = 0; i < COUNT(flag_kinds); i++) {
		if (json_equals(kind, flag_kinds[i])) {
			return STATUS_OK;
		}
	}
	return json_fail(err, STATUS_INVALID, kind,
	                 "The kind must be release, operational, kill_switch, permission or configuration");
}

static enum status flag_tags_check(struct json tags, struct error *err)
{
	struct json tag = JSON_NONE;
	while (json_next(tags, NULL, &tag)) {
		char text[65];
		if (!json_is(tag, JSON_STRING)) {
			return json_fail(err, STATUS_INVALID, tag, "A tag must be a string, not %s",
			                 json_type_name(json_type(tag)));
		}
		size_t length = json_string_copy(tag, text, sizeof(text));
		if (length == 0 || length >= sizeof(text)) {
			return json_fail(err, STATUS_INVALID, tag, "A tag has 1 to 64 bytes");
		}
	}
	return STATUS_OK;
}

static enum status flag_lifetime_check(struct json days, struct error *err)
{
	int64_t value = 0;
	if (json_is(days, JSON_NUMBER) && (!json_int64(days, &value) || value < 1 || value > 36500)) {
		return json_fail(err, STATUS_INVALID, days,
		                 "The expected lifetime is 1 to 36500 days, or null");
	}
	return STATUS_OK;
}

static enum status flag_read(struct json body, struct flag_body *ret, struct error *err)
{
	enum status status = json_fields(body, flag_fields, COUNT(flag_fields), ret, err);
	if (status == STATUS_OK) {
		status = flag_kind_check(ret->kind, err);
	}
	if (status == STATUS_OK) {
		status = flag_tags_check(ret->tags, err);
	}
	if (status == STATUS_OK) {
		status = flag_lifetime_check(ret->expected_lifetime_days, err);
	}
	return status;
}

static void put_string_or(struct json_writer *w, const char *key, struct json value, const char *fallback)
{
	json_put_key(w, key);
	if (json_is(value, JSON_STRING)) {
		json_put_value(w, value);
	} else {
		json_put_string(w, fallback);
	}
}

static void flag_write(const struct flag_body *flag, struct buf *out)
{
	struct json_writer w;
	json_writer_init(&w, out);
	json_begin_object(&w);
	json_put_key_value(&w, "type", flag->type);
	json_put_key(&w, "variants");
	if (json_is(flag->variants, JSON_ABSENT)) {
		json_put_raw(&w, "{\"on\":true,\"off\":false}", strlen("{\"on\":true,\"off\":false}"));
	} else {
		json_put_value(&w, flag->variants);
	}
	put_string_or(&w, "description", flag->description, "");
	put_string_or(&w, "owner", flag->owner, "");
	json_put_key(&w, "tags");
	if (json_is(flag->tags, JSON_ABSENT)) {
		json_put_raw(&w, "[]", 2);
	} else {
		json_put_value(&w, flag->tags);
	}
	put_string_or(&w, "kind", flag->kind, "release");
	json_put_key(&w, "expected_lifetime_days");
	json_put_value(&w, flag->expected_lifetime_days);
	json_end_object(&w);
}

enum status doc_flag_new(struct json body, struct buf *out, struct error *err)
{
	struct flag_body flag;
	enum status status = flag_read(body, &flag, err);
	if (status != STATUS_OK) {
		return status;
	}
	if (json_is(flag.key, JSON_ABSENT)) {
		return json_fail_member(err, STATUS_INVALID, body, "key", "The field `key` is required");
	}
	char key[FLAG_KEY_MAX_BYTES + 1];
	size_t length = json_string_copy(flag.key, key, sizeof(key));
	if (length >= sizeof(key) || !flag_key_is_valid(key, length)) {
		return json_fail(
		        err, STATUS_INVALID, flag.key,
		        "A key has 1 to %d letters, digits, dots, underscores or hyphens and starts with "
		        "a letter or digit",
		        FLAG_KEY_MAX_BYTES);
	}
	enum flag_type type = FLAG_BOOLEAN;
	if (json_is(flag.type, JSON_ABSENT)) {
		return json_fail_member(err, STATUS_INVALID, body, "type", "The field `type` is required");
	}
	if (!flag_type_parse(flag.type, &type)) {
		return json_fail(err, STATUS_INVALID, flag.type,
		                 "The type must be boolean, string, integer, number or object");
	}
	if (json_is(flag.variants, JSON_ABSENT) && type != FLAG_BOOLEAN) {
		return json_fail_member(err, STATUS_INVALID, body, "variants",
		                        "A flag of type %s needs its `variants`", flag_type_name(type));
	}
	flag_write(&flag, out);
	return done(out, err);
}

/* `key` and `type` of a patch may only repeat what they are. */
static enum status flag_patch_check(struct json old, const char *key, const struct flag_body *patch,
                                    struct json body, struct error *err)
{
	if (!json_is(patch->key, JSON_ABSENT) && !json_equals(patch->key, key)) {
		return json_fail(err, STATUS_INVALID, patch->key, "The key of a flag cannot be changed");
	}
	if (!json_is(patch->type, JSON_ABSENT) && !json_same(patch->type, json_get(old, "type"))) {
		return json_fail(err, STATUS_INVALID, patch->type, "The type of a flag cannot be changed");
	}
	if (!json_is(patch->environments, JSON_ABSENT)) {
		return json_fail_member(err, STATUS_INVALID, body, "environments",
		                        "Settings are changed at /api/v1/flags/%s/environments/{environment}",
		                        key);
	}
	return STATUS_OK;
}

static enum status merge(struct json old, struct json patch, struct json_doc *ret_doc, struct buf *text,
                         struct error *err)
{
	buf_init(text, FLAG_MAX_TEXT_BYTES);
	json_merge_patch(old, patch, text);
	return reparse(text, ret_doc, err);
}

enum status doc_flag_patch(struct json old, const char *key, struct json patch, struct buf *out,
                           struct error *err)
{
	struct flag_body given;
	enum status status = json_is(patch, JSON_OBJECT) ? STATUS_OK
	                                                 : json_fail(err, STATUS_INVALID, patch,
	                                                             "A merge patch is a JSON object");
	if (status != STATUS_OK) {
		return status;
	}
	struct buf text = { 0 };
	struct json_doc doc = { 0 };
	status = merge(old, patch, &doc, &text, err);
	struct flag_body merged;
	if (status == STATUS_OK) {
		status = flag_read(json_root(&doc), &merged, err);
	}
	if (status == STATUS_OK) {
		given = (struct flag_body){ .key = json_get(patch, "key"),
			                    .type = json_get(patch, "type"),
			                    .environments = json_get(patch, "environments") };
		status = flag_patch_check(old, key, &given, patch, err);
	}
	if (status == STATUS_OK) {
		flag_write(&merged, out);
		status = done(out, err);
	}
	json_doc_deinit(&doc);
	buf_deinit(&text);
	return status;
}

/* ---- Settings ---- */

struct setting_body {
	struct json enabled, off_variant, prerequisites, targets, rules, fallthrough, reason;
};

static const struct json_field setting_fields[] = {
	JSON_FIELD(setting_body, enabled, BOOLEAN, false, 0),
	JSON_FIELD(setting_body, off_variant, STRING | NULLED, false, 0),
	JSON_FIELD(setting_body, prerequisites, ARRAY | NULLED, false, 64),
	JSON_FIELD(setting_body, targets, ARRAY | NULLED, false, 256),
	JSON_FIELD(setting_body, rules, ARRAY | NULLED, false, FLAG_MAX_RULES),
	{ "default", OBJECT, offsetof(struct setting_body, fallthrough), false, 0 },
	JSON_FIELD(setting_body, reason, STRING | NULLED, false, 0),
};

static void put_list(struct json_writer *w, const char *key, struct json list)
{
	json_put_key(w, key);
	if (json_is(list, JSON_ARRAY)) {
		json_put_value(w, list);
	} else {
		json_put_raw(w, "[]", 2);
	}
}

static enum status setting_write(struct json merged, struct buf *out, struct error *err)
{
	struct setting_body setting;
	enum status status = json_fields(merged, setting_fields, COUNT(setting_fields), &setting, err);
	if (status != STATUS_OK) {
		return status;
	}
	if (json_is(setting.fallthrough, JSON_ABSENT)) {
		return json_fail_member(err, STATUS_INVALID, merged, "default",
		                        "The field `default` cannot be removed");
	}
	struct json_writer w;
	json_writer_init(&w, out);
	json_begin_object(&w);
	json_put_key_boolean(&w, "enabled", json_boolean(setting.enabled));
	json_put_key_value(&w, "off_variant", setting.off_variant);
	put_list(&w, "prerequisites", setting.prerequisites);
	put_list(&w, "targets", setting.targets);
	put_list(&w, "rules", setting.rules);
	json_put_key_value(&w, "default", setting.fallthrough);
	json_end_object(&w);
	return done(out, err);
}

static void default_put(struct json_writer *w, struct json flag)
{
	struct json variants = json_get(flag, "variants");
	struct json name = JSON_NONE;
	struct json value = JSON_NONE;
	bool has_on = json_equals(json_get(flag, "type"), "boolean") &&
	              !json_is(json_get(variants, "on"), JSON_ABSENT);
	json_put_key(w, "default");
	json_begin_object(w);
	json_put_key(w, "variant");
	if (!has_on && json_next(variants, &name, &value)) {
		json_put_value(w, name);
	} else {
		json_put_string(w, "on");
	}
	json_end_object(w);
}

static void setting_put_new(struct json flag, struct json_writer *w)
{
	struct json off = json_get(json_get(flag, "variants"), "off");
	json_begin_object(w);
	json_put_key_boolean(w, "enabled", false);
	json_put_key(w, "off_variant");
	if (json_equals(json_get(flag, "type"), "boolean") && !json_is(off, JSON_ABSENT)) {
		json_put_string(w, "off");
	} else {
		json_put_null(w);
	}
	default_put(w, flag);
	json_end_object(w);
}

enum status doc_setting_new(struct json flag, struct json given, struct buf *out, struct error *err)
{
	struct buf text;
	buf_init(&text, 4096);
	struct json_writer w;
	json_writer_init(&w, &text);
	setting_put_new(flag, &w);
	struct json_doc base = { 0 };
	enum status status = reparse(&text, &base, err);
	if (status == STATUS_OK && json_is(given, JSON_ABSENT)) {
		status = setting_write(json_root(&base), out, err);
	} else if (status == STATUS_OK) {
		status = doc_setting_patch(json_root(&base), given, out, err);
	}
	json_doc_deinit(&base);
	buf_deinit(&text);
	return status;
}

/* A member as it is; of an object without its nulls, which in a merge patch say "none". */
static void setting_member_put(struct json_writer *w, const char *key, struct json value)
{
	if (!json_is(value, JSON_OBJECT)) {
		json_put_key_value(w, key, value);
		return;
	}
	struct buf text;
	buf_init(&text, FLAG_MAX_TEXT_BYTES);
	json_merge_patch(JSON_NONE, value, &text);
	json_put_key(w, key);
	json_put_raw(w, buf_string(&text), text.length);
	w->buf->failed |= text.failed;
	buf_deinit(&text);
}

/* Settings @old with the members of @patch in place of theirs; `default` is replaced whole. */
static void setting_merge(struct json old, struct json patch, struct buf *out)
{
	struct json name = JSON_NONE;
	struct json value = JSON_NONE;
	struct json_writer w;
	json_writer_init(&w, out);
	json_begin_object(&w);
	while (json_next(old, &name, &value)) {
		char key[32];
		(void)json_string_copy(name, key, sizeof(key));
		struct json given = json_get(patch, key);
		setting_member_put(&w, key, json_is(given, JSON_ABSENT) ? value : given);
	}
	for (size_t i = 0; i < COUNT(setting_fields); i++) {
		const char *key = setting_fields[i].name;
		struct json given = json_get(patch, key);
		if (!json_is(given, JSON_ABSENT) && json_is(json_get(old, key), JSON_ABSENT)) {
			setting_member_put(&w, key, given);
		}
	}
	json_end_object(&w);
}

enum status doc_setting_patch(struct json old, struct json patch, struct buf *out, struct error *err)
{
	struct setting_body given;
	/* First the patch by itself, so that a path in an error is one in the body that was sent. */
	enum status status = json_fields(patch, setting_fields, COUNT(setting_fields), &given, err);
	if (status != STATUS_OK) {
		return status;
	}
	struct buf text;
	buf_init(&text, FLAG_MAX_TEXT_BYTES);
	setting_merge(old, patch, &text);
	struct json_doc doc = { 0 };
	status = reparse(&text, &doc, err);
	if (status == STATUS_OK) {
		status = setting_write(json_root(&doc), out, err);
	}
	json_doc_deinit(&doc);
	buf_deinit(&text);
	return status;
}

/* ---- Segments ---- */

struct segment_body {
	struct json key, description, included, excluded, conditions, reason;
};

static const struct json_field segment_fields[] = {
	JSON_FIELD(segment_body, key, STRING, false, 0),
	JSON_FIELD(segment_body, description, STRING, false, 4000),
	JSON_FIELD(segment_body, included, ARRAY, false, FLAG_MAX_VALUES),
	JSON_FIELD(segment_body, excluded, ARRAY, false, FLAG_MAX_VALUES),
	{ "if", ARRAY, offsetof(struct segment_body, conditions), false, FLAG_MAX_CONDITIONS },
	JSON_FIELD(segment_body, reason, STRING | NULLED, false, 0),
};

enum status doc_segment(struct json body, struct buf *out, struct error *err)
{
	struct segment_body segment;
	enum status status = json_fields(body, segment_fields, COUNT(segment_fields), &segment, err);
	if (status != STATUS_OK) {
		return status;
	}
	struct json_writer w;
	json_writer_init(&w, out);
	json_begin_object(&w);
	put_string_or(&w, "description", segment.description, "");
	put_list(&w, "included", segment.included);
	put_list(&w, "excluded", segment.excluded);
	put_list(&w, "if", segment.conditions);
	json_end_object(&w);
	return done(out, err);
}

/* ---- Composing ---- */

static void put_list_if_any(struct json_writer *w, const char *key, struct json list)
{
	if (json_count(list) > 0) {
		json_put_key_value(w, key, list);
	}
}

void doc_compose_flag(const char *key, struct json flag, struct json setting, uint64_t version,
                      struct buf *out)
{
	struct json_writer w;
	json_writer_init(&w, out);
	json_begin_object(&w);
	json_put_key_string(&w, "key", key);
	json_put_key_value(&w, "type", json_get(flag, "type"));
	json_put_key_uint64_string(&w, "version", version);
	json_put_key_value(&w, "variants", json_get(flag, "variants"));
	json_put_key_value(&w, "enabled", json_get(setting, "enabled"));
	json_put_key_value(&w, "off_variant", json_get(setting, "off_variant"));
	put_list_if_any(&w, "prerequisites", json_get(setting, "prerequisites"));
	put_list_if_any(&w, "targets", json_get(setting, "targets"));
	put_list_if_any(&w, "rules", json_get(setting, "rules"));
	json_put_key_value(&w, "default", json_get(setting, "default"));
	json_end_object(&w);
}

void doc_compose_segment(const char *key, struct json segment, uint64_t version, struct buf *out)
{
	struct json_writer w;
	json_writer_init(&w, out);
	json_begin_object(&w);
	json_put_key_string(&w, "key", key);
	json_put_key_uint64_string(&w, "version", version);
	json_put_key_value(&w, "included", json_get(segment, "included"));
	json_put_key_value(&w, "excluded", json_get(segment, "excluded"));
	json_put_key_value(&w, "if", json_get(segment, "if"));
	json_end_object(&w);
}
