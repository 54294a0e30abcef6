"""`Sandbox`: a pool of workers, each of which runs one program at a time."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

from .inside import LAYERS
from .selftest import Containment, measure
from .trial import try_program
from .verdict import Job, Level, Limits, Outcome, SandboxUnavailable, Verdict
from .worker import Worker, WorkerFailed


def available_cores() -> int:
    """The number of processor cores available to this process."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Sandbox:
    """Runs model-written programs and decides which solve their task. A context manager; thread-safe.

    Args:
        num_workers: Worker processes; the number of cores when None.
        limits: Limits for programs without limits of their own.
        allow_unsandboxed: Run programs even if the machine cannot contain them (level `none`). Only for disposable
            machines: the programs then have the permissions of this process.
        patience_seconds: Time limit for a worker to fork or reap before it is replaced.

    Raises:
        SandboxUnavailable: From `start` (or `with`), at level `none` without `allow_unsandboxed`.
    """

    def __init__(
        self,
        *,
        num_workers: int | None = None,
        limits: Limits | None = None,
        allow_unsandboxed: bool = False,
        patience_seconds: float = 60.0,
    ) -> None:
        if num_workers is not None and num_workers < 1:
            raise ValueError(f"num_workers must be at least 1, got {num_workers}")
        self.num_workers = num_workers or available_cores()
        self.limits = limits or Limits()
        self._allow_unsandboxed = allow_unsandboxed
        self._patience_seconds = patience_seconds
        self._containment: Containment | None = None
        self._free = threading.Condition()
        self._idle: list[Worker | None] = []  # None: a worker that has not started yet
        self._running = False

    def start(self) -> Sandbox:
        """Measure the level (once per process); level `none` is an error. Workers start when first needed."""
        try:
            self._containment = measure()
        except WorkerFailed as error:
            raise SandboxUnavailable(f"no sandbox worker starts on this machine: {error}") from error
        if self.level is Level.NONE and not self._allow_unsandboxed:
            through = ", ".join(self._containment.open)
            raise SandboxUnavailable(
                "this machine cannot contain model-written programs (these probes got through: "
                f"{through}); run on Linux with seccomp, or allow running unsandboxed on a disposable machine"
            )
        with self._free:
            if not self._running:
                self._idle = [None] * self.num_workers
                self._running = True
        return self

    def close(self) -> None:
        """End all workers; running programs end as infra errors."""
        with self._free:
            self._running = False
            idle, self._idle = self._idle, []
            self._free.notify_all()
        for worker in idle:
            if worker is not None:
                worker.close()

    def __enter__(self) -> Sandbox:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def level(self) -> Level:
        """How well this machine contains a program, measured by `start`."""
        if self._containment is None:
            raise RuntimeError("the sandbox is not started: use it in a `with` statement")
        return self._containment.level

    def run(self, code: str, tests: Sequence[str], *, setup: str = "", limits: Limits | None = None) -> Verdict:
        """Try one program.

        Args:
            code: The program, as the model wrote it.
            tests: The tests, usually `assert f(1) == 2`; they share one verdict.
            setup: Code of the data set that runs after the program and before the tests.
            limits: Resource limits; those of the sandbox when None.

        Returns:
            The verdict. `Outcome.INFRA_ERROR` (after one retry on another worker) says nothing about the program:
            mask the sample.
        """
        return self._settle(Job(code=code, tests=tests, setup=setup, limits=limits), self.limits)

    def run_batch(self, jobs: Sequence[Job], limits: Limits | None = None) -> list[Verdict]:
        """Try many programs, one per worker at a time.

        Args:
            jobs: The programs.
            limits: For jobs without limits of their own; those of the sandbox when None.

        Returns:
            One verdict per job, in the order of the jobs.
        """
        shared = limits or self.limits
        if len(jobs) <= 1 or self.num_workers == 1:
            return [self._settle(job, shared) for job in jobs]
        threads = ThreadPoolExecutor(min(self.num_workers, len(jobs)), thread_name_prefix="sandbox")
        try:
            return list(threads.map(lambda job: self._settle(job, shared), jobs))
        finally:
            threads.shutdown(cancel_futures=True)

    def _settle(self, job: Job, limits: Limits) -> Verdict:
        """A verdict, with one retry if the machine failed rather than the program."""
        verdict = self._attempt(job, job.limits or limits)
        return self._attempt(job, job.limits or limits) if verdict.outcome is Outcome.INFRA_ERROR else verdict

    def _attempt(self, job: Job, limits: Limits) -> Verdict:
        worker = self._take()
        try:
            worker = worker or self._start_worker()
            return try_program(worker, job, limits)
        except WorkerFailed as error:
            if worker is not None:
                worker.close()
                worker = None
            return Verdict(outcome=Outcome.INFRA_ERROR, passed=0, total=len(job.tests), detail=str(error), seconds=0.0)
        except BaseException:  # such as KeyboardInterrupt: orders and answers may be out of sync
            if worker is not None:
                worker.close()
                worker = None
            raise
        finally:
            self._give_back(worker)

    def _take(self) -> Worker | None:
        with self._free:
            self._free.wait_for(lambda: self._idle or not self._running)
            if not self._running:
                raise RuntimeError("the sandbox is not running: use it in a `with` statement")
            return self._idle.pop()

    def _give_back(self, worker: Worker | None) -> None:
        with self._free:
            if self._running:
                self._idle.append(worker)
                self._free.notify()
                return
        if worker is not None:
            worker.close()

    def _start_worker(self) -> Worker:
        assert self._containment is not None
        worker = Worker(LAYERS, self._containment.wrap, self._patience_seconds)
        lost = worker.missing.keys() - self._containment.missing.keys()
        if lost:
            worker.close()
            raise WorkerFailed(f"a worker came up without {', '.join(sorted(lost))}")
        return worker
