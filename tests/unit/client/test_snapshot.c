/* SPDX-License-Identifier: Apache-2.0 */
/* Suite `race`: readers while snapshots are published; meant to run under ThreadSanitizer, too. */
#include "client/snapshot.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "engine/eval.h"
#include "tests/unit/client/bundles.h"

static struct issuer issuer;

static int group_setup(void **state)
{
	(void)state;
	issuer_init(&issuer, "prod");
	return 0;
}

/* Odd revisions have the flag on, even ones off. */
static struct snapshot *snapshot_make(uint64_t revision)
{
	struct snapshot *snapshot = NULL;
	struct error err = ERROR_INIT;
	struct bundle bundle;
	struct ruleset *ruleset = revision % 2 == 1 ? FIXTURE_RULESET(BOOLEAN_FLAG("a", "1", "on"))
	                                            : FIXTURE_RULESET(BOOLEAN_FLAG("a", "1", "off"));
	struct buf text = issuer_snapshot(&issuer, 1, revision, ruleset);
	fixture_ok(bundle_open(text.data, text.length, issuer.public_key, "prod", &bundle, &err), &err);
	fixture_ok(snapshot_new(&bundle, text.data, ruleset, HALYARD_SOURCE_DAEMON, &snapshot, &err), &err);
	buf_deinit(&text);
	return snapshot;
}

static void test_publish(void **state)
{
	(void)state;
	static struct snapshot_store store; /* on the heap-backed stacks of ASan 12 it would be misaligned */
	snapshot_store_init(&store);
	assert_null(snapshot_read_begin(&store));
	snapshot_read_end(&store);
	snapshot_publish(&store, snapshot_make(1));
	assert_int_equal(snapshot_retired_count(&store), 0);
	snapshot_publish(&store, snapshot_make(2));
	snapshot_publish(&store, snapshot_make(3));
	assert_int_equal(snapshot_retired_count(&store), 2);
	/* Nothing in the head gets lost: it is the signed text. */
	const struct snapshot *current = snapshot_read_begin(&store);
	assert_int_equal(current->manifest.revision, 3);
	assert_int_equal(strlen(current->head), current->head_length);
	assert_int_equal(current->head[current->head_length - 1], '\n');
	snapshot_read_end(&store);
	snapshot_reclaim(&store);
	assert_int_equal(snapshot_retired_count(&store), 0);
	snapshot_reclaim(&store);
	snapshot_publish(&store, snapshot_make(4));
	snapshot_store_deinit(&store); /* with one retired */
	snapshot_free(NULL);
}

struct race {
	struct snapshot_store store;
	atomic_bool is_over;
	atomic_uint ready;
};

static void *reader_main(void *user)
{
	struct race *race = user;
	static const struct context context;
	uint64_t last = 0;
	uint64_t wrong = 0;
	atomic_fetch_add(&race->ready, 1);
	while (!atomic_load_explicit(&race->is_over, memory_order_relaxed)) {
		struct eval_result result;
		const struct snapshot *snapshot = snapshot_read_begin(&race->store);
		eval_flag(snapshot->ruleset, "a", 1, &context, &result);
		uint64_t revision = snapshot->manifest.revision;
		/* The value belongs to its revision, and no reader sees an older one than before. */
		wrong += result.variant == NULL || result.variant->value.boolean != (revision % 2 == 1);
		wrong += revision < last;
		last = revision;
		snapshot_read_end(&race->store);
	}
	return (void *)(uintptr_t)wrong;
}

static void *reclaimer_main(void *user)
{
	struct race *race = user;
	while (!atomic_load(&race->is_over)) {
		snapshot_reclaim(&race->store);
		sched_yield();
	}
	return NULL;
}

#define RACE_READERS   3
#define RACE_PUBLISHED 1000

static void test_race(void **state)
{
	(void)state;
	static struct race race;
	pthread_t readers[RACE_READERS];
	pthread_t reclaimer;
	snapshot_store_init(&race.store);
	snapshot_publish(&race.store, snapshot_make(1));
	for (int i = 0; i < RACE_READERS; i++) {
		assert_int_equal(pthread_create(&readers[i], NULL, reader_main, &race), 0);
	}
	assert_int_equal(pthread_create(&reclaimer, NULL, reclaimer_main, &race), 0);
	while (atomic_load(&race.ready) < RACE_READERS) {
		sched_yield();
	}
	for (uint64_t revision = 2; revision <= RACE_PUBLISHED; revision++) {
		snapshot_publish(&race.store, snapshot_make(revision));
	}
	atomic_store(&race.is_over, true);
	for (int i = 0; i < RACE_READERS; i++) {
		void *wrong = NULL;
		assert_int_equal(pthread_join(readers[i], &wrong), 0);
		assert_null(wrong);
	}
	assert_int_equal(pthread_join(reclaimer, NULL), 0);
	snapshot_store_deinit(&race.store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_publish),
		cmocka_unit_test(test_race),
	};
	return cmocka_run_group_tests(tests, group_setup, NULL);
}
