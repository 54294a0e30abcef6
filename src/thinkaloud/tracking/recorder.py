"""Writes the records of a run, step by step: metrics, rollouts, health events, plans.

A full or read-only disk does not end a training run. Metrics that cannot be written are kept in memory and written
later; rollouts that cannot be written are left out. Either is reported once.
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

from thinkaloud.distributed.agreement import is_first
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
        sinks: Further receivers of every row. A sink that fails is reported and removed.
    """

    def __init__(self, run: RunDir, display: Display, sinks: Sequence[Sink] = ()) -> None:
        self._run, self._display = run, display
        self._sinks = list(sinks)
        self._pending: list[tuple[Path, dict[str, Any]]] = []
        self._lock = threading.Lock()  # the thread of a checkpoint writes them too
        self._problems: set[str] = set()
        self._at = ("", 0)
        self._clocks = time.time() - session_clock()

    def problem(self, name: str, message: str, remedy: str = "") -> None:
        """Report that `name` could not be written; once, until `recovered`."""
        if name not in self._problems:
            self._problems.add(name)
            self.event(Event(*self._at, f"disk {name}", "raised", message, remedy))

    def recovered(self, name: str) -> None:
        """Report that `name` was written, if there was a problem with it."""
        if name in self._problems:
            self._problems.discard(name)
            self.event(Event(*self._at, f"disk {name}", "cleared", f"{name} can be written again"))

    def judge(self, notice: Notice) -> None:
        """Record a notice of the judge."""
        self.event(Event(*self._at, "judge", notice.state, notice.message, notice.remedy))

    def resume(self, stage: str, done: int) -> None:
        """A stage continues after `done` steps: remove the records of later steps."""
        self._at = (stage, done)
        path = self._run.path / "health.jsonl"
        if path.exists():
            lines = path.read_text("utf-8", errors="replace").split("\n")[:-1]  # the last one may be cut off
            write_text(path, "".join(line + "\n" for line in lines if _is_kept(line, stage, done)))
        for sink in self._sinks:
            with self._dropping(sink):
                sink.resume(stage, done)

    def step(self, row: dict[str, Any]) -> None:
        """A step is done: write its row to metrics.jsonl, the display and the sinks."""
        self._at = (row["stage"], row["step"])
        with self._lock:
            self._pending.append((self._run.metrics, row))
        self._flush()
        self._display.step(row)
        for sink in list(self._sinks):
            with self._dropping(sink), self._tolerant(sink.name, "its steps are left out until then"):
                sink.row(row)
        self._watch_clocks()

    def event(self, event: Event, raised: Sequence[str] | None = None) -> None:
        """Write a warning, raised or cleared, to health.jsonl and the display.

        Args:
            raised: The checks with active warnings; None leaves the display's list unchanged.
        """
        with self._lock:
            self._pending.append((self._run.path / "health.jsonl", {"time": _now(), **asdict(event)}))
        self._flush()
        line = f"warning: {event.message}" if event.state == "raised" else event.message
        self._display.note(f"{line}; {event.remedy}" if event.remedy else line)
        if raised is not None:
            self._display.health(raised)

    def rollouts(self, step: int, groups: Sequence[RolloutGroup]) -> None:
        """Write the scored completions of the 1-based `step`."""
        if not is_first():
            return
        from thinkaloud.tracking.rollout_writer import write_rollouts

        with self._tolerant("rollouts", "their steps are left out until then"):
            write_rollouts(self._run.rollouts, step, groups)

    def plan(self, plan: Plan) -> None:
        """Write a plan, or a change of it, to plan.jsonl and the display."""
        row = {"time": _now(), **asdict(plan)}
        with self._tolerant("plan.jsonl", "the plan is in force nevertheless"):
            append_line(self._run.path / "plan.jsonl", json.dumps(row))
        self._display.plan(plan.total_steps)
        self._display.note(
            f"deadline: {plan.total_steps} steps ({plan.reason}); {duration(plan.seconds_left)} left, "
            f"{duration(plan.reserve.total)} of it reserved for evaluation, report and saving"
        )

    def file(self, name: str, value: Mapping[str, Any]) -> None:
        """Write a JSON file of the run."""
        with self._tolerant(name, "training continues without it"):
            self._run.write_json(name, value)

    def close(self) -> None:
        """Write what is pending and close the sinks."""
        self._flush()
        for sink in list(self._sinks):
            with self._dropping(sink):
                sink.close()

    def flush_to_disk(self) -> None:
        """Write every pending row and sync it to the disk; called before a checkpoint, from its thread.

        Raises:
            OSError: The rows cannot be written.
        """
        self._write_pending()
        if self._run.metrics.exists():
            with self._run.metrics.open("rb") as file:
                os.fsync(file.fileno())

    def _flush(self) -> None:
        with self._tolerant("metrics", "they are kept in memory and written later"):
            self._write_pending()

    def _write_pending(self) -> None:
        with self._lock:
            while self._pending:
                path, row = self._pending[0]
                self._run.append(row) if path == self._run.metrics else append_line(path, json.dumps(row))
                del self._pending[0]

    def _watch_clocks(self) -> None:
        """Report a jump of the system clock. (Deadlines and durations use a monotonic clock.)"""
        apart = time.time() - session_clock() - self._clocks
        if abs(apart) > CLOCK_JUMP_SECONDS:
            self._clocks += apart
            self.event(Event(*self._at, "clock", "raised", f"the system's clock jumped by {apart:+.0f} s", "", apart))

    @contextlib.contextmanager
    def _dropping(self, sink: Sink) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # whatever a tracker's library raises, training continues
            self._sinks.remove(sink)
            reason = " ".join(str(error).split())[:200]
            self._display.note(f"warning: no more metrics are sent to {sink.name} ({reason})")

    @contextlib.contextmanager
    def _tolerant(self, name: str, consequence: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)  # Arrow's errors have no number
            remedy = "make the disk writable again" if error.errno == errno.EROFS else "free some space"
            self.problem(name, f"cannot write {name} ({reason}); {consequence}", remedy)
        else:
            self.recovered(name)


def _now() -> str:
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")


def _is_kept(line: str, stage: str, done: int) -> bool:
    """Whether a line of health.jsonl is complete, and not about a step that will be repeated."""
    try:
        event = json.loads(line)
        return bool(event["stage"] != stage or event["step"] <= done)
    except (ValueError, KeyError, TypeError):
        return False
