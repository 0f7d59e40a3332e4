/* SPDX-License-Identifier: Apache-2.0 */
/* Checks the options of halyard_open() and copies them. */
#pragma once

#include "client/client.h"

/*
 * STATUS_INVALID with a sentence that names the option. *ret_key is set when there is a public_key, which
 * *ret_has_key says.
 */
MUST_CHECK enum status options_read(const struct halyard_options *options, struct client_settings *ret,
                                    uint8_t ret_key[static BUNDLE_PUBLIC_KEY_BYTES], bool *ret_has_key,
                                    struct error *err);

/* Options of this version, whatever the caller's size; missing ones are zero. */
MUST_CHECK enum status options_copy(const struct halyard_options *options, struct halyard_options *ret,
                                    struct error *err);
