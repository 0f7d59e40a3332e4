/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of whole clients share: a folder for the cache, options, and waiting for what must come. */
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/client/speaker.h"

/* Waits until @condition holds; fails the test after ten seconds. */
#define EVENTUALLY(condition)                                                            \
	do {                                                                             \
		int64_t until_ms_ = clock_monotonic_ms(&clock_system) + 10000;           \
		while (!(condition)) {                                                   \
			if (clock_monotonic_ms(&clock_system) > until_ms_) {             \
				fail_msg("it never came to be: %s", #condition);         \
			}                                                                \
			(void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL); \
		}                                                                        \
	} while (0)

static char cache_folder[64];

static inline void cache_folder_make(void)
{
	(void)snprintf(cache_folder, sizeof(cache_folder), "/tmp/halyard-test-XXXXXX");
	assert_non_null(mkdtemp(cache_folder));
}

static inline void cache_folder_remove(void)
{
	DIR *list = opendir(cache_folder);
	for (const struct dirent *entry; list != NULL && (entry = readdir(list)) != NULL;) {
		(void)unlinkat(dirfd(list), entry->d_name, 0);
	}
	(void)closedir(list);
	assert_int_equal(rmdir(cache_folder), 0);
}

/* Short times, so that nothing has to be waited for long. */
static inline struct halyard_options options_for(const struct speaker *speaker)
{
	return (struct halyard_options){ .size = sizeof(struct halyard_options),
		                         .url = speaker->peer.url,
		                         .token = "hly_c_test",
		                         .environment = "prod",
		                         .public_key = speaker->issuer.key_text,
		                         .connect_timeout_ms = 2000,
		                         .silence_timeout_ms = 1000,
		                         .stale_after_ms = 800,
		                         .poll_interval_ms = 100,
		                         .telemetry_interval_ms = UINT32_MAX };
}

static inline struct halyard_client *client_open(const struct halyard_options *options)
{
	struct halyard_client *client = NULL;
	int result = halyard_open(&client, options);
	if (result != HALYARD_OK) {
		fail_msg("%d: %s", result, halyard_open_error());
	}
	return client;
}

static inline struct halyard_client *client_ready(const struct halyard_options *options)
{
	struct halyard_client *client = client_open(options);
	assert_int_equal(halyard_wait_ready(client, 10000), HALYARD_OK);
	return client;
}

static inline struct halyard_status status_of(struct halyard_client *client)
{
	struct halyard_status status = { .size = sizeof(status) };
	halyard_status(client, &status);
	return status;
}

static inline bool flag_of(struct halyard_client *client, const char *key)
{
	return halyard_bool(client, key, NULL, false, NULL);
}

/* How long halyard_close() takes. */
static inline int64_t close_ms(struct halyard_client *client)
{
	int64_t start_ms = clock_monotonic_ms(&clock_system);
	halyard_close(client);
	return clock_monotonic_ms(&clock_system) - start_ms;
}

#define ALERTS_OFF BOOLEAN_FLAG("alerts", "1", "off")
#define ALERTS_ON  BOOLEAN_FLAG("alerts", "2", "on")
#define OTHER_ON   BOOLEAN_FLAG("other", "1", "on")
