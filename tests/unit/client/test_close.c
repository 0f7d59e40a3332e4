/* SPDX-License-Identifier: Apache-2.0 */
/* halyard_close() returns within two seconds whatever the network does. */
#include <netdb.h>
#include <semaphore.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <arpa/inet.h>

#include "tests/unit/client/client_fixture.h"

#define CLOSE_MAX_MS 2000

static struct speaker speaker;

static int setup(void **state)
{
	(void)state;
	speaker_start(&speaker, FIXTURE_RULESET(ALERTS_OFF, OTHER_ON));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	speaker_stop(&speaker);
	return 0;
}

/* ---- A resolver that hangs ---- */

static atomic_int resolving;
static sem_t may_resolve;

/* libcurl's thread comes here instead of libc: names below .test hang until the test lets them go. */
__attribute__((visibility("default"), used)) int getaddrinfo(const char *node, const char *service,
                                                             const struct addrinfo *hints,
                                                             struct addrinfo **result)
{
	(void)service;
	(void)hints;
	(void)result;
	if (strstr(node, ".test") != NULL) {
		atomic_fetch_add(&resolving, 1);
		while (sem_wait(&may_resolve) != 0) {
			/* EINTR */
		}
		atomic_fetch_sub(&resolving, 1);
	}
	return EAI_FAIL;
}

static void test_hanging_resolver(void **state)
{
	(void)state;
	struct halyard_options options = options_for(&speaker);
	options.url = "http://flags.test:8016";
	struct halyard_client *client = client_open(&options);
	EVENTUALLY(atomic_load(&resolving) > 0);
	assert_true(close_ms(client) < CLOSE_MAX_MS);
	/* It gives up on a name, too, and asks again. */
	options.connect_timeout_ms = 100;
	client = client_open(&options);
	EVENTUALLY(status_of(client).state == HALYARD_STATE_DISCONNECTED);
	assert_string_not_equal(status_of(client).last_error, "");
	EVENTUALLY(atomic_load(&resolving) > 2);
	assert_true(close_ms(client) < CLOSE_MAX_MS);
	while (atomic_load(&resolving) > 0) {
		(void)sem_post(&may_resolve);
		sched_yield();
	}
}

/* ---- Peers ---- */

/* A connection that is never made: the queue of who wants to connect is full. */
static void test_black_hole(void **state)
{
	(void)state;
	struct halyard_options options = options_for(&speaker);
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t length = sizeof(address);
	char url[64];
	int fillers[8];
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, length), 0);
	assert_int_equal(listen(listener, 0), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
	for (size_t i = 0; i < sizeof(fillers) / sizeof(fillers[0]); i++) {
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		(void)connect(fillers[i], (struct sockaddr *)&address, length);
	}
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u", ntohs(address.sin_port));
	options.url = url;
	struct halyard_client *client = client_open(&options);
	assert_int_equal(halyard_wait_ready(client, 50), HALYARD_E_TIMEOUT);
	assert_true(close_ms(client) < CLOSE_MAX_MS);
	/* And it is given up after its time. */
	options.connect_timeout_ms = 100;
	client = client_open(&options);
	EVENTUALLY(status_of(client).state == HALYARD_STATE_DISCONNECTED);
	assert_true(close_ms(client) < CLOSE_MAX_MS);
	for (size_t i = 0; i < sizeof(fillers) / sizeof(fillers[0]); i++) {
		(void)close(fillers[i]);
	}
	(void)close(listener);
}

static void test_peers(void **state)
{
	(void)state;
	const enum speaker_mode modes[] = { SPEAKER_HANGS,     SPEAKER_HALF_HEAD,   SPEAKER_HTML,
		                            SPEAKER_DENIES,    SPEAKER_MUTE_STREAM, SPEAKER_ENDLESS_LINE,
		                            SPEAKER_NO_STREAMS };
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		struct halyard_options options = options_for(&speaker);
		options.telemetry_interval_ms = 100000;
		speaker_mode_set(&speaker, modes[i]);
		speaker.last_path[0] = '\0';
		struct halyard_client *client = client_open(&options);
		EVENTUALLY(({
			pthread_mutex_lock(&speaker.lock);
			bool was_asked = speaker.last_path[0] != '\0';
			pthread_mutex_unlock(&speaker.lock);
			was_asked;
		}));
		assert_true(close_ms(client) < CLOSE_MAX_MS);
	}
}

/* In the middle of a stream, with a report that nobody takes. */
static void test_stream_and_report(void **state)
{
	(void)state;
	struct halyard_detail detail;
	struct halyard_options options = options_for(&speaker);
	options.telemetry_interval_ms = 100000;
	struct halyard_client *client = client_ready(&options);
	(void)halyard_bool(client, "other", NULL, false, &detail);
	halyard_count(client, "other", &detail);
	speaker_mode_set(&speaker, SPEAKER_HANGS);
	int64_t took_ms = close_ms(client);
	assert_true(took_ms < CLOSE_MAX_MS);
	/* Without anything to report it is quick. */
	speaker_mode_set(&speaker, SPEAKER_WELL);
	client = client_ready(&options);
	took_ms = close_ms(client);
	assert_true(took_ms < 500);
}

static int open_descriptors(void)
{
	int count = 0;
	for (int fd = 3; fd < 1024; fd++) {
		count += !peer_owns(&speaker.peer, fd) && fcntl(fd, F_GETFD) >= 0;
	}
	return count;
}

/* At every moment of a connection's life; no descriptor is left behind. */
static void test_at_once(void **state)
{
	(void)state;
	struct halyard_options options = options_for(&speaker);
	struct halyard_client *client = client_open(&options); /* what libraries keep open from then on */
	halyard_close(client);
	int before = open_descriptors();
	for (int i = 0; i < 200; i++) {
		client = client_open(&options);
		for (int yields = 0; yields < i / 4; yields++) {
			sched_yield();
		}
		assert_true(close_ms(client) < CLOSE_MAX_MS);
	}
	EVENTUALLY(open_descriptors() == before);
	halyard_close(NULL);
}

/* ---- The program's own code ---- */

struct slow {
	atomic_bool is_inside;
	atomic_bool may_return;
	atomic_bool has_returned;
};

static void on_change_slow(void *user, const struct halyard_change *change)
{
	struct slow *slow = user;
	(void)change;
	atomic_store(&slow->is_inside, true);
	EVENTUALLY(atomic_load(&slow->may_return));
	atomic_store(&slow->has_returned, true);
}

static void *close_main(void *user)
{
	halyard_close(user);
	return NULL;
}

/* A callback is waited for; meanwhile snapshots come in, and evaluations see them. */
static void test_slow_callback(void **state)
{
	(void)state;
	struct slow slow = { 0 };
	pthread_t closer;
	struct halyard_options options = options_for(&speaker);
	struct halyard_client *client = client_ready(&options);
	assert_true(halyard_subscribe(client, on_change_slow, &slow) != 0);
	speaker_change(&speaker, ALERTS_ON, true);
	EVENTUALLY(atomic_load(&slow.is_inside));
	speaker_change(&speaker, BOOLEAN_FLAG("alerts", "3", "off"), true);
	EVENTUALLY(!flag_of(client, "alerts"));
	speaker_wait(&speaker, &speaker.streams, 1);
	assert_int_equal(status_of(client).state, HALYARD_STATE_STREAMING);
	assert_int_equal(pthread_create(&closer, NULL, close_main, client), 0);
	atomic_store(&slow.may_return, true);
	assert_int_equal(pthread_join(closer, NULL), 0);
	assert_true(atomic_load(&slow.has_returned));
}

static void on_log_count(void *user, enum halyard_log_level level, const char *message)
{
	assert_true(level <= HALYARD_LOG_ERROR);
	assert_true(message[0] != '\0');
	assert_null(strstr(message, "hly_c_"));
	atomic_fetch_add((atomic_int *)user, 1);
}

static void test_log(void **state)
{
	(void)state;
	atomic_int lines = 0;
	struct halyard_options options = options_for(&speaker);
	options.log = on_log_count;
	options.log_user = &lines;
	struct halyard_client *client = client_ready(&options);
	EVENTUALLY(atomic_load(&lines) >= 1);
	halyard_close(client);
	/* The same failure again and again is said once. */
	options.url = "http://127.0.0.1:1";
	atomic_store(&lines, 0);
	client = client_open(&options);
	EVENTUALLY(status_of(client).reconnects >= 2);
	halyard_close(client);
	assert_int_equal(atomic_load(&lines), 1);
}

static int group_setup(void **state)
{
	(void)state;
	return sem_init(&may_resolve, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_hanging_resolver, setup, teardown),
		cmocka_unit_test_setup_teardown(test_black_hole, setup, teardown),
		cmocka_unit_test_setup_teardown(test_peers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stream_and_report, setup, teardown),
		cmocka_unit_test_setup_teardown(test_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slow_callback, setup, teardown),
		cmocka_unit_test_setup_teardown(test_log, setup, teardown),
	};
	return cmocka_run_group_tests(tests, group_setup, NULL);
}
