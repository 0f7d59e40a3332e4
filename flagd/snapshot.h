/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshot: one environment at one revision, with every form in which it is sent.
 *
 * Immutable and counted by reference, but for the large bytes that are built on first use (one short lock).
 * Bytes are built once per revision and shared by all connections. Any thread.
 */
#pragma once

#include <stdbool.h>

#include "engine/bundle.h"
#include "flagd/http.h"

#define SNAPSHOT_TAG_SIZE 44 /* "<epoch>-<revision>" */

#define SNAPSHOT_MAX_HISTORY_BYTES \
	(16u * 1024 * 1024) /* of earlier deltas; who is further behind gets the whole */

struct snapshot;

struct snapshot_options {
	struct ruleset *ruleset;   /* the snapshot takes its own reference */
	struct manifest manifest;  /* complete */
	const uint8_t *secret_key; /* BUNDLE_SECRET_KEY_BYTES */
	uint32_t history;          /* changes that streams can resume from */
};

/*
 * @previous: the snapshot that this one follows by one revision, whose change is @edits; NULL for the first,
 * from which nothing can be resumed. One reference. STATUS_NO_MEMORY.
 */
MUST_CHECK enum status snapshot_new(const struct snapshot_options *options, const struct snapshot *previous,
                                    const struct ruleset_edit *edits, size_t edit_count,
                                    struct snapshot **ret, struct error *err);
struct snapshot *snapshot_ref(struct snapshot *snapshot);
void snapshot_unref(struct snapshot *snapshot); /* accepts NULL */

const struct manifest *snapshot_manifest(const struct snapshot *snapshot);
const struct ruleset *snapshot_ruleset(const struct snapshot *snapshot);
const char *snapshot_environment(const struct snapshot *snapshot);
const char *snapshot_tag(const struct snapshot *snapshot); /* "<epoch>-<revision>", without quotes */

/*
 * Shared bytes, built once per revision; each call gives a reference, NULL when out of memory. Any thread.
 * _bundle: the whole bundle. _event: the same as an SSE event. _delta: SSE event of the change to
 * @revision, NULL too when it is too old. _notice: OFREP's refetchEvaluation event.
 */
struct http_blob *snapshot_bundle(struct snapshot *snapshot);
struct http_blob *snapshot_event(struct snapshot *snapshot);
struct http_blob *snapshot_delta(struct snapshot *snapshot, uint64_t revision);
struct http_blob *snapshot_notice(struct snapshot *snapshot);
