/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/snapshot.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct snapshot {
	atomic_uint refs;
	struct manifest manifest;
	struct ruleset *ruleset;
	char tag[SNAPSHOT_TAG_SIZE];
	struct http_blob *head; /* the bundle's two signed lines */
	struct http_blob *notice;
	uint32_t history;     /* slots of deltas[] */
	uint32_t delta_count; /* the newest is that of this revision */

	pthread_mutex_t lock; /* protects the two below, which are built on first use */
	struct http_blob *bundle;
	struct http_blob *event;

	struct http_blob *deltas[]; /* by revision % history */
};

/* An SSE event whose data lines are the lines of @bundle. */
static struct http_blob *event_build(const char *tag, const char *event, const char *bundle, size_t length)
{
	struct buf out;
	buf_init(&out, 2 * BUNDLE_MAX_BYTES);
	buf_append_format(&out, "id: %s\nevent: %s\n", tag, event);
	for (size_t start = 0; start < length;) {
		const char *end = memchr(bundle + start, '\n', length - start);
		size_t line = end != NULL ? (size_t)(end - (bundle + start)) : length - start;
		buf_append_string(&out, "data: ");
		buf_append(&out, bundle + start, line);
		buf_append_char(&out, '\n');
		start += line + 1;
	}
	buf_append_char(&out, '\n');
	struct http_blob *blob = out.failed ? NULL : http_blob_new(out.data, out.length);
	buf_deinit(&out);
	return blob;
}

static struct http_blob *delta_build(const struct snapshot *snapshot, const struct ruleset_edit *edits,
                                     size_t count)
{
	struct buf out;
	buf_init(&out, BUNDLE_MAX_BYTES);
	buf_append(&out, snapshot->head->bytes, snapshot->head->length);
	/* Flags, then segments, then removals, each in the order of the edits: sorted by key. */
	for (int kind = ITEM_FLAG; kind <= ITEM_SEGMENT; kind++) {
		for (size_t i = 0; i < count; i++) {
			if (edits[i].kind == (enum item_kind)kind && edits[i].item != NULL) {
				bundle_write_item(edits[i].item, &out);
			}
		}
	}
	for (int kind = ITEM_FLAG; kind <= ITEM_SEGMENT; kind++) {
		for (size_t i = 0; i < count; i++) {
			if (edits[i].kind == (enum item_kind)kind && edits[i].item == NULL) {
				bundle_write_removal(edits[i].kind, edits[i].key, &out);
			}
		}
	}
	struct http_blob *blob =
	        out.failed ? NULL : event_build(snapshot->tag, "delta", out.data, out.length);
	buf_deinit(&out);
	return blob;
}

static struct http_blob *notice_build(const struct snapshot *snapshot)
{
	struct buf out;
	buf_init(&out, 512);
	buf_append_format(&out,
	                  "id: %s\nevent: message\ndata: {\"type\":\"refetchEvaluation\",\"etag\":\"%s\","
	                  "\"lastModified\":%" PRId64 "}\n\n",
	                  snapshot->tag, snapshot->tag, snapshot->manifest.issued_at_ms / 1000);
	struct http_blob *blob = out.failed ? NULL : http_blob_new(out.data, out.length);
	buf_deinit(&out);
	return blob;
}

static struct http_blob *head_build(const struct snapshot_options *options)
{
	struct buf out;
	buf_init(&out, 4096);
	manifest_write_signed(&options->manifest, options->secret_key, &out);
	struct http_blob *blob = out.failed ? NULL : http_blob_new(out.data, out.length);
	buf_deinit(&out);
	return blob;
}

static void history_copy(struct snapshot *snapshot, const struct snapshot *previous)
{
	uint32_t keep = previous->delta_count;
	if (keep > snapshot->history - 1) {
		keep = snapshot->history - 1;
	}
	size_t bytes = 0;
	for (uint32_t i = 0; i < keep; i++) {
		uint64_t revision = previous->manifest.revision - i;
		struct http_blob *delta = previous->deltas[revision % previous->history];
		bytes += delta->length;
		if (bytes > SNAPSHOT_MAX_HISTORY_BYTES) {
			keep = i;
			break;
		}
		snapshot->deltas[revision % snapshot->history] = http_blob_ref(delta);
	}
	snapshot->delta_count = keep;
}

enum status snapshot_new(const struct snapshot_options *options, const struct snapshot *previous,
                         const struct ruleset_edit *edits, size_t edit_count, struct snapshot **ret,
                         struct error *err)
{
	struct snapshot *snapshot =
	        calloc(1, sizeof(*snapshot) + options->history * sizeof(snapshot->deltas[0]));
	if (snapshot == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory while building a snapshot");
	}
	atomic_init(&snapshot->refs, 1);
	(void)pthread_mutex_init(&snapshot->lock, NULL);
	snapshot->manifest = options->manifest;
	snapshot->ruleset = ruleset_ref(options->ruleset);
	snapshot->history = options->history;
	(void)snprintf(snapshot->tag, sizeof(snapshot->tag), "%" PRIu64 "-%" PRIu64, options->manifest.epoch,
	               options->manifest.revision);
	snapshot->head = head_build(options);
	snapshot->notice = notice_build(snapshot);
	bool complete = snapshot->head != NULL && snapshot->notice != NULL;
	if (complete && previous != NULL) {
		history_copy(snapshot, previous);
		struct http_blob *delta = delta_build(snapshot, edits, edit_count);
		complete = delta != NULL;
		if (complete) {
			snapshot->deltas[snapshot->manifest.revision % snapshot->history] = delta;
			snapshot->delta_count++;
		}
	}
	if (!complete) {
		snapshot_unref(snapshot);
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory while building a snapshot");
	}
	*ret = snapshot;
	return STATUS_OK;
}

struct snapshot *snapshot_ref(struct snapshot *snapshot)
{
	atomic_fetch_add_explicit(&snapshot->refs, 1, memory_order_relaxed);
	return snapshot;
}

void snapshot_unref(struct snapshot *snapshot)
{
	if (snapshot == NULL || atomic_fetch_sub(&snapshot->refs, 1) != 1) {
		return;
	}
	ruleset_unref(snapshot->ruleset);
	http_blob_unref(snapshot->head);
	http_blob_unref(snapshot->notice);
	http_blob_unref(snapshot->bundle);
	http_blob_unref(snapshot->event);
	for (uint32_t i = 0; i < snapshot->history; i++) {
		http_blob_unref(snapshot->deltas[i]);
	}
	(void)pthread_mutex_destroy(&snapshot->lock);
	free(snapshot);
}

const struct manifest *snapshot_manifest(const struct snapshot *snapshot)
{
	return &snapshot->manifest;
}

const struct ruleset *snapshot_ruleset(const struct snapshot *snapshot)
{
	return snapshot->ruleset;
}

const char *snapshot_environment(const struct snapshot *snapshot)
{
	return snapshot->manifest.environment;
}

const char *snapshot_tag(const struct snapshot *snapshot)
{
	return snapshot->tag;
}

/* Under the lock. */
static void bundle_ensure(struct snapshot *snapshot)
{
	if (snapshot->bundle != NULL) {
		return;
	}
	struct buf out;
	buf_init(&out, BUNDLE_MAX_BYTES);
	buf_append(&out, snapshot->head->bytes, snapshot->head->length);
	bundle_write_ruleset(snapshot->ruleset, &out);
	snapshot->bundle = out.failed ? NULL : http_blob_new(out.data, out.length);
	buf_deinit(&out);
}

struct http_blob *snapshot_bundle(struct snapshot *snapshot)
{
	(void)pthread_mutex_lock(&snapshot->lock);
	bundle_ensure(snapshot);
	struct http_blob *blob = snapshot->bundle != NULL ? http_blob_ref(snapshot->bundle) : NULL;
	(void)pthread_mutex_unlock(&snapshot->lock);
	return blob;
}

struct http_blob *snapshot_event(struct snapshot *snapshot)
{
	(void)pthread_mutex_lock(&snapshot->lock);
	bundle_ensure(snapshot);
	if (snapshot->event == NULL && snapshot->bundle != NULL) {
		snapshot->event = event_build(snapshot->tag, "snapshot", snapshot->bundle->bytes,
		                              snapshot->bundle->length);
	}
	struct http_blob *blob = snapshot->event != NULL ? http_blob_ref(snapshot->event) : NULL;
	(void)pthread_mutex_unlock(&snapshot->lock);
	return blob;
}

struct http_blob *snapshot_delta(struct snapshot *snapshot, uint64_t revision)
{
	uint64_t newest = snapshot->manifest.revision;
	if (revision > newest || newest - revision >= snapshot->delta_count) {
		return NULL;
	}
	return http_blob_ref(snapshot->deltas[revision % snapshot->history]);
}

struct http_blob *snapshot_notice(struct snapshot *snapshot)
{
	return http_blob_ref(snapshot->notice);
}
