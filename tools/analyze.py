#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Static analysis of every C file that the build compiles; a finding is a failure.

Usage: analyze.py gcc|clang-tidy|cppcheck BUILD [--all]

A file that passed is not looked at again until it, a project header that it includes, its flags, the tool or the
tool's configuration changes (--all forgets that). Findings that are wrong are silenced at one place each, with the
reason: GCC_OFF below, .clang-tidy, .cppcheck-suppressions.
"""
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tree import ROOT

INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)

FINDING = re.compile(r"^(\S[^:]*):\d+:\d+: (?:warning|error|fatal error): ")
NOISE = re.compile(r"^\d+ warnings? |^Suppressed \d+|^Use -header-filter|.* warnings being treated as errors$")

# Analyzer warnings of gcc 12 that are off, each with why.
GCC_OFF = []


def commands_of(build):
    """Source path → compiler arguments, once for each of our own files."""
    found = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        source = (Path(entry["directory"]) / entry["file"]).resolve()
        if source.is_relative_to(ROOT) and not source.is_relative_to(build.resolve()):
            found.setdefault(source.relative_to(ROOT), (entry["directory"], shlex.split(entry["command"])))
    return dict(sorted(found.items()))


def dependencies(source, build, seen):
    """The file and every project header that it includes, however deep."""
    if source in seen:
        return
    seen.add(source)
    for name in INCLUDE.findall(source.read_text()):
        for header in (ROOT / name, source.parent / name, build / name):
            if header.exists():
                dependencies(header.resolve(), build, seen)
                break


def digest(source, build, parts):
    files = set()
    dependencies(ROOT / source, build, files)
    total = hashlib.sha256("\0".join(parts).encode())
    for path in sorted(files):
        total.update(path.read_bytes())
    return total.hexdigest()


def gcc_command(_source, arguments):
    """The file's own compilation with the analyzer on; only the analyzer's warnings count here."""
    kept, skip = [], False
    for argument in arguments:
        if skip or argument in {"-o", "-MF", "-MQ", "-MT"}:
            skip = not skip
        elif argument not in {"-c", "-MD", "-MMD"}:
            kept.append(argument)
    return [*kept, "-fanalyzer", *GCC_OFF, "-Werror", "-c", "-o", "/dev/null"]


def clang_tidy_command(source, _arguments, build):
    return ["clang-tidy", "--quiet", "-p", str(build), "--extra-arg=-Wno-unknown-warning-option", str(ROOT / source)]


def version_of(tool):
    return subprocess.run([tool, "--version"], capture_output=True, text=True, check=True).stdout


def findings_of(output, folder):
    """The tool's warnings and errors with their notes, without those that it places in a system header."""
    findings, ours = [], False
    for line in output.splitlines():
        match = FINDING.match(line)
        if match:
            ours = (Path(folder) / match[1]).resolve().is_relative_to(ROOT)
            if ours:
                findings.append(line)
        elif ours and not NOISE.match(line):
            findings[-1] += "\n" + line
    return findings


def run_each(tool, build, forget):
    """Runs the tool over each changed file, two at a time; returns the number of files with findings."""
    cache_path = build / f"analyze-{tool}.json"
    cache = json.loads(cache_path.read_text()) if cache_path.exists() and not forget else {}
    configs = [ROOT / folder / ".clang-tidy" for folder in ("", "bench", "tests")]
    config = "".join(path.read_text() for path in configs) if tool == "clang-tidy" else " ".join(GCC_OFF)
    version = version_of(tool)
    commands = commands_of(build)
    digests = {
        source: digest(source, build, [version, config, *arguments]) for source, (_, arguments) in commands.items()
    }
    changed = [source for source in commands if cache.get(str(source)) != digests[source]]

    def look(source):
        folder, arguments = commands[source]
        if tool == "gcc":
            command = gcc_command(source, arguments)
        else:
            command = clang_tidy_command(source, arguments, build)
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        findings = findings_of(result.stdout + result.stderr, folder)
        if result.returncode != 0 and not findings and "error: " not in result.stdout + result.stderr:
            findings = [result.stdout + result.stderr]  # the tool itself failed
        return source, not findings, "\n".join(findings)

    failures = 0
    with ThreadPoolExecutor(max(2, os.cpu_count() or 2)) as pool:
        for source, ok, text in pool.map(look, changed):
            if ok:
                cache[str(source)] = digests[source]
            else:
                failures += 1
                print(f"{source}:\n{text}\n", flush=True)
    kept = {str(source): cache[str(source)] for source in commands if str(source) in cache}
    cache_path.write_text(json.dumps(kept, indent=1))
    print(f"{tool}: {len(commands)} files, {len(changed)} looked at, {failures} with findings")
    return failures


def run_cppcheck(build):
    """Cppcheck keeps its own record of what changed."""
    record = build / "analyze-cppcheck"
    record.mkdir(exist_ok=True)
    command = [
        "cppcheck",
        f"--project={build / 'compile_commands.json'}",
        f"--cppcheck-build-dir={record}",
        f"--suppressions-list={ROOT / '.cppcheck-suppressions'}",
        "--enable=warning,style,performance,portability",
        "--inline-suppr",
        "--error-exitcode=1",
        "--std=c17",
        "--library=posix",
        "--quiet",
        f"-j{max(2, os.cpu_count() or 2)}",
        f"-i{build}",
        "--template={file}:{line}: {severity}: {message} [{id}]",
    ]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    print(result.stdout + result.stderr)
    return result.returncode


def main():
    tool, build, *options = sys.argv[1:]
    build = Path(build).resolve()
    if tool == "cppcheck":
        return 1 if run_cppcheck(build) else 0
    return 1 if run_each(tool, build, "--all" in options) else 0


if __name__ == "__main__":
    sys.exit(main())
