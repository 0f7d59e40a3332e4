/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key files of the data folder: made on the first start, checked on every other.
 *
 *	pepper.key   0600  keys the hashes of API tokens
 *	signing.key  0600  seed of the Ed25519 key that signs snapshots
 *	signing.pub  0644  its public key, to be given to clients
 *
 * Each is one line: the base64 (with padding) of 32 bytes. A file with a secret is refused when others
 * than its owner may read or write it, when it belongs to somebody else, or is a symbolic link or no
 * regular file (STATUS_UNTRUSTED); when it does not hold such a line (STATUS_CORRUPT); and when it is
 * missing but must be there (STATUS_NOT_FOUND). Messages name the path and say what to do, never what
 * the file holds.
 *
 * Thread-safe for different folders; after sodium_init().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define SECRET_PEPPER_BYTES         32
#define SECRET_SIGNING_PUBLIC_BYTES 32
#define SECRET_SIGNING_SECRET_BYTES 64 /* libsodium's form: seed and public key */

/*
 * @may_create: the data folder is new. Without it a missing file is refused: a new pepper would make every
 * stored token worthless, a new signing key would make every client refuse its snapshots.
 */
MUST_CHECK enum status secret_file_pepper(const char *dir, bool may_create,
                                          uint8_t ret[static SECRET_PEPPER_BYTES], struct error *err);

/*
 * Writes signing.pub again when it is missing; one that does not belong to signing.key is refused, and so
 * is a signing.pub without signing.key even when @may_create is set.
 */
MUST_CHECK enum status secret_file_signing(const char *dir, bool may_create,
                                           uint8_t ret_public[static SECRET_SIGNING_PUBLIC_BYTES],
                                           uint8_t ret_secret[static SECRET_SIGNING_SECRET_BYTES],
                                           struct error *err);
