/* SPDX-License-Identifier: Apache-2.0 */
/* Publications whose memory runs out. */
#include "flagd/publish.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "tests/support/fault.h"

static uint8_t secret_key[BUNDLE_SECRET_KEY_BYTES];
static const uint8_t head[32] = { 9 };

static struct flag *flag_of(const char *text)
{
	struct flag *flag = NULL;
	struct error err = ERROR_INIT;
	assert_int_equal(flag_load(text, strlen(text), &flag, &err), STATUS_OK);
	assert_null(flag->item.broken);
	return flag;
}

static enum status prepare(struct publisher *publisher, const struct ruleset_edit *edit,
                           struct ruleset *ruleset, uint64_t revision, struct publication *publication)
{
	struct error err = ERROR_INIT;
	uint8_t digest[FLAG_DIGEST_BYTES] = { 1 };
	struct publication_entry entry = { .environment = "dev",
		                           .ruleset = ruleset,
		                           .digest = digest,
		                           .edits = edit,
		                           .edit_count = 1,
		                           .revision = revision,
		                           .now_ms = 1000,
		                           .audit_size = revision,
		                           .audit_head = head };
	enum status status = publication_add(publication, publisher, &entry, &err);
	if (status == STATUS_OK) {
		status = publication_prepare(publication, publisher, &err);
	}
	return status;
}

/* Whichever allocation fails: the publisher is as it was, and the next try works. */
static void running_out_of_memory_publishes_nothing(void **state)
{
	(void)state;
	struct view_cell *cell = view_cell_new();
	struct publisher_options options = {
		.cell = cell, .secret_key = secret_key, .history = 4, .epoch = 3
	};
	struct publisher *publisher = publisher_new(&options);
	assert_non_null(cell);
	assert_non_null(publisher);
	struct flag *flag =
	        flag_of("{\"key\":\"f\",\"type\":\"boolean\",\"version\":\"1\",\"variants\":{\"on\":true},"
	                "\"enabled\":true,\"off_variant\":null,\"default\":{\"variant\":\"on\"}}");
	struct ruleset_edit edit = { ITEM_FLAG, "f", &flag->item };
	struct ruleset *ruleset = NULL;
	struct error err = ERROR_INIT;
	assert_int_equal(ruleset_new(NULL, &edit, 1, &ruleset, &err), STATUS_OK);
	struct publication publication = { 0 };
	assert_int_equal(prepare(publisher, &edit, ruleset, 1, &publication), STATUS_OK);
	publication_apply(&publication, publisher);
	struct snapshot *current = publisher_find(publisher, "dev");
	size_t failures = 0;
	for (;;) {
		fault_set(failures + 1);
		enum status status = prepare(publisher, &edit, ruleset, 2, &publication);
		if (!fault_end()) {
			assert_int_equal(status, STATUS_OK);
			break;
		}
		failures++;
		assert_int_equal(status, STATUS_NO_MEMORY);
		publication_deinit(&publication);
		assert_ptr_equal(publisher_find(publisher, "dev"), current);
	}
	assert_true(failures > 5);
	publication_apply(&publication, publisher);
	assert_string_equal(snapshot_tag(publisher_find(publisher, "dev")), "3-2");
	ruleset_unref(ruleset);
	item_unref(&flag->item);
	publisher_free(publisher);
	view_cell_free(cell);
}

static int keys_setup(void **state)
{
	(void)state;
	uint8_t public_key[BUNDLE_PUBLIC_KEY_BYTES];
	return sodium_init() < 0 ? -1 : crypto_sign_keypair(public_key, secret_key);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(running_out_of_memory_publishes_nothing) };
	return cmocka_run_group_tests(tests, keys_setup, NULL);
}
