"""Requests to one vLLM server, the checks of its replies, and what failures mean.

Source: vLLM 0.32, `/v1/completions` with `return_token_ids`, and the LoRA routes of `VLLM_ALLOW_RUNTIME_LORA_UPDATING`.
"""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from thinkaloud.records import Finish
from thinkaloud.rollout.generate import Sampled
from thinkaloud.rollout.sampler import SamplerFailed
from thinkaloud.rollout.sampling import Sampling
from thinkaloud.storage.unicode import one_line

MAX_BODY_BYTES = 64 << 20
"""A larger reply is not read: a completion of 100,000 tokens takes about 4 MB."""
IMPOSSIBLE = -9000.0
"""vLLM writes -9999 in place of minus infinity: a token that it could not have sampled."""


class Unavailable(Exception):
    """No usable reply, which another attempt may bring: a time-out, a broken connection, a server error."""


class AdapterMissing(Exception):
    """The server does not know the adapter, such as after a restart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One completion to sample."""

    prompt: tuple[int, ...]
    seed: int
    """Of its noise; 63 bits."""
    max_new_tokens: int
    sampling: Sampling
    stop_ids: tuple[int, ...]

    def body(self, model: str) -> dict[str, Any]:
        """The request: every sampling parameter is named, so that no default of the server applies."""
        return {
            "model": model,
            "prompt": list(self.prompt),
            "add_special_tokens": False,
            "max_tokens": self.max_new_tokens,
            "seed": self.seed,
            "temperature": self.sampling.temperature,
            "top_k": self.sampling.top_k,
            "top_p": self.sampling.top_p,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "ignore_eos": True,  # only the contract's tokens end a completion
            "stop_token_ids": list(self.stop_ids),
            "logprobs": 0,  # of the sampled token alone
            "return_token_ids": True,
        }


class Client:
    """One server, as the sampler sees it.

    Args:
        url: Its address without /v1.
        socket: The Unix socket that it listens on, in place of the address.
        key: Sent as a bearer token; it appears in no message.
        timeout_seconds: Limit of a request.
        vocab_size: Token ids are below it.

    Attributes:
        base: The name of the base model at the server, once it is known.
        adapters: The adapters that it has loaded for us.
        in_flight: Requests that it works on.
        failures: Requests in a row that failed.
    """

    def __init__(
        self, url: str, *, timeout_seconds: float, vocab_size: int, socket: Path | None = None, key: str | None = None
    ) -> None:
        self.url, self.base = url.rstrip("/"), ""
        self.adapters: set[str] = set()
        self.in_flight = self.failures = 0
        self._timeout_seconds, self._vocab_size, self._key = timeout_seconds, vocab_size, key
        self._client = httpx2.AsyncClient(
            transport=httpx2.AsyncHTTPTransport(
                uds=str(socket) if socket else None, limits=httpx2.Limits(max_connections=None)
            ),
            headers={"Authorization": f"Bearer {key}"} if key else {},
            follow_redirects=False,
            timeout=httpx2.Timeout(None, connect=min(10.0, timeout_seconds)),
            trust_env=False,
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def find_base(self) -> str:
        """The name of the base model at the server: the first model that is no adapter.

        Raises:
            Unavailable: No reply.
            SamplerFailed: It has no base model, or refuses us.
        """
        found = await self._ask("GET", "/v1/models")
        models = found.get("data")
        for model in models if isinstance(models, list) else ():
            if isinstance(model, dict) and isinstance(model.get("id"), str) and not model.get("parent"):
                self.base = model["id"]
                return self.base
        raise SamplerFailed(f"vLLM: {self.url}/v1/models lists no base model; expected the address of a vLLM server")

    async def load(self, name: str, folder: Path) -> None:
        """Load an adapter from a folder that the server must see under the same path."""
        if name in self.adapters:
            return
        try:
            await self._ask("POST", "/v1/load_lora_adapter", {"lora_name": name, "lora_path": str(folder)})
        except AdapterMissing as error:
            if "no adapter" in str(error).lower():
                raise SamplerFailed(
                    f"vLLM: {self.url} does not find the adapter at {folder}; it needs to see the run directory under "
                    "the same path (a shared file system)"
                ) from None
            raise SamplerFailed(
                f"vLLM: {self.url} has no /v1/load_lora_adapter; start it with --enable-lora and "
                "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"
            ) from None
        except SamplerFailed as error:
            if "already been loaded" not in str(error):  # of the same content: it is part of the name
                raise
        self.adapters.add(name)

    async def unload(self, name: str) -> None:
        """Forget an adapter; a server that does not know it has nothing to forget."""
        self.adapters.discard(name)
        try:
            await self._ask("POST", "/v1/unload_lora_adapter", {"lora_name": name})
        except (AdapterMissing, SamplerFailed, Unavailable):
            return

    async def sample(self, row: Row, model: str) -> Sampled:
        """One completion.

        Raises:
            Unavailable: No complete reply.
            AdapterMissing: The server does not know `model`.
            SamplerFailed: The reply is not an answer to this request.
        """
        self.in_flight += 1
        try:
            found = await self._ask("POST", "/v1/completions", row.body(model))
        finally:
            self.in_flight -= 1
        return self._read(found, row, model)

    def _read(self, found: dict[str, Any], row: Row, model: str) -> Sampled:
        if found.get("model") != model:
            raise SamplerFailed(f"vLLM: {self.url} answered with {found.get('model')!r}, asked for {model!r}")
        choices = found.get("choices")
        choice = choices[0] if isinstance(choices, list) and len(choices) == 1 else None
        if not isinstance(choice, dict):
            raise Unavailable(f"{self.url}: a reply without a completion")
        if choice.get("prompt_token_ids") != list(row.prompt):
            raise SamplerFailed(
                f"vLLM: {self.url} sampled from {_count(choice.get('prompt_token_ids'))}, the contract's prompt has "
                f"{len(row.prompt)} others; expected a vLLM with return_token_ids that takes prompts as they are"
            )
        logprobs = choice.get("logprobs")
        ids: Any = choice.get("token_ids")
        values: Any = logprobs.get("token_logprobs") if isinstance(logprobs, dict) else None
        if not _are(ids, int) or not _are(values, (int, float)) or len(ids) != len(values) or not ids:
            raise SamplerFailed(
                f"vLLM: {self.url} returned {_count(ids)} and {_count(values)} of log-probabilities; expected one each "
                "for every sampled token"
            )
        if not all(0 <= token < self._vocab_size for token in ids):
            raise SamplerFailed(
                f"vLLM: {self.url} returned a token id outside 0 to {self._vocab_size - 1}; it serves another model"
            )
        if not all(math.isfinite(value) and IMPOSSIBLE < value <= 1e-3 for value in values):
            raise SamplerFailed(
                f"vLLM: {self.url} returned a log-probability that no sampled token can have; restart it with "
                "--logprobs-mode processed_logprobs"
            )
        finish = choice.get("finish_reason")
        whole = ids[-1] in row.stop_ids if finish == "stop" else len(ids) == row.max_new_tokens
        if finish not in ("stop", "length") or not whole or any(token in row.stop_ids for token in ids[:-1]):
            raise Unavailable(f"{self.url}: a completion of {len(ids)} tokens that ended by {finish!r}")
        logs = tuple(float(value) for value in values)
        ended = Finish.STOP if ids[-1] in row.stop_ids else Finish.LENGTH
        return Sampled(tuple(ids), logs, logs, ended, "" if model == self.base else model)

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """A request and its reply: JSON, or {} for the plain text that the LoRA routes return."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                status, content = await self._send(method, path, body)
        except (TimeoutError, httpx2.TimeoutException):
            self.failures += 1
            raise Unavailable(f"{self.url}: no reply within vllm.timeout_seconds = {self._timeout_seconds:g}") from None
        except httpx2.HTTPError as error:
            self.failures += 1
            raise Unavailable(f"{self.url}: {_plain(str(error)) or type(error).__name__}") from None
        found = _json(content)
        text = f"{self.url} returned {status}: {_message(found) or _plain(content[:200].decode('utf-8', 'replace'))}"
        if status == 200 and (isinstance(found, dict) or path.endswith("_lora_adapter")):
            self.failures = 0
            return found if isinstance(found, dict) else {}
        if status == 404:
            raise AdapterMissing(text)
        if status in (401, 403):
            raise SamplerFailed(f"vLLM: {text}; vllm.api_key_env must name the variable that holds its key")
        if 300 <= status < 500 and status not in (408, 425, 429):
            raise SamplerFailed(f"vLLM: {text}")
        self.failures += 1
        raise Unavailable(f"{text} (unreadable)" if status == 200 else text)

    async def _send(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, bytes]:
        async with self._client.stream(method, self.url + path, json=body) as response:
            parts, size = [], 0
            async for part in response.aiter_raw():
                size += len(part)
                if size > MAX_BODY_BYTES:
                    raise httpx2.ReadError(f"a reply of more than {MAX_BODY_BYTES >> 20} MiB")
                parts.append(part)
            return response.status_code, b"".join(parts)


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _message(found: Any) -> str:
    """The text of an error of vLLM or FastAPI; empty without one."""
    error = found.get("error", found.get("detail")) if isinstance(found, dict) else None
    text = error.get("message") if isinstance(error, dict) else error
    return _plain(text) if isinstance(text, str) else ""


def _plain(text: str) -> str:
    """One short line of printable text."""
    return one_line(text)[:200]


def _are(values: Any, kind: Any) -> bool:
    return isinstance(values, list) and all(isinstance(one, kind) and not isinstance(one, bool) for one in values)


def _count(values: Any) -> str:
    return f"{len(values)} tokens" if isinstance(values, list) else "no tokens"
