#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The shared library exports the functions of its public header and nothing else.

Usage: check_exports.py LIBRARY HEADER
"""
import re
import subprocess
import sys
from pathlib import Path

import tree


def main():
    library, header = sys.argv[1:]
    symbols = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True).stdout
    exported = {line.split()[-1].split("@")[0] for line in symbols.splitlines() if " A " not in line}
    text = re.sub(r"/\*.*?\*/", "", Path(header).read_text(), flags=re.DOTALL)
    declared = set(re.findall(r"\b(halyard_\w+)\s*\([^;{]*\)[^;{}]*;", text))
    problems = [f"{name}: exported, but not in {Path(header).name}" for name in sorted(exported - declared)]
    problems += [f"{name}: declared, but not exported" for name in sorted(declared - exported)]
    return tree.report(problems, len(exported), "symbols")


if __name__ == "__main__":
    sys.exit(main())
