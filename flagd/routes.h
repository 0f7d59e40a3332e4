/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The route table and the handlers behind it. Handlers live in flagd/api_*.c and flagd/ofrep.c.
 */
#pragma once

#include "flagd/app.h"

size_t routes_count(void);
const struct http_route *routes_all(void);

/* Opens the HTTP server over the table. */
MUST_CHECK enum status routes_serve(struct app *app, struct http_server **ret, struct error *err);

#define HANDLER(name) void name(struct http_request *request, struct http_reply *reply)

/* api_system.c */
HANDLER(health_get);
HANDLER(ready_get);
HANDLER(metrics_get);
HANDLER(openapi_get);
HANDLER(signing_keys_get);
/* api_environment.c */
HANDLER(environment_list);
HANDLER(environment_create);
HANDLER(environment_get);
HANDLER(environment_update);
/* api_flag.c */
HANDLER(flag_list);
HANDLER(flag_create);
HANDLER(flag_get);
HANDLER(flag_update);
HANDLER(flag_archive);
/* api_setting.c */
HANDLER(setting_get);
HANDLER(setting_update);
HANDLER(setting_revert);
/* api_segment.c */
HANDLER(segment_list);
HANDLER(segment_create);
HANDLER(segment_get);
HANDLER(segment_replace);
HANDLER(segment_delete);
/* api_history.c */
HANDLER(flag_history);
HANDLER(segment_history);
/* api_evaluate.c */
HANDLER(evaluate);
/* api_token.c */
HANDLER(token_list);
HANDLER(token_create);
HANDLER(token_get);
HANDLER(token_revoke);
/* api_snapshot.c */
HANDLER(snapshot_get);
HANDLER(events_get);
HANDLER(telemetry_post);
HANDLER(telemetry_get);
/* ofrep.c */
HANDLER(ofrep_evaluate);
HANDLER(ofrep_evaluate_all);
HANDLER(ofrep_stream);

#undef HANDLER
