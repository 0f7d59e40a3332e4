/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evaluation through the public API of libhalyard against a bare hash look-up of the same keys, in one process.
 *
 *	bench_eval [REPETITIONS]
 *
 * 1,000 boolean flags with a 50 % split on the targeting key, detail filled; random order of flags and users. Repetitions of all
 * cases are interleaved, medians are printed: one line "case ns ratio" each. Also: two threads, publishing 100 times a second,
 * and how often the allocator was called.
 */
#include <halyard/halyard.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "client/client.h"
#include "engine/bundle.h"

#define FLAGS       1000
#define ORDER       4096 /* a power of two */
#define USERS       4096
#define EVALUATIONS 400000
#define MAX_REPS    101
#define RULE_VALUES 3

enum variety { PLAIN, ONE_RULE, TEN_RULES, VARIETIES };

static char keys[VARIETIES][FLAGS][32];
static char users[USERS][24];
static uint16_t order[ORDER];
static struct halyard_client *client;
static uint8_t public_key[BUNDLE_PUBLIC_KEY_BYTES];
static uint8_t secret_key[BUNDLE_SECRET_KEY_BYTES];

/* ---- Counting the allocator ---- */

static _Thread_local uint64_t allocations;
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);

void *__wrap_malloc(size_t size)
{
	allocations++;
	return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	allocations++;
	return __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
	allocations++;
	return __real_realloc(memory, size);
}

/* ---- The flags ---- */

static uint64_t random_state = 88172645463325252u;

static uint32_t random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 16);
}

static void rule_append(struct buf *text, int rule)
{
	buf_append_format(
	        text,
	        "%s{\"if\":[{\"attribute\":\"plan\",\"op\":\"in\",\"values\":[\"none-%d\",\"never-%d\"]}],"
	        "\"serve\":{\"variant\":\"on\"}}",
	        rule > 0 ? "," : "", rule, rule);
}

static struct item *flag_make(const char *key, int rules)
{
	struct buf text;
	buf_init(&text, 65536);
	buf_append_format(&text,
	                  "{\"key\":\"%s\",\"type\":\"boolean\",\"variants\":{\"on\":true,\"off\":false},"
	                  "\"enabled\":true,"
	                  "\"off_variant\":\"off\"",
	                  key);
	if (rules > 0) {
		buf_append_string(&text, ",\"rules\":[");
		for (int i = 0; i < rules; i++) {
			rule_append(&text, i);
		}
		buf_append_string(&text, "]");
	}
	buf_append_string(&text, ",\"default\":{\"split\":[{\"variant\":\"on\",\"weight\":50000},{"
	                         "\"variant\":\"off\",\"weight\":50000}]}}");
	struct flag *flag = NULL;
	struct error err = ERROR_INIT;
	if (flag_load(text.data, text.length, &flag, &err) != STATUS_OK || flag->item.broken != NULL) {
		(void)fprintf(stderr, "flag %s: %s\n", key, err.message);
		exit(1);
	}
	buf_deinit(&text);
	return &flag->item;
}

static int edit_compare(const void *a, const void *b)
{
	const struct ruleset_edit *left = a;
	const struct ruleset_edit *right = b;
	return strcmp(left->key, right->key);
}

static struct ruleset *ruleset_make(void)
{
	static const int rules[VARIETIES] = { 0, 1, 10 };
	static struct ruleset_edit edits[VARIETIES * FLAGS];
	size_t count = 0;
	for (int v = 0; v < VARIETIES; v++) {
		for (int i = 0; i < FLAGS; i++) {
			(void)snprintf(keys[v][i], sizeof(keys[v][i]), "bench-flag-%c-%06d", "abc"[v], i);
			edits[count++] = (struct ruleset_edit){ ITEM_FLAG, keys[v][i],
				                                flag_make(keys[v][i], rules[v]) };
		}
	}
	qsort(edits, count, sizeof(edits[0]), edit_compare);
	struct ruleset *ruleset = NULL;
	struct error err = ERROR_INIT;
	if (ruleset_new(NULL, edits, count, &ruleset, &err) != STATUS_OK) {
		(void)fprintf(stderr, "ruleset: %s\n", err.message);
		exit(1);
	}
	for (size_t i = 0; i < count; i++) {
		item_unref(edits[i].item);
	}
	return ruleset;
}

static void bundle_text_make(const struct ruleset *ruleset, uint64_t revision, struct buf *out)
{
	struct manifest manifest = { .environment = "bench",
		                     .epoch = 1,
		                     .revision = revision,
		                     .issued_at_ms = 1,
		                     .max_age_s = 86400 };
	ruleset_digest(ruleset, manifest.digest);
	manifest_write_signed(&manifest, secret_key, out);
}

static void client_open(const struct ruleset *ruleset)
{
	struct buf text;
	buf_init(&text, BUNDLE_MAX_BYTES);
	bundle_text_make(ruleset, 1, &text);
	bundle_write_ruleset(ruleset, &text);
	char path[] = "/tmp/halyard-bench-XXXXXX";
	int fd = mkstemp(path);
	if (fd < 0 || write(fd, text.data, text.length) != (ssize_t)text.length) {
		perror(path);
		exit(1);
	}
	(void)close(fd);
	char key[64];
	(void)sodium_bin2base64(key, sizeof(key), public_key, sizeof(public_key),
	                        sodium_base64_VARIANT_ORIGINAL);
	struct halyard_options options = { .size = sizeof(options),
		                           .url = "http://127.0.0.1:1",
		                           .token = "hly_c_none",
		                           .environment = "bench",
		                           .public_key = key,
		                           .bootstrap_file = path,
		                           .telemetry_interval_ms = UINT32_MAX };
	if (halyard_open(&client, &options) != HALYARD_OK) {
		(void)fprintf(stderr, "open: %s\n", halyard_open_error());
		exit(1);
	}
	struct halyard_detail detail;
	(void)halyard_bool(client, keys[PLAIN][0], NULL, false, &detail);
	if (detail.error == HALYARD_ERROR_PROVIDER_NOT_READY) {
		(void)fputs("the bootstrap file was not taken\n", stderr);
		exit(1);
	}
	(void)unlink(path);
	buf_deinit(&text);
}

/* ---- What is measured ---- */

struct bare_slot {
	const char *key;
	uint32_t length;
	uint32_t value;
};
#define BARE_SLOTS 2048
static struct bare_slot bare[BARE_SLOTS];

static void bare_build(void)
{
	for (uint32_t i = 0; i < FLAGS; i++) {
		const char *key = keys[PLAIN][i];
		size_t length = strlen(key);
		size_t slot = XXH3_64bits(key, length) % BARE_SLOTS;
		while (bare[slot].key != NULL) {
			slot = (slot + 1) % BARE_SLOTS;
		}
		bare[slot] = (struct bare_slot){ key, (uint32_t)length, i };
	}
}

__attribute__((noinline)) static uint32_t bare_find(const char *key)
{
	size_t length = strlen(key);
	size_t slot = XXH3_64bits(key, length) % BARE_SLOTS;
	while (bare[slot].key != NULL) {
		if (bare[slot].length == length && memcmp(bare[slot].key, key, length) == 0) {
			return bare[slot].value;
		}
		slot = (slot + 1) % BARE_SLOTS;
	}
	return UINT32_MAX;
}

static int64_t now_ns(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static _Atomic uint64_t sink;

static double bare_run(void)
{
	uint64_t sum = 0;
	int64_t start = now_ns();
	for (uint32_t i = 0; i < EVALUATIONS; i++) {
		sum += bare_find(keys[PLAIN][order[i % ORDER]]);
	}
	int64_t end = now_ns();
	atomic_fetch_add(&sink, sum);
	return (double)(end - start) / EVALUATIONS;
}

static double eval_run(enum variety variety)
{
	static const struct halyard_attribute attributes[] = { HALYARD_ATTRIBUTE_STRING("plan",
		                                                                        "professional") };
	struct halyard_context context = { .attributes = attributes,
		                           .attribute_count = variety == PLAIN ? 0 : 1 };
	struct halyard_detail detail;
	uint64_t sum = 0;
	int64_t start = now_ns();
	for (uint32_t i = 0; i < EVALUATIONS; i++) {
		context.targeting_key = users[(i * 7) % USERS];
		sum += halyard_bool(client, keys[variety][order[i % ORDER]], &context, false, &detail);
		sum += detail.reason;
	}
	int64_t end = now_ns();
	atomic_fetch_add(&sink, sum);
	return (double)(end - start) / EVALUATIONS;
}

static double plain_run(void)
{
	return eval_run(PLAIN);
}

static double one_rule_run(void)
{
	return eval_run(ONE_RULE);
}

static double ten_rules_run(void)
{
	return eval_run(TEN_RULES);
}

static void *plain_thread(void *result)
{
	*(double *)result = plain_run();
	return NULL;
}

static double two_threads_run(void)
{
	double results[2];
	pthread_t threads[2];
	for (int i = 0; i < 2; i++) {
		(void)pthread_create(&threads[i], NULL, plain_thread, &results[i]);
	}
	for (int i = 0; i < 2; i++) {
		(void)pthread_join(threads[i], NULL);
	}
	return (results[0] + results[1]) / 2;
}

static struct ruleset *published;
static atomic_bool is_publishing;

static void *publisher(void *unused)
{
	(void)unused;
	uint64_t revision = 2;
	while (atomic_load(&is_publishing)) {
		struct buf text;
		struct bundle bundle;
		struct snapshot *snapshot = NULL;
		struct error err = ERROR_INIT;
		buf_init(&text, 4096);
		bundle_text_make(published, revision++, &text);
		if (bundle_open(text.data, text.length, public_key, NULL, &bundle, &err) != STATUS_OK ||
		    snapshot_new(&bundle, text.data, ruleset_ref(published), HALYARD_SOURCE_DAEMON, &snapshot,
		                 &err) != STATUS_OK) {
			(void)fprintf(stderr, "publish: %s\n", err.message);
			exit(1);
		}
		snapshot_publish(&client->store, snapshot);
		buf_deinit(&text);
		if (revision % 32 == 0) {
			snapshot_reclaim(&client->store);
		}
		(void)nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	snapshot_reclaim(&client->store);
	return NULL;
}

static double publishing_run(void)
{
	pthread_t thread;
	atomic_store(&is_publishing, true);
	(void)pthread_create(&thread, NULL, publisher, NULL);
	double best = 0;
	for (int i = 0; i < 5; i++) {
		best += plain_run() / 5;
	}
	atomic_store(&is_publishing, false);
	(void)pthread_join(thread, NULL);
	return best;
}

static const struct {
	const char *name;
	double (*run)(void);
	int base; /* index of the case that the ratio is to */
} cases[] = {
	{ "bare look-up", bare_run, 0 },
	{ "boolean, 50 % split", plain_run, 0 },
	{ "with 1 rule that misses", one_rule_run, 0 },
	{ "with 10 rules that miss", ten_rules_run, 0 },
	{ "two threads, each", two_threads_run, 1 },
	{ "while publishing 100/s", publishing_run, 1 },
};
#define CASES (sizeof(cases) / sizeof(cases[0]))

static int double_compare(const void *a, const void *b)
{
	double left = *(const double *)a;
	double right = *(const double *)b;
	return left < right ? -1 : left > right;
}

static double median(double *values, int count)
{
	qsort(values, (size_t)count, sizeof(values[0]), double_compare);
	return values[count / 2];
}

/* Ratios are taken within a repetition, so that a drift of the machine falls out. */
static void report(double results[CASES][MAX_REPS], int reps)
{
	for (size_t c = 0; c < CASES; c++) {
		double ratios[MAX_REPS];
		double times[MAX_REPS];
		for (int r = 0; r < reps; r++) {
			ratios[r] = results[c][r] / results[cases[c].base][r];
			times[r] = results[c][r];
		}
		printf("%-26s %7.1f ns  %5.2f x %s\n", cases[c].name, median(times, reps),
		       median(ratios, reps), cases[cases[c].base].name);
	}
}

int main(int argc, char **argv)
{
	int reps = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 21;
	static double results[CASES][MAX_REPS];
	if (sodium_init() < 0 || reps < 1 || reps > MAX_REPS) {
		return 1;
	}
	(void)crypto_sign_keypair(public_key, secret_key);
	published = ruleset_make();
	client_open(published);
	bare_build();
	for (uint32_t i = 0; i < ORDER; i++) {
		order[i] = (uint16_t)(random_next() % FLAGS);
	}
	for (uint32_t i = 0; i < USERS; i++) {
		(void)snprintf(users[i], sizeof(users[i]), "user-%08x-%06u", random_next(), i);
	}
	(void)plain_run();
	uint64_t before = allocations;
	(void)plain_run();
	(void)ten_rules_run();
	uint64_t during = allocations - before;
	for (int r = 0; r < reps; r++) {
		for (size_t c = 0; c < CASES; c++) {
			results[c][r] = cases[c].run();
		}
	}
	report(results, reps);
	printf("allocations in %d evaluations: %" PRIu64 "\n", 2 * EVALUATIONS, during);
	halyard_close(client);
	ruleset_unref(published);
	return during == 0 ? 0 : 1;
}
