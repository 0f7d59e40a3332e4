/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots, views and their publication. */
#include "flagd/publish.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

static uint8_t secret_key[BUNDLE_SECRET_KEY_BYTES];

/* A publisher, and what it published last. */
struct world {
	struct view_cell *cell;
	struct publisher *publisher;
	uint64_t revision;
};

static void world_init(struct world *world, uint32_t history)
{
	*world = (struct world){ .cell = view_cell_new() };
	struct publisher_options options = {
		.cell = world->cell, .secret_key = secret_key, .history = history, .max_age_s = 60, .epoch = 3
	};
	world->publisher = publisher_new(&options);
	assert_non_null(world->cell);
	assert_non_null(world->publisher);
}

static void world_deinit(struct world *world)
{
	publisher_free(world->publisher);
	view_cell_free(world->cell);
}

/* Prepares revision @revision of @environment, whose flag `f` is @text. */
static enum status prepare_text(struct world *world, const char *environment, uint64_t revision,
                                const char *text, size_t length, struct publication *publication)
{
	static const uint8_t head[32] = { 9 };
	struct snapshot *current = publisher_find(world->publisher, environment);
	struct flag *flag = NULL;
	struct error err = ERROR_INIT;
	assert_int_equal(flag_load(text, length, &flag, &err), STATUS_OK);
	assert_null(flag->item.broken);
	struct ruleset_edit edit = { ITEM_FLAG, "f", &flag->item };
	struct ruleset *ruleset = NULL;
	assert_int_equal(
	        ruleset_new(current != NULL ? snapshot_ruleset(current) : NULL, &edit, 1, &ruleset, &err),
	        STATUS_OK);
	uint8_t digest[FLAG_DIGEST_BYTES];
	ruleset_digest(ruleset, digest);
	struct publication_entry entry = { .environment = environment,
		                           .ruleset = ruleset,
		                           .digest = digest,
		                           .edits = &edit,
		                           .edit_count = 1,
		                           .revision = revision,
		                           .now_ms = 1000,
		                           .audit_size = revision,
		                           .audit_head = head };
	enum status status = publication_add(publication, world->publisher, &entry, &err);
	if (status == STATUS_OK) {
		status = publication_prepare(publication, world->publisher, &err);
	}
	ruleset_unref(ruleset);
	item_unref(&flag->item);
	return status;
}

/* The same with a small flag of that version. */
static enum status prepare(struct world *world, const char *environment, uint64_t revision,
                           struct publication *publication)
{
	char text[256];
	int length = snprintf(
	        text, sizeof(text),
	        "{\"key\":\"f\",\"type\":\"boolean\",\"version\":\"%llu\",\"variants\":{\"on\":true},"
	        "\"enabled\":true,\"off_variant\":null,\"default\":{\"variant\":\"on\"}}",
	        (unsigned long long)revision);
	return prepare_text(world, environment, revision, text, (size_t)length, publication);
}

static void publish(struct world *world, const char *environment, uint64_t revision)
{
	struct publication publication = { 0 };
	assert_int_equal(prepare(world, environment, revision, &publication), STATUS_OK);
	publication_apply(&publication, world->publisher);
	publication_deinit(&publication);
}

static void expect_delta(struct snapshot *snapshot, uint64_t revision, bool is_there)
{
	struct http_blob *delta = snapshot_delta(snapshot, revision);
	if (is_there != (delta != NULL)) {
		fail_msg("revision %llu at %s", (unsigned long long)revision, snapshot_tag(snapshot));
	}
	if (delta != NULL) {
		char start[64];
		(void)snprintf(start, sizeof(start), "id: 3-%llu\nevent: delta\n",
		               (unsigned long long)revision);
		assert_memory_equal(delta->bytes, start, strlen(start));
		http_blob_unref(delta);
	}
}

static void streams_resume_from_what_is_kept(void **state)
{
	(void)state;
	struct world world;
	world_init(&world, 3);
	for (uint64_t revision = 1; revision <= 8; revision++) {
		publish(&world, "dev", revision);
		struct snapshot *snapshot = publisher_find(world.publisher, "dev");
		expect_delta(snapshot, 0, false);
		expect_delta(snapshot, 1, false); /* the first has nothing before it */
		for (uint64_t wanted = 2; wanted <= 9; wanted++) {
			expect_delta(snapshot, wanted, wanted <= revision && wanted + 3 > revision);
		}
		expect_delta(snapshot, UINT64_MAX, false);
	}
	/* A revision that does not follow: what was between is not known. */
	publish(&world, "dev", 11);
	for (uint64_t wanted = 1; wanted <= 12; wanted++) {
		expect_delta(publisher_find(world.publisher, "dev"), wanted, false);
	}
	world_deinit(&world);
}

/* One segment of a megabyte, again and again: what is kept for streams stays small. */
static void history_is_bounded_in_bytes(void **state)
{
	(void)state;
	enum { TEXT = 1000000, CHANGES = 40 };
	struct world world;
	world_init(&world, 256);
	char *text = malloc(TEXT + 256);
	assert_non_null(text);
	for (uint64_t revision = 1; revision <= CHANGES; revision++) {
		int length =
		        snprintf(text, TEXT + 256,
		                 "{\"key\":\"f\",\"type\":\"string\",\"version\":\"%llu\",\"variants\":{"
		                 "\"a\":\"%0*d\"},"
		                 "\"enabled\":true,\"off_variant\":null,\"default\":{\"variant\":\"a\"}}",
		                 (unsigned long long)revision, TEXT, 0);
		struct publication publication = { 0 };
		assert_int_equal(prepare_text(&world, "dev", revision, text, (size_t)length, &publication),
		                 STATUS_OK);
		publication_apply(&publication, world.publisher);
	}
	struct snapshot *snapshot = publisher_find(world.publisher, "dev");
	size_t kept = 0;
	for (uint64_t revision = 1; revision <= CHANGES; revision++) {
		struct http_blob *delta = snapshot_delta(snapshot, revision);
		kept += delta != NULL ? delta->length : 0;
		http_blob_unref(delta);
	}
	assert_in_range(kept, TEXT, SNAPSHOT_MAX_HISTORY_BYTES + 2 * TEXT);
	expect_delta(snapshot, CHANGES, true);
	free(text);
	world_deinit(&world);
}

static void a_history_of_one_keeps_the_newest(void **state)
{
	(void)state;
	struct world world;
	world_init(&world, 1);
	for (uint64_t revision = 1; revision <= 4; revision++) {
		publish(&world, "dev", revision);
		expect_delta(publisher_find(world.publisher, "dev"), revision, revision > 1);
		expect_delta(publisher_find(world.publisher, "dev"), revision - 1, false);
	}
	world_deinit(&world);
}

static void bytes_are_built_once_and_outlive_the_snapshot(void **state)
{
	(void)state;
	struct world world;
	world_init(&world, 4);
	publish(&world, "dev", 1);
	struct snapshot *snapshot = publisher_find(world.publisher, "dev");
	struct http_blob *bundle = snapshot_bundle(snapshot);
	struct http_blob *again = snapshot_bundle(snapshot);
	struct http_blob *event = snapshot_event(snapshot);
	struct http_blob *notice = snapshot_notice(snapshot);
	assert_non_null(bundle);
	assert_ptr_equal(bundle, again);
	publish(&world, "dev", 2);
	world_deinit(&world);
	assert_memory_equal(event->bytes, "id: 3-1\nevent: snapshot\ndata: ", 30);
	static const char etag[] = "\"etag\":\"3-1\"";
	assert_non_null(memmem(notice->bytes, notice->length, etag, sizeof(etag) - 1));
	assert_non_null(memmem(bundle->bytes, bundle->length, "\"version\":\"1\"", 13));
	http_blob_unref(bundle);
	http_blob_unref(again);
	http_blob_unref(event);
	http_blob_unref(notice);
}

static void a_publication_keeps_the_other_environments(void **state)
{
	(void)state;
	struct world world;
	world_init(&world, 4);
	static const char *const environments[] = { "prod", "dev", "staging" };
	for (size_t i = 0; i < 3; i++) {
		publish(&world, environments[i], 1);
	}
	publish(&world, "prod", 2);
	struct view_hold hold = { 0 };
	struct view *view = view_hold_refresh(&hold, world.cell);
	assert_int_equal(view_snapshot_count(view), 3);
	assert_string_equal(snapshot_environment(view_snapshot_at(view, 0)), "dev");
	assert_string_equal(snapshot_environment(view_snapshot_at(view, 2)), "staging");
	assert_string_equal(snapshot_tag(view_snapshot_find(view, "prod")), "3-2");
	assert_null(view_snapshot_find(view, "pro"));
	/* What is only prepared is seen by nobody. */
	struct publication publication = { 0 };
	assert_int_equal(prepare(&world, "dev", 2, &publication), STATUS_OK);
	assert_ptr_equal(view_hold_refresh(&hold, world.cell), view);
	publication_deinit(&publication);
	view_hold_release(&hold);
	world_deinit(&world);
}

struct reader {
	struct view_cell *cell;
	atomic_bool *is_done;
	uint64_t seen;
	bool went_back;
};

static void *read_views(void *argument)
{
	struct reader *reader = argument;
	struct view_hold hold = { 0 };
	while (!atomic_load(reader->is_done)) {
		struct view *view = view_hold_refresh(&hold, reader->cell);
		struct snapshot *snapshot = view_snapshot_find(view, "dev");
		uint64_t revision = snapshot_manifest(snapshot)->revision;
		reader->went_back |= revision < reader->seen;
		reader->seen = revision;
		http_blob_unref(snapshot_event(snapshot));
		http_blob_unref(snapshot_delta(snapshot, revision));
		http_blob_unref(snapshot_notice(snapshot));
	}
	(void)view_hold_refresh(&hold, reader->cell);
	reader->seen = snapshot_manifest(view_snapshot_find(hold.view, "dev"))->revision;
	view_hold_release(&hold);
	return NULL;
}

static void readers_never_see_less_than_before(void **state)
{
	(void)state;
	enum { READERS = 3, CHANGES = 300 };
	struct world world;
	world_init(&world, 8);
	publish(&world, "dev", 1);
	atomic_bool is_done = false;
	struct reader readers[READERS];
	pthread_t threads[READERS];
	for (size_t i = 0; i < READERS; i++) {
		readers[i] = (struct reader){ .cell = world.cell, .is_done = &is_done };
		assert_int_equal(pthread_create(&threads[i], NULL, read_views, &readers[i]), 0);
	}
	for (uint64_t revision = 2; revision <= CHANGES; revision++) {
		publish(&world, "dev", revision);
	}
	atomic_store(&is_done, true);
	for (size_t i = 0; i < READERS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(readers[i].seen, CHANGES);
		assert_false(readers[i].went_back);
	}
	world_deinit(&world);
}

static int keys_setup(void **state)
{
	(void)state;
	uint8_t public_key[BUNDLE_PUBLIC_KEY_BYTES];
	return sodium_init() < 0 ? -1 : crypto_sign_keypair(public_key, secret_key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams_resume_from_what_is_kept),
		cmocka_unit_test(history_is_bounded_in_bytes),
		cmocka_unit_test(a_history_of_one_keeps_the_newest),
		cmocka_unit_test(bytes_are_built_once_and_outlive_the_snapshot),
		cmocka_unit_test(a_publication_keeps_the_other_environments),
		cmocka_unit_test(readers_never_see_less_than_before),
	};
	return cmocka_run_group_tests(tests, keys_setup, NULL);
}
