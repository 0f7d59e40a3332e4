#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks a database of flagd without flagd: the digest of every row, the journal's chain, the revisions.

Usage: verify_journal.py halyard.db

Written from docs/schema.md alone, and for reading along with it. Prints the journal's end, to be compared with
one that was kept elsewhere: whoever owns the machine could have written the whole chain anew.
"""
import hashlib
import sqlite3
import sys
from pathlib import Path


def blake2b(data):
    return hashlib.blake2b(data, digest_size=32).digest()


def encode(value):
    """One column's value, as the row digest sees it. Texts come as str, blobs as bytes."""
    if value is None:
        return b"\0"
    if isinstance(value, int):
        return b"\1" + value.to_bytes(8, "big", signed=True)
    tag, data = (b"\2", value.encode()) if isinstance(value, str) else (b"\3", value)
    return tag + len(data).to_bytes(8, "big") + data


def row_digest(table, values):
    return blake2b(b"".join(encode(value) for value in [table, *values]))


def chain_hash(previous, entry):
    return blake2b(b"halyard-journal-v1" + previous + len(entry).to_bytes(8, "big") + entry)


def check_rows(database):
    """Every row of every table that has digests."""
    tables = database.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").fetchall()
    count = 0
    for (table,) in tables:
        cursor = database.execute(f'SELECT * FROM "{table}"')
        if cursor.description[-1][0] != "digest":
            continue
        for *values, digest in cursor:
            if row_digest(table, values) != digest:
                raise ValueError(f"The row {values[0]!r} of {table} does not fit its digest")
            count += 1
    return count


def check_chain(database):
    """Each entry's hash follows from the one before it and from its bytes; no number is missing."""
    head, count = bytes(32), 0
    for seq, entry, stored in database.execute("SELECT seq, bytes, hash FROM journal ORDER BY seq"):
        count += 1
        head = chain_hash(head, entry.encode())
        if seq != count:
            raise ValueError(f"Journal entry {count} is missing")
        if head != stored:
            raise ValueError(f"Journal entry {seq} does not follow from the one before")
    return count, head


def check_revisions(database):
    newest = {}
    for environment, revision in database.execute("SELECT environment, revision FROM revision ORDER BY 1, 2"):
        if revision != newest.get(environment, 0) + 1:
            raise ValueError(f"Revision {newest.get(environment, 0) + 1} of {environment} is missing")
        newest[environment] = revision
    return newest


def main(arguments):
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    path = Path(arguments[1]).absolute()
    wal = path.with_name(path.name + "-wal")
    if wal.exists() and wal.stat().st_size > 0:
        print(f"{wal} holds changes that are not in the database yet: stop flagd first", file=sys.stderr)
        return 2
    try:
        # immutable: reads the one file, and writes nothing beside it.
        database = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)
        rows = check_rows(database)
        entries, head = check_chain(database)
        revisions = check_revisions(database)
    except (ValueError, sqlite3.Error) as problem:
        print(problem, file=sys.stderr)
        return 1
    print(f"{rows} rows fit their digests")
    print(f"{entries} journal entries, the last one has hash {head.hex()}")
    for environment, revision in revisions.items():
        print(f"environment {environment} is at revision {revision}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
