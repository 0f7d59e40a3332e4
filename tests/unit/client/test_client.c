/* SPDX-License-Identifier: Apache-2.0 */
/* A whole client and a peer that speaks the protocol, rightly and wrongly. */
#include <stdatomic.h>
#include <sys/stat.h>

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

/* ---- Following ---- */

struct heard {
	atomic_int calls;
	atomic_uint_fast64_t revision;
	pthread_mutex_t lock;
	char keys[256]; /* of all calls; "?" where any may have changed */
};

static void on_change(void *user, const struct halyard_change *change)
{
	struct heard *heard = user;
	pthread_mutex_lock(&heard->lock);
	size_t length = strlen(heard->keys);
	if (change->keys == NULL) {
		(void)snprintf(heard->keys + length, sizeof(heard->keys) - length, "? ");
	}
	for (size_t i = 0; i < change->key_count; i++) {
		length = strlen(heard->keys);
		(void)snprintf(heard->keys + length, sizeof(heard->keys) - length, "%s ", change->keys[i]);
	}
	pthread_mutex_unlock(&heard->lock);
	atomic_store(&heard->revision, change->revision);
	atomic_fetch_add(&heard->calls, 1);
}

static void test_follow(void **state)
{
	(void)state;
	struct heard heard = { .lock = PTHREAD_MUTEX_INITIALIZER };
	struct halyard_options options = options_for(&speaker);
	struct halyard_client *client = client_open(&options);
	uint64_t id = halyard_subscribe(client, on_change, &heard);
	assert_true(id != 0);
	assert_int_equal(halyard_wait_ready(client, 10000), HALYARD_OK);
	assert_false(flag_of(client, "alerts"));
	assert_true(flag_of(client, "other"));
	struct halyard_status status = status_of(client);
	assert_int_equal(status.state, HALYARD_STATE_STREAMING);
	assert_int_equal(status.source, HALYARD_SOURCE_DAEMON);
	assert_false(status.is_stale);
	assert_true(status.age_ms < 5000);
	assert_int_equal(status.flag_count, 2);
	assert_int_equal(status.updates, 1);
	assert_string_equal(status.last_error, "");

	speaker_change(&speaker, ALERTS_ON, true);
	EVENTUALLY(atomic_load(&heard.revision) == 2);
	assert_true(flag_of(client, "alerts"));
	/* The first snapshot may have come before the subscription. */
	assert_non_null(strstr(heard.keys, "alerts "));
	assert_null(strstr(heard.keys, "other"));
	halyard_unsubscribe(client, id);
	int calls = atomic_load(&heard.calls);
	speaker_change(&speaker, BOOLEAN_FLAG("third", "1", "on"), true);
	EVENTUALLY(flag_of(client, "third"));
	assert_int_equal(atomic_load(&heard.calls), calls);
	assert_int_equal(status_of(client).updates, 3);
	assert_int_equal(speaker.polls, 0);
	assert_int_equal(speaker.keys, 0);
	halyard_close(client);
}

/* Cut and back: what was missed comes with the next stream, which says what is at hand. */
static void test_resume(void **state)
{
	(void)state;
	struct halyard_options options = options_for(&speaker);
	struct halyard_client *client = client_ready(&options);
	assert_string_equal(speaker.last_event_id, "");
	peer_cut(&speaker.peer);
	speaker_wait(&speaker, &speaker.streams, 2);
	assert_string_equal(speaker.last_event_id, "1-1");
	EVENTUALLY(status_of(client).state == HALYARD_STATE_STREAMING);
	assert_int_equal(status_of(client).reconnects, 1);
	/* The daemon is gone for a while: the values stay, and say that they are stale. */
	peer_stop(&speaker.peer);
	EVENTUALLY(status_of(client).state == HALYARD_STATE_DISCONNECTED);
	EVENTUALLY(status_of(client).is_stale);
	struct halyard_detail detail;
	assert_true(halyard_bool(client, "other", NULL, false, &detail));
	EVENTUALLY((halyard_bool(client, "other", NULL, false, &detail), detail.is_stale));
	assert_true(detail.age_ms > 800);
	assert_int_equal(detail.reason, HALYARD_REASON_STATIC);
	assert_string_not_equal(status_of(client).last_error, "");
	/* It is back, and something has happened meanwhile. */
	speaker_change(&speaker, ALERTS_ON, false);
	speaker_restart(&speaker);
	EVENTUALLY(flag_of(client, "alerts"));
	assert_string_equal(speaker.last_event_id, "1-1");
	EVENTUALLY(status_of(client).state == HALYARD_STATE_STREAMING && !status_of(client).is_stale);
	EVENTUALLY(status_of(client).last_error[0] == '\0');
	halyard_close(client);
}

static void test_silent_stream(void **state)
{
	(void)state;
	struct halyard_options options = options_for(&speaker);
	speaker.no_heartbeat = true;
	struct halyard_client *client = client_ready(&options);
	/* Dropped after a second without a byte, and begun anew. */
	speaker_wait(&speaker, &speaker.streams, 2);
	assert_string_equal(speaker.last_event_id, "1-1");
	halyard_close(client);
}

static void test_polling(void **state)
{
	(void)state;
	struct halyard_options options = options_for(&speaker);
	speaker_mode_set(&speaker, SPEAKER_NO_STREAMS);
	struct halyard_client *client = client_ready(&options);
	assert_int_equal(status_of(client).state, HALYARD_STATE_POLLING);
	speaker_wait(&speaker, &speaker.not_modified, 3);
	assert_false(status_of(client).is_stale);
	speaker_change(&speaker, ALERTS_ON, false);
	EVENTUALLY(flag_of(client, "alerts"));
	/* Streams are there again. */
	speaker_mode_set(&speaker, SPEAKER_WELL);
	EVENTUALLY(status_of(client).state == HALYARD_STATE_STREAMING);
	halyard_close(client);
	options.disable_streaming = true;
	int streams = speaker.streams;
	client = client_ready(&options);
	assert_int_equal(status_of(client).state, HALYARD_STATE_POLLING);
	assert_int_equal(speaker.streams, streams);
	halyard_close(client);
}

/* ---- What is refused ---- */

/* Puts a bundle on the stream as an event of @type. */
static void say_bundle(const char *type, struct buf bundle)
{
	char *event = speaker_event(type, 9, 9, &bundle);
	speaker_say(&speaker, event);
	free(event);
	buf_deinit(&bundle);
}

static void test_refusals(void **state)
{
	(void)state;
	struct issuer stranger;
	struct issuer staging = speaker.issuer;
	struct halyard_options options = options_for(&speaker);
	struct halyard_client *client = client_ready(&options);
	struct ruleset *evil =
	        FIXTURE_RULESET(BOOLEAN_FLAG("alerts", "1", "on"), BOOLEAN_FLAG("other", "2", "off"));
	speaker_change(&speaker, BOOLEAN_FLAG("x", "1", "on"), true);
	EVENTUALLY(status_of(client).revision == 2);
	issuer_init(&stranger, "prod");
	staging.environment = "staging";
	const char *const words[] = { "older", "key", "staging", "Two different", "follow" };
	for (uint64_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		int streams = speaker.streams;
		switch (i) {
		case 0:
			say_bundle("snapshot", issuer_snapshot(&speaker.issuer, 1, 1, evil));
			break;
		case 1:
			say_bundle("snapshot", issuer_snapshot(&stranger, 1, 3, evil));
			break;
		case 2:
			say_bundle("snapshot", issuer_snapshot(&staging, 1, 3, evil));
			break;
		case 3:
			say_bundle("snapshot", issuer_snapshot(&speaker.issuer, 1, 2, evil));
			break;
		default:
			say_bundle("delta", issuer_snapshot(&speaker.issuer, 1, 4, evil));
			break;
		}
		EVENTUALLY(status_of(client).refused == i + 1);
		assert_true(flag_of(client, "other"));
		assert_false(flag_of(client, "alerts"));
		/* The stream is dropped and begun anew, and goes on from where it was. */
		speaker_wait(&speaker, &speaker.streams, streams + 1);
		assert_string_equal(speaker.last_event_id, i < 3 ? "1-2" : "");
		EVENTUALLY(status_of(client).state == HALYARD_STATE_STREAMING);
	}
	assert_int_equal(status_of(client).revision, 2);
	assert_int_equal(status_of(client).updates, 2);
	speaker_change(&speaker, ALERTS_ON, true);
	EVENTUALLY(flag_of(client, "alerts"));
	halyard_close(client);
	ruleset_unref(evil);
}

static void test_garbage_on_the_stream(void **state)
{
	(void)state;
	struct halyard_options options = options_for(&speaker);
	struct halyard_client *client = client_ready(&options);
	const char *const garbage[] = { "event: snapshot\ndata: {}\n\n", "event: delta\ndata: x\ndata: y\n\n",
		                        "event: delta\ndata\n\n" };
	for (uint64_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
		int streams = speaker.streams;
		speaker_say(&speaker, garbage[i]);
		EVENTUALLY(status_of(client).refused == i + 1);
		speaker_wait(&speaker, &speaker.streams, streams + 1);
		EVENTUALLY(status_of(client).state == HALYARD_STATE_STREAMING);
	}
	/* What a later protocol may say is passed over. */
	speaker_say(&speaker, "event: news\ndata: {}\n\nfoo: bar\n\nretry: 1\n\n");
	speaker_change(&speaker, ALERTS_ON, true);
	EVENTUALLY(flag_of(client, "alerts"));
	assert_int_equal(status_of(client).refused, 3);
	speaker_mode_set(&speaker, SPEAKER_ENDLESS_LINE);
	peer_cut(&speaker.peer);
	EVENTUALLY(strstr(status_of(client).last_error, "line of the stream") != NULL);
	assert_true(flag_of(client, "alerts"));
	halyard_close(client);
}

static void test_another_server(void **state)
{
	(void)state;
	struct halyard_options options = options_for(&speaker);
	speaker_mode_set(&speaker, SPEAKER_HTML);
	struct halyard_client *client = client_open(&options);
	EVENTUALLY(strstr(status_of(client).last_error, "is this the daemon's address?") != NULL);
	assert_int_equal(halyard_wait_ready(client, 1), HALYARD_E_TIMEOUT);
	speaker_mode_set(&speaker, SPEAKER_WELL);
	assert_int_equal(halyard_wait_ready(client, 10000), HALYARD_OK);
	halyard_close(client);
}

static void test_denied(void **state)
{
	(void)state;
	struct halyard_options options = options_for(&speaker);
	options.token = "hly_c_wrong";
	struct halyard_client *client = client_open(&options);
	assert_int_equal(halyard_wait_ready(client, 10000), HALYARD_E_DENIED);
	assert_non_null(strstr(status_of(client).last_error, "refuses the token (401)"));
	assert_null(strstr(status_of(client).last_error, "wrong"));
	EVENTUALLY(status_of(client).state == HALYARD_STATE_DISCONNECTED);
	halyard_close(client);
}

static void test_untrusted(void **state)
{
	(void)state;
	struct issuer stranger;
	struct halyard_options options = options_for(&speaker);
	issuer_init(&stranger, "prod");
	options.public_key = stranger.key_text;
	struct halyard_client *client = client_open(&options);
	assert_int_equal(halyard_wait_ready(client, 10000), HALYARD_E_UNTRUSTED);
	struct halyard_detail detail;
	assert_true(halyard_bool(client, "other", NULL, true, &detail));
	assert_int_equal(detail.error, HALYARD_ERROR_PROVIDER_NOT_READY);
	assert_true(detail.is_default && detail.is_stale);
	halyard_close(client);
}

/* ---- Without a key, and without a daemon ---- */

static void test_first_key_is_kept(void **state)
{
	(void)state;
	struct speaker impostor;
	struct halyard_options options = options_for(&speaker);
	options.public_key = NULL;
	options.cache_dir = cache_folder;
	struct halyard_client *client = client_ready(&options);
	assert_int_equal(speaker.keys, 1);
	assert_true(flag_of(client, "other"));
	halyard_close(client);
	/* Somebody else answers at another address, with a good signature of their own. */
	speaker_start(&impostor, FIXTURE_RULESET(BOOLEAN_FLAG("other", "2", "off")));
	speaker_change(&impostor, BOOLEAN_FLAG("other", "3", "off"), false);
	options.url = impostor.peer.url;
	client = client_open(&options);
	assert_int_equal(status_of(client).source, HALYARD_SOURCE_CACHE);
	assert_int_equal(halyard_wait_ready(client, 10000), HALYARD_E_UNTRUSTED);
	assert_true(flag_of(client, "other"));
	assert_int_equal(impostor.keys, 0);
	halyard_close(client);
	speaker_stop(&impostor);
	/* The one that is known is followed on. */
	options.url = speaker.peer.url;
	client = client_ready(&options);
	assert_int_equal(speaker.keys, 1);
	halyard_close(client);
}

static char *cache_path(const char *end)
{
	static char path[128];
	(void)snprintf(path, sizeof(path), "%s/prod.halyard%s", cache_folder, end);
	return path;
}

static void flip_byte(const char *path, long offset_from_end)
{
	FILE *file = fopen(path, "r+");
	assert_non_null(file);
	assert_int_equal(fseek(file, -offset_from_end, SEEK_END), 0);
	int byte = fgetc(file);
	assert_int_equal(fseek(file, -offset_from_end, SEEK_END), 0);
	assert_int_equal(fputc(byte ^ 1, file), byte ^ 1);
	assert_int_equal(fclose(file), 0);
}

static void test_start_without_daemon(void **state)
{
	(void)state;
	struct halyard_detail detail;
	struct halyard_options options = options_for(&speaker);
	options.cache_dir = cache_folder;
	struct halyard_client *client = client_ready(&options);
	EVENTUALLY(access(cache_path(""), F_OK) == 0);
	speaker_change(&speaker, ALERTS_ON, true);
	EVENTUALLY(flag_of(client, "alerts"));
	halyard_close(client); /* writes what the last second brought */
	assert_int_equal(access(cache_path(".prev"), F_OK), 0);
	peer_stop(&speaker.peer);

	client = client_open(&options);
	assert_true(halyard_bool(client, "alerts", NULL, false, &detail));
	assert_true(detail.is_stale);
	assert_true(detail.age_ms == UINT64_MAX);
	assert_int_equal(detail.revision, 2);
	assert_int_equal(status_of(client).source, HALYARD_SOURCE_CACHE);
	assert_int_equal(halyard_wait_ready(client, 1), HALYARD_E_TIMEOUT);
	halyard_close(client);

	/* The current file is damaged: the one before serves. */
	flip_byte(cache_path(""), 10);
	client = client_open(&options);
	assert_false(halyard_bool(client, "alerts", NULL, true, &detail));
	assert_int_equal(detail.revision, 1);
	assert_false(detail.is_default);
	/* … and the daemon's is asked for as a whole; what is older than the damaged one is still refused. */
	speaker_restart(&speaker);
	EVENTUALLY(flag_of(client, "alerts"));
	assert_string_equal(speaker.last_event_id, "");
	halyard_close(client);

	/* Both are damaged: the defaults. */
	peer_stop(&speaker.peer);
	flip_byte(cache_path(""), 10);
	flip_byte(cache_path(".prev"), 10);
	client = client_open(&options);
	assert_true(halyard_bool(client, "alerts", NULL, true, &detail));
	assert_int_equal(detail.error, HALYARD_ERROR_PROVIDER_NOT_READY);
	halyard_close(client);
	speaker_restart(&speaker);
}

/* Whoever plays an old snapshot back after a restart of the client is refused: the cache remembers. */
static void test_rollback_over_restart(void **state)
{
	(void)state;
	struct halyard_options options = options_for(&speaker);
	options.cache_dir = cache_folder;
	struct buf old = issuer_snapshot(&speaker.issuer, 1, 1, speaker.ruleset);
	struct halyard_client *client = client_ready(&options);
	speaker_change(&speaker, ALERTS_ON, true);
	EVENTUALLY(flag_of(client, "alerts"));
	halyard_close(client);
	flip_byte(cache_path(""), 10);
	(void)unlink(cache_path(".prev"));
	pthread_mutex_lock(&speaker.lock);
	buf_deinit(&speaker.whole);
	speaker.whole = old;
	speaker.revision = 1;
	pthread_mutex_unlock(&speaker.lock);
	client = client_open(&options);
	EVENTUALLY(status_of(client).refused > 0);
	assert_non_null(strstr(status_of(client).last_error, "older than revision 2"));
	assert_int_equal(status_of(client).flag_count, 0);
	halyard_close(client);
}

static void test_bootstrap(void **state)
{
	(void)state;
	char path[128];
	struct halyard_options options = options_for(&speaker);
	(void)snprintf(path, sizeof(path), "%s/boot", cache_folder);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(speaker.whole.data, 1, speaker.whole.length, file), speaker.whole.length);
	assert_int_equal(fclose(file), 0);
	options.bootstrap_file = path;
	options.url = "http://127.0.0.1:1";
	struct halyard_client *client = client_open(&options);
	assert_int_equal(status_of(client).source, HALYARD_SOURCE_BOOTSTRAP);
	assert_true(status_of(client).is_stale);
	assert_true(flag_of(client, "other"));
	halyard_close(client);
	/* It is a base like any other: the daemon has only to say that it is current. */
	options.url = speaker.peer.url;
	client = client_ready(&options);
	assert_string_equal(speaker.last_event_id, "1-1");
	assert_int_equal(status_of(client).source, HALYARD_SOURCE_BOOTSTRAP);
	assert_false(status_of(client).is_stale);
	/* The cache is newer: it wins. Then the file is: it wins. */
	halyard_close(client);
	options.cache_dir = cache_folder;
	speaker_change(&speaker, ALERTS_ON, true);
	client = client_ready(&options);
	EVENTUALLY(flag_of(client, "alerts"));
	halyard_close(client);
	options.url = "http://127.0.0.1:1";
	client = client_open(&options);
	assert_int_equal(status_of(client).source, HALYARD_SOURCE_CACHE);
	assert_int_equal(status_of(client).revision, 2);
	halyard_close(client);
	struct buf newer = issuer_snapshot(&speaker.issuer, 1, 7, speaker.ruleset);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(newer.data, 1, newer.length, file), newer.length);
	assert_int_equal(fclose(file), 0);
	buf_deinit(&newer);
	client = client_open(&options);
	assert_int_equal(status_of(client).source, HALYARD_SOURCE_BOOTSTRAP);
	assert_int_equal(status_of(client).revision, 7);
	halyard_close(client);
	/* Damaged, it is not used; nor without a key that it could be verified with. */
	flip_byte(path, 10);
	options.cache_dir = NULL;
	client = client_open(&options);
	assert_int_equal(status_of(client).source, HALYARD_SOURCE_NONE);
	halyard_close(client);
	flip_byte(path, 10);
	options.public_key = NULL;
	client = client_open(&options);
	assert_int_equal(status_of(client).source, HALYARD_SOURCE_NONE);
	halyard_close(client);
}

/* A cache that cannot be written harms nobody, and is written when it can. */
static void test_cache_without_folder(void **state)
{
	(void)state;
	char folder[128];
	struct halyard_options options = options_for(&speaker);
	(void)snprintf(folder, sizeof(folder), "%s/later", cache_folder);
	options.cache_dir = folder;
	struct halyard_client *client = client_ready(&options);
	assert_true(flag_of(client, "other"));
	assert_int_equal(mkdir(folder, 0700), 0);
	halyard_close(client);
	client = client_ready(&options);
	halyard_close(client);
	(void)snprintf(folder, sizeof(folder), "%s/later/prod.halyard", cache_folder);
	assert_int_equal(unlink(folder), 0);
	(void)snprintf(folder, sizeof(folder), "%s/later", cache_folder);
	assert_int_equal(rmdir(folder), 0);
}

/* ---- Reports ---- */

static void test_reports(void **state)
{
	(void)state;
	struct halyard_detail detail;
	struct halyard_options options = options_for(&speaker);
	options.telemetry_interval_ms = 50;
	struct halyard_client *client = client_ready(&options);
	/* The first says what this client runs, and nothing else. */
	speaker_wait(&speaker, &speaker.reports, 1);
	assert_non_null(strstr(speaker.report, "\"epoch\":\"1\",\"revision\":\"1\"}"));
	(void)halyard_bool(client, "other", NULL, false, &detail);
	halyard_count(client, "other", &detail);
	halyard_track(client, "other", &detail, true, 3);
	(void)halyard_bool(client, "ghost", NULL, false, &detail);
	halyard_count(client, "ghost", &detail);
	halyard_count(client, "not a key!", &detail);
	EVENTUALLY((speaker_wait(&speaker, &speaker.reports, 2), true));
	EVENTUALLY(({
		pthread_mutex_lock(&speaker.lock);
		bool found = strstr(speaker.report, "\"unknown\":[{\"flag\":\"ghost\",\"count\":1}]") != NULL;
		pthread_mutex_unlock(&speaker.lock);
		found;
	}));
	assert_int_equal(status_of(client).telemetry_dropped, 1);
	/* The daemon refuses them for a while: a report is given up after three attempts, counting goes on. */
	pthread_mutex_lock(&speaker.lock);
	speaker.report_status = 503;
	pthread_mutex_unlock(&speaker.lock);
	(void)halyard_bool(client, "other", NULL, false, &detail);
	halyard_count(client, "other", &detail);
	EVENTUALLY(status_of(client).telemetry_dropped == 2);
	pthread_mutex_lock(&speaker.lock);
	speaker.report_status = 204;
	speaker.report[0] = '\0';
	pthread_mutex_unlock(&speaker.lock);
	/* What is counted last goes out with the client. */
	halyard_count(client, "other", &detail);
	halyard_count(client, "other", &detail);
	halyard_close(client);
	assert_non_null(
	        strstr(speaker.report, "\"evaluations\":[{\"flag\":\"other\",\"variant\":\"on\",\"count\":"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_follow, setup, teardown),
		cmocka_unit_test_setup_teardown(test_resume, setup, teardown),
		cmocka_unit_test_setup_teardown(test_silent_stream, setup, teardown),
		cmocka_unit_test_setup_teardown(test_polling, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_garbage_on_the_stream, setup, teardown),
		cmocka_unit_test_setup_teardown(test_another_server, setup, teardown),
		cmocka_unit_test_setup_teardown(test_denied, setup, teardown),
		cmocka_unit_test_setup_teardown(test_untrusted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_first_key_is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_start_without_daemon, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rollback_over_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bootstrap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cache_without_folder, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reports, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
