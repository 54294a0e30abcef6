"""Sockets: routes, limits, server-sent events. The standard library's threading server; one thread a connection.

There is no TLS here, and a key only where THINKALOUD_API_KEY sets one: on any other address than loopback, put a proxy
in front. Requests must be `application/json` and, on loopback, name a loopback host, so that no web page that happens
to be open can use the model.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import os
import secrets
import select
import socket
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from thinkaloud.errors import UserError
from thinkaloud.inference.batcher import Batcher, Job
from thinkaloud.inference.deltas import Splitter, StopStrings
from thinkaloud.inference.protocol import BadRequest, ChatRequest, Choice, chunk, completion, parse_request, usage
from thinkaloud.inference.stepping import Stepper
from thinkaloud.model.lora import Adapter
from thinkaloud.rollout.policy import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one server takes on.

    `max_requests` are those in flight, queue included; `max_batch` counts completions decoded at once;
    `timeout_seconds` is how long a client may take to send its request or to take a piece of the answer.
    """

    max_new_tokens: int
    max_prompt_tokens: int
    max_requests: int = 32
    max_batch: int = 16
    max_body_bytes: int = 1 << 20
    timeout_seconds: float = 30.0
    tokens_at_once: int = 8
    gather_seconds: float = 0.01


class Server(ThreadingHTTPServer):
    """A server of one model; `serve_forever` and `shutdown` as in the standard library, `server_close` frees it all."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], policy: Policy, adapter: Adapter, name: str, limits: Limits) -> None:
        self.policy, self.name, self.limits = policy, name, limits
        self.key = os.environ.get("THINKALOUD_API_KEY", "").encode()
        self.only_local = _is_loopback(address[0])
        self.created = int(time.time())
        self._connections = threading.BoundedSemaphore(4 * limits.max_requests)
        self.places = threading.BoundedSemaphore(limits.max_requests)
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        self.batcher = Batcher(
            Stepper(policy, adapter),
            stop_ids=policy.contract.stop_ids,
            max_batch=limits.max_batch,
            tokens_at_once=limits.tokens_at_once,
            gather_seconds=limits.gather_seconds,
            new_seed=lambda: secrets.randbits(64),
        )
        super().__init__(address, Handler)  # closes again what is made above where the address cannot be had

    def server_close(self) -> None:
        super().server_close()
        self.batcher.close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """One thread a connection, so many at most; further ones are closed unread."""
        if not self._connections.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error; anything else is a bug, and shown."""
        import sys

        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "thinkaloud"
    sys_version = ""

    def setup(self) -> None:
        super().setup()
        self.connection.settimeout(self.server.limits.timeout_seconds)

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: questions are the users' own."""

    def do_GET(self) -> None:
        """`/v1/models`, `/health`."""
        try:
            self._check_client()
            if self.path == "/health":
                self._json(200, {"status": "ok"})
            elif self.path == "/v1/models":
                model = {"id": self.server.name, "object": "model", "created": self.server.created}
                self._json(200, {"object": "list", "data": [{**model, "owned_by": "thinkaloud"}]})
            else:
                raise BadRequest(f"there is no {self.path[:100]}", status=404, code="not_found")
        except BadRequest as error:
            self._json(error.status, error.body)

    def do_POST(self) -> None:
        """`/v1/chat/completions`."""
        try:
            self._check_client()
            if self.path != "/v1/chat/completions":
                raise BadRequest(f"there is no {self.path[:100]} to post to", status=404, code="not_found")
            body = self._body()
            if not self.server.places.acquire(blocking=False):
                raise BadRequest(
                    f"{self.server.limits.max_requests} requests are being served, which is the limit; try again",
                    status=429,
                    code="rate_limit_exceeded",
                    kind="rate_limit_error",
                )
            try:
                self._complete(body)
            finally:
                self.server.places.release()
        except BadRequest as error:
            self._json(error.status, error.body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the standard library refuses (a bad request line, another method) as JSON too."""
        self.close_connection = True
        said = message or HTTPStatus(code).phrase
        self._json(code, BadRequest(said, status=code).body)

    def _check_client(self) -> None:
        host = self.headers.get("Host", "")
        if self.server.only_local and not _is_loopback(host.rsplit(":", 1)[0] if not host.endswith("]") else host):
            self.close_connection = True
            raise BadRequest("expected a loopback host in the Host header", status=403, code="forbidden")
        given = self.headers.get("Authorization", "").removeprefix("Bearer ").encode("utf-8", "replace")
        if self.server.key and not hmac.compare_digest(given, self.server.key):
            self.close_connection = True
            raise BadRequest(
                "expected the key of this server as a bearer token",
                status=401,
                code="invalid_api_key",
                kind="authentication_error",
            )

    def _body(self) -> bytes:
        limit = self.server.limits.max_body_bytes
        self.close_connection = True  # unless all of it is read, what follows is no request line
        if self.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
            raise BadRequest("expected Content-Type: application/json", status=415)
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit():
            raise BadRequest("expected a Content-Length", status=411)
        if int(length[:20]) > limit:
            raise BadRequest(f"expected a body of at most {limit} bytes, found {length[:20]}", status=413)
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise BadRequest("the body ended early")
        self.close_connection = self.headers.get("Connection", "").lower() == "close"
        return body

    def _complete(self, body: bytes) -> None:
        limits, contract = self.server.limits, self.server.policy.contract
        asked = parse_request(body, model=self.server.name, max_new_tokens=limits.max_new_tokens)
        prompt = contract.encode(asked.question)
        if len(prompt) > limits.max_prompt_tokens:
            raise BadRequest(
                f"expected a prompt of at most {limits.max_prompt_tokens} tokens, found {len(prompt)}",
                param="messages",
                code="context_length_exceeded",
            )
        job = Job(asked, prompt)
        identity, created = f"chatcmpl-{secrets.token_hex(12)}", int(time.time())
        self.server.batcher.submit(job)
        try:
            if asked.stream:
                self._stream(job, identity, created)
            else:
                self._json(200, completion(identity, created, self.server.name, len(prompt), self._choices(job)))
        finally:
            job.enough.set()

    def _choices(self, job: Job) -> list[Choice]:
        """Wait for whole completions, and part them as training does."""
        contract = self.server.policy.contract
        texts = [_Text(self.server, job.request) for _ in range(job.request.choices)]
        for rows in self._updates(job):
            for text, row in zip(texts, rows, strict=True):
                text.take(row.tokens, row.finish, row.num_tokens)
            if all(text.finish for text in texts):
                break
        choices = []
        for text in texts:
            parsed = contract.parse(text.text, truncated=text.finish == "length")
            reason = str(parsed.reason) if parsed.reason else None
            content = text.text if parsed.answer is None else parsed.answer
            choices.append(Choice(content, parsed.reasoning, text.finish or "stop", reason, text.num_tokens))
        return choices

    def _stream(self, job: Job, identity: str, created: int) -> None:
        name, count = self.server.name, job.request.choices
        texts = [_Text(self.server, job.request) for _ in range(count)]
        splitters = [Splitter(self.server.policy.contract.tags) for _ in range(count)]
        begun: bool = False
        for rows in self._updates(job):
            if not begun:  # only now, so that a failure before the first token is an error with its status
                self._begin_stream()
                for index in range(count):
                    self._event(chunk(identity, created, name, index, {"role": "assistant", "content": ""}))
                begun = True
            for index, (text, splitter, row) in enumerate(zip(texts, splitters, rows, strict=True)):
                if text.finish:
                    continue
                whole = text.take(row.tokens, row.finish, row.num_tokens)
                for part, piece in splitter.push(text.text, final=whole):
                    self._event(chunk(identity, created, name, index, {part: piece}))
                if whole:
                    self._event(chunk(identity, created, name, index, {}, text.finish))
            if all(text.finish for text in texts):
                break
        if job.request.stream_usage:
            total = usage(len(job.prompt), sum(text.num_tokens for text in texts))
            self._event({**chunk(identity, created, name, 0, {}), "choices": [], "usage": total})
        self._frame(b"data: [DONE]\n\n")
        self._frame(b"")

    def _updates(self, job: Job) -> Any:
        """The job's updates, until the client has gone away."""
        try:
            for rows in job.updates():
                if _has_gone(self.connection):
                    raise ConnectionAbortedError("the client went away")
                yield rows
        except RuntimeError as error:
            raise BadRequest(f"the model failed: {error}", status=500, kind="server_error") from error

    def _json(self, status: int, value: Any) -> None:
        data = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        if status == 429:
            self.send_header("Retry-After", "1")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)

    def _begin_stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _event(self, value: Any) -> None:
        self._frame(b"data: " + json.dumps(value, ensure_ascii=False).encode("utf-8", "replace") + b"\n\n")

    def _frame(self, data: bytes) -> None:
        """One piece of a chunked body; an empty one ends it."""
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()


class _Text:
    """The text of one choice as it grows, cut at the client's stop strings."""

    def __init__(self, server: Server, asked: ChatRequest) -> None:
        self._decode = server.policy.contract.tokenizer.decode
        self._stops = StopStrings(asked.stop)
        self.text, self.finish, self.num_tokens = "", "", 0

    def take(self, tokens: tuple[int, ...], finish: str | None, num_tokens: int) -> bool:
        """The newest state of the row; True once the text is whole, and stays as it is."""
        if self.finish:
            return True
        self.text = self._stops.safe(self._decode(tokens, keep_special=True), final=finish is not None)
        self.num_tokens = num_tokens
        self.finish = "stop" if self._stops.found else finish or ""
        return bool(self.finish)


def _has_gone(connection: socket.socket) -> bool:
    """True where the other side has closed: reading would give nothing."""
    try:
        readable, _, _ = select.select([connection], [], [], 0)
        return bool(readable) and connection.recv(1, socket.MSG_PEEK) == b""
    except (OSError, ValueError):
        return True


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def open_server(
    policy: Policy, adapter: Adapter, *, name: str, limits: Limits, host: str = "127.0.0.1", port: int = 8000
) -> Server:
    """A server that listens, and answers once `serve_forever` runs.

    Args:
        policy: the model behind its contract.
        adapter: of the stage that is served; {} for the base.
        name: what the model is called in requests and responses.
        limits: what it takes on.
        host: the address; loopback unless others are to reach it.
        port: 0 for any that is free.

    Raises:
        UserError: the limits do not fit the model, or the address cannot be had.
    """
    context = policy.model.config.max_position
    if limits.max_prompt_tokens + limits.max_new_tokens > context:
        raise UserError(
            f"the prompt may have {limits.max_prompt_tokens} tokens and the answer {limits.max_new_tokens}, but the "
            f"model attends to {context} in all; lower --max-new-tokens"
        )
    try:
        return Server((host, port), policy, adapter, name, limits)
    except (OSError, OverflowError) as error:
        raise UserError(
            f"cannot listen on {host} port {port}: {error.strerror if isinstance(error, OSError) else error}; choose "
            "another with --host and --port"
        ) from error
