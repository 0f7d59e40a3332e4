#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Relative links in *.md lead to a file, and their #anchors to a heading. Usage: check_links.py"""
import re
import sys
from urllib.parse import unquote

import tree

LINK = re.compile(r"!?\[[^\]]*\]\(([^()\s]+(?:\([^()\s]*\))?)(?:\s+\"[^\"]*\")?\)")
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$")
CODE = re.compile(r"`[^`]*`")


def prose_lines(text):
    """Numbered lines outside fenced code blocks."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
        elif not fenced:
            yield number, line


def anchors(path):
    """Anchors of a document's headings, made as code hosts make them."""
    found = {}
    for _, line in prose_lines(path.read_text()):
        match = HEADING.match(line)
        if match:
            slug = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", match[1]).lower()).replace(" ", "-")
            found[slug] = found.get(slug, -1) + 1
    return {slug if n == 0 else f"{slug}-{n}" for slug, last in found.items() for n in range(last + 1)}


def problem_of(source, target):
    if re.match(r"[a-z][a-z0-9+.-]*:", target):
        return None
    name, _, anchor = unquote(target).partition("#")
    path = (tree.ROOT / name.lstrip("/")) if name.startswith("/") else (tree.ROOT / source.parent / name)
    path = path if name else tree.ROOT / source
    if not path.exists():
        return f"{target}: no such file"
    if anchor and path.suffix == ".md" and anchor not in anchors(path):
        return f"{target}: no such heading"
    return None


def main():
    problems, checked = [], 0
    for source in tree.files(suffixes=(".md",)):
        checked += 1
        for number, line in prose_lines((tree.ROOT / source).read_text()):
            for target in LINK.findall(CODE.sub("", line)):
                why = problem_of(source, target)
                if why:
                    problems.append(f"{source}:{number}: {why}")
    return tree.report(problems, checked, "documents")


if __name__ == "__main__":
    sys.exit(main())
