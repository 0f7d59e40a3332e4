/* SPDX-License-Identifier: Apache-2.0 */
/* The least: one flag, asked once. HALYARD_TOKEN holds a client token of the environment. */
#include <halyard/halyard.h>
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
	struct halyard_client *flags;
	if (halyard_open(&flags, &(struct halyard_options){ .size = sizeof(struct halyard_options),
	                                                    .url = "http://127.0.0.1:8016",
	                                                    .token = getenv("HALYARD_TOKEN"),
	                                                    .environment = "prod" }) != HALYARD_OK) {
		(void)fprintf(stderr, "%s\n", halyard_open_error());
		return 1;
	}
	(void)halyard_wait_ready(flags, 2000); /* without this the first answers may be the defaults */
	struct halyard_context user = { .targeting_key = "user-7" };
	(void)puts(halyard_bool(flags, "ENABLE_ALERTS", &user, false, NULL) ? "alerts are on"
	                                                                    : "alerts are off");
	halyard_close(flags);
	return 0;
}
