/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/engine/fixture.h"

#include <sodium.h>

#include "engine/bundle.h"

#define BOOLEAN(key, more)                                                                     \
	"{'key':'" key "','type':'boolean','variants':{'on':true,'off':false},'enabled':true," \
	"'default':{'variant':'on'}" more "}"

static uint8_t public_key[BUNDLE_PUBLIC_KEY_BYTES];
static uint8_t secret_key[BUNDLE_SECRET_KEY_BYTES];

static int setup(void **state)
{
	(void)state;
	uint8_t seed[crypto_sign_SEEDBYTES];
	for (size_t i = 0; i < sizeof(seed); i++) {
		seed[i] = (uint8_t)i;
	}
	return sodium_init() < 0 || crypto_sign_seed_keypair(public_key, secret_key, seed) != 0;
}

static struct manifest manifest_of(const struct ruleset *ruleset)
{
	struct manifest manifest = { .environment = "prod",
		                     .epoch = 1,
		                     .revision = 42,
		                     .issued_at_ms = 1795253400125,
		                     .max_age_s = 86400,
		                     .audit_size = 1017,
		                     .audit_head = { 0xab } };
	ruleset_digest(ruleset, manifest.digest);
	return manifest;
}

static struct buf snapshot_of(const struct ruleset *ruleset)
{
	struct buf text;
	buf_init(&text, BUNDLE_MAX_BYTES);
	struct manifest manifest = manifest_of(ruleset);
	manifest_write_signed(&manifest, secret_key, &text);
	bundle_write_ruleset(ruleset, &text);
	assert_false(text.failed);
	return text;
}

static struct ruleset *example(void)
{
	return FIXTURE_RULESET(BOOLEAN("b", ""), BOOLEAN("a", ",'version':'7'"),
	                       "{'key':'beta','included':['u1']}");
}

static enum status open_text(const struct buf *text, struct bundle *ret, struct error *err)
{
	return bundle_open(text->data, text->length, public_key, "prod", ret, err);
}

/* ---- Whole snapshots ---- */

/* The very bytes: whoever changes them breaks every client out there. */
static void test_exact_bytes(void **state)
{
	(void)state;
	struct ruleset *ruleset = example();
	struct buf text = snapshot_of(ruleset);
	char *expected = fixture_text(
	        "{'halyard':1,'environment':'prod','epoch':'1','revision':'42',"
	        "'issued_at':'2026-11-21T09:30:00.125Z','max_age_s':86400,"
	        "'digest':'blake2b-256:"
	        "6949f5f6d7f14e91a63f34ea7f07f91fe264e3cabbd9455be25e464b4a31bf32',"
	        "'audit':{'size':'1017','head':'"
	        "ab00000000000000000000000000000000000000000000000000000000000000'}}\n"
	        "{'key_id':'9d24e2eeaf27c2a0','signature':'"
	        "MAc4xencI3XZuyDkoCRj1WuXcby2WmFAZ6FR76uyjf6AXr/0sb/umjOvmjgvBxHv35TRO8xkLy7QAApsbp8kBQ=='}\n"
	        "{'flag':" BOOLEAN(
	                "a", ",'version':'7'") "}\n"
	                                       "{'flag':" BOOLEAN(
	                                               "b",
	                                               "") "}\n"
	                                                   "{'segment':{'key':'beta','included':['u1']}}\n");
	assert_string_equal(text.data, expected);
	free(expected);
	buf_deinit(&text);
	ruleset_unref(ruleset);
}

static void test_round_trip(void **state)
{
	(void)state;
	struct ruleset *ruleset = example();
	struct buf text = snapshot_of(ruleset);
	struct bundle bundle;
	struct error err = ERROR_INIT;
	fixture_ok(open_text(&text, &bundle, &err), &err);
	struct manifest expected = manifest_of(ruleset);
	assert_string_equal(bundle.manifest.environment, "prod");
	assert_int_equal(manifest_compare(&bundle.manifest, &expected), 0);
	assert_int_equal(bundle.manifest.issued_at_ms, expected.issued_at_ms);
	assert_int_equal(bundle.manifest.max_age_s, expected.max_age_s);
	assert_int_equal(bundle.manifest.audit_size, expected.audit_size);
	assert_memory_equal(bundle.manifest.audit_head, expected.audit_head, 32);
	assert_memory_equal(bundle.manifest.digest, expected.digest, 32);
	uint8_t key_id[BUNDLE_KEY_ID_BYTES];
	bundle_key_id(public_key, key_id);
	assert_memory_equal(bundle.key_id, key_id, sizeof(key_id));
	struct ruleset *copy = NULL;
	fixture_ok(bundle_apply(&bundle, NULL, &copy, &err), &err);
	assert_int_equal(ruleset_flag_count(copy), 2);
	assert_int_equal(ruleset_segment_count(copy), 1);
	assert_string_equal(ruleset_flag_at(copy, 0, NULL)->item.text,
	                    ruleset_flag_at(ruleset, 0, NULL)->item.text);
	struct buf again = snapshot_of(copy);
	assert_string_equal(again.data, text.data);
	buf_deinit(&again);
	buf_deinit(&text);
	ruleset_unref(copy);
	ruleset_unref(ruleset);
}

static void test_empty_snapshot(void **state)
{
	(void)state;
	struct ruleset *ruleset = NULL;
	struct error err = ERROR_INIT;
	fixture_ok(ruleset_new(NULL, NULL, 0, &ruleset, &err), &err);
	struct buf text = snapshot_of(ruleset);
	struct bundle bundle;
	fixture_ok(open_text(&text, &bundle, &err), &err);
	assert_int_equal(bundle.content_length, 0);
	struct ruleset *copy = NULL;
	fixture_ok(bundle_apply(&bundle, NULL, &copy, &err), &err);
	assert_int_equal(ruleset_flag_count(copy), 0);
	ruleset_unref(copy);
	ruleset_unref(ruleset);
	buf_deinit(&text);
}

static void test_any_environment(void **state)
{
	(void)state;
	struct ruleset *ruleset = example();
	struct buf text = snapshot_of(ruleset);
	struct bundle bundle;
	struct error err = ERROR_INIT;
	fixture_ok(bundle_open(text.data, text.length, public_key, NULL, &bundle, &err), &err);
	assert_int_equal(bundle_open(text.data, text.length, public_key, "staging", &bundle, &err),
	                 STATUS_FORBIDDEN);
	assert_string_equal(err.message, "The bundle is of the environment `prod`, not `staging`");
	buf_deinit(&text);
	ruleset_unref(ruleset);
}

/* ---- What is altered ---- */

/* Whatever byte is changed, however: nothing but the true content comes out. */
static void test_every_byte_counts(void **state)
{
	(void)state;
	struct ruleset *ruleset = FIXTURE_RULESET("{'key':'a','included':['u']}");
	struct buf text = snapshot_of(ruleset);
	static const uint8_t flips[] = { 0x01, 0x20, 0x80 };
	for (size_t i = 0; i < text.length * sizeof(flips); i++) {
		size_t at = i / sizeof(flips);
		text.data[at] = (char)((uint8_t)text.data[at] ^ flips[i % sizeof(flips)]);
		struct bundle bundle;
		struct ruleset *copy = NULL;
		struct error err = ERROR_INIT;
		enum status status = open_text(&text, &bundle, &err);
		if (status == STATUS_OK) {
			status = bundle_apply(&bundle, NULL, &copy, &err);
		}
		if (status != STATUS_MALFORMED && status != STATUS_UNTRUSTED && status != STATUS_CORRUPT) {
			fail_msg("byte %zu, flip %zu: %s", at, i % sizeof(flips), status_slug(status));
		}
		assert_null(copy);
		assert_int_equal(err.status, status);
		text.data[at] = (char)((uint8_t)text.data[at] ^ flips[i % sizeof(flips)]);
	}
	buf_deinit(&text);
	ruleset_unref(ruleset);
}

static void test_every_length_counts(void **state)
{
	(void)state;
	struct ruleset *ruleset = example();
	struct buf text = snapshot_of(ruleset);
	for (size_t length = 0; length < text.length; length++) {
		char *cut = malloc(length + 1);
		assert_non_null(cut);
		memcpy(cut, text.data, length);
		struct bundle bundle;
		struct ruleset *copy = NULL;
		struct error err = ERROR_INIT;
		enum status status = bundle_open(cut, length, public_key, "prod", &bundle, &err);
		if (status == STATUS_OK) {
			status = bundle_apply(&bundle, NULL, &copy, &err);
		}
		assert_true(status == STATUS_MALFORMED || status == STATUS_CORRUPT);
		free(cut);
	}
	buf_deinit(&text);
	ruleset_unref(ruleset);
}

static void test_another_key(void **state)
{
	(void)state;
	struct ruleset *ruleset = example();
	struct buf text = snapshot_of(ruleset);
	uint8_t other_public[BUNDLE_PUBLIC_KEY_BYTES];
	uint8_t other_secret[BUNDLE_SECRET_KEY_BYTES];
	crypto_sign_keypair(other_public, other_secret);
	struct bundle bundle;
	struct error err = ERROR_INIT;
	assert_int_equal(bundle_open(text.data, text.length, other_public, "prod", &bundle, &err),
	                 STATUS_UNTRUSTED);
	assert_non_null(strstr(err.message, "signed by the key 9d24e2eeaf27c2a0"));
	buf_deinit(&text);
	ruleset_unref(ruleset);
}

/* Lines 1 and 2 of one bundle in front of the content of another. */
static void test_content_of_another(void **state)
{
	(void)state;
	struct ruleset *ruleset = example();
	struct ruleset *other = FIXTURE_RULESET(BOOLEAN("a", ""));
	struct buf text = snapshot_of(ruleset);
	struct bundle bundle;
	struct error err = ERROR_INIT;
	fixture_ok(open_text(&text, &bundle, &err), &err);
	struct buf content;
	buf_init(&content, 4096);
	bundle_write_ruleset(other, &content);
	bundle.content = content.data;
	bundle.content_length = content.length;
	struct ruleset *result = NULL;
	assert_int_equal(bundle_apply(&bundle, NULL, &result, &err), STATUS_CORRUPT);
	assert_string_equal(err.message, "The content of the bundle is not what its manifest says");
	assert_null(result);
	buf_deinit(&content);
	buf_deinit(&text);
	ruleset_unref(other);
	ruleset_unref(ruleset);
}

/* ---- Grammar ---- */

/* Signs @quoted as line 1, whatever it is. */
static struct buf signed_line(const char *quoted)
{
	static const char prefix[] = "halyard-manifest-v1\n";
	char *line = fixture_text(quoted);
	struct buf text;
	buf_init(&text, 8192);
	buf_append_string(&text, prefix);
	buf_append_string(&text, line);
	uint8_t signature[BUNDLE_SIGNATURE_BYTES];
	crypto_sign_detached(signature, NULL, (const uint8_t *)text.data, text.length, secret_key);
	uint8_t key_id[BUNDLE_KEY_ID_BYTES];
	bundle_key_id(public_key, key_id);
	char hex[2 * BUNDLE_KEY_ID_BYTES + 1];
	char base64[128];
	sodium_bin2hex(hex, sizeof(hex), key_id, sizeof(key_id));
	sodium_bin2base64(base64, sizeof(base64), signature, sizeof(signature),
	                  sodium_base64_VARIANT_ORIGINAL);
	buf_reset(&text);
	buf_append_format(&text, "%s\n{\"key_id\":\"%s\",\"signature\":\"%s\"}\n", line, hex, base64);
	free(line);
	return text;
}

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
#define MANIFEST(version, environment, epoch, revision, issued, age, digest, size, head)              \
	"{'halyard':" version ",'environment':" environment ",'epoch':" epoch ",'revision':" revision \
	",'issued_at':" issued ",'max_age_s':" age ",'digest':" digest ",'audit':{'size':" size       \
	",'head':" head "}}"
#define GOOD_DIGEST "'blake2b-256:" ZEROS "'"
#define GOOD_HEAD   "'" ZEROS "'"
#define TIME        "'2026-11-21T09:30:00Z'"

static const struct {
	const char *line;
	const char *path; /* NULL: a good one */
} manifest_rows[] = {
	{ MANIFEST("1", "'prod'", "'1'", "'0'", TIME, "0", GOOD_DIGEST, "'0'", GOOD_HEAD), NULL },
	{ MANIFEST("1", "'prod'", "'18446744073709551615'", "'18446744073709551615'", TIME, "4294967295",
	           GOOD_DIGEST, "'18446744073709551615'", GOOD_HEAD),
	  NULL },
	{ MANIFEST("2", "'prod'", "'1'", "'1'", TIME, "0", GOOD_DIGEST, "'0'", GOOD_HEAD), "/halyard" },
	{ MANIFEST("'1'", "'prod'", "'1'", "'1'", TIME, "0", GOOD_DIGEST, "'0'", GOOD_HEAD), "/halyard" },
	{ MANIFEST("1", "''", "'1'", "'1'", TIME, "0", GOOD_DIGEST, "'0'", GOOD_HEAD), "/environment" },
	{ MANIFEST("1", "'a/b'", "'1'", "'1'", TIME, "0", GOOD_DIGEST, "'0'", GOOD_HEAD), "/environment" },
	{ MANIFEST("1", "'" ZEROS "0'", "'1'", "'1'", TIME, "0", GOOD_DIGEST, "'0'", GOOD_HEAD),
	  "/environment" },
	{ MANIFEST("1", "'prod'", "1", "'1'", TIME, "0", GOOD_DIGEST, "'0'", GOOD_HEAD), "/epoch" },
	{ MANIFEST("1", "'prod'", "'01'", "'1'", TIME, "0", GOOD_DIGEST, "'0'", GOOD_HEAD), "/epoch" },
	{ MANIFEST("1", "'prod'", "'-1'", "'1'", TIME, "0", GOOD_DIGEST, "'0'", GOOD_HEAD), "/epoch" },
	{ MANIFEST("1", "'prod'", "'1'", "''", TIME, "0", GOOD_DIGEST, "'0'", GOOD_HEAD), "/revision" },
	{ MANIFEST("1", "'prod'", "'1'", "'18446744073709551616'", TIME, "0", GOOD_DIGEST, "'0'", GOOD_HEAD),
	  "/revision" },
	{ MANIFEST("1", "'prod'", "'1'", "'99999999999999999999'", TIME, "0", GOOD_DIGEST, "'0'", GOOD_HEAD),
	  "/revision" },
	{ MANIFEST("1", "'prod'", "'1'", "'1'", "'yesterday'", "0", GOOD_DIGEST, "'0'", GOOD_HEAD),
	  "/issued_at" },
	{ MANIFEST("1", "'prod'", "'1'", "'1'", TIME, "-1", GOOD_DIGEST, "'0'", GOOD_HEAD), "/max_age_s" },
	{ MANIFEST("1", "'prod'", "'1'", "'1'", TIME, "1.5", GOOD_DIGEST, "'0'", GOOD_HEAD), "/max_age_s" },
	{ MANIFEST("1", "'prod'", "'1'", "'1'", TIME, "4294967296", GOOD_DIGEST, "'0'", GOOD_HEAD),
	  "/max_age_s" },
	{ MANIFEST("1", "'prod'", "'1'", "'1'", TIME, "0", "'sha256:" ZEROS "'", "'0'", GOOD_HEAD),
	  "/digest" },
	{ MANIFEST("1", "'prod'", "'1'", "'1'", TIME, "0", "'blake2b-256:00'", "'0'", GOOD_HEAD), "/digest" },
	{ MANIFEST("1", "'prod'", "'1'", "'1'", TIME, "0", GOOD_DIGEST, "'0'", "'" ZEROS "00'"),
	  "/audit/head" },
	{ MANIFEST("1", "'prod'", "'1'", "'1'", TIME, "0", GOOD_DIGEST, "'0'",
	           "'A000000000000000000000000000000000000000000000000000000000000000'"),
	  "/audit/head" },
	{ MANIFEST("1", "'prod'", "'1'", "'1'", TIME, "0", GOOD_DIGEST, "0", GOOD_HEAD), "/audit/size" },
	{ MANIFEST("1", "'prod'", "'1'", "'1'", TIME, "0", GOOD_DIGEST, "'0'", GOOD_HEAD ",'x':1"),
	  "/audit/x" },
	{ "{'halyard':1}", "/environment" },
	{ "[]", "" },
};

static void test_manifests_that_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(manifest_rows) / sizeof(manifest_rows[0]); i++) {
		struct buf text = signed_line(manifest_rows[i].line);
		struct bundle bundle;
		struct error err = ERROR_INIT;
		enum status status = open_text(&text, &bundle, &err);
		if (manifest_rows[i].path == NULL) {
			fixture_ok(status, &err);
		} else if (status != STATUS_MALFORMED || strcmp(err.path, manifest_rows[i].path) != 0) {
			fail_msg("%s\n%s at %s: %s", manifest_rows[i].line, status_slug(status), err.path,
			         err.message);
		}
		buf_deinit(&text);
	}
}

static void test_what_is_no_bundle(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"",
		"\n",
		"\n\n",
		"<html>\n</html>\n",
		"{}\n{}\n",
		"{}",
		"{}\n{\"key_id\":\"0000000000000000\",\"signature\":\"\"}\n",
		"{}\n{\"key_id\":\"0\",\"signature\":\"AA==\"}\n",
	};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct bundle bundle;
		struct error err = ERROR_INIT;
		assert_int_equal(bundle_open(texts[i], strlen(texts[i]), public_key, NULL, &bundle, &err),
		                 STATUS_MALFORMED);
		assert_true(err.message[0] != '\0');
		assert_int_equal(bundle_open(texts[i], strlen(texts[i]), public_key, NULL, &bundle, NULL),
		                 STATUS_MALFORMED);
	}
	char *long_line = malloc(100000);
	assert_non_null(long_line);
	memset(long_line, ' ', 100000);
	struct bundle bundle;
	assert_int_equal(bundle_open(long_line, 100000, public_key, NULL, &bundle, NULL), STATUS_MALFORMED);
	free(long_line);
}

/* Applies @quoted as content and expects the error. */
static void assert_content_refused(const struct ruleset *base, const char *quoted, enum status expected,
                                   const char *message)
{
	char *content = fixture_text(quoted);
	struct bundle bundle = { .content = content, .content_length = strlen(content) };
	struct ruleset *result = NULL;
	struct error err = ERROR_INIT;
	enum status status = bundle_apply(&bundle, base, &result, &err);
	if (status != expected || strstr(err.message, message) == NULL) {
		fail_msg("%s\n%s: %s", quoted, status_slug(status), err.message);
	}
	assert_null(result);
	free(content);
}

static void test_content_that_is_refused(void **state)
{
	(void)state;
	struct ruleset *base = example();
	static const char a[] = "{'flag':" BOOLEAN("a", "") "}\n";
	static const char s[] = "{'segment':{'key':'s'}}\n";
	static const struct {
		const char *first, *second, *message;
		bool is_delta;
	} rows[] = {
		{ a, a, "Line 4 of the bundle cannot be read: The flag `a` is out of order", false },
		{ s, a, "out of order", false },
		{ "{'flag':" BOOLEAN("b", "") "}\n", a, "out of order", false },
		{ "{'removed':{'flag':'b'}}\n", a, "out of order", true },
		{ "{'removed':{'segment':'beta'}}\n", "{'removed':{'flag':'a'}}\n", "out of order", true },
		{ "{'removed':{'flag':'a'}}\n", "{'removed':{'flag':'a'}}\n", "out of order", true },
		{ "{'removed':{'flag':'a'}}\n", "", "must be a flag or a segment", false },
		{ "{'removed':{}}\n", "", "a flag, a segment or a removal", true },
		{ "{'removed':{'flag':'a','segment':'b'}}\n", "", "a flag, a segment or a removal", true },
		{ "{'removed':{'flag':1}}\n", "", "must be a string", true },
		{ "{'removed':{'user':'a'}}\n", "", "Unknown field", true },
		{ "{'removed':{'flag':'a'},'x':1}\n", "", "a flag, a segment or a removal", true },
		{ "{}\n", "", "Line 3 of the bundle", true },
		{ "\n", "", "Line 3 of the bundle", true },
		{ "{'flag':{'key':'a'\n", "", "does not end with a brace", false },
		{ "{'flag':\n", "", "brace", false },
		{ "{'flag':{'key':'a b'}}\n", "", "The key must be", false },
		{ "{'flag':1}\n", "", "must be an object", false },
		{ "{'flag': {'key':'a'}}\n", "", "white space", false },
		{ "{'flag':{'key':'a'} }\n", "", "white space", false },
		{ "{'segment':{'key':'s'}}", "", "cut off", false },
		{ a, "{'segment':{'key':'s'}}", "Line 4 of the bundle cannot be read: it is cut off", false },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[1024];
		(void)snprintf(text, sizeof(text), "%s%s", rows[i].first, rows[i].second);
		assert_content_refused(rows[i].is_delta ? base : NULL, text, STATUS_MALFORMED,
		                       rows[i].message);
	}
	assert_content_refused(base, "{'removed':{'flag':'nobody'}}\n", STATUS_CORRUPT, "does not fit");
	assert_content_refused(base, "{'flag':" BOOLEAN("b", "") "}\n{'removed':{'flag':'b'}}\n",
	                       STATUS_CORRUPT, "changed twice");
	ruleset_unref(base);
}

/* ---- Deltas ---- */

static void test_delta(void **state)
{
	(void)state;
	struct ruleset *base = example();
	struct item *a = fixture_item(BOOLEAN("a", ",'version':'8'"));
	struct item *c = fixture_item("{'key':'c','if':[]}");
	const struct ruleset_edit edits[] = { { ITEM_FLAG, "a", a },
		                              { ITEM_FLAG, "b", NULL },
		                              { ITEM_SEGMENT, "beta", NULL },
		                              { ITEM_SEGMENT, "c", c } };
	struct ruleset *next = NULL;
	struct error err = ERROR_INIT;
	fixture_ok(ruleset_new(base, edits, 4, &next, &err), &err);
	struct manifest manifest = manifest_of(next);
	struct buf text;
	buf_init(&text, 8192);
	manifest_write_signed(&manifest, secret_key, &text);
	bundle_write_item(a, &text);
	bundle_write_item(c, &text);
	bundle_write_removal(ITEM_FLAG, "b", &text);
	bundle_write_removal(ITEM_SEGMENT, "beta", &text);
	struct bundle bundle;
	struct ruleset *result = NULL;
	fixture_ok(open_text(&text, &bundle, &err), &err);
	fixture_ok(bundle_apply(&bundle, base, &result, &err), &err);
	assert_int_equal(ruleset_flag_count(result), 1);
	assert_string_equal(ruleset_flag_at(result, 0, NULL)->item.version, "8");
	assert_non_null(ruleset_segment_find(result, "c", 1, NULL));
	/* The same delta on another base is noticed. */
	struct ruleset *other =
	        FIXTURE_RULESET(BOOLEAN("a", ""), BOOLEAN("b", ""), BOOLEAN("x", ""), "{'key':'beta'}");
	struct ruleset *wrong = NULL;
	assert_int_equal(bundle_apply(&bundle, other, &wrong, &err), STATUS_CORRUPT);
	assert_null(wrong);
	ruleset_unref(other);
	ruleset_unref(result);
	ruleset_unref(next);
	ruleset_unref(base);
	item_unref(a);
	item_unref(c);
	buf_deinit(&text);
}

/* One flag that this version cannot read does not keep the others from arriving. */
static void test_broken_items_travel(void **state)
{
	(void)state;
	struct ruleset *ruleset = FIXTURE_RULESET(BOOLEAN("a", ",'from_the_future':1"), BOOLEAN("b", ""));
	assert_int_equal(ruleset_problem_count(ruleset), 1);
	struct buf text = snapshot_of(ruleset);
	struct bundle bundle;
	struct ruleset *copy = NULL;
	struct error err = ERROR_INIT;
	fixture_ok(open_text(&text, &bundle, &err), &err);
	fixture_ok(bundle_apply(&bundle, NULL, &copy, &err), &err);
	const char *problem = NULL;
	assert_non_null(ruleset_flag_find(copy, "a", 1, &problem));
	assert_non_null(problem);
	assert_int_equal(fixture_eval(copy, "a", "{}").error, EVAL_ERROR_PARSE_ERROR);
	assert_int_equal(fixture_eval(copy, "b", "{}").error, EVAL_ERROR_NONE);
	ruleset_unref(copy);
	ruleset_unref(ruleset);
	buf_deinit(&text);
}

/* ---- The rest ---- */

static void test_order_of_manifests(void **state)
{
	(void)state;
	const struct manifest low = { .epoch = 1, .revision = 9 };
	const struct manifest high = { .epoch = 1, .revision = 10 };
	const struct manifest restored = { .epoch = 2, .revision = 1 };
	assert_true(manifest_compare(&low, &high) < 0);
	assert_true(manifest_compare(&high, &low) > 0);
	assert_true(manifest_compare(&high, &restored) < 0);
	assert_true(manifest_compare(&restored, &low) > 0);
	assert_int_equal(manifest_compare(&low, &low), 0);
}

static void test_full_buffer(void **state)
{
	(void)state;
	struct ruleset *ruleset = example();
	struct manifest manifest = manifest_of(ruleset);
	for (size_t size = 0; size < 600; size += 7) {
		struct buf text;
		buf_init(&text, size);
		manifest_write_signed(&manifest, secret_key, &text);
		bundle_write_ruleset(ruleset, &text);
		bundle_write_removal(ITEM_FLAG, "a", &text);
		assert_true(text.failed);
		buf_deinit(&text);
	}
	ruleset_unref(ruleset);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exact_bytes),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_empty_snapshot),
		cmocka_unit_test(test_any_environment),
		cmocka_unit_test(test_every_byte_counts),
		cmocka_unit_test(test_every_length_counts),
		cmocka_unit_test(test_another_key),
		cmocka_unit_test(test_content_of_another),
		cmocka_unit_test(test_manifests_that_are_refused),
		cmocka_unit_test(test_what_is_no_bundle),
		cmocka_unit_test(test_content_that_is_refused),
		cmocka_unit_test(test_delta),
		cmocka_unit_test(test_broken_items_travel),
		cmocka_unit_test(test_order_of_manifests),
		cmocka_unit_test(test_full_buffer),
	};
	return cmocka_run_group_tests_name("bundle", tests, setup, NULL);
}
