/* SPDX-License-Identifier: Apache-2.0 */
#include "base/status.h"

static const struct status_row {
	int http;
	const char *slug;
	const char *title;
} status_rows[] = {
#define STATUS_ROW(name, http, slug, title) [STATUS_##name] = { (http), (slug), (title) },
	STATUS_TABLE(STATUS_ROW)
#undef STATUS_ROW
};

static const struct status_row *status_row_get(enum status status)
{
	if ((unsigned)status >= STATUS_COUNT) {
		return &status_rows[STATUS_INTERNAL];
	}
	return &status_rows[status];
}

int status_http(enum status status)
{
	return status_row_get(status)->http;
}

const char *status_slug(enum status status)
{
	return status_row_get(status)->slug;
}

const char *status_title(enum status status)
{
	return status_row_get(status)->title;
}
