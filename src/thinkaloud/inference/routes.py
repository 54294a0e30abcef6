"""Routes of the server, on Starlette: chat completions, models, health.

There is no TLS, and authentication only where THINKALOUD_API_KEY sets a key: on any other address than loopback, put a
proxy in front. Requests must be `application/json` and, on loopback, have a loopback `Host`, so that no web page in a
browser on this machine can use the model.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from thinkaloud.inference.batch import Batcher, Job, Limits
from thinkaloud.inference.deltas import Choice
from thinkaloud.inference.protocol import ApiError, Reply, parse_request
from thinkaloud.model.lora import Adapter
from thinkaloud.rollout.decode_batch import Decoder
from thinkaloud.rollout.policy import Policy
from thinkaloud.rollout.sampling import GREEDY


class ChatCompletions:
    """The ASGI application of `/v1/chat/completions`."""

    def __init__(self, policy: Policy, adapter: Adapter, name: str, limits: Limits) -> None:
        self.contract, self.name, self.limits = policy.contract, name, limits
        stop_ids = policy.contract.stop_ids
        decoder = Decoder.build(policy.model, adapter, policy.scale, sampling=GREEDY, stop_ids=stop_ids, seed=0)
        self.batcher = Batcher(decoder, limits)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        asked = parse_request(await self._body(request), model=self.name, max_new_tokens=self.limits.max_new_tokens)
        prompt, limit = self.contract.encode(asked.question), self.limits.max_prompt_tokens
        if len(prompt) > limit:
            message = f"expected a prompt of at most {limit} tokens, found {len(prompt)}"
            raise ApiError(message, param="messages", code="context_length_exceeded")
        reply = Reply(self.name, len(prompt))
        choices = [Choice(self.contract, asked.stop, asked.limit) for _ in range(asked.n)]
        with self.batcher.submitted(asked, prompt) as job:
            events = self._events(job, reply, choices)
            first = await anext(events)  # a failure before the first token has an HTTP status of its own
            response: Response
            if asked.stream:
                body = _errors_as_events(first, events)
                response = StreamingResponse(
                    body, media_type="text/event-stream", headers={"Cache-Control": "no-store"}
                )
            else:
                async for _ in events:
                    if await request.is_disconnected():
                        return
                response = JSONResponse(reply.whole(choices))
            await response(scope, receive, send)

    async def _body(self, request: Request) -> bytes:
        limit = self.limits.max_body_bytes
        too_large = ApiError(f"expected a body of at most {limit} bytes", status=413)
        if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
            raise ApiError("expected Content-Type: application/json", status=415)
        if int(request.headers.get("Content-Length", 0)) > limit:
            raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout(self.limits.timeout_seconds):
                async for piece in request.stream():
                    body += piece
                    if len(body) > limit:
                        raise too_large
        except TimeoutError:
            raise ApiError("the request body did not arrive in time", status=408) from None
        return bytes(body)

    async def _events(self, job: Job, reply: Reply, choices: list[Choice]) -> AsyncIterator[str]:
        """Server-sent events, one item per decode call. A request that does not stream only waits for the last one."""
        events = [reply.chunk(index, {"role": "assistant", "content": ""}) for index in range(len(choices))]
        growing = dict(enumerate(choices))
        async for rows in job.updates():
            for index, choice in list(growing.items()):
                if delta := choice.push(rows[index]):
                    events.append(reply.chunk(index, delta))
                if choice.finish:
                    events.append(reply.chunk(index, {}, finish_reason=choice.finish, format=choice.format))
                    del growing[index]
            yield "".join(map(_event, events))
            if not growing:
                break
            events = []
        if job.request.stream_options.include_usage:
            yield _event(reply.usage_chunk(choices))
        yield "data: [DONE]\n\n"


async def _errors_as_events(first: str, events: AsyncIterator[str]) -> AsyncIterator[str]:
    """A stream that has begun reports a failure as its last event."""
    yield first
    try:
        async for event in events:
            yield event
    except ApiError as error:
        yield _event(error.body)


def _event(value: dict[str, Any]) -> str:
    return f"data: {json.dumps(value)}\n\n"


def error_response(error: ApiError) -> Response:
    """OpenAI's error object. The connection is closed: the request's body may be unread."""
    retry = {"Retry-After": "1"} if error.status == 429 else {}
    return JSONResponse(error.body, error.status, {"Connection": "close", **retry})


class Guard:
    """Middleware: checks `Host` and key before anything else, and limits how long a client may take to accept data."""

    def __init__(self, app: ASGIApp, *, key: str, only_local: bool, timeout_seconds: float) -> None:
        self._app, self._key = app, key.encode()
        self._only_local, self._timeout_seconds = only_local, timeout_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(self._timeout_seconds):
                await send(message)

        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif error := self._refusal(Request(scope)):
            await error_response(error)(scope, receive, send)
        else:
            with suppress(TimeoutError):  # uvicorn closes the connection
                await self._app(scope, receive, send_in_time)

    def _refusal(self, request: Request) -> ApiError | None:
        host = request.headers.get("Host", "")
        if self._only_local and not is_loopback(host if host.endswith("]") else host.rpartition(":")[0] or host):
            return ApiError("expected a loopback host in the Host header", status=403, code="forbidden")
        given = request.headers.get("Authorization", "").removeprefix("Bearer ").encode("utf-8", "replace")
        if self._key and not hmac.compare_digest(given, self._key):
            message = "expected this server's key as a bearer token"
            return ApiError(message, status=401, code="invalid_api_key", kind="authentication_error")
        return None


def is_loopback(host: str) -> bool:
    """True for `localhost` and for loopback addresses, without their port."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def build_app(chat: ChatCompletions, *, host: str) -> Starlette:
    """The application; it decodes from startup to shutdown.

    Args:
        chat: The model and its limits.
        host: The address that it listens on; requests to a loopback address must name a loopback host.
    """
    listed = {"id": chat.name, "object": "model", "created": int(time.time()), "owned_by": "thinkaloud"}

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def models(request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [listed]})

    async def on_error(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException):
            error = ApiError(f"{request.method} {request.url.path[:100]}: {error.detail}", status=error.status_code)
        assert isinstance(error, ApiError)
        return error_response(error)

    async def on_disconnect(request: Request, error: Exception) -> Response:
        return Response(status_code=499)  # nobody reads it

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        decoding = asyncio.create_task(chat.batcher.run())
        yield
        decoding.cancel()

    app = Starlette(
        routes=[
            Route("/health", health),
            Route("/v1/models", models),
            Route("/v1/chat/completions", chat, methods=["POST"]),
        ],
        middleware=[
            Middleware(
                Guard,
                key=os.environ.get("THINKALOUD_API_KEY", ""),
                only_local=is_loopback(host),
                timeout_seconds=chat.limits.timeout_seconds,
            )
        ],
        exception_handlers={ApiError: on_error, HTTPException: on_error, ClientDisconnect: on_disconnect},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return app
