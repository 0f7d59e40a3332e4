#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns a file into C: `const struct asset asset_NAME` of flagd/asset.h.

Usage: embed_file.py INPUT OUTPUT NAME

JSON is checked (no member twice) and loses its white space.
"""
import json
import sys
from pathlib import Path

BYTES_PER_LINE = 20


def members(pairs):
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"the member {name!r} stands twice in an object")
    return dict(pairs)


def contents(path):
    if path.suffix != ".json":
        return path.read_bytes()
    value = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=members)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def main(source, output, name):
    data = contents(Path(source))
    lines = [
        "\t" + ", ".join(str(byte) for byte in data[at : at + BYTES_PER_LINE]) + ","
        for at in range(0, len(data), BYTES_PER_LINE)
    ]
    Path(output).write_text(
        f"/* Made from {Path(source).name} by tools/embed_file.py. */\n"
        '#include "flagd/asset.h"\n\n'
        f"static const unsigned char bytes[] = {{\n" + "\n".join(lines) + "\n\t0,\n};\n\n"
        f"const struct asset asset_{name} = {{ (const char *)bytes, sizeof(bytes) - 1 }};\n"
    )


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except ValueError as error:
        sys.exit(f"{sys.argv[1]}: {error}")
