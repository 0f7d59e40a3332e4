/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libhalyard: feature flags that a C or C++ program evaluates in its own memory.
 *
 *	struct halyard_client *flags;
 *	halyard_open(&flags, &(struct halyard_options){ .size = sizeof(struct halyard_options),
 *		.url = "http://127.0.0.1:8016", .token = token, .environment = "prod",
 *		.cache_dir = "/var/cache/mybot" });
 *	struct halyard_context user = { .targeting_key = "user-7" };
 *	if (halyard_bool(flags, "ENABLE_ALERTS", &user, false, NULL)) …
 *	halyard_close(flags);
 *
 * What it does. Two background threads keep one immutable, signed snapshot of an environment's flags:
 * they follow the daemon's stream, poll when a stream cannot be held, and keep the last good snapshot in
 * a file. An evaluation reads that snapshot: no lock, no allocation, no I/O, no log. It cannot fail:
 * whatever is wrong, the default of the call is returned and the detail says why. When the daemon is
 * away, for however long, the last good values stay in force and are marked stale.
 *
 * Threads. Evaluations, halyard_explain(), halyard_status(), halyard_track() and the read guard may be
 * called from any thread at any time between halyard_open() and halyard_close(). All of the program's
 * own code, change callbacks and the log, is called by one background thread, one call at a time; it may
 * evaluate, but not close the client, and while it runs snapshots go on coming in. A thread's first
 * call registers the thread and allocates a few bytes for that; no later one does.
 *
 * Fork. A child may go on evaluating with what it inherited; it gets no updates, and of the other calls
 * only halyard_status() and halyard_close() do something. To follow changes open a client in the child.
 *
 * Signals. The background threads block all signals; none of the calls is for use in a handler.
 *
 * Network. HTTP/1.1 to the url and nowhere else: no redirects, no proxy whatever the environment says.
 *
 * Ownership. Strings and structs passed in are only borrowed for the call and copied where they are
 * needed later. Nothing that is returned has to be freed, except the client itself. A NULL client is
 * allowed everywhere: it gives defaults, so a program can go on when halyard_open() failed.
 *
 * ABI. Structs that callers fill begin with `size` (set it to sizeof the struct) and only grow at the
 * end. Symbols begin with halyard_. C11 and C++11. Since: 0.1.0, unless a function says otherwise.
 */
#ifndef HALYARD_H
#define HALYARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define HALYARD_API __attribute__((visibility("default")))
#else
#define HALYARD_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Life cycle ---- */

struct halyard_client;

/* Results of halyard_open() and halyard_wait_ready(); 0 is success, errors are negative. */
enum halyard_result {
	HALYARD_OK = 0,
	HALYARD_E_INVALID = -1,   /* an option is missing or wrong; halyard_open_error() says which */
	HALYARD_E_MEMORY = -2,    /* out of memory, or no thread could be started */
	HALYARD_E_TIMEOUT = -3,   /* halyard_wait_ready(): not ready in time */
	HALYARD_E_UNTRUSTED = -4, /* halyard_wait_ready(): what the daemon sent is not signed by the key */
	HALYARD_E_DENIED = -5,    /* halyard_wait_ready(): the daemon refuses the token */
	HALYARD_E_CLOSED = -6     /* halyard_wait_ready(): the client is being closed */
};

enum halyard_log_level { HALYARD_LOG_DEBUG, HALYARD_LOG_INFO, HALYARD_LOG_WARN, HALYARD_LOG_ERROR };

struct halyard_options {
	size_t size; /* sizeof(struct halyard_options) */
	const char
	        *url; /* daemon or relay: "http://127.0.0.1:8016" (also https://); a trailing slash is fine */
	const char *token;       /* client token of the environment, "hly_c_…" */
	const char *environment; /* "prod"; a snapshot of another environment is refused */

	/*
	 * Ed25519 key that snapshots must be signed with, base64 (the daemon's DIR/signing.pub). NULL: the
	 * key of the first snapshot is trusted, remembered in the cache folder, and no other is accepted.
	 */
	const char *public_key;

	/*
	 * Existing folder for the last good snapshot; NULL: no cache. A folder that cannot be used is no
	 * reason to fail: that is logged, and tried again with later snapshots.
	 */
	const char *cache_dir;

	/*
	 * Signed snapshot to start from when it is newer than the cache; NULL: none. It needs public_key, or a
	 * cache that remembers the key.
	 */
	const char *bootstrap_file;

	uint32_t poll_interval_ms;      /* between polls while no stream is held; 0: 30000 */
	uint32_t connect_timeout_ms;    /* 0: 5000 */
	uint32_t silence_timeout_ms;    /* a stream without a byte for this long is dropped; 0: 45000 */
	uint32_t stale_after_ms;        /* without a word from the daemon for this long is stale; 0: 60000 */
	uint32_t telemetry_interval_ms; /* between reports of counts; 0: 10000; UINT32_MAX: none are sent */
	bool disable_streaming;         /* poll only */

	/* Called from a background thread; never with a secret. NULL: silent. */
	void (*log)(void *user, enum halyard_log_level level, const char *message);
	void *log_user;
};

/*
 * Creates a client and starts its background thread. Does not wait for the network: evaluations
 * answer from the cache, the bootstrap file or their defaults until the first snapshot is there.
 * On failure *ret_client is untouched.
 */
HALYARD_API int halyard_open(struct halyard_client **ret_client, const struct halyard_options *options);

/* Sentence about the last failed halyard_open() of this thread; "" when there was none. */
HALYARD_API const char *halyard_open_error(void);

/*
 * Waits until a snapshot that the daemon confirmed is in force, at most @timeout_ms. A denied token or an
 * untrusted signature is reported at once. The client keeps trying whatever this returns.
 */
HALYARD_API int halyard_wait_ready(struct halyard_client *client, uint32_t timeout_ms);

/*
 * Stops the threads and frees the client; NULL is allowed. Returns within two seconds whatever the
 * network does; counts that could not be delivered by then are dropped. Only a callback of the
 * program's that is running is waited for. No other call on this client may be running or follow.
 */
HALYARD_API void halyard_close(struct halyard_client *client);

/* ---- Context ---- */

enum halyard_type {
	HALYARD_STRING = 1,
	HALYARD_INTEGER,
	HALYARD_NUMBER,
	HALYARD_BOOLEAN,
	HALYARD_ARRAY,  /* of strings, integers, numbers and booleans */
	HALYARD_OBJECT, /* present, without a value of its own */
	HALYARD_NULL    /* as good as missing */
};

/* One attribute. Nested values are named by their dot path: "app.version". */
struct halyard_attribute {
	const char *name;
	enum halyard_type type;
	union {
		const char *string; /* UTF-8 */
		int64_t integer;
		double number;
		bool boolean;
		struct {
			const struct halyard_attribute *items; /* their names are not used */
			size_t count;
		} array;
	} value;
};

/* Who or what a flag is evaluated for. A NULL context is an empty one. */
struct halyard_context {
	const char *targeting_key; /* what percentages stick to; NULL: none */
	const struct halyard_attribute *attributes;
	size_t attribute_count;
};

/*
 * struct halyard_attribute list[] = { HALYARD_ATTRIBUTE_STRING("role", role), HALYARD_ATTRIBUTE_BOOLEAN("beta", true) };
 * An attribute without a name, and one whose string or items are NULL, are as good as missing.
 */
#ifndef __cplusplus
/* clang-format off */
#define HALYARD_ATTRIBUTE_STRING(n, v)  { (n), HALYARD_STRING, { .string = (v) } }
#define HALYARD_ATTRIBUTE_INTEGER(n, v) { (n), HALYARD_INTEGER, { .integer = (v) } }
#define HALYARD_ATTRIBUTE_NUMBER(n, v)  { (n), HALYARD_NUMBER, { .number = (v) } }
#define HALYARD_ATTRIBUTE_BOOLEAN(n, v) { (n), HALYARD_BOOLEAN, { .boolean = (v) } }
/* clang-format on */
#else
/* C++11 has no designated initialisers. */
#define HALYARD_ATTRIBUTE_STRING(n, v)  halyard_attribute_of((n), (const char *)(v))
#define HALYARD_ATTRIBUTE_INTEGER(n, v) halyard_attribute_of((n), (int64_t)(v))
#define HALYARD_ATTRIBUTE_NUMBER(n, v)  halyard_attribute_of((n), (double)(v))
#define HALYARD_ATTRIBUTE_BOOLEAN(n, v) halyard_attribute_of((n), (bool)(v))
extern "C++" {
static inline halyard_attribute halyard_attribute_of(const char *name, const char *value)
{
	halyard_attribute attribute = {};
	attribute.name = name;
	attribute.type = HALYARD_STRING;
	attribute.value.string = value;
	return attribute;
}
static inline halyard_attribute halyard_attribute_of(const char *name, int64_t value)
{
	halyard_attribute attribute = {};
	attribute.name = name;
	attribute.type = HALYARD_INTEGER;
	attribute.value.integer = value;
	return attribute;
}
static inline halyard_attribute halyard_attribute_of(const char *name, double value)
{
	halyard_attribute attribute = {};
	attribute.name = name;
	attribute.type = HALYARD_NUMBER;
	attribute.value.number = value;
	return attribute;
}
static inline halyard_attribute halyard_attribute_of(const char *name, bool value)
{
	halyard_attribute attribute = {};
	attribute.name = name;
	attribute.type = HALYARD_BOOLEAN;
	attribute.value.boolean = value;
	return attribute;
}
}
#endif

/* ---- Evaluation ---- */

/* Names and meaning as in the OpenFeature specification. */
enum halyard_reason {
	HALYARD_REASON_UNKNOWN,
	HALYARD_REASON_STATIC,          /* the flag has no targeting */
	HALYARD_REASON_DEFAULT,         /* no target or rule applied */
	HALYARD_REASON_TARGETING_MATCH, /* a target or rule applied */
	HALYARD_REASON_SPLIT,           /* a percentage decided */
	HALYARD_REASON_DISABLED,        /* the flag is off, or its prerequisite is not met */
	HALYARD_REASON_ERROR            /* see the error */
};

enum halyard_error {
	HALYARD_ERROR_NONE,
	HALYARD_ERROR_FLAG_NOT_FOUND,
	HALYARD_ERROR_PARSE_ERROR,
	HALYARD_ERROR_TYPE_MISMATCH,
	HALYARD_ERROR_TARGETING_KEY_MISSING,
	HALYARD_ERROR_INVALID_CONTEXT,
	HALYARD_ERROR_PROVIDER_NOT_READY, /* no snapshot from anywhere yet */
	HALYARD_ERROR_GENERAL
};

#define HALYARD_VARIANT_SIZE 65

struct halyard_detail {
	enum halyard_reason reason;
	enum halyard_error error;
	bool is_default; /* the default of the call was returned */
	bool is_stale;   /* the daemon was not heard for stale_after_ms, or never */
	uint64_t epoch;  /* of the snapshot; 0 when there is none */
	uint64_t revision;
	/*
	 * Since the daemon last confirmed the snapshot; UINT64_MAX: never. Exact to a second, or to a quarter of
	 * stale_after_ms when that is less: an evaluation reads no clock.
	 */
	uint64_t age_ms;
	uint32_t variant_length;
	char variant[HALYARD_VARIANT_SIZE]; /* NUL-terminated; "" when the default was returned */
};

/* "TARGETING_MATCH", "FLAG_NOT_FOUND", … */
HALYARD_API const char *halyard_reason_name(enum halyard_reason reason);
HALYARD_API const char *halyard_error_name(enum halyard_error error);

/*
 * The value of flag @key for @context, or @fallback when there is none: the flag is unknown, of another
 * type, off without a value of its own, or wrong. @ret_detail may be NULL; it is always filled.
 */
HALYARD_API bool halyard_bool(struct halyard_client *client, const char *key,
                              const struct halyard_context *context, bool fallback,
                              struct halyard_detail *ret_detail);
HALYARD_API int64_t halyard_integer(struct halyard_client *client, const char *key,
                                    const struct halyard_context *context, int64_t fallback,
                                    struct halyard_detail *ret_detail);

/* Accepts integer flags too. */
HALYARD_API double halyard_number(struct halyard_client *client, const char *key,
                                  const struct halyard_context *context, double fallback,
                                  struct halyard_detail *ret_detail);

/*
 * Copies the text into @buffer (NUL-terminated, cut to @size) and returns its full length, as snprintf
 * does. @buffer may be NULL when @size is 0. @fallback may be NULL: then "".
 */
HALYARD_API size_t halyard_string(struct halyard_client *client, const char *key,
                                  const struct halyard_context *context, const char *fallback, char *buffer,
                                  size_t size, struct halyard_detail *ret_detail);

/* The same for the value of a flag of any type as JSON text; @fallback is JSON text (NULL: "null"). */
HALYARD_API size_t halyard_json(struct halyard_client *client, const char *key,
                                const struct halyard_context *context, const char *fallback, char *buffer,
                                size_t size, struct halyard_detail *ret_detail);

/*
 * Is boolean flag @flag on for this session? With a @percentage of 0 or more the flag must be on, with the
 * session as targeting key, and the session must be in that share of all sessions; a negative
 * @percentage leaves it to the flag. 0 is nobody and 100 (or more) everybody; steps are finer than
 * 0.00001. Sticky, and growing a percentage never drops a session that is in: it is in when
 * (uint64(murmur3_x86_32(flag ‖ ":session" ‖ session, seed 0)) × 10^8) >> 32 < percentage × 10^6. That is
 * independent of a split of the flag's own. False when anything is wrong, and without a session.
 */
HALYARD_API bool halyard_is_enabled_for_session(struct halyard_client *client, const char *flag,
                                                const char *session_id, double percentage);

/*
 * Why @context gets what it gets, as JSON (the steps of the evaluation). snprintf rule. For people:
 * this one allocates.
 */
HALYARD_API size_t halyard_explain(struct halyard_client *client, const char *key,
                                   const struct halyard_context *context, char *buffer, size_t size);

/* ---- Several flags from one snapshot ---- */

/*
 * Between begin and end all evaluations of this thread on this client use one snapshot, and
 * halyard_read_string() may borrow from it. Keep it short (milliseconds); do not block, and close no client.
 * Guards nest. A thread may have guards on eight clients at once; a ninth client's does nothing.
 */
HALYARD_API void halyard_read_begin(struct halyard_client *client);
HALYARD_API void halyard_read_end(struct halyard_client *client);

/*
 * Borrowed text of a string flag, valid until halyard_read_end(); @fallback when there is none, or when
 * this thread has no guard.
 */
HALYARD_API const char *halyard_read_string(struct halyard_client *client, const char *key,
                                            const struct halyard_context *context, const char *fallback,
                                            struct halyard_detail *ret_detail);

/* ---- Status, changes, telemetry ---- */

enum halyard_state {
	HALYARD_STATE_STARTING,    /* nothing from the daemon yet; defaults, bootstrap or cache answer */
	HALYARD_STATE_STREAMING,   /* following the stream */
	HALYARD_STATE_POLLING,     /* no stream; polling works */
	HALYARD_STATE_DISCONNECTED /* the daemon cannot be reached; trying */
};

enum halyard_source {
	HALYARD_SOURCE_NONE,
	HALYARD_SOURCE_BOOTSTRAP,
	HALYARD_SOURCE_CACHE,
	HALYARD_SOURCE_DAEMON
};

struct halyard_status {
	size_t size; /* set before the call */
	enum halyard_state state;
	enum halyard_source source; /* of the snapshot in force */
	bool is_stale;
	uint64_t epoch, revision;
	uint64_t age_ms; /* as in struct halyard_detail, but exact */
	uint64_t flag_count;
	uint64_t updates;           /* snapshots and deltas accepted */
	uint64_t refused;           /* snapshots refused: older, unsigned, altered, of another environment */
	uint64_t reconnects;        /* streams begun after the first */
	uint64_t telemetry_dropped; /* calls that found no room, and reports given up */
	char last_error[256];       /* "" when the last attempt worked */
};

HALYARD_API void halyard_status(struct halyard_client *client, struct halyard_status *ret_status);

/* One change of the snapshot in force. The strings live for the call. */
struct halyard_change {
	uint64_t epoch, revision;
	const char *const *keys; /* flags whose document changed; NULL when all may have */
	size_t key_count;
};

/*
 * Calls @callback after each change of the snapshot; changes that come much faster than callbacks return
 * are told as one. Returns an id for halyard_unsubscribe(), or 0 when out of memory. When halyard_unsubscribe() has returned, the callback is not running and will not be called
 * again (unless it is the callback itself that unsubscribes).
 */
HALYARD_API uint64_t halyard_subscribe(struct halyard_client *client,
                                       void (*callback)(void *user, const struct halyard_change *change),
                                       void *user);
HALYARD_API void halyard_unsubscribe(struct halyard_client *client, uint64_t id);

/*
 * Reports that @key gave what @detail says: counts per flag and variant, and keys that do not exist, sent in
 * batches. Separate from evaluating, so that evaluating has no side effect. Cheap (a short critical
 * section); drops and counts when full.
 */
HALYARD_API void halyard_count(struct halyard_client *client, const char *key,
                               const struct halyard_detail *detail);

/* Reports an outcome of the work that @key gated: did it fail, and how long did it take (ms, < 0: unknown).
 */
HALYARD_API void halyard_track(struct halyard_client *client, const char *key,
                               const struct halyard_detail *detail, bool is_error, double latency_ms);

/* "0.1.0" of the library that is running. */
HALYARD_API const char *halyard_version(void);

#ifdef __cplusplus
}
#endif

#endif
