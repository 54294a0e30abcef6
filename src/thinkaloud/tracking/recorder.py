"""What a run writes down and says, step by step: metrics, rollouts, notes.

A disk that is full or read-only must not end a night's training. Metrics that cannot be written are kept and written as
soon as they can be; rollouts that cannot be written are left out; either is said once.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thinkaloud.distributed.team import is_first
from thinkaloud.durations import duration, session_clock
from thinkaloud.records import RolloutGroup
from thinkaloud.storage.atomic import append_line, write_text
from thinkaloud.storage.run_directory import RunDir
from thinkaloud.tracking.display import Display
from thinkaloud.tracking.health import Event
from thinkaloud.tracking.sinks import Sink

if TYPE_CHECKING:
    from thinkaloud.judge import Notice
    from thinkaloud.pipeline.deadline import Plan

CLOCK_JUMP_SECONDS = 60.0


class Recorder:
    """The records of one run.

    Args:
        sinks: Who else is told of every row; one that fails is said once, and dropped.
    """

    def __init__(self, run: RunDir, display: Display, sinks: Sequence[Sink] = ()) -> None:
        self._run, self._display = run, display
        self._sinks = list(sinks)
        self._pending: list[tuple[Path, dict[str, Any]]] = []
        self._lock = threading.Lock()  # a checkpoint's thread writes them too
        self._troubles: set[str] = set()
        self._at = ("", 0)
        self._clocks = time.time() - session_clock()

    def problem(self, what: str, message: str, remedy: str = "") -> None:
        """Something could not be written that will be tried again; said once, until `recovered`."""
        if what not in self._troubles:
            self._troubles.add(what)
            self.event(Event(*self._at, f"disk {what}", "raised", message, remedy))

    def recovered(self, what: str) -> None:
        """Something has been written; said where there was trouble with it."""
        if what in self._troubles:
            self._troubles.discard(what)
            self.event(Event(*self._at, f"disk {what}", "cleared", f"{what} can be written again"))

    def judge(self, notice: Notice) -> None:
        """What the judge has to tell."""
        self.event(Event(*self._at, "judge", notice.state, notice.message, notice.remedy))

    def resume(self, stage: str, done: int) -> None:
        """A stage goes on after `done` steps: what was told of later ones is forgotten."""
        self._at = (stage, done)
        path = self._run.path / "health.jsonl"
        if path.exists():
            lines = path.read_text("utf-8", errors="replace").split("\n")[:-1]  # the last one may be cut off
            write_text(path, "".join(line + "\n" for line in lines if _stays(line, stage, done)))
        for sink in self._sinks:
            with self._dropping(sink):
                sink.resume(stage, done)

    def step(self, row: dict[str, Any]) -> None:
        """A step is done: its row goes to metrics.jsonl, the display, and wherever else."""
        self._at = (row["stage"], row["step"])
        with self._lock:
            self._pending.append((self._run.metrics, row))
        self._flush()
        self._display.step(row)
        for sink in list(self._sinks):
            with self._dropping(sink), self._tolerant(sink.name, "steps are left out of it until it can be"):
                sink.row(row)
        self._watch_clocks()

    def event(self, event: Event, raised: Sequence[str] | None = None) -> None:
        """A warning, raised or cleared: to health.jsonl and the display.

        Args:
            raised: The checks whose warnings stand; None leaves the display's list as it is.
        """
        with self._lock:
            self._pending.append((self._run.path / "health.jsonl", {"time": _now(), **asdict(event)}))
        self._flush()
        said = f"warning: {event.message}" if event.state == "raised" else event.message
        self._display.note(f"{said}; {event.remedy}" if event.remedy else said)
        if raised is not None:
            self._display.health(raised)

    def rollouts(self, step: int, groups: Sequence[RolloutGroup]) -> None:
        """What was sampled in 1-based `step`, with its scores."""
        if not is_first():
            return
        from thinkaloud.tracking.rollout_writer import write_rollouts

        with self._tolerant("rollouts", "steps are left out of rollouts/ until they can be"):
            write_rollouts(self._run.rollouts, step, groups)

    def plan(self, plan: Plan) -> None:
        """A plan, or a change of it: to plan.jsonl and the display."""
        row = {"time": _now(), **asdict(plan)}
        with self._tolerant("plan.jsonl", "the plan holds all the same"):
            append_line(self._run.path / "plan.jsonl", json.dumps(row))
        self._display.plan(plan.total_steps)
        self._display.note(
            f"deadline: {plan.total_steps} steps ({plan.reason}); {duration(plan.seconds_left)} left, "
            f"{duration(plan.reserve.total)} of them kept for evaluation, report and saving"
        )

    def file(self, name: str, value: Mapping[str, Any]) -> None:
        """A JSON file of the run."""
        with self._tolerant(name, "training goes on without it"):
            self._run.write_json(name, value)

    def close(self) -> None:
        """Nothing more comes."""
        self._flush()
        for sink in list(self._sinks):
            with self._dropping(sink):
                sink.close()

    def settle(self) -> None:
        """Every row so far is on the disk when this returns; called before a checkpoint, from its thread.

        Raises:
            OSError: The disk does not take them.
        """
        self._write_pending()
        if self._run.metrics.exists():
            with self._run.metrics.open("rb") as file:
                os.fsync(file.fileno())

    def _flush(self) -> None:
        with self._tolerant("metrics", "they are kept in memory and written as soon as they can be"):
            self._write_pending()

    def _write_pending(self) -> None:
        with self._lock:
            while self._pending:
                path, row = self._pending[0]
                self._run.append(row) if path == self._run.metrics else append_line(path, json.dumps(row))
                del self._pending[0]

    def _watch_clocks(self) -> None:
        """Deadlines and times run on a clock that never jumps; that the clock on the wall did is worth a line."""
        apart = time.time() - session_clock() - self._clocks
        if abs(apart) > CLOCK_JUMP_SECONDS:
            self._clocks += apart
            self.event(Event(*self._at, "clock", "raised", f"the system's clock jumped by {apart:+.0f} s", "", apart))

    @contextlib.contextmanager
    def _dropping(self, sink: Sink) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # whatever a tracker's library throws: training is worth more
            self._sinks.remove(sink)
            self._display.note(f"warning: {sink.name} is not told any more ({' '.join(str(error).split())[:200]})")

    @contextlib.contextmanager
    def _tolerant(self, what: str, consequence: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else str(error)  # Arrow's has words of its own
            remedy = "make the disk writable again" if error.errno == errno.EROFS else "free some space"
            self.problem(what, f"cannot write {what} ({why}); {consequence}", remedy)
        else:
            self.recovered(what)


def _now() -> str:
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")


def _stays(line: str, stage: str, done: int) -> bool:
    """Whether a line of health.jsonl is whole, and not about a step that is taken again."""
    try:
        event = json.loads(line)
        return bool(event["stage"] != stage or event["step"] <= done)
    except (ValueError, KeyError, TypeError):
        return False
