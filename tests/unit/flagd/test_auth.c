/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/auth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#define HOUR_MS  (60LL * 60 * 1000)
#define NOW_MS   (1800000000000LL / HOUR_MS * HOUR_MS)
#define LONGEST  "e234567890123456789012345678901234567890123456789012345678901234"
#define TOKEN_ID "tok_0123456789abcdef"
#define OTHER_ID "tok_0123456789abcdf0"

static const uint8_t pepper[TOKEN_PEPPER_BYTES] = { 1, 2, 3 };

static struct view *view_of(const char *id)
{
	struct view_token token = { .hash = { 7 }, .kind = TOKEN_WEB };
	(void)snprintf(token.id, sizeof(token.id), "%s", id);
	struct token_table *tokens = token_table_new(&token, 1);
	assert_non_null(tokens);
	struct view *view = view_new(NULL, 0, tokens);
	assert_non_null(view);
	token_table_unref(tokens);
	return view;
}

static enum status check(const char *ticket, int64_t now_ms, char *ret_environment)
{
	struct view *view = view_of(TOKEN_ID);
	struct error err = ERROR_INIT;
	char environment[BUNDLE_ENVIRONMENT_SIZE] = "untouched";
	enum status status = ticket_check(ticket, view, pepper, now_ms, environment, &err);
	if (status != STATUS_OK) {
		assert_int_equal(status, STATUS_UNAUTHENTICATED);
		assert_string_equal(environment, "untouched");
	} else if (ret_environment != NULL) {
		memcpy(ret_environment, environment, sizeof(environment));
	}
	view_unref(view);
	return status;
}

static void make(const char *environment, int64_t now_ms, char ticket[static TICKET_SIZE])
{
	struct principal principal = { .kind = TOKEN_WEB };
	(void)snprintf(principal.id, sizeof(principal.id), "%s", TOKEN_ID);
	ticket_format(&principal, environment, pepper, now_ms, ticket);
}

static void ticket_opens_its_environment(void **state)
{
	(void)state;
	static const char *const environments[] = { "p", "prod-eu-1", LONGEST };
	for (size_t i = 0; i < 3; i++) {
		char ticket[TICKET_SIZE];
		char environment[BUNDLE_ENVIRONMENT_SIZE];
		make(environments[i], NOW_MS, ticket);
		assert_int_equal(check(ticket, NOW_MS, environment), STATUS_OK);
		assert_string_equal(environment, environments[i]);
	}
}

static void ticket_stays_the_same_for_an_hour_and_expires(void **state)
{
	(void)state;
	char first[TICKET_SIZE];
	char last[TICKET_SIZE];
	make("prod", NOW_MS, first);
	make("prod", NOW_MS + HOUR_MS - 1, last);
	assert_string_equal(first, last);
	make("prod", NOW_MS + HOUR_MS, last);
	assert_string_not_equal(first, last);
	assert_int_equal(check(first, NOW_MS + 2 * HOUR_MS - 1, NULL), STATUS_OK);
	assert_int_equal(check(first, NOW_MS + 2 * HOUR_MS, NULL), STATUS_UNAUTHENTICATED);
	assert_int_equal(check(last, NOW_MS + 2 * HOUR_MS, NULL), STATUS_OK);
}

static void altered_tickets_are_refused(void **state)
{
	(void)state;
	char ticket[TICKET_SIZE];
	make(LONGEST, NOW_MS, ticket);
	size_t length = strlen(ticket);
	for (size_t i = 0; i < length; i++) {
		char altered[TICKET_SIZE];
		memcpy(altered, ticket, sizeof(altered));
		altered[i] = altered[i] == 'a' ? 'b' : 'a';
		assert_int_equal(check(altered, NOW_MS, NULL), STATUS_UNAUTHENTICATED);
		altered[i] = '\0';
		assert_int_equal(check(altered, NOW_MS, NULL), STATUS_UNAUTHENTICATED);
	}
	char longer[4 * TICKET_SIZE];
	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	static const char *const others[] = { NULL, "", ".", "..", "...", "a.b.c.d" };
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		assert_int_equal(check(others[i], NOW_MS, NULL), STATUS_UNAUTHENTICATED);
	}
	assert_int_equal(check(longer, NOW_MS, NULL), STATUS_UNAUTHENTICATED);
	(void)snprintf(longer, sizeof(longer), "%s.%s", ticket, ticket);
	assert_int_equal(check(longer, NOW_MS, NULL), STATUS_UNAUTHENTICATED);
}

static void ticket_dies_with_its_token_and_pepper(void **state)
{
	(void)state;
	char ticket[TICKET_SIZE];
	char environment[BUNDLE_ENVIRONMENT_SIZE];
	make("prod", NOW_MS, ticket);
	struct error err = ERROR_INIT;
	struct view *view = view_of(OTHER_ID);
	assert_int_equal(ticket_check(ticket, view, pepper, NOW_MS, environment, &err),
	                 STATUS_UNAUTHENTICATED);
	assert_null(strstr(err.message, ticket));
	view_unref(view);
	view = view_of(TOKEN_ID);
	const uint8_t other[TOKEN_PEPPER_BYTES] = { 1, 2, 4 };
	assert_int_equal(ticket_check(ticket, view, other, NOW_MS, environment, &err),
	                 STATUS_UNAUTHENTICATED);
	view_unref(view);
}

static void tokens_are_found_by_hash_and_id(void **state)
{
	(void)state;
	enum { COUNT = 1000 };
	static struct view_token list[COUNT];
	for (size_t i = 0; i < COUNT; i++) {
		/* The slot is the hash's first bytes: all of them collide. */
		memset(list[i].hash, 0xff, sizeof(list[i].hash));
		list[i].hash[30] = (uint8_t)(i >> 8);
		list[i].hash[31] = (uint8_t)i;
		(void)snprintf(list[i].id, sizeof(list[i].id), "tok_%016zx", i * 2);
	}
	struct token_table *tokens = token_table_new(list, COUNT);
	assert_non_null(tokens);
	struct view *view = view_new(NULL, 0, tokens);
	assert_non_null(view);
	token_table_unref(tokens);
	uint8_t unknown[TOKEN_HASH_BYTES];
	memset(unknown, 0xff, sizeof(unknown));
	assert_null(view_token_find(view, unknown));
	assert_null(view_token_find_id(view, "tok_0000000000000001"));
	assert_null(view_token_find_id(view, ""));
	for (size_t i = 0; i < COUNT; i++) {
		const struct view_token *token = view_token_find(view, list[i].hash);
		assert_non_null(token);
		assert_string_equal(token->id, list[i].id);
		assert_ptr_equal(view_token_find_id(view, list[i].id), token);
	}
	view_unref(view);
}

static int sodium_setup(void **state)
{
	(void)state;
	return sodium_init() < 0 ? -1 : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ticket_opens_its_environment),
		cmocka_unit_test(ticket_stays_the_same_for_an_hour_and_expires),
		cmocka_unit_test(altered_tickets_are_refused),
		cmocka_unit_test(ticket_dies_with_its_token_and_pepper),
		cmocka_unit_test(tokens_are_found_by_hash_and_id),
	};
	return cmocka_run_group_tests(tests, sodium_setup, NULL);
}
