/* SPDX-License-Identifier: Apache-2.0 */
/* Signed bundles for the client's tests: an issuer with a key, and what it says. */
#pragma once

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/bundle.h"
#include "tests/unit/engine/fixture.h"

struct issuer {
	uint8_t public_key[BUNDLE_PUBLIC_KEY_BYTES];
	uint8_t secret_key[BUNDLE_SECRET_KEY_BYTES];
	char key_text[64]; /* base64 of the public key */
	const char *environment;
};

static inline void issuer_init(struct issuer *issuer, const char *environment)
{
	assert_true(sodium_init() >= 0);
	*issuer = (struct issuer){ .environment = environment };
	assert_int_equal(crypto_sign_keypair(issuer->public_key, issuer->secret_key), 0);
	(void)sodium_bin2base64(issuer->key_text, sizeof(issuer->key_text), issuer->public_key,
	                        sizeof(issuer->public_key), sodium_base64_VARIANT_ORIGINAL);
}

/* Manifest and signature for @ruleset; the caller appends the content. */
static inline void issuer_head(const struct issuer *issuer, uint64_t epoch, uint64_t revision,
                               const struct ruleset *ruleset, struct buf *out)
{
	struct manifest manifest = {
		.epoch = epoch, .revision = revision, .issued_at_ms = 1763000000000, .max_age_s = 86400
	};
	(void)snprintf(manifest.environment, sizeof(manifest.environment), "%s", issuer->environment);
	ruleset_digest(ruleset, manifest.digest);
	manifest_write_signed(&manifest, issuer->secret_key, out);
}

/* A whole snapshot of @ruleset; release with buf_deinit(). */
static inline struct buf issuer_snapshot(const struct issuer *issuer, uint64_t epoch, uint64_t revision,
                                         const struct ruleset *ruleset)
{
	struct buf out;
	buf_init(&out, BUNDLE_MAX_BYTES);
	issuer_head(issuer, epoch, revision, ruleset, &out);
	bundle_write_ruleset(ruleset, &out);
	assert_false(out.failed);
	return out;
}

/* Changes one item of *ruleset, which is replaced, and gives the delta that says so. */
static inline struct buf issuer_delta(const struct issuer *issuer, uint64_t epoch, uint64_t revision,
                                      struct ruleset **ruleset, const char *document)
{
	struct item *item = fixture_item(document);
	struct ruleset_edit edit = { .kind = item->kind, .key = item->key, .item = item };
	struct ruleset *after = NULL;
	struct error err = ERROR_INIT;
	fixture_ok(ruleset_new(*ruleset, &edit, 1, &after, &err), &err);
	ruleset_unref(*ruleset);
	*ruleset = after;
	struct buf out;
	buf_init(&out, BUNDLE_MAX_BYTES);
	issuer_head(issuer, epoch, revision, after, &out);
	bundle_write_item(item, &out);
	item_unref(item);
	assert_false(out.failed);
	return out;
}

/* A boolean flag that is on or off for everybody. */
#define BOOLEAN_FLAG(key, version, variant)                                                                  \
	"{'key':'" key "','type':'boolean','version':'" version "','variants':{'on':true,'off':false},"      \
	"'enabled':true,'off_variant':'off','prerequisites':[],'targets':[],'rules':[],'default':{'variant'" \
	":'" variant "'}}"
