/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "client/client.h"

/* The bundle of a cache file, when it holds what its head says. */
static enum status cached_accept(struct intake *intake, const struct cache_file *file, struct snapshot **ret,
                                 struct error *err)
{
	/* Taken as a candidate only: the key becomes the trusted one when the bundle proves to be signed with it. */
	if (!intake->has_key) {
		memcpy(intake->candidates[0], file->head.key, sizeof(file->head.key));
		intake->candidate_count = 1;
	}
	const struct intake_offer offer = {
		.kind = INTAKE_SNAPSHOT,
		.source = HALYARD_SOURCE_CACHE,
		.text = file->bundle,
		.length = file->length,
		.allow_older = true,
	};
	return intake_accept(intake, &offer, ret, err);
}

/* One generation; NULL when it cannot be used. */
static struct snapshot *cache_open(struct halyard_client *client, enum cache_generation generation)
{
	struct intake *intake = &client->worker.intake;
	struct cache_file file = { 0 };
	struct error err = ERROR_INIT;
	struct snapshot *snapshot = NULL;
	bool has_head = false;
	enum status status = cache_load(&client->cache, generation, &file, &has_head, &err);
	if (has_head && intake->has_key && memcmp(intake->key, file.head.key, sizeof(intake->key)) != 0) {
		has_head = false;
		if (status == STATUS_OK) {
			status = error_fail(&err, STATUS_UNTRUSTED, "It was written for another key");
		}
	}
	if (status == STATUS_OK) {
		status = cached_accept(intake, &file, &snapshot, &err);
	}
	/* A head that is whole says how far this client was, even when the bundle behind it is torn. */
	if (has_head) {
		intake_require(intake, file.head.epoch, file.head.revision, file.head.key);
	}
	cache_file_deinit(&file);
	if (status != STATUS_OK && status != STATUS_NOT_FOUND) {
		client_log(client, HALYARD_LOG_WARN, "The %s cache file is not used: %s",
		           generation == CACHE_CURRENT ? "current" : "previous", err.message);
	}
	return snapshot;
}

static struct snapshot *bootstrap_open(struct halyard_client *client, const char *path)
{
	struct intake *intake = &client->worker.intake;
	struct error err = ERROR_INIT;
	struct snapshot *snapshot = NULL;
	char *text = NULL;
	size_t length = 0;
	enum status status = file_read(path, BUNDLE_MAX_BYTES, &text, &length, &err);
	if (status == STATUS_OK) {
		const struct intake_offer offer = {
			.kind = INTAKE_SNAPSHOT,
			.source = HALYARD_SOURCE_BOOTSTRAP,
			.text = text,
			.length = length,
		};
		status = intake_accept(intake, &offer, &snapshot, &err);
	}
	free(text);
	if (status != STATUS_OK) {
		client_log(client, status == STATUS_OLDER ? HALYARD_LOG_INFO : HALYARD_LOG_WARN,
		           "The bootstrap file is not used: %s", err.message);
	}
	return snapshot;
}

void client_load(struct halyard_client *client, const char *bootstrap_file)
{
	struct snapshot *snapshot = NULL;
	if (client->settings.has_cache) {
		snapshot = cache_open(client, CACHE_CURRENT);
		if (snapshot == NULL) {
			snapshot = cache_open(client, CACHE_PREVIOUS);
		}
	}
	/* One that came with a newer release of the program than the cache is the better start. */
	struct snapshot *bootstrap = bootstrap_file != NULL ? bootstrap_open(client, bootstrap_file) : NULL;
	if (bootstrap != NULL && snapshot != NULL &&
	    manifest_compare(&bootstrap->manifest, &snapshot->manifest) <= 0) {
		snapshot_free(bootstrap);
		bootstrap = NULL;
	}
	if (bootstrap != NULL) {
		snapshot_free(snapshot);
		snapshot = bootstrap;
	}
	if (snapshot != NULL) {
		snapshot_publish(&client->store, snapshot);
	}
	client->worker.intake.candidate_count = 0;
}
