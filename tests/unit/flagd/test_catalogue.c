/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/catalogue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct row *row_of(enum store_table table, const char *key, const char *environment, uint64_t version)
{
	struct store_row from = { .table = table,
		                  .key = key,
		                  .environment = environment,
		                  .version = version,
		                  .doc = "{\"a\":1}",
		                  .doc_length = 7 };
	struct row *row = NULL;
	struct error err = ERROR_INIT;
	assert_int_equal(row_new(&from, &row, &err), STATUS_OK);
	return row;
}

static struct row *put(struct catalogue *catalogue, struct row *row)
{
	struct row *old = NULL;
	struct error err = ERROR_INIT;
	assert_int_equal(catalogue_put(catalogue, row, &old, &err), STATUS_OK);
	return old;
}

static void rows_are_sorted_and_found(void **state)
{
	(void)state;
	struct catalogue *catalogue = catalogue_new();
	assert_non_null(catalogue);
	static const char *const keys[] = { "m", "a.b", "z", "a", "A", "a-b", "m2", "_" };
	for (size_t i = 0; i < 8; i++) {
		assert_null(put(catalogue, row_of(STORE_SETTING, keys[i], "prod", 1)));
		assert_null(put(catalogue, row_of(STORE_SETTING, keys[i], "dev", 2)));
	}
	assert_int_equal(catalogue_count(catalogue, STORE_SETTING), 16);
	assert_int_equal(catalogue_count(catalogue, STORE_FLAG), 0);
	for (size_t i = 1; i < 16; i++) {
		const struct row *before = catalogue_at(catalogue, STORE_SETTING, i - 1);
		const struct row *row = catalogue_at(catalogue, STORE_SETTING, i);
		int order = strcmp(before->key, row->key);
		assert_true(order < 0 || (order == 0 && strcmp(before->environment, row->environment) < 0));
	}
	assert_int_equal(catalogue_find(catalogue, STORE_SETTING, "a", "dev")->version, 2);
	assert_null(catalogue_find(catalogue, STORE_SETTING, "a", "staging"));
	assert_null(catalogue_find(catalogue, STORE_SETTING, "b", "dev"));
	assert_null(catalogue_find(catalogue, STORE_FLAG, "a", NULL));
	catalogue_free(catalogue);
}

static void after_skips_every_row_of_the_key(void **state)
{
	(void)state;
	struct catalogue *catalogue = catalogue_new();
	assert_non_null(catalogue);
	assert_int_equal(catalogue_after(catalogue, STORE_SETTING, "a"), 0);
	(void)put(catalogue, row_of(STORE_SETTING, "a", "0", 1));
	(void)put(catalogue, row_of(STORE_SETTING, "a", "zz", 1));
	(void)put(catalogue, row_of(STORE_SETTING, "b", "dev", 1));
	assert_int_equal(catalogue_after(catalogue, STORE_SETTING, NULL), 0);
	assert_int_equal(catalogue_after(catalogue, STORE_SETTING, ""), 0);
	assert_int_equal(catalogue_after(catalogue, STORE_SETTING, "A"), 0);
	assert_int_equal(catalogue_after(catalogue, STORE_SETTING, "a"), 2);
	assert_int_equal(catalogue_after(catalogue, STORE_SETTING, "aa"), 2);
	assert_int_equal(catalogue_after(catalogue, STORE_SETTING, "b"), 3);
	assert_int_equal(catalogue_after(catalogue, STORE_SETTING, "c"), 3);
	catalogue_free(catalogue);
}

/* A token's environment is no part of its key. */
static void tokens_are_found_by_id_alone(void **state)
{
	(void)state;
	struct catalogue *catalogue = catalogue_new();
	assert_non_null(catalogue);
	assert_null(put(catalogue, row_of(STORE_TOKEN, "tok_1", "prod", 1)));
	assert_int_equal(catalogue_find(catalogue, STORE_TOKEN, "tok_1", NULL)->version, 1);
	struct row *old = put(catalogue, row_of(STORE_TOKEN, "tok_1", NULL, 2));
	assert_int_equal(old->version, 1);
	row_unref(old);
	assert_int_equal(catalogue_count(catalogue, STORE_TOKEN), 1);
	catalogue_free(catalogue);
}

/* Puts that are taken back, also two of one row, leave what was there, with its references. */
static void restore_takes_puts_back(void **state)
{
	(void)state;
	struct catalogue *catalogue = catalogue_new();
	assert_non_null(catalogue);
	struct row *first = row_of(STORE_FLAG, "f", NULL, 1);
	assert_null(put(catalogue, row_ref(first)));
	struct row *second = row_of(STORE_FLAG, "f", NULL, 2);
	struct row *old_of_second = put(catalogue, row_ref(second));
	struct row *old_of_third = put(catalogue, row_of(STORE_FLAG, "f", NULL, 3));
	assert_ptr_equal(old_of_second, first);
	assert_ptr_equal(old_of_third, second);
	assert_null(put(catalogue, row_of(STORE_FLAG, "new", NULL, 1)));
	catalogue_restore(catalogue, STORE_FLAG, "new", NULL, NULL);
	catalogue_restore(catalogue, STORE_FLAG, "f", NULL, old_of_third);
	catalogue_restore(catalogue, STORE_FLAG, "f", NULL, old_of_second);
	assert_ptr_equal(catalogue_find(catalogue, STORE_FLAG, "f", NULL), first);
	assert_null(catalogue_find(catalogue, STORE_FLAG, "new", NULL));
	assert_int_equal(catalogue_count(catalogue, STORE_FLAG), 1);
	assert_int_equal(first->refs, 2);
	assert_int_equal(second->refs, 1);
	row_unref(first);
	row_unref(second);
	catalogue_free(catalogue);
}

static void damaged_documents_are_refused(void **state)
{
	(void)state;
	struct store_row from = {
		.table = STORE_FLAG, .key = "f", .version = 1, .doc = "{\"a\":", .doc_length = 5
	};
	struct row *row = NULL;
	struct error err = ERROR_INIT;
	assert_int_equal(row_new(&from, &row, &err), STATUS_CORRUPT);
	assert_null(row);
	assert_non_null(strstr(err.message, "A stored document is not JSON"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_sorted_and_found),
		cmocka_unit_test(after_skips_every_row_of_the_key),
		cmocka_unit_test(tokens_are_found_by_id_alone),
		cmocka_unit_test(restore_takes_puts_back),
		cmocka_unit_test(damaged_documents_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
