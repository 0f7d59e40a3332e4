/* SPDX-License-Identifier: Apache-2.0 */
#include "client/changes.h"

#include <string.h>

#include "tests/unit/client/bundles.h"

#define FLAG(key, version) BOOLEAN_FLAG(key, version, "on")
#define SEGMENT(key, user) "{'key':'" key "','version':'1','included':['" user "'],'excluded':[],'if':[]}"

/* Takes over both; @expected: the keys with a blank behind each, or NULL when any may have changed. */
static void expect(struct ruleset *before, struct ruleset *after, const char *expected)
{
	struct changes changes;
	char text[256] = "";
	changes_init(&changes, before, after);
	assert_int_equal(changes.keys == NULL, expected == NULL);
	for (size_t i = 0; i < changes.count; i++) {
		size_t length = strlen(text);
		(void)snprintf(text + length, sizeof(text) - length, "%s ", changes.keys[i]);
	}
	assert_string_equal(text, expected != NULL ? expected : "");
	changes_deinit(&changes);
	ruleset_unref(before);
	ruleset_unref(after);
}

static void test_flags(void **state)
{
	(void)state;
	expect(FIXTURE_RULESET(FLAG("a", "1"), FLAG("b", "1")),
	       FIXTURE_RULESET(FLAG("a", "1"), FLAG("b", "1")), "");
	expect(FIXTURE_RULESET(FLAG("a", "1"), FLAG("b", "1")),
	       FIXTURE_RULESET(FLAG("a", "1"), FLAG("b", "2")), "b ");
	expect(FIXTURE_RULESET(FLAG("a", "1"), FLAG("c", "1"), FLAG("e", "1")),
	       FIXTURE_RULESET(FLAG("b", "1"), FLAG("c", "2"), FLAG("d", "1"), FLAG("e", "1"),
	                       FLAG("f", "1")),
	       "a b c d f ");
	expect(FIXTURE_RULESET(FLAG("a", "1")), fixture_ruleset((const char *const[]){ NULL }), "a ");
	expect(fixture_ruleset((const char *const[]){ NULL }), FIXTURE_RULESET(FLAG("a", "1")), "a ");
	expect(fixture_ruleset((const char *const[]){ NULL }), fixture_ruleset((const char *const[]){ NULL }),
	       "");
	expect(NULL, FIXTURE_RULESET(FLAG("a", "1")), NULL);
}

/* A segment that changed may change every flag. */
static void test_segments(void **state)
{
	(void)state;
	expect(FIXTURE_RULESET(SEGMENT("s", "u")), FIXTURE_RULESET(SEGMENT("s", "u"), FLAG("a", "1")), "a ");
	expect(FIXTURE_RULESET(SEGMENT("s", "u")), FIXTURE_RULESET(SEGMENT("s", "v")), NULL);
	expect(FIXTURE_RULESET(SEGMENT("s", "u")), FIXTURE_RULESET(SEGMENT("t", "u")), NULL);
	expect(FIXTURE_RULESET(FLAG("a", "1")), FIXTURE_RULESET(FLAG("a", "1"), SEGMENT("t", "u")), NULL);
	expect(FIXTURE_RULESET(FLAG("a", "1"), SEGMENT("t", "u")), FIXTURE_RULESET(FLAG("a", "1")), NULL);
}

/* Documents that the two share are not compared by their bytes. */
static void test_shared(void **state)
{
	(void)state;
	struct issuer issuer;
	issuer_init(&issuer, "prod");
	struct ruleset *ruleset = FIXTURE_RULESET(FLAG("a", "1"), FLAG("b", "1"), FLAG("c", "1"));
	struct ruleset *before = ruleset_ref(ruleset);
	struct buf delta = issuer_delta(&issuer, 1, 2, &ruleset, FLAG("b", "2"));
	buf_deinit(&delta);
	expect(before, ruleset, "b ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_segments),
		cmocka_unit_test(test_shared),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
