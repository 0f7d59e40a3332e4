/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request and its answer, from the request line to the last byte. Private to flagd/http_*.
 *
 * Exchanges are pooled per loop with their arena's first block and the buffers of both bodies, so that a
 * small request allocates nothing but libmicrohttpd's response. The worker has the exchange between
 * options.defer() and its arrival in loop->finished; at all other times the loop's thread has it.
 */
#pragma once

#include "flagd/http_hygiene.h"
#include "flagd/http_loop.h"
#include "flagd/http_path.h"

struct kept;

enum http_stage {
	HTTP_STAGE_LINE,    /* the request line is here, the headers are arriving */
	HTTP_STAGE_BODY,    /* the body is arriving */
	HTTP_STAGE_DISCARD, /* the reply is made; the body is read and thrown away */
	HTTP_STAGE_WORKER,  /* the worker has it */
	HTTP_STAGE_DONE,    /* the reply is made by the worker */
	HTTP_STAGE_QUEUED,  /* the reply is libmicrohttpd's */
};

#define HTTP_INLINE_TEXT 1024

struct http_exchange {
	struct http_request request; /* first: the one is the other */
	struct http_reply reply;
	struct http_connection *connection;
	struct kept *kept;          /* response from the loop's store, being sent; http_response.c */
	struct http_exchange *next; /* in loop->exchanges or loop->free_exchanges */
	struct http_exchange **prev_link;
	struct http_exchange *next_finished; /* in loop->finished */
	enum http_stage stage;
	bool is_head;
	bool is_query_split;
	unsigned path_flags; /* of the path's routes */
	int64_t started_ns;
	char *target; /* as received, NUL-terminated; in @text or the arena */
	size_t target_length;
	struct http_facts facts;
	size_t field_count;
	struct http_path path;
	struct buf body;    /* keeps its memory, like the reply's */
	uint64_t discarded; /* bytes of a body that nobody wants */
	size_t pair_count;
	struct arena arena;
	struct http_field fields[HTTP_MAX_FIELDS];
	struct http_pair pairs[HTTP_QUERY_MAX_PAIRS];
	char text[HTTP_INLINE_TEXT]; /* target and decoded path */
};

static inline struct http_exchange *http_exchange_of(struct http_request *request)
{
	return (struct http_exchange *)request;
}

/* libmicrohttpd's callbacks: request line, access handler, end. */
void *http_exchange_line(void *loop, const char *uri, struct MHD_Connection *mhd);
enum MHD_Result http_exchange_handle(void *loop, struct MHD_Connection *mhd, const char *url,
                                     const char *method, const char *version, const char *upload,
                                     size_t *upload_size, void **context);
void http_exchange_completed(void *loop, struct MHD_Connection *mhd, void **context,
                             enum MHD_RequestTerminationCode code);

/* Ends it: back to the pool. */
void http_exchange_release(struct http_exchange *exchange);

/* Takes what the worker has finished and resumes the connections. */
void http_exchange_finish_all(struct http_loop *loop);

/* Monotonic, for measuring. */
int64_t http_now_ns(void);

/* Frees the pool. */
void http_exchange_pool_deinit(struct http_loop *loop);

/* ---- http_reply.c ---- */

/* Makes the reply fit for use; its buffer keeps its memory. */
void http_reply_reset(struct http_reply *reply);

/* Drops what the reply holds. */
void http_reply_clear(struct http_reply *reply);

/* Gives the reply to libmicrohttpd. False: the connection has to be closed. */
bool http_reply_queue(struct http_exchange *exchange);

/* Answer to a preflight request of a browser for this path. */
void http_reply_preflight(struct http_reply *reply, const char *allow);
