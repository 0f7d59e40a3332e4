/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill -9 at random moments and at every single operation on a file: what was acknowledged is there, with its
 * entry and revision, nothing is there in part, and the next start needs no help.
 */
#include "tests/unit/flagd/store_fixture.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "tests/support/vfs_shim.h"

enum { ROUNDS = 220, FLAGS = 12 };

/* What the child tells after each commit. */
struct ack {
	uint64_t seq;
	uint8_t hash[STORE_HASH_BYTES];
};

static char *dir;
static uint64_t seed = 3;

static unsigned random_below(unsigned limit)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(seed >> 33) % limit;
}

static int setup(void **state)
{
	(void)state;
	dir = make_folder();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	remove_folder(dir);
	free(dir);
	return 0;
}

/* ---- The child ---- */

struct versions {
	uint64_t environment;
	uint64_t flags[FLAGS];
	uint64_t settings[FLAGS];
};

static bool learn_version(void *user, const struct store_row *row)
{
	struct versions *versions = user;
	unsigned number = (unsigned)strtoul(row->key + 1, NULL, 10);
	if (row->table == STORE_ENVIRONMENT) {
		versions->environment = row->version;
	} else if (row->table == STORE_FLAG) {
		versions->flags[number] = row->version;
	} else if (row->table == STORE_SETTING) {
		versions->settings[number] = row->version;
	}
	return true;
}

/* A commit of one to three rows: a flag, its setting, the environment, and the next revision. */
static enum status commit_random(struct store *store, struct versions *versions, uint64_t *revision,
                                 struct error *err)
{
	char key[16];
	char doc[2048];
	unsigned number = random_below(FLAGS);
	(void)snprintf(key, sizeof(key), "f%u", number);
	(void)snprintf(doc, sizeof(doc), "{\"random\":%u,\"fill\":\"%0*d\"}", random_below(1000000),
	               (int)random_below(1800) + 1, 0);
	struct store_head head;
	store_journal_head(store, &head);
	struct store_write writes[3] = { 0 };
	struct store_entry entries[3] = { 0 };
	size_t count = 0;
	struct {
		enum store_table table;
		const char *key;
		const char *environment;
		uint64_t *version;
	} rows[3] = { { STORE_ENVIRONMENT, "e", NULL, &versions->environment },
		      { STORE_FLAG, key, NULL, &versions->flags[number] },
		      { STORE_SETTING, key, "e", &versions->settings[number] } };
	bool is_first = versions->environment == 0 || versions->flags[number] == 0;
	for (size_t i = is_first ? 0 : random_below(3); i < 3; i++) {
		uint64_t old = (*rows[i].version)++;
		writes[count] = (struct store_write){
			.row = { .table = rows[i].table,
			         .key = rows[i].key,
			         .environment = rows[i].environment,
			         .version = old + 1,
			         .doc = doc,
			         .doc_length = strlen(doc) },
			.expected_version = old,
		};
		entries[count] = (struct store_entry){
			.seq = head.seq + 1 + count,
			.at_ms = 1,
			.table = rows[i].table,
			.key = rows[i].key,
			.environment = rows[i].environment,
			.action = "a",
			.actor = "b",
			.trace_id = "c",
			.bytes = doc,
			.length = strlen(doc),
			.after = doc,
			.version = old + 1,
		};
		count++;
	}
	struct store_revision next = { .environment = "e", .revision = ++*revision };
	struct store_commit commit = { writes, count, entries, count, &next, 1, NULL };
	return store_commit(store, &commit, err);
}

/* Opens, commits @commits times, closes; tells each commit through the pipe. */
static _Noreturn void run_child(int pipe_fd, unsigned commits)
{
	struct error err = ERROR_INIT;
	struct store *store = NULL;
	struct versions versions = { 0 };
	uint64_t revision = 0;
	int64_t at_ms = 0;
	uint8_t digest[STORE_HASH_BYTES];
	enum status status = store_open(dir, &test_time.clock, &store, &err);
	if (status == STATUS_OK) {
		status = store_load(store, learn_version, &versions, &err);
	}
	if (status == STATUS_OK) {
		status = store_revision_get(store, "e", &revision, digest, &at_ms, &err);
	}
	for (unsigned i = 0; status == STATUS_OK && i < commits; i++) {
		status = commit_random(store, &versions, &revision, &err);
		struct store_head head;
		store_journal_head(store, &head);
		struct ack ack = { .seq = head.seq };
		memcpy(ack.hash, head.hash, sizeof(ack.hash));
		if (status == STATUS_OK && write(pipe_fd, &ack, sizeof(ack)) != sizeof(ack)) {
			status = STATUS_INTERNAL;
		}
	}
	store_close(store);
	if (status != STATUS_OK) {
		(void)fprintf(stderr, "child: %s\n", err.message);
	}
	_exit(status == STATUS_OK ? 0 : 1);
}

/* ---- The parent ---- */

static bool take_hash(void *user, const struct store_entry *entry)
{
	memcpy(user, entry->hash, STORE_HASH_BYTES);
	return true;
}

/* Opens what is left: nothing acknowledged is missing, all parts agree. */
static void check_survivor(const struct ack *last)
{
	struct error err = ERROR_INIT;
	struct store *store = open_store(dir);
	check_ok(store_verify(store, &err), &err);
	struct store_head head;
	store_journal_head(store, &head);
	assert_true(head.seq >= last->seq);
	assert_true(store_epoch(store) == 1);
	if (last->seq > 0) {
		uint8_t hash[STORE_HASH_BYTES] = { 0 };
		struct store_filter filter = {
			.table = -1, .before_seq = last->seq + 1, .at_ms = INT64_MAX, .limit = 1
		};
		check_ok(store_journal_list(store, &filter, take_hash, hash, &err), &err);
		assert_memory_equal(hash, last->hash, sizeof(hash));
	}
	store_close(store);
}

/* Reads what the child tells until @count times or its end; keeps the last. */
static unsigned read_acks(int fd, unsigned count, struct ack *last)
{
	unsigned got = 0;
	struct ack ack;
	while (got < count && read(fd, &ack, sizeof(ack)) == sizeof(ack)) {
		*last = ack;
		got++;
	}
	return got;
}

/* A child that is killed after it told @acks commits, or by the fault. True: it was killed. */
static bool run_round(unsigned commits, unsigned acks, const struct vfs_fault *fault, struct ack *last)
{
	int fds[2];
	assert_int_equal(pipe(fds), 0);
	unsigned busy = random_below(20000);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		(void)close(fds[0]);
		vfs_shim_break(fault);
		run_child(fds[1], commits);
	}
	(void)close(fds[1]);
	unsigned got = read_acks(fds[0], acks, last);
	if (got == acks && fault == NULL) {
		for (volatile unsigned i = 0; i < busy; i++) {
			/* the child goes on meanwhile */
		}
		(void)kill(child, SIGKILL);
	}
	(void)read_acks(fds[0], UINT32_MAX, last); /* what was told before it died */
	(void)close(fds[0]);
	int result = 0;
	assert_int_equal(waitpid(child, &result, 0), child);
	assert_true(WIFSIGNALED(result) || WEXITSTATUS(result) == 0);
	return WIFSIGNALED(result);
}

static void test_killed_at_random(void **state)
{
	(void)state;
	struct ack last = { 0 };
	unsigned killed = 0;
	for (unsigned round = 0; round < ROUNDS; round++) {
		seed += round;
		if (round % 40 == 0) { /* a young one again: the whole check reads everything */
			remove_folder(dir);
			assert_int_equal(mkdir(dir, 0700), 0);
			last = (struct ack){ 0 };
		}
		killed += run_round(1000, random_below(12), NULL, &last) ? 1 : 0;
		check_survivor(&last);
	}
	assert_int_equal(killed, ROUNDS);
	assert_true(last.seq > 20);
}

/* From an empty folder: making the database, its schema, the first commits, closing. */
static void test_killed_at_every_operation(void **state)
{
	(void)state;
	struct vfs_fault fault = { .ops = VFS_ALL_WRITING | VFS_OPEN, .is_kill = true };
	bool was_killed = true;
	for (fault.after = 0; was_killed; fault.after++) {
		remove_folder(dir);
		assert_int_equal(mkdir(dir, 0700), 0);
		struct ack last = { 0 };
		was_killed = run_round(3, UINT32_MAX, &fault, &last);
		check_survivor(&last);
	}
	print_message("%" PRIu64 " operations\n", fault.after - 1);
	assert_true(fault.after > 20);
}

int main(void)
{
	vfs_shim_install();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_killed_at_random, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed_at_every_operation, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
