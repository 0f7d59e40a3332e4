/* SPDX-License-Identifier: Apache-2.0 */
#include "client/options.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Up to and with the last member of the first version. */
#define OPTIONS_MIN_SIZE (offsetof(struct halyard_options, log_user) + sizeof(void *))

enum status options_copy(const struct halyard_options *options, struct halyard_options *ret,
                         struct error *err)
{
	if (options == NULL) {
		return error_fail(err, STATUS_INVALID, "The options are missing");
	}
	size_t size = options->size;
	if (size < OPTIONS_MIN_SIZE) {
		return error_fail(err, STATUS_INVALID,
		                  "size must be sizeof(struct halyard_options), %zu or more, not %zu",
		                  (size_t)OPTIONS_MIN_SIZE, size);
	}
	/* Options of a later version must not be lost silently. */
	for (size_t i = sizeof(*ret); i < size; i++) {
		if (((const unsigned char *)options)[i] != 0) {
			return error_fail(err, STATUS_INVALID,
			                  "An option is set that this version of the library does not have");
		}
	}
	*ret = (struct halyard_options){ 0 };
	memcpy(ret, options, size < sizeof(*ret) ? size : sizeof(*ret));
	return STATUS_OK;
}

/* What a header and a path can hold without being misread: visible ASCII. */
static bool is_visible(const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text <= ' ' || *text > '~') {
			return false;
		}
	}
	return true;
}

static enum status text_check(const char *name, const char *text, size_t size, struct error *err)
{
	if (text == NULL || text[0] == '\0') {
		return error_fail(err, STATUS_INVALID, "%s is missing", name);
	}
	if (strlen(text) >= size) {
		return error_fail(err, STATUS_INVALID, "%s is longer than %zu bytes", name, size - 1);
	}
	if (!is_visible(text)) {
		return error_fail(err, STATUS_INVALID, "%s may hold visible ASCII characters only", name);
	}
	return STATUS_OK;
}

static enum status environment_check(const char *environment, struct error *err)
{
	enum status status = text_check("environment", environment, BUNDLE_ENVIRONMENT_SIZE, err);
	/* It becomes part of a path and of a file's name. */
	if (status == STATUS_OK && !flag_key_is_valid(environment, strlen(environment))) {
		status = error_fail(
		        err, STATUS_INVALID,
		        "environment may hold letters, digits, '.', '_' and '-' only, and begins with a "
		        "letter or digit");
	}
	return status;
}

static uint32_t or_default(uint32_t value, uint32_t value_default)
{
	return value != 0 ? value : value_default;
}

enum status options_read(const struct halyard_options *options, struct client_settings *ret,
                         uint8_t ret_key[static BUNDLE_PUBLIC_KEY_BYTES], bool *ret_has_key,
                         struct error *err)
{
	struct client_settings settings = {
		.poll_interval_ms = or_default(options->poll_interval_ms, 30000),
		.connect_timeout_ms = or_default(options->connect_timeout_ms, 5000),
		.silence_timeout_ms = or_default(options->silence_timeout_ms, 45000),
		.stale_after_ms = or_default(options->stale_after_ms, 60000),
		.telemetry_interval_ms = or_default(options->telemetry_interval_ms, 10000),
		.disable_streaming = options->disable_streaming,
		.has_telemetry = options->telemetry_interval_ms != UINT32_MAX,
		.has_cache = options->cache_dir != NULL,
		.log = options->log,
		.log_user = options->log_user,
	};
	enum status status = text_check("url", options->url, ADDRESS_SIZE, err);
	if (status == STATUS_OK) {
		status = address_check(options->url, settings.url, err);
	}
	if (status == STATUS_OK) {
		status = text_check("token", options->token, sizeof(settings.token), err);
	}
	if (status == STATUS_OK) {
		status = environment_check(options->environment, err);
	}
	if (status != STATUS_OK) {
		return status;
	}
	if (options->cache_dir != NULL && options->cache_dir[0] == '\0') {
		return error_fail(err, STATUS_INVALID, "cache_dir is empty; leave it NULL for no cache");
	}
	const char *key = options->public_key;
	uint8_t key_bytes[BUNDLE_PUBLIC_KEY_BYTES] = { 0 };
	if (key != NULL && !intake_key_parse(key, strlen(key), key_bytes)) {
		return error_fail(err, STATUS_INVALID, "public_key is not the base64 text of an Ed25519 key");
	}
	(void)snprintf(settings.token, sizeof(settings.token), "%s", options->token);
	(void)snprintf(settings.environment, sizeof(settings.environment), "%s", options->environment);
	memcpy(ret_key, key_bytes, sizeof(key_bytes));
	*ret_has_key = key != NULL;
	*ret = settings;
	return STATUS_OK;
}
