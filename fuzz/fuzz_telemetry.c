/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever a client reports, once or twice: what is then written is JSON, and a page of metrics comes out. */
#include "fuzz/fuzz.h"

#include <stdlib.h>

#include <sodium.h>

#include "flagd/telemetry.h"

#define OUTPUT_MAX_BYTES ((size_t)16 * 1024 * 1024)

static const struct json_limits input_limits = { .max_bytes = 65536, .max_nodes = 32768, .max_depth = 8 };
static const struct json_limits output_limits = { .max_bytes = 16 * 1024 * 1024,
	                                          .max_nodes = 1024 * 1024,
	                                          .max_depth = 8 };

static uint64_t revision_of(void *user, const char *environment)
{
	(void)user;
	(void)environment;
	return 42;
}

static void output_check(struct telemetry *telemetry)
{
	struct buf out;
	struct json_writer w;
	struct json_doc doc = { 0 };
	buf_init(&out, OUTPUT_MAX_BYTES);
	json_writer_init(&w, &out);
	telemetry_write(telemetry, "prod", NULL, &w);
	if (out.failed || json_parse(out.data, out.length, &output_limits, &doc, NULL) != STATUS_OK) {
		abort();
	}
	json_doc_deinit(&doc);
	buf_reset(&out);
	telemetry_metrics_write(telemetry, 2000, revision_of, NULL, &out);
	if (out.failed || out.length == 0) {
		abort();
	}
	buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct json_doc doc = { 0 };
	if (sodium_init() < 0 ||
	    json_parse((const char *)data, size, &input_limits, &doc, NULL) != STATUS_OK) {
		return 0;
	}
	struct telemetry *const telemetry = telemetry_new();
	struct error err = ERROR_INIT;
	if (telemetry == NULL) {
		abort();
	}
	const enum status first = telemetry_take(telemetry, "prod", json_root(&doc), 1000, &err);
	const enum status second = telemetry_take(telemetry, "prod", json_root(&doc), 2000, &err);
	if (first != second || (first != STATUS_OK && (first != STATUS_INVALID || err.message[0] == '\0'))) {
		abort();
	}
	output_check(telemetry);
	telemetry_free(telemetry);
	json_doc_deinit(&doc);
	return 0;
}
