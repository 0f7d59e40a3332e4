/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiled flags and segments: what one document of an environment's ruleset says, validated once.
 *
 * A flag document, as it stands in a snapshot:
 *
 *	{"key":"banner","type":"string","version":"3","variants":{"red":"#f00","blue":"#00f"},
 *	 "enabled":true,"off_variant":"blue",
 *	 "prerequisites":[{"flag":"site","variants":["on"]}],
 *	 "targets":[{"variant":"red","keys":["user-1"]}],
 *	 "rules":[{"name":"ops first","if":[{"attribute":"role","op":"in","values":["ops"]}],
 *	           "serve":{"variant":"red"}}],
 *	 "default":{"split":[{"variant":"red","weight":25000},{"variant":"blue","weight":75000}],
 *	            "bucket_by":"targetingKey","salt":"banner"}}
 *
 * A segment document: {"key":"beta","version":"1","included":["u1"],"excluded":[],
 *	 "if":[condition, …]} — excluded wins over included, then all conditions must hold; without
 * conditions only the included keys are in it.
 *
 * A document stands on one line: bundles and streams are made of lines. A member that may be left out
 * (`version`, `off_variant`, `prerequisites`, `targets`, `rules`; of a segment all but the key) is none.
 * A rule with an empty `if` always holds. A targeting key stands in one target at most.
 *
 * A compiled item lives in one arena of its own together with a copy of its exact text, is immutable,
 * counted by reference, and shared by every ruleset that holds the same document: a change compiles
 * one document, not the environment (docs/adr/0005). References to other flags and segments are keys;
 * the ruleset checks them.
 *
 * A document that is wrong still gives a flag: `broken` says why, and it evaluates to an error
 * while the others work.
 *
 * Thread rules: _ref and _unref from any thread; everything else is read-only.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/json.h"
#include "engine/bucket.h"

#define FLAG_KEY_MAX_BYTES     128
#define FLAG_VARIANT_MAX_BYTES 64  /* of a variant's name */
#define FLAG_RULE_MAX_BYTES    128 /* of a rule's name */
#define FLAG_SALT_MAX_BYTES    256
#define FLAG_MAX_VARIANTS      64
#define FLAG_MAX_PREREQUISITES 64
#define FLAG_MAX_TARGETS       64
#define FLAG_MAX_PARTS         128 /* of a split */
#define FLAG_MAX_RULES         256
#define FLAG_MAX_CONDITIONS    64          /* of a rule */
#define FLAG_MAX_VALUES        10000       /* of a condition or target */
#define FLAG_MAX_ATTRIBUTES    64          /* different attributes that one flag looks at */
#define FLAG_TOTAL_WEIGHT      100000      /* what percentages are stored as */
#define FLAG_MAX_WEIGHT        1000000000u /* sum of a split's weights */
#define FLAG_DIGEST_BYTES      32          /* BLAKE2b-256 of the exact text */
#define FLAG_MAX_TEXT_BYTES    (1024 * 1024)

enum flag_type { FLAG_BOOLEAN, FLAG_STRING, FLAG_INTEGER, FLAG_NUMBER, FLAG_OBJECT };

/* "boolean", …; _parse is false for another word. */
const char *flag_type_name(enum flag_type type);
bool flag_type_parse(struct json string, enum flag_type *ret);

/* [A-Za-z0-9][A-Za-z0-9._-]{0,127} */
bool flag_key_is_valid(const char *key, size_t length);

struct string_set; /* engine/string_set.h */

#define FLAG_NAME_START 16

struct variant {
	char name_start[FLAG_NAME_START]; /* zeros behind a shorter name: copied without a branch */
	const char *name;
	uint32_t name_length;
	uint32_t json_length;
	const char *json; /* the value as JSON text, by the declared type: `1`, `1.0`, `"a"` */
	union {
		bool boolean;
		int64_t integer; /* within ±(2^53-1) */
		double number;
		struct {
			const char *text; /* unescaped */
			size_t length;
		} string;
	} value;
};

struct split_part {
	uint32_t variant;
	uint32_t end; /* cumulative weight: the first part with end > bucket is served */
};

struct serve {
	const char *salt_text; /* for explain */
	const char *missing;   /* the error of a split that is reached without its attribute */
	uint32_t variant;      /* when part_count == 0 */
	uint32_t part_count;
	uint32_t total_weight;
	uint32_t whole_variant; /* FLAG_NO_VARIANT, or the only variant with weight: served without a key */
	uint32_t bucket_by;     /* attribute index, or FLAG_BY_KEY */
	struct bucket_prefix salt;
	const struct split_part *parts;
};

#define FLAG_NO_VARIANT UINT32_MAX
#define FLAG_BY_KEY     UINT32_MAX

/* The attribute that a split goes by unless it says otherwise. */
#define FLAG_KEY_ATTRIBUTE "targetingKey"

struct condition;  /* engine/match.h */
struct rule_guard; /* engine/rule_guard.h */

struct rule {
	const char *name; /* "" when it has none */
	const struct condition *conditions;
	uint32_t condition_count;
	struct serve serve;
};

struct target {
	uint32_t variant;
	uint32_t key_count;
	const struct string_set *keys; /* engine/string_set.h */
};

struct prerequisite {
	const char *flag;
	uint32_t flag_length;
	uint32_t variant_count;
	const char *const *variants; /* any of these names */
};

enum item_kind { ITEM_FLAG, ITEM_SEGMENT };

enum reference_use { REFERENCE_PREREQUISITE, REFERENCE_CONDITION };

/* Another item that this one looks at, as often as it does. */
struct reference {
	enum reference_use use;
	enum item_kind kind;
	const char *key;
	uint32_t key_length;
	uint32_t variant_count;
	const char *const *variants; /* of a flag: the names that are wanted */
};

/* What flags and segments have in common; first member of both. */
struct item {
	const char *key;
	uint64_t hash;      /* item_hash() of the key */
	const char *broken; /* NULL, or why the document cannot be used, with its path */
	const char *text;   /* exact bytes of the document, NUL behind them */
	const struct reference *references;
	uint32_t reference_count; /* 0: looks at no other item */
	uint32_t text_length;
	uint32_t key_length;
	enum item_kind kind;
	atomic_uint refs;
	uint8_t digest[FLAG_DIGEST_BYTES];
	const char *version; /* decimal text; "" when the document has none */
};

struct flag {
	struct item item;
	enum flag_type type;
	uint32_t off_variant; /* FLAG_NO_VARIANT: the caller's default is used */
	uint32_t variant_count;
	uint32_t prerequisite_count;
	uint32_t target_count;
	uint32_t attribute_count; /* of attributes[] */
	uint32_t key_attribute;   /* which of them is `targetingKey`; FLAG_BY_KEY: none */
	const struct prerequisite *prerequisites;
	const struct target *targets;
	const char *const *attributes; /* every attribute name that its conditions and splits look at, once */
	const struct rule *rules;
	/*
	 * What most evaluations need, but for the first two members of `fallthrough`, is one cache line; the
	 * key's bytes follow in the next (engine/compile.c).
	 */
	struct serve fallthrough; /* `default` */
	const struct variant *variants;
	const struct rule_guard *guards; /* one per attribute; of rules in front of `unguarded` */
	uint16_t rule_count;
	uint16_t guard_count;
	uint16_t unguarded; /* the first rule without a guard; rule_count: there is none */
	bool is_enabled;
	bool is_open; /* works, is enabled and has no targets or references: rules come first */
};

struct segment {
	struct item item;
	const struct string_set *included;
	const struct string_set *excluded;
	const struct condition *conditions;
	uint32_t condition_count;
	uint32_t attribute_count;
	uint32_t key_attribute;
	const char *const *attributes;
};

/*
 * Compiles a document, strictly: STATUS_INVALID with the path of what is wrong (unknown members are
 * wrong). The result has one reference, the caller's.
 */
MUST_CHECK enum status flag_compile(struct json document, struct flag **ret, struct error *err);
MUST_CHECK enum status segment_compile(struct json document, struct segment **ret, struct error *err);

/*
 * Scans and compiles the text of an item; when it cannot be used and still has a readable key, the
 * result is a broken item (and STATUS_OK) so that the others live on.
 */
MUST_CHECK enum status flag_load(const char *text, size_t length, struct flag **ret, struct error *err);
MUST_CHECK enum status segment_load(const char *text, size_t length, struct segment **ret, struct error *err);
MUST_CHECK enum status item_load(enum item_kind kind, const char *text, size_t length, struct item **ret,
                                 struct error *err);

struct item *item_ref(struct item *item);
void item_unref(struct item *item); /* accepts NULL; the last one frees */

/* Index of the variant of that name, or FLAG_NO_VARIANT. */
uint32_t flag_variant_find(const struct flag *flag, const char *name, size_t length);
