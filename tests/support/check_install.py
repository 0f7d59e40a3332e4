#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Installs into an empty folder and builds against it as a stranger would, with pkg-config: the examples, and every
complete program of docs/client.md, in C and C++.

Usage: check_install.py BUILD_FOLDER SOURCE_FOLDER CC CXX
"""
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
PROGRAM = re.compile(r"^```(c|cpp)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CPP = """
#include <halyard/halyard.h>
#include <cstdio>
int main()
{
    halyard_attribute attributes[] = { HALYARD_ATTRIBUTE_STRING("role", "ops"), HALYARD_ATTRIBUTE_BOOLEAN("beta", true) };
    halyard_context user = {};
    user.targeting_key = "user-7";
    user.attributes = attributes;
    user.attribute_count = 2;
    halyard_detail detail;
    bool value = halyard_bool(nullptr, "flag", &user, true, &detail);
    std::printf("%s %d\\n", halyard_error_name(detail.error), value);
    return value && detail.error == HALYARD_ERROR_PROVIDER_NOT_READY ? 0 : 1;
}
"""


def run(command, **options):
    result = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{result.stdout}{result.stderr}")
    return result.stdout


def main():
    build, source, cc, cxx = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        stage = Path(folder, "stage")
        run(["meson", "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", stage])
        header = next(stage.rglob("halyard/halyard.h"))
        pc = next(stage.rglob("halyard.pc"))
        library = next(path for path in stage.rglob("libhalyard.so") if path.is_symlink())
        names = {path.name for path in library.parent.glob("libhalyard*")}
        if not {"libhalyard.so", "libhalyard.so.0"} <= names or any(name.endswith(".a") for name in names):
            sys.exit(f"unexpected files: {sorted(names)}")
        others = [path for path in stage.rglob("*.h") if path != header]
        if others:
            sys.exit(f"more than the public header is installed: {others}")
        environment = dict(
            os.environ,
            PKG_CONFIG_LIBDIR=str(pc.parent),
            PKG_CONFIG_SYSROOT_DIR=str(stage),
            LD_LIBRARY_PATH=str(library.parent),
        )
        flags = run(["pkg-config", "--cflags", "--libs", "halyard"], env=environment).split()
        for name, threads in (("minimal", []), ("gates", ["-pthread"])):
            run([cc, "-std=gnu11", *STRICT, f"{source}/examples/{name}.c", "-o", f"{folder}/{name}", *flags, *threads])
        programs = [match for match in PROGRAM.findall(Path(source, "docs/client.md").read_text()) if "int main" in match[1]]
        for number, (language, text) in enumerate(programs):
            name = f"{folder}/guide-{number}.{language}"
            Path(name).write_text(text)
            compiler = [cc, "-std=gnu11"] if language == "c" else [cxx, "-std=c++11"]
            run([*compiler, *STRICT, name, "-o", f"{name}.out", *flags, "-pthread"])
        if len(programs) < 5:
            sys.exit(f"{len(programs)} complete programs in docs/client.md")
        Path(folder, "plus.cc").write_text(CPP)
        run([cxx, "-std=c++11", *STRICT, f"{folder}/plus.cc", "-o", f"{folder}/plus", *flags])
        print(run([f"{folder}/plus"], env=environment), end="")
        # No daemon, no token: a clear sentence and no crash.
        result = subprocess.run([f"{folder}/minimal"], env=dict(environment, HALYARD_TOKEN=""), capture_output=True, text=True, check=False)
        if result.returncode != 1 or "token is missing" not in result.stderr:
            sys.exit(f"minimal: {result.returncode} {result.stderr}")
        print(f"{library.resolve().stat().st_size} bytes, {run(['pkg-config', '--modversion', 'halyard'], env=environment).strip()}")


if __name__ == "__main__":
    main()
