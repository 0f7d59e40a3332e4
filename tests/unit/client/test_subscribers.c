/* SPDX-License-Identifier: Apache-2.0 */
#include "client/subscribers.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct subscribers subscribers;
static char names[128][2];
static char calls[64]; /* who was called, in order */

static int setup(void **state)
{
	(void)state;
	for (int i = 1; i < 128; i++) {
		names[i][0] = (char)i;
	}
	subscribers_init(&subscribers);
	calls[0] = '\0';
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	subscribers_deinit(&subscribers);
	return 0;
}

static void note(const char *name)
{
	size_t length = strlen(calls);
	assert_true(length + 1 < sizeof(calls));
	calls[length] = name[0];
	calls[length + 1] = '\0';
}

static void on_change(void *user, const struct halyard_change *change)
{
	assert_int_equal(change->revision, 7);
	note(user);
}

static const struct halyard_change change = { .epoch = 1, .revision = 7 };

static void test_order(void **state)
{
	(void)state;
	assert_true(subscribers_is_empty(&subscribers));
	uint64_t a = subscribers_add(&subscribers, on_change, names['a']);
	uint64_t b = subscribers_add(&subscribers, on_change, names['b']);
	uint64_t c = subscribers_add(&subscribers, on_change, names['c']);
	assert_true(a != 0 && a != b && b != c);
	assert_false(subscribers_is_empty(&subscribers));
	subscribers_notify(&subscribers, &change);
	assert_string_equal(calls, "abc");
	subscribers_remove(&subscribers, b);
	subscribers_remove(&subscribers, b);
	subscribers_remove(&subscribers, 0);
	subscribers_remove(&subscribers, 999);
	subscribers_notify(&subscribers, &change);
	assert_string_equal(calls, "abcac");
	subscribers_remove(&subscribers, a);
	subscribers_remove(&subscribers, c);
	assert_true(subscribers_is_empty(&subscribers));
	subscribers_notify(&subscribers, &change);
	assert_string_equal(calls, "abcac");
}

static uint64_t own_id;
static uint64_t other_id;

static void on_change_leave(void *user, const struct halyard_change *told)
{
	on_change(user, told);
	subscribers_remove(&subscribers, own_id); /* must not wait for itself */
	subscribers_remove(&subscribers, other_id);
	(void)subscribers_add(&subscribers, on_change, names['n']);
}

/* From within: leaving, putting another out before its turn, and a new one. */
static void test_from_within(void **state)
{
	(void)state;
	(void)subscribers_add(&subscribers, on_change, names['a']);
	own_id = subscribers_add(&subscribers, on_change_leave, names['b']);
	other_id = subscribers_add(&subscribers, on_change, names['c']);
	(void)subscribers_add(&subscribers, on_change, names['d']);
	subscribers_notify(&subscribers, &change);
	assert_string_equal(calls, "abdn");
	subscribers_notify(&subscribers, &change);
	assert_string_equal(calls, "abdnadn");
}

static atomic_bool is_inside;
static atomic_bool may_return;
static atomic_bool has_returned;
static atomic_bool is_leaving;

static void on_change_slow(void *user, const struct halyard_change *told)
{
	(void)user;
	(void)told;
	atomic_store(&is_inside, true);
	while (!atomic_load(&may_return)) {
		sched_yield();
	}
	atomic_store(&has_returned, true);
}

static void *notify_main(void *user)
{
	(void)user;
	subscribers_notify(&subscribers, &change);
	return NULL;
}

static void *leave_main(void *user)
{
	atomic_store(&is_leaving, true);
	subscribers_remove(&subscribers, *(uint64_t *)user);
	/* Whoever has left may free what the callback used. */
	assert_true(atomic_load(&has_returned));
	return NULL;
}

static void test_leaving_waits(void **state)
{
	(void)state;
	pthread_t runner;
	pthread_t leaver;
	uint64_t slow = subscribers_add(&subscribers, on_change_slow, NULL);
	uint64_t idle = subscribers_add(&subscribers, on_change, names['i']);
	assert_int_equal(pthread_create(&runner, NULL, notify_main, NULL), 0);
	while (!atomic_load(&is_inside)) {
		sched_yield();
	}
	/* One that does not run is not waited for. */
	subscribers_remove(&subscribers, idle);
	assert_int_equal(pthread_create(&leaver, NULL, leave_main, &slow), 0);
	while (!atomic_load(&is_leaving)) {
		sched_yield();
	}
	atomic_store(&may_return, true);
	assert_int_equal(pthread_join(leaver, NULL), 0);
	assert_int_equal(pthread_join(runner, NULL), 0);
	assert_string_equal(calls, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_from_within, setup, teardown),
		cmocka_unit_test_setup_teardown(test_leaving_waits, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
