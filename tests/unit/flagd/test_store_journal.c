/* SPDX-License-Identifier: Apache-2.0 */
/* Lists and past states, against a plain walk over everything that was ever written. */
#include "tests/unit/flagd/store_fixture.h"

enum { ENTRIES = 600, START = 1000000 };

struct written {
	enum store_table table;
	char key[16];
	char environment[16]; /* "": none */
	uint64_t version;
	int64_t at_ms;
	bool is_archived;
};

/* All entries, by seq - 1. */
static struct written written[ENTRIES];
static struct store *store;
static char *dir;

static uint64_t seed = 7;

static unsigned random_below(unsigned limit)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(seed >> 33) % limit;
}

static uint64_t next_version(const struct written *one, size_t count)
{
	uint64_t version = 0;
	for (size_t i = 0; i < count; i++) {
		if (written[i].table == one->table && strcmp(written[i].key, one->key) == 0 &&
		    strcmp(written[i].environment, one->environment) == 0) {
			version = written[i].version > version ? written[i].version : version;
		}
	}
	return version + 1;
}

static void write_one(size_t index, const struct written *one)
{
	written[index] = *one;
	test_time.wall_ms = one->at_ms;
	char doc[32];
	(void)snprintf(doc, sizeof(doc), "{\"n\":%zu}", index);
	change_do(store, &(struct test_change){
	                         one->table, .key = one->key,
	                         .environment = one->environment[0] == '\0' ? NULL : one->environment,
	                         .version = one->version, .doc = doc, .is_archived = one->is_archived });
}

/* An attempt that was refused: told in the journal, but no row was changed. */
static void write_attempt(size_t index, const struct written *one)
{
	written[index] = *one;
	struct error err = ERROR_INIT;
	struct store_entry entry = { .seq = index + 1,
		                     .at_ms = one->at_ms,
		                     .table = one->table,
		                     .key = one->key,
		                     .environment = one->environment[0] == '\0' ? NULL : one->environment,
		                     .action = "denied",
		                     .actor = "token:tok_2",
		                     .trace_id = "",
		                     .bytes = "{}",
		                     .length = 2 };
	struct store_commit commit = { .entries = &entry, .entry_count = 1 };
	check_ok(store_commit(store, &commit, &err), &err);
}

/* The clock mostly goes on, stands, and is set back and forward by hours. */
static int64_t next_time(size_t index, int64_t at_ms)
{
	if (index == 200) {
		return at_ms - 5000;
	}
	if (index == 300) {
		return at_ms + 100000;
	}
	if (index == 330) {
		return at_ms - 99000;
	}
	return at_ms + random_below(20);
}

static int group_setup(void **state)
{
	(void)state;
	static const char *const environments[] = { "dev", "prod", "stage" };
	dir = make_folder();
	store = open_store(dir);
	int64_t at_ms = START;
	for (size_t i = 0; i < ENTRIES; i++) {
		struct written one = { .at_ms = at_ms = next_time(i, at_ms) };
		unsigned kind = random_below(10);
		if (i < 3) {
			one.table = STORE_ENVIRONMENT;
			(void)snprintf(one.key, sizeof(one.key), "%s", environments[i]);
		} else if (i < 8) {
			one.table = STORE_FLAG;
			(void)snprintf(one.key, sizeof(one.key), "k%zu", i - 3);
		} else {
			one.table = kind < 6   ? STORE_SETTING
			            : kind < 8 ? STORE_FLAG
			            : kind < 9 ? STORE_SEGMENT
			                       : STORE_TOKEN;
			(void)snprintf(one.key, sizeof(one.key), "k%u", random_below(5));
		}
		if (one.table == STORE_SETTING) {
			(void)snprintf(one.environment, sizeof(one.environment), "%s",
			               environments[random_below(3)]);
		}
		one.is_archived = i > 8 && random_below(5) == 0;
		if (i > 20 && random_below(12) == 0) {
			one.is_archived = true;
			write_attempt(i, &one);
			continue;
		}
		one.version = next_version(&one, i);
		write_one(i, &one);
	}
	struct error err = ERROR_INIT;
	check_ok(store_verify(store, &err), &err);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	store_close(store);
	remove_folder(dir);
	free(dir);
	return 0;
}

/* The highest seq whose time is not after @at_ms. */
static uint64_t last_seq_at(int64_t at_ms)
{
	uint64_t last = 0;
	for (size_t i = 0; i < ENTRIES; i++) {
		last = written[i].at_ms <= at_ms ? i + 1 : last;
	}
	return last;
}

static bool is_wanted(const struct store_filter *filter, const struct written *one)
{
	bool is_table = filter->table == -1 || filter->table == (int)one->table ||
	                (filter->table == STORE_FLAG_AND_SETTING &&
	                 (one->table == STORE_FLAG || one->table == STORE_SETTING));
	return is_table && (filter->key == NULL || strcmp(filter->key, one->key) == 0) &&
	       (filter->environment == NULL || strcmp(filter->environment, one->environment) == 0);
}

struct seen {
	uint64_t seqs[1000];
	size_t count;
	size_t stop_after; /* 0: never */
};

static bool see(void *user, const struct store_entry *entry)
{
	struct seen *seen = user;
	const struct written *one = &written[entry->seq - 1];
	assert_int_equal(entry->table, one->table);
	assert_string_equal(entry->key, one->key);
	assert_string_equal(entry->environment == NULL ? "" : entry->environment, one->environment);
	assert_int_equal(entry->version, one->version);
	assert_int_equal(entry->at_ms, one->at_ms);
	assert_true((entry->after == NULL) == one->is_archived);
	seen->seqs[seen->count++] = entry->seq;
	return seen->count != seen->stop_after;
}

static void check_list(const struct store_filter *filter)
{
	struct error err = ERROR_INIT;
	struct seen seen = { 0 };
	check_ok(store_journal_list(store, filter, see, &seen, &err), &err);
	uint64_t before = last_seq_at(filter->at_ms) + 1;
	before = filter->before_seq != 0 && filter->before_seq < before ? filter->before_seq : before;
	size_t count = 0;
	for (uint64_t seq = before - 1; seq > 0 && count < filter->limit; seq--) {
		if (is_wanted(filter, &written[seq - 1])) {
			assert_in_range(count, 0, seen.count - 1);
			assert_int_equal(seen.seqs[count], seq);
			count++;
		}
	}
	assert_int_equal(seen.count, count);
}

/* The whole list, and a page of it somewhere that the number chooses. */
static void check_lists(struct store_filter filter, unsigned number)
{
	static const uint64_t befores[] = { 0, 1, 2, 400, ENTRIES + 50 };
	static const int64_t times[] = { INT64_MAX, START + 3000, START + 1500, START - 1, INT64_MIN };
	filter.at_ms = INT64_MAX;
	filter.limit = 1000;
	check_list(&filter);
	filter.before_seq = befores[number % 5];
	filter.at_ms = times[number / 5 % 5];
	filter.limit = 1 + number % 40;
	check_list(&filter);
}

static void test_lists_of_all_kinds(void **state)
{
	(void)state;
	static const int tables[] = { -1, STORE_FLAG_AND_SETTING, STORE_FLAG, STORE_SETTING, STORE_TOKEN };
	static const char *const keys[] = { NULL, "k0", "k4", "dev", "unknown" };
	static const char *const environments[] = { NULL, "dev", "stage", "unknown" };
	for (unsigned number = 0; number < 5 * 5 * 4 * 25; number++) {
		check_lists((struct store_filter){ .table = tables[number / 25 % 5],
		                                   .key = keys[number / 125 % 5],
		                                   .environment = environments[number / 625] },
		            number);
	}
}

static void test_pages_give_each_entry_once(void **state)
{
	(void)state;
	struct error err = ERROR_INIT;
	struct seen all = { 0 };
	struct seen paged = { 0 };
	struct store_filter filter = { STORE_FLAG_AND_SETTING, "k1", NULL, 0, INT64_MAX, 1000 };
	check_ok(store_journal_list(store, &filter, see, &all, &err), &err);
	assert_true(all.count > 50);
	filter.limit = 7;
	size_t before = 0;
	do {
		before = paged.count;
		filter.before_seq = before == 0 ? 0 : paged.seqs[before - 1];
		check_ok(store_journal_list(store, &filter, see, &paged, &err), &err);
	} while (paged.count > before);
	assert_int_equal(paged.count, all.count);
	assert_memory_equal(paged.seqs, all.seqs, all.count * sizeof(all.seqs[0]));
	struct seen one = { .stop_after = 1 };
	filter.before_seq = 0;
	check_ok(store_journal_list(store, &filter, see, &one, &err), &err);
	assert_int_equal(one.count, 1);
	filter.limit = 0;
	check_fails(store_journal_list(store, &filter, see, &one, &err), STATUS_INVALID, &err, "1 to 1,000");
	filter.limit = 1001;
	check_fails(store_journal_list(store, &filter, see, &one, &err), STATUS_INVALID, &err, "1 to 1,000");
}

/* Does a later entry up to @last change the same thing? */
static bool is_superseded(size_t index, uint64_t last)
{
	const struct written *one = &written[index];
	for (size_t i = index + 1; i < last; i++) {
		if (written[i].version > 0 && written[i].table == one->table &&
		    strcmp(written[i].key, one->key) == 0 &&
		    strcmp(written[i].environment, one->environment) == 0) {
			return true;
		}
	}
	return false;
}

static void check_state(int64_t at_ms)
{
	struct error err = ERROR_INIT;
	struct seen seen = { 0 };
	check_ok(store_state_at(store, at_ms, see, &seen, &err), &err);
	uint64_t last = last_seq_at(at_ms);
	size_t expected = 0;
	for (size_t i = 0; i < last; i++) {
		const struct written *one = &written[i];
		if (one->version == 0 || one->is_archived || one->table == STORE_TOKEN ||
		    is_superseded(i, last)) {
			continue;
		}
		expected++;
		bool is_seen = false;
		for (size_t k = 0; k < seen.count; k++) {
			is_seen = is_seen || seen.seqs[k] == i + 1;
		}
		assert_true(is_seen);
	}
	assert_int_equal(seen.count, expected);
}

static void test_states_of_every_moment(void **state)
{
	(void)state;
	check_state(INT64_MIN);
	check_state(START - 1);
	check_state(INT64_MAX);
	for (size_t i = 0; i < ENTRIES; i += 3) {
		check_state(written[i].at_ms);
		check_state(written[i].at_ms - 1);
	}
	struct error err = ERROR_INIT;
	struct seen seen = { .stop_after = 2 };
	check_ok(store_state_at(store, INT64_MAX, see, &seen, &err), &err);
	assert_int_equal(seen.count, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists_of_all_kinds),
		cmocka_unit_test(test_pages_give_each_entry_once),
		cmocka_unit_test(test_states_of_every_moment),
	};
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
