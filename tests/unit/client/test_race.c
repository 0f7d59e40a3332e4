/* SPDX-License-Identifier: Apache-2.0 */
/* Suite `race`: a whole client, read from several threads while a thousand changes come in; and all calls at once. */
#include "tests/unit/client/client_fixture.h"

#define READERS 3
#define CHANGES 1000

static struct speaker speaker;

struct shared {
	struct halyard_client *client;
	atomic_bool is_over;
	atomic_uint_fast64_t told; /* highest revision that a callback told */
	atomic_int wrong;
};

/* The flag is on in every even revision; inside a guard all calls see one revision, and none goes back. */
static void *reader_main(void *user)
{
	struct shared *shared = user;
	uint64_t last = 0;
	while (!atomic_load(&shared->is_over)) {
		struct halyard_detail first;
		struct halyard_detail second;
		halyard_read_begin(shared->client);
		bool is_on = halyard_bool(shared->client, "alerts", NULL, false, &first);
		(void)halyard_read_string(shared->client, "other", NULL, NULL, &second);
		halyard_read_end(shared->client);
		bool is_wrong = first.revision != second.revision || first.revision < last ||
		                is_on != (first.revision % 2 == 0);
		last = first.revision;
		(void)halyard_bool(shared->client, "alerts", NULL, false, &first);
		is_wrong = is_wrong || first.revision < last || first.error != HALYARD_ERROR_NONE;
		atomic_fetch_add(&shared->wrong, is_wrong);
	}
	return NULL;
}

/* Everything else that may be called from any thread. */
static void *caller_main(void *user)
{
	struct shared *shared = user;
	char text[4096];
	while (!atomic_load(&shared->is_over)) {
		struct halyard_detail detail;
		(void)halyard_bool(shared->client, "other", NULL, false, &detail);
		halyard_count(shared->client, "other", &detail);
		halyard_track(shared->client, "alerts", &detail, false, 1);
		(void)halyard_explain(shared->client, "alerts", NULL, text, sizeof(text));
		struct halyard_status status = status_of(shared->client);
		atomic_fetch_add(&shared->wrong, status.refused != 0);
		(void)halyard_wait_ready(shared->client, 0);
	}
	return NULL;
}

static void on_change(void *user, const struct halyard_change *change)
{
	struct shared *shared = user;
	/* One after the other, none twice, and none before it is in force. */
	atomic_fetch_add(&shared->wrong, change->revision <= atomic_load(&shared->told));
	atomic_fetch_add(&shared->wrong, status_of(shared->client).revision < change->revision);
	atomic_store(&shared->told, change->revision);
}

static void *subscriber_main(void *user)
{
	struct shared *shared = user;
	while (!atomic_load(&shared->is_over)) {
		static atomic_int calls;
		struct shared own = { .client = shared->client };
		uint64_t id = halyard_subscribe(shared->client, on_change, &own);
		sched_yield();
		halyard_unsubscribe(shared->client, id); /* own is gone after this */
		atomic_fetch_add(&calls, 1);
		atomic_fetch_add(&shared->wrong, atomic_load(&own.wrong));
	}
	return NULL;
}

static void test_race(void **state)
{
	(void)state;
	static struct shared shared;
	pthread_t readers[READERS];
	pthread_t caller;
	pthread_t subscriber;
	cache_folder_make();
	speaker_start(&speaker, FIXTURE_RULESET(ALERTS_OFF, OTHER_ON));
	struct halyard_options options = options_for(&speaker);
	options.cache_dir = cache_folder;
	options.telemetry_interval_ms = 5;
	options.silence_timeout_ms = 60000;
	shared.client = client_ready(&options);
	assert_true(halyard_subscribe(shared.client, on_change, &shared) != 0);
	for (int i = 0; i < READERS; i++) {
		assert_int_equal(pthread_create(&readers[i], NULL, reader_main, &shared), 0);
	}
	assert_int_equal(pthread_create(&caller, NULL, caller_main, &shared), 0);
	assert_int_equal(pthread_create(&subscriber, NULL, subscriber_main, &shared), 0);
	for (uint64_t revision = 2; revision <= CHANGES; revision++) {
		speaker_change(&speaker, revision % 2 == 0 ? ALERTS_ON : ALERTS_OFF, true);
	}
	int64_t until_ms = clock_monotonic_ms(&clock_system) + 60000;
	while (atomic_load(&shared.told) < CHANGES && clock_monotonic_ms(&clock_system) < until_ms) {
		sched_yield();
	}
	assert_int_equal(atomic_load(&shared.told), CHANGES);
	assert_int_equal(status_of(shared.client).updates, CHANGES);
	atomic_store(&shared.is_over, true);
	for (int i = 0; i < READERS; i++) {
		assert_int_equal(pthread_join(readers[i], NULL), 0);
	}
	assert_int_equal(pthread_join(caller, NULL), 0);
	assert_int_equal(pthread_join(subscriber, NULL), 0);
	assert_int_equal(atomic_load(&shared.wrong), 0);
	halyard_close(shared.client);
	speaker_stop(&speaker);
	cache_folder_remove();
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_race) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
