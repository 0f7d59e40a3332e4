# SPDX-License-Identifier: Apache-2.0
"""Counts what really ran: test cases out of the logs of meson, cmocka and node's test runner."""
import json
import re
from dataclasses import dataclass, field


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
