/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What compiling a flag and compiling a segment share. Private to the engine.
 *
 * A compiler owns the arena of the item that is being made until compiler_finish() hands it over;
 * the item stands at the arena's front. Errors carry paths relative to the item's document.
 */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"
#include "engine/flag.h"
#include "engine/match.h"

struct compiler {
	struct arena arena;
	struct json document;
	const char *source; /* the document in its own text */
	size_t length;
	const char *copy; /* the same bytes in the arena */
	const char *names[FLAG_MAX_ATTRIBUTES];
	struct match_attributes attributes;
	struct item *item;
};

/* XXH3-64 of a key: what rulesets index by. */
uint64_t item_hash(const char *key, size_t length);

/* Makes an item of @size bytes with its key behind it, and copies the document's text. */
MUST_CHECK enum status compiler_init(struct compiler *compiler, struct json document, enum item_kind kind,
                                     size_t size, struct error *err);
void compiler_deinit(struct compiler *compiler); /* the item was not handed over */

/* Hands over the item with one reference; the compiler needs no _deinit any more. */
struct item *compiler_finish(struct compiler *compiler);

/* Turns a path in the text that the document stands in into one in the document. */
void compiler_relocate(const struct compiler *compiler, char *path);

/* Returns from the calling function with what is not STATUS_OK. */
#define TRY(expression)                                \
	do {                                           \
		enum status try_status = (expression); \
		if (try_status != STATUS_OK) {         \
			return try_status;             \
		}                                      \
	} while (0)

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* NULL becomes STATUS_NO_MEMORY. */
#define COMPILER_ALLOCATED(pointer, err) \
	((pointer) != NULL ? STATUS_OK : error_fail((err), STATUS_NO_MEMORY, "Out of memory"))

/* The bytes of @value in the item's own copy of the text. */
const char *compiler_text(const struct compiler *compiler, struct json value, uint32_t *ret_length);

/* Reads the document's version, if it has one. */
MUST_CHECK enum status compile_version(struct compiler *compiler, struct error *err);

/* Copies the collected names; @ret_key is the index of FLAG_KEY_ATTRIBUTE or FLAG_BY_KEY. */
MUST_CHECK enum status compile_attributes(struct compiler *compiler, const char *const **ret_names,
                                          uint32_t *ret_count, uint32_t *ret_key, struct error *err);

/*
 * Compiles an array of conditions. @ret_conditions and @ret_count are set as it goes, so that what a
 * failure leaves behind can be released with the item.
 */
MUST_CHECK enum status compile_conditions(struct compiler *compiler, struct json array,
                                          const struct condition **ret_conditions, uint32_t *ret_count,
                                          struct error *err);

/* Makes the guards of a flag whose rules and attributes are compiled (engine/rule_guard.h). */
MUST_CHECK enum status rule_guards_compile(struct compiler *compiler, struct flag *flag, struct error *err);

/* Lists of targeting keys: strings of at most CONTEXT_MAX_KEY_BYTES, each once in all of them. */
MUST_CHECK enum status compile_keys_check(const struct compiler *compiler, const struct json *arrays,
                                          uint32_t count, struct error *err);

/* References of @conditions, appended at references[*count]; with NULL only counted. */
void compile_references(const struct condition *conditions, uint32_t condition_count,
                        struct reference *references, uint32_t *count);

/* Releases what the conditions of an item hold outside its arena. */
void item_conditions_release(struct item *item);
