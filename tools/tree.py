# SPDX-License-Identifier: Apache-2.0
"""Which files are the project's own: the working tree without builds, dependencies and foreign text."""
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Folder names that are never ours; `build*` too.
SKIPPED_NAMES = {"node_modules", "__pycache__", "corpus"}
# Kept exactly as their authors published them.
FOREIGN = {"docs/ofrep"}


def files(root=ROOT, suffixes=None):
    """Yields paths relative to `root`, sorted; `suffixes` is a tuple such as (".c", ".h")."""
    found = []
    for folder, subfolders, names in os.walk(root):
        relative = Path(folder).relative_to(root)
        subfolders[:] = [
            name
            for name in subfolders
            if name not in SKIPPED_NAMES
            and not name.startswith("build")
            and (not name.startswith(".") or name in {".ci", ".github"})
            and (relative / name).as_posix() not in FOREIGN
        ]
        found += [relative / name for name in names if suffixes is None or name.endswith(suffixes)]
    return sorted(found)


def report(problems, checked, what):
    """Prints the verdict of a check and returns its exit status."""
    for problem in problems:
        print(problem)
    print(f"{checked} {what} checked, {len(problems)} problem(s)")
    return 1 if problems or checked == 0 else 0
