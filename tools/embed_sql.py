#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the migrations as C: embed_sql.py OUTPUT 0001_init.sql 0002_next.sql …

The files must be numbered from 0001 without a gap, and be UTF-8 with LF.
"""
import hashlib
import re
import sys
from pathlib import Path

NAME = re.compile(r"^(\d{4})_([a-z0-9_]+)\.sql$")


def migration(path, version):
    match = NAME.match(path.name)
    if match is None:
        raise ValueError(f"{path.name}: a migration is named like 0001_init.sql")
    if int(match[1]) != version:
        raise ValueError(f"{path.name}: migration {version:04d} is missing or stands twice")
    data = path.read_bytes()
    if not data.endswith(b"\n") or b"\0" in data or b"\r" in data:
        raise ValueError(f"{path.name}: lines end in LF, the last one too, and there is no NUL")
    return match[2], data


def literal(line):
    return '"' + line.replace("\\", "\\\\").replace('"', '\\"').replace("?", "\\?").replace("\t", "\\t") + '\\n"'


def emit(paths):
    forgotten = {path for path in paths[0].parent.glob("*.sql")} - set(paths)
    if forgotten:
        raise ValueError(f"{sorted(forgotten)[0].name} is not listed in flagd/meson.build")
    out = ["/* Written by tools/embed_sql.py. */", '#include "flagd/migrate.h"', ""]
    out.append("const struct migration migrations_all[] = {")
    for version, path in enumerate(sorted(paths, key=lambda p: p.name), 1):
        name, data = migration(path, version)
        out.append(f'\t{{ {version}, "{name}", "{hashlib.sha256(data).hexdigest()}",')
        out += [f"\t  {literal(line)}" for line in data.decode("utf-8").split("\n")[:-1]]
        out.append("\t},")
    out += ["};", f"const size_t migrations_count = {len(paths)};", ""]
    return "\n".join(out)


def main(arguments):
    if len(arguments) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        text = emit([Path(argument) for argument in arguments[1:]])
    except (ValueError, OSError) as problem:
        print(f"embed_sql.py: {problem}", file=sys.stderr)
        return 1
    Path(arguments[0]).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
