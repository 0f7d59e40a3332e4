/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/engine/fixture.h"

#include <sodium.h>

#define BOOLEAN(key, more)                                                                     \
	"{'key':'" key "','type':'boolean','variants':{'on':true,'off':false},'enabled':true," \
	"'default':{'variant':'on'}" more "}"
#define NEEDS(key, other) BOOLEAN(key, ",'prerequisites':[{'flag':'" other "','variants':['on']}]")
#define LOOKS_AT(key, segment)                                                      \
	BOOLEAN(key, ",'rules':[{'if':[{'op':'in_segment','value':'" segment "'}]," \
	             "'serve':{'variant':'off'}}]")
#define SEGMENT(key, other) "{'key':'" key "','if':[{'op':'in_segment','value':'" other "'}]}"

/* ---- Making and reading ---- */

static void test_empty(void **state)
{
	(void)state;
	struct ruleset *ruleset = NULL;
	struct error err = ERROR_INIT;
	fixture_ok(ruleset_new(NULL, NULL, 0, &ruleset, &err), &err);
	assert_int_equal(ruleset_flag_count(ruleset), 0);
	assert_int_equal(ruleset_segment_count(ruleset), 0);
	assert_int_equal(ruleset_problem_count(ruleset), 0);
	assert_int_equal(ruleset_text_bytes(ruleset), 0);
	const char *problem = "untouched";
	assert_null(ruleset_flag_find(ruleset, "a", 1, &problem));
	assert_null(problem);
	assert_null(ruleset_segment_find(ruleset, "", 0, NULL));
	ruleset_unref(ruleset);
	ruleset_unref(NULL);
}

static void test_sorted_and_found(void **state)
{
	(void)state;
	struct ruleset *ruleset = FIXTURE_RULESET(BOOLEAN("b", ""), "{'key':'b'}", BOOLEAN("a", ""),
	                                          BOOLEAN("a.b", ""), BOOLEAN("B", ""), "{'key':'0'}");
	static const char *const keys[] = { "B", "a", "a.b", "b" };
	assert_int_equal(ruleset_flag_count(ruleset), 4);
	for (size_t i = 0; i < 4; i++) {
		const struct flag *flag = ruleset_flag_at(ruleset, i, NULL);
		assert_string_equal(flag->item.key, keys[i]);
		assert_ptr_equal(ruleset_flag_find(ruleset, keys[i], strlen(keys[i]), NULL), flag);
	}
	assert_int_equal(ruleset_segment_count(ruleset), 2);
	assert_string_equal(ruleset_segment_at(ruleset, 0, NULL)->item.key, "0");
	assert_null(ruleset_segment_find(ruleset, "a", 1, NULL));
	assert_null(ruleset_flag_find(ruleset, "a.b", 2, NULL));
	assert_non_null(ruleset_flag_find(ruleset, "a.b", 1, NULL));
	ruleset_unref(ruleset);
}

static struct ruleset *edited(const struct ruleset *base, const struct ruleset_edit *edits, size_t count)
{
	struct ruleset *ruleset = NULL;
	struct error err = ERROR_INIT;
	fixture_ok(ruleset_new(base, edits, count, &ruleset, &err), &err);
	return ruleset;
}

static void test_edits(void **state)
{
	(void)state;
	struct ruleset *base = FIXTURE_RULESET(BOOLEAN("a", ""), BOOLEAN("c", ""), BOOLEAN("d", ""));
	struct item *b = fixture_item(BOOLEAN("b", ""));
	struct item *c = fixture_item(BOOLEAN("c", ",'version':'2'"));
	const struct ruleset_edit edits[] = {
		{ .kind = ITEM_FLAG, .key = "d" },
		{ .kind = ITEM_FLAG, .key = "c", .item = c },
		{ .kind = ITEM_FLAG, .key = "b", .item = b },
	};
	struct ruleset *next = edited(base, edits, 3);
	assert_int_equal(ruleset_flag_count(next), 3);
	assert_ptr_equal(ruleset_flag_at(next, 0, NULL), ruleset_flag_at(base, 0, NULL));
	assert_ptr_equal(&ruleset_flag_at(next, 1, NULL)->item, b);
	assert_ptr_equal(&ruleset_flag_at(next, 2, NULL)->item, c);
	assert_null(ruleset_flag_find(next, "d", 1, NULL));
	assert_int_equal(ruleset_text_bytes(next),
	                 ruleset_flag_at(base, 0, NULL)->item.text_length + b->text_length + c->text_length);
	/* The old one is what it was, and the new one stands without it. */
	assert_int_equal(ruleset_flag_count(base), 3);
	assert_string_equal(ruleset_flag_find(base, "c", 1, NULL)->item.version, "");
	item_unref(b);
	item_unref(c);
	ruleset_unref(base);
	assert_string_equal(ruleset_flag_find(next, "c", 1, NULL)->item.version, "2");
	assert_ptr_equal(ruleset_ref(next), next);
	ruleset_unref(next);
	assert_non_null(ruleset_flag_find(next, "a", 1, NULL));
	ruleset_unref(next);
}

static void assert_edits_refused(const struct ruleset *base, const struct ruleset_edit *edits, size_t count,
                                 const char *message)
{
	struct ruleset *ruleset = NULL;
	struct error err = ERROR_INIT;
	assert_int_equal(ruleset_new(base, edits, count, &ruleset, &err), STATUS_INVALID);
	assert_string_equal(err.message, message);
	assert_null(ruleset);
}

static void test_edits_that_are_refused(void **state)
{
	(void)state;
	struct ruleset *base = FIXTURE_RULESET(BOOLEAN("a", ""));
	struct item *a = fixture_item(BOOLEAN("a", ""));
	const struct ruleset_edit twice[] = { { .kind = ITEM_FLAG, .key = "a", .item = a },
		                              { .kind = ITEM_FLAG, .key = "a" } };
	assert_edits_refused(base, twice, 2, "The flag `a` is changed twice");
	const struct ruleset_edit missing[] = { { .kind = ITEM_SEGMENT, .key = "a" } };
	assert_edits_refused(base, missing, 1, "The segment `a` cannot be removed: there is none");
	assert_edits_refused(NULL, missing, 1, "The segment `a` cannot be removed: there is none");
	const struct ruleset_edit elsewhere[] = { { .kind = ITEM_FLAG, .key = "b", .item = a } };
	assert_edits_refused(base, elsewhere, 1, "The flag `a` cannot stand at the key `b`");
	const struct ruleset_edit other_kind[] = { { .kind = ITEM_SEGMENT, .key = "a", .item = a } };
	assert_edits_refused(base, other_kind, 1, "The flag `a` cannot stand at the key `a`");
	item_unref(a);
	ruleset_unref(base);
}

static void test_digest(void **state)
{
	(void)state;
	struct ruleset *ruleset =
	        FIXTURE_RULESET("{'key':'beta','included':['u1']}", BOOLEAN("b", ""), BOOLEAN("a", ""));
	struct buf text;
	buf_init(&text, 4096);
	buf_append_string(&text, "halyard-ruleset-v1\n");
	static const char *const names[] = { "flag a", "flag b", "segment beta" };
	for (size_t i = 0; i < 3; i++) {
		const struct item *item = i < 2 ? &ruleset_flag_at(ruleset, i, NULL)->item
		                                : &ruleset_segment_at(ruleset, 0, NULL)->item;
		char hex[65];
		sodium_bin2hex(hex, sizeof(hex), item->digest, 32);
		buf_append_format(&text, "%s %s\n", names[i], hex);
	}
	uint8_t expected[32];
	uint8_t digest[32];
	crypto_generichash(expected, 32, (const unsigned char *)text.data, text.length, NULL, 0);
	ruleset_digest(ruleset, digest);
	assert_memory_equal(digest, expected, 32);
	buf_deinit(&text);
	ruleset_unref(ruleset);
}

/* Every key is found in a set that grew and shrank, whatever the index had to move. */
static void test_many_edits(void **state)
{
	(void)state;
	enum { KEYS = 700 };
	struct ruleset *ruleset = NULL;
	bool is_there[KEYS] = { false };
	uint32_t random = 12345;
	for (int round = 0; round < 60; round++) {
		struct ruleset_edit edits[40];
		char keys[40][16];
		size_t count = 0;
		for (int i = 0; i < 40; i++) {
			random = random * 1664525u + 1013904223u;
			unsigned key = (random >> 8) % KEYS;
			bool is_used = false;
			(void)snprintf(keys[count], sizeof(keys[count]), "k%u", key);
			for (size_t k = 0; k < count; k++) {
				is_used = is_used || strcmp(keys[k], keys[count]) == 0;
			}
			if (is_used) {
				continue;
			}
			char text[256];
			(void)snprintf(text, sizeof(text), BOOLEAN("%s", ""), keys[count]);
			struct item *item = is_there[key] ? NULL : fixture_item(text);
			is_there[key] = !is_there[key];
			edits[count] = (struct ruleset_edit){ ITEM_FLAG, keys[count], item };
			count++;
		}
		struct ruleset *next = edited(ruleset, edits, count);
		ruleset_unref(ruleset);
		ruleset = next;
		for (size_t i = 0; i < count; i++) {
			item_unref(edits[i].item);
		}
	}
	size_t total = 0;
	for (unsigned i = 0; i < KEYS; i++) {
		char key[16];
		(void)snprintf(key, sizeof(key), "k%u", i);
		const struct flag *flag = ruleset_flag_find(ruleset, key, strlen(key), NULL);
		assert_int_equal(flag != NULL, is_there[i]);
		total += is_there[i];
	}
	assert_int_equal(ruleset_flag_count(ruleset), total);
	for (size_t i = 1; i < total; i++) {
		assert_true(strcmp(ruleset_flag_at(ruleset, i - 1, NULL)->item.key,
		                   ruleset_flag_at(ruleset, i, NULL)->item.key) < 0);
	}
	ruleset_unref(ruleset);
}

/* Flags f0, f1, … of numbers in [@from, @to), or their removal; free() it. */
static struct ruleset_edit *numbered(unsigned from, unsigned to, bool is_removal)
{
	struct ruleset_edit *edits = calloc(to - from, sizeof(*edits));
	assert_non_null(edits);
	for (unsigned i = from; i < to; i++) {
		char text[256];
		(void)snprintf(text, sizeof(text), BOOLEAN("f%u", ""), i);
		struct item *item = fixture_item(text);
		edits[i - from] = (struct ruleset_edit){ ITEM_FLAG, strdup(item->key), item };
		if (is_removal) {
			edits[i - from].item = NULL;
			item_unref(item);
		}
	}
	return edits;
}

static void numbered_free(struct ruleset_edit *edits, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		item_unref(edits[i].item);
		free((char *)edits[i].key);
	}
	free(edits);
}

/* In one step as many are removed as there were, and as many come. */
static void test_everything_is_replaced(void **state)
{
	(void)state;
	for (unsigned size = 1; size < 40; size++) {
		struct ruleset_edit *before = numbered(0, size, false);
		struct ruleset *base = edited(NULL, before, size);
		struct ruleset_edit *removed = numbered(0, size, true);
		struct ruleset_edit *added = numbered(size, 2 * size, false);
		struct ruleset_edit edits[80];
		memcpy(edits, added, size * sizeof(*edits));
		memcpy(edits + size, removed, size * sizeof(*edits));
		struct ruleset *next = edited(base, edits, (size_t)2 * size);
		assert_int_equal(ruleset_flag_count(next), size);
		for (unsigned i = 0; i < size; i++) {
			assert_null(ruleset_flag_find(next, removed[i].key, strlen(removed[i].key), NULL));
			assert_non_null(ruleset_flag_find(next, added[i].key, strlen(added[i].key), NULL));
		}
		ruleset_unref(base);
		ruleset_unref(next);
		numbered_free(before, size);
		numbered_free(removed, size);
		numbered_free(added, size);
	}
}

/* What is left of many is packed again, and is the same as if it had been made at once. */
static void test_most_are_removed(void **state)
{
	(void)state;
	enum { ALL = 6000, STEP = 37 };
	struct ruleset_edit *all = numbered(0, ALL, false);
	struct ruleset *base = edited(NULL, all, ALL);
	struct ruleset_edit *removals = calloc(ALL, sizeof(*removals));
	struct ruleset_edit *kept = calloc(ALL, sizeof(*kept));
	assert_non_null(removals);
	assert_non_null(kept);
	size_t removed = 0;
	size_t left = 0;
	for (unsigned i = 0; i < ALL; i++) {
		if (i % STEP == 0) {
			kept[left++] = all[i];
		} else {
			removals[removed++] = (struct ruleset_edit){ ITEM_FLAG, all[i].key, NULL };
		}
	}
	struct ruleset *next = edited(base, removals, removed);
	struct ruleset *fresh = edited(NULL, kept, left);
	assert_int_equal(ruleset_flag_count(next), left);
	uint8_t digest[FLAG_DIGEST_BYTES];
	uint8_t expected[FLAG_DIGEST_BYTES];
	ruleset_digest(next, digest);
	ruleset_digest(fresh, expected);
	assert_memory_equal(digest, expected, sizeof(digest));
	assert_int_equal(ruleset_text_bytes(next), ruleset_text_bytes(fresh));
	for (size_t i = 0; i < left; i++) {
		assert_ptr_equal(ruleset_flag_at(next, i, NULL), ruleset_flag_at(fresh, i, NULL));
	}
	for (unsigned i = 0; i < ALL; i++) {
		const struct flag *flag = ruleset_flag_find(next, all[i].key, strlen(all[i].key), NULL);
		assert_int_equal(flag != NULL, i % STEP == 0);
	}
	free(removals);
	free(kept);
	ruleset_unref(base);
	ruleset_unref(fresh);
	ruleset_unref(next);
	numbered_free(all, ALL);
}

/* ---- Problems ---- */

static const char *problem_of(const struct ruleset *ruleset, enum item_kind kind, const char *key)
{
	const char *problem = NULL;
	if (kind == ITEM_FLAG) {
		assert_non_null(ruleset_flag_find(ruleset, key, strlen(key), &problem));
	} else {
		assert_non_null(ruleset_segment_find(ruleset, key, strlen(key), &problem));
	}
	return problem;
}

#define assert_problem(ruleset, kind, key, message)                                   \
	do {                                                                          \
		assert_non_null(problem_of((ruleset), (kind), (key)));                \
		assert_string_equal(problem_of((ruleset), (kind), (key)), (message)); \
	} while (0)

static void test_references_that_lead_nowhere(void **state)
{
	(void)state;
	struct ruleset *ruleset = FIXTURE_RULESET(
	        BOOLEAN("good", ""), NEEDS("a", "nowhere"),
	        BOOLEAN("b", ",'prerequisites':[{'flag':'good','variants':['on','blue']}]"),
	        LOOKS_AT("c", "nobody"),
	        BOOLEAN("d", ",'rules':[{'if':[{'op':'flag','flag':'nothing','values':['on']}],"
	                     "'serve':{'variant':'off'}}]"),
	        BOOLEAN("e", ",'rules':[{'if':[{'op':'flag','flag':'good','values':['red']}],"
	                     "'serve':{'variant':'off'}}]"),
	        SEGMENT("f", "nobody"), NEEDS("g", "good"));
	assert_problem(ruleset, ITEM_FLAG, "a", "Prerequisite `nowhere` does not exist");
	assert_problem(ruleset, ITEM_FLAG, "b", "Prerequisite `good` has no variant `blue`");
	assert_problem(ruleset, ITEM_FLAG, "c", "Segment `nobody` does not exist");
	assert_problem(ruleset, ITEM_FLAG, "d", "Flag `nothing` does not exist");
	assert_problem(ruleset, ITEM_FLAG, "e", "Flag `good` has no variant `red`");
	assert_problem(ruleset, ITEM_SEGMENT, "f", "Segment `nobody` does not exist");
	assert_null(problem_of(ruleset, ITEM_FLAG, "good"));
	assert_null(problem_of(ruleset, ITEM_FLAG, "g"));
	assert_int_equal(ruleset_problem_count(ruleset), 6);
	const struct ruleset_problem *last = ruleset_problem_at(ruleset, 5);
	assert_int_equal(last->kind, ITEM_SEGMENT);
	assert_string_equal(last->key, "f");
	assert_string_equal(last->message, "Segment `nobody` does not exist");
	ruleset_unref(ruleset);
}

static void test_problem_goes_with_its_reason(void **state)
{
	(void)state;
	struct ruleset *base = FIXTURE_RULESET(NEEDS("a", "b"), BOOLEAN("c", ""));
	assert_problem(base, ITEM_FLAG, "a", "Prerequisite `b` does not exist");
	struct item *b = fixture_item(BOOLEAN("b", ""));
	struct ruleset *next = edited(base, &(struct ruleset_edit){ ITEM_FLAG, "b", b }, 1);
	assert_int_equal(ruleset_problem_count(next), 0);
	const char *problem = "untouched";
	assert_non_null(ruleset_flag_at(next, 0, &problem));
	assert_null(problem);
	struct ruleset *last = edited(next, &(struct ruleset_edit){ ITEM_FLAG, "b", NULL }, 1);
	assert_non_null(ruleset_flag_at(last, 0, &problem));
	assert_string_equal(problem, "Prerequisite `b` does not exist");
	item_unref(b);
	ruleset_unref(base);
	ruleset_unref(next);
	ruleset_unref(last);
}

static void test_problems_spread(void **state)
{
	(void)state;
	struct ruleset *ruleset =
	        FIXTURE_RULESET("{'key':'bad','type':'boolean','variants':{'on':1},'enabled':true,"
	                        "'default':{'variant':'on'}}",
	                        NEEDS("a", "bad"), NEEDS("b", "a"), "{'key':'s','included':['x','x']}",
	                        LOOKS_AT("c", "s"), SEGMENT("t", "s"), LOOKS_AT("d", "t"));
	assert_problem(ruleset, ITEM_FLAG, "bad",
	               "/variants/on: The value of a boolean flag must be true or false");
	assert_problem(ruleset, ITEM_FLAG, "a",
	               "Prerequisite `bad` does not work: "
	               "/variants/on: The value of a boolean flag must be true or false");
	assert_problem(ruleset, ITEM_FLAG, "b",
	               "Prerequisite `a` does not work: "
	               "/variants/on: The value of a boolean flag must be true or false");
	assert_problem(ruleset, ITEM_FLAG, "d",
	               "Segment `t` does not work: "
	               "/included/1: This key is listed already at /included/0");
	assert_int_equal(ruleset_problem_count(ruleset), 7);
	ruleset_unref(ruleset);
}

static void test_cycles(void **state)
{
	(void)state;
	struct ruleset *ruleset = FIXTURE_RULESET(
	        NEEDS("a", "b"), NEEDS("b", "c"), NEEDS("c", "a"), NEEDS("self", "self"),
	        NEEDS("behind", "b"), SEGMENT("s", "t"), SEGMENT("t", "s"), LOOKS_AT("x", "u"),
	        "{'key':'u','if':[{'op':'flag','flag':'x','values':['on']}]}", BOOLEAN("free", ""));
	assert_problem(ruleset, ITEM_FLAG, "a", "Cycle: a → b → c → a");
	assert_problem(ruleset, ITEM_FLAG, "b", "Cycle: a → b → c → a");
	assert_problem(ruleset, ITEM_FLAG, "c", "Cycle: a → b → c → a");
	assert_problem(ruleset, ITEM_FLAG, "self", "Cycle: self → self");
	assert_problem(ruleset, ITEM_FLAG, "behind", "Prerequisite `b` does not work: Cycle: a → b → c → a");
	assert_problem(ruleset, ITEM_SEGMENT, "s", "Cycle: s → t → s");
	assert_problem(ruleset, ITEM_SEGMENT, "t", "Cycle: s → t → s");
	assert_problem(ruleset, ITEM_FLAG, "x", "Cycle: x → u → x");
	assert_problem(ruleset, ITEM_SEGMENT, "u", "Cycle: x → u → x");
	assert_null(problem_of(ruleset, ITEM_FLAG, "free"));
	assert_int_equal(ruleset_problem_count(ruleset), 9);
	ruleset_unref(ruleset);
}

/* Two cycles through one flag: everyone who takes part has a problem, wherever the walk starts. */
static void test_cycles_that_share(void **state)
{
	(void)state;
	struct ruleset *ruleset =
	        FIXTURE_RULESET(BOOLEAN("a", ",'prerequisites':[{'flag':'b','variants':['on']},"
	                                     "{'flag':'c','variants':['on']}]"),
	                        NEEDS("b", "a"), NEEDS("c", "b"), NEEDS("d", "c"));
	assert_problem(ruleset, ITEM_FLAG, "a", "Cycle: a → b → a");
	assert_problem(ruleset, ITEM_FLAG, "b", "Cycle: a → b → a");
	assert_non_null(problem_of(ruleset, ITEM_FLAG, "c"));
	assert_non_null(problem_of(ruleset, ITEM_FLAG, "d"));
	ruleset_unref(ruleset);
}

/* c0 needs c1 needs … c(length-1); with @is_closed the last needs the first. */
static struct ruleset *chain(unsigned length, bool is_closed)
{
	struct ruleset_edit *edits = calloc(length, sizeof(*edits));
	assert_non_null(edits);
	for (unsigned i = 0; i < length; i++) {
		char quoted[512];
		unsigned next = i + 1 < length ? i + 1 : 0;
		if (i + 1 < length || is_closed) {
			(void)snprintf(quoted, sizeof(quoted), NEEDS("c%u", "c%u"), i, next);
		} else {
			(void)snprintf(quoted, sizeof(quoted), BOOLEAN("c%u", ""), i);
		}
		struct item *item = fixture_item(quoted);
		edits[i] = (struct ruleset_edit){ ITEM_FLAG, item->key, item };
	}
	struct ruleset *ruleset = edited(NULL, edits, length);
	for (unsigned i = 0; i < length; i++) {
		item_unref(edits[i].item);
	}
	free(edits);
	return ruleset;
}

static void test_depth(void **state)
{
	(void)state;
	struct ruleset *good = chain(EVAL_MAX_DEPTH + 1, false);
	assert_int_equal(ruleset_problem_count(good), 0);
	assert_int_equal(fixture_eval(good, "c0", "{}").reason, EVAL_REASON_DEFAULT);
	ruleset_unref(good);
	struct ruleset *deep = chain(EVAL_MAX_DEPTH + 2, false);
	assert_int_equal(ruleset_problem_count(deep), 1);
	assert_problem(deep, ITEM_FLAG, "c0",
	               "`c0` refers to others that refer to others, more than 16 deep");
	assert_int_equal(fixture_eval(deep, "c0", "{}").error, EVAL_ERROR_GENERAL);
	assert_int_equal(fixture_eval(deep, "c1", "{}").error, EVAL_ERROR_NONE);
	ruleset_unref(deep);
}

static void test_long_chains(void **state)
{
	(void)state;
	struct ruleset *open = chain(50000, false);
	assert_int_equal(ruleset_problem_count(open), 50000 - EVAL_MAX_DEPTH - 1);
	ruleset_unref(open);
	struct ruleset *closed = chain(50000, true);
	assert_int_equal(ruleset_problem_count(closed), 50000);
	assert_problem(closed, ITEM_FLAG, "c7",
	               "Cycle: c0 → … → c49992 → c49993 → c49994 → c49995 → c49996 → c49997 → c49998 → "
	               "c49999 → c0");
	ruleset_unref(closed);
}

/* Each level needs the next one twice: few flags, 2^n evaluations. */
static void test_cost(void **state)
{
	(void)state;
	static const char *const documents[] = {
#define TWICE(key, other)                                                        \
	BOOLEAN(key, ",'prerequisites':[{'flag':'" other "','variants':['on']}," \
	             "{'flag':'" other "','variants':['off','on']}]")
		TWICE("a", "b"),  TWICE("b", "c"),
		TWICE("c", "d"),  TWICE("d", "e"),
		TWICE("e", "f"),  TWICE("f", "g"),
		TWICE("g", "h"),  TWICE("h", "i"),
		TWICE("i", "j"),  TWICE("j", "k"),
		TWICE("k", "l"),  TWICE("l", "m"),
		BOOLEAN("m", ""), NULL,
	};
	struct ruleset *ruleset = fixture_ruleset(documents);
	assert_problem(ruleset, ITEM_FLAG, "a",
	               "`a` refers to so many others that it could take more than 4096 evaluations");
	assert_null(problem_of(ruleset, ITEM_FLAG, "b"));
	assert_int_equal(fixture_eval(ruleset, "b", "{}").error, EVAL_ERROR_NONE);
	ruleset_unref(ruleset);
}

static void test_too_many(void **state)
{
	(void)state;
	struct ruleset *ruleset = NULL;
	struct error err = ERROR_INIT;
	struct ruleset_edit *edits = calloc(RULESET_MAX_ITEMS + 1, sizeof(*edits));
	char(*keys)[16] = calloc(RULESET_MAX_ITEMS + 1, sizeof(*keys));
	assert_non_null(edits);
	assert_non_null(keys);
	for (size_t i = 0; i <= RULESET_MAX_ITEMS; i++) {
		char text[64];
		(void)snprintf(keys[i], sizeof(keys[i]), "s%zu", i);
		(void)snprintf(text, sizeof(text), "{\"key\":\"%s\"}", keys[i]);
		struct segment *segment = NULL;
		fixture_ok(segment_load(text, strlen(text), &segment, &err), &err);
		edits[i] = (struct ruleset_edit){ ITEM_SEGMENT, keys[i], &segment->item };
	}
	assert_int_equal(ruleset_new(NULL, edits, RULESET_MAX_ITEMS + 1, &ruleset, &err), STATUS_TOO_LARGE);
	assert_null(ruleset);
	fixture_ok(ruleset_new(NULL, edits, RULESET_MAX_ITEMS, &ruleset, &err), &err);
	assert_int_equal(ruleset_segment_count(ruleset), RULESET_MAX_ITEMS);
	ruleset_unref(ruleset);
	for (size_t i = 0; i <= RULESET_MAX_ITEMS; i++) {
		item_unref(edits[i].item);
	}
	free(edits);
	free(keys);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_sorted_and_found),
		cmocka_unit_test(test_edits),
		cmocka_unit_test(test_edits_that_are_refused),
		cmocka_unit_test(test_digest),
		cmocka_unit_test(test_many_edits),
		cmocka_unit_test(test_everything_is_replaced),
		cmocka_unit_test(test_most_are_removed),
		cmocka_unit_test(test_references_that_lead_nowhere),
		cmocka_unit_test(test_problem_goes_with_its_reason),
		cmocka_unit_test(test_problems_spread),
		cmocka_unit_test(test_cycles),
		cmocka_unit_test(test_cycles_that_share),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_long_chains),
		cmocka_unit_test(test_cost),
		cmocka_unit_test(test_too_many),
	};
	return cmocka_run_group_tests_name("ruleset", tests, NULL, NULL);
}
