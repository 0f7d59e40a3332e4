/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents as the store keeps them: what an API body may say, made canonical (fixed member order, no white
 * space, exact texts of values), and composed into what the engine compiles.
 *
 *	environment {"description","protected"}
 *	flag        {"type","variants","description","owner","tags","kind","expected_lifetime_days"}
 *	setting     {"enabled","off_variant","prerequisites","targets","rules","default"}
 *	segment     {"description","included","excluded","if"}
 *
 * Bodies may hold more members than documents (key, environments, reason); which, the functions say. Every
 * error is STATUS_INVALID with the path in the body. Pure. What a flag means is checked by the engine, not
 * here.
 */
#pragma once

#include "base/json.h"
#include "base/json_write.h"
#include "engine/flag.h"

#define DOC_MAX_REASON_BYTES 500

/* Limits for whole documents read back from the store or composed: FLAG_MAX_TEXT_BYTES. */
extern const struct json_limits doc_limits;

/* The optional member `reason` of a body; "" without one. Lives in @arena. */
MUST_CHECK enum status doc_reason(struct json body, struct arena *arena, const char **ret, struct error *err);

/* [a-z0-9][a-z0-9-]{0,63} */
bool doc_environment_key_is_valid(const char *key);

/*
 * Environment from a body {key?, description?, protected?, copy_from?, reason?}; @old is the document that is
 * patched (absent: a new one).
 */
MUST_CHECK enum status doc_environment(struct json body, struct json old, struct buf *out, struct error *err);

/* New flag from {key, type, variants?, description?, owner?, tags?, kind?, expected_lifetime_days?,
 * environments?, reason?}. */
MUST_CHECK enum status doc_flag_new(struct json body, struct buf *out, struct error *err);

/* Flag @old with a merge patch of the same members; `key` and `type` may only repeat what they are. */
MUST_CHECK enum status doc_flag_patch(struct json old, const char *key, struct json patch, struct buf *out,
                                      struct error *err);

/*
 * Settings of a new flag: off, off variant "off" for a boolean that has one (else null), serving "on" for a
 * boolean that has one (else the first variant); with the members of @given (absent allowed) put over it.
 */
MUST_CHECK enum status doc_setting_new(struct json flag, struct json given, struct buf *out,
                                       struct error *err);

/* Settings @old with a merge patch {enabled?, off_variant?, prerequisites?, targets?, rules?, default?,
 * reason?}. */
MUST_CHECK enum status doc_setting_patch(struct json old, struct json patch, struct buf *out,
                                         struct error *err);

/* Segment from {key?, description?, included?, excluded?, if?, reason?}. */
MUST_CHECK enum status doc_segment(struct json body, struct buf *out, struct error *err);

/* What the engine compiles: the flag document of one environment, the segment document. */
void doc_compose_flag(const char *key, struct json flag, struct json setting, uint64_t version,
                      struct buf *out);
void doc_compose_segment(const char *key, struct json segment, uint64_t version, struct buf *out);
