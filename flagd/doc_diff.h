/* SPDX-License-Identifier: Apache-2.0 */
/* What changed between two documents, for previews and the journal. Pure. */
#pragma once

#include "base/json.h"
#include "base/json_write.h"

/*
 * Appends an array [{"path":"/rules/0/serve","from":…,"to":…}, …]: objects member by member, arrays of one
 * length element by element, everything else whole; `from` or `to` is left out where there is none.
 */
void doc_diff(struct json before, struct json after, struct json_writer *w);
