/* SPDX-License-Identifier: Apache-2.0 */
/* The answer that names the signing keys: accepted or refused, never more candidates than there is room for. */
#include <sodium.h>
#include <stdlib.h>

#include "client/intake.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct intake intake;
	if (sodium_init() < 0) {
		abort();
	}
	intake_init(&intake, "prod", NULL);
	enum status status = intake_keys_read(&intake, (const char *)data, size, NULL);
	if (intake.has_key || (status == STATUS_OK) != (intake.candidate_count > 0) ||
	    intake.candidate_count > INTAKE_MAX_CANDIDATES) {
		abort();
	}
	return 0;
}
