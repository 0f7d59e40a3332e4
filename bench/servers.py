# SPDX-License-Identifier: Apache-2.0
"""The programs under measurement: flagd on a data folder of its own, the bare servers, and what asks them."""
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

SERVER_CPU, CLIENT_CPU = 0, 1  # what serves and what asks do not share a core


class Trouble(Exception):
    """A benchmark that did not work, in words."""


def pinned(cpu, command):
    return ["taskset", "-c", str(cpu), *[str(part) for part in command]]


def output_of(command, timeout=300):
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=timeout, check=False)
    if result.returncode != 0:
        raise Trouble(f"{Path(str(command[0])).name}: {(result.stderr or result.stdout).strip()[-500:]}")
    return result.stdout


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment():
    """Ours without variables that flagd would read."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HALYARD_")}


class Program:
    """A server process; ends with its `with` block."""

    def __init__(self, command, cpu=SERVER_CPU):
        self.started = time.perf_counter()
        self.child = subprocess.Popen(
            pinned(cpu, command), env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.terminate()
        try:
            self.child.wait(20)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.child.stdout.close()
        self.child.stdin.close()

    def wait_line(self, is_wanted):
        """The first line of its output that is wanted, and the seconds from start to it."""
        lines = []
        for line in self.child.stdout:
            if is_wanted(line):
                return line, time.perf_counter() - self.started
            lines.append(line)
        raise Trouble(f"{self.child.args[3]} ended: {''.join(lines)[-500:]}")

    def resident_kib(self):
        text = Path(f"/proc/{self.child.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text)[1])


class Bare(Program):
    """A baseline that prints "ready": bench_bare_http or bench_bare_stream."""

    def __init__(self, program, *args):
        self.port = free_port()
        super().__init__([program, self.port, *args])
        self.wait_line(lambda line: line == "ready\n")


class Flagd(Program):
    """One API thread, like the one loop of the bare server; its streams have another."""

    def __init__(self, build, data, cpu=SERVER_CPU):
        command = [build / "flagd/flagd", "--data", data, "--listen", "127.0.0.1:0", "--api-threads", 1]
        super().__init__(command, cpu)
        self.data = Path(data)
        line, self.start_s = self.wait_line(lambda line: '"listening"' in line)
        self.port = json.loads(line)["port"]
        self.url = f"http://127.0.0.1:{self.port}"
        self.owner = (self.data / "owner.token").read_text().strip()
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def ask(self, method, path, body=None, token=None):
        """(headers, bytes) of an answer that must be a good one."""
        headers = {"Authorization": f"Bearer {token or self.owner}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        self.connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = self.connection.getresponse()
        bytes_ = answer.read()
        if answer.status >= 300:
            raise Trouble(f"{method} {path}: {answer.status} {bytes_[:300]}")
        return answer.headers, bytes_

    def client_token(self):
        body = {"name": f"bench-{time.monotonic_ns()}", "kind": "client", "environment": "prod"}
        return json.loads(self.ask("POST", "/api/v1/tokens", body)[1])["token"]


class Folder:
    """A temporary folder on the disk of this source tree, not in memory."""

    def __init__(self, base):
        self.path = Path(tempfile.mkdtemp(prefix="bench-", dir=base))

    def __enter__(self):
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)


def request_text(method, path, port, token, body=None):
    """A whole request, for programs that send bytes."""
    text = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n"
    if body is not None:
        text += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return text + "\r\n" + (body or "")


class Idle:
    """Keep-alive connections that have had one answer each."""

    def __init__(self, port, count):
        self.sockets = []
        request = f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", port), timeout=30)
            self.sockets.append(connection)
            connection.sendall(request)
            if not connection.recv(4096).startswith(b"HTTP/1.1 200"):
                raise Trouble("an idle connection was refused")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for connection in self.sockets:
            connection.close()


def wrk_script(folder, name, method, headers, body=""):
    path = folder / f"{name}.lua"
    lines = [f'wrk.method = "{method}"', f"wrk.body = {json.dumps(body)}"]
    lines += [f"wrk.headers[{json.dumps(key)}] = {json.dumps(value)}" for key, value in headers.items()]
    # Answers other than the expected ones would flatter: they are counted.
    lines += [
        "function setup(thread) threads = { thread } end",
        "local expected = " + ("304" if "If-None-Match" in headers else "200"),
        "wrong = 0",
        "function response(status) if status ~= expected then wrong = wrong + 1 end end",
        'function done() print("wrong answers: " .. threads[1]:get("wrong")) end',
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def wrk_rate(url, script, connections, seconds):
    """Answers a second, all of them the expected ones."""
    command = pinned(CLIENT_CPU, ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script, url])
    text = output_of(command)
    wrong = re.search(r"wrong answers: (\d+)", text)
    if wrong is None or int(wrong[1]) > 0 or "Socket errors" in text:
        raise Trouble(f"wrk {url}: {text[-400:]}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])
