"""`Sandbox`: a set of workers, handed out one program at a time."""

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
    """The number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Sandbox:
    """Runs programs that a model wrote, and says which solve their task. A context manager; safe to use from threads.

    Args:
        num_workers: worker processes; as many as cores when None.
        limits: limits for programs that bring none of their own.
        allow_unsandboxed: run programs even where the machine cannot contain them (level `none`). For a throw-away
            machine only: the programs then have the rights of this process.
        patience_seconds: how long a worker may take to fork or to reap before it is replaced.

    Raises:
        SandboxUnavailable: from `start` (or `with`), at level `none` without `allow_unsandboxed`.
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
        self._idle: list[Worker | None] = []  # None: a worker yet to be started
        self._running = False

    def start(self) -> Sandbox:
        """Measure the level (once a process), and refuse at `none`. Workers start when they are first needed."""
        try:
            self._containment = measure()
        except WorkerFailed as error:
            raise SandboxUnavailable(f"no sandbox worker starts on this machine: {error}") from error
        if self.level is Level.NONE and not self._allow_unsandboxed:
            through = ", ".join(self._containment.open)
            raise SandboxUnavailable(
                "this machine cannot contain model-written programs (these probes got through: "
                f"{through}); run on Linux with seccomp, or allow running unsandboxed on a throw-away machine"
            )
        with self._free:
            if not self._running:
                self._idle = [None] * self.num_workers
                self._running = True
        return self

    def close(self) -> None:
        """End all workers; programs under way end as infra errors."""
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
        """How well this machine contains a program, as measured at the start."""
        if self._containment is None:
            raise RuntimeError("the sandbox is not started: use it in a `with` statement")
        return self._containment.level

    @property
    def missing_layers(self) -> dict[str, str]:
        """The layers that this machine does not give, with the reason. Layer by layer: `check_report`."""
        return dict(self._containment.missing) if self._containment else {}

    def run(self, code: str, tests: Sequence[str], *, setup: str = "", limits: Limits | None = None) -> Verdict:
        """Try one program.

        Args:
            code: the program, as the model wrote it.
            tests: the tests, most often `assert f(1) == 2`, one verdict over all.
            setup: code of the data set that runs after the program and before the tests.
            limits: what it may use; the sandbox's limits when None.

        Returns:
            The verdict. `Outcome.INFRA_ERROR` (after one retry on another worker) says nothing about the program:
            mask the sample.
        """
        return self._settle(Job(code=code, tests=tests, setup=setup, limits=limits), self.limits)

    def run_batch(self, jobs: Sequence[Job], limits: Limits | None = None) -> list[Verdict]:
        """Try many programs, as many at a time as there are workers.

        Args:
            jobs: the programs.
            limits: for jobs that bring none of their own; the sandbox's limits when None.

        Returns:
            One verdict a job, in the order of the jobs.
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
        """A verdict, with one retry where the machine failed rather than the program."""
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
        except BaseException:  # KeyboardInterrupt above all: orders and answers may be out of step
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
