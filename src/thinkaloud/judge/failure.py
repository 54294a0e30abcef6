"""What a failed request means."""

from __future__ import annotations


class Failed(Exception):
    """A request without usable marks.

    Attributes:
        again: A retry may succeed.
        final: No other request can succeed either: a wrong key, a wrong address.
        down: The endpoint itself has a problem, rather than this one reply.
        busy: It is down with 429, which a retry alone may cure.
        wait_seconds: How long the endpoint asks to wait, if it does.
        tokens: What the request cost nevertheless.
        calls: Requests that were made.
    """

    def __init__(
        self,
        message: str,
        *,
        again: bool = False,
        final: bool = False,
        down: bool = False,
        busy: bool = False,
        wait_seconds: float | None = None,
        tokens: int = 0,
        calls: int = 1,
    ) -> None:
        super().__init__(message)
        self.again, self.final, self.down, self.busy = again, final, down, busy
        self.wait_seconds, self.tokens, self.calls = wait_seconds, tokens, calls


class FormRefused(Failed):
    """The server does not accept the request in this form."""
