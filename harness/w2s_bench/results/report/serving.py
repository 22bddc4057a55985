"""The page of a results folder on this machine's own address, made anew as the folder changes."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any, Final

from w2s_bench.errors import W2SBenchError
from w2s_bench.names import PROGRESS
from w2s_bench.record import digest_of
from w2s_bench.results.attestations import FOLDER as ATTESTATIONS
from w2s_bench.results.report.page import render, waiting
from w2s_bench.results.report.reading import read_folder
from w2s_bench.results.signatures import FOLDER as SIGNATURES
from w2s_bench.text import one_line, shortened
from w2s_bench.types import JSON
from w2s_bench.untrusted import UnreadableError, parse_json, read_text

#: Nobody but this machine's users reaches the server.
HOST: Final = "127.0.0.1"
PORT: Final = 8765
_MOST_STATE: Final = 64 << 10
#: A run beside it needs the processors: making the page may take a tenth of the time.
_LEAST_WAIT, _SHARE = 2.0, 10.0
#: A run that has not said anything for so long has ended without a word.
_SILENT: Final = 120.0


class Live:
    """A folder and the page of it, which is made anew where the folder has changed, but not too often."""

    def __init__(self, results: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.results, self._clock = results, clock
        self._lock = Lock()
        self._version, self._page = "", ""
        self._next = 0.0

    def version(self) -> str:
        """Names what the folder holds: other files, or other contents, another version. Between pages it is the last one's."""
        with self._lock:
            return self._due()

    def page(self) -> str:
        """The page of the folder as it is; of one that cannot be shown, why."""
        with self._lock:
            version = self._due()
            if version != self._version:
                began = self._clock()
                self._page, self._version = self._made(version), version
                now = self._clock()
                self._next = now + max(_LEAST_WAIT, _SHARE * (now - began))
            return self._page

    def state(self) -> JSON:
        """What the page asks for: the version to show, and how a run is getting on."""
        return {"version": self.version(), "told": self._told()}

    def _due(self) -> str:
        return self._version if self._version and self._clock() < self._next else _version_of(self.results)

    def _made(self, version: str) -> str:
        try:
            return render([read_folder(self.results)], live={"version": version})
        except (W2SBenchError, OSError) as error:
            return waiting(f"{error}. This page fills as soon as a run writes there.", {"version": version})

    def _told(self) -> str:
        """What a run into this folder says of itself; nothing where none does."""
        path = self.results / PROGRESS
        try:
            if time.time() - path.lstat().st_mtime > _SILENT:
                return ""
            told = parse_json(read_text(path, _MOST_STATE, follow=False))
        except (OSError, UnreadableError):
            return ""
        return shortened(one_line(told), 1000) if isinstance(told, str) else ""


def _version_of(results: Path) -> str:
    """Of the files that the page is made of; one that goes away meanwhile is none."""
    files = []
    for path in (results / "suite.yaml", *sorted((results / "results").glob("*/*.json")), *_claims(results)):
        try:
            stat = path.lstat()
        except OSError:
            continue
        files.append([str(path), stat.st_mtime_ns, stat.st_size])
    return digest_of(files)


def _claims(results: Path) -> list[Path]:
    """What others say of the cells."""
    return [path for folder in (ATTESTATIONS, SIGNATURES) for path in sorted((results / folder).glob("*.json*"))]


class _Handler(BaseHTTPRequestHandler):
    """Two addresses: the page, and its state. No file of the machine is ever given out."""

    live: Live
    server_version = "w2s-bench"
    sys_version = ""

    def do_GET(self) -> None:
        # Somebody else's page reaches this server under a name of its own, and would read the board.
        name = (self.headers.get("Host") or "").rpartition(":")[0]
        if name not in (HOST, "localhost"):
            self._answer(HTTPStatus.FORBIDDEN, "text/plain", "ask for 127.0.0.1 or localhost")
        elif self.path == "/":
            self._answer(HTTPStatus.OK, "text/html", self.live.page())
        elif self.path == "/state":
            self._answer(HTTPStatus.OK, "application/json", json.dumps(self.live.state()))
        else:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", "there is nothing here but /")

    def do_HEAD(self) -> None:
        self.do_GET()

    def _answer(self, status: HTTPStatus, content_type: str, text: str) -> None:
        content = text.encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": f"{content_type}; charset=utf-8",
            "Content-Length": str(len(content)),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
            "X-Frame-Options": "DENY",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            try:
                self.wfile.write(content)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the reader has left

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a page that asks every two seconds would fill the terminal."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # On Windows this would let a second server take a port that is in use. Elsewhere it frees the port of a server that has
    # just ended.
    allow_reuse_address = os.name == "posix"


def open_server(results: Path, port: int | None) -> ThreadingHTTPServer:
    """A server of this folder that listens already, at `port`, or else at the usual one or a free one."""
    handler = type("Handler", (_Handler,), {"live": Live(results)})
    for tried in (PORT, 0) if port is None else (port,):
        try:
            return _Server((HOST, tried), handler)
        except (OSError, OverflowError) as error:
            if tried and port is None:
                continue
            raise W2SBenchError(
                f"cannot listen on port {tried} of {HOST}: {getattr(error, 'strerror', None) or error}; "
                "give another --port, or none for a free one"
            ) from error
    raise AssertionError("port 0 is always tried last")


def address_of(server: ThreadingHTTPServer) -> str:
    """Where a browser finds it."""
    return f"http://{HOST}:{server.server_port}/"
