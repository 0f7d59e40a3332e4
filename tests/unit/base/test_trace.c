/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/trace.h"

#define ID   "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN "00f067aa0ba902b7"

static void assert_ids(const struct trace *trace)
{
	assert_int_equal(strlen(trace->id), 32);
	assert_int_equal(strspn(trace->id, "0123456789abcdef"), 32);
	assert_true(strspn(trace->id, "0") < 32);
	assert_int_equal(strlen(trace->span), 16);
	assert_int_equal(strspn(trace->span, "0123456789abcdef"), 16);
	assert_true(strspn(trace->span, "0") < 16);
}

static void headers_that_continue_a_trace(void **state)
{
	(void)state;
	static const struct {
		const char *header;
		bool is_sampled;
	} headers[] = {
		{ "00-" ID "-" SPAN "-01", true },
		{ "00-" ID "-" SPAN "-00", false },
		{ "00-" ID "-" SPAN "-ff", true },
		{ "00-" ID "-" SPAN "-02", false },
		{ "00-" ID "-" SPAN "-fe", false },
		{ "01-" ID "-" SPAN "-01", true },
		{ "cc-" ID "-" SPAN "-01-what-the-future-will-be-like", true },
		{ "cc-" ID "-" SPAN "-00-", false },
		{ "fe-" ID "-" SPAN "-01", true },
	};
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		struct trace trace;
		trace_start(&trace, headers[i].header);
		assert_ids(&trace);
		assert_string_equal(trace.id, ID);
		assert_string_equal(trace.parent_span, SPAN);
		assert_string_not_equal(trace.span, SPAN);
		assert_int_equal(trace.is_sampled, headers[i].is_sampled);
	}
}

static void headers_that_start_a_new_trace(void **state)
{
	(void)state;
	static const char *const headers[] = {
		NULL,
		"",
		"00",
		"nonsense",
		"00-" ID "-" SPAN,
		"00-" ID "-" SPAN "-",
		"00-" ID "-" SPAN "-0",
		"00-" ID "-" SPAN "-01-",
		"00-" ID "-" SPAN "-01-x",
		"00-" ID "-" SPAN "-011",
		"cc-" ID "-" SPAN "-01.what",
		"cc-" ID "-" SPAN "-011",
		"ff-" ID "-" SPAN "-01",
		"FE-" ID "-" SPAN "-01",
		"0g-" ID "-" SPAN "-01",
		"0-" ID "-" SPAN "-001",
		"00-00000000000000000000000000000000-" SPAN "-01",
		"00-" ID "-0000000000000000-01",
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01",
		"00-" ID "-00F067AA0BA902B7-01",
		"00-" ID "-" SPAN "-0G",
		"00-" ID "-" SPAN "-0A",
		"00-4bf92f3577b34da6a3ce929d0e0e473-" SPAN "-011",
		"00_" ID "-" SPAN "-01",
		"00-" ID "_" SPAN "-01",
		"00-" ID "-" SPAN "_01",
		" 00-" ID "-" SPAN "-01",
		"00-" ID "-" SPAN "-01 ",
		"00-.bf92f3577b34da6a3ce929d0e0e4736-" SPAN "-01",
	};
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		struct trace trace;
		trace_start(&trace, headers[i]);
		assert_ids(&trace);
		assert_string_not_equal(trace.id, ID);
		assert_string_equal(trace.parent_span, "");
		assert_true(trace.is_sampled);
	}
}

static void what_is_written_is_read(void **state)
{
	(void)state;
	struct trace first, second;
	char header[TRACE_PARENT_SIZE];
	trace_start(&first, "00-" ID "-" SPAN "-00");
	trace_format(&first, header);
	assert_int_equal(strlen(header), TRACE_PARENT_SIZE - 1);
	assert_int_equal(strncmp(header, "00-" ID "-", 36), 0);
	trace_start(&second, header);
	assert_string_equal(second.id, first.id);
	assert_string_equal(second.parent_span, first.span);
	assert_false(second.is_sampled);
	trace_start(&first, NULL);
	trace_format(&first, header);
	assert_string_equal(header + 53, "01");
}

static void ids_do_not_repeat(void **state)
{
	(void)state;
	enum { COUNT = 500 };
	struct trace traces[COUNT];
	for (size_t i = 0; i < COUNT; i++) {
		trace_start(&traces[i], NULL);
		for (size_t j = 0; j < i; j++) {
			assert_string_not_equal(traces[i].id, traces[j].id);
			assert_string_not_equal(traces[i].span, traces[j].span);
		}
	}
}

static void *start_in_thread(void *trace)
{
	trace_start(trace, NULL);
	return NULL;
}

static void threads_and_forks_have_ids_of_their_own(void **state)
{
	(void)state;
	struct trace ours, of_thread, of_child;
	pthread_t thread;
	int ends[2];
	int wait_status = -1;
	trace_start(&ours, NULL);
	assert_int_equal(pthread_create(&thread, NULL, start_in_thread, &of_thread), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_ids(&of_thread);
	assert_int_equal(pipe(ends), 0);
	const pid_t child = fork();
	if (child == 0) {
		trace_start(&of_child, NULL);
		_exit(write(ends[1], &of_child, sizeof(of_child)) == sizeof(of_child) ? 0 : 1);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &wait_status, 0), child);
	assert_int_equal(wait_status, 0);
	assert_int_equal(read(ends[0], &of_child, sizeof(of_child)), sizeof(of_child));
	trace_start(&ours, NULL);
	assert_string_not_equal(ours.id, of_thread.id);
	assert_string_not_equal(ours.id, of_child.id);
	assert_string_not_equal(ours.span, of_child.span);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_that_continue_a_trace),
		cmocka_unit_test(headers_that_start_a_new_trace),
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(ids_do_not_repeat),
		cmocka_unit_test(threads_and_forks_have_ids_of_their_own),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
