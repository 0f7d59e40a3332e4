/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every allocation fails once: the answer is STATUS_NO_MEMORY or the true one, nothing leaks, and what there
 * was goes on.
 */
#include "tests/unit/engine/fixture.h"

#include <sodium.h>

#include "tests/support/fault.h"

#include "base/json_write.h"
#include "engine/bundle.h"

#define MANY_FAULTS 10000 /* more than any of these needs */

static const char flag_document[] =
        "{'key':'banner','type':'number','version':'3','variants':{'red':1.5,'blue':2},'enabled':true,"
        "'off_variant':'blue','prerequisites':[{'flag':'site','variants':['on']}],"
        "'targets':[{'variant':'red','keys':['user-1','user-2']},{'variant':'blue','keys':['\\u0061']}],"
        "'rules':[{'name':'ops','if':[{'attribute':'role','op':'in','values':['ops','dev',7,true]},"
        "{'attribute':'host','op':'matches','values':['^web','^db']},"
        "{'attribute':'ip','op':'in_cidr','value':'10.0.0.0/8'},"
        "{'attribute':'v','op':'semver_match','value':'^1.2'},{'op':'in_segment','value':'beta'}],"
        "'serve':{'variant':'red'}}],"
        "'default':{'split':[{'variant':'red','weight':1},{'variant':'blue','weight':3}],"
        "'bucket_by':'company','salt':'s'}}";
static const char broken_document[] =
        "{'key':'b','type':'boolean','variants':{'on':true},'enabled':true,"
        "'rules':[{'if':[{'attribute':'a','op':'matches','value':'x'}],'serve':{'variant':'on'}},"
        "{'if':[],'serve':{'variant':'nope'}}],'default':{'variant':'on'}}";
static const char segment_document[] =
        "{'key':'beta','included':['u1','u2'],'excluded':['u3'],"
        "'if':[{'attribute':'mail','op':'ends_with','value':'.example','ignore_case':true},"
        "{'op':'flag','flag':'site','value':'on'}]}";
static const char site_document[] = "{'key':'site','type':'boolean','variants':{'on':true},'enabled':true,"
                                    "'default':{'variant':'on'}}";

/* One thing to try: STATUS_OK leaves nothing behind either. */
typedef enum status (*attempt_function)(void *user, struct error *err);

static void assert_survives(attempt_function attempt, void *user)
{
	for (size_t number = 1; number < MANY_FAULTS; number++) {
		struct error err = ERROR_INIT;
		long held = fault.held;
		fault_set(number);
		enum status status = attempt(user, &err);
		bool has_failed = fault_end();
		assert_int_equal(fault.held, held);
		if (!has_failed) {
			fixture_ok(status, &err);
			assert_true(number > 1);
			return;
		}
		if (status == STATUS_OK) {
			continue; /* an allocation that is only there to save memory */
		}
		if (status != STATUS_NO_MEMORY || err.status != STATUS_NO_MEMORY || err.message[0] == '\0') {
			fail_msg("allocation %zu: %s, %s", number, status_slug(status), err.message);
		}
	}
	fail_msg("it never ended");
}

/* ---- Items ---- */

struct document {
	enum item_kind kind;
	char *text;
	bool is_broken;
};

static enum status load(void *user, struct error *err)
{
	const struct document *document = user;
	struct item *item = NULL;
	enum status status = item_load(document->kind, document->text, strlen(document->text), &item, err);
	if (status != STATUS_OK) {
		assert_null(item);
		return status;
	}
	assert_int_equal(item->broken != NULL, document->is_broken);
	item_unref(item);
	return STATUS_OK;
}

static void test_items(void **state)
{
	(void)state;
	const struct {
		enum item_kind kind;
		const char *quoted;
		bool is_broken;
	} rows[] = {
		{ ITEM_FLAG, flag_document, false },
		{ ITEM_FLAG, broken_document, true },
		{ ITEM_SEGMENT, segment_document, false },
		{ ITEM_SEGMENT, "{'key':'s','included':['a','a']}", true },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct document document = { rows[i].kind, fixture_text(rows[i].quoted), rows[i].is_broken };
		assert_survives(load, &document);
		free(document.text);
	}
}

/* ---- Rulesets ---- */

struct change {
	const struct ruleset *base;
	const struct ruleset_edit *edits;
	size_t count;
	size_t problems;
};

static enum status change(void *user, struct error *err)
{
	const struct change *change = user;
	struct ruleset *ruleset = NULL;
	enum status status = ruleset_new(change->base, change->edits, change->count, &ruleset, err);
	if (status != STATUS_OK) {
		assert_null(ruleset);
		return status;
	}
	assert_int_equal(ruleset_problem_count(ruleset), change->problems);
	ruleset_unref(ruleset);
	return STATUS_OK;
}

static void test_rulesets(void **state)
{
	(void)state;
	struct ruleset *base = FIXTURE_RULESET(site_document, segment_document, flag_document,
	                                       "{'key':'a','if':[{'op':'in_segment','value':'nowhere'}]}",
	                                       "{'key':'x','if':[{'op':'in_segment','value':'y'}]}",
	                                       "{'key':'y','if':[{'op':'in_segment','value':'x'}]}");
	assert_int_equal(ruleset_problem_count(base), 3);
	struct item *site = fixture_item("{'key':'site','type':'boolean','variants':{'off':true},"
	                                 "'enabled':true,'default':{'variant':'off'}}");
	struct item *b = fixture_item(broken_document);
	/* Out of order, so that they are sorted; `site` loses the variant that the others want. */
	const struct ruleset_edit edits[] = { { ITEM_SEGMENT, "a", NULL },
		                              { ITEM_FLAG, "site", site },
		                              { ITEM_FLAG, "b", b } };
	struct change setting = { base, edits, 3, 5 };
	assert_survives(change, &setting);
	assert_int_equal(ruleset_flag_count(base), 2);
	assert_string_equal(fixture_eval(base, "site", "{}").variant->name, "on");
	item_unref(site);
	item_unref(b);
	ruleset_unref(base);
}

/* ---- Bundles ---- */

struct delivery {
	const struct ruleset *base;
	const struct buf *text;
	const uint8_t *public_key;
};

static enum status deliver(void *user, struct error *err)
{
	const struct delivery *delivery = user;
	struct bundle bundle;
	enum status status = bundle_open(delivery->text->data, delivery->text->length, delivery->public_key,
	                                 "prod", &bundle, err);
	struct ruleset *ruleset = NULL;
	if (status == STATUS_OK) {
		status = bundle_apply(&bundle, delivery->base, &ruleset, err);
	}
	ruleset_unref(ruleset);
	return status;
}

static void sign(const struct ruleset *ruleset, const uint8_t *secret_key, struct buf *text)
{
	struct manifest manifest = { .environment = "prod", .epoch = 1, .revision = 2 };
	ruleset_digest(ruleset, manifest.digest);
	manifest_write_signed(&manifest, secret_key, text);
}

static void test_bundles(void **state)
{
	(void)state;
	uint8_t public_key[BUNDLE_PUBLIC_KEY_BYTES];
	uint8_t secret_key[BUNDLE_SECRET_KEY_BYTES];
	assert_true(sodium_init() >= 0);
	crypto_sign_keypair(public_key, secret_key);
	struct ruleset *base = FIXTURE_RULESET(site_document, segment_document, flag_document);
	struct buf text;
	buf_init(&text, 1 << 16);
	sign(base, secret_key, &text);
	bundle_write_ruleset(base, &text);
	struct delivery snapshot = { NULL, &text, public_key };
	assert_survives(deliver, &snapshot);

	const struct ruleset_edit removal = { ITEM_FLAG, "banner", NULL };
	struct ruleset *next = NULL;
	struct error err = ERROR_INIT;
	fixture_ok(ruleset_new(base, &removal, 1, &next, &err), &err);
	buf_reset(&text);
	sign(next, secret_key, &text);
	bundle_write_removal(ITEM_FLAG, "banner", &text);
	struct delivery delta = { base, &text, public_key };
	assert_survives(deliver, &delta);
	buf_deinit(&text);
	ruleset_unref(next);
	ruleset_unref(base);
}

/* ---- Writing ---- */

static enum status explain(void *user, struct error *err)
{
	const struct context context = { .targeting_key = "bytes that are no text: \xff" };
	struct buf text;
	struct json_writer w;
	buf_init(&text, 1 << 16);
	json_writer_init(&w, &text);
	eval_explain(user, "banner", strlen("banner"), &context, &w);
	enum status status = buf_status(&text, "explanation", err);
	buf_deinit(&text);
	return status;
}

static void test_explanations(void **state)
{
	(void)state;
	struct ruleset *ruleset =
	        FIXTURE_RULESET("{'key':'banner','type':'boolean','variants':{'on':true},'enabled':true,"
	                        "'rules':[{'if':[{'attribute':'targetingKey','op':'exists'}],"
	                        "'serve':{'variant':'on'}}],'default':{'variant':'on'}}");
	assert_survives(explain, ruleset);
	ruleset_unref(ruleset);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_items),
		cmocka_unit_test(test_rulesets),
		cmocka_unit_test(test_bundles),
		cmocka_unit_test(test_explanations),
	};
	return cmocka_run_group_tests_name("faults", tests, NULL, NULL);
}
