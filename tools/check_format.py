#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every C file is as clang-format leaves it. Usage: check_format.py CLANG_FORMAT"""
import subprocess
import sys

import tree

if __name__ == "__main__":
    paths = [str(path) for path in tree.files(suffixes=(".c", ".h"))]
    result = subprocess.run([sys.argv[1], "--dry-run", "-Werror", "--ferror-limit=3", *paths], cwd=tree.ROOT, check=False)
    print(f"{len(paths)} files checked; `clang-format -i FILE` puts one right")
    sys.exit(result.returncode)
