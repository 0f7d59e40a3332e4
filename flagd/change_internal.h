/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of the change door: rows (change.c), rulesets (change_ruleset.c), journal (change_journal.c). Worker only. */
#pragma once

#include "flagd/change.h"
#include "flagd/doc.h"

/* A row that was put, and what it replaced. */
struct change_pending {
	struct row *row; /* reference */
	struct row *old; /* reference, NULL: new */
	char *action;
	char *path;
	size_t entry_start, entry_length; /* its journal entry in change->entries */
};

/* An environment whose ruleset changes. */
struct change_environment {
	char *environment;
	bool is_new;
	struct ruleset_edit *edits; /* keys and items are referenced */
	size_t edit_count, edit_capacity;
	struct ruleset *ruleset;
	uint64_t revision;
	uint8_t digest[FLAG_DIGEST_BYTES]; /* of ruleset: a pass over every flag, so it is made once */
};

/* change_ruleset.c: compiles, checks references, gives every affected environment its next ruleset. */
MUST_CHECK enum status change_rulesets_build(struct change *change, struct error *err);
void change_rulesets_free(struct change *change);

/* change_journal.c: writes the entries and builds the signed snapshots that name the journal's head. */
MUST_CHECK enum status change_journal_build(struct change *change, struct error *err);

/* Commits rows, entries, revisions and the answer. */
MUST_CHECK enum status change_store(struct change *change, struct error *err);

/* Is its answer to be stored? It is then, even where nothing differs: a retry must not do later what the first did not. */
bool change_is_retryable(const struct change *change);

/* True when the reply was given from the store, or could not be. */
bool change_replay(struct change *change);
