/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon as a whole: what the handlers share, and which thread may touch what.
 *
 * One worker thread owns the store, the catalogue and the publisher; every handler marked HTTP_ON_WORKER runs
 * there, one at a time, so nothing of that needs a lock. Loop threads answer from their view.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "flagd/auth.h"
#include "flagd/catalogue.h"
#include "flagd/config.h"
#include "flagd/metrics.h"
#include "flagd/publish.h"
#include "flagd/store.h"
#include "flagd/telemetry.h"

struct worker;

/* What /readyz and the metrics say of the store; written by the worker, read by anyone. */
struct app_health {
	pthread_mutex_t lock; /* protects what follows */
	struct store_health store;
	uint64_t journal_seq;
	uint64_t epoch;
};

/* Outcomes of attempted changes, for metrics. */
enum app_change_outcome {
	APP_CHANGE_APPLIED,
	APP_CHANGE_UNCHANGED,
	APP_CHANGE_PREVIEWED,
	APP_CHANGE_REFUSED,
	APP_CHANGE_OUTCOME_COUNT
};

/* One thread's shard of counters; loops have 0 to n - 1. */
#define APP_MAX_SHARDS 32

struct app_counters {
	_Alignas(64) _Atomic uint64_t evaluations[8]; /* by enum eval_reason */
	_Atomic uint64_t auth_failures;
};

// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): grouped by who may touch it, not by size
struct app {
	/* Set once, before threads start. */
	const struct config *config;
	const struct clock *clock;
	int64_t started_ms; /* wall */
	uint8_t pepper[TOKEN_PEPPER_BYTES];
	uint8_t public_key[BUNDLE_PUBLIC_KEY_BYTES];
	uint8_t secret_key[BUNDLE_SECRET_KEY_BYTES];
	struct view_cell *view;
	struct telemetry *telemetry;
	struct metrics_http *metrics_http;
	struct http_blob *openapi;          /* /openapi.json */
	struct http_server *_Atomic server; /* NULL until it listens */
	struct worker *worker;

	/* Worker only. */
	struct store *store;
	struct catalogue *catalogue;
	struct publisher *publisher;
	bool must_reload; /* the outcome of a commit is unknown: read everything again first */

	/* Any thread. */
	struct app_health health;
	struct app_counters counters[APP_MAX_SHARDS];
	_Atomic uint64_t changes[APP_CHANGE_OUTCOME_COUNT];
	struct metrics_histogram commit_duration;
	atomic_uint next_shard;
};

/* What a loop thread has of its own: http_request.loop. */
struct app_loop {
	struct app *app;
	struct view_hold hold;
	unsigned shard;
};

/*
 * Opens the data folder (making it, its keys, the environments and the owner token on first start), loads everything and
 * publishes the first view. STATUS_CORRUPT, STATUS_CONFLICT and others as store_open().
 */
MUST_CHECK enum status app_open(const struct config *config, const struct clock *clock, struct app **ret,
                                struct error *err);

/* Starts the worker and the server. */
MUST_CHECK enum status app_start(struct app *app, struct error *err);

/* Stops server and worker, closes the store, frees. NULL and half-open ones are allowed. */
void app_close(struct app *app);

/* Reads every row again and publishes what differs. Worker, or before it starts. */
MUST_CHECK enum status app_load(struct app *app, struct error *err);

/* Tokens of the catalogue that are valid now. Worker. */
MUST_CHECK enum status app_tokens_build(struct app *app, struct token_table **ret, struct error *err);

/* The view of the thread that received the request. Loop threads only. */
struct view *app_view(struct http_request *request);
struct app_counters *app_counters_get(struct http_request *request);

/* Tells the streams that there is something new; nothing before the server listens. Any thread. */
void app_wake(struct app *app);

/* Publishes the store's health. Worker. */
void app_health_update(struct app *app);
