/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/app.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "base/file.h"
#include "base/log.h"
#include "flagd/assemble.h"
#include "flagd/change.h"
#include "flagd/openapi.h"
#include "flagd/routes.h"
#include "flagd/secret_file.h"
#include "flagd/worker.h"

/* ---- Loading ---- */

struct load {
	struct catalogue *catalogue;
	struct error *err;
	enum status status;
};

static bool load_row(void *user, const struct store_row *stored)
{
	struct load *load = user;
	struct row *row = NULL;
	load->status = row_new(stored, &row, load->err);
	if (load->status != STATUS_OK) {
		return false;
	}
	struct row *old = NULL;
	load->status = catalogue_put(load->catalogue, row, &old, load->err);
	if (load->status != STATUS_OK) {
		row_unref(row);
		return false;
	}
	row_unref(old);
	return true;
}

/* A kind that this version does not know may do the least. */
static enum token_kind kind_read(struct json kind)
{
	for (int i = 0; i < TOKEN_KIND_COUNT; i++) {
		if (json_equals(kind, token_kind_name((enum token_kind)i))) {
			return (enum token_kind)i;
		}
	}
	return TOKEN_WEB;
}

enum status app_tokens_build(struct app *app, struct token_table **ret, struct error *err)
{
	size_t count = catalogue_count(app->catalogue, STORE_TOKEN);
	struct view_token *tokens = calloc(count + 1, sizeof(*tokens));
	if (tokens == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory while loading tokens");
	}
	size_t used = 0;
	for (size_t i = 0; i < count; i++) {
		const struct row *row = catalogue_at(app->catalogue, STORE_TOKEN, i);
		if (row->is_archived) {
			continue;
		}
		struct view_token *token = &tokens[used++];
		memcpy(token->hash, row->secret_hash, sizeof(token->hash));
		(void)snprintf(token->id, sizeof(token->id), "%s", row->key);
		(void)json_string_copy(json_get(row_json(row), "name"), token->name, sizeof(token->name));
		(void)snprintf(token->environment, sizeof(token->environment), "%s",
		               row->environment != NULL ? row->environment : "");
		token->kind = kind_read(json_get(row_json(row), "kind"));
	}
	*ret = token_table_new(tokens, used);
	free(tokens);
	return *ret != NULL ? STATUS_OK
	                    : error_fail(err, STATUS_NO_MEMORY, "Out of memory while loading tokens");
}

/* Rulesets of the environments that are loaded already. */
struct loaded {
	struct ruleset **rulesets;
	size_t count;
};

static void loaded_deinit(struct loaded *loaded)
{
	for (size_t i = 0; i < loaded->count; i++) {
		ruleset_unref(loaded->rulesets[i]);
	}
	free(loaded->rulesets);
}

/* What is built must be what was published: the digest was stored with the revision. */
static enum status load_environment(struct app *app, const char *environment, struct publication *publication,
                                    struct loaded *loaded, struct error *err)
{
	uint64_t revision = 0;
	uint8_t stored[STORE_HASH_BYTES];
	int64_t at_ms = 0;
	enum status status = store_revision_get(app->store, environment, &revision, stored, &at_ms, err);
	struct ruleset *ruleset = NULL;
	if (status == STATUS_OK) {
		status = assemble_ruleset(app->catalogue, environment, loaded->rulesets, loaded->count,
		                          &ruleset, err);
	}
	if (status != STATUS_OK) {
		return status;
	}
	uint8_t built[FLAG_DIGEST_BYTES];
	ruleset_digest(ruleset, built);
	if (memcmp(built, stored, sizeof(built)) != 0) {
		ruleset_unref(ruleset);
		return error_fail(err, STATUS_CORRUPT,
		                  "The flags of environment %s are not those of its revision %" PRIu64
		                  "; restore the data folder from a backup",
		                  environment, revision);
	}
	struct store_head head;
	store_journal_head(app->store, &head);
	struct publication_entry entry = { .environment = environment,
		                           .ruleset = ruleset,
		                           .digest = built,
		                           .revision = revision,
		                           .now_ms = at_ms,
		                           .audit_size = head.seq,
		                           .audit_head = head.hash };
	status = publication_add(publication, app->publisher, &entry, err);
	loaded->rulesets[loaded->count++] = ruleset;
	return status;
}

static enum status load_environments(struct app *app, struct publication *publication, struct error *err)
{
	size_t count = catalogue_count(app->catalogue, STORE_ENVIRONMENT);
	struct loaded loaded = { .rulesets = calloc(count + 1, sizeof(struct ruleset *)) };
	if (loaded.rulesets == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory while loading the store");
	}
	enum status status = STATUS_OK;
	for (size_t i = 0; i < count && status == STATUS_OK; i++) {
		const char *environment = catalogue_at(app->catalogue, STORE_ENVIRONMENT, i)->key;
		status = load_environment(app, environment, publication, &loaded, err);
	}
	loaded_deinit(&loaded);
	return status;
}

enum status app_load(struct app *app, struct error *err)
{
	struct load load = { .catalogue = catalogue_new(), .err = err };
	if (load.catalogue == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory while loading the store");
	}
	enum status status = store_load(app->store, load_row, &load, err);
	if (status == STATUS_OK) {
		status = load.status;
	}
	if (status != STATUS_OK) {
		catalogue_free(load.catalogue);
		return status;
	}
	catalogue_free(app->catalogue);
	app->catalogue = load.catalogue;
	struct publication publication = { 0 };
	status = load_environments(app, &publication, err);
	if (status == STATUS_OK) {
		status = app_tokens_build(app, &publication.tokens, err);
	}
	if (status == STATUS_OK) {
		status = publication_prepare(&publication, app->publisher, err);
	}
	if (status == STATUS_OK) {
		publication_apply(&publication, app->publisher);
		app->must_reload = false;
		app_wake(app);
	}
	publication_deinit(&publication);
	return status;
}

/* ---- First start ---- */

static const struct {
	const char *key;
	const char *doc;
} first_environments[] = {
	{ "dev", "{\"description\":\"Development\",\"protected\":false}" },
	{ "prod", "{\"description\":\"Production\",\"protected\":true}" },
	{ "staging", "{\"description\":\"Staging\",\"protected\":false}" },
};

static enum status seed_rows(struct app *app, struct change *change, const char *token, struct error *err)
{
	enum status status = STATUS_OK;
	for (size_t i = 0;
	     i < sizeof(first_environments) / sizeof(first_environments[0]) && status == STATUS_OK; i++) {
		struct change_row row = { .table = STORE_ENVIRONMENT,
			                  .key = first_environments[i].key,
			                  .action = "environment.create",
			                  .doc = first_environments[i].doc,
			                  .doc_length = strlen(first_environments[i].doc) };
		status = change_put(change, &row, err);
	}
	if (status != STATUS_OK) {
		return status;
	}
	uint8_t hash[TOKEN_HASH_BYTES];
	char id[TOKEN_ID_SIZE];
	token_hash(token, strlen(token), app->pepper, hash);
	token_id(hash, id);
	static const char doc[] = "{\"name\":\"owner\",\"kind\":\"owner\"}";
	struct change_row row = { .table = STORE_TOKEN,
		                  .key = id,
		                  .action = "token.create",
		                  .doc = doc,
		                  .doc_length = sizeof(doc) - 1,
		                  .secret_hash = hash };
	return change_put(change, &row, err);
}

/* Environments and the owner token. The token's file comes first: a crash between leaves a file that the next start replaces. */
static enum status app_seed(struct app *app, struct error *err)
{
	char token[TOKEN_SIZE];
	token_new(TOKEN_OWNER, token);
	char path[4096];
	char line[TOKEN_SIZE + 1];
	(void)snprintf(path, sizeof(path), "%s/owner.token", app->config->data);
	(void)snprintf(line, sizeof(line), "%s\n", token);
	enum status status = file_replace(path, line, strlen(line), 0600, err);
	if (status != STATUS_OK) {
		return status;
	}
	struct change change;
	change_begin_system(&change, app, "start", "first start");
	status = seed_rows(app, &change, token, err);
	if (status == STATUS_OK) {
		status = change_prepare(&change, err);
	}
	if (status == STATUS_OK) {
		status = change_commit(&change, err);
	}
	change_end(&change);
	sodium_memzero(token, sizeof(token));
	sodium_memzero(line, sizeof(line));
	if (status == STATUS_OK) {
		log_info("first start: made the environments and the owner token", LOG_STRING("file", path));
	}
	return status;
}

/* ---- Life cycle ---- */

static enum status folder_make(const char *path, struct error *err)
{
	if (mkdir(path, 0700) != 0 && errno != EEXIST) {
		return error_fail(err, STATUS_READ_ONLY, "The data folder %s cannot be made: %s", path,
		                  strerror(errno));
	}
	struct stat info;
	if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode)) {
		return error_fail(err, STATUS_INVALID, "%s is not a folder", path);
	}
	return STATUS_OK;
}

static bool database_exists(const char *dir)
{
	char path[4096];
	(void)snprintf(path, sizeof(path), "%s/halyard.db", dir);
	return access(path, F_OK) == 0;
}

static enum status app_keys_read(struct app *app, struct error *err)
{
	bool is_new = !database_exists(app->config->data);
	enum status status = secret_file_pepper(app->config->data, is_new, app->pepper, err);
	if (status == STATUS_OK) {
		status =
		        secret_file_signing(app->config->data, is_new, app->public_key, app->secret_key, err);
	}
	return status;
}

static enum status app_parts_new(struct app *app, struct error *err)
{
	app->view = view_cell_new();
	app->telemetry = telemetry_new();
	app->catalogue = catalogue_new();
	app->metrics_http = metrics_http_new(routes_count(), APP_MAX_SHARDS);
	struct publisher_options options = {
		.cell = app->view,
		.secret_key = app->secret_key,
		.history = (uint32_t)app->config->delta_history,
		.max_age_s = (uint32_t)app->config->snapshot_max_age_s,
		.epoch = store_epoch(app->store),
	};
	app->publisher = publisher_new(&options);
	if (app->view == NULL || app->telemetry == NULL || app->catalogue == NULL ||
	    app->metrics_http == NULL || app->publisher == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory while starting");
	}
	return STATUS_OK;
}

static enum status app_open_into(struct app *app, struct error *err)
{
	enum status status = folder_make(app->config->data, err);
	if (status == STATUS_OK) {
		status = app_keys_read(app, err);
	}
	if (status == STATUS_OK) {
		status = store_open(app->config->data, app->clock, &app->store, err);
	}
	if (status == STATUS_OK) {
		status = app_parts_new(app, err);
	}
	if (status == STATUS_OK) {
		status = app_load(app, err);
	}
	struct store_head head = { 0 };
	if (status == STATUS_OK) {
		store_journal_head(app->store, &head);
	}
	if (status == STATUS_OK && head.seq == 0) {
		status = app_seed(app, err);
	}
	if (status == STATUS_OK) {
		app_health_update(app);
	}
	return status;
}

enum status app_open(const struct config *config, const struct clock *clock, struct app **ret,
                     struct error *err)
{
	struct app *app = aligned_alloc(64, (sizeof(*app) + 63) / 64 * 64);
	if (app == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory while starting");
	}
	memset(app, 0, sizeof(*app));
	(void)pthread_mutex_init(&app->health.lock, NULL);
	app->config = config;
	app->clock = clock;
	app->started_ms = clock_wall_ms(clock);
	enum status status = app_open_into(app, err);
	if (status != STATUS_OK) {
		app_close(app);
		return status;
	}
	*ret = app;
	return STATUS_OK;
}

static void worker_run(void *user, struct http_request *request)
{
	(void)user;
	http_request_run(request);
}

static void worker_tick(void *user)
{
	app_health_update(user);
}

/* Built once: anybody may ask for it, and making it takes milliseconds. */
static enum status openapi_build(struct app *app, struct error *err)
{
	struct buf text;
	buf_init(&text, OPENAPI_MAX_BYTES);
	enum status status = openapi_check(routes_all(), routes_count(), err);
	if (status == STATUS_OK) {
		openapi_write(routes_all(), routes_count(), auth_access_text, &text);
		status = buf_status(&text, "OpenAPI document", err);
	}
	if (status == STATUS_OK) {
		app->openapi = http_blob_new(text.data, text.length);
	}
	buf_deinit(&text);
	if (status == STATUS_OK && app->openapi == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory while writing the OpenAPI document");
	}
	return status;
}

enum status app_start(struct app *app, struct error *err)
{
	struct worker_options options = { .user = app, .run = worker_run, .tick = worker_tick };
	enum status status = openapi_build(app, err);
	if (status == STATUS_OK) {
		status = worker_start(&options, &app->worker, err);
	}
	struct http_server *server = NULL;
	if (status == STATUS_OK) {
		status = routes_serve(app, &server, err);
	}
	if (status == STATUS_OK) {
		atomic_store(&app->server, server);
		/* A change may have come in before the pointer was there to wake anybody. */
		app_wake(app);
	}
	return status;
}

void app_wake(struct app *app)
{
	struct http_server *server = atomic_load(&app->server);
	if (server != NULL) {
		http_wake(server);
	}
}

void app_close(struct app *app)
{
	if (app == NULL) {
		return;
	}
	http_server_close(app->server, (uint32_t)app->config->shutdown_grace_ms);
	worker_stop(app->worker);
	store_close(app->store);
	catalogue_free(app->catalogue);
	publisher_free(app->publisher);
	view_cell_free(app->view);
	telemetry_free(app->telemetry);
	metrics_http_free(app->metrics_http);
	http_blob_unref(app->openapi);
	(void)pthread_mutex_destroy(&app->health.lock);
	sodium_memzero(app->pepper, sizeof(app->pepper));
	sodium_memzero(app->secret_key, sizeof(app->secret_key));
	free(app);
}

/* ---- What requests ask for ---- */

struct view *app_view(struct http_request *request)
{
	struct app_loop *loop = request->loop;
	return view_hold_refresh(&loop->hold, loop->app->view);
}

struct app_counters *app_counters_get(struct http_request *request)
{
	struct app_loop *loop = request->loop;
	return &loop->app->counters[loop->shard];
}

void app_health_update(struct app *app)
{
	struct store_health store;
	store_health_check(app->store, &store);
	struct store_head head;
	store_journal_head(app->store, &head);
	(void)pthread_mutex_lock(&app->health.lock);
	bool was_writable = app->health.store.is_writable;
	bool is_first = app->health.journal_seq == 0;
	app->health.store = store;
	app->health.journal_seq = head.seq;
	app->health.epoch = store_epoch(app->store);
	(void)pthread_mutex_unlock(&app->health.lock);
	if (!is_first && was_writable != store.is_writable) {
		if (store.is_writable) {
			log_info("changes are accepted again");
		} else {
			log_error("changes are refused", LOG_STRING("why", store.message));
		}
	}
}
