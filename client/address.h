/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's address, as a program gives it. Pure. */
#pragma once

#include "base/error.h"

#define ADDRESS_SIZE           2048
#define ADDRESS_PATH_MAX_BYTES 256 /* of what is put behind it */

/*
 * Checks a base URL, http or https, without user, query and fragment; @out gets it without slashes at
 * the end. STATUS_INVALID says what is wrong.
 */
MUST_CHECK enum status address_check(const char *url, char out[static ADDRESS_SIZE], struct error *err);
