/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/compile.h"

#include <sodium.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/cleanup.h"
#include "engine/context.h"

/* Several times what the densest document of FLAG_MAX_TEXT_BYTES compiles to. */
#define ITEM_MAX_BYTES (64u * FLAG_MAX_TEXT_BYTES)

#define VERSION_MAX_DIGITS 20
#define CACHE_LINE         64

_Static_assert(sizeof(struct flag) - offsetof(struct flag, fallthrough.variant) == CACHE_LINE,
               "the most needed members are one cache line");

/* Front of every item, so that its arena can be had from it. */
struct item_owner {
	struct arena arena;
	uint64_t item[];
};

_Static_assert(sizeof(struct item_owner) % alignof(struct flag) == 0 &&
                       sizeof(struct flag) % alignof(struct flag) == 0 && alignof(struct flag) <= CACHE_LINE,
               "an item that ends with a cache line is aligned");

uint64_t item_hash(const char *key, size_t length)
{
	return XXH3_64bits(key, length);
}

/* ---- Life of an item ---- */

static struct item_owner *item_owner(struct item *item)
{
	return (struct item_owner *)((char *)item - offsetof(struct item_owner, item));
}

struct item *item_ref(struct item *item)
{
	atomic_fetch_add_explicit(&item->refs, 1, memory_order_relaxed);
	return item;
}

void item_unref(struct item *item)
{
	if (item == NULL || atomic_fetch_sub_explicit(&item->refs, 1, memory_order_acq_rel) != 1) {
		return;
	}
	item_conditions_release(item);
	struct arena arena = item_owner(item)->arena;
	arena_deinit(&arena);
}

void item_conditions_release(struct item *item)
{
	if (item->kind == ITEM_SEGMENT) {
		const struct segment *segment = (const struct segment *)item;
		match_release(segment->conditions, segment->condition_count);
		return;
	}
	const struct flag *flag = (const struct flag *)item;
	for (uint32_t i = 0; i < flag->rule_count; i++) {
		match_release(flag->rules[i].conditions, flag->rules[i].condition_count);
	}
}

/* ---- Compiler ---- */

enum status compile_version(struct compiler *compiler, struct error *err)
{
	struct json version = json_get(compiler->document, "version");
	if (json_type(version) == JSON_ABSENT) {
		return STATUS_OK;
	}
	char text[VERSION_MAX_DIGITS + 1];
	size_t length = json_is(version, JSON_STRING) ? json_string_copy(version, text, sizeof(text)) : 0;
	if (length == 0 || length >= sizeof(text) || strspn(text, "0123456789") != length) {
		return json_fail(err, STATUS_INVALID, version, "The version must be a string of digits");
	}
	compiler->item->version = arena_copy_string(&compiler->arena, text, length);
	return COMPILER_ALLOCATED(compiler->item->version, err);
}

/* Reads the document's key into @ret. */
static enum status key_read(struct json document, char ret[static FLAG_KEY_MAX_BYTES + 1], size_t *ret_length,
                            struct error *err)
{
	struct json key = json_get(document, "key");
	size_t length = json_is(key, JSON_STRING) ? json_string_copy(key, ret, FLAG_KEY_MAX_BYTES + 1) : 0;
	if (length == 0 || length > FLAG_KEY_MAX_BYTES || !flag_key_is_valid(ret, length)) {
		return json_fail_member(err, STATUS_INVALID, document, "key",
		                        "The key must be 1 to %d of the characters A-Z a-z 0-9 . _ -, "
		                        "the first a letter or digit",
		                        FLAG_KEY_MAX_BYTES);
	}
	*ret_length = length;
	return STATUS_OK;
}

static enum status document_check(struct json document, const char *source, size_t length, struct error *err)
{
	if (length > FLAG_MAX_TEXT_BYTES) {
		return json_fail(err, STATUS_TOO_LARGE, document, "The document is longer than %d bytes",
		                 FLAG_MAX_TEXT_BYTES);
	}
	if (memchr(source, '\n', length) != NULL || memchr(source, '\r', length) != NULL) {
		return json_fail(err, STATUS_INVALID, document, "The document must stand on one line");
	}
	return STATUS_OK;
}

enum status compiler_init(struct compiler *compiler, struct json document, enum item_kind kind, size_t size,
                          struct error *err)
{
	*compiler = (struct compiler){ .document = document };
	compiler->attributes.names = compiler->names;
	compiler->attributes.capacity = FLAG_MAX_ATTRIBUTES;
	if (!json_is(document, JSON_OBJECT)) {
		return json_fail(err, STATUS_INVALID, document, "The document must be an object, not %s",
		                 json_type_name(json_type(document)));
	}
	char key[FLAG_KEY_MAX_BYTES + 1];
	size_t key_length = 0;
	compiler->source = json_raw(document, &compiler->length);
	TRY(document_check(document, compiler->source, compiler->length, err));
	TRY(key_read(document, key, &key_length, err));
	arena_init(&compiler->arena, ITEM_MAX_BYTES);
	/* The text comes first, so that what is compiled stands together behind it. */
	compiler->copy = arena_copy_string(&compiler->arena, compiler->source, compiler->length);
	const size_t front = sizeof(struct item_owner) + size;
	char *memory = arena_alloc(&compiler->arena, front + CACHE_LINE + key_length + 1);
	if (compiler->copy == NULL || memory == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory");
	}
	/* The item ends where a cache line does. */
	const size_t excess = ((uintptr_t)memory + front) % CACHE_LINE;
	memory += excess > 0 ? CACHE_LINE - excess : 0;
	struct item *item = (struct item *)(memory + sizeof(struct item_owner));
	char *own_key = (char *)item + size;
	memcpy(own_key, key, key_length + 1);
	*item = (struct item){ .key = own_key,
		               .key_length = (uint32_t)key_length,
		               .kind = kind,
		               .hash = item_hash(key, key_length),
		               .text = compiler->copy,
		               .text_length = (uint32_t)compiler->length,
		               .version = "" };
	atomic_init(&item->refs, 1);
	(void)crypto_generichash(item->digest, sizeof(item->digest), (const unsigned char *)compiler->source,
	                         compiler->length, NULL, 0);
	compiler->item = item;
	return STATUS_OK;
}

void compiler_deinit(struct compiler *compiler)
{
	if (compiler->item != NULL) {
		item_conditions_release(compiler->item);
	}
	arena_deinit(&compiler->arena);
}

struct item *compiler_finish(struct compiler *compiler)
{
	struct item *item = compiler->item;
	item_owner(item)->arena = compiler->arena;
	*compiler = (struct compiler){ 0 };
	return item;
}

void compiler_relocate(const struct compiler *compiler, char *path)
{
	char prefix[ERROR_PATH_SIZE];
	json_path(compiler->document, prefix, sizeof(prefix));
	size_t length = strlen(prefix);
	if (strncmp(path, prefix, length) == 0) {
		memmove(path, path + length, strlen(path + length) + 1);
	}
}

const char *compiler_text(const struct compiler *compiler, struct json value, uint32_t *ret_length)
{
	size_t length = 0;
	const char *raw = json_raw(value, &length);
	*ret_length = (uint32_t)length;
	return compiler->copy + (raw - compiler->source);
}

/* ---- Attributes and conditions ---- */

enum status compile_attributes(struct compiler *compiler, const char *const **ret_names, uint32_t *ret_count,
                               uint32_t *ret_key, struct error *err)
{
	uint32_t count = compiler->attributes.count;
	size_t size = count * sizeof(char *);
	for (uint32_t i = 0; i < count; i++) {
		size += strlen(compiler->names[i]) + 1;
	}
	/* The names were copied while conditions were compiled; an evaluation needs them next to each other. */
	const char **names = arena_alloc(&compiler->arena, size);
	if (names == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory");
	}
	uint32_t key = FLAG_BY_KEY;
	char *text = (char *)(names + count);
	for (uint32_t i = 0; i < count; i++) {
		size_t length = strlen(compiler->names[i]) + 1;
		names[i] = memcpy(text, compiler->names[i], length);
		text += length;
		key = strcmp(names[i], FLAG_KEY_ATTRIBUTE) == 0 ? i : key;
	}
	*ret_names = names;
	*ret_count = count;
	*ret_key = key;
	return STATUS_OK;
}

enum status compile_conditions(struct compiler *compiler, struct json array,
                               const struct condition **ret_conditions, uint32_t *ret_count,
                               struct error *err)
{
	uint32_t count = json_count(array);
	struct condition *conditions = arena_alloc_array(&compiler->arena, count, sizeof(*conditions));
	if (conditions == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory");
	}
	*ret_conditions = conditions;
	*ret_count = 0;
	struct json value = JSON_NONE;
	while (json_next(array, NULL, &value)) {
		enum status status = match_compile(value, &compiler->attributes, &compiler->arena,
		                                   &conditions[*ret_count], err);
		if (status != STATUS_OK) {
			return status;
		}
		(*ret_count)++;
	}
	return STATUS_OK;
}

static void reference_put(struct reference *references, uint32_t *count, struct reference reference)
{
	if (references != NULL) {
		reference.use = REFERENCE_CONDITION;
		reference.key_length = (uint32_t)strlen(reference.key);
		references[*count] = reference;
	}
	(*count)++;
}

void compile_references(const struct condition *conditions, uint32_t condition_count,
                        struct reference *references, uint32_t *count)
{
	for (uint32_t i = 0; i < condition_count; i++) {
		const struct condition *condition = &conditions[i];
		if (condition->op == MATCH_FLAG) {
			reference_put(references, count,
			              (struct reference){ .kind = ITEM_FLAG,
			                                  .key = condition->flag,
			                                  .variant_count = condition->count,
			                                  .variants = condition->operand.keys });
		}
		for (uint32_t k = 0; condition->op == MATCH_IN_SEGMENT && k < condition->count; k++) {
			reference_put(references, count,
			              (struct reference){ .kind = ITEM_SEGMENT,
			                                  .key = condition->operand.keys[k] });
		}
	}
}

/* ---- Lists of targeting keys ---- */

struct listed_key {
	const char *bytes;
	size_t length;
	struct json value;
};

static int listed_key_compare(const void *left, const void *right)
{
	const struct listed_key *a = left;
	const struct listed_key *b = right;
	size_t shorter = a->length < b->length ? a->length : b->length;
	int order = shorter == 0 ? 0 : memcmp(a->bytes, b->bytes, shorter);
	if (order != 0) {
		return order;
	}
	if (a->length != b->length) {
		return a->length < b->length ? -1 : 1;
	}
	return a->value.index < b->value.index ? -1 : a->value.index > b->value.index;
}

static enum status listed_key_read(struct json value, struct arena *scratch, struct listed_key *ret,
                                   struct error *err)
{
	if (!json_is(value, JSON_STRING)) {
		return json_fail(err, STATUS_INVALID, value, "A targeting key must be a string, not %s",
		                 json_type_name(json_type(value)));
	}
	size_t length = 0;
	const char *bytes = json_string_dup(value, scratch, &length);
	if (bytes == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory");
	}
	if (length > CONTEXT_MAX_KEY_BYTES) {
		return json_fail(err, STATUS_INVALID, value, "A targeting key is at most %d bytes long",
		                 CONTEXT_MAX_KEY_BYTES);
	}
	*ret = (struct listed_key){ .bytes = bytes, .length = length, .value = value };
	return STATUS_OK;
}

enum status compile_keys_check(const struct compiler *compiler, const struct json *arrays, uint32_t count,
                               struct error *err)
{
	size_t total = 0;
	for (uint32_t i = 0; i < count; i++) {
		total += json_count(arrays[i]);
	}
	AUTO(arena_deinit) struct arena scratch = { .max_bytes = ITEM_MAX_BYTES };
	struct listed_key *keys = arena_alloc_array(&scratch, total, sizeof(*keys));
	if (keys == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory");
	}
	size_t used = 0;
	for (uint32_t i = 0; i < count; i++) {
		struct json value = JSON_NONE;
		while (json_next(arrays[i], NULL, &value)) {
			enum status status = listed_key_read(value, &scratch, &keys[used++], err);
			if (status != STATUS_OK) {
				return status;
			}
		}
	}
	qsort(keys, used, sizeof(*keys), listed_key_compare);
	for (size_t i = 1; i < used; i++) {
		if (keys[i].length != keys[i - 1].length ||
		    memcmp(keys[i].bytes, keys[i - 1].bytes, keys[i].length) != 0) {
			continue;
		}
		char first[ERROR_PATH_SIZE];
		json_path(keys[i - 1].value, first, sizeof(first));
		compiler_relocate(compiler, first);
		return json_fail(err, STATUS_INVALID, keys[i].value, "This key is listed already at %s",
		                 first);
	}
	return STATUS_OK;
}
