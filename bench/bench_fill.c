/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes a data folder with many flags by flagd's own door for change, in one change: over HTTP it is one durable
 * change a flag.
 *
 *	bench_fill DIR FLAGS
 *
 * Boolean flags bench-flag-000000 …, which half of the users get in prod; off in the other environments.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "flagd/app.h"
#include "flagd/change.h"
#include "flagd/doc.h"

static const char *const environments[] = { "dev", "prod", "staging" };

static enum status row_put(struct change *change, enum store_table table, const char *key,
                           const char *environment, const struct buf *doc, struct error *err)
{
	struct change_row row = { .table = table,
		                  .key = key,
		                  .environment = environment,
		                  .action = environment != NULL ? "setting.create" : "flag.create",
		                  .doc = doc->data,
		                  .doc_length = doc->length };
	return change_put(change, &row, err);
}

static enum status flag_put(struct change *change, unsigned number, struct buf *text, struct error *err)
{
	char key[32];
	char body[512];
	(void)snprintf(key, sizeof(key), "bench-flag-%06u", number);
	int length =
	        snprintf(body, sizeof(body),
	                 "{\"key\":\"%s\",\"type\":\"boolean\",\"environments\":{\"prod\":{\"enabled\":true,"
	                 "\"default\":{\"split\":[{\"variant\":\"on\",\"weight\":50000},{\"variant\":"
	                 "\"off\",\"weight\":50000}]}}}}",
	                 key);
	struct json_doc doc = { 0 };
	enum status status = json_parse(body, (size_t)length, &json_limits_default, &doc, err);
	struct json root = json_root(&doc);
	buf_reset(text);
	if (status == STATUS_OK) {
		status = doc_flag_new(root, text, err);
	}
	if (status == STATUS_OK) {
		status = row_put(change, STORE_FLAG, key, NULL, text, err);
	}
	for (size_t i = 0; i < sizeof(environments) / sizeof(environments[0]) && status == STATUS_OK; i++) {
		const struct row *flag = catalogue_find(change->app->catalogue, STORE_FLAG, key, NULL);
		struct json given = json_get(json_get(root, "environments"), environments[i]);
		buf_reset(text);
		status = doc_setting_new(row_json(flag), given, text, err);
		if (status == STATUS_OK) {
			status = row_put(change, STORE_SETTING, key, environments[i], text, err);
		}
	}
	json_doc_deinit(&doc);
	return status;
}

static enum status fill(struct app *app, unsigned flags, struct error *err)
{
	struct change change;
	struct buf text;
	enum status status = STATUS_OK;
	buf_init(&text, FLAG_MAX_TEXT_BYTES);
	change_begin_system(&change, app, "flag.create", "bench");
	for (unsigned i = 0; i < flags && status == STATUS_OK; i++) {
		status = flag_put(&change, i, &text, err);
	}
	if (status == STATUS_OK) {
		status = change_prepare(&change, err);
	}
	if (status == STATUS_OK) {
		status = change_commit(&change, err);
	}
	change_end(&change);
	buf_deinit(&text);
	return status;
}

int main(int argc, char **argv)
{
	if (argc != 3 || sodium_init() < 0) {
		(void)fprintf(stderr, "usage: bench_fill DIR FLAGS\n");
		return 2;
	}
	struct config config = { 0 };
	enum config_action action = CONFIG_RUN;
	struct error err = ERROR_INIT;
	struct app *app = NULL;
	char *nothing = NULL; /* as environment */
	char *arguments[] = { argv[0], (char[]){ "--data" }, argv[1], NULL };
	enum status status = config_read(3, arguments, &nothing, &config, &action, &err);
	if (status == STATUS_OK) {
		status = app_open(&config, &clock_system, &app, &err);
	}
	if (status == STATUS_OK) {
		status = fill(app, (unsigned)strtoul(argv[2], NULL, 10), &err);
	}
	app_close(app);
	config_deinit(&config);
	if (status != STATUS_OK) {
		(void)fprintf(stderr, "bench_fill: %s\n", err.message);
	}
	return status == STATUS_OK ? 0 : 1;
}
