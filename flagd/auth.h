/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is asking, and may they call this route at all.
 *
 * A token comes as `Authorization: Bearer hly_…` or `X-API-Key: hly_…`. Unknown, malformed and revoked
 * tokens get the same answer. A web token may evaluate over OFREP, which gives values and no rules; a
 * client token may also call what ACCESS_CLIENT marks, which shows rules and segments; both in their own
 * environment only. The owner token may call everything.
 */
#pragma once

#include "flagd/http.h"
#include "flagd/view.h"

/* Values of http_route.access. */
enum access {
	ACCESS_OPEN,     /* nobody is asked */
	ACCESS_TICKET,   /* the handler checks a stream ticket */
	ACCESS_EVALUATE, /* a web token of the environment, or more */
	ACCESS_CLIENT,   /* a client token of the environment, or more */
	ACCESS_OWNER,    /* the owner token */
};

/* In words, for OpenAPI; NULL for ACCESS_OPEN. */
const char *auth_access_text(unsigned access);

/* Lives in the request's arena. */
struct principal {
	enum token_kind kind;
	char id[TOKEN_ID_SIZE];
	char name[65];
	char environment[BUNDLE_ENVIRONMENT_SIZE]; /* "" for all */
};

/*
 * Fills request->principal or fails with STATUS_UNAUTHENTICATED or STATUS_FORBIDDEN. Open routes pass
 * without one. @pepper is TOKEN_PEPPER_BYTES long.
 */
MUST_CHECK enum status auth_check(struct http_request *request, const struct view *view,
                                  const uint8_t *pepper, struct error *err);

/*
 * The environment of a route that has none in its path: the token's, or what an owner names with ?environment=.
 * STATUS_INVALID when nobody says which, STATUS_FORBIDDEN when token and parameter differ.
 */
MUST_CHECK enum status auth_environment(struct http_request *request, const char **ret, struct error *err);

static inline const struct principal *auth_principal(const struct http_request *request)
{
	return request->principal;
}

/* ---- Stream tickets ---- */

/*
 * A browser's EventSource cannot send a header, so the address of an OFREP stream holds a ticket: it opens the
 * stream of one environment for the token that asked, until it expires (an hour or two: it stays the same
 * for an hour, so that a provider sees one address), and dies with the token.
 */
#define TICKET_SIZE 160

void ticket_format(const struct principal *principal, const char *environment, const uint8_t *pepper,
                   int64_t now_ms, char ret[static TICKET_SIZE]);

/* STATUS_UNAUTHENTICATED unless it is whole, in time, and its token is still valid. */
MUST_CHECK enum status ticket_check(const char *ticket, const struct view *view, const uint8_t *pepper,
                                    int64_t now_ms, char ret_environment[static BUNDLE_ENVIRONMENT_SIZE],
                                    struct error *err);
