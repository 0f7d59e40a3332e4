#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Keeps pages of docs/ that are made from tables in the source current.

Usage: generated.py [--write] PRINT_DOCS FOLDER NAME...

Fails when FOLDER/NAME.md is not what `PRINT_DOCS NAME` prints; --write puts it right instead.
"""
import subprocess
import sys
from pathlib import Path


def main(arguments):
    is_write = arguments[:1] == ["--write"]
    program, folder, *names = arguments[is_write:]
    is_current = True
    for name in names:
        page = Path(folder) / f"{name}.md"
        wanted = subprocess.run([program, name], check=True, stdout=subprocess.PIPE).stdout
        if page.exists() and page.read_bytes() == wanted:
            continue
        if is_write:
            page.write_bytes(wanted)
            print(f"{page} written")
        else:
            is_current = False
            print(f"{page} is not current; run: meson compile -C build docs", file=sys.stderr)
    return 0 if is_current else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
