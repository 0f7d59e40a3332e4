/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the rows of a catalogue to the ruleset of an environment: at start, and for a look into the past.
 *
 * A document that does not work is logged and kept as broken; the others work. What stands with the same text in
 * one of @siblings, other environments' rulesets, is shared with it: most flags are alike in most environments.
 */
#pragma once

#include "engine/ruleset.h"
#include "flagd/catalogue.h"

MUST_CHECK enum status assemble_ruleset(const struct catalogue *catalogue, const char *environment,
                                        struct ruleset *const *siblings, size_t sibling_count,
                                        struct ruleset **ret, struct error *err);
