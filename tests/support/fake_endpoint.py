"""An OpenAI-compatible endpoint on loopback with scripted replies, which records its requests."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class CannedReply:
    """One reply: a chat completion that holds `content`, or `body` as it is."""

    content: str | None = '{"reasoning": 7, "answer": 6, "overall": 8}'
    status: int = 200
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    finish: str = "stop"


Reply = Callable[[int, dict[str, Any]], CannedReply]
"""The reply to a request, given its number (from 0) and its body."""


@dataclass
class Fake:
    """The endpoint as a test sees it."""

    url: str
    reply: Reply
    asked: list[dict[str, Any]] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def calls(self) -> int:
        return len(self.asked)


@contextmanager
def serving(reply: Reply = lambda number, asked: CannedReply()) -> Iterator[Fake]:
    """Serve until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with fake.lock:
                number = len(fake.asked)
                fake.asked.append({**asked, "path": self.path})
                fake.authorizations.append(self.headers["Authorization"])
                fake.at_once += 1
                fake.most_at_once = max(fake.most_at_once, fake.at_once)
            canned = fake.reply(number, asked)
            time.sleep(canned.seconds)
            body = canned.body if canned.body is not None else json.dumps(completion(canned)).encode()
            with fake.lock:
                fake.at_once -= 1
            try:
                self.send_response(canned.status)
                for name, value in {"Content-Type": "application/json", **canned.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                pass  # the client has disconnected

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake = Fake(f"http://127.0.0.1:{server.server_address[1]}/v1", reply)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def completion(reply: CannedReply) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": reply.content}, "finish_reason": reply.finish}
    return {"choices": [choice], "usage": {"total_tokens": 100}}
