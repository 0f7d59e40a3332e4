/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/sync.h"

/* A world with a clock and dice of its own. */
struct world {
	struct sync sync;
	int64_t now_ms;
	uint32_t dice; /* per mille of the span that the next throws give */
	uint32_t last_end;
};

static uint32_t throw_dice(void *user, uint32_t end)
{
	struct world *world = user;
	world->last_end = end;
	return (uint32_t)((uint64_t)(end - 1) * world->dice / 1000);
}

static const struct sync_options usual = { .poll_interval_ms = 30000,
	                                   .connect_timeout_ms = 5000,
	                                   .silence_timeout_ms = 45000 };

static void world_init(struct world *world, const struct sync_options *options)
{
	*world = (struct world){ .now_ms = 1000000, .dice = 1000 };
	struct sync_options own = *options;
	own.random = throw_dice;
	own.random_user = world;
	sync_init(&world->sync, &own);
}

static struct sync_action next(struct world *world)
{
	struct sync_action action;
	sync_next(&world->sync, world->now_ms, &action);
	return action;
}

static struct sync_action expect_start(struct world *world, enum sync_request request)
{
	struct sync_action action = next(world);
	assert_int_equal(action.type, SYNC_START);
	assert_int_equal(action.request, request);
	return action;
}

/* Nothing to do until @after_ms from now; then it is that time. */
static void expect_wait(struct world *world, int64_t after_ms)
{
	struct sync_action action = next(world);
	assert_int_equal(action.type, SYNC_WAIT);
	assert_int_equal(action.until_ms - world->now_ms, after_ms);
	world->now_ms += after_ms - 1;
	assert_int_equal(next(world).type, SYNC_WAIT);
	world->now_ms++;
}

static void expect_abort(struct world *world)
{
	assert_int_equal(next(world).type, SYNC_ABORT);
}

static void answer(struct world *world, int http_status)
{
	sync_on_response(&world->sync, world->now_ms, http_status, true, 0);
}

/* Begins a stream that carries the first snapshot. */
static void stream_up(struct world *world)
{
	(void)expect_start(world, SYNC_REQUEST_STREAM);
	answer(world, 200);
	sync_on_bytes(&world->sync, world->now_ms);
	sync_on_result(&world->sync, world->now_ms, STATUS_OK);
	assert_int_equal(world->sync.state, HALYARD_STATE_STREAMING);
}

static void test_stream(void **state)
{
	(void)state;
	struct world world;
	world_init(&world, &usual);
	assert_int_equal(world.sync.state, HALYARD_STATE_STARTING);
	struct sync_action action = expect_start(&world, SYNC_REQUEST_STREAM);
	assert_false(action.resume);
	answer(&world, 200);
	sync_on_bytes(&world.sync, world.now_ms);
	/* A comment before the first snapshot says nothing about what this client holds. */
	sync_on_comment(&world.sync, world.now_ms);
	assert_int_equal(world.sync.state, HALYARD_STATE_STARTING);
	assert_false(world.sync.is_confirmed);
	sync_on_result(&world.sync, world.now_ms, STATUS_OK);
	assert_int_equal(world.sync.state, HALYARD_STATE_STREAMING);
	assert_true(world.sync.is_confirmed);
	assert_int_equal(world.sync.confirmed_ms, world.now_ms);
	world.now_ms += 15000;
	sync_on_bytes(&world.sync, world.now_ms);
	assert_int_equal(world.sync.confirmed_ms, world.now_ms - 15000);
	sync_on_comment(&world.sync, world.now_ms);
	assert_int_equal(world.sync.confirmed_ms, world.now_ms);
	/* The next stream resumes. */
	sync_on_end(&world.sync, world.now_ms, SYNC_END_CLOSED);
	assert_int_equal(world.sync.state, HALYARD_STATE_DISCONNECTED);
	expect_wait(&world, SYNC_BACKOFF_FIRST_MS);
	assert_true(expect_start(&world, SYNC_REQUEST_STREAM).resume);
	answer(&world, 200);
	sync_on_bytes(&world.sync, world.now_ms);
	sync_on_comment(&world.sync, world.now_ms);
	assert_int_equal(world.sync.state, HALYARD_STATE_STREAMING);
}

static void test_silence(void **state)
{
	(void)state;
	struct world world;
	world_init(&world, &usual);
	stream_up(&world);
	for (int i = 0; i < 10; i++) {
		struct sync_action action = next(&world);
		assert_int_equal(action.type, SYNC_WAIT);
		assert_int_equal(action.until_ms, world.now_ms + 45000);
		world.now_ms += 44999;
		sync_on_bytes(&world.sync, world.now_ms);
		sync_on_comment(&world.sync, world.now_ms);
	}
	world.now_ms += 45000;
	struct sync_action action = next(&world);
	assert_int_equal(action.type, SYNC_ABORT);
	assert_string_equal(action.reason, "The daemon fell silent");
	/* It lived for long: the backoff begins at the beginning. */
	expect_wait(&world, SYNC_BACKOFF_FIRST_MS);
	(void)expect_start(&world, SYNC_REQUEST_STREAM);
}

/* Bytes that never become a message keep a stream only for ten minutes. */
static void test_drip(void **state)
{
	(void)state;
	struct world world;
	world_init(&world, &usual);
	stream_up(&world);
	int64_t start_ms = world.now_ms;
	struct sync_action action = next(&world);
	while (action.type == SYNC_WAIT) {
		world.now_ms += 40000;
		sync_on_bytes(&world.sync, world.now_ms);
		action = next(&world);
	}
	assert_int_equal(action.type, SYNC_ABORT);
	assert_non_null(action.reason);
	assert_in_range(world.now_ms - start_ms, SYNC_MESSAGE_TIMEOUT_MS, SYNC_MESSAGE_TIMEOUT_MS + 40000);
	assert_int_equal(world.sync.confirmed_ms, start_ms);
}

static void test_backoff(void **state)
{
	(void)state;
	struct world world;
	world_init(&world, &usual);
	int64_t expected_ms = SYNC_BACKOFF_FIRST_MS;
	for (int i = 0; i < 200; i++) {
		(void)expect_start(&world, SYNC_REQUEST_STREAM);
		sync_on_end(&world.sync, world.now_ms, SYNC_END_UNREACHABLE);
		assert_int_equal(world.sync.state, HALYARD_STATE_DISCONNECTED);
		assert_int_equal(world.last_end, expected_ms + 1); /* full jitter: [0, expected] */
		expect_wait(&world, expected_ms);
		expected_ms = expected_ms * 2 < SYNC_BACKOFF_MAX_MS ? expected_ms * 2 : SYNC_BACKOFF_MAX_MS;
	}
	/* The counter does not run over. */
	world.sync.attempt = UINT32_MAX;
	(void)expect_start(&world, SYNC_REQUEST_STREAM);
	sync_on_end(&world.sync, world.now_ms, SYNC_END_UNREACHABLE);
	assert_int_equal(world.sync.attempt, UINT32_MAX);
	expect_wait(&world, SYNC_BACKOFF_MAX_MS);
	/* No luck is needed for a short wait. */
	world.dice = 0;
	(void)expect_start(&world, SYNC_REQUEST_STREAM);
	sync_on_end(&world.sync, world.now_ms, SYNC_END_UNREACHABLE);
	(void)expect_start(&world, SYNC_REQUEST_STREAM);
}

/* While nobody listens, asking is cheap for both sides: the cap is lower, so that a daemon that is back is found. */
static void test_refused(void **state)
{
	(void)state;
	struct world world;
	world_init(&world, &usual);
	for (int i = 0; i < 20; i++) {
		(void)expect_start(&world, SYNC_REQUEST_STREAM);
		sync_on_end(&world.sync, world.now_ms, SYNC_END_REFUSED);
		world.now_ms = next(&world).until_ms;
	}
	(void)expect_start(&world, SYNC_REQUEST_STREAM);
	sync_on_end(&world.sync, world.now_ms, SYNC_END_REFUSED);
	expect_wait(&world, SYNC_REFUSED_MAX_MS);
}

static void test_steady(void **state)
{
	(void)state;
	struct world world;
	world_init(&world, &usual);
	/* Streams that are cut young count as failures, whatever they carried. */
	for (int i = 0; i < 6; i++) {
		stream_up(&world);
		world.now_ms += SYNC_STEADY_MS - 1;
		sync_on_end(&world.sync, world.now_ms, SYNC_END_CLOSED);
		expect_wait(&world, SYNC_BACKOFF_FIRST_MS << i);
	}
	stream_up(&world);
	for (int64_t lived_ms = 0; lived_ms < SYNC_STEADY_MS; lived_ms += 15000) {
		world.now_ms += 15000;
		sync_on_bytes(&world.sync, world.now_ms);
		sync_on_comment(&world.sync, world.now_ms);
	}
	sync_on_end(&world.sync, world.now_ms, SYNC_END_CLOSED);
	expect_wait(&world, SYNC_BACKOFF_FIRST_MS);
}

static void test_denied(void **state)
{
	(void)state;
	struct world world;
	for (int http_status = 401; http_status <= 403; http_status += 2) {
		world_init(&world, &usual);
		world.dice = 0;
		for (int i = 0; i < 5; i++) {
			(void)expect_start(&world, SYNC_REQUEST_STREAM);
			answer(&world, http_status);
			assert_true(world.sync.is_denied);
			expect_abort(&world);
			expect_wait(&world, SYNC_DENIED_MS);
		}
		stream_up(&world);
		assert_false(world.sync.is_denied);
	}
}

static void test_retry_after(void **state)
{
	(void)state;
	struct world world;
	const struct {
		int http_status;
		int64_t retry_after_ms, expected_ms;
	} cases[] = {
		{ 503, 7000, 7000 },
		{ 429, 7000, 7000 },
		{ 503, 0, 0 },
		{ 500, 7000, 0 },
		{ 503, INT64_MAX, SYNC_RETRY_AFTER_MAX_MS },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		world_init(&world, &usual);
		world.dice = 0;
		(void)expect_start(&world, SYNC_REQUEST_STREAM);
		sync_on_response(&world.sync, world.now_ms, cases[i].http_status, true,
		                 cases[i].retry_after_ms);
		expect_abort(&world);
		if (cases[i].expected_ms > 0) {
			expect_wait(&world, cases[i].expected_ms);
		}
		(void)expect_start(&world, SYNC_REQUEST_STREAM);
	}
}

/* A daemon that has no streams, a proxy that holds them back: polling, and a stream now and then. */
static void test_barren_streams(void **state)
{
	(void)state;
	struct world world;
	world_init(&world, &usual);
	world.dice = 500;
	(void)expect_start(&world, SYNC_REQUEST_STREAM);
	answer(&world, 404);
	expect_abort(&world);
	assert_int_equal(world.sync.state, HALYARD_STATE_DISCONNECTED);
	int64_t streams_ms[8] = { world.now_ms };
	size_t streams = 1;
	size_t polls = 0;
	while (streams < 8) {
		struct sync_action action = next(&world);
		if (action.type == SYNC_WAIT) {
			world.now_ms = action.until_ms;
			continue;
		}
		assert_int_equal(action.type, SYNC_START);
		if (action.request == SYNC_REQUEST_STREAM) {
			/* This one is answered, and silent. */
			streams_ms[streams++] = world.now_ms;
			answer(&world, 200);
			world.now_ms = next(&world).until_ms;
			expect_abort(&world);
		} else {
			assert_int_equal(action.request, SYNC_REQUEST_SNAPSHOT);
			assert_int_equal(action.resume, polls > 0);
			answer(&world, polls > 0 ? 304 : 200);
			if (polls == 0) {
				sync_on_result(&world.sync, world.now_ms, STATUS_OK);
			}
			polls++;
		}
		/* A stream that fails does not make a client that polls well a disconnected one. */
		assert_int_equal(world.sync.state, HALYARD_STATE_POLLING);
		assert_true(world.now_ms - world.sync.confirmed_ms < 60000);
	}
	assert_in_range(streams_ms[2] - streams_ms[1], 60000, 120000);
	assert_in_range(streams_ms[7] - streams_ms[6], SYNC_STREAM_PAUSE_MS, SYNC_STREAM_PAUSE_MS + 60000);
	assert_true(polls > streams);
	/* One that carries again is kept, and the others are forgotten. */
	struct sync_action action = next(&world);
	while (action.type != SYNC_START || action.request != SYNC_REQUEST_STREAM) {
		if (action.type == SYNC_START) {
			answer(&world, 304);
		}
		world.now_ms = action.until_ms;
		action = next(&world);
	}
	answer(&world, 200);
	sync_on_bytes(&world.sync, world.now_ms);
	sync_on_comment(&world.sync, world.now_ms);
	assert_int_equal(world.sync.state, HALYARD_STATE_STREAMING);
	sync_on_end(&world.sync, world.now_ms, SYNC_END_CLOSED);
	world.now_ms = next(&world).until_ms;
	(void)expect_start(&world, SYNC_REQUEST_STREAM);
}

/* A daemon that restarts answers 503 for a moment: that says nothing about streams. */
static void test_unwilling(void **state)
{
	(void)state;
	struct world world;
	const int answers[] = { 401, 403, 429, 500, 502, 503 };
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		world_init(&world, &usual);
		(void)expect_start(&world, SYNC_REQUEST_STREAM);
		answer(&world, answers[i]);
		expect_abort(&world);
		world.now_ms = next(&world).until_ms;
		(void)expect_start(&world, SYNC_REQUEST_STREAM);
	}
	/* And so does an answer of another type: not a daemon at all. */
	world_init(&world, &usual);
	(void)expect_start(&world, SYNC_REQUEST_STREAM);
	sync_on_response(&world.sync, world.now_ms, 200, false, 0);
	expect_abort(&world);
	world.now_ms = next(&world).until_ms;
	(void)expect_start(&world, SYNC_REQUEST_SNAPSHOT);
}

static void test_poll_only(void **state)
{
	(void)state;
	struct world world;
	struct sync_options options = usual;
	options.disable_streaming = true;
	world_init(&world, &options);
	world.dice = 0;
	(void)expect_start(&world, SYNC_REQUEST_SNAPSHOT);
	answer(&world, 200);
	sync_on_bytes(&world.sync, world.now_ms);
	sync_on_result(&world.sync, world.now_ms, STATUS_OK);
	assert_int_equal(world.sync.state, HALYARD_STATE_POLLING);
	expect_wait(&world, 27000);
	world.dice = 1000;
	assert_true(expect_start(&world, SYNC_REQUEST_SNAPSHOT).resume);
	answer(&world, 304);
	assert_int_equal(world.sync.confirmed_ms, world.now_ms);
	expect_wait(&world, 33000);
	/* A failure backs off from the beginning; a 304 that nobody asked for is no answer. */
	(void)expect_start(&world, SYNC_REQUEST_SNAPSHOT);
	sync_on_end(&world.sync, world.now_ms, SYNC_END_CLOSED);
	assert_int_equal(world.sync.state, HALYARD_STATE_DISCONNECTED);
	expect_wait(&world, SYNC_BACKOFF_FIRST_MS);
	(void)expect_start(&world, SYNC_REQUEST_SNAPSHOT);
	world.sync.has_base = false;
	answer(&world, 304);
	expect_abort(&world);
}

static void test_slow_answers(void **state)
{
	(void)state;
	struct world world;
	struct sync_options options = usual;
	options.disable_streaming = true;
	world_init(&world, &options);
	(void)expect_start(&world, SYNC_REQUEST_SNAPSHOT);
	expect_wait(&world, 5000 + SYNC_ANSWER_TIMEOUT_MS);
	expect_abort(&world);
	world.now_ms = next(&world).until_ms;
	/* A byte every now and then is not enough. */
	(void)expect_start(&world, SYNC_REQUEST_SNAPSHOT);
	answer(&world, 200);
	int64_t start_ms = world.now_ms;
	while (next(&world).type == SYNC_WAIT) {
		world.now_ms += 10000;
		sync_on_bytes(&world.sync, world.now_ms);
	}
	assert_int_equal(world.now_ms - start_ms, SYNC_REQUEST_TIMEOUT_MS);
}

static void test_results(void **state)
{
	(void)state;
	struct world world;
	const enum status failures[] = { STATUS_CORRUPT,   STATUS_CONFLICT,  STATUS_OLDER,
		                         STATUS_UNTRUSTED, STATUS_FORBIDDEN, STATUS_MALFORMED,
		                         STATUS_NO_MEMORY };
	for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		world_init(&world, &usual);
		stream_up(&world);
		int64_t confirmed_ms = world.now_ms;
		world.now_ms += 1000;
		sync_on_result(&world.sync, world.now_ms, failures[i]);
		/* What else is in the same bytes counts for nothing. */
		sync_on_comment(&world.sync, world.now_ms);
		sync_on_result(&world.sync, world.now_ms, STATUS_OK);
		struct sync_action action = next(&world);
		assert_int_equal(action.type, SYNC_ABORT);
		assert_null(action.reason);
		assert_int_equal(world.sync.confirmed_ms, confirmed_ms);
		expect_wait(&world, SYNC_BACKOFF_FIRST_MS);
		/* A base that deltas do not fit is not resumed from. It is a stream again: this one came through. */
		bool is_base_lost = failures[i] == STATUS_CORRUPT || failures[i] == STATUS_CONFLICT;
		assert_int_equal(expect_start(&world, SYNC_REQUEST_STREAM).resume, !is_base_lost);
	}
}

static void test_keys(void **state)
{
	(void)state;
	struct world world;
	struct sync_options options = usual;
	options.needs_keys = true;
	options.has_base = true;
	world_init(&world, &options);
	assert_false(expect_start(&world, SYNC_REQUEST_KEYS).resume);
	answer(&world, 200);
	sync_on_result(&world.sync, world.now_ms, STATUS_MALFORMED);
	expect_abort(&world);
	expect_wait(&world, SYNC_BACKOFF_FIRST_MS);
	(void)expect_start(&world, SYNC_REQUEST_KEYS);
	answer(&world, 200);
	sync_on_result(&world.sync, world.now_ms, STATUS_OK);
	assert_false(world.sync.is_confirmed);
	assert_true(expect_start(&world, SYNC_REQUEST_STREAM).resume);
	/* The daemon changed its key between the two answers. */
	sync_require_keys(&world.sync);
	sync_on_end(&world.sync, world.now_ms, SYNC_END_CLOSED);
	world.now_ms = next(&world).until_ms;
	(void)expect_start(&world, SYNC_REQUEST_KEYS);
}

/* Events that come late, after a request is over, change nothing. */
static void test_late_events(void **state)
{
	(void)state;
	struct world world;
	world_init(&world, &usual);
	stream_up(&world);
	sync_on_end(&world.sync, world.now_ms, SYNC_END_CLOSED);
	const struct sync before = world.sync;
	world.now_ms += 10;
	sync_on_end(&world.sync, world.now_ms, SYNC_END_REFUSED);
	sync_on_comment(&world.sync, world.now_ms);
	sync_on_result(&world.sync, world.now_ms, STATUS_OK);
	sync_on_response(&world.sync, world.now_ms, 401, true, 0);
	assert_int_equal(world.sync.confirmed_ms, before.confirmed_ms);
	assert_int_equal(world.sync.next_ms, before.next_ms);
	assert_int_equal(world.sync.state, HALYARD_STATE_DISCONNECTED);
	assert_false(world.sync.is_denied);
}

/* Whatever happens in whatever order, it never waits for ever and never starts two requests at once. */
static void test_random_events(void **state)
{
	(void)state;
	struct world world;
	uint32_t seed = 12345;
	world_init(&world, &usual);
	for (int i = 0; i < 200000; i++) {
		seed = seed * 1103515245 + 12345;
		uint32_t event = seed >> 16;
		world.dice = event % 1001;
		world.now_ms += event % 7 == 0 ? event % 50000 : event % 20;
		bool was_active = world.sync.active != SYNC_REQUEST_NONE;
		const int answers[] = { 200, 304, 401, 404, 429, 500, 503 };
		switch (event % 6) {
		case 0:
			sync_on_response(&world.sync, world.now_ms, answers[event % 7], event % 3 != 0,
			                 event);
			break;
		case 1:
			sync_on_bytes(&world.sync, world.now_ms);
			break;
		case 2:
			sync_on_comment(&world.sync, world.now_ms);
			break;
		case 3:
			sync_on_result(&world.sync, world.now_ms, (enum status)(event % STATUS_COUNT));
			break;
		case 4:
			sync_on_end(&world.sync, world.now_ms, (enum sync_end)(event % 3));
			break;
		default:
			break;
		}
		was_active = was_active && world.sync.active != SYNC_REQUEST_NONE;
		struct sync_action action = next(&world);
		assert_false(was_active && action.type == SYNC_START);
		if (action.type == SYNC_WAIT) {
			assert_in_range(action.until_ms - world.now_ms, 1,
			                SYNC_RETRY_AFTER_MAX_MS + SYNC_BACKOFF_MAX_MS + 60000);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stream),         cmocka_unit_test(test_silence),
		cmocka_unit_test(test_drip),           cmocka_unit_test(test_backoff),
		cmocka_unit_test(test_refused),        cmocka_unit_test(test_steady),
		cmocka_unit_test(test_denied),         cmocka_unit_test(test_retry_after),
		cmocka_unit_test(test_barren_streams), cmocka_unit_test(test_unwilling),
		cmocka_unit_test(test_poll_only),      cmocka_unit_test(test_slow_answers),
		cmocka_unit_test(test_results),        cmocka_unit_test(test_keys),
		cmocka_unit_test(test_late_events),    cmocka_unit_test(test_random_events),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
