/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/auth.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <sodium.h>

#define TICKET_WINDOW_MS (60 * 60 * 1000)
#define TICKET_MAC_BYTES 16

const char *auth_access_text(unsigned access)
{
	switch ((enum access)access) {
	case ACCESS_OPEN:
		return NULL;
	case ACCESS_TICKET:
		return "a stream ticket in the address";
	case ACCESS_EVALUATE:
		return "a web or client token of the environment, or the owner token";
	case ACCESS_CLIENT:
		return "a client token of the environment, or the owner token";
	case ACCESS_OWNER:
		return "the owner token";
	}
	return NULL;
}

/* The presented token, or NULL. */
static const char *token_presented(struct http_request *request)
{
	const char *authorization = http_header(request, "Authorization");
	if (authorization != NULL) {
		if (strncasecmp(authorization, "Bearer ", 7) != 0) {
			return NULL;
		}
		const char *token = authorization + 7;
		return token + strspn(token, " ");
	}
	return http_header(request, "X-API-Key");
}

static const struct view_token *token_find(const char *text, const struct view *view, const uint8_t *pepper)
{
	enum token_kind kind = TOKEN_CLIENT;
	size_t length = strlen(text);
	if (!token_parse(text, length, &kind)) {
		return NULL;
	}
	uint8_t hash[TOKEN_HASH_BYTES];
	token_hash(text, length, pepper, hash);
	const struct view_token *token = view_token_find(view, hash);
	return token != NULL && token->kind == kind ? token : NULL;
}

/* Value of the pattern's {environment}, or NULL when it has none. */
static const char *environment_param(const struct http_request *request)
{
	const char *pattern = request->route->pattern;
	const char *place = strstr(pattern, "{environment}");
	if (place == NULL) {
		return NULL;
	}
	unsigned index = 0;
	for (const char *c = pattern; c < place; c++) {
		index += *c == '{';
	}
	return request->params[index];
}

static enum status access_check(const struct http_request *request, const struct view_token *token,
                                struct error *err)
{
	if (token->kind == TOKEN_OWNER) {
		return STATUS_OK;
	}
	bool is_allowed = request->route->access == ACCESS_EVALUATE ||
	                  (request->route->access == ACCESS_CLIENT && token->kind == TOKEN_CLIENT);
	if (!is_allowed) {
		return error_fail(err, STATUS_FORBIDDEN, "A %s token may not do that; it needs %s",
		                  token_kind_name(token->kind), auth_access_text(request->route->access));
	}
	const char *environment = environment_param(request);
	if (environment != NULL && strcmp(environment, token->environment) != 0) {
		return error_fail(err, STATUS_FORBIDDEN, "This token belongs to another environment");
	}
	return STATUS_OK;
}

enum status auth_check(struct http_request *request, const struct view *view, const uint8_t *pepper,
                       struct error *err)
{
	if (request->route->access == ACCESS_OPEN || request->route->access == ACCESS_TICKET) {
		return STATUS_OK;
	}
	const char *text = token_presented(request);
	if (text == NULL) {
		return error_fail(
		        err, STATUS_UNAUTHENTICATED,
		        "A token is needed: send `Authorization: Bearer hly_…` or `X-API-Key: hly_…`");
	}
	const struct view_token *token = token_find(text, view, pepper);
	if (token == NULL) {
		return error_fail(err, STATUS_UNAUTHENTICATED, "The token is not valid");
	}
	enum status status = access_check(request, token, err);
	if (status != STATUS_OK) {
		return status;
	}
	struct principal *principal = arena_alloc(request->arena, sizeof(*principal));
	if (principal == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory");
	}
	principal->kind = token->kind;
	memcpy(principal->id, token->id, sizeof(principal->id));
	memcpy(principal->name, token->name, sizeof(principal->name));
	memcpy(principal->environment, token->environment, sizeof(principal->environment));
	request->principal = principal;
	return STATUS_OK;
}

enum status auth_environment(struct http_request *request, const char **ret, struct error *err)
{
	const char *own = auth_principal(request)->environment;
	const char *named = http_query(request, "environment");
	if (own[0] == '\0' && named == NULL) {
		return error_fail(err, STATUS_INVALID,
		                  "The owner token has no environment: use a client token, or add "
		                  "?environment=prod");
	}
	if (own[0] != '\0' && named != NULL && strcmp(own, named) != 0) {
		return error_fail(err, STATUS_FORBIDDEN, "This token belongs to another environment");
	}
	*ret = named != NULL ? named : own;
	return STATUS_OK;
}

/* ---- Stream tickets: "<expiry in s>.<token id>.<environment>.<hex MAC of what is before>" ---- */

static void ticket_mac(const char *text, size_t length, const uint8_t *pepper, char *ret_hex)
{
	uint8_t key[crypto_generichash_KEYBYTES];
	static const char purpose[] = "halyard-ticket-v1";
	(void)crypto_generichash(key, sizeof(key), (const unsigned char *)purpose, sizeof(purpose) - 1,
	                         pepper, TOKEN_PEPPER_BYTES);
	uint8_t mac[TICKET_MAC_BYTES];
	(void)crypto_generichash(mac, sizeof(mac), (const unsigned char *)text, length, key, sizeof(key));
	(void)sodium_bin2hex(ret_hex, 2 * TICKET_MAC_BYTES + 1, mac, sizeof(mac));
	sodium_memzero(key, sizeof(key));
}

void ticket_format(const struct principal *principal, const char *environment, const uint8_t *pepper,
                   int64_t now_ms, char ret[static TICKET_SIZE])
{
	int64_t expiry_s = (now_ms / TICKET_WINDOW_MS + 2) * (TICKET_WINDOW_MS / 1000);
	char text[TICKET_SIZE - 2 * TICKET_MAC_BYTES - 2];
	int length = snprintf(text, sizeof(text), "%" PRId64 ".%s.%s", expiry_s, principal->id, environment);
	char mac[2 * TICKET_MAC_BYTES + 1];
	ticket_mac(text, (size_t)length, pepper, mac);
	(void)snprintf(ret, TICKET_SIZE, "%s.%s", text, mac);
}

static enum status ticket_refuse(struct error *err)
{
	return error_fail(err, STATUS_UNAUTHENTICATED,
	                  "The stream ticket is not valid or has expired; evaluate again for a new one");
}

enum status ticket_check(const char *ticket, const struct view *view, const uint8_t *pepper, int64_t now_ms,
                         char ret_environment[static BUNDLE_ENVIRONMENT_SIZE], struct error *err)
{
	const char *dot = ticket != NULL ? strrchr(ticket, '.') : NULL;
	if (dot == NULL || strlen(ticket) >= TICKET_SIZE || strlen(dot + 1) != 2 * TICKET_MAC_BYTES) {
		return ticket_refuse(err);
	}
	char mac[2 * TICKET_MAC_BYTES + 1];
	ticket_mac(ticket, (size_t)(dot - ticket), pepper, mac);
	if (sodium_memcmp(mac, dot + 1, 2 * TICKET_MAC_BYTES) != 0) {
		return ticket_refuse(err);
	}
	/* From here on the text is ours. */
	int64_t expiry_s = 0;
	char id[TOKEN_ID_SIZE] = "";
	char environment[BUNDLE_ENVIRONMENT_SIZE] = "";
	// NOLINTNEXTLINE(cert-err34-c): its signature was right, so the number is one that we wrote
	if (sscanf(ticket, "%" SCNd64 ".%20[^.].%64[^.].", &expiry_s, id, environment) != 3 ||
	    now_ms / 1000 >= expiry_s || view_token_find_id(view, id) == NULL) {
		return ticket_refuse(err);
	}
	memcpy(ret_environment, environment, BUNDLE_ENVIRONMENT_SIZE);
	return STATUS_OK;
}
