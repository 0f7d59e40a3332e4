/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fails each allocation of an operation in turn: it must say STATUS_NO_MEMORY or do without, and leak or
 * break nothing. The sanitizers bring allocators of their own; with them these tests are skipped.
 */
#include "tests/unit/base/document.h"

#include <errno.h>

#include "base/arena.h"
#include "base/file.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define IS_SANITIZED 1
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1
#endif

/* The allocation that fails, counted from now; 0: none. */
static unsigned fail_at;

#ifdef IS_SANITIZED

static const bool is_sanitized = true;

#else

static const bool is_sanitized = false;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);

#define EXPORT __attribute__((visibility("default"), used))

static bool allocation_fails(void)
{
	if (fail_at == 0 || --fail_at > 0) {
		return false;
	}
	errno = ENOMEM;
	return true;
}

EXPORT void *malloc(size_t size)
{
	return allocation_fails() ? NULL : __libc_malloc(size);
}

EXPORT void *calloc(size_t count, size_t size)
{
	return allocation_fails() ? NULL : __libc_calloc(count, size);
}

EXPORT void *realloc(void *memory, size_t size)
{
	return allocation_fails() ? NULL : __libc_realloc(memory, size);
}

#endif

enum { MEMBERS = 500 };

/* {"m0":[0,0],…}; reversed on request */
static void put_object(struct buf *buf, bool is_reversed)
{
	for (int i = 0; i < MEMBERS; i++) {
		const int member = is_reversed ? MEMBERS - 1 - i : i;
		buf_append_format(buf, "%c\"m%d\":[%d,0]", i == 0 ? '{' : ',', member, member);
	}
	buf_append_char(buf, '}');
}

static struct buf text, reversed;

static int setup(void **state)
{
	(void)state;
	buf_init(&text, 1 << 20);
	buf_init(&reversed, 1 << 20);
	put_object(&text, false);
	put_object(&reversed, true);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	buf_deinit(&text);
	buf_deinit(&reversed);
	return 0;
}

/* Runs @operation until it gets all the memory that it asks for; returns how often it failed. */
static unsigned failures_count(enum status (*operation)(struct error *err))
{
	unsigned failures = 0;
	for (unsigned nth = 1; nth < 1000; nth++) {
		struct error err = ERROR_INIT;
		fail_at = nth;
		enum status status = operation(&err);
		const bool has_failed_one = fail_at == 0;
		fail_at = 0;
		if (status != STATUS_OK) {
			assert_true(has_failed_one);
			assert_int_equal(status, STATUS_NO_MEMORY);
			assert_non_null(strstr(err.message, "memory"));
			failures++;
		}
		if (!has_failed_one) {
			return failures;
		}
	}
	fail_msg("It never gets enough memory");
	return 0;
}

static void operation_expect_failures(enum status (*operation)(struct error *err), unsigned min, unsigned max)
{
	if (is_sanitized) {
		skip();
	}
	assert_in_range(failures_count(operation), min, max);
}

static enum status parse(struct error *err)
{
	struct json_doc doc;
	enum status status = json_parse(text.data, text.length, &document_limits, &doc, err);
	if (status == STATUS_OK) {
		assert_int_equal(json_count(json_root(&doc)), MEMBERS);
		json_doc_deinit(&doc);
	}
	return status;
}

static void parsing(void **state)
{
	(void)state;
	operation_expect_failures(parse, 2, 10);
}

static enum status scan(struct error *err)
{
	static struct json_node nodes[8 * MEMBERS];
	struct json_doc doc;
	return json_scan(text.data, text.length, &document_limits, nodes, sizeof(nodes) / sizeof(nodes[0]),
	                 &doc, err);
}

static void scanning(void **state)
{
	(void)state;
	operation_expect_failures(scan, 1, 1);
}

static struct document target, patch;

/* Without memory for the table of names these search one by one and come to the same. */
static enum status compare_and_merge(struct error *err)
{
	static char space[1 << 16];
	struct buf out = { .data = space, .capacity = sizeof(space), .max_length = sizeof(space) - 1 };
	(void)err;
	assert_true(json_same(json_root(&target.doc), json_root(&patch.doc)));
	json_merge_patch(json_root(&target.doc), json_root(&patch.doc), &out);
	assert_string_equal(out.data, text.data);
	return STATUS_OK;
}

static void comparing_and_merging(void **state)
{
	(void)state;
	(void)document_open(&target, text.data);
	(void)document_open(&patch, reversed.data);
	operation_expect_failures(compare_and_merge, 0, 0);
	document_close(&target);
	document_close(&patch);
}

static enum status append(struct error *err)
{
	struct buf buf;
	buf_init(&buf, 100000);
	buf_append_string(&buf, "kept");
	for (int i = 0; i < 1000; i++) {
		buf_append_format(&buf, "%600d", i);
	}
	enum status status = buf_status(&buf, "text", err);
	buf_deinit(&buf);
	return status == STATUS_TOO_LARGE ? STATUS_OK : status;
}

static void appending(void **state)
{
	(void)state;
	operation_expect_failures(append, 2, 20);
}

static enum status allocate(struct error *err)
{
	struct arena arena;
	bool is_complete = true;
	arena_init(&arena, 1 << 20);
	for (int i = 0; i < 100; i++) {
		is_complete = arena_alloc(&arena, 1000) != NULL && is_complete;
	}
	arena_deinit(&arena);
	return is_complete ? STATUS_OK : error_fail(err, STATUS_NO_MEMORY, "Out of memory");
}

static void allocating(void **state)
{
	(void)state;
	operation_expect_failures(allocate, 2, 20);
}

static enum status read_file(struct error *err)
{
	char *bytes = NULL;
	enum status status = file_read("/proc/self/maps", 1 << 20, &bytes, NULL, err);
	free(bytes);
	return status;
}

static void reading_files(void **state)
{
	(void)state;
	operation_expect_failures(read_file, 1, 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parsing),
		cmocka_unit_test(scanning),
		cmocka_unit_test(comparing_and_merging),
		cmocka_unit_test(appending),
		cmocka_unit_test(allocating),
		cmocka_unit_test(reading_files),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
