#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Creates the segments and flags of a catalogue file that flagd does not have yet; leaves the others alone.

Usage: catalogue.py FILE [URL [TOKEN_FILE]], by default http://127.0.0.1:8016 and halyard-data/owner.token
"""
import http.client
import json
import sys
from pathlib import Path
from urllib.parse import urlsplit


class Daemon:
    """flagd over HTTP, with a token."""

    def __init__(self, url, token):
        self.connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def request(self, method, path, body=None):
        """Status and document of the answer."""
        self.connection.request(method, path, None if body is None else json.dumps(body), self.headers)
        answer = self.connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else None

    def expect(self, wanted, method, path, body=None):
        """The document; anything but the wanted status is raised with what flagd said."""
        status, document = self.request(method, path, body)
        if status != wanted:
            raise SystemExit(f"{method} {path}: {status} {problem_text(document)}")
        return document


def problem_text(document):
    document = document or {}
    place = f" at {document['path']}" if document.get("path") else ""
    return f"{document.get('detail') or document.get('title')}{place}"


def apply(daemon, catalogue):
    """Returns how many things were made and how many were there."""
    made, there = 0, 0
    for kind in ("segments", "flags"):
        for thing in catalogue.get(kind, []):
            status, document = daemon.request("POST", f"/api/v1/{kind}", thing)
            if status not in (201, 409):
                raise SystemExit(f"{thing.get('key')}: {status} {problem_text(document)}")
            made += status == 201
            there += status == 409
    return made, there


def main():
    if not 2 <= len(sys.argv) <= 4:
        raise SystemExit(__doc__)
    url = sys.argv[2] if len(sys.argv) > 2 else "http://127.0.0.1:8016"
    token = Path(sys.argv[3] if len(sys.argv) > 3 else "halyard-data/owner.token").read_text().strip()
    made, there = apply(Daemon(url, token), json.loads(Path(sys.argv[1]).read_text()))
    print(f"{made} made, {there} there already")


if __name__ == "__main__":
    main()
