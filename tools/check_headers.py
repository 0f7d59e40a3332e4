#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every header compiles alone; the public one also as strict C11 and as C++.

Usage: check_headers.py CC CXX [CFLAGS…]
"""
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import tree

LAYERS = {"base", "engine", "client", "flagd", "bot", "ctl", "fuzz", "tests", "bench"}
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
INTERNAL = ["-std=gnu17", "-D_GNU_SOURCE", "-DHALYARD_VERSION=\"0\"", "-Wall", "-Wextra", "-Wundef", "-Werror"]


def compile_alone(command, include):
    """Error output of compiling a file that only includes `include`, or ""."""
    result = subprocess.run(
        [*command, "-I.", "-fsyntax-only", "-"],
        input=f"#include {include}\n",
        cwd=tree.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stderr if result.returncode != 0 else ""


def jobs_of(cc, cxx, flags):
    for path in tree.files(suffixes=(".h",)):
        if path.parts[0] not in LAYERS or path.name.endswith(".tbl.h"):
            continue
        if path.parent.name == "halyard":
            public = [f"-I{path.parent.parent}"]
            yield [cc, "-x", "c", "-std=c11", *STRICT, *public], "<halyard/halyard.h>"
            yield [cxx, "-x", "c++", "-std=c++11", *STRICT, *public], "<halyard/halyard.h>"
        else:
            yield [cc, "-x", "c", "-include", "base/banned.h", *INTERNAL, *flags], f'"{path.as_posix()}"'


def main():
    cc, cxx, *flags = sys.argv[1:]
    jobs = list(jobs_of(cc, cxx, flags))
    with ThreadPoolExecutor(2) as pool:
        problems = [output for output in pool.map(lambda job: compile_alone(*job), jobs) if output]
    return tree.report(problems, len(jobs), "headers")


if __name__ == "__main__":
    sys.exit(main())
