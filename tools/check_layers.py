#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rejects an #include against the direction of the layers (ARCHITECTURE.md).

Usage: check_layers.py [--self-test]
"""
import re
import sys
import tempfile
from pathlib import Path

import tree

# Layer → layers whose headers it may include. Folders that are not named here may include anything but tests.
LAYERS = {
    "base": {"base"},
    "engine": {"engine", "base"},
    "client": {"client", "engine", "base"},
    "flagd": {"flagd", "engine", "base"},
    "bot": {"bot", "client", "base"},
    "ctl": {"ctl", "base"},
    "examples": {"examples"},
}
ANY = {"bench", "fuzz", "tests"}
# Beginning of a library's header → the layers that may use it. Everything else in <> is libc.
LIBRARIES = {
    "curl/": {"client", "flagd", "bot", "ctl"},
    "halyard/": {"client", "bot", "examples"},
    "microhttpd": {"flagd", "bot"},
    "pcre2": {"engine"},
    "sodium": {"base", "engine", "client", "flagd", "bot"},
    "sqlite3": {"flagd"},
    "urcu": {"client"},
    "xxhash": {"base", "engine"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]')


def problem_of(layer, kind, target):
    """Why a file of `layer` may not include `target`, or None."""
    if kind == "<":
        for beginning, users in LIBRARIES.items():
            if target.startswith(beginning) and layer not in users | ANY:
                return f"<{target}> may be used by {', '.join(sorted(users))} only"
        return None
    first = target.split("/")[0]
    if "/" not in target or first not in LAYERS.keys() | ANY:
        return f'"{target}" must be written from the root, such as "base/error.h"'
    if first == "tests" and layer != "tests":
        return f'"{target}": nothing includes from tests/'
    if layer in LAYERS and first not in LAYERS[layer]:
        return f'"{target}": {layer} may include {", ".join(sorted(LAYERS[layer]))} only'
    return None


def check(root):
    paths = [path for path in tree.files(root, (".c", ".h")) if path.parts[0] in LAYERS.keys() | ANY]
    problems = []
    for path in paths:
        for number, line in enumerate((root / path).read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            why = match and problem_of(path.parts[0], match[1], match[2])
            if why:
                problems.append(f"{path}:{number}: {why}")
    return problems, len(paths)


def self_test():
    """Plants one violation at a time and expects it to be found; and none in a clean tree."""
    clean = {"base/a.h": "", "engine/b.c": '#include "base/a.h"\n#include <stdio.h>\n', "tests/t.c": '#include "engine/b.h"\n'}
    violations = {
        "base/x.c": '#include "engine/eval.h"\n',
        "engine/x.c": '#include "flagd/store.h"\n',
        "engine/y.c": "#  include <sqlite3.h>\n",
        "client/x.h": '#include "flagd/http.h"\n',
        "flagd/x.c": '#include "client/sync.h"\n',
        "base/y.c": "#include <curl/curl.h>\n",
        "examples/x.c": '#include "client/sync.h"\n',
        "flagd/y.c": '#include "error.h"\n',
        "fuzz/x.c": '#include "tests/support/clock.h"\n',
    }
    failures = 0
    for planted in [None, *violations]:
        with tempfile.TemporaryDirectory() as folder:
            content = dict(clean, **({planted: violations[planted]} if planted else {}))
            for name, text in content.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            found = [problem.split(":")[0] for problem in check(Path(folder))[0]]
            if found != ([planted] if planted else []):
                print(f"planted {planted}, found {found}")
                failures += 1
    print(f"{len(violations) + 1} trees tried, {failures} wrong")
    return 1 if failures else 0


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(self_test())
    sys.exit(tree.report(*check(tree.ROOT), "C files"))
