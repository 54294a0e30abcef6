"""The sampler that drives vLLM servers: adapters by name, rows balanced over servers, failures named or retried.

Every call of `sample` is all or nothing. If a started server dies in it, it is started again and the whole call is
repeated with the same seeds. Requests run in an event loop of their own thread, so that a signal or a deadline can end
a call at once, and so that it works inside a notebook's loop.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, Unpack

import numpy as np

from thinkaloud.config.vllm import VllmConfig
from thinkaloud.model.config import ModelConfig
from thinkaloud.model.lora import Adapter
from thinkaloud.model.peft_writer import write_adapter
from thinkaloud.model.sharding import fetch
from thinkaloud.rollout.generate import Sampled
from thinkaloud.rollout.sampler import Options, SamplerFailed
from thinkaloud.rollout.sampling import GREEDY, Sampling
from thinkaloud.rollout.vllm.client import AdapterMissing, Client, Row, Unavailable
from thinkaloud.rollout.vllm.started import StartedServer
from thinkaloud.seeding import derive_seed

T = TypeVar("T")

MOST_REQUESTS = 256
"""In flight at once, per server."""
RESTARTS = 3
"""How often a started server is started again within one call of `sample`."""
PAUSE_SECONDS = 0.5
"""Before the first retry; each further one waits twice as long."""
POLL_SECONDS = 0.2

_MOST_LIKELY = Sampling(temperature=1.0, top_k=1, top_p=1.0)


class _Lost(Exception):
    """A server does not answer any more."""


class VllmSampler:
    """See `Sampler`. The adapter's name at the servers is a hash of its numbers; completions carry it.

    Args:
        config: Addresses, time-outs, retries.
        model: The configuration of the base model.
        alpha: LoRA's alpha.
        folder: Where adapters are written for the servers; they must see it under the same path.
        start: Makes the server to start, once it is needed; for none in `config.urls`.
        key: Of the given servers.
        note: Receives one line per event.
        poll: Called while replies are waited for; if it raises, the call ends.

    Attributes:
        restarts: How often a started server was started again.
    """

    def __init__(
        self,
        config: VllmConfig,
        model: ModelConfig,
        *,
        alpha: float,
        folder: Path,
        start: Callable[[], StartedServer] | None = None,
        key: str | None = None,
        note: Callable[[str], None] = lambda text: None,
        poll: Callable[[], None] = lambda: None,
    ) -> None:
        assert bool(config.urls) == (start is None)
        self.config, self.restarts, self.poll = config, 0, poll
        self._model, self._alpha, self._folder = model, alpha, folder.absolute()
        self._start, self._key, self._note = start, key, note
        self._own: StartedServer | None = None
        self._clients = [self._client(url) for url in config.urls]
        self._adapter: Adapter = {}
        self._name = ""
        self._written: set[str] = set()
        self._checked: set[tuple[Client, str]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="vllm")
        self._thread.start()

    def sync(self, adapter: Adapter) -> None:
        """Use this adapter from now on; it is written now, and loaded by the next `sample`."""
        host = fetch(adapter)
        name = adapter_name(host, self._alpha) if host else ""
        if name and name != self._name:
            self._write(name, host)
        self._name, self._adapter = name, host

    def sample(self, prompts: Sequence[Sequence[int]], **options: Unpack[Options]) -> list[list[Sampled]]:
        """See `Sampler`; `batch_prompts` has no effect, as the server makes its own batches.

        `logprobs` are those of the distribution that was sampled from, after top-k and top-p, as `sampled_logprobs`
        are: vLLM reports only one of them.

        Raises:
            SamplerFailed: A server is lost, refuses a request, or gives replies that cannot be right.
        """
        group_size = options["group_size"]
        rows = [
            Row(
                prompt=tuple(prompt),
                seed=derive_seed(options["seed"], "row", index, member),
                max_new_tokens=options["max_new_tokens"],
                sampling=options["sampling"],
                stop_ids=tuple(options["stop_ids"]),
            )
            for index, prompt in enumerate(prompts)
            for member in range(group_size)
        ]
        found = self._with_restarts(partial(self._sample, rows))
        if progress := options.get("progress"):
            progress(len(prompts), len(prompts))
        return [found[first : first + group_size] for first in range(0, len(rows), group_size)]

    def check(self, prompt: Sequence[int]) -> None:
        """Check that the servers answer, load the adapter, apply it, and report what was sampled.

        Raises:
            SamplerFailed: One does not.
        """
        self._with_restarts(partial(self._prepare, tuple(prompt)))

    def close(self) -> None:
        """Unload the adapter from given servers, and end a started one; a second call does nothing."""
        if self._loop.is_closed():
            return
        with suppress(TimeoutError):  # a server that is gone keeps nothing
            asyncio.run_coroutine_threadsafe(self._leave(unload=bool(self.config.urls)), self._loop).result(10.0)
        if self._own:
            self._own.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        for name in self._written:
            shutil.rmtree(self._folder / name, ignore_errors=True)

    async def _leave(self, *, unload: bool) -> None:
        for client in self._clients:
            for name in list(client.adapters) if unload else ():
                await client.unload(name)
            await client.close()

    def _client(self, url: str, socket: Path | None = None) -> Client:
        return Client(
            url,
            socket=socket,
            key=self._key,
            timeout_seconds=self.config.timeout_seconds,
            vocab_size=self._model.vocab_size,
        )

    def _with_restarts(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do the work, again from its beginning where a started server was lost in it."""
        for attempt in range(RESTARTS + 1):
            self._start_own()
            try:
                return self._run(work())
            except _Lost as error:
                if self._own is None:
                    raise SamplerFailed(
                        f"vLLM: {error}, after {self.config.max_retries + 1} attempts; see to the server, then "
                        "continue with --resume"
                    ) from None
                if attempt == RESTARTS:
                    raise SamplerFailed(
                        f"vLLM: {error}, after {RESTARTS} restarts of the server: {self._own.last_line()}; its log is "
                        f"{self._own.log}"
                    ) from None
                self._note(f"vLLM: {error}; starting it again and repeating the sampling, with the same seeds")
                self._own.stop()
                self.restarts += 1
        raise AssertionError("the last attempt returns or raises")

    def _start_own(self) -> None:
        """Start the server of our own if it does not run."""
        if self._start is None:
            return
        if self._own is None:
            self._own = self._start()
        if self._own.running:
            return
        self._note(f"vLLM: starting a server; its log is {self._own.log}")
        self._own.stop()
        self._own.start()
        self._checked.clear()
        self._run(self._leave(unload=False))
        self._clients = [self._client("http://started-server", self._own.socket)]

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            while True:
                try:
                    return future.result(POLL_SECONDS)
                except TimeoutError:
                    if future.done():
                        raise
                    self.poll()
        finally:
            future.cancel()

    async def _sample(self, rows: Sequence[Row]) -> list[Sampled]:
        await self._prepare(rows[0].prompt)
        places = asyncio.Semaphore(MOST_REQUESTS * len(self._clients))

        async def one(row: Row) -> Sampled:
            async with places:
                return await self._retried(partial(self._ask_any, row))

        return await _all([one(row) for row in rows])

    async def _ask_any(self, row: Row) -> Sampled:
        """A row from the server with the fewest requests among those that work."""
        client = min(self._clients, key=lambda one: (one.failures, one.in_flight))
        try:
            return await client.sample(row, self._name or client.base)
        except AdapterMissing as error:  # it was restarted
            client.adapters.clear()
            await self._load(client)
            raise Unavailable(str(error)) from None

    async def _prepare(self, prompt: tuple[int, ...]) -> None:
        """Have every server ready with the current adapter, and no older one."""
        await _all([self._prepare_one(client, prompt) for client in self._clients])
        for name in self._written - {self._name}:
            shutil.rmtree(self._folder / name, ignore_errors=True)
        self._written &= {self._name}

    async def _prepare_one(self, client: Client, prompt: tuple[int, ...]) -> None:
        if not client.base:
            await (self._until_started(client) if self._own else self._retried(client.find_base))
        await self._retried(partial(self._load, client))
        for old in client.adapters - {self._name}:
            await client.unload(old)
        if (client, self._name) not in self._checked:
            await self._retried(partial(self._check_replies, client, prompt))
            self._checked = {known for known in self._checked if known[0] is not client} | {(client, self._name)}

    async def _until_started(self, client: Client) -> None:
        assert self._own is not None
        began = time.monotonic()
        while True:
            if ended := self._own.ended:
                raise SamplerFailed(
                    f"vLLM: the started server ended {ended} before it answered: {self._own.last_line()}; its log is "
                    f"{self._own.log}"
                )
            try:
                await client.find_base()
            except Unavailable:
                if time.monotonic() - began > self.config.start_seconds:
                    raise SamplerFailed(
                        f"vLLM: the started server did not answer within vllm.start_seconds = "
                        f"{self.config.start_seconds:g}; its log is {self._own.log}"
                    ) from None
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                self._note(f"vLLM: the server is ready after {time.monotonic() - began:.0f} s")
                return

    async def _load(self, client: Client) -> None:
        if self._name:
            await client.load(self._name, self._folder / self._name)

    async def _check_replies(self, client: Client, prompt: tuple[int, ...]) -> None:
        """Check what the server reports: of the distribution that it samples from, and with the adapter."""
        ask = partial(Row, prompt=prompt, seed=0, max_new_tokens=1, stop_ids=())
        if not any(known[0] is client for known in self._checked):
            certain = await client.sample(ask(sampling=_MOST_LIKELY), client.base)
            if certain.logprobs[0] < -1e-3:
                raise SamplerFailed(
                    f"vLLM: {client.url} reports log-probabilities from before top-k and temperature; start it with "
                    "--logprobs-mode processed_logprobs"
                )
        greatest = max((float(np.abs(pair["b"]).max()) for pair in self._adapter.values()), default=0.0)
        if not greatest:
            return
        greedy = ask(sampling=GREEDY)
        without = await client.sample(greedy, client.base)
        if _differ(await client.sample(greedy, self._name), without):
            return
        # a small B may change nothing in a narrow dtype; one with a greatest entry of 1 must
        enlarged = {target: {**pair, "b": pair["b"] / np.float32(greatest)} for target, pair in self._adapter.items()}
        name = adapter_name(enlarged, self._alpha)
        self._write(name, enlarged)
        await client.load(name, self._folder / name)
        with_enlarged = await client.sample(greedy, name)
        await client.unload(name)
        if not _differ(with_enlarged, without):
            raise SamplerFailed(
                f"vLLM: {client.url} ignores the adapter: log-probabilities with it equal those without it; check that "
                "it serves this model, and its version"
            )

    async def _retried(self, call: Callable[[], Awaitable[T]]) -> T:
        """Try a request `max_retries` times more.

        Raises:
            _Lost: No attempt succeeded, or the started server has ended.
        """
        for attempt in range(self.config.max_retries + 1):
            try:
                return await call()
            except (Unavailable, AdapterMissing) as error:
                if self._own and (ended := await self._ended()):
                    raise _Lost(f"the started server ended {ended}") from None
                if attempt == self.config.max_retries:
                    raise _Lost(str(error)) from None
            await asyncio.sleep(PAUSE_SECONDS * 2**attempt)
        raise AssertionError("the last attempt returns or raises")

    async def _ended(self) -> str:
        """How the started server ended, if it did: its connections may break a moment before."""
        assert self._own is not None
        for _ in range(5):
            if ended := self._own.ended:
                return ended
            await asyncio.sleep(0.1)
        return ""

    def _write(self, name: str, adapter: Adapter) -> None:
        folder = self._folder / name
        folder.mkdir(parents=True, exist_ok=True)
        write_adapter(folder, adapter, self._model, alpha=self._alpha, base="base")
        self._written.add(name)


def adapter_name(adapter: Adapter, alpha: float) -> str:
    """A name that is another for every other adapter; arrays on the host."""
    found = hashlib.sha256(repr(alpha).encode())
    for target in sorted(adapter):
        for half in ("a", "b"):
            array = np.ascontiguousarray(adapter[target][half])
            found.update(f"{target}.{half}{array.shape}".encode())
            found.update(array.tobytes())
    return f"thinkaloud-{found.hexdigest()[:16]}"


def _differ(one: Sampled, other: Sampled) -> bool:
    return (one.token_ids, one.logprobs) != (other.token_ids, other.logprobs)


async def _all(works: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """The results in order; the first failure cancels the rest."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
