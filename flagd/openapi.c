/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/openapi.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/json_write.h"
#include "flagd/asset.h"

#define MAX_CODES       24
#define MAX_NAME_BYTES  64
#define ANY_DESCRIPTION "What was asked for."

static const struct json_limits schemas_limits = {
	.max_bytes = 1024 * 1024,
	.max_nodes = 65536,
	.max_depth = 31,
};

struct codes {
	int list[MAX_CODES]; /* ascending */
	size_t count;
};

static const struct http_doc *doc_of(const struct http_route *route)
{
	return route->doc;
}

static void codes_add(struct codes *codes, int code)
{
	size_t at = codes->count;
	while (at > 0 && codes->list[at - 1] > code) {
		at--;
	}
	if ((at > 0 && codes->list[at - 1] == code) || codes->count == MAX_CODES) {
		return;
	}
	memmove(&codes->list[at + 1], &codes->list[at], (codes->count - at) * sizeof(codes->list[0]));
	codes->list[at] = code;
	codes->count++;
}

static bool takes_if_none_match(const struct http_route *route)
{
	return doc_of(route)->has_etag &&
	       (route->method == HTTP_GET || (route->flags & HTTP_ROUTE_OFREP) != 0);
}

/* What was just made has no earlier version. */
static bool takes_if_match(const struct http_route *route)
{
	return doc_of(route)->has_etag && !takes_if_none_match(route) && doc_of(route)->success != 201;
}

static bool has_parameter(const struct http_route *route, const char *name)
{
	const char *const *query = doc_of(route)->query;
	for (size_t i = 0; i < OPENAPI_MAX_QUERY && query[i] != NULL; i++) {
		if (strcmp(query[i], name) == 0) {
			return true;
		}
	}
	return false;
}

/* Every status of a problem that the route may answer with. */
static struct codes error_codes(const struct http_route *route, bool is_open)
{
	static const int of_access[] = { 401, 403, 429 }, of_body[] = { 408, 413, 415 };
	struct codes codes = { .list = { 400, 500, 503 }, .count = 3 };
	for (size_t i = 0; i < 3 && !is_open; i++) {
		codes_add(&codes, of_access[i]);
	}
	for (size_t i = 0; i < 3 && route->max_body > 0; i++) {
		codes_add(&codes, of_body[i]);
	}
	if (takes_if_match(route)) {
		codes_add(&codes, 412);
	}
	if (has_parameter(route, "DryRun")) {
		codes_add(&codes, 507);
	}
	const char *text = doc_of(route)->errors != NULL ? doc_of(route)->errors : "";
	while (*text != '\0') {
		char *end = NULL;
		codes_add(&codes, (int)strtol(text, &end, 10));
		text = *end == ' ' ? end + 1 : end + strcspn(end, " ");
	}
	return codes;
}

/* Next {name} of a pattern; @at is moved behind it. */
static bool path_parameter_next(const char **at, char name[static MAX_NAME_BYTES])
{
	const char *const open = strchr(*at, '{');
	if (open == NULL) {
		return false;
	}
	const size_t length = strcspn(open + 1, "}");
	(void)snprintf(name, MAX_NAME_BYTES, "%.*s", (int)length, open + 1);
	*at = open + 1 + length;
	return true;
}

/* Component that describes the problem @code of a route. */
static void problem_name(struct json components, const struct http_route *route, int code,
                         char name[static MAX_NAME_BYTES])
{
	(void)snprintf(name, MAX_NAME_BYTES, "%s.%d", route->name, code);
	if (json_get(json_get(components, "responses"), name).doc == NULL) {
		(void)snprintf(name, MAX_NAME_BYTES, "%s%d",
		               (route->flags & HTTP_ROUTE_OFREP) != 0 ? "Ofrep" : "Problem", code);
	}
}

/* ---- Writing ---- */

static void put_ref(struct json_writer *w, const char *group, const char *name)
{
	char ref[4 * MAX_NAME_BYTES];
	(void)snprintf(ref, sizeof(ref), "#/components/%s/%s", group, name);
	json_begin_object(w);
	json_put_key_string(w, "$ref", ref);
	json_end_object(w);
}

static void parameters_write(const struct http_route *route, struct json_writer *w)
{
	const struct http_doc *const doc = doc_of(route);
	char name[MAX_NAME_BYTES], component[2 * MAX_NAME_BYTES];
	json_put_key(w, "parameters");
	json_begin_array(w);
	for (const char *at = route->pattern; path_parameter_next(&at, name);) {
		(void)snprintf(component, sizeof(component), "path.%s", name);
		put_ref(w, "parameters", component);
	}
	for (size_t i = 0; i < OPENAPI_MAX_QUERY && doc->query[i] != NULL; i++) {
		put_ref(w, "parameters", doc->query[i]);
	}
	if (takes_if_none_match(route)) {
		put_ref(w, "parameters", "IfNoneMatch");
	}
	if (takes_if_match(route)) {
		put_ref(w, "parameters", "IfMatch");
	}
	if (has_parameter(route, "DryRun")) {
		put_ref(w, "parameters", "IdempotencyKey");
	}
	if ((route->flags & HTTP_ROUTE_STREAM) != 0) {
		put_ref(w, "parameters", "LastEventId");
	}
	json_end_array(w);
}

static void request_write(const struct http_route *route, struct json_writer *w)
{
	char description[64];
	(void)snprintf(description, sizeof(description), "At most %zu bytes.", route->max_body);
	json_put_key(w, "requestBody");
	json_begin_object(w);
	json_put_key_string(w, "description", description);
	json_put_key_boolean(w, "required", (route->flags & HTTP_ROUTE_OPTIONAL_BODY) == 0);
	json_put_key(w, "content");
	json_begin_object(w);
	json_put_key(w, "application/json");
	json_begin_object(w);
	json_put_key(w, "schema");
	put_ref(w, "schemas", doc_of(route)->request);
	json_end_object(w);
	json_end_object(w);
	json_end_object(w);
}

static void headers_write(bool has_etag, struct json_writer *w)
{
	json_put_key(w, "headers");
	json_begin_object(w);
	json_put_key(w, "X-Request-Id");
	put_ref(w, "headers", "RequestId");
	if (has_etag) {
		json_put_key(w, "ETag");
		put_ref(w, "headers", "ETag");
	}
	json_end_object(w);
}

/* Schema of a success; @or_preview: the same status also tells what a change would do. */
static void success_schema_write(const struct http_doc *doc, bool or_preview, struct json_writer *w)
{
	json_put_key(w, "schema");
	if (or_preview) {
		json_begin_object(w);
		json_put_key(w, "anyOf");
		json_begin_array(w);
		put_ref(w, "schemas", doc->response);
		put_ref(w, "schemas", "DryRun");
		json_end_array(w);
		json_end_object(w);
	} else {
		put_ref(w, "schemas", doc->response);
	}
}

static void success_write(const struct http_route *route, int code, const char *description, bool or_preview,
                          struct json_writer *w)
{
	const struct http_doc *const doc = doc_of(route);
	char key[16];
	(void)snprintf(key, sizeof(key), "%d", code);
	json_put_key(w, key);
	json_begin_object(w);
	json_put_key_string(w, "description", description);
	headers_write(doc->has_etag && code != 204, w);
	if (doc->response != NULL) {
		json_put_key(w, "content");
		json_begin_object(w);
		json_put_key(w, doc->content_type != NULL ? doc->content_type : "application/json");
		json_begin_object(w);
		success_schema_write(doc, or_preview, w);
		json_end_object(w);
		json_end_object(w);
	}
	json_end_object(w);
}

/* 200 of a change whose own success is another status. */
static void preview_write(struct json_writer *w)
{
	json_put_key(w, "200");
	json_begin_object(w);
	json_put_key_string(w, "description", "With `dry_run`: what the change would do.");
	headers_write(false, w);
	json_put_key(w, "content");
	json_begin_object(w);
	json_put_key(w, "application/json");
	json_begin_object(w);
	json_put_key(w, "schema");
	put_ref(w, "schemas", "DryRun");
	json_end_object(w);
	json_end_object(w);
	json_end_object(w);
}

static void responses_write(struct json components, const struct http_route *route, bool is_open,
                            struct json_writer *w)
{
	const struct http_doc *const doc = doc_of(route);
	const bool has_preview = has_parameter(route, "DryRun");
	json_put_key(w, "responses");
	json_begin_object(w);
	success_write(route, doc->success, doc->success == 201 ? "It was made." : ANY_DESCRIPTION,
	              has_preview && doc->success == 200, w);
	if (route->method == HTTP_PUT && doc->success == 200) {
		success_write(route, 201, "It was made.", false, w);
	}
	if (has_preview && doc->success != 200) {
		preview_write(w);
	}
	if (takes_if_none_match(route)) {
		json_put_key(w, "304");
		json_begin_object(w);
		json_put_key_string(w, "description", "It is still what you have; no body.");
		headers_write(true, w);
		json_end_object(w);
	}
	const struct codes codes = error_codes(route, is_open);
	for (size_t i = 0; i < codes.count; i++) {
		char key[16], name[MAX_NAME_BYTES];
		(void)snprintf(key, sizeof(key), "%d", codes.list[i]);
		problem_name(components, route, codes.list[i], name);
		json_put_key(w, key);
		put_ref(w, "responses", name);
	}
	json_end_object(w);
}

/* `security` lists alternatives, each an object of schemes. */
static void security_write(const struct http_route *route, bool is_open, struct json_writer *w)
{
	const char *const given = doc_of(route)->security;
	const char *const schemes[] = { given != NULL ? given : "Bearer", given != NULL ? NULL : "ApiKey" };
	json_put_key(w, "security");
	json_begin_array(w);
	for (size_t i = 0; i < 2 && !is_open && schemes[i] != NULL; i++) {
		json_begin_object(w);
		json_put_key(w, schemes[i]);
		json_begin_array(w);
		json_end_array(w);
		json_end_object(w);
	}
	json_end_array(w);
}

static void description_write(const struct http_doc *doc, const char *access, struct json_writer *w)
{
	struct buf text;
	buf_init(&text, 65536);
	buf_append_string(&text, doc->description != NULL ? doc->description : "");
	if (access != NULL) {
		buf_append_format(&text, "%sNeeds %s.", text.length > 0 ? "\n\n" : "", access);
	}
	if (text.length > 0) {
		json_put_key_string(w, "description", buf_string(&text));
	}
	buf_deinit(&text);
}

static void operation_write(struct json components, const struct http_route *route, const char *access,
                            struct json_writer *w)
{
	const struct http_doc *const doc = doc_of(route);
	char method[16];
	size_t length = 0;
	for (const char *c = http_method_name(route->method); *c != '\0' && length + 1 < sizeof(method);
	     c++) {
		method[length++] = (char)tolower((unsigned char)*c);
	}
	method[length] = '\0';
	json_put_key(w, method);
	json_begin_object(w);
	json_put_key_string(w, "operationId", route->name);
	json_put_key_string(w, "summary", route->summary);
	description_write(doc, access, w);
	json_put_key(w, "tags");
	json_begin_array(w);
	json_put_string(w, doc->tag);
	json_end_array(w);
	security_write(route, access == NULL, w);
	parameters_write(route, w);
	if (doc->request != NULL) {
		request_write(route, w);
	}
	responses_write(components, route, access == NULL, w);
	json_end_object(w);
}

static bool is_first_of_pattern(const struct http_route *routes, size_t index)
{
	size_t i = 0;
	while (strcmp(routes[i].pattern, routes[index].pattern) != 0) {
		i++;
	}
	return i == index;
}

static void paths_write(struct json components, const struct http_route *routes, size_t count,
                        const char *(*access_text)(unsigned access), struct json_writer *w)
{
	json_put_key(w, "paths");
	json_begin_object(w);
	for (size_t i = 0; i < count; i++) {
		if (!is_first_of_pattern(routes, i)) {
			continue;
		}
		json_put_key(w, routes[i].pattern);
		json_begin_object(w);
		for (size_t j = i; j < count; j++) {
			if (strcmp(routes[j].pattern, routes[i].pattern) == 0) {
				operation_write(components, &routes[j], access_text(routes[j].access), w);
			}
		}
		json_end_object(w);
	}
	json_end_object(w);
}

/* `info` of the file with our version. */
static void info_write(struct json info, struct json_writer *w)
{
	struct json name, value = JSON_NONE;
	json_put_key(w, "info");
	json_begin_object(w);
	while (json_next(info, &name, &value)) {
		char key[MAX_NAME_BYTES];
		(void)json_string_copy(name, key, sizeof(key));
		json_put_key_value(w, key, value);
	}
	json_put_key_string(w, "version", HALYARD_VERSION);
	json_end_object(w);
}

void openapi_write(const struct http_route *routes, size_t count, const char *(*access_text)(unsigned access),
                   struct buf *out)
{
	struct json_doc schemas = { 0 };
	struct json_writer w;
	const enum status status = json_parse(asset_openapi_schemas.text, asset_openapi_schemas.length,
	                                      &schemas_limits, &schemas, NULL);
	if (status != STATUS_OK) { /* the file was checked when it was embedded */
		out->failed = true;
		out->no_memory = status == STATUS_NO_MEMORY;
		return;
	}
	json_writer_init(&w, out);
	json_begin_object(&w);
	json_put_key_string(&w, "openapi", "3.1.0");
	info_write(json_get(json_root(&schemas), "info"), &w);
	json_put_key_value(&w, "tags", json_get(json_root(&schemas), "tags"));
	const struct json components = json_get(json_root(&schemas), "components");
	paths_write(components, routes, count, access_text, &w);
	json_put_key_value(&w, "components", components);
	json_end_object(&w);
	json_doc_deinit(&schemas);
}

/* ---- Checking ---- */

struct checking {
	struct json components;
	const struct http_route *route;
	struct error *err;
};

static enum status name_check(const struct checking *checking, const char *group, const char *name)
{
	if (name == NULL || json_get(json_get(checking->components, group), name).doc != NULL) {
		return STATUS_OK;
	}
	return error_fail(
	        checking->err, STATUS_INTERNAL,
	        "The route %s refers to components/%s/%s, which flagd/openapi_schemas.json does not have",
	        checking->route->name, group, name);
}

static enum status parameters_check(const struct checking *checking)
{
	const struct http_doc *const doc = doc_of(checking->route);
	char name[MAX_NAME_BYTES], component[2 * MAX_NAME_BYTES];
	enum status status = STATUS_OK;
	for (const char *at = checking->route->pattern;
	     status == STATUS_OK && path_parameter_next(&at, name);) {
		(void)snprintf(component, sizeof(component), "path.%s", name);
		status = name_check(checking, "parameters", component);
	}
	for (size_t i = 0; status == STATUS_OK && i < OPENAPI_MAX_QUERY && doc->query[i] != NULL; i++) {
		status = name_check(checking, "parameters", doc->query[i]);
	}
	return status;
}

static enum status responses_check(const struct checking *checking)
{
	const struct codes codes = error_codes(checking->route, false);
	enum status status = STATUS_OK;
	for (size_t i = 0; status == STATUS_OK && i < codes.count; i++) {
		char name[MAX_NAME_BYTES];
		problem_name(checking->components, checking->route, codes.list[i], name);
		status = name_check(checking, "responses", name);
	}
	return status;
}

static bool tag_is_known(struct json tags, const char *tag)
{
	struct json entry = JSON_NONE;
	while (json_next(tags, NULL, &entry)) {
		if (json_equals(json_get(entry, "name"), tag)) {
			return true;
		}
	}
	return false;
}

static enum status route_check(const struct checking *checking, struct json tags)
{
	const struct http_doc *const doc = doc_of(checking->route);
	if (doc == NULL || doc->tag == NULL || checking->route->summary == NULL) {
		return error_fail(checking->err, STATUS_INTERNAL, "The route %s is not documented",
		                  checking->route->name);
	}
	if (!tag_is_known(tags, doc->tag)) {
		return error_fail(
		        checking->err, STATUS_INTERNAL,
		        "The route %s has the tag %s, which flagd/openapi_schemas.json does not have",
		        checking->route->name, doc->tag);
	}
	if ((doc->request != NULL) != (checking->route->max_body > 0)) {
		return error_fail(checking->err, STATUS_INTERNAL,
		                  "The route %s takes a body without a schema for it, or the other way round",
		                  checking->route->name);
	}
	enum status status = parameters_check(checking);
	if (status == STATUS_OK) {
		status = name_check(checking, "schemas", doc->request);
	}
	if (status == STATUS_OK) {
		status = name_check(checking, "schemas", doc->response);
	}
	if (status == STATUS_OK) {
		status = name_check(checking, "securitySchemes", doc->security);
	}
	return status == STATUS_OK ? responses_check(checking) : status;
}

enum status openapi_check(const struct http_route *routes, size_t count, struct error *err)
{
	struct json_doc schemas = { 0 };
	enum status status = json_parse(asset_openapi_schemas.text, asset_openapi_schemas.length,
	                                &schemas_limits, &schemas, err);
	struct json root = status == STATUS_OK ? json_root(&schemas) : JSON_NONE;
	for (size_t i = 0; status == STATUS_OK && i < count; i++) {
		const struct checking checking = { json_get(root, "components"), &routes[i], err };
		status = route_check(&checking, json_get(root, "tags"));
	}
	json_doc_deinit(&schemas);
	return status;
}
