# SPDX-License-Identifier: Apache-2.0
"""One function for each group of rows of the report. Each gives results: what, bar, what was measured, met or not.

What is compared takes turns in one run, and the median of the ratios counts: other load on the machine meets both. The
programs are told to do little when `run.brief` is set; figures are nothing worth then.
"""
import hashlib
import json
import re
import shutil
import sqlite3
from dataclasses import dataclass
from statistics import median

from servers import (
    CLIENT_CPU, SERVER_CPU, Bare, Flagd, Folder, Idle, Trouble, output_of, pinned, request_text, wrk_rate, wrk_script,
)

FLAG = "/api/v1/flags/bench-flag-000007"
EVALUATE = "/ofrep/v1/evaluate/flags/bench-flag-000007"
CONTEXT = {
    "context": {
        "targetingKey": "user-7f3a90c2-000017", "plan": "professional", "country": "DE", "email": "somebody@example.org",
        "app": {"version": "2.11.4", "beta": False}, "visits": 42,
    }
}


@dataclass
class Result:
    what: str
    bar: str
    measured: str
    is_met: bool


def at_most(what, limit, value, unit, detail="", digits=2):
    return Result(what, f"<= {limit:g}{unit}", f"{value:.{digits}f}{unit}{detail}", value <= limit)


def at_least(what, limit, value, unit="", detail=""):
    return Result(what, f">= {limit:g}{unit}", f"{value:.2f}{unit}{detail}", value >= limit)


def number(pattern, text):
    found = re.search(pattern, text)
    if found is None:
        raise Trouble(f"nothing like {pattern} in: {text[-500:]}")
    return float(found[1])


def filled(run, folder, flags):
    """A data folder with this many flags."""
    data = folder / f"data-{flags}"
    output_of([run.bench / "bench_fill", data, flags])
    return data


# ---- In the program ----


def bench_eval(run, repetitions):
    text = output_of([run.bench / "bench_eval", repetitions])
    lines = re.findall(r"^(.+?)\s+([\d.]+) ns\s+([\d.]+) x", text, re.M)
    return {name: (float(ns), float(ratio)) for name, ns, ratio in lines}, text


def evaluation(run):
    cases, text = bench_eval(run, 1 if run.brief else 21)
    bare = cases["bare look-up"][0]
    bars = {
        "boolean, 50 % split": (2.5, "bare look-up", "boolean flag, 50 % split, detail filled"),
        "with 1 rule that misses": (3.5, "bare look-up", "with 1 string rule that misses"),
        "with 10 rules that miss": (8, "bare look-up", "with 10 string rules that miss"),
        "two threads, each": (1.2, "one thread", "with two threads, each"),
        "while publishing 100/s": (1.5, "quiet", "while snapshots are published 100 times a second"),
    }
    for name, (limit, base, what) in bars.items():
        ns, ratio = cases[name]
        detail = f" ({ns:.1f} ns; bare {bare:.1f} ns)" if base == "bare look-up" else f" ({ns:.1f} ns)"
        yield at_most(what, limit, ratio, f" x {base}", detail)
    count = number(r"allocations in \d+ evaluations: (\d+)", text)
    yield Result("allocations while evaluating, counted", "0", f"{count:.0f}", count == 0)


def peers(run):
    folder = run.source / "peers"
    lock = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
    stamp = folder / "node_modules/.lock-digest"
    if not stamp.exists() or stamp.read_text() != lock:
        output_of(["npm", "--prefix", folder, "ci", "--no-audit", "--no-fund", "--ignore-scripts"], 600)
        stamp.write_text(lock)
    names = ["growthbook", "flagd-core", "unleash", "launchdarkly"]
    ours, theirs = [], {name: [] for name in names}
    for _ in range(run.repetitions):
        ours.append(bench_eval(run, 1 if run.brief else 3)[0]["boolean, 50 % split"][0])
        for name in names:
            command = ["node", folder / "peers.mjs", name, "--evaluations", 2000 if run.brief else 100000]
            theirs[name].append(number(rf"{name} ([\d.]+) ", output_of(command)))
    fastest = min(names, key=lambda name: median(theirs[name]))
    ratio = median(peer / own for peer, own in zip(theirs[fastest], ours))
    listed = ", ".join(f"{name} {median(theirs[name]):.0f} ns" for name in names)
    yield at_least("peers: times faster than the fastest", 15, ratio, " x", f" ({fastest}; ours {median(ours):.1f} ns; {listed})")


# ---- HTTP ----


def ratios(run, ours, bare):
    """Median ratio of two rates that take turns, and both medians."""
    pairs = [(ours(), bare()) for _ in range(run.repetitions)]
    return median(a / b for a, b in pairs), median(a for a, _ in pairs), median(b for _, b in pairs)


def rate_row(run, what, limit, ours, bare):
    ratio, own, base = ratios(run, ours, bare)
    return at_least(what, limit, ratio, "", f" ({own / 1000:.1f}k/s to {base / 1000:.1f}k/s)")


def ofrep(run):
    with Folder(run.build) as folder, Flagd(run.build, filled(run, folder, 1000)) as flagd:
        headers = {"Authorization": f"Bearer {flagd.client_token()}", "Content-Type": "application/json"}
        script = wrk_script(folder, "evaluate", "POST", headers, json.dumps(CONTEXT))
        url = f"{flagd.url}{EVALUATE}"
        with Bare(run.bench / "bench_bare_http") as bare:
            bare_url = f"http://127.0.0.1:{bare.port}{EVALUATE}"
            for count in (16, 64, 256):
                yield rate_row(
                    run, f"OFREP evaluation to a bare POST, {count} connections", 0.75,
                    lambda count=count: wrk_rate(url, script, count, run.seconds),
                    lambda count=count: wrk_rate(bare_url, script, count, run.seconds),
                )
        idle = 50 if run.brief else 5000

        def crowded():
            with Idle(flagd.port, idle):
                return wrk_rate(url, script, 16, run.seconds)

        yield rate_row(
            run, f"OFREP evaluation with {idle} idle connections, to none", 0.9, crowded,
            lambda: wrk_rate(url, script, 16, run.seconds),
        )


def snapshot(run):
    with Folder(run.build) as folder, Flagd(run.build, filled(run, folder, 1000)) as flagd:
        path = "/api/v1/environments/prod/snapshot"
        token = {"Authorization": f"Bearer {flagd.client_token()}"}
        headers, bytes_ = flagd.ask("GET", path)
        file = folder / "snapshot"
        file.write_bytes(bytes_)
        whole = wrk_script(folder, "whole", "GET", token)
        unchanged = wrk_script(folder, "unchanged", "GET", {**token, "If-None-Match": headers["ETag"]})
        with Bare(run.bench / "bench_bare_http", file) as bare:
            for what, limit, script, bare_path in (
                (f"snapshot of 1,000 flags ({len(bytes_) // 1024} KiB) to a bare server", 0.85, whole, "/file"),
                ("snapshot not modified (304) to a bare server", 0.9, unchanged, "/304"),
            ):
                yield rate_row(
                    run, what, limit,
                    lambda script=script: wrk_rate(flagd.url + path, script, 16, run.seconds),
                    lambda script=script, to=bare_path: wrk_rate(f"http://127.0.0.1:{bare.port}{to}", script, 16, run.seconds),
                )


# ---- Changes ----


def change(run):
    with Folder(run.build) as folder, Flagd(run.build, filled(run, folder, 100)) as flagd:
        key = (flagd.data / "signing.pub").read_text().strip()
        token = flagd.client_token()
        count = 50 if run.brief else 1000
        answers, requests = [], []
        for _ in range(run.repetitions):
            command = [run.bench / "bench_change", flagd.url, flagd.owner, token, key, "bench-flag-000007", count]
            text = output_of(pinned(CLIENT_CPU, command))
            answers.append(float(re.search(r"answer .* p99 (-?[\d.]+)", text)[1]))
            requests.append([number(rf"request .*{name} ([\d.]+)", text) for name in ("p50", "p99", "max")])
    p50, p99, longest = (median(row[i] for row in requests) for i in range(3))
    detail = f" (from the request: p50 {p50:.2f}, p99 {p99:.2f}, longest {longest:.2f} ms)"
    yield at_most(f"change answered to callback, {count} changes, p99", 10, median(answers), " ms", detail)


def fan_out(run, port, files, count, rounds, pid, probe=None):
    command = [run.bench / "bench_streams_client", port, files[0], ",".join(str(file) for file in files[1:]), count, rounds, pid]
    text = output_of(pinned(CLIENT_CPU, command + ([probe] if probe else [])))
    figures = {
        "last": number(r"last stream: median ([\d.]+)", text),
        "kib": number(r"resident: (-?[\d.]+) KiB", text),
    }
    if probe:
        figures["p99"] = number(r"other requests: .*p99 ([\d.]+)", text)
    return figures


def streams(run):
    count, rounds = (100, 4) if run.brief else (5000, 20)  # even: the flag ends as it began
    ours, bares = [], []
    with Folder(run.build) as folder:
        data = filled(run, folder, 100)

        def write(name, *request):
            (folder / name).write_text(request_text(*request))
            return folder / name

        for _ in range(run.repetitions):
            with Flagd(run.build, data) as flagd:
                token = flagd.client_token()
                stream = write("stream", "GET", "/api/v1/environments/prod/events", flagd.port, token)
                setting = f"{FLAG}/environments/prod"
                off = write("off", "PATCH", setting, flagd.port, flagd.owner, '{"enabled":false}')
                on = write("on", "PATCH", setting, flagd.port, flagd.owner, '{"enabled":true}')
                probe = write("probe", "POST", EVALUATE, flagd.port, token, json.dumps(CONTEXT))
                quiet = fan_out(run, flagd.port, (stream, off, on), count, rounds, flagd.child.pid)
                noisy = fan_out(run, flagd.port, (stream, off, on), count, rounds, flagd.child.pid, probe)
                ours.append({**quiet, "p99": noisy["p99"]})
            with Bare(run.bench / "bench_bare_stream") as bare:
                stream = write("stream", "GET", "/", bare.port, "none")
                trigger = write("trigger", "POST", "/", bare.port, "none", "")
                bares.append(fan_out(run, bare.port, (stream, trigger), count, rounds, bare.child.pid))
    last, base = median(each["last"] for each in ours), median(each["last"] for each in bares)
    ratio = median(a["last"] / b["last"] for a, b in zip(ours, bares))
    yield at_most(f"a durable change to the last of {count} streams", 1.5, ratio, " x bare epoll", f" (bare {base:.1f} ms)")
    yield at_most("the same, in all", 60, last, " ms", digits=1)
    yield at_most("resident memory of a stream", 8, median(each["kib"] for each in ours), " KiB")
    yield at_most("p99 of other requests meanwhile", 8, median(each["p99"] for each in ours), " ms")


def store(run):
    rates, medians = [], []
    for _ in range(run.repetitions):
        with Folder(run.build) as folder:
            text = output_of([run.bench / "bench_store", folder / "bench", 500 if run.brief else 4000, 0])
        rates.append(number(r"store_commit / bare: ([\d.]+)", text))
        medians.append(number(r"store_commit +([\d.]+) /s", text))
    yield at_least("durable change with journal to a bare SQLite transaction", 0.8, median(rates), "", f" ({median(medians):.0f}/s)")


# ---- Start and memory ----


def documents(data):
    """All documents of a data folder as one JSON array."""
    database = sqlite3.connect(data / "halyard.db")
    rows = [row[0] for table in ("flag", "setting", "segment") for row in database.execute(f"SELECT doc FROM {table}")]
    database.close()
    return "[" + ",".join(rows) + "]"


def start(run):
    flags = 100 if run.brief else 10000
    own, base = [], []
    with Folder(run.build) as folder:
        data = filled(run, folder, flags)
        file = folder / "documents.json"
        file.write_text(documents(data))
        for _ in range(run.repetitions + 2):
            with Flagd(run.build, data) as flagd:
                own.append(flagd.start_s * 1000)
            base.append(float(output_of(pinned(SERVER_CPU, [run.bench / "bench_cjson", file, 1 if run.brief else 5]))))
        size = file.stat().st_size
    ratio = median(a / b for a, b in zip(own, base))
    detail = f" ({median(own):.0f} ms to {median(base):.0f} ms; {size / 1e6:.1f} MB with the settings of 3 environments)"
    yield at_most(f"start with {flags} flags", 2, ratio, " x cJSON parsing their documents", detail)


def memory(run):
    resident = []
    for _ in range(run.repetitions):
        with Folder(run.build) as folder, Flagd(run.build, folder / "data") as flagd:
            flagd.ask("GET", "/readyz")
            resident.append(flagd.resident_kib() / 1024)
    yield at_most("resident memory of the idle daemon", 16, median(resident), " MiB")
    with Folder(run.build) as folder:
        library = folder / "libhalyard.so"
        shutil.copy(run.build / "client/libhalyard.so", library)
        output_of(["strip", library])
        yield at_most("libhalyard.so, stripped", 200, library.stat().st_size / 1024, " KiB", digits=0)


ROWS = {
    "evaluation": evaluation,
    "peers": peers,
    "ofrep": ofrep,
    "snapshot": snapshot,
    "change": change,
    "streams": streams,
    "store": store,
    "start": start,
    "memory": memory,
}
