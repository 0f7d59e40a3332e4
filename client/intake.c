/* SPDX-License-Identifier: Apache-2.0 */
#include "client/intake.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"

void intake_init(struct intake *intake, const char *environment, const uint8_t *key)
{
	*intake = (struct intake){ 0 };
	(void)snprintf(intake->environment, sizeof(intake->environment), "%s", environment);
	if (key != NULL) {
		memcpy(intake->key, key, sizeof(intake->key));
		intake->has_key = true;
	}
}

bool intake_key_parse(const char *text, size_t length, uint8_t ret[static BUNDLE_PUBLIC_KEY_BYTES])
{
	uint8_t key[BUNDLE_PUBLIC_KEY_BYTES];
	size_t key_length = 0;
	const char *end = NULL;
	if (sodium_base642bin(key, sizeof(key), text, length, NULL, &key_length, &end,
	                      sodium_base64_VARIANT_ORIGINAL) != 0 ||
	    key_length != sizeof(key)) {
		return false;
	}
	while (end < text + length && (*end == '\n' || *end == '\r' || *end == ' ' || *end == '\t')) {
		end++;
	}
	if (end != text + length) {
		return false;
	}
	memcpy(ret, key, sizeof(key));
	return true;
}

/* One element of "keys". Keys of an algorithm that is not known here are passed over. */
static enum status candidate_read(struct intake *intake, struct json element, struct error *err)
{
	struct json algorithm = json_get(element, "algorithm");
	if (!json_is(algorithm, JSON_STRING)) {
		return json_fail_member(err, STATUS_INVALID, element, "algorithm",
		                        "The key has no algorithm");
	}
	if (!json_equals(algorithm, "Ed25519")) {
		return STATUS_OK;
	}
	struct json public_key = json_get(element, "public_key");
	char text[64];
	if (!json_is(public_key, JSON_STRING) ||
	    json_string_copy(public_key, text, sizeof(text)) >= sizeof(text) ||
	    !intake_key_parse(text, strlen(text), intake->candidates[intake->candidate_count])) {
		return json_fail_member(err, STATUS_INVALID, element, "public_key",
		                        "The key is not the base64 text of 32 bytes");
	}
	intake->candidate_count++;
	return STATUS_OK;
}

enum status intake_keys_read(struct intake *intake, const char *text, size_t length, struct error *err)
{
	struct json_doc doc = { 0 };
	enum status status = json_parse(text, length, &json_limits_default, &doc, err);
	if (status != STATUS_OK) {
		return status;
	}
	intake->candidate_count = 0;
	struct json keys = json_get(json_root(&doc), "keys");
	struct json element = JSON_NONE;
	while (status == STATUS_OK && intake->candidate_count < INTAKE_MAX_CANDIDATES &&
	       json_next(keys, NULL, &element)) {
		status = candidate_read(intake, element, err);
	}
	if (status == STATUS_OK && intake->candidate_count == 0) {
		status =
		        error_fail(err, STATUS_INVALID, "The daemon names no Ed25519 key that it signs with");
	}
	if (status != STATUS_OK) {
		intake->candidate_count = 0;
	}
	json_doc_deinit(&doc);
	return status;
}

/* Opens with the trusted key, or with the candidate that fits; @ret_key is the one that did. */
static enum status bundle_verify(const struct intake *intake, const struct intake_offer *offer,
                                 struct bundle *ret, const uint8_t **ret_key, struct error *err)
{
	if (intake->has_key) {
		*ret_key = intake->key;
		return bundle_open(offer->text, offer->length, intake->key, intake->environment, ret, err);
	}
	enum status status = STATUS_UNTRUSTED;
	for (uint32_t i = 0; i < intake->candidate_count && status == STATUS_UNTRUSTED; i++) {
		*ret_key = intake->candidates[i];
		status = bundle_open(offer->text, offer->length, *ret_key, intake->environment, ret, err);
	}
	if (intake->candidate_count == 0) {
		return error_fail(err, STATUS_UNTRUSTED,
		                  "No key is known that the snapshot could be verified with");
	}
	return status;
}

static int order(uint64_t epoch_a, uint64_t revision_a, uint64_t epoch_b, uint64_t revision_b)
{
	if (epoch_a != epoch_b) {
		return epoch_a < epoch_b ? -1 : 1;
	}
	return revision_a < revision_b ? -1 : revision_a > revision_b;
}

/* Does it follow from what is in force? *ret_is_same: it is in force already. */
static enum status order_check(const struct intake *intake, const struct intake_offer *offer,
                               const struct manifest *manifest, bool *ret_is_same, struct error *err)
{
	if (!offer->allow_older &&
	    order(manifest->epoch, manifest->revision, intake->epoch, intake->revision) < 0) {
		return error_fail(err, STATUS_OLDER,
		                  "Revision %" PRIu64 " of epoch %" PRIu64 " is older than revision %" PRIu64
		                  " of epoch %" PRIu64 ", which was accepted before",
		                  manifest->revision, manifest->epoch, intake->revision, intake->epoch);
	}
	const struct manifest *base = offer->base != NULL ? &offer->base->manifest : NULL;
	if (base != NULL && manifest_compare(manifest, base) == 0) {
		if (memcmp(manifest->digest, base->digest, sizeof(base->digest)) != 0) {
			return error_fail(err, STATUS_CONFLICT,
			                  "Two different contents are signed as revision %" PRIu64
			                  " of epoch %" PRIu64,
			                  manifest->revision, manifest->epoch);
		}
		*ret_is_same = true;
		return STATUS_OK;
	}
	if (offer->kind == INTAKE_DELTA &&
	    (base == NULL || manifest->epoch != base->epoch || manifest->revision - 1 != base->revision)) {
		return error_fail(err, STATUS_CONFLICT,
		                  "The delta to revision %" PRIu64 " does not follow from revision %" PRIu64,
		                  manifest->revision, base != NULL ? base->revision : 0);
	}
	*ret_is_same = false;
	return STATUS_OK;
}

void intake_require(struct intake *intake, uint64_t epoch, uint64_t revision,
                    const uint8_t key[static BUNDLE_PUBLIC_KEY_BYTES])
{
	if (!intake->has_key) {
		memcpy(intake->key, key, sizeof(intake->key));
		intake->has_key = true;
	}
	if (order(epoch, revision, intake->epoch, intake->revision) > 0) {
		intake->epoch = epoch;
		intake->revision = revision;
	}
}

enum status intake_accept(struct intake *intake, const struct intake_offer *offer, struct snapshot **ret,
                          struct error *err)
{
	struct bundle bundle;
	const uint8_t *key = NULL;
	bool is_same = false;
	enum status status = bundle_verify(intake, offer, &bundle, &key, err);
	if (status == STATUS_OK) {
		status = order_check(intake, offer, &bundle.manifest, &is_same, err);
	}
	if (status != STATUS_OK) {
		return status;
	}
	if (is_same) {
		*ret = NULL;
		return STATUS_OK;
	}
	struct ruleset *ruleset = NULL;
	const struct ruleset *base = offer->kind == INTAKE_DELTA ? offer->base->ruleset : NULL;
	status = bundle_apply(&bundle, base, &ruleset, err);
	if (status == STATUS_OK) {
		status = snapshot_new(&bundle, offer->text, ruleset, offer->source, ret, err);
	}
	if (status == STATUS_OK) {
		intake_require(intake, bundle.manifest.epoch, bundle.manifest.revision, key);
	}
	return status;
}
