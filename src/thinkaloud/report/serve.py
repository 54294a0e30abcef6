"""Serves the report of a run while it trains, on loopback only.

One page is kept in memory. It is rebuilt when the run's files have changed, at most once per `interval` seconds.
Nothing else is served and nothing is written; only GET and HEAD requests for 127.0.0.1 and localhost are answered.
"""

from __future__ import annotations

import hashlib
import http.server
import threading
import time
from http import HTTPStatus
from pathlib import Path

from thinkaloud.errors import UserError
from thinkaloud.report.page import page
from thinkaloud.report.run_data import load_run

_WATCHED = ("metrics.jsonl", "health.jsonl", "environment.json", "contract.json", "resolved.json", "eval")


class LivePage:
    """The current page of one run.

    Args:
        run: The run directory.
        interval: Minimum number of seconds between two builds.
    """

    def __init__(self, run: Path, interval: float | int) -> None:
        self._run, self._interval = run, interval
        self._lock = threading.Lock()
        self._seen: object = None
        self._built = 0.0
        self._body, self._tag = b"", ""

    def current(self) -> tuple[bytes, str]:
        """The page and its ETag; rebuilt if the files have changed and the last build is old enough.

        Raises:
            UserError: It is not a run directory, and no page was built before.
        """
        with self._lock:
            now = time.monotonic()
            if not self._body or now - self._built >= self._interval:
                seen = self._state()
                if seen != self._seen:
                    self._build()
                    self._seen = seen
                self._built = time.monotonic()
            return self._body, self._tag

    def _build(self) -> None:
        try:
            body = page(load_run(self._run), live_seconds=max(1, round(self._interval))).encode("utf-8", "replace")
        except UserError:
            if not self._body:
                raise
            return
        self._body, self._tag = body, f'"{hashlib.sha256(body).hexdigest()[:32]}"'

    def _state(self) -> object:
        """Size and modification time of every file that the page is built from."""
        files = [self._run / name for name in _WATCHED]
        files += [*sorted((self._run / "eval").glob("*.*")), self._run / "eval" / "contracts" / "summary.json"]
        state = []
        for file in files:
            try:
                about = file.stat()
            except OSError:
                continue
            state.append((str(file), about.st_size, about.st_mtime_ns))
        return state


class Server(http.server.ThreadingHTTPServer):
    """Serves one live page on 127.0.0.1.

    Args:
        live: The page.
        port: 0 for any free port.

    Raises:
        UserError: The port is in use.
    """

    daemon_threads = True
    request_queue_size = 16

    def __init__(self, live: LivePage, port: int) -> None:
        self.live = live
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except (OSError, OverflowError) as error:
            raise UserError(f"cannot listen on port {port} ({error}); choose another with --port, 0 for any") from None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class _Handler(http.server.BaseHTTPRequestHandler):
    server_version, sys_version = "thinkaloud", ""
    timeout = 30.0
    server: Server

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, format: str, *args: object) -> None:
        """No log: a page that polls for hours would fill the terminal."""

    def _answer(self, *, with_body: bool) -> None:
        host = self.headers.get("Host", "").rpartition(":")[0]
        if host not in ("127.0.0.1", "localhost"):  # DNS rebinding: a page on another host sends the request
            self._send(HTTPStatus.FORBIDDEN, b"use 127.0.0.1 or localhost\n", "text/plain", with_body=with_body)
        elif self.path.partition("?")[0] != "/":
            self._send(HTTPStatus.NOT_FOUND, b"the only page is /\n", "text/plain", with_body=with_body)
        else:
            self._page(with_body=with_body)

    def _page(self, *, with_body: bool) -> None:
        try:
            body, tag = self.server.live.current()
        except UserError as error:
            self._send(HTTPStatus.SERVICE_UNAVAILABLE, f"{error}\n".encode(), "text/plain", with_body=with_body)
            return
        if self.headers.get("If-None-Match") == tag:
            self._send(HTTPStatus.NOT_MODIFIED, b"", "text/html", tag=tag, with_body=False)
        else:
            self._send(HTTPStatus.OK, body, "text/html", tag=tag, with_body=with_body)

    def _send(self, status: HTTPStatus, body: bytes, kind: str, *, with_body: bool, tag: str = "") -> None:
        self.send_response(status)
        if status is not HTTPStatus.NOT_MODIFIED:
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
        for name, value in (
            ("ETag", tag),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("X-Frame-Options", "DENY"),
            ("Referrer-Policy", "no-referrer"),
        ):
            if value:
                self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def handle(self) -> None:
        """A client that disconnects during a response is not an error."""
        try:
            super().handle()
        except (ConnectionError, TimeoutError):
            self.close_connection = True
