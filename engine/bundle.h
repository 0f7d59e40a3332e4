/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bundles: the signed text in which rulesets travel, whole (snapshot) or as a change (delta).
 *
 * A bundle is lines of JSON, each ended by LF, exact bytes throughout (docs/snapshot-format.md):
 *
 *	{"halyard":1,"environment":"prod","epoch":"1","revision":"42","issued_at":"…","max_age_s":86400,
 *	 "digest":"blake2b-256:<hex>","audit":{"size":"1017","head":"<hex>"}}
 *	{"key_id":"<16 hex>","signature":"<base64>"}
 *	{"flag":{…}}                      a flag's exact text
 *	{"segment":{…}}
 *	{"removed":{"flag":"old-key"}}    deltas only
 *
 * Line 1 is the manifest; line 2 signs its bytes without the LF (Ed25519 over
 * "halyard-manifest-v1\n" ‖ line 1). The digest is ruleset_digest() of the state that results, so
 * the same manifest proves a full download and the result of a delta. A delta is a change from
 * revision-1 of the same epoch. Flags come in key order, then segments, then removals.
 *
 * Pure; nothing here does I/O. Randomness and time are parameters.
 */
#pragma once

#include "engine/ruleset.h"

#define BUNDLE_KEY_ID_BYTES     8
#define BUNDLE_PUBLIC_KEY_BYTES 32
#define BUNDLE_SECRET_KEY_BYTES 64
#define BUNDLE_SIGNATURE_BYTES  64
#define BUNDLE_ENVIRONMENT_SIZE 65
#define BUNDLE_MAX_BYTES        (64 * 1024 * 1024)

struct manifest {
	char environment[BUNDLE_ENVIRONMENT_SIZE];
	uint64_t epoch;
	uint64_t revision;
	int64_t issued_at_ms;
	uint32_t max_age_s;
	uint8_t digest[FLAG_DIGEST_BYTES];
	uint64_t audit_size;
	uint8_t audit_head[FLAG_DIGEST_BYTES];
};

/* First 8 bytes of BLAKE2b-256 of the public key. */
void bundle_key_id(const uint8_t public_key[static BUNDLE_PUBLIC_KEY_BYTES],
                   uint8_t ret[static BUNDLE_KEY_ID_BYTES]);

/* <0, 0, >0: order of (epoch, revision). */
int manifest_compare(const struct manifest *a, const struct manifest *b);

/* Appends lines 1 and 2. */
void manifest_write_signed(const struct manifest *manifest,
                           const uint8_t secret_key[static BUNDLE_SECRET_KEY_BYTES], struct buf *out);

/* Appends one line of content. */
void bundle_write_item(const struct item *item, struct buf *out);
void bundle_write_removal(enum item_kind kind, const char *key, struct buf *out);

/* Appends every item of @ruleset: what follows the two lines in a snapshot. */
void bundle_write_ruleset(const struct ruleset *ruleset, struct buf *out);

/* A bundle whose two first lines are read and whose signature holds. Borrows the text. */
struct bundle {
	struct manifest manifest;
	uint8_t key_id[BUNDLE_KEY_ID_BYTES];
	const char *content; /* third line on */
	size_t content_length;
};

/*
 * STATUS_MALFORMED when it is not a bundle, STATUS_UNTRUSTED when the signature or key is wrong,
 * STATUS_FORBIDDEN when it is of another environment (@environment NULL: any).
 */
MUST_CHECK enum status bundle_open(const char *text, size_t length,
                                   const uint8_t public_key[static BUNDLE_PUBLIC_KEY_BYTES],
                                   const char *environment, struct bundle *ret, struct error *err);

/*
 * Builds the ruleset: from nothing (@base NULL: a snapshot), or a delta on @base. The result's digest
 * must be the manifest's: STATUS_CORRUPT otherwise. Items that do not compile are kept as broken.
 */
MUST_CHECK enum status bundle_apply(const struct bundle *bundle, const struct ruleset *base,
                                    struct ruleset **ret, struct error *err);
