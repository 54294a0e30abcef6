"""One request to an OpenAI-compatible endpoint, through the openai client: limits of time and size, and failures.

The client's own retries are off: every request counts in the budget and in the pauses, which `judge` decides. Proxies
come from the environment. Redirects are refused: they would carry the key elsewhere. Import this module only where
requests are made: openai takes most of a second to load.
"""

from __future__ import annotations

import email.utils
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import openai

from thinkaloud.config import JudgeConfig
from thinkaloud.judge.failure import Failed, FormRefused
from thinkaloud.judge.rubric import SCHEMA, Messages
from thinkaloud.storage.unicode import one_line

MAX_BODY_BYTES = 1 << 20

_SCHEMA_FORMAT = {"type": "json_schema", "json_schema": {"name": "marks", "strict": True, "schema": SCHEMA}}
FORMS: tuple[dict[str, Any], ...] = (
    {"temperature": 0, "limit": "max_tokens", "response_format": _SCHEMA_FORMAT},
    {"temperature": 0, "limit": "max_tokens", "response_format": {"type": "json_object"}},
    {"temperature": 0, "limit": "max_tokens"},
    {"limit": "max_completion_tokens", "response_format": _SCHEMA_FORMAT},
    {"temperature": 0, "limit": "max_tokens", "one_message": True},
)
"""Forms of a request, the best first: servers answer 400 or 422 to fields that they do not support. The last but one is
for models that refuse a temperature, the last for those without a system message (Gemma 2, `thinkaloud serve`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A reply, and the tokens that it took as the endpoint counts them (0 where it does not)."""

    content: str
    tokens: int
    calls: int
    """Requests that were made for it."""


class _LimitedBody(httpx2.SyncByteStream):
    """A response body of limited size, received by a given time (`time.monotonic`)."""

    def __init__(self, stream: httpx2.SyncByteStream, ends: float) -> None:
        self._stream, self._ends = stream, ends

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for piece in self._stream:
            size += len(piece)
            if size > MAX_BODY_BYTES:
                raise httpx2.ReadError(f"a reply of more than {MAX_BODY_BYTES >> 20} MiB")
            if time.monotonic() > self._ends:  # some servers send a blank now and then while they work
                raise httpx2.ReadTimeout("the reply took too long")
            yield piece

    def close(self) -> None:
        self._stream.close()


class Endpoint:
    """The endpoint of a judge or a teacher; several threads may use it.

    Args:
        config: Address, model, limits.
        key: Sent as a bearer token; it appears in no message.
        forms: Forms of a request, the best first.
        setting: What the recipe's keys begin with, for messages.
    """

    def __init__(
        self,
        config: JudgeConfig,
        key: str | None,
        *,
        forms: tuple[dict[str, Any], ...] = FORMS,
        setting: str = "judge.",
    ) -> None:
        self._config, self._key, self._setting = config, key, setting
        self._url = config.base_url.rstrip("/") + "/chat/completions"
        self._forms = forms
        client = httpx2.Client(
            follow_redirects=False,
            timeout=config.timeout_seconds,
            limits=httpx2.Limits(max_keepalive_connections=0),  # a request takes seconds, a connection milliseconds
            event_hooks={"request": [self._prepare], "response": [self._limit_body]},
        )
        self._client = openai.OpenAI(
            base_url=config.base_url,
            api_key=key or "none",  # `_prepare` removes it; without one, the client would read OPENAI_API_KEY
            max_retries=0,
            timeout=config.timeout_seconds,
            http_client=client,
            default_headers={"Accept-Encoding": "identity"},
        )

    def ask(self, messages: Messages) -> Reply:
        """The reply to some messages. The first form that the server accepts is used for all later calls.

        Raises:
            Failed: There is none.
        """
        forms = self._forms
        for number, form in enumerate(forms, start=1):
            try:
                content, tokens = self._post(messages, form)
            except Failed as error:
                error.calls = number
                if not isinstance(error, FormRefused) or number == len(forms):
                    raise
            else:
                self._forms = (form,)
                return Reply(content=content, tokens=tokens, calls=number)
        raise AssertionError("there is no form of request")

    def plain(self, text: str) -> str:
        """One short line of printable text without the key."""
        if self._key:
            text = text.replace(self._key, "…")
        return one_line(text)[:160]

    def _post(self, messages: Messages, form: dict[str, Any]) -> tuple[str, int]:
        body = {key: value for key, value in form.items() if key not in ("limit", "one_message")}
        if form.get("one_message"):
            messages = [{"role": "user", "content": "\n\n".join(message["content"] for message in messages)}]
        body |= {"model": self._config.model, "messages": messages, form["limit"]: self._config.max_reply_tokens}
        try:
            response = self._client.post("/chat/completions", cast_to=httpx2.Response, body=body)
        except openai.APIStatusError as error:
            raise self._status(error) from None
        except openai.APITimeoutError:
            what = f"no reply within {self._setting}timeout_seconds = {self._config.timeout_seconds:g}"
            raise Failed(f"{self._url}: {what}", again=True, down=True) from None
        except openai.APIConnectionError as error:
            what = self.plain(str(error.__cause__ or error))
            raise Failed(f"{self._url}: {what}", again=True, down=True) from None
        return self._content(response.content)

    def _prepare(self, request: httpx2.Request) -> None:
        """Start the clock, and send no credentials but ours: the client reads some from the environment."""
        request.extensions["ends"] = time.monotonic() + self._config.timeout_seconds
        for name in ("Authorization", "OpenAI-Organization", "OpenAI-Project"):
            request.headers.pop(name, None)
        if self._key:
            request.headers["Authorization"] = f"Bearer {self._key}"

    def _limit_body(self, response: httpx2.Response) -> None:
        response.headers.pop("Content-Encoding", None)  # a decompressed body could be of any size
        assert isinstance(response.stream, httpx2.SyncByteStream)
        response.stream = _LimitedBody(response.stream, response.request.extensions["ends"])

    def _status(self, error: openai.APIStatusError) -> Failed:
        """What an error status means."""
        code = error.status_code
        text = error.body.get("message") if isinstance(error.body, dict) else error.body
        message = f"{self._url} returned {code}" + (f": {self.plain(text)}" if isinstance(text, str) and text else "")
        if code in (400, 422):
            return FormRefused(message)
        if code in (401, 403):
            fix = f"{self._setting}api_key_env must name an environment variable that holds a valid key"
            return Failed(f"{message}; {fix}", final=True)
        if code == 404:
            return Failed(
                f"{message}; check {self._setting}model and the end of {self._setting}base_url (often /v1)", final=True
            )
        if code < 400 or code in (402, 405):
            return Failed(f"{message}; check that {self._setting}base_url is an OpenAI-compatible API", final=True)
        if code in (408, 409, 425, 429) or code >= 500:
            wait_seconds = _retry_after(error.response.headers.get("Retry-After"))
            return Failed(message, again=True, down=True, busy=code == 429, wait_seconds=wait_seconds)
        return Failed(message)

    def _content(self, body: bytes) -> tuple[str, int]:
        """The text of a reply, and the tokens it took."""
        try:
            found = json.loads(body)
            message = found["choices"][0]["message"]["content"]
            finish = found["choices"][0].get("finish_reason")
        except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
            what = self.plain(body[:200].decode("utf-8", "replace"))
            message = f"{self._url} returned no chat completion but {what!r}"
            raise Failed(message, again=True, down=True) from None
        usage = found.get("usage")
        count = usage.get("total_tokens") if isinstance(usage, dict) else 0
        tokens = count if isinstance(count, int) and 0 <= count < 1 << 32 else 0
        if finish == "length":
            limit = self._config.max_reply_tokens
            raise Failed(f"the reply was cut at {self._setting}max_reply_tokens = {limit}", again=True, tokens=tokens)
        if not isinstance(message, str):
            raise Failed("the reply has no text", again=True, tokens=tokens)
        return message, tokens


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
