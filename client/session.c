/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "client/client.h"
#include "engine/bucket.h"

/* Percentages have eight decimals of the whole: finer than anybody asks for. */
#define SESSION_TOTAL_WEIGHT 100000000u
#define SESSION_SALT_SUFFIX  ":session"

/*
 * Is the session in the first @percentage of all? The same method as a split's, over all hashes, so
 * that who is in stays in when the percentage grows. The salt is another than the flag's own, so that the
 * two percentages are independent.
 */
static bool session_is_in(const char *flag, size_t flag_length, const char *session_id, double percentage)
{
	char salt[FLAG_KEY_MAX_BYTES + sizeof(SESSION_SALT_SUFFIX)];
	memcpy(salt, flag, flag_length);
	memcpy(salt + flag_length, SESSION_SALT_SUFFIX, sizeof(SESSION_SALT_SUFFIX));
	struct bucket_prefix prefix;
	bucket_prefix_init(&prefix, salt, flag_length + strlen(SESSION_SALT_SUFFIX));
	uint32_t hash = bucket_hash(&prefix, session_id, strlen(session_id));
	return bucket_of(hash, SESSION_TOTAL_WEIGHT) < percentage * (SESSION_TOTAL_WEIGHT / 100.0);
}

bool halyard_is_enabled_for_session(struct halyard_client *client, const char *flag, const char *session_id,
                                    double percentage)
{
	const struct halyard_context context = { .targeting_key = session_id };
	if (isnan(percentage) || !halyard_bool(client, flag, &context, false, NULL)) {
		return false;
	}
	if (percentage < 0) {
		return true;
	}
	size_t flag_length = strlen(flag); /* it is the key of a flag: at most FLAG_KEY_MAX_BYTES */
	return session_id != NULL && session_is_in(flag, flag_length, session_id, percentage);
}
