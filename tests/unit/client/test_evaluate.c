/* SPDX-License-Identifier: Apache-2.0 */
/* The calls that programs make all the time, through the public header, without any network. */
#include <math.h>
#include <unistd.h>

#include "client/client.h"
#include "tests/support/heap.h"
#include "tests/support/vectors.h"
#include "tests/unit/client/bundles.h"

static struct issuer issuer;
static char boot_path[64];

static int group_setup(void **state)
{
	(void)state;
	issuer_init(&issuer, "prod");
	(void)snprintf(boot_path, sizeof(boot_path), "/tmp/halyard-test-XXXXXX");
	int fd = mkstemp(boot_path);
	return fd >= 0 ? close(fd) : -1;
}

static int group_teardown(void **state)
{
	(void)state;
	return unlink(boot_path);
}

static const struct halyard_options offline = {
	.size = sizeof(offline), .url = "http://127.0.0.1:1", .token = "t", .environment = "prod"
};

/* A client that has @ruleset, which is taken over, from its bootstrap file; nobody answers at its address. */
static struct halyard_client *client_of(struct ruleset *ruleset)
{
	struct halyard_client *client = NULL;
	struct halyard_options options = offline;
	struct error err = ERROR_INIT;
	struct buf text = issuer_snapshot(&issuer, 3, 7, ruleset);
	fixture_ok(file_replace(boot_path, text.data, text.length, 0600, &err), &err);
	options.public_key = issuer.key_text;
	options.bootstrap_file = boot_path;
	if (halyard_open(&client, &options) != HALYARD_OK) {
		fail_msg("%s", halyard_open_error());
	}
	buf_deinit(&text);
	ruleset_unref(ruleset);
	return client;
}

#define FLAG(key, type, variants, variant)                                                         \
	"{'key':'" key "','type':'" type "','version':'1','variants':" variants ",'enabled':true," \
	"'off_variant':null,'prerequisites':[],'targets':[],'rules':[],'default':{'variant':'" variant "'}}"

static struct ruleset *typed_flags(void)
{
	return FIXTURE_RULESET(FLAG("bool", "boolean", "{'on':true,'off':false}", "on"),
	                       FLAG("integer", "integer", "{'big':9007199254740991}", "big"),
	                       FLAG("number", "number", "{'half':0.5}", "half"),
	                       FLAG("string", "string", "{'hello':'Grüße'}", "hello"),
	                       FLAG("empty", "string", "{'nothing':''}", "nothing"),
	                       FLAG("object", "object", "{'o':{'a':[1,2.0]}}", "o"));
}

static void test_types(void **state)
{
	(void)state;
	struct halyard_detail detail;
	char text[64];
	struct halyard_client *client = client_of(typed_flags());
	assert_true(halyard_bool(client, "bool", NULL, false, &detail));
	assert_int_equal(detail.reason, HALYARD_REASON_STATIC);
	assert_int_equal(detail.error, HALYARD_ERROR_NONE);
	assert_string_equal(detail.variant, "on");
	assert_int_equal(detail.variant_length, 2);
	assert_int_equal(detail.epoch, 3);
	assert_int_equal(detail.revision, 7);
	assert_false(detail.is_default);
	assert_true(detail.is_stale); /* the daemon was never heard */
	assert_true(detail.age_ms == UINT64_MAX);

	assert_int_equal(halyard_integer(client, "integer", NULL, 1, &detail), 9007199254740991);
	assert_true(halyard_number(client, "number", NULL, 1, NULL) == 0.5);
	assert_true(halyard_number(client, "integer", NULL, 1, &detail) == 9007199254740991.0);
	assert_int_equal(detail.error, HALYARD_ERROR_NONE);

	assert_int_equal(halyard_string(client, "string", NULL, "x", text, sizeof(text), &detail), 7);
	assert_string_equal(text, "Grüße");
	assert_int_equal(halyard_string(client, "empty", NULL, "x", text, sizeof(text), NULL), 0);
	assert_string_equal(text, "");

	const struct {
		const char *key, *json;
	} cases[] = { { "bool", "true" },        { "integer", "9007199254740991" }, { "number", "0.5" },
		      { "string", "\"Grüße\"" }, { "object", "{\"a\":[1,2.0]}" },   { "ghost", "[]" } };
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t length = halyard_json(client, cases[i].key, NULL, "[]", text, sizeof(text), NULL);
		assert_string_equal(text, cases[i].json);
		assert_int_equal(length, strlen(cases[i].json));
	}
	halyard_close(client);
}

static void test_mismatches(void **state)
{
	(void)state;
	struct halyard_detail detail;
	char text[64];
	struct halyard_client *client = client_of(typed_flags());
	const char *const keys[] = { "bool", "integer", "number", "string", "object" };
	for (int flag = 0; flag < 5; flag++) {
		for (int call = 0; call < 4; call++) {
			const char *key = keys[flag];
			bool fits = flag == call || (flag == 1 && call == 2);
			bool is_fallback = false;
			switch (call) {
			case 0:
				is_fallback = !halyard_bool(client, key, NULL, false, &detail);
				break;
			case 1:
				is_fallback = halyard_integer(client, key, NULL, -5, &detail) == -5;
				break;
			case 2:
				is_fallback = halyard_number(client, key, NULL, -5.5, &detail) == -5.5;
				break;
			default:
				(void)halyard_string(client, key, NULL, "f", text, sizeof(text), &detail);
				is_fallback = strcmp(text, "f") == 0;
				break;
			}
			assert_int_equal(is_fallback, !fits);
			assert_int_equal(detail.is_default, !fits);
			assert_int_equal(detail.error,
			                 fits ? HALYARD_ERROR_NONE : HALYARD_ERROR_TYPE_MISMATCH);
			assert_int_equal(detail.reason, fits ? HALYARD_REASON_STATIC : HALYARD_REASON_ERROR);
			assert_int_equal(detail.variant[0] == '\0', !fits);
			assert_int_equal(detail.revision, 7);
		}
	}
	halyard_close(client);
}

static void test_texts_and_buffers(void **state)
{
	(void)state;
	char text[16];
	struct halyard_client *client = client_of(typed_flags());
	/* As snprintf does: cut to the buffer, the whole length returned. */
	for (size_t size = 0; size < sizeof(text); size++) {
		memset(text, 'x', sizeof(text));
		assert_int_equal(
		        halyard_string(client, "string", NULL, NULL, size > 0 ? text : NULL, size, NULL), 7);
		assert_int_equal(text[size], 'x');
		if (size > 0) {
			size_t copied = size - 1 < 7 ? size - 1 : 7;
			assert_memory_equal(text, "Grüße", copied);
			assert_int_equal(text[copied], '\0');
		}
	}
	assert_int_equal(halyard_json(client, "string", NULL, NULL, NULL, 0, NULL), 9);
	/* Defaults that are not given. */
	assert_int_equal(halyard_string(client, "ghost", NULL, NULL, text, sizeof(text), NULL), 0);
	assert_string_equal(text, "");
	assert_int_equal(halyard_json(client, "ghost", NULL, NULL, text, sizeof(text), NULL), 4);
	assert_string_equal(text, "null");
	assert_int_equal(
	        halyard_string(client, "ghost", NULL, "longer than the buffer", text, sizeof(text), NULL),
	        22);
	assert_string_equal(text, "longer than the");
	halyard_close(client);
}

/* Whatever is wrong: the default, and a reason. */
static void test_what_is_wrong(void **state)
{
	(void)state;
	struct halyard_detail detail;
	char text[256];
	char long_key[300];
	memset(long_key, 'k', sizeof(long_key) - 1);
	long_key[sizeof(long_key) - 1] = '\0';
	struct halyard_client *client = client_of(typed_flags());
	const char *const keys[] = { "ghost", "", NULL, "not a key", long_key, "\xff\xfe" };
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		assert_true(halyard_bool(client, keys[i], NULL, true, &detail));
		assert_int_equal(detail.error, HALYARD_ERROR_FLAG_NOT_FOUND);
		assert_int_equal(detail.reason, HALYARD_REASON_ERROR);
		assert_true(detail.is_default);
		assert_false(halyard_is_enabled_for_session(client, keys[i], "s", 100));
		(void)halyard_explain(client, keys[i], NULL, text, sizeof(text));
		assert_non_null(strstr(text, "FLAG_NOT_FOUND"));
	}
	const struct halyard_attribute one = HALYARD_ATTRIBUTE_STRING("a", "b");
	const struct halyard_context no_list = { .attribute_count = 1 };
	const struct halyard_context too_many = { .attributes = &one, .attribute_count = SIZE_MAX };
	assert_false(halyard_bool(client, "bool", &no_list, false, &detail));
	assert_int_equal(detail.error, HALYARD_ERROR_INVALID_CONTEXT);
	assert_false(halyard_bool(client, "bool", &too_many, false, &detail));
	assert_int_equal(detail.error, HALYARD_ERROR_INVALID_CONTEXT);
	(void)halyard_explain(client, "bool", &too_many, text, sizeof(text));
	assert_non_null(strstr(text, "INVALID_CONTEXT"));
	halyard_close(client);

	/* A program that goes on although no client could be opened. */
	assert_true(halyard_bool(NULL, "bool", NULL, true, &detail));
	assert_int_equal(detail.error, HALYARD_ERROR_PROVIDER_NOT_READY);
	assert_true(detail.is_default && detail.is_stale);
	assert_int_equal(halyard_integer(NULL, "x", NULL, 5, NULL), 5);
	assert_true(halyard_number(NULL, "x", NULL, 0.25, NULL) == 0.25);
	assert_int_equal(halyard_string(NULL, "x", NULL, "abc", text, sizeof(text), NULL), 3);
	assert_int_equal(halyard_json(NULL, "x", NULL, "{}", text, sizeof(text), NULL), 2);
	assert_string_equal(halyard_read_string(NULL, "x", NULL, "abc", NULL), "abc");
	assert_true(halyard_explain(NULL, "x", NULL, text, sizeof(text)) > 0);
	assert_non_null(strstr(text, "PROVIDER_NOT_READY"));
	assert_false(halyard_is_enabled_for_session(NULL, "x", "s", -1));
	halyard_read_begin(NULL);
	halyard_read_end(NULL);
	halyard_count(NULL, "x", &detail);
	halyard_track(NULL, "x", &detail, false, 1);
	assert_int_equal(halyard_subscribe(NULL, NULL, NULL), 0);
	halyard_unsubscribe(NULL, 1);
	struct halyard_status status = { .size = sizeof(status) };
	halyard_status(NULL, &status);
	assert_int_equal(status.source, HALYARD_SOURCE_NONE);
	assert_int_equal(halyard_wait_ready(NULL, 1), HALYARD_E_CLOSED);
	halyard_close(NULL);
}

/* Contexts made by hand, with holes in them. */
static void test_holes_in_contexts(void **state)
{
	(void)state;
	struct halyard_detail detail;
	struct halyard_client *client = client_of(FIXTURE_RULESET(
	        "{'key':'f','type':'boolean','version':'1','variants':{'on':true,'off':false},'enabled':true,"
	        "'off_variant':'off','prerequisites':[],'targets':[],'rules':["
	        "{'if':[{'attribute':'role','op':'exists'}],'serve':{'variant':'on'}},"
	        "{'if':[{'attribute':'tags','op':'any_of','values':['x','y']}],'serve':{'variant':'on'}},"
	        "{'if':[{'attribute':'all','op':'all_of','values':['x']}],'serve':{'variant':'on'}}],"
	        "'default':{'variant':'off'}}"));
	const struct halyard_attribute items[] = { HALYARD_ATTRIBUTE_STRING(NULL, NULL) };
	const struct halyard_attribute holes[] = {
		HALYARD_ATTRIBUTE_STRING(NULL, "no name"),
		HALYARD_ATTRIBUTE_STRING("role", NULL),
		{ "tags", HALYARD_ARRAY, { .array = { NULL, 3 } } },
		{ "all", HALYARD_ARRAY, { .array = { items, 1 } } },
		{ "nothing", HALYARD_NULL, { .string = NULL } },
		{ "unknown type", (enum halyard_type)77, { .integer = 1 } },
	};
	const struct halyard_context context = { .attributes = holes, .attribute_count = 6 };
	assert_false(halyard_bool(client, "f", &context, true, &detail));
	assert_int_equal(detail.error, HALYARD_ERROR_NONE);
	assert_int_equal(detail.reason, HALYARD_REASON_DEFAULT);
	const struct halyard_attribute role = HALYARD_ATTRIBUTE_STRING("role", "ops");
	assert_true(halyard_bool(client, "f",
	                         &(struct halyard_context){ .attributes = &role, .attribute_count = 1 },
	                         false, &detail));
	assert_int_equal(detail.reason, HALYARD_REASON_TARGETING_MATCH);
	halyard_close(client);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(halyard_reason_name(HALYARD_REASON_TARGETING_MATCH), "TARGETING_MATCH");
	assert_string_equal(halyard_error_name(HALYARD_ERROR_FLAG_NOT_FOUND), "FLAG_NOT_FOUND");
	assert_string_equal(halyard_error_name(HALYARD_ERROR_NONE), "NONE");
	assert_string_equal(halyard_reason_name((enum halyard_reason)99), "UNKNOWN");
	assert_string_equal(halyard_error_name((enum halyard_error) - 1), "GENERAL");
	assert_string_equal(halyard_version(), HALYARD_VERSION);
}

/* ---- Sessions ---- */

static int sessions_in(struct halyard_client *client, const char *flag, double percentage, bool *ret_is_in)
{
	int count = 0;
	for (int i = 0; i < 10000; i++) {
		char session[32];
		(void)snprintf(session, sizeof(session), "session-%d", i);
		bool is_in = halyard_is_enabled_for_session(client, flag, session, percentage);
		/* Nobody falls out when the percentage grows. */
		assert_false(ret_is_in[i] && !is_in);
		ret_is_in[i] = is_in;
		count += is_in;
	}
	return count;
}

static void test_sessions(void **state)
{
	(void)state;
	static bool is_in[10000];
	struct halyard_client *client = client_of(FIXTURE_RULESET(
	        BOOLEAN_FLAG("on", "1", "on"), BOOLEAN_FLAG("off", "1", "off"),
	        BOOLEAN_FLAG("another", "1", "on"), FLAG("text", "string", "{'on':'on'}", "on"),
	        "{'key':'half','type':'boolean','version':'1','variants':{'on':true,'off':false},'enabled':"
	        "true,"
	        "'off_variant':'off','prerequisites':[],'targets':[],'rules':[],'default':{'split':["
	        "{'variant':'on','weight':50000},{'variant':'off','weight':50000}]}}"));
	const double percentages[] = { 0, 0.001, 0.5, 1, 5, 25, 50, 75, 99, 99.999, 100, 1000, INFINITY };
	for (size_t i = 0; i < sizeof(percentages) / sizeof(percentages[0]); i++) {
		double expected = percentages[i] < 100 ? percentages[i] * 100 : 10000;
		double count = sessions_in(client, "on", percentages[i], is_in);
		assert_true(fabs(count - expected) <= 4 * sqrt(expected * (10000 - expected) / 10000) + 2);
	}
	/* Exact at both ends, with any session, even the empty one; and a session there must be. */
	assert_true(halyard_is_enabled_for_session(client, "on", "", 100));
	assert_false(halyard_is_enabled_for_session(client, "on", "", 0));
	assert_false(halyard_is_enabled_for_session(client, "on", NULL, 100));
	assert_true(halyard_is_enabled_for_session(client, "on", NULL, -1));
	assert_false(halyard_is_enabled_for_session(client, "on", "s", NAN));
	/* The flag has to be on, and to be a boolean. */
	assert_false(halyard_is_enabled_for_session(client, "off", "s", 100));
	assert_false(halyard_is_enabled_for_session(client, "text", "s", 100));
	/* Two flags are independent, and so are a flag's own split and the percentage: a quarter has both. */
	int both_flags = 0;
	int split_and_session = 0;
	for (int i = 0; i < 10000; i++) {
		char session[32];
		(void)snprintf(session, sizeof(session), "session-%d", i);
		bool first = halyard_is_enabled_for_session(client, "on", session, 50);
		both_flags += first && halyard_is_enabled_for_session(client, "another", session, 50);
		split_and_session += halyard_is_enabled_for_session(client, "half", session, 50);
	}
	assert_in_range(both_flags, 2300, 2700);
	assert_in_range(split_and_session, 2300, 2700);
	/* Finer than a hundred-thousandth: one session's threshold, found by halving, is sharp. */
	double low = 0;
	double high = 100;
	for (int i = 0; i < 40; i++) {
		double middle = (low + high) / 2;
		if (halyard_is_enabled_for_session(client, "on", "session-7", middle)) {
			high = middle;
		} else {
			low = middle;
		}
	}
	assert_false(halyard_is_enabled_for_session(client, "on", "session-7", high - 0.00001));
	assert_true(halyard_is_enabled_for_session(client, "on", "session-7", high + 0.00001));
	halyard_close(client);
}

/* ---- Guards ---- */

static struct snapshot *next_snapshot(uint64_t revision, const char *document)
{
	struct snapshot *snapshot = NULL;
	struct error err = ERROR_INIT;
	struct bundle bundle;
	struct ruleset *ruleset = FIXTURE_RULESET(document);
	struct buf text = issuer_snapshot(&issuer, 3, revision, ruleset);
	fixture_ok(bundle_open(text.data, text.length, issuer.public_key, "prod", &bundle, &err), &err);
	fixture_ok(snapshot_new(&bundle, text.data, ruleset, HALYARD_SOURCE_DAEMON, &snapshot, &err), &err);
	buf_deinit(&text);
	return snapshot;
}

static void test_guards(void **state)
{
	(void)state;
	struct halyard_detail detail;
	struct halyard_client *client = client_of(FIXTURE_RULESET(FLAG("s", "string", "{'v':'old'}", "v")));
	/* Without a guard there is nothing to borrow from. */
	assert_string_equal(halyard_read_string(client, "s", NULL, "fallback", &detail), "fallback");
	assert_true(detail.is_default);
	halyard_read_begin(client);
	const char *text = halyard_read_string(client, "s", NULL, "fallback", &detail);
	assert_string_equal(text, "old");
	client_apply(client, next_snapshot(8, FLAG("s", "string", "{'v':'new'}", "v")), NULL);
	/* The guard holds what it began with, nested guards too; the text stays. */
	halyard_read_begin(client);
	assert_string_equal(halyard_read_string(client, "s", NULL, "fallback", &detail), "old");
	assert_int_equal(detail.revision, 7);
	halyard_read_end(client);
	char copy[16];
	(void)halyard_string(client, "s", NULL, NULL, copy, sizeof(copy), &detail);
	assert_string_equal(copy, "old");
	char explained[512];
	(void)halyard_explain(client, "s", NULL, explained, sizeof(explained));
	assert_non_null(strstr(explained, "\"old\""));
	assert_string_equal(text, "old");
	assert_null(halyard_read_string(client, "ghost", NULL, NULL, NULL));
	halyard_read_end(client);
	(void)halyard_string(client, "s", NULL, NULL, copy, sizeof(copy), &detail);
	assert_string_equal(copy, "new");
	assert_int_equal(detail.revision, 8);
	halyard_close(client);
}

/* Several clients at once, each with its own snapshot. */
static void test_guards_of_many_clients(void **state)
{
	(void)state;
	struct halyard_client *clients[10];
	for (int i = 0; i < 10; i++) {
		clients[i] = client_of(FIXTURE_RULESET(BOOLEAN_FLAG("f", "1", "on")));
		halyard_read_begin(clients[i]);
	}
	for (int i = 0; i < 10; i++) {
		client_apply(clients[i], next_snapshot(8, BOOLEAN_FLAG("f", "2", "off")), NULL);
		/* From the ninth on a guard only keeps memory alive; that is in the header. */
		assert_int_equal(halyard_bool(clients[i], "f", NULL, false, NULL), i < 8);
	}
	for (int i = 0; i < 10; i++) {
		halyard_read_end(clients[i]);
		assert_false(halyard_bool(clients[i], "f", NULL, true, NULL));
	}
	for (int i = 0; i < 10; i++) {
		halyard_close(clients[i]);
	}
}

/* ---- Vectors ---- */

#define SUITE_MAX_ITEMS 128

static struct ruleset *suite_ruleset(struct json suite)
{
	struct ruleset_edit edits[SUITE_MAX_ITEMS] = { 0 };
	size_t count = 0;
	struct error err = ERROR_INIT;
	const char *const lists[] = { "flags", "segments" };
	for (int kind = ITEM_FLAG; kind <= ITEM_SEGMENT; kind++) {
		struct json document = JSON_NONE;
		while (json_next(json_get(suite, lists[kind]), NULL, &document)) {
			size_t length = 0;
			const char *text = json_raw(document, &length);
			struct item *item = NULL;
			assert_true(count < SUITE_MAX_ITEMS);
			fixture_ok(item_load((enum item_kind)kind, text, length, &item, &err), &err);
			edits[count++] = (struct ruleset_edit){ (enum item_kind)kind, item->key, item };
		}
	}
	struct ruleset *ruleset = NULL;
	fixture_ok(ruleset_new(NULL, edits, count, &ruleset, &err), &err);
	while (count > 0) {
		item_unref(edits[--count].item);
	}
	return ruleset;
}

static bool is_same_value(struct json expected, const char *text, size_t length)
{
	struct vectors value = { 0 };
	double a = 0;
	double b = 0;
	vectors_parse(&value, text, length);
	struct json actual = json_root(&value.doc);
	bool is_same =
	        json_double(expected, &a) && json_double(actual, &b) ? a == b : json_same(expected, actual);
	vectors_close(&value);
	return is_same;
}

static void case_run(struct halyard_client *client, struct json row)
{
	static char text[65536];
	struct arena arena;
	struct context context = { 0 };
	struct error err = ERROR_INIT;
	struct halyard_detail detail;
	memset(&detail, 0xa5, sizeof(detail));
	arena_init(&arena, 1 << 20);
	fixture_ok(context_read(json_get(row, "context"), &arena, &context, &err), &err);
	char *key = vectors_string(json_get(row, "flag"), NULL);
	struct json expect = json_get(row, "expect");
	struct json error = json_get(expect, "error_code");
	struct json variant = json_get(expect, "variant");
	size_t length = halyard_json(client, key, (const struct halyard_context *)(const void *)&context,
	                             NULL, text, sizeof(text), &detail);
	bool is_good = json_equals(json_get(expect, "reason"), halyard_reason_name(detail.reason)) &&
	               (json_is(error, JSON_ABSENT) ? detail.error == HALYARD_ERROR_NONE
	                                            : json_equals(error, halyard_error_name(detail.error))) &&
	               (json_is(variant, JSON_ABSENT)
	                        ? detail.is_default && detail.variant_length == 0
	                        : json_equals(variant, detail.variant) &&
	                                  is_same_value(json_get(expect, "value"), text, length));
	if (!is_good) {
		const char *raw = json_raw(row, &length);
		fail_msg("%.*s\nreason %s, error %s, variant %s", (int)length, raw,
		         halyard_reason_name(detail.reason), halyard_error_name(detail.error),
		         detail.variant);
	}
	free(key);
	arena_deinit(&arena);
}

static void test_vectors(void **state)
{
	(void)state;
	struct vectors vectors;
	struct json suite = JSON_NONE;
	unsigned count = 0;
	struct json suites = json_get(vectors_open(&vectors, "evaluation.json"), "suites");
	while (json_next(suites, NULL, &suite)) {
		struct halyard_client *client = client_of(suite_ruleset(suite));
		struct json row = JSON_NONE;
		while (json_next(json_get(suite, "cases"), NULL, &row)) {
			case_run(client, row);
			count++;
		}
		halyard_close(client);
	}
	assert_true(count >= 200);
	vectors_close(&vectors);
}

/* ---- Cost ---- */

static void evaluate_all(struct halyard_client *client)
{
	struct halyard_detail detail;
	char text[64];
	const struct halyard_attribute role = HALYARD_ATTRIBUTE_STRING("role", "ops");
	const struct halyard_context context = { .targeting_key = "user-7",
		                                 .attributes = &role,
		                                 .attribute_count = 1 };
	(void)halyard_bool(client, "bool", &context, false, &detail);
	(void)halyard_integer(client, "integer", &context, 0, &detail);
	(void)halyard_number(client, "number", &context, 0, &detail);
	(void)halyard_string(client, "string", &context, "x", text, sizeof(text), &detail);
	(void)halyard_json(client, "object", &context, NULL, text, sizeof(text), &detail);
	(void)halyard_bool(client, "ghost", &context, false, &detail);
	(void)halyard_bool(client, "string", &context, false, &detail);
	(void)halyard_is_enabled_for_session(client, "bool", "session", 50);
	halyard_read_begin(client);
	(void)halyard_read_string(client, "string", &context, NULL, &detail);
	halyard_read_end(client);
	struct halyard_status status = { .size = sizeof(status) };
	halyard_status(client, &status);
}

/*
 * No evaluation allocates. The client's threads do, now and then, so a round in which nobody did is
 * looked for: one is proof enough, because every round does the same.
 */
static void test_no_allocation(void **state)
{
	(void)state;
	struct halyard_client *client = client_of(typed_flags());
	evaluate_all(client); /* the first in a thread makes it known to liburcu */
	bool has_proof = false;
	for (int round = 0; round < 10000 && !has_proof; round++) {
		size_t before = atomic_load(&heap_allocations);
		for (int i = 0; i < 20; i++) {
			evaluate_all(client);
		}
		has_proof = atomic_load(&heap_allocations) == before;
	}
	assert_true(has_proof);
	halyard_close(client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_mismatches),
		cmocka_unit_test(test_texts_and_buffers),
		cmocka_unit_test(test_what_is_wrong),
		cmocka_unit_test(test_holes_in_contexts),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_sessions),
		cmocka_unit_test(test_guards),
		cmocka_unit_test(test_guards_of_many_clients),
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_no_allocation),
	};
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
