#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""House rules that no formatter knows: licence line, size of files and functions, blanks, left-over marks.

Usage: check_style.py [--self-test]
"""
import re
import sys
from pathlib import Path

import tree

MAX_FILE_LINES = 600
MAX_FUNCTION_LINES = 60
MAX_INDENT = 4  # tabs: a function's body and three blocks in it; continued lines are aligned by blanks
# Path → why it may be longer. Keep it tiny: a long file nearly always has a seam.
LONG_FILES = {}
LONG_FUNCTIONS = {}

CODE = (".c", ".h", ".py", ".mjs", ".js", ".css", ".html", ".sql", ".sh")
TEXT = CODE + (".md", ".yml", ".yaml", ".txt", "meson.build")
LEFT_OVER = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
# An analyzer is silenced for one named check, with a reason: NOLINT(check): reason.
SILENCED = re.compile(r"NO" r"LINT(?!END\(|(NEXTLINE|BEGIN)?\([\w.,-]+\): \S)|cppcheck" r"-suppress (?!\w+ ; \S)")
CONFLICT = re.compile(r"^(<{7}|={7}|>{7})( |$)")
# A function's body opens and closes in column 0; its head is the unindented line before.
HEAD = re.compile(r"^[A-Za-z_].*\(")


def function_problems(path, lines):
    """Functions of more than MAX_FUNCTION_LINES lines between their braces."""
    problems, head, start = [], "", None
    for number, line in enumerate(lines, 1):
        if line == "{" and start is None:
            start = number
        elif line.startswith("}") and start is not None:
            name = re.sub(r"\(.*", "", head).split()[-1].lstrip("*") if "(" in head else head
            if number - start - 1 > MAX_FUNCTION_LINES and f"{path}:{name}" not in LONG_FUNCTIONS:
                problems.append(
                    f"{path}:{start}: {name} has {number - start - 1} lines; split it (at most {MAX_FUNCTION_LINES})"
                )
            start = None
        elif start is None and HEAD.match(line):
            head = line
    return problems


def is_code(path, text):
    return path.name.endswith(CODE) or (path.parts[0] in {"scripts", ".ci"} and text.startswith("#!"))


def file_problems(path, text):
    problems = []
    lines = text.split("\n")
    if text and lines.pop() != "":
        problems.append(f"{path}: the last line has no line feed")
    elif lines and lines[-1] == "":
        problems.append(f"{path}:{len(lines)}: empty line at the end")
    for number, line in enumerate(lines, 1):
        if line != line.rstrip() and not (path.suffix == ".md" and line.rstrip() + "  " == line):
            problems.append(f"{path}:{number}: blanks at the end of the line")
        if CONFLICT.match(line):
            problems.append(f"{path}:{number}: mark of a merge conflict")
        if LEFT_OVER.search(line):
            problems.append(f"{path}:{number}: unfinished work belongs in an issue, not in the text")
        if path.suffix in {".py", ".yml", ".yaml"} and "\t" in line:
            problems.append(f"{path}:{number}: tab; this kind of file is indented by blanks")
    if is_code(path, text):
        if not any("SPDX-License-Identifier: Apache-2.0" in line for line in lines[:3]):
            problems.append(f"{path}:1: no SPDX-License-Identifier line")
        if len(lines) > MAX_FILE_LINES and path.as_posix() not in LONG_FILES:
            problems.append(f"{path}: {len(lines)} lines; split it at a seam (at most {MAX_FILE_LINES})")
    if path.suffix in {".c", ".h"}:
        for number, line in enumerate(lines, 1):
            if line.startswith("\t" * (MAX_INDENT + 1)):
                problems.append(f"{path}:{number}: nested deeper than {MAX_INDENT - 1} blocks; give a part a name of its own")
            if SILENCED.search(line):
                problems.append(f"{path}:{number}: name the check that is silenced, and say why behind it")
        problems += function_problems(path, lines)
    return problems


def check(root):
    problems, checked = [], 0
    for path in tree.files(root):
        if not (path.name.endswith(TEXT) or path.parts[0] in {"scripts", ".ci"}):
            continue
        checked += 1
        try:
            problems += file_problems(path, (root / path).read_bytes().decode("utf-8"))
        except UnicodeDecodeError:
            problems.append(f"{path}: not UTF-8")
    return problems, checked


def self_test():
    """Each text has exactly one fault; the first has none."""
    spdx = "/* SPDX-License-Identifier: Apache-2.0 */\n"
    body = "\tstep();\n" * (MAX_FUNCTION_LINES + 1)
    texts = [
        (0, "clean.c", spdx + "int f(void)\n{\n\treturn 0;\n}\n"),
        (1, "licence.c", "int x;\n"),
        (1, "blanks.c", spdx + "int x; \n"),
        (1, "crlf.c", spdx + "int x;\r\n"),
        (1, "feed.c", spdx + "int x;"),
        (1, "mark.c", spdx + "/* TO" + "DO: later */\n"),
        (1, "conflict.c", spdx + "<<<<<<< HEAD\n"),
        (1, "long.c", spdx + "int x;\n" * MAX_FILE_LINES),
        (1, "function.c", spdx + "static int f(int a,\n             int b)\n{\n" + body + "}\n"),
        (1, "deep.c", spdx + "\t" * (MAX_INDENT + 1) + "step();\n"),
        (1, "silenced.c", spdx + "// NO" + "LINT\n"),
        (1, "unreasoned.c", spdx + "// NO" + "LINTNEXTLINE(bugprone-x)\n"),
        (0, "reasoned.c", spdx + "// NO" + "LINTNEXTLINE(bugprone-x): the macro's argument is a type\n"),
        (1, "tabs.py", "# SPDX-License-Identifier: Apache-2.0\nif x:\n\ty()\n"),
    ]
    wrong = [name for count, name, text in texts if len(file_problems(Path(name), text)) != count]
    for name in wrong:
        print(f"{name}: judged wrongly")
    print(f"{len(texts)} texts tried, {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(self_test())
    sys.exit(tree.report(*check(tree.ROOT), "files"))
