/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/openapi.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "engine/eval.h"
#include "engine/match.h"

static const struct json_limits limits = { .max_bytes = 4 * 1024 * 1024,
	                                   .max_nodes = 262144,
	                                   .max_depth = 31 };

enum { OPEN, OWNER };

static const char *access_text(unsigned access)
{
	return access == OPEN ? NULL : "the owner token";
}

/* clang-format off */
#define DOC(...) (&(const struct http_doc){ __VA_ARGS__ })

static const struct http_route routes[] = {
	{ .method = HTTP_GET, .pattern = "/healthz", .name = "health_get", .access = OPEN, .summary = "Alive?",
	  .doc = DOC(.tag = "Operations", .success = 200, .response = "Health") },
	{ .method = HTTP_GET, .pattern = "/api/v1/flags/{key}/environments/{environment}", .name = "setting_get",
	  .access = OWNER, .summary = "Read.",
	  .doc = DOC(.tag = "Settings", .description = "Now or then.", .query = { "At" }, .success = 200,
	             .response = "Setting", .errors = "404", .has_etag = true) },
	{ .method = HTTP_POST, .pattern = "/api/v1/flags", .name = "flag_create", .access = OWNER, .max_body = 1024,
	  .summary = "Create.",
	  .doc = DOC(.tag = "Flags", .query = { "DryRun" }, .request = "FlagCreate", .success = 201, .response = "Flag",
	             .errors = "409 400", .has_etag = true) },
	{ .method = HTTP_PATCH, .pattern = "/api/v1/flags/{key}/environments/{environment}", .name = "setting_update",
	  .access = OWNER, .max_body = 1024, .summary = "Change.",
	  .doc = DOC(.tag = "Settings", .query = { "DryRun" }, .request = "SettingPatch", .success = 200,
	             .response = "Setting", .errors = "404 409", .has_etag = true) },
	{ .method = HTTP_PUT, .pattern = "/api/v1/segments/{key}", .name = "segment_replace", .access = OWNER,
	  .max_body = 1024, .summary = "Replace.",
	  .doc = DOC(.tag = "Segments", .request = "SegmentPut", .success = 200, .response = "Segment") },
	{ .method = HTTP_DELETE, .pattern = "/api/v1/segments/{key}", .name = "segment_delete", .access = OWNER,
	  .summary = "Delete.", .doc = DOC(.tag = "Segments", .query = { "DryRun" }, .success = 204) },
	{ .method = HTTP_POST, .pattern = "/ofrep/v1/evaluate/flags", .name = "ofrep_evaluate_all", .access = OWNER,
	  .max_body = 1024, .flags = HTTP_ROUTE_OFREP | HTTP_ROUTE_OPTIONAL_BODY, .summary = "All.",
	  .doc = DOC(.tag = "OFREP", .request = "OfrepRequest", .success = 200, .response = "OfrepBulk", .has_etag = true) },
	{ .method = HTTP_GET, .pattern = "/ofrep/v1/stream", .name = "ofrep_stream", .access = OWNER,
	  .flags = HTTP_ROUTE_OFREP | HTTP_ROUTE_STREAM, .summary = "Stream.",
	  .doc = DOC(.tag = "OFREP", .success = 200, .response = "Text", .content_type = "text/event-stream",
	             .security = "Ticket") },
	{ .method = HTTP_GET, .pattern = "/readyz", .name = "ready_get", .access = OPEN, .summary = "Ready?",
	  .doc = DOC(.tag = "Operations", .success = 200, .response = "Ready") },
};
/* clang-format on */

#define ROUTE_COUNT (sizeof(routes) / sizeof(routes[0]))

/* The document of the table above, made once. */
static struct buf text;
static struct json_doc doc;

static int document_make(void **state)
{
	struct error err = ERROR_INIT;
	(void)state;
	buf_init(&text, limits.max_bytes);
	openapi_write(routes, ROUTE_COUNT, access_text, &text);
	if (text.failed || json_parse(text.data, text.length, &limits, &doc, &err) != STATUS_OK) {
		print_error("%s\n", err.message);
		return -1;
	}
	return 0;
}

static int document_release(void **state)
{
	(void)state;
	json_doc_deinit(&doc);
	buf_deinit(&text);
	return 0;
}

static struct json in_list(struct json value, const char *const *names)
{
	for (; *names != NULL; names++) {
		value = json_get(value, *names);
	}
	return value;
}

/* Member of members: in(root, "paths", "/healthz", "get"). */
#define in(value, ...) in_list((value), (const char *const[]){ __VA_ARGS__, NULL })

static struct json operation(const char *pattern, const char *method)
{
	const struct json found = in(json_root(&doc), "paths", pattern, method);
	assert_true(json_is(found, JSON_OBJECT));
	return found;
}

static void is_raw(struct json value, const char *expected)
{
	size_t length = 0;
	char actual[2048];
	if (json_is(value, JSON_ABSENT)) {
		fail_msg("absent, not %s", expected);
	}
	const char *const raw = json_raw(value, &length);
	(void)snprintf(actual, sizeof(actual), "%.*s", (int)length, raw);
	assert_string_equal(actual, expected);
}

#define REF(group, name) "{\"$ref\":\"#/components/" group "/" name "\"}"

static void head_names_version_and_product(void **state)
{
	(void)state;
	is_raw(in(json_root(&doc), "openapi"), "\"3.1.0\"");
	is_raw(in(json_root(&doc), "info", "version"), "\"" HALYARD_VERSION "\"");
	is_raw(in(json_root(&doc), "info", "title"), "\"Halyard\"");
	assert_int_equal(json_count(in(json_root(&doc), "paths")), 7);
}

static void open_routes_need_nothing(void **state)
{
	(void)state;
	const struct json health = operation("/healthz", "get");
	is_raw(in(health, "operationId"), "\"health_get\"");
	is_raw(in(health, "security"), "[]");
	is_raw(in(health, "tags"), "[\"Operations\"]");
	is_raw(in(health, "parameters"), "[]");
	assert_true(json_is(in(health, "requestBody"), JSON_ABSENT));
	assert_true(json_is(in(health, "description"), JSON_ABSENT));
	is_raw(in(health, "responses", "200", "content", "application/json", "schema"),
	       REF("schemas", "Health"));
	is_raw(in(health, "responses", "400"), REF("responses", "Problem400"));
	assert_true(json_is(in(health, "responses", "401"), JSON_ABSENT));
	is_raw(in(operation("/readyz", "get"), "responses", "503"), REF("responses", "ready_get.503"));
	is_raw(in(health, "responses", "503"), REF("responses", "Problem503"));
}

static void reads_take_if_none_match(void **state)
{
	(void)state;
	const struct json get = operation("/api/v1/flags/{key}/environments/{environment}", "get");
	is_raw(in(get, "security"), "[{\"Bearer\":[]},{\"ApiKey\":[]}]");
	is_raw(in(get, "description"), "\"Now or then.\\n\\nNeeds the owner token.\"");
	is_raw(in(get, "parameters"),
	       "[" REF("parameters", "path.key") "," REF("parameters", "path.environment") "," REF(
	               "parameters", "At") "," REF("parameters", "IfNoneMatch") "]");
	is_raw(in(get, "responses", "200", "headers", "ETag"), REF("headers", "ETag"));
	assert_true(json_is(in(get, "responses", "304"), JSON_OBJECT));
	assert_true(json_is(in(get, "responses", "304", "content"), JSON_ABSENT));
	assert_true(json_is(in(get, "responses", "412"), JSON_ABSENT));
	assert_true(json_is(in(get, "responses", "413"), JSON_ABSENT));
	static const char *const codes[] = { "400", "401", "403", "404", "429", "500", "503" };
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		char ref[64];
		(void)snprintf(ref, sizeof(ref), "{\"$ref\":\"#/components/responses/Problem%s\"}", codes[i]);
		is_raw(in(get, "responses", codes[i]), ref);
	}
	assert_int_equal(json_count(in(get, "responses")), 9);
}

static void changes_take_if_match_and_previews(void **state)
{
	(void)state;
	const struct json patch = operation("/api/v1/flags/{key}/environments/{environment}", "patch");
	is_raw(in(patch, "parameters"),
	       "[" REF("parameters", "path.key") "," REF("parameters", "path.environment") "," REF(
	               "parameters", "DryRun") "," REF("parameters",
	                                               "IfMatch") "," REF("parameters",
	                                                                  "IdempotencyKey") "]");
	is_raw(in(patch, "responses", "200", "content", "application/json", "schema"),
	       "{\"anyOf\":[" REF("schemas", "Setting") "," REF("schemas", "DryRun") "]}");
	is_raw(in(patch, "responses", "412"), REF("responses", "Problem412"));
	is_raw(in(patch, "responses", "413"), REF("responses", "Problem413"));
	is_raw(in(patch, "requestBody"),
	       "{\"description\":\"At most 1024 "
	       "bytes.\",\"required\":true,\"content\":{\"application/json\":{\"schema\":" REF(
	               "schemas", "SettingPatch") "}}}");
}

static void creations_answer_201_and_previews_200(void **state)
{
	(void)state;
	const struct json post = operation("/api/v1/flags", "post");
	is_raw(in(post, "responses", "201", "content", "application/json", "schema"), REF("schemas", "Flag"));
	is_raw(in(post, "responses", "200", "content", "application/json", "schema"),
	       REF("schemas", "DryRun"));
	is_raw(in(post, "responses", "409"), REF("responses", "Problem409"));
	assert_true(json_is(in(post, "responses", "412"), JSON_ABSENT));
	const struct json put = operation("/api/v1/segments/{key}", "put");
	is_raw(in(put, "responses", "201", "content", "application/json", "schema"),
	       REF("schemas", "Segment"));
	is_raw(in(put, "responses", "200", "content", "application/json", "schema"),
	       REF("schemas", "Segment"));
	const struct json delete = operation("/api/v1/segments/{key}", "delete");
	assert_true(json_is(in(delete, "responses", "204"), JSON_OBJECT));
	assert_true(json_is(in(delete, "responses", "204", "content"), JSON_ABSENT));
	is_raw(in(delete, "responses", "200", "content", "application/json", "schema"),
	       REF("schemas", "DryRun"));
}

static void ofrep_has_problems_and_conditions_of_its_own(void **state)
{
	(void)state;
	const struct json all = operation("/ofrep/v1/evaluate/flags", "post");
	is_raw(in(all, "requestBody", "required"), "false");
	is_raw(in(all, "parameters"), "[" REF("parameters", "IfNoneMatch") "]");
	is_raw(in(all, "responses", "400"), REF("responses", "Ofrep400"));
	assert_true(json_is(in(all, "responses", "304"), JSON_OBJECT));
	const struct json stream = operation("/ofrep/v1/stream", "get");
	is_raw(in(stream, "security"), "[{\"Ticket\":[]}]");
	is_raw(in(stream, "parameters"), "[" REF("parameters", "LastEventId") "]");
	is_raw(in(stream, "responses", "200", "content"),
	       "{\"text/event-stream\":{\"schema\":" REF("schemas", "Text") "}}");
}

/* What "#/a/b/c" points to; absent when it leads nowhere. */
static struct json ref_target(struct json reference)
{
	char ref[128];
	struct json target = json_root(&doc);
	assert_true(json_string_copy(reference, ref, sizeof(ref)) < sizeof(ref));
	assert_memory_equal(ref, "#/", 2);
	for (char *part = ref + 2, *rest = NULL; part != NULL; part = rest) {
		rest = strchr(part, '/');
		if (rest != NULL) {
			*rest++ = '\0';
		}
		target = json_get(target, part);
	}
	return target;
}

/* Every {"$ref":"#/a/b/c"} below @value leads somewhere; gives how many there are. */
static unsigned refs_check(struct json value)
{
	struct json name, child = JSON_NONE;
	unsigned count = 0;
	while (json_next(value, &name, &child)) {
		if (json_is(name, JSON_STRING) && json_equals(name, "$ref") && json_is(child, JSON_STRING)) {
			assert_false(json_is(ref_target(child), JSON_ABSENT));
			count++;
		}
		count += refs_check(child);
	}
	return count;
}

static void every_reference_leads_somewhere(void **state)
{
	(void)state;
	assert_true(refs_check(json_root(&doc)) > 200);
}

static void enum_is(struct json list, const char *const *names, size_t count)
{
	struct json value = JSON_NONE;
	size_t i = 0;
	assert_int_equal(json_count(list), count);
	for (; json_next(list, NULL, &value); i++) {
		if (!json_equals(value, names[i])) {
			fail_msg("%s is not there or at another place", names[i]);
		}
	}
}

/* The lists in the file are those of the code, in the same order. */
static void lists_are_those_of_the_code(void **state)
{
	(void)state;
	static const char *const slugs[] = {
#define SLUG(name, http, slug, title) slug,
		STATUS_TABLE(SLUG)
#undef SLUG
	};
	static const char *const operators[] = {
#define OPERATOR(name, ...) name,
		MATCH_OPERATOR_TABLE(OPERATOR)
#undef OPERATOR
	};
#define NAME(name) #name,
	static const char *const reasons[] = { EVAL_REASON_TABLE(NAME) };
	static const char *const errors[] = { EVAL_ERROR_TABLE(NAME) };
#undef NAME
	const struct json schemas = in(json_root(&doc), "components", "schemas");
	enum_is(in(schemas, "Problem", "properties", "code", "enum"), slugs + 1,
	        sizeof(slugs) / sizeof(slugs[0]) - 1); /* not `ok` */
	enum_is(in(schemas, "Condition", "properties", "op", "enum"), operators,
	        sizeof(operators) / sizeof(operators[0]));
	enum_is(in(schemas, "EvaluationReason", "enum"), reasons, sizeof(reasons) / sizeof(reasons[0]));
	enum_is(in(schemas, "EvaluationError", "enum"), errors + 1,
	        sizeof(errors) / sizeof(errors[0]) - 1); /* not NONE */
}

static void a_buffer_that_is_too_small_fails(void **state)
{
	(void)state;
	struct buf small;
	buf_init(&small, 1000);
	openapi_write(routes, ROUTE_COUNT, access_text, &small);
	assert_true(small.failed);
	buf_deinit(&small);
}

static void this_table_passes_the_check(void **state)
{
	(void)state;
	struct error err = ERROR_INIT;
	if (openapi_check(routes, ROUTE_COUNT, &err) != STATUS_OK) {
		fail_msg("%s", err.message);
	}
}

static void check_names_what_is_missing(void **state)
{
	(void)state;
	static const struct {
		struct http_doc doc;
		const char *pattern;
		size_t max_body;
		const char *part;
	} cases[] = {
		{ { .success = 200 }, "/x", 0, "The route x is not documented" },
		{ { .tag = "Nothing", .success = 200 }, "/x", 0, "the tag Nothing" },
		{ { .tag = "Flags", .query = { "At", "Nothing" } },
		  "/x",
		  0,
		  "components/parameters/Nothing," },
		{ { .tag = "Flags" }, "/x/{nothing}", 0, "components/parameters/path.nothing," },
		{ { .tag = "Flags", .request = "Nothing" }, "/x", 1, "components/schemas/Nothing," },
		{ { .tag = "Flags", .request = "Flag" }, "/x", 0, "takes a body without a schema" },
		{ { .tag = "Flags" }, "/x", 1, "takes a body without a schema" },
		{ { .tag = "Flags", .response = "Nothing" }, "/x", 0, "components/schemas/Nothing," },
		{ { .tag = "Flags", .security = "Nothing" }, "/x", 0, "components/securitySchemes/Nothing," },
		{ { .tag = "Flags", .errors = "404 418" }, "/x", 0, "components/responses/Problem418," },
		{ { .tag = "Flags", .errors = "teapot" }, "/x", 0, "components/responses/Problem0," },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct http_route route = { .pattern = cases[i].pattern,
			                          .name = "x",
			                          .summary = "X.",
			                          .max_body = cases[i].max_body,
			                          .doc = &cases[i].doc };
		struct error err = ERROR_INIT;
		assert_int_equal(openapi_check(&route, 1, &err), STATUS_INTERNAL);
		if (strstr(err.message, cases[i].part) == NULL) {
			fail_msg("%s", err.message);
		}
	}
	const struct http_route bare = { .pattern = "/x", .name = "x", .summary = "X." };
	assert_int_equal(openapi_check(&bare, 1, NULL), STATUS_INTERNAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(head_names_version_and_product),
		cmocka_unit_test(open_routes_need_nothing),
		cmocka_unit_test(reads_take_if_none_match),
		cmocka_unit_test(changes_take_if_match_and_previews),
		cmocka_unit_test(creations_answer_201_and_previews_200),
		cmocka_unit_test(ofrep_has_problems_and_conditions_of_its_own),
		cmocka_unit_test(every_reference_leads_somewhere),
		cmocka_unit_test(lists_are_those_of_the_code),
		cmocka_unit_test(a_buffer_that_is_too_small_fails),
		cmocka_unit_test(this_table_passes_the_check),
		cmocka_unit_test(check_names_what_is_missing),
	};
	return cmocka_run_group_tests(tests, document_make, document_release);
}
