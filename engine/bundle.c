/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/bundle.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json_write.h"
#include "engine/compile.h"

#define BUNDLE_FORMAT        1
#define MANIFEST_MAX_BYTES   1024
#define SIGNATURE_MAX_BYTES  256
#define MANIFEST_MAX_NODES   32
#define DIGEST_PREFIX        "blake2b-256:"
#define SIGNATURE_BASE64     88 /* characters */
#define UINT64_MAX_DIGITS    20
#define REMOVAL_MAX_BYTES    256
#define SIGNED_PREFIX        "halyard-manifest-v1\n"
#define SIGNED_PREFIX_LENGTH (sizeof(SIGNED_PREFIX) - 1)

static const struct json_limits head_limits = { .max_bytes = MANIFEST_MAX_BYTES,
	                                        .max_nodes = MANIFEST_MAX_NODES,
	                                        .max_depth = 2 };

/* clang-format off */
struct manifest_fields {
	struct json halyard, environment, epoch, revision, issued_at, max_age_s, digest, audit;
};

static const struct json_field manifest_fields[] = {
	JSON_FIELD(manifest_fields, halyard, JSON_BIT(JSON_NUMBER), true, 0),
	JSON_FIELD(manifest_fields, environment, JSON_BIT(JSON_STRING), true, 0),
	JSON_FIELD(manifest_fields, epoch, JSON_BIT(JSON_STRING), true, 0),
	JSON_FIELD(manifest_fields, revision, JSON_BIT(JSON_STRING), true, 0),
	JSON_FIELD(manifest_fields, issued_at, JSON_BIT(JSON_STRING), true, 0),
	JSON_FIELD(manifest_fields, max_age_s, JSON_BIT(JSON_NUMBER), true, 0),
	JSON_FIELD(manifest_fields, digest, JSON_BIT(JSON_STRING), true, 0),
	JSON_FIELD(manifest_fields, audit, JSON_BIT(JSON_OBJECT), true, 0),
};

struct audit_fields {
	struct json size, head;
};

static const struct json_field audit_fields[] = {
	JSON_FIELD(audit_fields, size, JSON_BIT(JSON_STRING), true, 0),
	JSON_FIELD(audit_fields, head, JSON_BIT(JSON_STRING), true, 0),
};

struct signature_fields {
	struct json key_id, signature;
};

static const struct json_field signature_fields[] = {
	JSON_FIELD(signature_fields, key_id, JSON_BIT(JSON_STRING), true, 0),
	JSON_FIELD(signature_fields, signature, JSON_BIT(JSON_STRING), true, 0),
};

struct removal_fields {
	struct json flag, segment;
};

static const struct json_field removal_fields[] = {
	JSON_FIELD(removal_fields, flag, JSON_BIT(JSON_STRING), false, 0),
	JSON_FIELD(removal_fields, segment, JSON_BIT(JSON_STRING), false, 0),
};
/* clang-format on */

static const char *kind_name(enum item_kind kind)
{
	return kind == ITEM_FLAG ? "flag" : "segment";
}

/* ---- Manifest ---- */

void bundle_key_id(const uint8_t public_key[static BUNDLE_PUBLIC_KEY_BYTES],
                   uint8_t ret[static BUNDLE_KEY_ID_BYTES])
{
	uint8_t digest[FLAG_DIGEST_BYTES];
	(void)crypto_generichash(digest, sizeof(digest), public_key, BUNDLE_PUBLIC_KEY_BYTES, NULL, 0);
	memcpy(ret, digest, BUNDLE_KEY_ID_BYTES);
}

static int uint64_compare(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

int manifest_compare(const struct manifest *a, const struct manifest *b)
{
	int order = uint64_compare(a->epoch, b->epoch);
	return order != 0 ? order : uint64_compare(a->revision, b->revision);
}

static void put_key_hex(struct json_writer *w, const char *key, const char *prefix, const uint8_t *bytes,
                        size_t length)
{
	char text[sizeof(DIGEST_PREFIX) + 2 * FLAG_DIGEST_BYTES];
	size_t used = strlen(prefix);
	memcpy(text, prefix, used);
	(void)sodium_bin2hex(text + used, sizeof(text) - used, bytes, length);
	json_put_key_string(w, key, text);
}

static void manifest_write(const struct manifest *manifest, struct buf *out)
{
	struct json_writer w;
	json_writer_init(&w, out);
	json_begin_object(&w);
	json_put_key_int64(&w, "halyard", BUNDLE_FORMAT);
	json_put_key_string(&w, "environment", manifest->environment);
	json_put_key_uint64_string(&w, "epoch", manifest->epoch);
	json_put_key_uint64_string(&w, "revision", manifest->revision);
	json_put_key_time(&w, "issued_at", manifest->issued_at_ms);
	json_put_key_int64(&w, "max_age_s", manifest->max_age_s);
	put_key_hex(&w, "digest", DIGEST_PREFIX, manifest->digest, sizeof(manifest->digest));
	json_put_key(&w, "audit");
	json_begin_object(&w);
	json_put_key_uint64_string(&w, "size", manifest->audit_size);
	put_key_hex(&w, "head", "", manifest->audit_head, sizeof(manifest->audit_head));
	json_end_object(&w);
	json_end_object(&w);
}

/* What is signed: the prefix keeps a manifest's signature from being one of anything else. */
static size_t signed_message(const char *line, size_t length,
                             uint8_t out[static SIGNED_PREFIX_LENGTH + MANIFEST_MAX_BYTES])
{
	memcpy(out, SIGNED_PREFIX, SIGNED_PREFIX_LENGTH);
	memcpy(out + SIGNED_PREFIX_LENGTH, line, length);
	return SIGNED_PREFIX_LENGTH + length;
}

void manifest_write_signed(const struct manifest *manifest,
                           const uint8_t secret_key[static BUNDLE_SECRET_KEY_BYTES], struct buf *out)
{
	size_t start = out->length;
	manifest_write(manifest, out);
	if (out->failed) {
		return;
	}
	uint8_t message[SIGNED_PREFIX_LENGTH + MANIFEST_MAX_BYTES];
	uint8_t signature[BUNDLE_SIGNATURE_BYTES];
	size_t length = signed_message(out->data + start, out->length - start, message);
	(void)crypto_sign_detached(signature, NULL, message, length, secret_key);
	/* An Ed25519 secret key of libsodium ends with its public key. */
	uint8_t key_id[BUNDLE_KEY_ID_BYTES];
	bundle_key_id(secret_key + BUNDLE_SECRET_KEY_BYTES - BUNDLE_PUBLIC_KEY_BYTES, key_id);
	char base64[SIGNATURE_BASE64 + 1];
	(void)sodium_bin2base64(base64, sizeof(base64), signature, sizeof(signature),
	                        sodium_base64_VARIANT_ORIGINAL);
	buf_append_char(out, '\n');
	struct json_writer w;
	json_writer_init(&w, out);
	json_begin_object(&w);
	put_key_hex(&w, "key_id", "", key_id, sizeof(key_id));
	json_put_key_string(&w, "signature", base64);
	json_end_object(&w);
	buf_append_char(out, '\n');
}

static enum status uint64_read(struct json string, uint64_t *ret, struct error *err)
{
	char text[UINT64_MAX_DIGITS + 2];
	size_t length = json_string_copy(string, text, sizeof(text));
	bool is_good = length > 0 && length <= UINT64_MAX_DIGITS && (text[0] != '0' || length == 1);
	uint64_t value = 0;
	for (size_t i = 0; i < length && is_good; i++) {
		uint64_t digit = (uint64_t)(unsigned char)text[i] - '0';
		is_good = digit <= 9 && value <= (UINT64_MAX - digit) / 10;
		value = is_good ? value * 10 + digit : 0;
	}
	if (!is_good) {
		return json_fail(err, STATUS_MALFORMED, string,
		                 "This must be a number of 64 bits in decimal");
	}
	*ret = value;
	return STATUS_OK;
}

/* Lower-case hex of exactly @size bytes behind @prefix. */
static enum status hex_read(struct json string, const char *prefix, uint8_t *ret, size_t size,
                            struct error *err)
{
	char text[sizeof(DIGEST_PREFIX) + 2 * FLAG_DIGEST_BYTES];
	size_t start = strlen(prefix);
	size_t length = json_string_copy(string, text, sizeof(text));
	if (length != start + 2 * size || strncmp(text, prefix, start) != 0 ||
	    strspn(text + start, "0123456789abcdef") != 2 * size) {
		return json_fail(err, STATUS_MALFORMED, string, "This must be `%s` and %zu hex digits",
		                 prefix, 2 * size);
	}
	(void)sodium_hex2bin(ret, size, text + start, 2 * size, NULL, NULL, NULL);
	return STATUS_OK;
}

static enum status environment_read(struct json string, char ret[static BUNDLE_ENVIRONMENT_SIZE],
                                    struct error *err)
{
	char text[BUNDLE_ENVIRONMENT_SIZE];
	size_t length = json_string_copy(string, text, sizeof(text));
	if (length >= sizeof(text) || !flag_key_is_valid(text, length)) {
		return json_fail(err, STATUS_MALFORMED, string, "This is not an environment's key");
	}
	memcpy(ret, text, length + 1);
	return STATUS_OK;
}

static enum status time_read(struct json string, int64_t *ret, struct error *err)
{
	char text[CLOCK_RFC3339_SIZE];
	size_t length = json_string_copy(string, text, sizeof(text));
	if (length >= sizeof(text) || !clock_rfc3339_parse(text, length, ret)) {
		return json_fail(err, STATUS_MALFORMED, string, "This must be a time as RFC 3339 writes it");
	}
	return STATUS_OK;
}

static enum status manifest_read(const char *line, size_t length, struct manifest *ret, struct error *err)
{
	struct json_node nodes[MANIFEST_MAX_NODES];
	struct json_doc doc;
	struct manifest_fields fields;
	struct audit_fields audit;
	TRY(json_scan(line, length, &head_limits, nodes, MANIFEST_MAX_NODES, &doc, err));
	TRY(json_fields(json_root(&doc), manifest_fields, COUNT_OF(manifest_fields), &fields, err));
	TRY(json_fields(fields.audit, audit_fields, COUNT_OF(audit_fields), &audit, err));
	int64_t format = 0;
	if (!json_int64(fields.halyard, &format) || format != BUNDLE_FORMAT) {
		return json_fail(err, STATUS_MALFORMED, fields.halyard,
		                 "The bundle has a format that this version does not read");
	}
	int64_t max_age_s = 0;
	if (!json_int64(fields.max_age_s, &max_age_s) || max_age_s < 0 || max_age_s > UINT32_MAX) {
		return json_fail(err, STATUS_MALFORMED, fields.max_age_s,
		                 "This must be a number of seconds between 0 and %u", UINT32_MAX);
	}
	ret->max_age_s = (uint32_t)max_age_s;
	TRY(environment_read(fields.environment, ret->environment, err));
	TRY(uint64_read(fields.epoch, &ret->epoch, err));
	TRY(uint64_read(fields.revision, &ret->revision, err));
	TRY(time_read(fields.issued_at, &ret->issued_at_ms, err));
	TRY(hex_read(fields.digest, DIGEST_PREFIX, ret->digest, sizeof(ret->digest), err));
	TRY(uint64_read(audit.size, &ret->audit_size, err));
	return hex_read(audit.head, "", ret->audit_head, sizeof(ret->audit_head), err);
}

struct signature {
	uint8_t key_id[BUNDLE_KEY_ID_BYTES];
	uint8_t bytes[BUNDLE_SIGNATURE_BYTES];
};

static enum status signature_read(const char *line, size_t length, struct signature *ret, struct error *err)
{
	struct json_node nodes[MANIFEST_MAX_NODES];
	struct json_doc doc;
	struct signature_fields fields;
	TRY(json_scan(line, length, &head_limits, nodes, MANIFEST_MAX_NODES, &doc, err));
	TRY(json_fields(json_root(&doc), signature_fields, COUNT_OF(signature_fields), &fields, err));
	TRY(hex_read(fields.key_id, "", ret->key_id, sizeof(ret->key_id), err));
	char text[SIGNATURE_BASE64 + 1];
	char again[SIGNATURE_BASE64 + 1] = "";
	size_t size = 0;
	if (json_string_copy(fields.signature, text, sizeof(text)) == SIGNATURE_BASE64 &&
	    sodium_base642bin(ret->bytes, sizeof(ret->bytes), text, SIGNATURE_BASE64, NULL, &size, NULL,
	                      sodium_base64_VARIANT_ORIGINAL) == 0 &&
	    size == sizeof(ret->bytes)) {
		(void)sodium_bin2base64(again, sizeof(again), ret->bytes, size,
		                        sodium_base64_VARIANT_ORIGINAL);
	}
	/* One signature has one spelling. */
	if (again[0] == '\0' || strcmp(text, again) != 0) {
		return json_fail(err, STATUS_MALFORMED, fields.signature,
		                 "The signature must be %d bytes in base64", BUNDLE_SIGNATURE_BYTES);
	}
	return STATUS_OK;
}

/* Takes the line at *text, which must end within @max bytes with LF; NULL when it does not. */
static const char *line_take(const char **text, size_t *length, size_t max, size_t *ret_length)
{
	const char *line = *text;
	const char *end = memchr(line, '\n', *length < max ? *length : max);
	if (end == NULL) {
		return NULL;
	}
	*ret_length = (size_t)(end - line);
	*text += *ret_length + 1;
	*length -= *ret_length + 1;
	return line;
}

/* What is not the grammar that it should be is malformed, whichever way it was noticed. */
static enum status malformed(struct error *err, enum status status, const char *what)
{
	if (status == STATUS_OK || status == STATUS_NO_MEMORY) {
		return status;
	}
	if (err != NULL) {
		err->status = STATUS_MALFORMED;
		error_wrap(err, what);
	}
	return STATUS_MALFORMED;
}

static enum status signature_verify(const struct signature *signature, const char *line, size_t length,
                                    const uint8_t public_key[static BUNDLE_PUBLIC_KEY_BYTES],
                                    struct error *err)
{
	uint8_t key_id[BUNDLE_KEY_ID_BYTES];
	bundle_key_id(public_key, key_id);
	if (memcmp(signature->key_id, key_id, sizeof(key_id)) != 0) {
		char theirs[2 * BUNDLE_KEY_ID_BYTES + 1];
		char ours[2 * BUNDLE_KEY_ID_BYTES + 1];
		(void)sodium_bin2hex(theirs, sizeof(theirs), signature->key_id, sizeof(key_id));
		(void)sodium_bin2hex(ours, sizeof(ours), key_id, sizeof(key_id));
		return error_fail(err, STATUS_UNTRUSTED,
		                  "The bundle is signed by the key %s; the key that is trusted is %s", theirs,
		                  ours);
	}
	uint8_t message[SIGNED_PREFIX_LENGTH + MANIFEST_MAX_BYTES];
	size_t message_length = signed_message(line, length, message);
	if (crypto_sign_verify_detached(signature->bytes, message, message_length, public_key) != 0) {
		return error_fail(err, STATUS_UNTRUSTED,
		                  "The signature of the bundle is wrong: it was altered");
	}
	return STATUS_OK;
}

enum status bundle_open(const char *text, size_t length,
                        const uint8_t public_key[static BUNDLE_PUBLIC_KEY_BYTES], const char *environment,
                        struct bundle *ret, struct error *err)
{
	if (length > BUNDLE_MAX_BYTES) {
		return error_fail(err, STATUS_MALFORMED, "The bundle is longer than %d bytes",
		                  BUNDLE_MAX_BYTES);
	}
	size_t manifest_length = 0;
	size_t signature_length = 0;
	const char *manifest = line_take(&text, &length, MANIFEST_MAX_BYTES, &manifest_length);
	const char *signed_by =
	        manifest != NULL ? line_take(&text, &length, SIGNATURE_MAX_BYTES, &signature_length) : NULL;
	if (signed_by == NULL) {
		return error_fail(err, STATUS_MALFORMED,
		                  "This is not a bundle: it does not begin with a manifest and a signature");
	}
	struct signature signature;
	enum status status = signature_read(signed_by, signature_length, &signature, err);
	TRY(malformed(err, status, "The signature of the bundle cannot be read"));
	TRY(signature_verify(&signature, manifest, manifest_length, public_key, err));
	struct bundle bundle = { .content = text, .content_length = length };
	memcpy(bundle.key_id, signature.key_id, sizeof(bundle.key_id));
	status = manifest_read(manifest, manifest_length, &bundle.manifest, err);
	TRY(malformed(err, status, "The manifest of the bundle cannot be read"));
	if (environment != NULL && strcmp(environment, bundle.manifest.environment) != 0) {
		return error_fail(err, STATUS_FORBIDDEN, "The bundle is of the environment `%s`, not `%s`",
		                  bundle.manifest.environment, environment);
	}
	*ret = bundle;
	return STATUS_OK;
}

/* ---- Content ---- */

void bundle_write_item(const struct item *item, struct buf *out)
{
	buf_append_string(out, item->kind == ITEM_FLAG ? "{\"flag\":" : "{\"segment\":");
	buf_append(out, item->text, item->text_length);
	buf_append(out, "}\n", 2);
}

void bundle_write_removal(enum item_kind kind, const char *key, struct buf *out)
{
	struct json_writer w;
	json_writer_init(&w, out);
	json_begin_object(&w);
	json_put_key(&w, "removed");
	json_begin_object(&w);
	json_put_key_string(&w, kind_name(kind), key);
	json_end_object(&w);
	json_end_object(&w);
	buf_append_char(out, '\n');
}

void bundle_write_ruleset(const struct ruleset *ruleset, struct buf *out)
{
	for (size_t i = 0; i < ruleset_flag_count(ruleset); i++) {
		bundle_write_item(&ruleset_flag_at(ruleset, i, NULL)->item, out);
	}
	for (size_t i = 0; i < ruleset_segment_count(ruleset); i++) {
		bundle_write_item(&ruleset_segment_at(ruleset, i, NULL)->item, out);
	}
}

/* The edits that the lines of a bundle make. */
struct edits {
	struct ruleset_edit *list;
	size_t count;
	struct arena arena; /* keys of removals */
};

static void edits_deinit(struct edits *edits)
{
	for (size_t i = 0; i < edits->count; i++) {
		item_unref(edits->list[i].item);
	}
	free(edits->list);
	arena_deinit(&edits->arena);
}

static bool starts_with(const char *line, size_t length, const char *prefix)
{
	size_t prefix_length = strlen(prefix);
	return length >= prefix_length && memcmp(line, prefix, prefix_length) == 0;
}

static enum status item_line_read(const char *line, size_t length, enum item_kind kind,
                                  struct ruleset_edit *ret, struct error *err)
{
	size_t start = kind == ITEM_FLAG ? strlen("{\"flag\":") : strlen("{\"segment\":");
	if (length <= start || line[length - 1] != '}') {
		return error_fail(err, STATUS_MALFORMED, "The line does not end with a brace");
	}
	struct item *item = NULL;
	TRY(item_load(kind, line + start, length - start - 1, &item, err));
	if (item->text_length != length - start - 1) {
		item_unref(item);
		return error_fail(err, STATUS_MALFORMED, "There is white space around the document");
	}
	*ret = (struct ruleset_edit){ .kind = kind, .key = item->key, .item = item };
	return STATUS_OK;
}

static enum status removal_read(const char *line, size_t length, struct arena *arena,
                                struct ruleset_edit *ret, struct error *err)
{
	struct json_node nodes[MANIFEST_MAX_NODES];
	struct json_doc doc;
	struct removal_fields fields;
	TRY(json_scan(line, length, &head_limits, nodes, MANIFEST_MAX_NODES, &doc, err));
	struct json removed = json_get(json_root(&doc), "removed");
	if (json_count(json_root(&doc)) != 1 || json_count(removed) != 1) {
		return error_fail(err, STATUS_MALFORMED, "A line must be a flag, a segment or a removal");
	}
	TRY(json_fields(removed, removal_fields, COUNT_OF(removal_fields), &fields, err));
	bool is_flag = json_type(fields.flag) != JSON_ABSENT;
	const char *key = json_string_dup(is_flag ? fields.flag : fields.segment, arena, NULL);
	TRY(COMPILER_ALLOCATED(key, err));
	*ret = (struct ruleset_edit){ .kind = is_flag ? ITEM_FLAG : ITEM_SEGMENT, .key = key };
	return STATUS_OK;
}

/* Flags, then segments, then removals of flags, then of segments; each in key order, each once. */
static bool is_in_order(const struct ruleset_edit *before, const struct ruleset_edit *edit)
{
	int left = (before->item == NULL ? 2 : 0) + (before->kind == ITEM_SEGMENT ? 1 : 0);
	int right = (edit->item == NULL ? 2 : 0) + (edit->kind == ITEM_SEGMENT ? 1 : 0);
	return left != right ? left < right : strcmp(before->key, edit->key) < 0;
}

static enum status line_read(const char *line, size_t length, bool is_delta, struct edits *edits,
                             struct error *err)
{
	struct ruleset_edit *edit = &edits->list[edits->count];
	if (starts_with(line, length, "{\"flag\":")) {
		TRY(item_line_read(line, length, ITEM_FLAG, edit, err));
	} else if (starts_with(line, length, "{\"segment\":")) {
		TRY(item_line_read(line, length, ITEM_SEGMENT, edit, err));
	} else if (is_delta) {
		TRY(removal_read(line, length, &edits->arena, edit, err));
	} else {
		return error_fail(err, STATUS_MALFORMED, "A line of a snapshot must be a flag or a segment");
	}
	edits->count++;
	if (edits->count > 1 && !is_in_order(edit - 1, edit)) {
		return error_fail(err, STATUS_MALFORMED, "The %s `%s` is out of order", kind_name(edit->kind),
		                  edit->key);
	}
	return STATUS_OK;
}

static enum status content_read(const struct bundle *bundle, bool is_delta, struct edits *edits,
                                struct error *err)
{
	const char *text = bundle->content;
	size_t length = bundle->content_length;
	size_t lines = 0;
	for (const char *at = text; (at = memchr(at, '\n', length - (size_t)(at - text))) != NULL; at++) {
		lines++;
	}
	if (lines > 2 * (size_t)RULESET_MAX_ITEMS) {
		return error_fail(err, STATUS_MALFORMED, "The bundle has more than %d lines",
		                  2 * RULESET_MAX_ITEMS);
	}
	edits->list = calloc(lines + 1, sizeof(*edits->list));
	arena_init(&edits->arena, lines * REMOVAL_MAX_BYTES + REMOVAL_MAX_BYTES);
	TRY(COMPILER_ALLOCATED(edits->list, err));
	while (length > 0) {
		size_t line_length = 0;
		const char *line = line_take(&text, &length, length, &line_length);
		char where[64];
		(void)snprintf(where, sizeof(where), "Line %zu of the bundle cannot be read",
		               edits->count + 3);
		if (line == NULL) {
			return error_fail(err, STATUS_MALFORMED, "%s: it is cut off", where);
		}
		TRY(malformed(err, line_read(line, line_length, is_delta, edits, err), where));
	}
	return STATUS_OK;
}

enum status bundle_apply(const struct bundle *bundle, const struct ruleset *base, struct ruleset **ret,
                         struct error *err)
{
	AUTO(edits_deinit) struct edits edits = { 0 };
	TRY(content_read(bundle, base != NULL, &edits, err));
	struct ruleset *ruleset = NULL;
	enum status status = ruleset_new(base, edits.list, edits.count, &ruleset, err);
	if (status == STATUS_NO_MEMORY) {
		return status;
	}
	if (status != STATUS_OK) {
		if (err != NULL) {
			err->status = STATUS_CORRUPT;
			error_wrap(err, "The change does not fit what it was applied to");
		}
		return STATUS_CORRUPT;
	}
	uint8_t digest[FLAG_DIGEST_BYTES];
	ruleset_digest(ruleset, digest);
	if (memcmp(digest, bundle->manifest.digest, sizeof(digest)) != 0) {
		ruleset_unref(ruleset);
		return error_fail(err, STATUS_CORRUPT,
		                  "The content of the bundle is not what its manifest says");
	}
	*ret = ruleset;
	return STATUS_OK;
}
