"""Concurrent requests into batches: one thread owns the device, and takes what waits together with what it takes first.

Requests share a batch when they sample alike and may have about as many tokens. One that names a seed and samples has
a batch of its own: its noise must not depend on who else asks.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from thinkaloud.inference.protocol import ChatRequest
from thinkaloud.inference.stepping import Progress, Stepper, power_of_two
from thinkaloud.rollout.sampling import Sampling


@dataclass(frozen=True, slots=True)
class Row:
    """A completion so far: its tokens, the stop token left out, and `stop` or `length` once it is whole."""

    tokens: tuple[int, ...]
    finish: str | None
    num_tokens: int


@dataclass(eq=False)
class Job:
    """A request on its way. `enough` is set by whoever waits for it, when nothing more is wanted of it."""

    request: ChatRequest
    prompt: list[int]
    enough: threading.Event = field(default_factory=threading.Event)
    _updates: queue.SimpleQueue[Any] = field(default_factory=queue.SimpleQueue)

    def updates(self) -> Iterator[list[Row]]:
        """The rows of every choice, again and again, until all are whole.

        Raises:
            RuntimeError: the batch failed, or the server stops.
        """
        while True:
            rows = self._updates.get()
            if isinstance(rows, BaseException):
                raise RuntimeError(str(rows)) from rows
            yield rows
            if all(row.finish for row in rows):
                return

    def report(self, rows: list[Row]) -> None:
        """Called by the batcher."""
        self._updates.put(rows)

    def fail(self, error: BaseException) -> None:
        """Called by the batcher."""
        self._updates.put(error)

    @property
    def kind(self) -> tuple[Any, ...]:
        """What all jobs of a batch have in common."""
        asked = self.request
        own = id(self) if asked.seed is not None and asked.temperature > 0 else None
        return asked.temperature, asked.top_k, asked.top_p, asked.choices, power_of_two(asked.max_tokens), own


class Batcher:
    """The queue and its thread; `close` ends both.

    Args:
        stepper: the model.
        stop_ids: tokens that end a completion.
        max_batch: rows decoded at once, at most.
        tokens_at_once: tokens between two reports.
        gather_seconds: how long a first request waits for company.
        new_seed: a seed for batches whose requests name none.
    """

    def __init__(
        self,
        stepper: Stepper,
        *,
        stop_ids: tuple[int, ...],
        max_batch: int,
        tokens_at_once: int,
        gather_seconds: float,
        new_seed: Callable[[], int],
    ) -> None:
        self._stepper, self._stop_ids, self._new_seed = stepper, stop_ids, new_seed
        self._max_batch, self._tokens_at_once, self._gather_seconds = max_batch, tokens_at_once, gather_seconds
        self._waiting: list[Job] = []
        self._changed = threading.Condition()
        self._closed = False
        self.batch_sizes: list[int] = []
        """Requests in each batch so far, the newest 1,000."""
        self._thread = threading.Thread(target=self._work, name="batcher", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queue a job; its `updates` begin when its turn comes."""
        with self._changed:
            if self._closed:
                job.fail(RuntimeError("the server is stopping"))
                return
            self._waiting.append(job)
            self._changed.notify()

    def close(self) -> None:
        """End the thread after the batch in flight; jobs that wait fail."""
        with self._changed:
            self._closed = True
            for job in self._waiting:
                job.fail(RuntimeError("the server is stopping"))
            self._waiting.clear()
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while jobs := self._next_batch():
            self.batch_sizes = [*self.batch_sizes[-999:], len(jobs)]
            try:
                self._run(jobs)
            except Exception as error:  # the device failed: these requests hear of it, the next ones may fare better
                for job in jobs:
                    job.fail(error)

    def _next_batch(self) -> list[Job]:
        """Wait for a job, then for company; empty when the batcher is closed."""
        with self._changed:
            while not self._waiting:
                if self._closed:
                    return []
                self._changed.wait()
        time.sleep(self._gather_seconds)
        with self._changed:
            if not self._waiting:
                return []
            first = self._waiting[0]
            room = max(1, self._max_batch // first.request.choices)
            taken = [job for job in self._waiting if job.kind == first.kind][:room]
            self._waiting = [job for job in self._waiting if job not in taken]
            return taken

    def _run(self, jobs: list[Job]) -> None:
        asked = jobs[0].request
        seed = self._new_seed() if asked.seed is None else asked.seed % 2**64
        steps = self._stepper.run(
            [job.prompt for job in jobs],
            choices=asked.choices,
            limit=max(job.request.max_tokens for job in jobs),
            sampling=Sampling(temperature=asked.temperature, top_k=asked.top_k, top_p=asked.top_p),
            seed=seed,
            tokens_at_once=self._tokens_at_once,
        )
        going = dict(enumerate(jobs))
        for progress in steps:
            for place, job in list(going.items()):
                rows = self._rows(progress, place, job.request.max_tokens)
                if not job.enough.is_set():
                    job.report(rows)
                if job.enough.is_set() or all(row.finish for row in rows):
                    del going[place]
            if not going:
                return

    def _rows(self, progress: Progress, place: int, limit: int) -> list[Row]:
        rows = []
        for tokens in progress.tokens[place]:
            ended = np.flatnonzero(np.isin(tokens[:limit], self._stop_ids))
            if len(ended):
                end = int(ended[0])
                rows.append(Row(tuple(tokens[:end].tolist()), "stop", end + 1))
            else:
                kept = tuple(tokens[:limit].tolist())
                rows.append(Row(kept, "length" if len(kept) >= limit else None, len(kept)))
        return rows
