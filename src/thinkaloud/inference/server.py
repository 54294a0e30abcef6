"""uvicorn behind an open socket: timeouts, shutdown, and a server that tests can stop."""

from __future__ import annotations

import logging
import socket
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from thinkaloud.errors import UserError
from thinkaloud.inference.batch import Limits
from thinkaloud.inference.routes import ChatCompletions, build_app
from thinkaloud.model.lora import Adapter
from thinkaloud.rollout.policy import Policy


class Connection(H11Protocol):
    """Closes connections that send no request for `timeout_keep_alive` seconds; uvicorn waits for the first one."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._limit_wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._limit_wait()

    def _limit_wait(self) -> None:
        waiting = self.cycle is None or self.cycle.response_complete
        if waiting and self.timeout_keep_alive_task is None and not self.transport.is_closing():
            seconds = self.timeout_keep_alive
            self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)


class Server(uvicorn.Server):
    """A listening server of one model; leaving the block closes the socket."""

    def __init__(self, chat: ChatCompletions, listener: socket.socket, host: str) -> None:
        limits = chat.limits
        config = uvicorn.Config(
            build_app(chat, host=host),
            loop="asyncio",
            http=Connection,
            ws="none",
            lifespan="on",
            log_config=None,
            log_level="error",  # questions are private, and bad requests are the client's problem
            access_log=False,
            proxy_headers=False,
            server_header=False,
            headers=[("server", "thinkaloud")],
            limit_concurrency=4 * limits.max_requests,
            timeout_keep_alive=round(limits.timeout_seconds),
            timeout_graceful_shutdown=round(limits.timeout_seconds),
        )
        super().__init__(config)
        logging.getLogger("uvicorn.error").addFilter(self._should_log)
        self.chat, self._listener = chat, listener
        self.port: int = listener.getsockname()[1]

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        logging.getLogger("uvicorn.error").removeFilter(self._should_log)

    def _should_log(self, record: logging.LogRecord) -> bool:
        return not self.force_exit  # a second Ctrl-C cancels all tasks; their tracebacks are of no use

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until Ctrl-C or `should_exit`. Requests in flight then have `timeout_seconds` to complete; a second
        Ctrl-C ends them at once.
        """
        super().run(sockets or [self._listener])


def open_server(
    policy: Policy, adapter: Adapter, *, name: str, limits: Limits, host: str = "127.0.0.1", port: int = 8000
) -> Server:
    """A server that listens; it answers once `run` is called.

    Args:
        policy: The model behind its contract.
        adapter: Of the stage that is served; {} for the base model.
        name: The model's name in requests and responses.
        limits: What it accepts.
        host: The address to listen on; loopback unless other machines are to reach it.
        port: 0 for any that is free.

    Raises:
        UserError: The limits do not fit the model, or the address is not available.
    """
    context = policy.model.config.max_position
    if limits.max_prompt_tokens + limits.max_new_tokens > context:
        raise UserError(
            f"the prompt may have {limits.max_prompt_tokens} tokens and the answer {limits.max_new_tokens}, but the "
            f"model attends to {context} in all; lower --max-new-tokens"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=128)
    except (OSError, OverflowError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise UserError(
            f"cannot listen on {host} port {port}: {reason}; choose another with --host and --port"
        ) from error
    return Server(ChatCompletions(policy, adapter, name, limits), listener, host)
