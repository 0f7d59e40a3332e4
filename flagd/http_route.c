/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/http_route.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A place in the tree of patterns; children of one parent are a list. */
struct node {
	const char *text; /* of the literal segment, in the pattern; NULL: a parameter */
	size_t length;
	struct node *literals; /* children */
	struct node *parameter;
	struct node *sibling;
	const struct http_route *routes[HTTP_METHOD_COUNT];
	char allow[HTTP_ALLOW_SIZE]; /* "" when no pattern ends here */
	unsigned flags;
};

struct http_router {
	struct arena arena;
	struct node root;
};

#define ROUTER_MAX_BYTES (1024 * 1024)

static struct node *node_child_find(const struct node *node, const char *text, size_t length)
{
	struct node *child = node->literals;
	while (child != NULL && (child->length != length || memcmp(child->text, text, length) != 0)) {
		child = child->sibling;
	}
	return child;
}

/* Child for the next segment of a pattern, made when it is missing; NULL when out of memory. */
static struct node *node_child_add(struct http_router *router, struct node *node, const char *text,
                                   size_t length)
{
	bool is_parameter = text[0] == '{';
	struct node *child = is_parameter ? node->parameter : node_child_find(node, text, length);
	if (child != NULL) {
		return child;
	}
	child = arena_alloc(&router->arena, sizeof(*child));
	if (child == NULL) {
		return NULL;
	}
	if (is_parameter) {
		node->parameter = child;
		return child;
	}
	child->text = text;
	child->length = length;
	child->sibling = node->literals;
	node->literals = child;
	return child;
}

static bool segment_is_valid(const char *text, size_t length)
{
	if (length == 0) {
		return false;
	}
	bool opens = text[0] == '{';
	bool closes = text[length - 1] == '}';
	return opens == closes && (!opens || length > 2) && memchr(text + 1, '{', length - 1) == NULL &&
	       memchr(text, '}', length - 1) == NULL;
}

static enum status route_add(struct http_router *router, const struct http_route *route, struct error *err)
{
	const char *p = route->pattern;
	struct node *node = &router->root;
	unsigned segments = 0;
	unsigned params = 0;
	bool is_valid = p[0] == '/';
	while (is_valid && p[0] == '/' && !(segments == 0 && p[1] == '\0')) {
		p++;
		size_t length = strcspn(p, "/");
		params += p[0] == '{';
		segments++;
		is_valid = segment_is_valid(p, length) && segments <= HTTP_PATH_MAX_SEGMENTS &&
		           params <= HTTP_MAX_PARAMS;
		if (is_valid) {
			node = node_child_add(router, node, p, length);
		}
		if (node == NULL) {
			return error_fail(err, STATUS_NO_MEMORY, "Out of memory while indexing the routes");
		}
		p += length;
	}
	if (!is_valid || (unsigned)route->method >= HTTP_METHOD_COUNT || route->handle == NULL) {
		return error_fail(err, STATUS_INVALID, "The route %s %s is not valid", route->name,
		                  route->pattern);
	}
	if (node->routes[route->method] != NULL) {
		return error_fail(err, STATUS_INVALID, "The route %s %s stands twice",
		                  http_method_name(route->method), route->pattern);
	}
	node->routes[route->method] = route;
	node->flags |= route->flags;
	return STATUS_OK;
}

static void allow_write(struct node *node)
{
	size_t length = 0;
	for (unsigned method = 0; method < HTTP_METHOD_COUNT; method++) {
		if (node->routes[method] == NULL) {
			continue;
		}
		length += (size_t)snprintf(node->allow + length, sizeof(node->allow) - length, "%s%s%s",
		                           length > 0 ? ", " : "", http_method_name((enum http_method)method),
		                           method == HTTP_GET ? ", HEAD" : "");
	}
	if (length > 0 && (node->flags & HTTP_ROUTE_CORS) != 0) {
		(void)snprintf(node->allow + length, sizeof(node->allow) - length, ", OPTIONS");
	}
}

/* The tree is at most HTTP_PATH_MAX_SEGMENTS deep. */
static void allow_write_all(struct node *node)
{
	allow_write(node);
	for (struct node *child = node->literals; child != NULL; child = child->sibling) {
		allow_write_all(child);
	}
	if (node->parameter != NULL) {
		allow_write_all(node->parameter);
	}
}

enum status http_router_new(const struct http_route *routes, size_t count, struct http_router **ret,
                            struct error *err)
{
	struct http_router *router = calloc(1, sizeof(*router));
	if (router == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory while indexing the routes");
	}
	arena_init(&router->arena, ROUTER_MAX_BYTES);
	for (size_t i = 0; i < count; i++) {
		enum status status = route_add(router, &routes[i], err);
		if (status != STATUS_OK) {
			http_router_free(router);
			return status;
		}
	}
	allow_write_all(&router->root);
	*ret = router;
	return STATUS_OK;
}

void http_router_free(struct http_router *router)
{
	if (router != NULL) {
		arena_deinit(&router->arena);
		free(router);
	}
}

/*
 * The place of the segments from @index on, parameters noted in @match. Literals first; a parameter is
 * tried when nothing below the literal fits. At most 2^HTTP_MAX_PARAMS ways, as patterns have no more.
 */
static const struct node *node_match(const struct node *node, const struct http_path *path, size_t index,
                                     unsigned params, struct http_match *match)
{
	if (index == path->count) {
		return node->allow[0] != '\0' ? node : NULL;
	}
	const struct http_segment *segment = &path->segments[index];
	const struct node *child = node_child_find(node, segment->text, segment->length);
	if (child != NULL) {
		child = node_match(child, path, index + 1, params, match);
	}
	if (child == NULL && node->parameter != NULL && segment->length > 0) {
		match->params[params] = segment->text;
		child = node_match(node->parameter, path, index + 1, params + 1, match);
	}
	return child;
}

void http_route_match(const struct http_router *router, enum http_method method, const struct http_path *path,
                      struct http_match *ret)
{
	*ret = (struct http_match){ 0 };
	const struct node *node = node_match(&router->root, path, 0, 0, ret);
	if (node == NULL) {
		return;
	}
	ret->allow = node->allow;
	ret->flags = node->flags;
	ret->route = (unsigned)method < HTTP_METHOD_COUNT ? node->routes[method] : NULL;
}
