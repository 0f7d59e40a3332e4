-- SPDX-License-Identifier: Apache-2.0
-- Tables of docs/schema.md. `digest` is the row digest described there: over the table's name and
-- all other columns in the order of their declaration. A released migration is never edited.

PRAGMA application_id = 1212238937; -- "HALY"

CREATE TABLE schema_migrations (
	version     INTEGER PRIMARY KEY CHECK (version >= 1),
	name        TEXT    NOT NULL,
	sha256      TEXT    NOT NULL CHECK (length(sha256) = 64),
	applied_ms  INTEGER NOT NULL,
	app_version TEXT    NOT NULL,
	digest      BLOB    NOT NULL CHECK (length(digest) = 32)
) STRICT;

-- One row: which database this is.
CREATE TABLE identity (
	id          INTEGER PRIMARY KEY CHECK (id = 1),
	instance_id TEXT    NOT NULL CHECK (length(instance_id) = 32),
	epoch       INTEGER NOT NULL CHECK (epoch >= 1),
	created_ms  INTEGER NOT NULL,
	digest      BLOB    NOT NULL CHECK (length(digest) = 32)
) STRICT;

-- State. WITHOUT ROWID: found and walked by key without a second tree.

CREATE TABLE environment (
	key        TEXT    PRIMARY KEY,
	version    INTEGER NOT NULL CHECK (version >= 1),
	archived   INTEGER NOT NULL CHECK (archived IN (0, 1)),
	created_ms INTEGER NOT NULL,
	updated_ms INTEGER NOT NULL,
	doc        TEXT    NOT NULL,
	digest     BLOB    NOT NULL CHECK (length(digest) = 32)
) STRICT, WITHOUT ROWID;

CREATE TABLE flag (
	key        TEXT    PRIMARY KEY,
	version    INTEGER NOT NULL CHECK (version >= 1),
	archived   INTEGER NOT NULL CHECK (archived IN (0, 1)),
	created_ms INTEGER NOT NULL,
	updated_ms INTEGER NOT NULL,
	doc        TEXT    NOT NULL,
	digest     BLOB    NOT NULL CHECK (length(digest) = 32)
) STRICT, WITHOUT ROWID;

CREATE TABLE setting (
	key         TEXT    NOT NULL REFERENCES flag (key),
	environment TEXT    NOT NULL REFERENCES environment (key),
	version     INTEGER NOT NULL CHECK (version >= 1),
	archived    INTEGER NOT NULL CHECK (archived IN (0, 1)),
	created_ms  INTEGER NOT NULL,
	updated_ms  INTEGER NOT NULL,
	doc         TEXT    NOT NULL,
	digest      BLOB    NOT NULL CHECK (length(digest) = 32),
	PRIMARY KEY (key, environment)
) STRICT, WITHOUT ROWID;

CREATE TABLE segment (
	key        TEXT    PRIMARY KEY,
	version    INTEGER NOT NULL CHECK (version >= 1),
	archived   INTEGER NOT NULL CHECK (archived IN (0, 1)),
	created_ms INTEGER NOT NULL,
	updated_ms INTEGER NOT NULL,
	doc        TEXT    NOT NULL,
	digest     BLOB    NOT NULL CHECK (length(digest) = 32)
) STRICT, WITHOUT ROWID;

CREATE TABLE token (
	key         TEXT    PRIMARY KEY,
	environment TEXT    REFERENCES environment (key),
	version     INTEGER NOT NULL CHECK (version >= 1),
	archived    INTEGER NOT NULL CHECK (archived IN (0, 1)),
	created_ms  INTEGER NOT NULL,
	updated_ms  INTEGER NOT NULL,
	secret_hash BLOB    NOT NULL CHECK (length(secret_hash) = 32),
	doc         TEXT    NOT NULL,
	digest      BLOB    NOT NULL CHECK (length(digest) = 32)
) STRICT, WITHOUT ROWID;

-- What was done, in order, for ever. `bytes` is the entry; the other columns are for finding it.
-- latest_ms: the highest at_ms so far, so that the end of a past moment is found by bisection.
CREATE TABLE journal (
	seq         INTEGER PRIMARY KEY CHECK (seq >= 1),
	at_ms       INTEGER NOT NULL,
	latest_ms   INTEGER NOT NULL CHECK (latest_ms >= at_ms),
	kind        TEXT    NOT NULL,
	key         TEXT    NOT NULL,
	environment TEXT    NOT NULL, -- '': none
	action      TEXT    NOT NULL,
	actor       TEXT    NOT NULL,
	trace_id    TEXT    NOT NULL,
	version     INTEGER NOT NULL CHECK (version >= 0),
	hash        BLOB    NOT NULL CHECK (length(hash) = 32),
	after       TEXT,
	bytes       TEXT    NOT NULL,
	digest      BLOB    NOT NULL CHECK (length(digest) = 32)
) STRICT;

-- Each ends in seq, as every index of a rowid table does: history of one thing; of one environment;
-- and, nearly always empty, the entries that were written while the clock stood back.
CREATE INDEX journal_subject ON journal (kind, key, environment);
CREATE INDEX journal_environment ON journal (environment) WHERE environment <> '';
CREATE INDEX journal_clock_back ON journal (seq, at_ms) WHERE at_ms < latest_ms;

CREATE TRIGGER journal_keep_update BEFORE UPDATE ON journal
BEGIN
	SELECT RAISE(ABORT, 'the journal is append-only');
END;

CREATE TRIGGER journal_keep_delete BEFORE DELETE ON journal
BEGIN
	SELECT RAISE(ABORT, 'the journal is append-only');
END;

-- Every revision of every environment, with the digest of its ruleset and the journal's end then.
CREATE TABLE revision (
	environment TEXT    NOT NULL REFERENCES environment (key),
	revision    INTEGER NOT NULL CHECK (revision >= 1),
	seq         INTEGER NOT NULL CHECK (seq >= 0),
	at_ms       INTEGER NOT NULL,
	ruleset     BLOB    NOT NULL CHECK (length(ruleset) = 32),
	digest      BLOB    NOT NULL CHECK (length(digest) = 32),
	PRIMARY KEY (environment, revision)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER revision_keep_update BEFORE UPDATE ON revision
BEGIN
	SELECT RAISE(ABORT, 'revisions are append-only');
END;

CREATE TRIGGER revision_keep_delete BEFORE DELETE ON revision
BEGIN
	SELECT RAISE(ABORT, 'revisions are append-only');
END;

-- First answers of idempotent requests, for a day; in order of id, which is nearly that of time.
CREATE TABLE answer (
	id              INTEGER PRIMARY KEY,
	principal       TEXT    NOT NULL,
	idempotency_key TEXT    NOT NULL,
	created_ms      INTEGER NOT NULL,
	request_digest  BLOB    NOT NULL CHECK (length(request_digest) = 32),
	http_status     INTEGER NOT NULL,
	etag            TEXT    NOT NULL,
	body            TEXT    NOT NULL,
	digest          BLOB    NOT NULL CHECK (length(digest) = 32),
	UNIQUE (principal, idempotency_key)
) STRICT;
