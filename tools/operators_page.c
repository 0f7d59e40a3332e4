/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/operators_page.h"

#include <stdio.h>
#include <string.h>

#include "engine/flag.h"
#include "engine/match.h"
#include "engine/pattern.h"
#include "engine/semver.h"

/* What an operator is written with, and what follows from it. */
#define OPERAND_TABLE(X)                                                     \
	X(SCALAR, "`value`: a string, number or boolean")                    \
	X(SCALARS, "`value` or `values`: strings, numbers, booleans")        \
	X(STRINGS, "`value` or `values`: strings")                           \
	X(PATTERNS, "`value` or `values`: regular expressions")              \
	X(NUMBER, "`value`: a number")                                       \
	X(TIME, "`value`: a time")                                           \
	X(SEMVER, "`value`: a version")                                      \
	X(RANGES, "`value` or `values`: ranges of versions")                 \
	X(CIDRS, "`value` or `values`: addresses or networks")               \
	X(NONE, "nothing")                                                   \
	X(SEGMENTS, "`value` or `values`: keys of segments; no `attribute`") \
	X(VARIANTS, "`flag`: its key, and `value` or `values`: names of variants; no `attribute`")

enum page_operand {
#define OPERAND_ENUM(name, text) PAGE_##name,
	OPERAND_TABLE(OPERAND_ENUM)
#undef OPERAND_ENUM
};

static const char *const operand_texts[] = {
#define OPERAND_TEXT(name, text) [PAGE_##name] = (text),
	OPERAND_TABLE(OPERAND_TEXT)
#undef OPERAND_TEXT
};

static const struct page_row {
	const char *name;
	enum page_operand operand;
	bool is_text;
	const char *what;
} rows[MATCH_OPERATOR_COUNT] = {
#define PAGE_ROW(name, constant, operand, text, what) \
	[MATCH_##constant] = { name, PAGE_##operand, text, what },
	MATCH_OPERATOR_TABLE(PAGE_ROW)
#undef PAGE_ROW
};

static const char *const examples[] = {
	"{\"attribute\":\"role\",\"op\":\"in\",\"values\":[\"ops\",\"admin\"]}",
	"{\"attribute\":\"email\",\"op\":\"ends_with\",\"value\":\"@example.com\",\"ignore_case\":true}",
	"{\"attribute\":\"app.version\",\"op\":\"semver_match\",\"values\":[\"^1.4\",\">=2.1.0 <3\"]}",
	"{\"attribute\":\"ip\",\"op\":\"in_cidr\",\"values\":[\"10.0.0.0/8\",\"2001:db8::/32\"]}",
	"{\"attribute\":\"created\",\"op\":\"before\",\"value\":\"2026-11-21T09:30:00Z\"}",
	"{\"attribute\":\"tags\",\"op\":\"all_of\",\"values\":[\"beta\",\"eu\"]}",
	"{\"op\":\"in_segment\",\"value\":\"staff\"}",
	"{\"op\":\"flag\",\"flag\":\"new-checkout\",\"values\":[\"on\"]}",
};

static bool example_compiles(const char *text)
{
	struct json_doc doc = { 0 };
	struct arena arena;
	struct condition condition;
	struct error err = ERROR_INIT;
	const char *names[1];
	struct match_attributes attributes = { .names = names, .capacity = 1 };
	arena_init(&arena, 65536);
	enum status status = json_parse(text, strlen(text), &json_limits_default, &doc, &err);
	if (status == STATUS_OK) {
		status = match_compile(json_root(&doc), &attributes, &arena, &condition, &err);
	}
	if (status == STATUS_OK) {
		match_release(&condition, 1);
	} else {
		(void)fprintf(stderr, "%s: %s\n", text, err.message);
	}
	json_doc_deinit(&doc);
	arena_deinit(&arena);
	return status == STATUS_OK;
}

static void write_examples(struct buf *out)
{
	buf_append_string(out, "```json\n");
	for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
		out->failed = out->failed || !example_compiles(examples[i]);
		buf_append_format(out, "%s\n", examples[i]);
	}
	buf_append_string(out, "```\n\n");
}

static void write_table(struct buf *out)
{
	buf_append_string(out,
	                  "| operator | matches when | compares with | `ignore_case` |\n|---|---|---|---|\n");
	for (size_t i = 0; i < MATCH_OPERATOR_COUNT; i++) {
		buf_append_format(out, "| `%s` | %s | %s | %s |\n", rows[i].name, rows[i].what,
		                  operand_texts[rows[i].operand], rows[i].is_text ? "yes" : "no");
	}
}

/* clang-format off: text, line by line as it stands on the page */
static const char intro[] =
        "<!-- Made from engine/match.h by `meson compile -C build docs`. -->\n"
        "# Operators of conditions\n\n"
        "Rules and segments hold conditions; a rule applies when all of its conditions match. A condition\n"
        "looks at one attribute of the evaluation context, or at a segment or another flag:\n\n";

static const char outcomes[] =
        "\nEvery condition may carry `\"negate\": true`.\n"
        "\n## What does not match\n\n"
        "- An attribute that is missing or null, and a value of a type that the operator does not\n"
        "  compare, never match. The string `\"18\"` is not the number 18, and a string is not an array\n"
        "  of one.\n"
        "- `negate` turns the outcome around, whatever its reason: a negated condition holds for a\n"
        "  missing attribute and for a value of another type.\n"
        "- `ne`, `not_in`, `semver_ne` and `none_of` are not quite `eq`, `in`, `semver_eq` and `any_of`\n"
        "  negated: the attribute must be there and of a type that is compared (a string, number or\n"
        "  boolean for the first two, a version, an array).\n"
        "- An operator that does not exist makes the flag an error that names it, never silently\n"
        "  false; so does a regular expression that needs too much time.\n";

static const char values_format[] =
        "\n## Values\n\n"
        "- **Attributes** are named by dot path: `app.version` is `{\"app\":{\"version\":…}}`, at most %d\n"
        "  bytes. `targetingKey` is an attribute as well. One flag looks at most at %d of them.\n"
        "- **`values`** holds 1 to %d, with the limits below for some operators.\n"
        "- **Numbers** compare by value and exactly: `1` is `1.0`, and 2^53 + 1 is not 2^53.\n"
        "- **Strings** compare byte by byte; `ignore_case` folds the ASCII letters.\n";

static const char texts_format[] =
        "- **Texts** of `contains`, `starts_with` and `ends_with`: at most %d, each 1 to %d bytes.\n"
        "- **Times** are RFC 3339 (`2026-11-21T09:30:00Z`, or the date alone: midnight UTC) or unix\n"
        "  seconds as a number, on both sides, in the years 0000 to 9999.\n"
        "- **Arrays** hold strings, numbers and booleans; an object or array in one matches nothing.\n";

static const char versions_format[] =
        "- **Versions** follow semver.org 2.0.0, at most %d bytes. A leading `v` is allowed, minor and\n"
        "  patch may be left out (zero), build metadata does not count.\n"
        "- **Ranges** are comparators with spaces between them that must all hold, as npm documents\n"
        "  them: `^1.2.3`, `~1.2`, `1.x`, `1.2.*`, `*`, `>=1.2.0 <2.0.0`; a bare `1.2` is `1.2.x`. A\n"
        "  pre-release matches only when a comparator names a pre-release of the same version. There\n"
        "  is no `||` and no `1 - 2`: give several `values`.\n"
        "- **Addresses** are IPv4 or IPv6 without port and zone; in a network the bits behind the prefix\n"
        "  are zero. `::ffff:10.0.0.1` is 10.0.0.1; `::/0` holds no IPv4 address.\n";

static const char patterns_format[] =
        "- **Regular expressions** are PCRE2's over UTF-8, at most %d, each 1 to %d bytes. They search\n"
        "  anywhere: anchor with `^` and `$`, which is the very end. `\\d` and `\\w` are ASCII. Groups\n"
        "  capture only by name. `ignore_case` folds all of Unicode. A search may take %d steps (an\n"
        "  item of the expression tried, or %d bytes passed over) in texts of at most %d bytes; beyond,\n"
        "  the flag is an error for that context. So is a group that has to be repeated more than some\n"
        "  70 times; a class has no such limit: write `[ab]*`, not `(a|b)*`.\n";
/* clang-format on */

void operators_markdown(struct buf *out)
{
	buf_append_string(out, intro);
	write_examples(out);
	write_table(out);
	buf_append_string(out, outcomes);
	buf_append_format(out, values_format, CONTEXT_MAX_NAME_BYTES, FLAG_MAX_ATTRIBUTES, FLAG_MAX_VALUES);
	buf_append_format(out, texts_format, MATCH_MAX_TEXTS, MATCH_MAX_TEXT_BYTES);
	buf_append_format(out, versions_format, SEMVER_MAX_BYTES);
	buf_append_format(out, patterns_format, MATCH_MAX_PATTERNS, PATTERN_MAX_BYTES, PATTERN_MATCH_LIMIT,
	                  PATTERN_STEP_BYTES, PATTERN_SUBJECT_MAX_BYTES);
}
