/* SPDX-License-Identifier: Apache-2.0 */
#include "client/intake.h"

#include "tests/unit/client/bundles.h"

#define FLAG_ON  BOOLEAN_FLAG("alerts", "2", "on")
#define FLAG_OFF BOOLEAN_FLAG("alerts", "1", "off")

static struct issuer issuer;

static int group_setup(void **state)
{
	(void)state;
	issuer_init(&issuer, "prod");
	return 0;
}

/* Offers a copy of the very size, and gives the snapshot where there is one. */
static enum status offer(struct intake *intake, enum intake_kind kind, const struct snapshot *base,
                         const struct buf *bundle, struct snapshot **ret, struct error *err)
{
	char *text = malloc(bundle->length > 0 ? bundle->length : 1);
	assert_non_null(text);
	memcpy(text, buf_string(bundle), bundle->length);
	const struct intake_offer made = { .kind = kind,
		                           .source = HALYARD_SOURCE_DAEMON,
		                           .text = text,
		                           .length = bundle->length,
		                           .base = base };
	enum status status = intake_accept(intake, &made, ret, err);
	free(text);
	return status;
}

static struct snapshot *accept_whole(struct intake *intake, const struct snapshot *base, uint64_t epoch,
                                     uint64_t revision, const struct ruleset *ruleset)
{
	struct snapshot *snapshot = NULL;
	struct error err = ERROR_INIT;
	struct buf bundle = issuer_snapshot(&issuer, epoch, revision, ruleset);
	fixture_ok(offer(intake, INTAKE_SNAPSHOT, base, &bundle, &snapshot, &err), &err);
	assert_non_null(snapshot);
	buf_deinit(&bundle);
	return snapshot;
}

static void expect_refused(struct intake *intake, enum intake_kind kind, const struct snapshot *base,
                           const struct buf *bundle, enum status expected, const char *words)
{
	struct snapshot *snapshot = NULL;
	struct error err = ERROR_INIT;
	uint64_t epoch = intake->epoch;
	uint64_t revision = intake->revision;
	assert_int_equal(offer(intake, kind, base, bundle, &snapshot, &err), expected);
	assert_null(snapshot);
	assert_int_equal(err.status, expected);
	if (strstr(err.message, words) == NULL) {
		fail_msg("no \"%s\" in: %s", words, err.message);
	}
	/* Nothing refused leaves a trace. */
	assert_int_equal(intake->epoch, epoch);
	assert_int_equal(intake->revision, revision);
}

static void test_whole_and_deltas(void **state)
{
	(void)state;
	struct intake intake;
	struct ruleset *ruleset = FIXTURE_RULESET(FLAG_OFF, BOOLEAN_FLAG("other", "1", "on"));
	intake_init(&intake, "prod", issuer.public_key);
	struct snapshot *base = accept_whole(&intake, NULL, 1, 41, ruleset);
	assert_int_equal(base->manifest.revision, 41);
	assert_int_equal(base->source, HALYARD_SOURCE_DAEMON);
	assert_int_equal(intake.revision, 41);

	struct buf delta = issuer_delta(&issuer, 1, 42, &ruleset, FLAG_ON);
	struct snapshot *after = NULL;
	struct error err = ERROR_INIT;
	fixture_ok(offer(&intake, INTAKE_DELTA, base, &delta, &after, &err), &err);
	assert_int_equal(after->manifest.revision, 42);
	assert_int_equal(ruleset_flag_count(after->ruleset), 2);
	/* The delta's head proves the whole result: so it can be cached as a snapshot. */
	struct buf whole;
	buf_init(&whole, BUNDLE_MAX_BYTES);
	buf_append(&whole, after->head, after->head_length);
	bundle_write_ruleset(after->ruleset, &whole);
	struct intake fresh;
	intake_init(&fresh, "prod", issuer.public_key);
	struct snapshot *again = NULL;
	fixture_ok(offer(&fresh, INTAKE_SNAPSHOT, NULL, &whole, &again, &err), &err);
	assert_int_equal(again->manifest.revision, 42);
	snapshot_free(again);
	buf_deinit(&whole);

	/* Once more is no news. */
	struct snapshot *same = NULL;
	fixture_ok(offer(&intake, INTAKE_DELTA, after, &delta, &same, &err), &err);
	assert_null(same);
	buf_deinit(&delta);
	snapshot_free(base);
	snapshot_free(after);
	ruleset_unref(ruleset);
}

static void test_never_goes_back(void **state)
{
	(void)state;
	struct intake intake;
	struct ruleset *ruleset = FIXTURE_RULESET(FLAG_OFF);
	struct ruleset *other = FIXTURE_RULESET(FLAG_ON);
	intake_init(&intake, "prod", issuer.public_key);
	struct snapshot *base = accept_whole(&intake, NULL, 2, 42, ruleset);
	const uint64_t older[][2] = { { 2, 41 }, { 2, 0 }, { 1, 43 }, { 1, UINT64_MAX }, { 0, 0 } };
	for (size_t i = 0; i < sizeof(older) / sizeof(older[0]); i++) {
		struct buf bundle = issuer_snapshot(&issuer, older[i][0], older[i][1], ruleset);
		expect_refused(&intake, INTAKE_SNAPSHOT, base, &bundle, STATUS_OLDER, "older");
		expect_refused(&intake, INTAKE_DELTA, base, &bundle, STATUS_OLDER, "older");
		/* Nor when what was in force is lost. */
		expect_refused(&intake, INTAKE_SNAPSHOT, NULL, &bundle, STATUS_OLDER, "older");
		buf_deinit(&bundle);
	}
	/* The same number with another content: somebody signs two histories. */
	struct buf forked = issuer_snapshot(&issuer, 2, 42, other);
	expect_refused(&intake, INTAKE_SNAPSHOT, base, &forked, STATUS_CONFLICT, "Two different contents");
	buf_deinit(&forked);
	/* A restored daemon begins a new epoch with a lower revision. */
	struct snapshot *restored = accept_whole(&intake, base, 3, 1, other);
	assert_int_equal(intake.epoch, 3);
	assert_int_equal(intake.revision, 1);
	snapshot_free(restored);
	snapshot_free(base);
	ruleset_unref(ruleset);
	ruleset_unref(other);
}

static void test_deltas_that_do_not_follow(void **state)
{
	(void)state;
	struct intake intake;
	struct ruleset *ruleset = FIXTURE_RULESET(FLAG_OFF);
	intake_init(&intake, "prod", issuer.public_key);
	struct snapshot *base = accept_whole(&intake, NULL, 1, 10, ruleset);
	struct buf gap = issuer_delta(&issuer, 1, 12, &ruleset, FLAG_ON);
	expect_refused(&intake, INTAKE_DELTA, base, &gap, STATUS_CONFLICT, "does not follow");
	expect_refused(&intake, INTAKE_DELTA, NULL, &gap, STATUS_CONFLICT, "does not follow");
	buf_deinit(&gap);
	struct buf epoch = issuer_delta(&issuer, 2, 11, &ruleset, FLAG_OFF);
	expect_refused(&intake, INTAKE_DELTA, base, &epoch, STATUS_CONFLICT, "does not follow");
	buf_deinit(&epoch);
	/* Right number, wrong base: the digest tells. */
	struct ruleset *elsewhere = FIXTURE_RULESET(FLAG_OFF, BOOLEAN_FLAG("more", "1", "on"));
	struct buf foreign = issuer_delta(&issuer, 1, 11, &elsewhere, FLAG_ON);
	expect_refused(&intake, INTAKE_DELTA, base, &foreign, STATUS_CORRUPT, "");
	buf_deinit(&foreign);
	snapshot_free(base);
	ruleset_unref(elsewhere);
	ruleset_unref(ruleset);
}

static void test_foreign_and_altered(void **state)
{
	(void)state;
	struct intake intake;
	struct issuer stranger;
	struct issuer staging = issuer;
	struct ruleset *ruleset = FIXTURE_RULESET(FLAG_OFF);
	issuer_init(&stranger, "prod");
	staging.environment = "staging";
	intake_init(&intake, "prod", issuer.public_key);
	struct buf bundle = issuer_snapshot(&stranger, 1, 1, ruleset);
	expect_refused(&intake, INTAKE_SNAPSHOT, NULL, &bundle, STATUS_UNTRUSTED, "key");
	buf_deinit(&bundle);
	bundle = issuer_snapshot(&staging, 1, 1, ruleset);
	expect_refused(&intake, INTAKE_SNAPSHOT, NULL, &bundle, STATUS_FORBIDDEN, "staging");
	buf_deinit(&bundle);
	/* A flipped bit anywhere, and every cut, is noticed. */
	bundle = issuer_snapshot(&issuer, 1, 1, ruleset);
	for (size_t i = 0; i < bundle.length; i++) {
		struct snapshot *snapshot = NULL;
		bundle.data[i] ^= 1;
		assert_int_not_equal(offer(&intake, INTAKE_SNAPSHOT, NULL, &bundle, &snapshot, NULL),
		                     STATUS_OK);
		bundle.data[i] ^= 1;
		assert_null(snapshot);
	}
	size_t length = bundle.length;
	for (bundle.length = 0; bundle.length < length; bundle.length++) {
		struct snapshot *snapshot = NULL;
		assert_int_not_equal(offer(&intake, INTAKE_SNAPSHOT, NULL, &bundle, &snapshot, NULL),
		                     STATUS_OK);
	}
	buf_deinit(&bundle);
	ruleset_unref(ruleset);
}

/* Without a key the first answer is trusted, and no other afterwards. */
static void test_first_key(void **state)
{
	(void)state;
	struct intake intake;
	struct issuer stranger;
	struct error err = ERROR_INIT;
	char answer[512];
	struct ruleset *ruleset = FIXTURE_RULESET(FLAG_OFF);
	issuer_init(&stranger, "prod");
	intake_init(&intake, "prod", NULL);
	struct buf bundle = issuer_snapshot(&issuer, 1, 1, ruleset);
	expect_refused(&intake, INTAKE_SNAPSHOT, NULL, &bundle, STATUS_UNTRUSTED, "No key is known");
	(void)snprintf(answer, sizeof(answer),
	               "{\"keys\":[{\"key_id\":\"x\",\"algorithm\":\"ML-DSA\",\"public_key\":\"?\"},"
	               "{\"key_id\":\"x\",\"algorithm\":\"Ed25519\",\"public_key\":\"%s\"},"
	               "{\"key_id\":\"x\",\"algorithm\":\"Ed25519\",\"public_key\":\"%s\"}]}",
	               stranger.key_text, issuer.key_text);
	fixture_ok(intake_keys_read(&intake, answer, strlen(answer), &err), &err);
	assert_int_equal(intake.candidate_count, 2);
	assert_false(intake.has_key);
	struct snapshot *snapshot = NULL;
	fixture_ok(offer(&intake, INTAKE_SNAPSHOT, NULL, &bundle, &snapshot, &err), &err);
	assert_true(intake.has_key);
	assert_memory_equal(intake.key, issuer.public_key, sizeof(intake.key));
	buf_deinit(&bundle);
	bundle = issuer_snapshot(&stranger, 1, 2, ruleset);
	expect_refused(&intake, INTAKE_SNAPSHOT, snapshot, &bundle, STATUS_UNTRUSTED, "key");
	buf_deinit(&bundle);
	snapshot_free(snapshot);
	ruleset_unref(ruleset);
}

static void test_key_answers(void **state)
{
	(void)state;
	struct intake intake;
	const char *const wrong[] = {
		"",
		"[]",
		"{}",
		"{\"keys\":[]}",
		"{\"keys\":{}}",
		"{\"keys\":[1]}",
		"{\"keys\":[{\"algorithm\":\"Ed25519\"}]}",
		"{\"keys\":[{\"algorithm\":1,\"public_key\":\"\"}]}",
		"{\"keys\":[{\"algorithm\":\"RSA\",\"public_key\":\"AAAA\"}]}",
		"{\"keys\":[{\"algorithm\":\"Ed25519\",\"public_key\":\"AAAA\"}]}",
		"{\"keys\":[{\"algorithm\":\"Ed25519\",\"public_key\":1}]}",
		"{\"keys\":[{\"algorithm\":\"Ed25519\",\"public_key\":\""
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}]}",
		"{\"keys\":[{\"algorithm\":\"Ed25519\",\"public_key\":\"AAAA",
	};
	intake_init(&intake, "prod", NULL);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct error err = ERROR_INIT;
		assert_int_not_equal(intake_keys_read(&intake, wrong[i], strlen(wrong[i]), &err), STATUS_OK);
		assert_true(err.message[0] != '\0');
		assert_int_equal(intake.candidate_count, 0);
	}
	/* More than there is room for: the first ones count. */
	struct buf many;
	struct error err = ERROR_INIT;
	buf_init(&many, 65536);
	buf_append_string(&many, "{\"keys\":[");
	for (int i = 0; i < 20; i++) {
		buf_append_format(&many, "%s{\"algorithm\":\"Ed25519\",\"public_key\":\"%s\"}",
		                  i > 0 ? "," : "", issuer.key_text);
	}
	buf_append_string(&many, "]}");
	fixture_ok(intake_keys_read(&intake, many.data, many.length, &err), &err);
	assert_int_equal(intake.candidate_count, INTAKE_MAX_CANDIDATES);
	buf_deinit(&many);
}

static void test_key_texts(void **state)
{
	(void)state;
	uint8_t key[BUNDLE_PUBLIC_KEY_BYTES];
	char text[80];
	const char *const ends[] = { "", "\n", "\r\n", " \t\n" };
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		(void)snprintf(text, sizeof(text), "%s%s", issuer.key_text, ends[i]);
		memset(key, 0, sizeof(key));
		assert_true(intake_key_parse(text, strlen(text), key));
		assert_memory_equal(key, issuer.public_key, sizeof(key));
	}
	const char *const bad[] = { "x", " ", "=", "A" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		(void)snprintf(text, sizeof(text), "%s%s", issuer.key_text, bad[i]);
		assert_int_equal(intake_key_parse(text, strlen(text), key), strcmp(bad[i], " ") == 0);
	}
	assert_false(intake_key_parse("", 0, key));
	assert_false(intake_key_parse(issuer.key_text, strlen(issuer.key_text) - 1, key));
}

/* What the cache remembers binds, whatever it was able to give. */
static void test_require(void **state)
{
	(void)state;
	struct intake intake;
	struct ruleset *ruleset = FIXTURE_RULESET(FLAG_OFF);
	intake_init(&intake, "prod", NULL);
	intake_require(&intake, 1, 50, issuer.public_key);
	intake_require(&intake, 1, 40, issuer.public_key);
	struct buf bundle = issuer_snapshot(&issuer, 1, 49, ruleset);
	expect_refused(&intake, INTAKE_SNAPSHOT, NULL, &bundle, STATUS_OLDER, "revision 50");
	/* … but an older generation of the cache is better than nothing. */
	struct snapshot *snapshot = NULL;
	struct error err = ERROR_INIT;
	const struct intake_offer cached = { .source = HALYARD_SOURCE_CACHE,
		                             .text = bundle.data,
		                             .length = bundle.length,
		                             .allow_older = true };
	fixture_ok(intake_accept(&intake, &cached, &snapshot, &err), &err);
	assert_int_equal(snapshot->manifest.revision, 49);
	assert_int_equal(intake.revision, 50);
	snapshot_free(snapshot);
	buf_deinit(&bundle);
	snapshot_free(accept_whole(&intake, NULL, 1, 50, ruleset));
	ruleset_unref(ruleset);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_and_deltas),
		cmocka_unit_test(test_never_goes_back),
		cmocka_unit_test(test_deltas_that_do_not_follow),
		cmocka_unit_test(test_foreign_and_altered),
		cmocka_unit_test(test_first_key),
		cmocka_unit_test(test_key_answers),
		cmocka_unit_test(test_key_texts),
		cmocka_unit_test(test_require),
	};
	return cmocka_run_group_tests(tests, group_setup, NULL);
}
