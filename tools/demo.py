#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The demonstration behind scripts/demo: flagd, a program that links libhalyard, and a change that reaches it.

Usage: demo.py [--once]     --once stops after the change instead of leaving both running
"""
import json
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import catalogue

ROOT = Path(__file__).resolve().parent.parent
DEADLINE_S = 10
ROLLOUT = "new-status-page"


class Process:
    """A child whose lines of one output come with the time of their arrival; the other goes to a file."""

    def __init__(self, command, stream, log, env=None):
        self.name = Path(command[0]).name
        self.log = log
        with log.open("w") as file:
            pipes = {"stdout": file, "stderr": file, stream: subprocess.PIPE}
            self.child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, text=True, env=env, start_new_session=True, **pipes
            )
        self.lines = queue.Queue()
        self.echo = False
        threading.Thread(target=self.read, args=[getattr(self.child, stream)], daemon=True).start()

    def read(self, pipe):
        with self.log.open("a") as log:
            for line in pipe:
                self.lines.put((time.monotonic(), line.rstrip("\n")))
                log.write(line)
                log.flush()
                if self.echo:
                    print(f"  gates │ {line}", end="", flush=True)
        self.lines.put((time.monotonic(), None))

    def next_line(self, accept=lambda line: True):
        """(time, line) of the next line that is accepted; fails when the process ends or stays silent."""
        end = time.monotonic() + DEADLINE_S
        while True:
            try:
                at, line = self.lines.get(timeout=max(0, end - time.monotonic()))
            except queue.Empty:
                raise SystemExit(f"{self.name} said nothing for {DEADLINE_S} s; see {self.log}") from None
            if line is None:
                raise SystemExit(f"{self.name} ended:\n{self.log.read_text()[-2000:]}")
            if accept(line):
                return at, line

    def stop(self):
        """Asks it to end; false when it did not do so properly."""
        self.child.terminate()
        try:
            return self.child.wait(DEADLINE_S) == 0
        except subprocess.TimeoutExpired:
            self.child.kill()
            return False


def free_port():
    """The usual port when nobody has it, so that the printed commands are those of the documents."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", 8016))
        except OSError:
            return 0
    return 8016


def is_listening(line):
    try:
        return json.loads(line).get("msg") == "listening"
    except ValueError:
        return False


def start_flagd(folder):
    command = [str(ROOT / "build/flagd/flagd"), "--data", str(folder / "data"), "--listen", f"127.0.0.1:{free_port()}"]
    flagd = Process(command, "stderr", folder / "flagd.log")
    started = time.monotonic()
    at, line = flagd.next_line(is_listening)
    return flagd, f"http://127.0.0.1:{json.loads(line)['port']}", 1000 * (at - started)


def start_gates(folder, url, token):
    (folder / "cache").mkdir()
    command = [str(ROOT / "build/examples/gates"), "--url", url, "--environment", "prod"]
    command += ["--cache-dir", str(folder / "cache")]
    gates = Process(command, "stdout", folder / "gates.log", env={**os.environ, "HALYARD_TOKEN": token})
    return gates, next_board(gates)[1]


def next_board(gates):
    """When the program's next report was complete, and its lines; the share of users stands last in it."""
    lines = []
    while not lines or ROLLOUT not in lines[-1]:
        arrived, line = gates.next_line()
        lines.append(line)
    return arrived, "\n".join(f"  gates │ {line}" for line in lines)


def toggle(daemon, gates):
    """Switches ENABLE_ALERTS on in prod; returns ms until the answer and until the program's report, and that."""
    sent = time.monotonic()
    daemon.expect(
        200,
        "PATCH",
        "/api/v1/flags/ENABLE_ALERTS/environments/prod",
        {"enabled": True, "reason": "shown in the demonstration"},
    )
    answered = time.monotonic()
    arrived, board = next_board(gates)
    if not re.search(r"ENABLE_ALERTS\s+on\b", board):
        raise SystemExit(f"the change did not reach the program:\n{board}")
    return 1000 * (answered - sent), 1000 * (arrived - sent), board


def print_commands(folder, url):
    flag = f"{url}/api/v1/flags"
    print(
        f"""
Both run on. In another terminal:

  h() {{ curl -sw '\\n' -H "Authorization: Bearer $(cat {folder}/data/owner.token)" "$@"; }}

  # switch it off again; the program above prints it at once
  h --json '{{"enabled":false}}' -X PATCH {flag}/ENABLE_ALERTS/environments/prod

  # take new-status-page from 25 % to 50 % of the users
  h -X PATCH {flag}/new-status-page/environments/prod \\
    --json '{{"default":{{"split":[{{"variant":"on","weight":50000}},{{"variant":"off","weight":50000}}]}}}}'

  # what any OpenFeature SDK sees, and why
  h "{url}/ofrep/v1/evaluate/flags/new-status-page?environment=prod" \\
    --json '{{"context":{{"targetingKey":"user-7"}}}}'
  h {url}/api/v1/environments/prod/evaluate \\
    --json '{{"flag":"new-status-page","context":{{"targetingKey":"user-7"}},"explain":true}}'

  # who changed it, when, from what to what
  h {flag}/ENABLE_ALERTS/history

The log of flagd is {folder}/flagd.log. Ctrl-C stops both and removes the folder.
""",
        flush=True,
    )


def wait_for_end(processes):
    """Until Ctrl-C, SIGTERM, or the end of one of them."""
    ending = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ending.set())
    while not ending.wait(0.2):
        for process in processes:
            if process.child.poll() is not None:
                raise SystemExit(f"{process.name} ended:\n{process.log.read_text()[-2000:]}")


def run(folder, processes, once):
    flagd, url, ready_ms = start_flagd(folder)
    processes.append(flagd)
    print(f"flagd is ready after {ready_ms:.0f} ms at {url}")
    daemon = catalogue.Daemon(url, (folder / "data/owner.token").read_text().strip())
    made, _ = catalogue.apply(daemon, json.loads((ROOT / "catalogue/bot.json").read_text()))
    print(f"{made} flags of catalogue/bot.json are made")
    body = {"name": "demo", "kind": "client", "environment": "prod"}
    gates, first = start_gates(folder, url, daemon.expect(201, "POST", "/api/v1/tokens", body)["token"])
    processes.append(gates)
    print(f"a program that links libhalyard (examples/gates.c) has its first snapshot:\n{first}")
    print("switching ENABLE_ALERTS on in prod:")
    answered_ms, arrived_ms, board = toggle(daemon, gates)
    print(board)
    print(f"answered, journal on disk, after {answered_ms:.1f} ms; printed by the program after {arrived_ms:.1f} ms")
    if not once:
        gates.echo = True
        print_commands(folder, url)
        wait_for_end(processes)


def main():
    folder = Path(tempfile.mkdtemp(prefix="halyard-demo-"))
    processes = []
    clean = True
    try:
        run(folder, processes, sys.argv[1:] == ["--once"])
    except KeyboardInterrupt:
        pass
    finally:
        # The program first: it reports its counts to the daemon when it ends.
        for process in reversed(processes):
            clean = process.stop() and clean
        shutil.rmtree(folder, ignore_errors=True)
    print("stopped" if clean else "stopped, but not cleanly")
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
