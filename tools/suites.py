#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Builds Halyard and runs its test suites; started by scripts/test, which installs what is missing.

The last line is `N passed, N failed[, N skipped]`; the exit status is 0 only when something ran and all of it passed.
Whole output is kept in build/logs. A single test: meson test -C build NAME, or
node --test tests/integration/NAME.test.mjs.
"""
import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import results

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / "build/logs"
INTEGRATION = ROOT / "tests/integration"
JOBS = max(2, os.cpu_count() or 2)

# Build folder → what it is set up with. Sanitizer builds make only what their suites run.
BUILDS = {
    "build": [],
    "build-asan": ["-Db_sanitize=address,undefined", "-Db_lundef=false", "-Doptimization=1"],
    "build-tsan": ["-Db_sanitize=thread", "-Db_lundef=false", "-Doptimization=1"],
}
SANITIZER_ENV = {
    "build-asan": {
        "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1:abort_on_error=0",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    },
    "build-tsan": {"TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1"},
}


def run(name, command, *, env=None, timeout=900):
    """Runs a command, keeps its output in build/logs/NAME.log; returns (succeeded, output)."""
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{name}.log"
    with log.open("w") as out:
        child = subprocess.Popen(
            [str(part) for part in command],
            cwd=ROOT,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = child.wait(timeout)
        except subprocess.TimeoutExpired:
            out.write(f"\nstopped after {timeout} s\n")
            status = -1
        finally:
            # Whatever the command left behind goes with it.
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            child.wait()
    return status == 0, log.read_text(errors="replace")


def same_layout():
    """Prefix that switches address randomisation off where allowed: old sanitizers cannot place their shadow else."""
    command = ["setarch", "--addr-no-randomize"]
    works = shutil.which(command[0]) and subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
    return command if works else []


def introspect(folder, what):
    result = subprocess.run(["meson", "introspect", folder, f"--{what}"], cwd=ROOT, capture_output=True, check=True)
    return json.loads(result.stdout)


def setup(folder):
    """Configures a build folder once; a folder that a developer configured keeps its options."""
    # gcc takes the checks that a sanitizer inserts for mistakes, so only the plain build holds to no warnings.
    strict = os.environ.get("CI") == "true" and folder == "build"
    options = BUILDS[folder] + (["-Dwerror=true"] if strict else [])
    stamp = ROOT / folder / ".options"
    if not (ROOT / folder / "build.ninja").exists():
        ok, output = run(f"setup-{folder}", ["meson", "setup", folder, *options])
    elif stamp.exists() and stamp.read_text().split() != options:
        ok, output = run(f"setup-{folder}", ["meson", "configure", folder, "-Dwerror=false", *options])
    else:
        return results.Outcome()
    if not ok:
        return results.failed(f"meson setup {folder}", output)
    stamp.write_text("\n".join(options))
    return results.Outcome()


def targets_of(folder, suites):
    """Ninja targets that the tests of `suites` run, and the daemon when it is there."""
    base = ROOT / folder
    chosen = set()
    for test in introspect(folder, "tests"):
        if {suite.split(":")[-1] for suite in test["suite"]} & set(suites):
            # A script of the source tree may be named by way of the build folder; ninja does not make it.
            parts = [Path(os.path.normpath(part)) for part in test["cmd"]]
            chosen.update(part.relative_to(base) for part in parts if part.is_relative_to(base))
    if "hostile" in suites:
        names = [Path(target["filename"][0]) for target in introspect(folder, "targets")]
        chosen.update(name.relative_to(base) for name in names if name.name == "flagd" and name.is_relative_to(base))
    return sorted(str(target) for target in chosen)


def build(folder, suites=None):
    """Sets up and builds a folder; an empty outcome when that went well."""
    outcome = setup(folder)
    if outcome.failed:
        return outcome
    # A change of a meson.build makes ninja configure anew; do that before asking for targets.
    ok, output = run(f"build-{folder}", ["ninja", "-C", folder, "build.ninja"])
    if ok:
        targets = ["all"] if suites is None else targets_of(folder, suites)
        if targets:
            ok, output = run(f"build-{folder}", ["ninja", "-C", folder, *targets])
    return results.Outcome() if ok else results.failed(f"build of {folder}", output)


def meson_suite(folder, suite):
    log = ROOT / folder / f"meson-logs/{suite}.json"
    log.unlink(missing_ok=True)
    if not any(suite in {name.split(":")[-1] for name in test["suite"]} for test in introspect(folder, "tests")):
        return results.Outcome()
    command = ["meson", "test", "-C", folder, "--no-rebuild", "--suite", suite, "--logbase", suite]
    command += ["--num-processes", JOBS]
    if folder in SANITIZER_ENV:
        command = same_layout() + command
    ok, output = run(f"{folder}-{suite}", command, env=SANITIZER_ENV.get(folder))
    outcome = results.meson_log(log) if log.exists() else results.Outcome()
    if not ok and not outcome.failed:
        outcome.add(results.failed(f"meson test --suite {suite}", output))
    return outcome


def npm_install():
    """Installs what package-lock.json names, when it changed since the last time."""
    lock = INTEGRATION / "package-lock.json"
    stamp = INTEGRATION / "node_modules/.lock-digest"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return results.Outcome()
    ok, output = run("npm", ["npm", "--prefix", INTEGRATION, "ci", "--no-audit", "--no-fund", "--ignore-scripts"])
    if not ok:
        return results.failed("npm ci", output)
    stamp.parent.mkdir(exist_ok=True)
    stamp.write_text(digest)
    return results.Outcome()


def node_tests(folder, name, files):
    if not files:
        return results.Outcome()
    outcome = npm_install()
    if outcome.failed:
        return outcome
    log = LOGS / f"{name}.jsonl"
    log.unlink(missing_ok=True)
    command = ["node", "--test", f"--test-reporter={INTEGRATION / 'support/reporter.mjs'}"]
    command += [f"--test-reporter-destination={log}", *files]
    env = {"HALYARD_BUILD": str(ROOT / folder), **SANITIZER_ENV.get(folder, {})}
    if folder in SANITIZER_ENV:
        command = same_layout() + command
    ok, output = run(name, command, env=env)
    outcome = results.node_log(log) if log.exists() else results.Outcome()
    if not ok and not outcome.failed:
        outcome.add(results.failed(f"{name}: node --test", output))
    return outcome


def plain(suite):
    return lambda: meson_suite("build", suite)


def integration():
    return node_tests("build", "integration", sorted(INTEGRATION.rglob("*.test.mjs")))


def sanitized(folder, suites):
    def run_suites():
        outcome = build(folder, suites)
        if outcome.failed:
            return outcome
        for suite in suites:
            if suite == "hostile":
                files = sorted((INTEGRATION / "hostile").rglob("*.test.mjs"))
                outcome.add(node_tests(folder, f"{folder}-hostile", files))
            else:
                outcome.add(meson_suite(folder, suite))
        return outcome

    return run_suites


def demo():
    ok, output = run("demo", [sys.executable, "tools/demo.py", "--once"], timeout=120)
    return results.passed() if ok else results.failed("scripts/demo --once", output)


def analyze(tools):
    total = results.Outcome()
    for tool in tools:
        ok, output = run(f"analyze-{tool}", [sys.executable, "tools/analyze.py", tool, "build"])
        total.add(results.passed() if ok else results.failed(f"analyze: {tool}", output))
    return total


# In the order of a full run: quick and telling ones first.
SUITES = {
    "lint": ("layers, headers, style, format, links, exported symbols", plain("lint")),
    "unit": ("every function of the unit test programs", plain("unit")),
    "fuzz": ("replay of every fuzz target's corpus (scripts/fuzz searches on)", plain("fuzz")),
    "integration": ("the real daemon, clients and SDKs, driven from tests/integration", integration),
    "demo": ("scripts/demo --once: the daemon, a program and a change that reaches it", demo),
    "asan": (
        "unit, fuzz and tests/integration/hostile under the address and undefined-behaviour sanitizers",
        sanitized("build-asan", ["unit", "fuzz", "hostile"]),
    ),
    "tsan": ("the unit tests that run threads (suite race) under the thread sanitizer", sanitized("build-tsan", ["race"])),
    "analyze": ("gcc -fanalyzer over all sources; unchanged files are skipped", lambda: analyze(['gcc'])),
    "tidy": ("clang-tidy and cppcheck over all sources; on request, until every finding is judged", lambda: analyze(['clang-tidy', 'cppcheck'])),
    "bench-smoke": ("each benchmark once, briefly: they work; figures are made by bench/", plain("bench-smoke")),
}
# Not run unless they are asked for.
ON_REQUEST = {"tidy"}
GROUPS = {"sanitize": ["asan", "tsan"], "quick": ["lint", "unit", "fuzz"]}


def arguments():
    lines = [f"  {name:<12} {text}" for name, (text, _) in SUITES.items()]
    lines += [f"  {name:<12} = {' '.join(members)}" for name, members in GROUPS.items()]
    parser = argparse.ArgumentParser(
        prog="scripts/test",
        description="Builds and runs the tests. Without a suite: all but those on request.",
        epilog="suites:\n" + "\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("suites", nargs="*", metavar="SUITE", help="suites to run, see below")
    chosen = parser.parse_args().suites
    unknown = [name for name in chosen if name not in SUITES and name not in GROUPS]
    if unknown:
        parser.error(f"no such suite: {', '.join(unknown)}")
    expanded = [member for name in chosen for member in GROUPS.get(name, [name])]
    return [name for name in SUITES if name in expanded or (not expanded and name not in ON_REQUEST)]


def show(name, outcome, started):
    print(f"{name:<12} {str(outcome):<36} {time.monotonic() - started:6.1f} s", flush=True)
    for title, output in outcome.reports:
        print(f"--- {title}\n{output.rstrip()}\n---", flush=True)


def main():
    chosen = arguments()
    total = results.Outcome()
    started = time.monotonic()
    outcome = build("build")
    show("build", outcome, started) if outcome.failed else print(f"{'build':<49} {time.monotonic() - started:6.1f} s", flush=True)
    total.add(outcome)
    for name in chosen if not outcome.failed else []:
        started = time.monotonic()
        result = SUITES[name][1]()
        show(name, result, started)
        total.add(result)
    print(total)
    return 0 if total.passed and not total.failed else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
