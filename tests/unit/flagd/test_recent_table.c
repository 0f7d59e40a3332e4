/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/recent_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

struct item {
	struct recent_entry entry;
	unsigned value;
};

static int sodium_setup(void **state)
{
	(void)state;
	return sodium_init() < 0 ? -1 : 0;
}

static struct item *touch(struct recent_table *table, const char *key, int64_t now_ms)
{
	return recent_table_touch(table, key, strlen(key), now_ms);
}

/* Keys from newest to oldest, separated by blanks; the order must be the same from the other end. */
static void order_is(const struct recent_table *table, const char *expected)
{
	char forward[256] = "", backward[256] = "";
	size_t count = 0;
	for (const struct recent_entry *entry = table->newest; entry != NULL; entry = entry->older, count++) {
		const size_t used = strlen(forward);
		(void)snprintf(forward + used, sizeof(forward) - used, "%s%s", count == 0 ? "" : " ",
		               recent_table_key(table, entry));
	}
	for (const struct recent_entry *entry = table->oldest; entry != NULL; entry = entry->newer) {
		char behind[256];
		(void)snprintf(behind, sizeof(behind), "%s", backward);
		(void)snprintf(backward, sizeof(backward), "%.100s%s%.100s", recent_table_key(table, entry),
		               behind[0] == '\0' ? "" : " ", behind);
	}
	assert_string_equal(forward, expected);
	assert_string_equal(backward, expected);
	assert_int_equal(count, table->count);
}

static void touching_finds_makes_and_orders(void **state)
{
	(void)state;
	struct recent_table table;
	recent_table_init(&table, 10, sizeof(struct item));
	struct item *const a = touch(&table, "a", 1);
	assert_non_null(a);
	assert_int_equal(a->value, 0);
	a->value = 7;
	assert_non_null(touch(&table, "b", 2));
	assert_non_null(touch(&table, "c", 3));
	order_is(&table, "c b a");
	assert_ptr_equal(touch(&table, "a", 4), a);
	assert_int_equal(a->value, 7);
	assert_int_equal(a->entry.seen_ms, 4);
	order_is(&table, "a c b");
	assert_non_null(touch(&table, "c", 5));
	order_is(&table, "c a b");
	assert_non_null(touch(&table, "c", 5));
	order_is(&table, "c a b");
	recent_table_deinit(&table);
	recent_table_deinit(&table);
}

static void keys_are_bytes(void **state)
{
	(void)state;
	struct recent_table table;
	recent_table_init(&table, 10, sizeof(struct item));
	struct item *const first = recent_table_touch(&table, "x\0y", 3, 1);
	assert_ptr_not_equal(recent_table_touch(&table, "x\0z", 3, 1), first);
	assert_ptr_not_equal(recent_table_touch(&table, "x", 1, 1), first);
	assert_ptr_not_equal(recent_table_touch(&table, "", 0, 1), first);
	assert_ptr_equal(recent_table_touch(&table, "x\0y", 3, 1), first);
	assert_memory_equal(recent_table_key(&table, first), "x\0y", 4);
	assert_int_equal(table.count, 4);
	recent_table_deinit(&table);
}

static void full_table_refuses_while_all_are_fresh(void **state)
{
	(void)state;
	struct recent_table table;
	recent_table_init(&table, 2, sizeof(struct item));
	assert_non_null(touch(&table, "a", 1000));
	assert_non_null(touch(&table, "b", 2000));
	assert_null(touch(&table, "c", 1000 + RECENT_TABLE_KEEP_MS));
	assert_non_null(touch(&table, "a", 1000 + RECENT_TABLE_KEEP_MS));
	order_is(&table, "a b");
	assert_null(touch(&table, "c", 2000 + RECENT_TABLE_KEEP_MS));
	assert_non_null(touch(&table, "c", 2001 + RECENT_TABLE_KEEP_MS));
	order_is(&table, "c a");
	assert_null(touch(&table, "b", 2001 + RECENT_TABLE_KEEP_MS));
	/* The clock was set back: nothing is old then. */
	assert_null(touch(&table, "b", 5));
	recent_table_deinit(&table);
	recent_table_init(&table, 0, sizeof(struct item));
	assert_null(touch(&table, "a", 1));
	recent_table_deinit(&table);
}

static void many_keys_survive_growth_and_exchange(void **state)
{
	(void)state;
	struct recent_table table;
	const unsigned max = 5000;
	recent_table_init(&table, max, sizeof(struct item));
	for (unsigned i = 0; i < 3 * max; i++) {
		/* Each is an hour and a bit younger than the one that stood max places before. */
		const int64_t now_ms = (int64_t)i * (RECENT_TABLE_KEEP_MS / max + 1);
		struct item *const item = recent_table_touch(&table, &i, sizeof(i), now_ms);
		assert_non_null(item);
		item->value = i;
	}
	assert_int_equal(table.count, max);
	for (unsigned i = 2 * max; i < 3 * max; i++) {
		const struct item *const item = recent_table_touch(&table, &i, sizeof(i), 0);
		assert_non_null(item);
		assert_int_equal(item->value, i);
	}
	assert_true(table.slot_count >= max / 2 && table.slot_count <= 2 * max + 64);
	recent_table_deinit(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(touching_finds_makes_and_orders),
		cmocka_unit_test(keys_are_bytes),
		cmocka_unit_test(full_table_refuses_while_all_are_fresh),
		cmocka_unit_test(many_keys_survive_growth_and_exchange),
	};
	return cmocka_run_group_tests(tests, sodium_setup, NULL);
}
