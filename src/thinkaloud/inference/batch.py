"""The batch loop: concurrent requests are decoded together, a few tokens at a time, by one thread.

Requests share a batch when their sampling parameters are equal and their limits round up to the same size. A sampled
request with a seed has a batch of its own: its noise must not depend on other requests.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from thinkaloud.inference.protocol import ApiError, ChatRequest
from thinkaloud.model.packed import COARSE_PROMPT_BUCKET, power_of_two, round_up
from thinkaloud.rollout.decode_batch import BatchShape, DecodeBatch, Decoder
from thinkaloud.rollout.sampling import Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one server accepts.

    Attributes:
        max_requests: Requests in flight, queued ones included.
        max_batch: Completions decoded at once.
        timeout_seconds: How long a client may take to send its request, or to accept a piece of the answer.
        tokens_at_once: Tokens decoded between two updates.
        gather_seconds: How long the first request of a batch waits for others.
    """

    max_new_tokens: int
    max_prompt_tokens: int
    max_requests: int = 32
    max_batch: int = 16
    max_body_bytes: int = 1 << 20
    timeout_seconds: float = 30.0
    tokens_at_once: int = 8
    gather_seconds: float = 0.01


@dataclass(eq=False)
class Job:
    """A request in flight. `cancelled` is set when its answer is complete, or nobody waits for it any more."""

    request: ChatRequest
    prompt: list[int]
    cancelled: bool = False
    reports: asyncio.Queue[np.ndarray | Exception] = field(default_factory=asyncio.Queue)

    async def updates(self) -> AsyncIterator[np.ndarray]:
        """The tokens so far, int32 [choices, tokens], after each decode call; those after a stop token mean nothing.

        Raises:
            ApiError: The batch failed.
        """
        while True:
            tokens = await self.reports.get()
            if isinstance(tokens, Exception):
                raise ApiError(f"the model failed: {tokens}", status=500, kind="server_error") from tokens
            yield tokens

    @property
    def kind(self) -> tuple[Any, ...]:
        """Equal for requests that may share a batch."""
        request = self.request
        alone = id(self) if request.seed is not None and request.temperature > 0 else None
        return request.temperature, request.top_k, request.top_p, request.n, power_of_two(request.limit), alone


def decode_steps(
    decoder: Decoder, prompts: Sequence[Sequence[int]], *, choices: int, limit: int, tokens_at_once: int
) -> Iterator[np.ndarray]:
    """The tokens so far, int32 [prompts, choices, tokens], after each decode call, until all rows are complete.

    Rows, slots and prompt lengths are rounded up, so that few shapes are compiled.

    Args:
        decoder: Weights and sampling parameters.
        prompts: Token ids; one prompt at least.
        choices: Completions of each prompt.
        limit: Tokens per completion, the end-of-turn token included.
        tokens_at_once: Tokens per decode call.
    """
    length, slots = round_up(max(map(len, prompts)), COARSE_PROMPT_BUCKET), power_of_two(limit)
    shape = BatchShape(group=choices, slots=slots, prompt_bucket=length, prompt_slots=length, token_bucket=256)
    batch = DecodeBatch(decoder, prompts, range(len(prompts)), shape)
    reached, complete = 1, False
    while not complete:
        reached = min(reached + tokens_at_once, limit)
        now = batch.advance(reached)
        yield now.tokens[: len(prompts)]
        complete = bool(now.done.all()) or now.num_tokens >= limit


class Batcher:
    """The queue of requests. All methods belong to the event loop; only decoding runs in a thread of its own."""

    def __init__(self, decoder: Decoder, limits: Limits) -> None:
        self._decoder, self._limits = decoder, limits
        self._waiting: list[Job] = []
        self._arrived = asyncio.Event()
        self._in_flight = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="decoder")

    @contextmanager
    def submitted(self, request: ChatRequest, prompt: list[int]) -> Iterator[Job]:
        """Queue a request; leaving the block cancels it.

        Raises:
            ApiError: Too many requests are in flight.
        """
        if self._in_flight >= self._limits.max_requests:
            message = f"{self._in_flight} requests are in flight, which is the limit; try again later"
            raise ApiError(message, status=429, code="rate_limit_exceeded", kind="rate_limit_error")
        job = Job(request, prompt)
        self._in_flight += 1
        self._waiting.append(job)
        self._arrived.set()
        try:
            yield job
        finally:
            job.cancelled = True
            self._in_flight -= 1

    async def run(self) -> None:
        """Decode batch after batch, until this task is cancelled."""
        try:
            while True:
                jobs = await self._next_batch()
                try:
                    await self._decode(jobs)
                except Exception as error:  # the device failed: these requests fail, later ones may succeed
                    for job in jobs:
                        job.reports.put_nowait(error)
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)

    async def _next_batch(self) -> list[Job]:
        """Wait for a request, then a little longer for others that fit."""
        while True:
            await self._arrived.wait()
            await asyncio.sleep(self._limits.gather_seconds)
            self._waiting = [job for job in self._waiting if not job.cancelled]
            if self._waiting:
                first = self._waiting[0]
                room = max(1, self._limits.max_batch // first.request.n)
                taken = [job for job in self._waiting if job.kind == first.kind][:room]
                self._waiting = [job for job in self._waiting if job not in taken]
                return taken
            self._arrived.clear()

    async def _decode(self, jobs: list[Job]) -> None:
        request = jobs[0].request
        seed = secrets.randbits(64) if request.seed is None else request.seed % 2**64
        sampling = Sampling(temperature=request.temperature, top_k=request.top_k, top_p=request.top_p)
        steps = decode_steps(
            self._decoder.seeded(seed, sampling),
            [job.prompt for job in jobs],
            choices=request.n,
            limit=max(job.request.limit for job in jobs),
            tokens_at_once=self._limits.tokens_at_once,
        )
        while not all(job.cancelled for job in jobs):
            tokens = await asyncio.get_running_loop().run_in_executor(self._thread, next, steps, None)
            if tokens is None:
                return
            for job, rows in zip(jobs, tokens, strict=True):
                job.reports.put_nowait(rows)
