"""Try one program: calls go to the solver, values are judged here, the remaining tests go to the checker."""

from __future__ import annotations

import contextlib
import math
import reprlib
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .assertions import DirectTest, Plan, read_tests
from .inside import codec, wire
from .verdict import Job, Limits, Outcome, Verdict
from .worker import BadFrame, Child, ChildGone, ChildSlow, Death, Worker, WorkerFailed

_MAX_REPLY_BYTES = 8 * codec.MAX_BYTES
"""Limit on all replies of one program together, because the trainer decodes them."""


class _Stop(Exception):
    """Ends the trial with an outcome."""

    def __init__(self, outcome: Outcome, detail: str) -> None:
        super().__init__(detail)
        self.outcome = outcome
        self.detail = detail


def _show(value: Any) -> str:
    try:
        return reprlib.repr(value)[:120]
    except Exception:  # an integer of more digits than Python will print
        return f"a {type(value).__name__}"


def _line(test: str) -> str:
    text = " ".join(test.split())
    return text if len(text) <= 80 else text[:77] + "..."


def _why(death: Death, limits: Limits) -> _Stop:
    """The outcome for a child that died: a limit, the program itself, or a failure of the machine."""
    spent = death.cpu_seconds >= limits.cpu_seconds
    if death.signal in (signal.SIGXCPU, signal.SIGPROF) or (death.signal == signal.SIGKILL and spent):
        return _Stop(Outcome.CPU_LIMIT, f"used more than {limits.cpu_seconds:g} s of processor time")
    if death.killed_by_worker:
        return _Stop(Outcome.NO_REPLY, "closed its channel")
    if death.signal == signal.SIGKILL:
        # programs in the jail cannot send signals, so this came from outside: the out-of-memory killer, an operator
        return _Stop(Outcome.INFRA_ERROR, "the process was killed from outside")
    return _Stop(Outcome.NO_REPLY, f"ended without a reply ({death})")


def _raised(payload: bytes) -> tuple[Outcome, str]:
    name, _, message = payload.decode("utf-8", "replace").partition("\0")
    outcome = Outcome.MEMORY if name == "MemoryError" else Outcome.EXCEPTION
    text = " ".join(f"{name[:100]}: {message[:200]}".split()).rstrip(":")
    return outcome, "".join(letter if letter.isprintable() else "?" for letter in text)  # no escapes to a terminal


class _Party:
    """A jailed child and the deadline of the trial; maps the failures of a child to outcomes."""

    def __init__(self, child: Child, limits: Limits, deadline: float = math.inf) -> None:
        self.deadline = deadline
        self._child = child
        self._limits = limits
        self._bytes = 0

    def begin(self, job: Any) -> None:
        """Send it its job. It sends a ready frame before running the program; without that, the machine failed."""
        start = time.monotonic() + self._child.worker.patience_seconds
        try:
            self._child.send(wire.JOB, codec.encode(job), start)
            kind, _ = self._child.receive(start)
        except codec.CodecError as error:
            raise _Stop(Outcome.EXCEPTION, f"the program is too large: {error}") from None
        except (ChildGone, ChildSlow, BadFrame) as error:
            raise WorkerFailed(f"the jail could not be shut ({type(error).__name__})") from None
        if kind != wire.READY:
            raise WorkerFailed("the jail could not be shut")
        self.deadline = min(self.deadline, time.monotonic() + self._limits.wall)

    def receive(self) -> tuple[bytes, bytes]:
        """Receive its next frame. Raises _Stop if there is none."""
        with self._failures():
            kind, payload = self._child.receive(self.deadline)
        self._bytes += len(payload)
        if self._bytes > _MAX_REPLY_BYTES:
            raise _Stop(Outcome.BAD_REPLY, f"more than {_MAX_REPLY_BYTES} bytes of replies")
        return kind, payload

    def send(self, kind: bytes, payload: bytes) -> None:
        """Send it a frame. Raises _Stop if it does not read."""
        with self._failures():
            self._child.send(kind, payload, self.deadline)

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except ChildSlow:
            raise _Stop(Outcome.WALL_LIMIT, f"not done after {self._limits.wall:g} s") from None
        except BadFrame as error:
            raise _Stop(Outcome.BAD_REPLY, str(error)) from None
        except ChildGone:
            raise _why(self._child.end_and_tell(), self._limits) from None


@dataclass(slots=True)
class _Tally:
    """Results of the tests so far: how many passed, and the first failure."""

    total: int
    passed: int = 0
    outcome: Outcome = Outcome.PASS
    detail: str = ""

    def fail(self, outcome: Outcome, detail: str) -> None:
        if self.outcome is Outcome.PASS:
            self.outcome, self.detail = outcome, detail

    def verdict(self, seconds: float) -> Verdict:
        assert self.outcome is not Outcome.PASS or self.passed == self.total > 0
        return Verdict(outcome=self.outcome, passed=self.passed, total=self.total, detail=self.detail, seconds=seconds)


def _judge_direct(test: DirectTest, source: str, solver: _Party, tally: _Tally) -> None:
    values: list[Any] = []
    for _ in test.calls:
        kind, payload = solver.receive()
        if kind == wire.LOAD_FAILED:
            raise _Stop(*_raised(payload))
        if kind == wire.RAISED:
            outcome, text = _raised(payload)
            tally.fail(outcome, f"{_line(source)}: {text}")
        elif kind == wire.UNFIT:
            tally.fail(Outcome.BAD_REPLY, f"{_line(source)}: {_raised(payload)[1]}")
        elif kind == wire.VALUE:
            try:
                values.append(codec.decode(payload))
            except codec.CodecError as error:
                tally.fail(Outcome.BAD_REPLY, f"{_line(source)}: {error}")
        else:
            raise _Stop(Outcome.BAD_REPLY, f"an unexpected frame {kind!r}")
    if len(values) < len(test.calls):
        return
    try:
        passed = bool(test.judge(values))
    except Exception as error:  # comparing hostile values must not stop the trainer
        tally.fail(Outcome.WRONG, f"{_line(source)}: cannot be judged: {type(error).__name__}")
        return
    if passed:
        tally.passed += 1
    else:
        tally.fail(Outcome.WRONG, f"{_line(source)}: got {', '.join(map(_show, values))}")


def _relay(payload: bytes, solver: _Party, checker: _Party) -> Outcome | None:
    """Forward one call of the checker to the solver and the answer back; returns the outcome if it is a failure."""
    solver.send(wire.CALL, payload)
    kind, answer = solver.receive()
    if kind == wire.LOAD_FAILED:
        raise _Stop(*_raised(answer))
    if kind not in (wire.VALUE, wire.RAISED, wire.UNFIT):
        raise _Stop(Outcome.BAD_REPLY, f"an unexpected frame {kind!r}")
    checker.send(kind, answer)
    if kind == wire.RAISED:
        return _raised(answer)[0]
    return Outcome.BAD_REPLY if kind == wire.UNFIT else None


def _judge_checked(sources: Sequence[str], solver: _Party, checker: _Party, tally: _Tally) -> None:
    asked = False
    for source in sources:
        failure: Outcome | None = None
        while True:
            kind, payload = checker.receive()
            if kind != wire.CALL:
                break
            asked = True
            failure = _relay(payload, solver, checker)
        if kind == wire.PASSED:
            tally.passed += 1
            continue
        name = payload.partition(b"\0")[0]
        if name == b"CodecError":
            failure = Outcome.BAD_REPLY
        elif name == b"AssertionError" or failure is None:
            failure = Outcome.WRONG
        tally.fail(failure, f"{_line(source)}: {_raised(payload)[1]}")
    if not asked and tally.passed:
        tally.passed = 0
        raise _Stop(Outcome.INFRA_ERROR, "the tests never call the program, so they prove nothing")


def _try(worker: Worker, job: Job, limits: Limits, plan: Plan, tally: _Tally, children: list[Child]) -> None:
    direct = [(test, source) for test, source in zip(plan.tests, job.tests, strict=True) if test is not None]
    checked = [source for test, source in zip(plan.tests, job.tests, strict=True) if test is None]
    children.append(worker.fork(limits))
    solver = _Party(children[0], limits)
    solver.begin((job.code, job.setup, [call for test, _ in direct for call in test.calls], bool(checked)))
    for test, source in direct:
        _judge_direct(test, source, solver, tally)
    if checked:
        children.append(worker.fork(limits, checker=True))
        checker = _Party(children[1], limits, solver.deadline)
        checker.begin((job.setup, checked, plan.functions, dict(plan.standard)))
        _judge_checked(checked, solver, checker, tally)


def try_program(worker: Worker, job: Job, limits: Limits) -> Verdict:
    """Try one program on one worker.

    Args:
        worker: A worker used by this trial alone.
        job: The program and its tests.
        limits: Its resource limits.

    Raises:
        WorkerFailed: The worker failed; this says nothing about the program.
    """
    start = time.monotonic()
    tally = _Tally(len(job.tests))
    plan = read_tests(tuple(job.tests), job.setup)
    if plan.error:
        tally.fail(Outcome.INFRA_ERROR, plan.error)
        return tally.verdict(0.0)
    children: list[Child] = []
    try:
        _try(worker, job, limits, plan, tally, children)
    except _Stop as stop:
        tally.fail(stop.outcome, stop.detail)
    finally:
        for child in children:
            child.end()
    return tally.verdict(time.monotonic() - start)
