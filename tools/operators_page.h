/* SPDX-License-Identifier: Apache-2.0 */
/* docs/operators.md, made from the table and the limits of the engine. */
#pragma once

#include "base/buf.h"

/* Fails (out->failed) when an example on the page does not compile. */
void operators_markdown(struct buf *out);
