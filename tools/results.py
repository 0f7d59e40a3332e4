# SPDX-License-Identifier: Apache-2.0
"""Counts what really ran: test cases out of the logs of meson, cmocka and node's test runner.

Usage: results.py --self-test
"""
import json
import re
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Outcome:
    """The result of one suite; `reports` hold the whole output of what failed."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    reports: list = field(default_factory=list)

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.reports += other.reports

    def __str__(self):
        text = f"{self.passed} passed, {self.failed} failed"
        return f"{text}, {self.skipped} skipped" if self.skipped else text


def passed():
    return Outcome(passed=1)


def failed(title, output):
    return Outcome(failed=1, reports=[(title, output)])


def sum_of(pattern, text):
    return sum(int(number) for number in re.findall(pattern, text))


def meson_test(entry):
    """One line of meson's JSON log. Each function of a cmocka program counts; any other program is one test."""
    output = entry.get("stdout", "") + entry.get("stderr", "")
    outcome = Outcome()
    if "[==========] Running " in output:
        outcome.passed = len(re.findall(r"^\[ +OK \] ", output, re.MULTILINE))
        outcome.failed = sum_of(r"(?m)^\[ +FAILED +\] (\d+) test\(s\), listed below", output)
        outcome.skipped = sum_of(r"(?m)^\[ +SKIPPED +\] (\d+) test\(s\), listed below", output)
    elif entry["result"] == "OK":
        outcome.passed = 1
    elif entry["result"] == "SKIP":
        outcome.skipped = 1
    if entry["result"] not in {"OK", "SKIP"}:
        outcome.failed = max(outcome.failed, 1)
        name = entry["name"].split(" / ")[-1]
        title = f"{name}: {entry['result']}, exit status {entry.get('returncode')}"
        outcome.reports.append((title, output))
    return outcome


def meson_log(path):
    total = Outcome()
    for line in path.read_text().splitlines():
        total.add(meson_test(json.loads(line)))
    return total


def node_log(path):
    """The lines of tests/integration/support/reporter.mjs: leaves count, and whatever else failed by itself."""
    total = Outcome()
    deepest = {}  # file → nesting of its event before: a parent comes after its children
    for line in path.read_text().splitlines():
        event = json.loads(line)
        before = deepest.get(event["file"], 0)
        deepest[event["file"]] = event["nesting"]
        is_leaf = before <= event["nesting"] and event["kind"] != "suite" and not event["is_file"]
        if event["result"] == "fail":
            if event["cause"] != "subtestsFailed":
                total.add(failed(f"{event['file']}: {event['name']}", event["error"]))
        elif is_leaf:
            total.skipped += event["result"] == "skip"
            total.passed += event["result"] == "pass"
    return total


def self_test():
    """Logs as the tools write them, and what they must count as."""
    head = "[==========] Running 3 test(s).\n"
    good = head + "[ RUN      ] a\n[       OK ] a\n[       OK ] b\n[       OK ] c\n[  PASSED  ] 3 test(s).\n"
    bad = head + "[       OK ] a\n[  FAILED  ] b\n[  SKIPPED ] c\n[  SKIPPED ] 1 test(s), listed below:\n"
    bad += "[  FAILED  ] 1 test(s), listed below:\n[  FAILED  ] b\n"
    meson = [
        ({"result": "OK", "stdout": good}, (3, 0, 0)),
        ({"result": "FAIL", "stdout": bad}, (1, 1, 1)),
        ({"result": "ERROR", "stdout": head + "[       OK ] a\n"}, (1, 1, 0)),  # died on the way
        ({"result": "FAIL", "stdout": good, "stderr": "LeakSanitizer"}, (3, 1, 0)),
        ({"result": "TIMEOUT"}, (0, 1, 0)),
        ({"result": "SKIP"}, (0, 0, 1)),
        ({"result": "OK", "stdout": "fine\n"}, (1, 0, 0)),
    ]

    def event(result, nesting, kind="test", cause="", is_file=False):
        return {"result": result, "file": "f", "name": "n", "nesting": nesting, "kind": kind, "cause": cause,
                "error": "", "is_file": is_file}

    node = [
        ([event("pass", 0), event("pass", 0)], (2, 0, 0)),
        ([event("pass", 1), event("skip", 1), event("pass", 0, "suite"), event("pass", 0)], (2, 0, 1)),
        ([event("pass", 1), event("fail", 1), event("fail", 0, cause="subtestsFailed")], (1, 1, 0)),
        ([event("fail", 0, "suite", "hookFailed")], (0, 1, 0)),
        ([event("fail", 0, is_file=True)], (0, 1, 0)),
        ([event("pass", 0, is_file=True)], (0, 0, 0)),
    ]
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "log")
        for entries, wanted, read in [([entry], wanted, meson_log) for entry, wanted in meson] + [
            (entries, wanted, node_log) for entries, wanted in node
        ]:
            path.write_text("\n".join(json.dumps({"name": "t", **entry}) for entry in entries))
            got = read(path)
            if (got.passed, got.failed, got.skipped) != wanted:
                wrong += 1
                print(f"{entries}: counted {got}, wanted {wanted}")
    print(f"{len(meson) + len(node)} logs counted, {wrong} wrongly")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(self_test())
