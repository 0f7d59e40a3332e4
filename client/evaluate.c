/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls that programs make all the time: no lock, no allocation, no I/O, no log, no write that another
 * thread reads. All that is shared is read: the snapshot in force and when it was confirmed.
 */
#include <stddef.h>
#include <string.h>

#include "base/clock.h"
#include "client/client.h"
#include "engine/eval.h"

/* ---- The public layout is the engine's, so that a context is used as it is ---- */

#define SAME_OFFSET(public, member, inner) \
	_Static_assert(offsetof(struct public, member) == offsetof(struct inner, member), #member)

SAME_OFFSET(halyard_context, targeting_key, context);
SAME_OFFSET(halyard_context, attributes, context);
SAME_OFFSET(halyard_context, attribute_count, context);
_Static_assert(sizeof(struct halyard_context) == sizeof(struct context), "context");
SAME_OFFSET(halyard_attribute, name, context_attribute);
SAME_OFFSET(halyard_attribute, type, context_attribute);
SAME_OFFSET(halyard_attribute, value, context_attribute);
SAME_OFFSET(halyard_attribute, value.array.items, context_attribute);
SAME_OFFSET(halyard_attribute, value.array.count, context_attribute);
_Static_assert(sizeof(struct halyard_attribute) == sizeof(struct context_attribute), "attribute");
_Static_assert((int)HALYARD_STRING == (int)CONTEXT_STRING && (int)HALYARD_INTEGER == (int)CONTEXT_INTEGER &&
                       (int)HALYARD_NUMBER == (int)CONTEXT_NUMBER &&
                       (int)HALYARD_BOOLEAN == (int)CONTEXT_BOOLEAN &&
                       (int)HALYARD_ARRAY == (int)CONTEXT_ARRAY &&
                       (int)HALYARD_OBJECT == (int)CONTEXT_OBJECT && (int)HALYARD_NULL == (int)CONTEXT_NULL,
               "types");
#define SAME_REASON(name) _Static_assert((int)HALYARD_REASON_##name == (int)EVAL_REASON_##name, #name);
EVAL_REASON_TABLE(SAME_REASON)
#define SAME_ERROR(name) _Static_assert((int)HALYARD_ERROR_##name == (int)EVAL_ERROR_##name, #name);
EVAL_ERROR_TABLE(SAME_ERROR)
_Static_assert(HALYARD_VARIANT_SIZE == FLAG_VARIANT_MAX_BYTES + 1, "every variant's name fits");

const char *halyard_reason_name(enum halyard_reason reason)
{
	return (unsigned)reason <= HALYARD_REASON_ERROR ? eval_reason_name((enum eval_reason)reason)
	                                                : "UNKNOWN";
}

const char *halyard_error_name(enum halyard_error error)
{
	return (unsigned)error <= HALYARD_ERROR_GENERAL ? eval_error_name((enum eval_error)error) : "GENERAL";
}

/* ---- Read guard ---- */

/* Snapshots that this thread has pinned, one per client. */
#define GUARDS_MAX 8

struct guard {
	const struct halyard_client *client;
	const struct snapshot *snapshot;
	uint32_t depth;
};

static _Thread_local struct {
	uint32_t count;
	struct guard list[GUARDS_MAX];
} guards;

static struct guard *guard_find(const struct halyard_client *client)
{
	for (uint32_t i = 0; i < guards.count; i++) {
		if (guards.list[i].client == client) {
			return &guards.list[i];
		}
	}
	return NULL;
}

void halyard_read_begin(struct halyard_client *client)
{
	if (client == NULL) {
		return;
	}
	const struct snapshot *snapshot = snapshot_read_begin(&client->store);
	struct guard *guard = guard_find(client);
	if (guard == NULL && guards.count < GUARDS_MAX) {
		guard = &guards.list[guards.count++];
		*guard = (struct guard){ .client = client, .snapshot = snapshot };
	}
	if (guard != NULL) {
		guard->depth++;
	}
}

void halyard_read_end(struct halyard_client *client)
{
	if (client == NULL) {
		return;
	}
	struct guard *guard = guard_find(client);
	if (guard != NULL && --guard->depth == 0) {
		*guard = guards.list[--guards.count];
	}
	snapshot_read_end(&client->store);
}

static __attribute__((noinline)) const struct snapshot *guard_snapshot(const struct halyard_client *client,
                                                                       const struct snapshot *current)
{
	const struct guard *guard = guard_find(client);
	return guard != NULL ? guard->snapshot : current;
}

/* Like snapshot_read_begin(), but gives the thread's pinned snapshot where there is one. */
static inline const struct snapshot *reading_begin(struct halyard_client *client)
{
	const struct snapshot *snapshot = snapshot_read_begin(&client->store);
	return __builtin_expect(guards.count == 0, 1) ? snapshot : guard_snapshot(client, snapshot);
}

static inline void reading_end(struct halyard_client *client)
{
	snapshot_read_end(&client->store);
}

const struct snapshot *client_read_begin(struct halyard_client *client)
{
	return reading_begin(client);
}

void client_read_end(struct halyard_client *client)
{
	reading_end(client);
}

/* ---- Evaluation ---- */

static const struct context empty_context;

/* Copies a variant's name. Nearly all are short; those go without a branch that depends on the length. */
static inline void name_copy(char out[static HALYARD_VARIANT_SIZE], const struct variant *variant)
{
	memcpy(out, variant->name_start, FLAG_NAME_START);
	if (variant->name_length >= FLAG_NAME_START) {
		memcpy(out, variant->name, variant->name_length);
		out[variant->name_length] = '\0';
	}
}

/*
 * Now, for the age of a snapshot: the network thread's last tick. Reading a clock would cost a third of an
 * evaluation. In a child there is no such thread, and the clock has to do.
 */
static inline int64_t now_get(const struct halyard_client *client)
{
	if (__builtin_expect(client_is_inherited(client), 0)) {
		return clock_monotonic_ms(&clock_system);
	}
	return atomic_load_explicit(&client->tick_ms, memory_order_relaxed);
}

/* Everywhere inline: a call and its saved registers would be a tenth of an evaluation. */
static inline __attribute__((always_inline)) void detail_fill(const struct halyard_client *client,
                                                              const struct snapshot *snapshot,
                                                              const struct eval_result *result,
                                                              struct halyard_detail *ret)
{
	ret->reason = (enum halyard_reason)result->reason;
	ret->error = (enum halyard_error)result->error;
	ret->is_default = result->variant == NULL;
	ret->is_stale = true;
	ret->age_ms = UINT64_MAX;
	ret->epoch = snapshot != NULL ? snapshot->manifest.epoch : 0;
	ret->revision = snapshot != NULL ? snapshot->manifest.revision : 0;
	int64_t confirmed_ms = client != NULL
	                               ? atomic_load_explicit(&client->confirmed_ms, memory_order_relaxed)
	                               : CLIENT_NEVER;
	if (confirmed_ms != CLIENT_NEVER) {
		int64_t age_ms = now_get(client) - confirmed_ms;
		ret->age_ms = age_ms > 0 ? (uint64_t)age_ms : 0;
		ret->is_stale = age_ms > client->stale_after_ms;
	}
	if (result->variant != NULL) {
		ret->variant_length = result->variant->name_length;
		name_copy(ret->variant, result->variant);
	} else {
		ret->variant_length = 0;
		ret->variant[0] = '\0';
	}
}

static inline bool context_is_valid(const struct context *context)
{
	return context->attribute_count == 0 ||
	       (context->attributes != NULL && context->attribute_count <= CONTEXT_MAX_ATTRIBUTES);
}

static inline void result_error(struct eval_result *result, enum eval_error error)
{
	*result = (struct eval_result){ .reason = EVAL_REASON_ERROR, .error = error };
}

#define TYPE_BIT(type) (1u << (type))
#define TYPE_ANY       UINT32_MAX

/*
 * The variant that @key gives, or NULL for the call's default; @ret_type is the flag's, when there is a
 * variant. Between reading_begin() and reading_end().
 */
static inline __attribute__((always_inline)) const struct variant *evaluate(
        struct halyard_client *client, const struct snapshot *snapshot, const char *key,
        const struct halyard_context *public_context, uint32_t types, enum flag_type *ret_type,
        struct halyard_detail *ret_detail)
{
	const struct context *context =
	        public_context != NULL ? (const struct context *)public_context : &empty_context;
	struct eval_result result;
	if (snapshot == NULL) {
		result_error(&result, EVAL_ERROR_PROVIDER_NOT_READY);
	} else if (key == NULL) {
		result_error(&result, EVAL_ERROR_FLAG_NOT_FOUND);
	} else if (!context_is_valid(context)) {
		result_error(&result, EVAL_ERROR_INVALID_CONTEXT);
	} else {
		eval_flag(snapshot->ruleset, key, strlen(key), context, &result);
		if (result.error == EVAL_ERROR_NONE && (types & TYPE_BIT(result.flag->type)) == 0) {
			result_error(&result, EVAL_ERROR_TYPE_MISMATCH);
		}
	}
	if (ret_detail != NULL) {
		detail_fill(client, snapshot, &result, ret_detail);
	}
	if (result.variant != NULL) {
		*ret_type = result.flag->type;
	}
	return result.variant;
}

/* The same as a call: every type but the commonest shares one copy. */
static __attribute__((noinline)) const struct variant *evaluate_called(
        struct halyard_client *client, const struct snapshot *snapshot, const char *key,
        const struct halyard_context *context, uint32_t types, enum flag_type *ret_type,
        struct halyard_detail *ret_detail)
{
	return evaluate(client, snapshot, key, context, types, ret_type, ret_detail);
}

/* For a program that goes on without a client. */
static void evaluate_nothing(struct halyard_detail *ret_detail)
{
	enum flag_type type;
	(void)evaluate_called(NULL, NULL, NULL, NULL, TYPE_ANY, &type, ret_detail);
}

bool halyard_bool(struct halyard_client *client, const char *key, const struct halyard_context *context,
                  bool fallback, struct halyard_detail *ret_detail)
{
	if (client == NULL) {
		evaluate_nothing(ret_detail);
		return fallback;
	}
	const struct snapshot *snapshot = reading_begin(client);
	enum flag_type type;
	const struct variant *variant =
	        evaluate(client, snapshot, key, context, TYPE_BIT(FLAG_BOOLEAN), &type, ret_detail);
	bool value = variant != NULL ? variant->value.boolean : fallback;
	reading_end(client);
	return value;
}

int64_t halyard_integer(struct halyard_client *client, const char *key, const struct halyard_context *context,
                        int64_t fallback, struct halyard_detail *ret_detail)
{
	if (client == NULL) {
		evaluate_nothing(ret_detail);
		return fallback;
	}
	const struct snapshot *snapshot = reading_begin(client);
	enum flag_type type;
	const struct variant *variant =
	        evaluate_called(client, snapshot, key, context, TYPE_BIT(FLAG_INTEGER), &type, ret_detail);
	int64_t value = variant != NULL ? variant->value.integer : fallback;
	reading_end(client);
	return value;
}

double halyard_number(struct halyard_client *client, const char *key, const struct halyard_context *context,
                      double fallback, struct halyard_detail *ret_detail)
{
	if (client == NULL) {
		evaluate_nothing(ret_detail);
		return fallback;
	}
	const struct snapshot *snapshot = reading_begin(client);
	enum flag_type type;
	const struct variant *variant =
	        evaluate_called(client, snapshot, key, context,
	                        TYPE_BIT(FLAG_NUMBER) | TYPE_BIT(FLAG_INTEGER), &type, ret_detail);
	double value = fallback;
	if (variant != NULL) {
		value = type == FLAG_INTEGER ? (double)variant->value.integer : variant->value.number;
	}
	reading_end(client);
	return value;
}

/* snprintf rule. */
static size_t text_copy(const char *text, size_t length, char *buffer, size_t size)
{
	if (size > 0) {
		size_t copied = length < size ? length : size - 1;
		memcpy(buffer, text, copied);
		buffer[copied] = '\0';
	}
	return length;
}

size_t halyard_string(struct halyard_client *client, const char *key, const struct halyard_context *context,
                      const char *fallback, char *buffer, size_t size, struct halyard_detail *ret_detail)
{
	fallback = fallback != NULL ? fallback : "";
	if (client == NULL) {
		evaluate_nothing(ret_detail);
		return text_copy(fallback, strlen(fallback), buffer, size);
	}
	const struct snapshot *snapshot = reading_begin(client);
	enum flag_type type;
	const struct variant *variant =
	        evaluate_called(client, snapshot, key, context, TYPE_BIT(FLAG_STRING), &type, ret_detail);
	size_t length = variant != NULL ? text_copy(variant->value.string.text, variant->value.string.length,
	                                            buffer, size)
	                                : text_copy(fallback, strlen(fallback), buffer, size);
	reading_end(client);
	return length;
}

size_t halyard_json(struct halyard_client *client, const char *key, const struct halyard_context *context,
                    const char *fallback, char *buffer, size_t size, struct halyard_detail *ret_detail)
{
	fallback = fallback != NULL ? fallback : "null";
	if (client == NULL) {
		evaluate_nothing(ret_detail);
		return text_copy(fallback, strlen(fallback), buffer, size);
	}
	const struct snapshot *snapshot = reading_begin(client);
	enum flag_type type;
	const struct variant *variant =
	        evaluate_called(client, snapshot, key, context, TYPE_ANY, &type, ret_detail);
	size_t length = variant != NULL ? text_copy(variant->json, variant->json_length, buffer, size)
	                                : text_copy(fallback, strlen(fallback), buffer, size);
	reading_end(client);
	return length;
}

const char *halyard_read_string(struct halyard_client *client, const char *key,
                                const struct halyard_context *context, const char *fallback,
                                struct halyard_detail *ret_detail)
{
	if (client == NULL || guard_find(client) == NULL) {
		/* Without a guard there is nothing that would keep the text alive. */
		evaluate_nothing(ret_detail);
		return fallback;
	}
	const struct snapshot *snapshot = reading_begin(client);
	enum flag_type type;
	const struct variant *variant =
	        evaluate_called(client, snapshot, key, context, TYPE_BIT(FLAG_STRING), &type, ret_detail);
	reading_end(client);
	return variant != NULL ? variant->value.string.text : fallback;
}
