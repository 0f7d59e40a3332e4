/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/status.h"

/* What was released: clients compare these slugs. Append; never change a row. */
static const struct {
	enum status status;
	int http;
	const char *slug;
} released[] = {
	{ STATUS_OK, 200, "ok" },
	{ STATUS_INVALID, 400, "invalid" },
	{ STATUS_MALFORMED, 400, "malformed" },
	{ STATUS_UNAUTHENTICATED, 401, "unauthenticated" },
	{ STATUS_FORBIDDEN, 403, "forbidden" },
	{ STATUS_NOT_FOUND, 404, "not_found" },
	{ STATUS_METHOD_NOT_ALLOWED, 405, "method_not_allowed" },
	{ STATUS_TIMEOUT, 408, "timeout" },
	{ STATUS_CONFLICT, 409, "conflict" },
	{ STATUS_GONE, 410, "gone" },
	{ STATUS_PRECONDITION_FAILED, 412, "precondition_failed" },
	{ STATUS_TOO_LARGE, 413, "too_large" },
	{ STATUS_URI_TOO_LONG, 414, "uri_too_long" },
	{ STATUS_UNSUPPORTED_MEDIA, 415, "unsupported_media_type" },
	{ STATUS_CONFIRMATION_REQUIRED, 428, "confirmation_required" },
	{ STATUS_RATE_LIMITED, 429, "rate_limited" },
	{ STATUS_HEADERS_TOO_LARGE, 431, "headers_too_large" },
	{ STATUS_INTERNAL, 500, "internal" },
	{ STATUS_NO_MEMORY, 503, "no_memory" },
	{ STATUS_UNAVAILABLE, 503, "unavailable" },
	{ STATUS_READ_ONLY, 503, "read_only" },
	{ STATUS_STORAGE_FULL, 507, "storage_full" },
	{ STATUS_CORRUPT, 500, "corrupt" },
	{ STATUS_UNTRUSTED, 502, "untrusted" },
	{ STATUS_OLDER, 409, "older" },
	{ STATUS_NETWORK, 502, "network" },
};

#define RELEASED_COUNT (sizeof(released) / sizeof(released[0]))

static void released_codes_never_change(void **state)
{
	(void)state;
	for (size_t i = 0; i < RELEASED_COUNT; i++) {
		assert_int_equal(status_http(released[i].status), released[i].http);
		assert_string_equal(status_slug(released[i].status), released[i].slug);
	}
}

static void every_row_is_complete_and_unique(void **state)
{
	(void)state;
	assert_int_equal(STATUS_OK, 0);
	assert_true(STATUS_COUNT >= RELEASED_COUNT);
	for (unsigned i = 0; i < STATUS_COUNT; i++) {
		const char *slug = status_slug((enum status)i);
		const int http = status_http((enum status)i);
		assert_true(slug[0] != '\0' && strspn(slug, "abcdefghijklmnopqrstuvwxyz_") == strlen(slug));
		assert_true(i == STATUS_OK ? http == 200 : http >= 400 && http <= 599);
		assert_true(strlen(status_title((enum status)i)) > 0);
		for (unsigned j = 0; j < i; j++) {
			assert_string_not_equal(slug, status_slug((enum status)j));
			assert_string_not_equal(status_title((enum status)i), status_title((enum status)j));
		}
	}
}

static void unknown_values_are_internal(void **state)
{
	(void)state;
	const unsigned unknown[] = { STATUS_COUNT, 1000, UINT32_MAX };
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		assert_int_equal(status_http((enum status)unknown[i]), 500);
		assert_string_equal(status_slug((enum status)unknown[i]), "internal");
		assert_string_equal(status_title((enum status)unknown[i]), status_title(STATUS_INTERNAL));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(released_codes_never_change),
		cmocka_unit_test(every_row_is_complete_and_unique),
		cmocka_unit_test(unknown_values_are_internal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
