/* SPDX-License-Identifier: Apache-2.0 */
/* What programs do to a library: fork, signals, closing descriptors that are not theirs, running out of them. */
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "client/client.h"
#include "tests/unit/client/client_fixture.h"

static struct speaker speaker;

static int setup(void **state)
{
	(void)state;
	cache_folder_make();
	speaker_start(&speaker, FIXTURE_RULESET(ALERTS_OFF, OTHER_ON));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	speaker_stop(&speaker);
	cache_folder_remove();
	return 0;
}

/* ---- fork ---- */

static int wait_for_child(pid_t child)
{
	int result = -1;
	int64_t until_ms = clock_monotonic_ms(&clock_system) + 20000;
	pid_t done = 0;
	while (done == 0 && clock_monotonic_ms(&clock_system) < until_ms) {
		done = waitpid(child, &result, WNOHANG);
		(void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	if (done != child) {
		(void)kill(child, SIGKILL);
		fail_msg("the child hangs");
	}
	return WIFEXITED(result) ? WEXITSTATUS(result) : -1;
}

/* What a child may do, and what it had better not do but must survive. 0: all is well. */
static int child_run(struct halyard_client *client)
{
	struct halyard_detail detail;
	bool is_on = halyard_bool(client, "other", NULL, false, &detail);
	if (!is_on || detail.error != HALYARD_ERROR_NONE || detail.is_default) {
		return 1;
	}
	halyard_read_begin(client);
	is_on = flag_of(client, "other");
	halyard_read_end(client);
	halyard_count(client, "other", &detail);
	if (!is_on || halyard_subscribe(client, NULL, NULL) != 0 ||
	    halyard_wait_ready(client, 1000) != HALYARD_E_CLOSED ||
	    status_of(client).revision != detail.revision) {
		return 2;
	}
	int64_t took_ms = close_ms(client);
	return took_ms < 500 ? 0 : 3;
}

/* Forks while the threads are busy: with every lock and every allocation in every state. */
static void test_fork(void **state)
{
	(void)state;
	struct halyard_options options = options_for(&speaker);
	options.cache_dir = cache_folder;
	options.telemetry_interval_ms = 1;
	struct halyard_client *client = client_ready(&options);
	for (int i = 0; i < 60; i++) {
		speaker_change(&speaker, i % 2 == 0 ? ALERTS_ON : ALERTS_OFF, true);
		pid_t child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			_exit(child_run(client));
		}
		assert_int_equal(wait_for_child(child), 0);
	}
	/* The parent has lost nothing by it: it is still on its first stream. */
	speaker_change(&speaker, BOOLEAN_FLAG("last", "1", "on"), true);
	EVENTUALLY(flag_of(client, "last"));
	assert_int_equal(status_of(client).reconnects, 0);
	assert_int_equal(status_of(client).refused, 0);
	halyard_close(client);
}

/* A child that wants to follow changes opens a client of its own. */
static void test_open_in_child(void **state)
{
	(void)state;
	struct halyard_options options = options_for(&speaker);
	struct halyard_client *client = client_ready(&options);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct halyard_client *own = NULL;
		halyard_close(client);
		if (halyard_open(&own, &options) != HALYARD_OK ||
		    halyard_wait_ready(own, 10000) != HALYARD_OK) {
			_exit(1);
		}
		bool is_on = flag_of(own, "other");
		_exit(is_on && close_ms(own) < 2000 ? 0 : 2);
	}
	assert_int_equal(wait_for_child(child), 0);
	halyard_close(client);
}

/* A child's snapshot ages as the parent's does. */
static void test_age_in_child(void **state)
{
	(void)state;
	struct halyard_options options = options_for(&speaker);
	struct halyard_client *client = client_ready(&options);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct halyard_detail detail = { 0 };
		int64_t until_ms = clock_monotonic_ms(&clock_system) + 10000;
		while (!detail.is_stale && clock_monotonic_ms(&clock_system) < until_ms) {
			(void)halyard_bool(client, "other", NULL, false, &detail);
		}
		_exit(detail.is_stale ? 0 : 1);
	}
	assert_int_equal(wait_for_child(child), 0);
	halyard_close(client);
}

/* ---- Signals ---- */

static atomic_int wrong_thread;
static pthread_t test_thread;

static void on_signal(int number)
{
	(void)number;
	if (!pthread_equal(pthread_self(), test_thread)) {
		atomic_fetch_add(&wrong_thread, 1);
	}
}

/* Signal masks of the library's threads, from /proc: every signal that can be blocked is. */
static int threads_with_all_blocked(void)
{
	int count = 0;
	DIR *tasks = opendir("/proc/self/task");
	assert_non_null(tasks);
	for (const struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
		char path[300];
		char line[256];
		bool is_ours = false;
		(void)snprintf(path, sizeof(path), "/proc/self/task/%s/status", entry->d_name);
		FILE *file = fopen(path, "r");
		while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
			unsigned long long blocked = 0;
			is_ours = is_ours || strncmp(line, "Name:\thalyard-", 14) == 0;
			if (is_ours && sscanf(line, "SigBlk: %llx", &blocked) == 1) {
				const unsigned long long wanted =
				        1ULL << (SIGTERM - 1) | 1ULL << (SIGPIPE - 1) |
				        1ULL << (SIGUSR1 - 1) | 1ULL << (SIGCHLD - 1) | 1ULL << (SIGALRM - 1);
				count += (blocked & wanted) == wanted;
			}
		}
		if (file != NULL) {
			(void)fclose(file);
		}
	}
	(void)closedir(tasks);
	return count;
}

static void test_signals(void **state)
{
	(void)state;
	struct sigaction action = { .sa_handler = on_signal }; /* without SA_RESTART */
	struct sigaction before;
	struct halyard_options options = options_for(&speaker);
	test_thread = pthread_self();
	assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
	struct halyard_client *client = client_open(&options);
	for (int i = 0; i < 1000; i++) {
		/* To the process: whichever thread does not block it. The peer's threads do not either. */
		assert_int_equal(pthread_kill(test_thread, SIGUSR1), 0);
		if (i % 100 == 0) {
			assert_true(halyard_wait_ready(client, 10000) == HALYARD_OK);
		}
	}
	assert_int_equal(threads_with_all_blocked(), 2);
	assert_int_equal(atomic_load(&wrong_thread), 0);
	sigset_t mask;
	assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &mask), 0);
	assert_false(sigismember(&mask, SIGUSR1));
	halyard_close(client);
	assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
}

/* ---- Descriptors ---- */

#define FD_MAX 256

static bool fd_is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* Closes what was opened since @was_open was filled, but the peer's; how many. */
static int close_new(const bool *was_open, int *closed)
{
	int count = 0;
	for (int fd = 3; fd < FD_MAX; fd++) {
		if (!was_open[fd] && fd_is_open(fd) && !peer_owns(&speaker.peer, fd)) {
			assert_int_equal(close(fd), 0);
			closed[count++] = fd;
		}
	}
	return count;
}

/* A program that makes itself a daemon closes all it finds, and opens files that get the same numbers. */
static void test_closed_descriptors(void **state)
{
	(void)state;
	bool was_open[FD_MAX];
	int closed[FD_MAX];
	int files[FD_MAX];
	char path[128];
	struct stat info;
	for (int fd = 0; fd < FD_MAX; fd++) {
		was_open[fd] = fd_is_open(fd);
	}
	struct halyard_options options = options_for(&speaker);
	struct halyard_client *client = client_ready(&options);
	for (int round = 0; round < 3; round++) {
		int streams = speaker.streams;
		EVENTUALLY(status_of(client).state == HALYARD_STATE_STREAMING);
		int count = close_new(was_open, closed);
		assert_true(count >= 3); /* the stream and a pair to wake up with, at least */
		for (int i = 0; i < count; i++) {
			(void)snprintf(path, sizeof(path), "%s/file-%d", cache_folder, i);
			files[i] = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
			assert_true(files[i] >= 0);
			assert_int_equal(write(files[i], "mine", 4), 4);
			assert_int_equal(lseek(files[i], 0, SEEK_SET), 0);
		}
		assert_true(flag_of(client, "other"));
		/* It notices, and begins anew; the daemon sees the old connection end only when it writes to it. */
		speaker_wait(&speaker, &speaker.streams, streams + 1);
		speaker_change(&speaker, round % 2 == 0 ? ALERTS_ON : ALERTS_OFF, true);
		EVENTUALLY(flag_of(client, "alerts") == (round % 2 == 0));
		for (int i = 0; i < count; i++) {
			/* Nobody wrote into the program's files, read from them or closed them. */
			assert_int_equal(fstat(files[i], &info), 0);
			assert_int_equal(info.st_size, 4);
			assert_int_equal(lseek(files[i], 0, SEEK_CUR), 0);
			assert_int_equal(close(files[i]), 0);
		}
	}
	assert_int_equal(transport_rebuilt_count(client->worker.transport), 3);
	/* Closing with stolen descriptors closes none of the program's. */
	(void)close_new(was_open, closed);
	int mine = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_true(close_ms(client) < 2000);
	assert_true(fd_is_open(mine));
	(void)close(mine);
}

/* No descriptor is left: evaluations go on, and it recovers without a restart. */
static void test_no_descriptors(void **state)
{
	(void)state;
	struct rlimit limit;
	struct halyard_options options = options_for(&speaker);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	struct rlimit none = { .rlim_cur = 3, .rlim_max = limit.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	struct halyard_client *client = client_open(&options);
	EVENTUALLY(strstr(status_of(client).last_error, "descriptors") != NULL);
	assert_true(halyard_bool(client, "other", NULL, true, NULL));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(halyard_wait_ready(client, 10000), HALYARD_OK);
	/* And in the middle of it: the stream that stands is no worse for it. */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	speaker_change(&speaker, ALERTS_ON, true);
	EVENTUALLY(flag_of(client, "alerts"));
	peer_cut(&speaker.peer);
	EVENTUALLY(status_of(client).state == HALYARD_STATE_DISCONNECTED);
	assert_true(flag_of(client, "alerts"));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	EVENTUALLY(status_of(client).state == HALYARD_STATE_STREAMING);
	halyard_close(client);
}

/* A host's name goes through libcurl's resolver, whose descriptors come and go: none of that is a theft. */
static void test_named_host(void **state)
{
	(void)state;
	char url[64];
	struct halyard_options options = options_for(&speaker);
	(void)snprintf(url, sizeof(url), "http://localhost:%u", speaker.peer.port);
	options.url = url;
	struct halyard_client *client = client_ready(&options);
	for (int i = 1; i < 5; i++) {
		peer_cut(&speaker.peer);
		speaker_wait(&speaker, &speaker.streams, i + 1);
		EVENTUALLY(status_of(client).state == HALYARD_STATE_STREAMING);
	}
	assert_int_equal(transport_rebuilt_count(client->worker.transport), 0);
	halyard_close(client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_fork, setup, teardown),
		cmocka_unit_test_setup_teardown(test_open_in_child, setup, teardown),
		cmocka_unit_test_setup_teardown(test_age_in_child, setup, teardown),
		cmocka_unit_test_setup_teardown(test_signals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_closed_descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_named_host, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
