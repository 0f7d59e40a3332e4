/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of a client: what its parts share.
 *
 * Two threads. The network thread (worker.c) owns the sync state, the transport and the intake, and puts
 * snapshots in force. It runs none of the program's code and never touches the disk, so nothing but the
 * network makes it wait. The delivery thread (delivery.c) does everything that may take its time.
 * Evaluations (evaluate.c) read `store`, the times beside it and constants, and nothing else.
 *
 * Locks: `lock`, and those inside store, subscribers, delivery and telemetry. None is held while curl or the
 * program's code runs, nor while another is taken, but that delivery looks at store under its own.
 */
#pragma once

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>

#include "client/address.h"
#include "client/cache.h"
#include "client/delivery.h"
#include "client/intake.h"
#include "client/snapshot.h"
#include "client/sse.h"
#include "client/subscribers.h"
#include "client/sync.h"
#include "client/telemetry.h"
#include "client/transport.h"

#define CLIENT_TOKEN_SIZE  512
#define CLIENT_NEVER       INT64_MIN /* confirmed_ms before the daemon confirmed anything */
#define CLIENT_CLOSE_MS    1900      /* halyard_close() waits for the threads at most this long */
#define CLIENT_TICK_MS     1000  /* at most between ticks; a quarter of stale_after_ms when that is less */
#define CLIENT_CALLBACK_MS 50    /* between looks at a callback that is waited for */
#define CLIENT_FLUSH_MS    700   /* of which the last report may take */
#define CLIENT_REPORT_MS   10000 /* one report may take */
#define CLIENT_PATH_SIZE   ADDRESS_PATH_MAX_BYTES
#define CLIENT_THREADS     2

struct client_settings {
	char url[ADDRESS_SIZE];
	char token[CLIENT_TOKEN_SIZE];
	char environment[BUNDLE_ENVIRONMENT_SIZE];
	uint32_t poll_interval_ms, connect_timeout_ms, silence_timeout_ms, stale_after_ms,
	        telemetry_interval_ms;
	bool disable_streaming;
	bool has_telemetry;
	bool has_cache;
	void (*log)(void *user, enum halyard_log_level level, const char *message);
	void *log_user;
};

/* The network thread's own. */
struct worker {
	struct sync sync;
	struct intake intake;
	struct sse sse;
	struct buf body; /* of an answer that is not a stream */
	struct transport *transport;
	int http_status;             /* of the answer at hand; 0: none yet */
	uint64_t stream_count;       /* begun */
	bool has_failed;             /* the last attempt; its error is in client->last_error */
	int64_t confirmed_before_ms; /* what was confirmed by then */

	int64_t report_ms; /* when telemetry is due */
	int64_t report_started_ms;
	int report_status; /* HTTP status of the answer to a report */
	int64_t report_retry_after_ms;
	uint64_t reported_epoch, reported_revision;
};

struct halyard_client {
	/* for evaluations: written seldom, on lines of their own */
	_Alignas(64) struct snapshot_store store;
	_Alignas(64) _Atomic int64_t confirmed_ms; /* by the monotonic clock; CLIENT_NEVER */
	_Atomic int64_t tick_ms;                   /* now, as the network thread saw it at its last tick */
	int64_t stale_after_ms;
	unsigned fork_generation; /* of the process that opened it */

	struct client_settings settings; /* constant after halyard_open() */
	struct cache cache;
	struct worker worker;
	struct delivery delivery;
	struct subscribers subscribers;
	struct telemetry telemetry;

	_Alignas(64) pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t changed;            /* monotonic clock */
	enum halyard_state state;
	bool is_ready; /* the daemon confirmed what is in force */
	bool is_denied;
	bool is_untrusted;
	bool is_closing;
	bool is_abandoned; /* halyard_close() did not wait any longer: the last thread frees the client */
	bool is_running[CLIENT_THREADS];
	uint64_t updates, refused, reconnects;
	char last_error[256];

	/* of the thread that opens and closes */
	pthread_t threads[CLIENT_THREADS];
	bool is_started[CLIENT_THREADS];
};

enum client_thread { CLIENT_NETWORK, CLIENT_DELIVERY };

/* Rises in a child with each fork(): a client of another generation has no threads here. */
extern atomic_uint client_fork_generation;

static inline bool client_is_inherited(const struct halyard_client *client)
{
	return atomic_load_explicit(&client_fork_generation, memory_order_relaxed) != client->fork_generation;
}

/* Has something said through the log option, by the delivery thread; never a secret. */
void client_log(struct halyard_client *client, enum halyard_log_level level, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

void client_free(struct halyard_client *client);

/* STATUS_NO_MEMORY. */
MUST_CHECK enum status worker_init(struct halyard_client *client, struct error *err);
void worker_deinit(struct halyard_client *client);

/* What there is before the network: the cache, the one before it, the bootstrap file. In halyard_open(). */
void client_load(struct halyard_client *client, const char *bootstrap_file);

/* The network thread: returns when the client is being closed. */
void worker_run(struct halyard_client *client);

/* The part of it that reports counts. */
void report_begin(struct halyard_client *client, int64_t now_ms);
void report_step(struct halyard_client *client, int64_t now_ms);
void report_flush(struct halyard_client *client);
int64_t report_due_ms(const struct halyard_client *client);
void report_on_response(struct halyard_client *client, const struct transport_response *response);
void report_on_end(struct halyard_client *client, enum transport_end end);

/* Puts @snapshot in force and tells everybody; @key: store it in the cache, verified with that key. */
void client_apply(struct halyard_client *client, struct snapshot *snapshot, const uint8_t *key);

/* The snapshot that this thread evaluates with now, or NULL; a read-side critical section. */
const struct snapshot *client_read_begin(struct halyard_client *client);
void client_read_end(struct halyard_client *client);
