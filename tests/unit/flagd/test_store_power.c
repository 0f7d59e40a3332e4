/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power failures: all writes and flushes of a store's life are recorded; then the files are made as a failure at
 * some moment would have left them, with any part of what was not flushed. Each such image must open by
 * itself and hold everything that was acknowledged before that moment.
 */
#include "tests/unit/flagd/store_fixture.h"

#include "tests/support/vfs_shim.h"

enum { IMAGES = 300, SLOT_BYTES = 512 };

static char *dir;
static char head_before[2 * SLOT_BYTES];

static int group_setup(void **state)
{
	(void)state;
	vfs_shim_install();
	dir = make_folder();
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	vfs_shim_record_stop();
	remove_folder(dir);
	free(dir);
	return 0;
}

/* halyard.head is not written through SQLite: its slots that changed become events of their own. */
static void record_head(void)
{
	size_t length = 0;
	char *bytes = read_bytes(in_folder(dir, "halyard.head"), &length);
	assert_non_null(bytes);
	for (size_t slot = 0; slot < 2; slot++) {
		size_t start = slot * SLOT_BYTES;
		if (memcmp(bytes + start, head_before + start, SLOT_BYTES) != 0) {
			vfs_shim_note_write("halyard.head", start, bytes + start, SLOT_BYTES);
		}
	}
	memcpy(head_before, bytes, sizeof(head_before));
	free(bytes);
}

static void acknowledge(struct store *store)
{
	struct store_head head;
	store_journal_head(store, &head);
	record_head();
	vfs_shim_note(head.seq);
}

/* Changes of many sizes: some small, some of hundreds of pages, so that the WAL wraps twice. */
static void live(struct store *store, uint64_t *version, int changes)
{
	char *doc = malloc(400000);
	assert_non_null(doc);
	for (int i = 0; i < changes; i++) {
		int size = i % 5 == 4 ? 180000 : i % 3 == 1 ? 9000 : 50;
		(void)snprintf(doc, 400000, "{\"fill\":\"%0*d\"}", size, i);
		++*version;
		change_do(store,
		          &(struct test_change){ STORE_FLAG, .key = "a", .version = *version, .doc = doc,
		                                 .revision_of = "dev", .revision = *version + 1 });
		acknowledge(store);
	}
	free(doc);
}

static void record_life(void)
{
	struct error err = ERROR_INIT;
	uint64_t version = 0;
	vfs_shim_record_start();
	struct store *store = open_store(dir);
	record_head();
	change_do(store, &(struct test_change){ STORE_ENVIRONMENT, .key = "dev", .version = 1, .doc = "{}",
	                                        .revision_of = "dev", .revision = 1 });
	acknowledge(store);
	live(store, &version, 45);
	store_close(store);
	store = open_store(dir);
	live(store, &version, 30);
	check_ok(store_epoch_bump(store, &err), &err);
	acknowledge(store);
	live(store, &version, 10);
	store_close(store);
}

static uint64_t acknowledged_before(size_t count)
{
	const struct vfs_event *events = NULL;
	(void)vfs_shim_events(&events);
	uint64_t seq = 0;
	for (size_t i = 0; i < count; i++) {
		seq = events[i].type == VFS_EVENT_NOTE ? events[i].offset : seq;
	}
	return seq;
}

static void check_image(const char *image, size_t count, uint64_t seed)
{
	struct error err = ERROR_INIT;
	struct store *store = NULL;
	remove_folder(image);
	assert_int_equal(mkdir(image, 0700), 0);
	vfs_shim_replay(image, count, seed);
	enum status status = store_open(image, &test_time.clock, &store, &err);
	if (status == STATUS_OK) {
		status = store_verify(store, &err);
	}
	if (status != STATUS_OK) {
		print_error("power fails behind event %zu (seed %" PRIu64 "): %s\n", count, seed,
		            err.message);
		fail();
	}
	struct store_head head;
	store_journal_head(store, &head);
	uint64_t acknowledged = acknowledged_before(count);
	assert_in_range(head.seq, acknowledged, acknowledged + 1);
	uint64_t revision = 0;
	uint8_t digest[STORE_HASH_BYTES];
	int64_t at_ms = 0;
	check_ok(store_revision_get(store, "dev", &revision, digest, &at_ms, &err), &err);
	assert_int_equal(revision, head.seq);
	store_close(store);
}

static void test_every_image_holds_what_was_acknowledged(void **state)
{
	(void)state;
	record_life();
	const struct vfs_event *events = NULL;
	size_t all = vfs_shim_events(&events);
	char *image = make_folder();
	uint64_t seed = 11;
	vfs_shim_pause(true);
	for (unsigned i = 0; i < IMAGES; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		/* Half of them right behind a flush or an acknowledgement, where the order counts. */
		size_t count = (size_t)(seed >> 33) % (all + 1);
		while (i % 2 == 0 && count > 0 && count < all && events[count - 1].type != VFS_EVENT_SYNC &&
		       events[count - 1].type != VFS_EVENT_NOTE) {
			count++;
		}
		check_image(image, count, seed);
	}
	check_image(image, all, 1);
	print_message("%zu events\n", all);
	remove_folder(image);
	free(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_image_holds_what_was_acknowledged),
	};
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
