#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures speed and memory against baselines of the same run; started by scripts/bench.

Without ROW all rows are measured and bench/REPORT.txt is written anew. The exit status is 0 when every benchmark worked,
whether or not its bar was met: a bar is looked at by people, not asserted on somebody's busy machine.
"""
import argparse
import datetime
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

from rows import ROWS
from servers import Trouble

SOURCE = Path(__file__).resolve().parent
PACKAGES = [
    "gcc-12", "libmicrohttpd12", "libcjson1", "libsqlite3-0", "libsodium23", "libcurl4", "liburcu8", "libxxhash0", "nodejs", "wrk",
]


class Run:
    """How much to do, and where the programs are."""

    def __init__(self, build, brief):
        self.source = SOURCE
        self.build = Path(build).resolve()
        self.bench = self.build / "bench"
        self.brief = brief
        self.repetitions = 1 if brief else 3
        self.seconds = 1 if brief else 2


def versions():
    listed = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${Version} ${db:Status-Status}\n", *PACKAGES], capture_output=True, text=True, check=False
    )
    found = re.findall(r"^(\S+) (\S+) installed$", listed.stdout, re.M)
    return ", ".join(f"{name} {version}" for name, version in found)


def heading():
    system = platform.freedesktop_os_release().get("PRETTY_NAME", "unknown system")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=SOURCE, capture_output=True, text=True, check=False)
    return [
        "Speed and memory of Halyard, by `scripts/bench`",
        f"{datetime.date.today()}, commit {commit.stdout.strip() or 'unknown'}, {os.cpu_count()} cores, {system}, {platform.machine()}",
        f"release build without assertions; {versions()}",
        "",
        "Ratios: both sides took turns in this run; medians of 3 or more. Servers on one core, load on the other.",
        f"Load of the machine at the start: {os.getloadavg()[0]:.2f} (of other programs).",
        "",
    ]


def lines_of(results):
    lines = []
    for result in results:
        lines.append(f"{'ok    ' if result.is_met else 'MISSED'}  {result.what}")
        lines.append(f"        bar {result.bar}, measured {result.measured}")
    return lines


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"one of {', '.join(ROWS)}")
    parser.add_argument("--build", default="build-release", help="build folder (default: build-release)")
    parser.add_argument("--brief", action="store_true", help="only see that the benchmarks work; the figures mean nothing")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.rows if name not in ROWS]
    if unknown:
        parser.error(f"no such row: {', '.join(unknown)}")
    run = Run(arguments.build, arguments.brief)
    report, missed, failed = heading(), 0, 0
    print("\n".join(report), flush=True)
    for name in arguments.rows or ROWS:
        started = time.monotonic()
        try:
            results = list(ROWS[name](run))
            missed += sum(not result.is_met for result in results)
            lines = lines_of(results)
        except (Trouble, OSError, subprocess.SubprocessError) as error:
            failed += 1
            lines = [f"FAILED  {name}", f"        {error}"]
        report += lines
        print("\n".join(lines), f"        [{name}: {time.monotonic() - started:.0f} s]", sep="\n", flush=True)
    report += ["", "All bars are met." if missed + failed == 0 else f"{missed} missed, {failed} failed."]
    print("\n".join(report[-2:]))
    if not arguments.rows and not arguments.brief:
        (SOURCE / "REPORT.txt").write_text("\n".join(report) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
