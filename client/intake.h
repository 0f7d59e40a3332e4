/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate that every snapshot passes, from the network, the cache or a file: signature, environment,
 * order. What it lets through never goes back: (epoch, revision) lower than the highest ever
 * accepted is refused, and so is another content under the same number.
 *
 * Without a given key the first answer to "which keys do you sign with" is trusted: its keys are candidates,
 * and the one that signed the first accepted snapshot becomes the key for good.
 *
 * Pure; one thread at a time.
 */
#pragma once

#include "client/snapshot.h"

#define INTAKE_MAX_CANDIDATES 8
#define INTAKE_MAX_KEYS_BYTES ((size_t)64 * 1024) /* of the answer that names the keys */

struct intake {
	char environment[BUNDLE_ENVIRONMENT_SIZE];
	bool has_key;
	uint8_t key[BUNDLE_PUBLIC_KEY_BYTES];
	uint8_t candidates[INTAKE_MAX_CANDIDATES][BUNDLE_PUBLIC_KEY_BYTES];
	uint32_t candidate_count;
	uint64_t epoch, revision; /* highest ever accepted; 0, 0: nothing yet */
};

/* @environment is valid; @key may be NULL. */
void intake_init(struct intake *intake, const char *environment, const uint8_t *key);

/* Standard base64 of 32 bytes; white space at the end is allowed. */
bool intake_key_parse(const char *text, size_t length, uint8_t ret[static BUNDLE_PUBLIC_KEY_BYTES]);

/* Candidates from the answer to GET /api/v1/signing-keys. STATUS_MALFORMED or STATUS_INVALID. */
MUST_CHECK enum status intake_keys_read(struct intake *intake, const char *text, size_t length,
                                        struct error *err);

/* From now on nothing lower is accepted, and only what this key signed: what the cache remembers. */
void intake_require(struct intake *intake, uint64_t epoch, uint64_t revision,
                    const uint8_t key[static BUNDLE_PUBLIC_KEY_BYTES]);

enum intake_kind { INTAKE_SNAPSHOT, INTAKE_DELTA };

struct intake_offer {
	enum intake_kind kind;
	enum halyard_source source;
	const char *text;
	size_t length;
	const struct snapshot *base; /* in force; NULL: none */
	bool allow_older;            /* from a cache: better than nothing, even below the highest */
};

/*
 * STATUS_OK with *ret NULL: what is offered is what is in force already.
 * STATUS_MALFORMED, STATUS_UNTRUSTED, STATUS_FORBIDDEN (another environment), STATUS_OLDER,
 * STATUS_CONFLICT (a delta that does not follow, or other content under the same number), STATUS_CORRUPT
 * (digest).
 */
MUST_CHECK enum status intake_accept(struct intake *intake, const struct intake_offer *offer,
                                     struct snapshot **ret, struct error *err);
