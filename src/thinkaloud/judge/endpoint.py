"""One request to an OpenAI-compatible endpoint: limits of time and size, and what a failure means.

The standard library's client does: a request takes seconds, so what a connection costs is no matter. Proxies come from
the environment, as everywhere. Redirects are refused: they would carry the key elsewhere.
"""

from __future__ import annotations

import contextlib
import email.utils
import http.client
import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from thinkaloud.config import JudgeConfig
from thinkaloud.judge.rubric import SCHEMA, Messages

MAX_BODY_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 16

_SCHEMA_FORMAT = {"type": "json_schema", "json_schema": {"name": "marks", "strict": True, "schema": SCHEMA}}
FORMS: tuple[dict[str, Any], ...] = (
    {"temperature": 0, "limit": "max_tokens", "response_format": _SCHEMA_FORMAT},
    {"temperature": 0, "limit": "max_tokens", "response_format": {"type": "json_object"}},
    {"temperature": 0, "limit": "max_tokens"},
    {"limit": "max_completion_tokens", "response_format": _SCHEMA_FORMAT},
    {"temperature": 0, "limit": "max_tokens", "one_message": True},
)
"""How a request may be put, the best first: servers refuse what they do not know with 400 or 422. The last but one is
for models that refuse a temperature, the last for those without a system message (Gemma 2, `thinkaloud serve`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a judge said, and the tokens that it took as the endpoint counts them (0 where it does not)."""

    content: str
    tokens: int
    calls: int
    """Requests that were made for it."""


class Failed(Exception):
    """A request that came to nothing.

    Attributes:
        again: trying again may help.
        final: no other request would fare better: a wrong key, a wrong address.
        down: it says that the endpoint is not well, rather than that one text was not to its taste.
        busy: it is down for being asked too much, which need not mean more than that.
        wait_seconds: what the endpoint asks to wait, if it does.
        tokens: what it cost all the same.
        calls: requests that were made.
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
    ) -> None:
        super().__init__(message)
        self.again, self.final, self.down, self.busy = again, final, down, busy
        self.wait_seconds, self.tokens = wait_seconds, tokens
        self.calls = 1


class _Refused(Failed):
    """The server does not take the request as it is put."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


class Endpoint:
    """Where the judge is asked; may be used by several threads.

    Args:
        config: address, model, limits.
        key: sent as a bearer token; it appears in no message.
    """

    def __init__(self, config: JudgeConfig, key: str | None) -> None:
        self._config, self._key = config, key
        self._url = config.base_url.rstrip("/") + "/chat/completions"
        self._opener = urllib.request.build_opener(_NoRedirect())
        self._forms: tuple[dict[str, Any], ...] = FORMS

    def ask(self, messages: Messages) -> Reply:
        """The reply to some messages. The first form of request that is taken is the one of all later calls.

        Raises:
            Failed: there is none.
        """
        forms = self._forms
        for number, form in enumerate(forms, start=1):
            try:
                content, tokens = self._post(messages, form)
            except _Refused as error:
                error.calls = number
                if number == len(forms):
                    raise
            except Failed as error:
                error.calls = number
                raise
            else:
                self._forms = (form,)
                return Reply(content=content, tokens=tokens, calls=number)
        raise AssertionError("there is no form of request")

    def _post(self, messages: Messages, form: dict[str, Any]) -> tuple[str, int]:
        asked = {key: value for key, value in form.items() if key not in ("limit", "one_message")}
        if form.get("one_message"):
            messages = [{"role": "user", "content": "\n\n".join(message["content"] for message in messages)}]
        asked |= {"model": self._config.model, "messages": messages, form["limit"]: self._config.max_reply_tokens}
        headers = {"Content-Type": "application/json", "User-Agent": "thinkaloud"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        request = urllib.request.Request(self._url, json.dumps(asked).encode(), headers, method="POST")
        ends = time.monotonic() + self._config.timeout_seconds
        try:
            with self._opener.open(request, timeout=self._config.timeout_seconds) as response:
                body = _read(response, ends)
        except urllib.error.HTTPError as error:
            with error:
                raise self._status(error) from None
        except (OSError, http.client.HTTPException) as error:
            raise self._no_reply(error) from None
        return self._content(body)

    def _status(self, error: urllib.error.HTTPError) -> Failed:
        """What a status that is no success means."""
        text = ""
        with contextlib.suppress(OSError, http.client.HTTPException):
            text = _message(error.read(_CHUNK_BYTES))
        said = f"{self._url} says {error.code}" + (f": {self.plain(text)}" if text else "")
        if error.code in (400, 422):
            return _Refused(said)
        if error.code in (401, 403):
            remedy = "judge.api_key_env must name an environment variable that holds a key for it"
            return Failed(f"{said}; {remedy}", final=True)
        if error.code == 404:
            return Failed(
                f"{said}; see whether judge.base_url ends as it must (often /v1), and judge.model", final=True
            )
        if error.code < 400 or error.code in (402, 405):
            return Failed(f"{said}; see whether judge.base_url is where an OpenAI-compatible API answers", final=True)
        if error.code in (408, 409, 425, 429) or error.code >= 500:
            wait_seconds = _retry_after(error.headers.get("Retry-After"))
            return Failed(said, again=True, down=True, busy=error.code == 429, wait_seconds=wait_seconds)
        return Failed(said)

    def _no_reply(self, error: Exception) -> Failed:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            what = f"no reply within judge.timeout_seconds = {self._config.timeout_seconds:g}"
        else:
            what = self.plain(str(getattr(reason, "strerror", None) or reason or type(reason).__name__))
        return Failed(f"{self._url}: {what}", again=True, down=True)

    def _content(self, body: bytes) -> tuple[str, int]:
        """The text of a reply, and the tokens it took."""
        try:
            found = json.loads(body)
            message = found["choices"][0]["message"]["content"]
            finish = found["choices"][0].get("finish_reason")
        except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
            what = self.plain(body[:200].decode("utf-8", "replace"))
            message = f"{self._url} gives no chat completion but {what!r}"
            raise Failed(message, again=True, down=True) from None
        usage = found.get("usage")
        count = usage.get("total_tokens") if isinstance(usage, dict) else 0
        tokens = count if isinstance(count, int) and 0 <= count < 1 << 32 else 0
        if finish == "length":
            limit = self._config.max_reply_tokens
            raise Failed(f"the reply was cut at judge.max_reply_tokens = {limit}", again=True, tokens=tokens)
        if not isinstance(message, str):
            raise Failed("the reply has no text", again=True, tokens=tokens)
        return message, tokens

    def plain(self, text: str) -> str:
        """One short line of printable text without the key, whatever a server says."""
        if self._key:
            text = text.replace(self._key, "…")
        return "".join(c if c.isprintable() else " " for c in " ".join(text.split()))[:160]


def _read(response: Any, ends: float) -> bytes:
    """A body of a limited size that has come by a given time; some servers send a blank now and then as they work."""
    body = bytearray()
    while chunk := response.read1(_CHUNK_BYTES):
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise http.client.HTTPException(f"a reply of more than {MAX_BODY_BYTES >> 20} MiB")
        if time.monotonic() > ends:
            raise TimeoutError
    return bytes(body)


def _message(body: bytes) -> str:
    """The message in an error's body, or the body."""
    try:
        found = json.loads(body)
        error = found.get("error", found)
        text = error.get("message", "") if isinstance(error, dict) else error
        return text if isinstance(text, str) else ""
    except (ValueError, RecursionError, AttributeError):
        return body.decode("utf-8", "replace")


def _retry_after(value: str | None) -> float | None:
    """Seconds, given as a number or as a date; None for anything else."""
    if value is None:
        return None
    try:
        if value.strip().isascii() and value.strip().isdigit():
            return float(value)
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
