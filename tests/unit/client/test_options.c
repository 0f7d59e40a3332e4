/* SPDX-License-Identifier: Apache-2.0 */
#include "client/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct halyard_options good = {
	.size = sizeof(good), .url = "http://127.0.0.1:1", .token = "hly_c_x", .environment = "prod"
};

static void expect_refused(const struct halyard_options *options, const char *word)
{
	struct halyard_client *client = NULL;
	assert_int_equal(halyard_open(&client, options), HALYARD_E_INVALID);
	assert_null(client);
	if (strstr(halyard_open_error(), word) == NULL) {
		fail_msg("no \"%s\" in: %s", word, halyard_open_error());
	}
}

static void test_urls(void **state)
{
	(void)state;
	char out[ADDRESS_SIZE];
	char long_url[ADDRESS_SIZE + 16];
	const char *const accepted[][2] = {
		{ "http://127.0.0.1:8016", "http://127.0.0.1:8016" },
		{ "http://127.0.0.1:8016/", "http://127.0.0.1:8016" },
		{ "https://flags.example.com///", "https://flags.example.com" },
		{ "https://example.com/halyard/", "https://example.com/halyard" },
		{ "http://[::1]:8016", "http://[::1]:8016" },
		{ "HTTP://localhost", "HTTP://localhost" },
	};
	for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
		struct error err = ERROR_INIT;
		if (address_check(accepted[i][0], out, &err) != STATUS_OK) {
			fail_msg("%s: %s", accepted[i][0], err.message);
		}
		assert_string_equal(out, accepted[i][1]);
	}
	const char *const refused[] = { "",
		                        "127.0.0.1:8016",
		                        "ftp://example.com",
		                        "file:///etc/passwd",
		                        "http://",
		                        "http://user@example.com",
		                        "http://user:secret@example.com",
		                        "http://example.com?x=1",
		                        "http://example.com/#x",
		                        "http://example.com:99999",
		                        "http://exa mple.com",
		                        "http://example.com\r\nHost: x" };
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct error err = ERROR_INIT;
		if (address_check(refused[i], out, &err) != STATUS_INVALID) {
			fail_msg("accepted: %s", refused[i]);
		}
		assert_non_null(strstr(err.message, "url"));
		assert_null(strstr(err.message, "secret"));
	}
	memset(long_url, 'x', sizeof(long_url));
	memcpy(long_url, "http://", 7);
	long_url[sizeof(long_url) - 1] = '\0';
	assert_int_equal(address_check(long_url, out, NULL), STATUS_INVALID);
}

static void test_refused(void **state)
{
	(void)state;
	char long_text[1024];
	struct halyard_client *client = NULL;
	memset(long_text, 'x', sizeof(long_text));
	long_text[sizeof(long_text) - 1] = '\0';
	assert_int_equal(halyard_open(NULL, &good), HALYARD_E_INVALID);
	assert_non_null(strstr(halyard_open_error(), "ret_client"));
	expect_refused(NULL, "options");

	struct halyard_options options = { 0 };
	expect_refused(&options, "size");
	options = good;
	options.size = 8;
	expect_refused(&options, "size");

	const char *const bad_tokens[] = { NULL, "", "a b", "a\r\nX-Evil: 1", "\xc3\xbc", long_text };
	for (size_t i = 0; i < sizeof(bad_tokens) / sizeof(bad_tokens[0]); i++) {
		options = good;
		options.token = bad_tokens[i];
		expect_refused(&options, "token");
	}
	const char *const bad_environments[] = { NULL, "", "a/b", "..", "-x", "a b", "\xc3\xbc", long_text };
	for (size_t i = 0; i < sizeof(bad_environments) / sizeof(bad_environments[0]); i++) {
		options = good;
		options.environment = bad_environments[i];
		expect_refused(&options, "environment");
	}
	const char *const bad_keys[] = { "", "x", "AAAA",
		                         "not base64 at all, and far too long for a key of that kind" };
	for (size_t i = 0; i < sizeof(bad_keys) / sizeof(bad_keys[0]); i++) {
		options = good;
		options.public_key = bad_keys[i];
		expect_refused(&options, "public_key");
	}
	options = good;
	options.url = NULL;
	expect_refused(&options, "url");
	options = good;
	options.cache_dir = "";
	expect_refused(&options, "cache_dir");
	char *folder = calloc(1, 8192);
	assert_non_null(folder);
	memset(folder, 'x', 8191);
	options.cache_dir = folder;
	expect_refused(&options, "cache_dir");
	free(folder);

	/* What went wrong before is not told of what went well. */
	assert_int_equal(halyard_open(&client, &good), HALYARD_OK);
	assert_string_equal(halyard_open_error(), "");
	halyard_close(client);
}

/* Programs that were compiled with another version of the header. */
static void test_sizes(void **state)
{
	(void)state;
	struct {
		struct halyard_options options;
		uint64_t later[2];
	} newer = { .options = good };
	struct halyard_client *client = NULL;
	newer.options.size = sizeof(newer);
	assert_int_equal(halyard_open(&client, &newer.options), HALYARD_OK);
	/* The status is written as far as the caller knows it. */
	struct {
		struct halyard_status status;
		uint64_t behind;
	} known = { .status.size = sizeof(known), .behind = 7 };
	halyard_status(client, &known.status);
	assert_int_equal(known.behind, 7);
	assert_int_equal(known.status.size, sizeof(known));
	struct halyard_status older;
	memset(&older, 0x5a, sizeof(older));
	older.size = offsetof(struct halyard_status, epoch);
	halyard_status(client, &older);
	assert_int_equal(older.source, HALYARD_SOURCE_NONE);
	assert_int_equal(older.epoch, 0x5a5a5a5a5a5a5a5a);
	halyard_status(client, NULL);
	halyard_close(client);
	newer.later[1] = 1;
	client = NULL;
	expect_refused(&newer.options, "version");
}

static void test_defaults(void **state)
{
	(void)state;
	struct client_settings settings;
	uint8_t key[BUNDLE_PUBLIC_KEY_BYTES];
	bool has_key = true;
	assert_int_equal(options_read(&good, &settings, key, &has_key, NULL), STATUS_OK);
	assert_false(has_key);
	assert_int_equal(settings.poll_interval_ms, 30000);
	assert_int_equal(settings.connect_timeout_ms, 5000);
	assert_int_equal(settings.silence_timeout_ms, 45000);
	assert_int_equal(settings.stale_after_ms, 60000);
	assert_int_equal(settings.telemetry_interval_ms, 10000);
	assert_true(settings.has_telemetry);
	assert_false(settings.has_cache);
	struct halyard_options silent = good;
	silent.telemetry_interval_ms = UINT32_MAX;
	assert_int_equal(options_read(&silent, &settings, key, &has_key, NULL), STATUS_OK);
	assert_false(settings.has_telemetry);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_urls),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_defaults),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
