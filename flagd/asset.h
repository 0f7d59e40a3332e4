/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are part of the program; made into C by tools/embed_file.py. */
#pragma once

#include <stddef.h>

struct asset {
	const char *text; /* a NUL that is not counted stands behind it */
	size_t length;
};

extern const struct asset asset_openapi_schemas; /* flagd/openapi_schemas.json, without white space */
