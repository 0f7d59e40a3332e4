/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input as a bundle as it is; its first line signed as a manifest; the rest as content. Nothing but
 * content whose digest is the manifest's may come out, and what comes out is written as it was read.
 */
#include "fuzz/fuzz.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "engine/bundle.h"

static uint8_t public_key[BUNDLE_PUBLIC_KEY_BYTES];
static uint8_t secret_key[BUNDLE_SECRET_KEY_BYTES];

static void require(bool holds)
{
	if (!holds) {
		abort();
	}
}

static void keys_make(void)
{
	static bool is_made;
	static const uint8_t seed[crypto_sign_SEEDBYTES] = { 1 };
	if (!is_made) {
		require(sodium_init() >= 0 && crypto_sign_seed_keypair(public_key, secret_key, seed) == 0);
		is_made = true;
	}
}

/* Nobody but the daemon can make one that opens. */
static void open_unsigned(const char *text, size_t length)
{
	struct bundle bundle;
	enum status status = bundle_open(text, length, public_key, NULL, &bundle, NULL);
	require(status == STATUS_MALFORMED || status == STATUS_UNTRUSTED);
}

static void open_signed(const char *line, size_t length)
{
	struct buf text;
	buf_init(&text, length + 512);
	buf_append_string(&text, "halyard-manifest-v1\n");
	buf_append(&text, line, length);
	uint8_t signature[BUNDLE_SIGNATURE_BYTES];
	uint8_t id[BUNDLE_KEY_ID_BYTES];
	char base64[128];
	char hex[2 * BUNDLE_KEY_ID_BYTES + 1];
	(void)crypto_sign_detached(signature, NULL, (const uint8_t *)text.data, text.length, secret_key);
	bundle_key_id(public_key, id);
	(void)sodium_bin2base64(base64, sizeof(base64), signature, sizeof(signature),
	                        sodium_base64_VARIANT_ORIGINAL);
	(void)sodium_bin2hex(hex, sizeof(hex), id, sizeof(id));
	buf_reset(&text);
	buf_append(&text, line, length);
	buf_append_format(&text, "\n{\"key_id\":\"%s\",\"signature\":\"%s\"}\n", hex, base64);
	struct bundle bundle;
	enum status status = bundle_open(text.data, text.length, public_key, NULL, &bundle, NULL);
	require(status == STATUS_OK || status == STATUS_MALFORMED);
	if (status == STATUS_OK) {
		require(flag_key_is_valid(bundle.manifest.environment, strlen(bundle.manifest.environment)));
		/* Read again from what is written of it, it is the same. */
		struct manifest first = bundle.manifest;
		buf_reset(&text);
		manifest_write_signed(&first, secret_key, &text);
		status = bundle_open(text.data, text.length, public_key, first.environment, &bundle, NULL);
		require(status == STATUS_OK && manifest_compare(&first, &bundle.manifest) == 0);
		require(memcmp(first.digest, bundle.manifest.digest, sizeof(first.digest)) == 0);
	}
	buf_deinit(&text);
}

static void round_trip(const struct ruleset *ruleset)
{
	struct manifest manifest = { .environment = "prod", .epoch = 1, .revision = 1 };
	ruleset_digest(ruleset, manifest.digest);
	struct buf text;
	struct buf again;
	buf_init(&text, BUNDLE_MAX_BYTES);
	buf_init(&again, BUNDLE_MAX_BYTES);
	manifest_write_signed(&manifest, secret_key, &text);
	bundle_write_ruleset(ruleset, &text);
	struct bundle bundle;
	struct ruleset *copy = NULL;
	require(bundle_open(text.data, text.length, public_key, "prod", &bundle, NULL) == STATUS_OK);
	require(bundle_apply(&bundle, NULL, &copy, NULL) == STATUS_OK);
	manifest_write_signed(&manifest, secret_key, &again);
	bundle_write_ruleset(copy, &again);
	require(text.length == again.length && memcmp(text.data, again.data, text.length) == 0);
	ruleset_unref(copy);
	buf_deinit(&again);
	buf_deinit(&text);
}

/* A line of content as an item, when it is one. */
static struct item *item_of(const char *line, size_t length)
{
	static const char *const starts[] = { [ITEM_FLAG] = "{\"flag\":", [ITEM_SEGMENT] = "{\"segment\":" };
	struct item *item = NULL;
	for (enum item_kind kind = ITEM_FLAG; kind <= ITEM_SEGMENT; kind++) {
		size_t start = strlen(starts[kind]);
		if (item == NULL && length > start && memcmp(line, starts[kind], start) == 0 &&
		    item_load(kind, line + start, length - start - 1, &item, NULL) != STATUS_OK) {
			item = NULL;
		}
	}
	return item;
}

static void apply(const char *content, size_t length)
{
	struct bundle bundle = { .content = content, .content_length = length };
	struct ruleset *ruleset = NULL;
	struct error err = ERROR_INIT;
	enum status status = bundle_apply(&bundle, NULL, &ruleset, &err);
	require((status == STATUS_MALFORMED || status == STATUS_CORRUPT) && err.message[0] != '\0');
	while (length > 0) {
		const char *end = memchr(content, '\n', length);
		size_t line_length = end != NULL ? (size_t)(end - content) : length;
		struct item *item = item_of(content, line_length);
		struct ruleset *next = NULL;
		const struct ruleset_edit edit = { item != NULL ? item->kind : ITEM_FLAG,
			                           item != NULL ? item->key : NULL, item };
		if (item != NULL && ruleset_new(ruleset, &edit, 1, &next, NULL) == STATUS_OK) {
			ruleset_unref(ruleset);
			ruleset = next;
		}
		item_unref(item);
		content += line_length + (end != NULL);
		length -= line_length + (end != NULL);
	}
	if (ruleset != NULL) {
		round_trip(ruleset);
		require(bundle_apply(&bundle, ruleset, &(struct ruleset *){ NULL }, NULL) != STATUS_OK);
	}
	ruleset_unref(ruleset);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	keys_make();
	const char *text = (const char *)data;
	const char *end = size > 0 ? memchr(text, '\n', size) : NULL;
	open_unsigned(text, size);
	if (end != NULL) {
		open_signed(text, (size_t)(end - text));
		apply(end + 1, size - (size_t)(end - text) - 1);
	}
	return 0;
}
