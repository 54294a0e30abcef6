"""Receivers of every row of metrics: TensorBoard always, Weights & Biases or Trackio with `--track`.

Metric names are paths: `grpo/reward`, `grpo/domains/math/accuracy`, `cold_start/loss`.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import os
import secrets
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from thinkaloud.errors import UserError

TRACKERS = ("wandb", "trackio")
TRACKING = "tracking.json"
"""File of a run directory: the id of the run at the tracker."""
FINISH_SECONDS = 30.0
"""Time limit for a tracker without a network to finish; Trackio has the same limit itself."""


@runtime_checkable
class Sink(Protocol):
    """Receives the rows of metrics. After an exception it receives no more."""

    name: str

    def resume(self, stage: str, done: int) -> None:
        """A stage continues after `done` steps; rows of later steps are obsolete."""

    def row(self, row: Mapping[str, Any]) -> None:
        """Receive the row of a step."""

    def close(self) -> None:
        """Finish; called at the end of the run."""


def flat(row: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers of a row by path, below its stage, without `step`.

    >>> flat({"stage": "grpo", "step": 3, "reward": 0.5, "kl": None, "domains": {"math": {"n": 4}}})
    {'grpo/reward': 0.5, 'grpo/domains/math/n': 4.0}
    """
    return dict(_numbers({key: value for key, value in row.items() if key not in ("stage", "step")}, row["stage"]))


def _numbers(value: Any, path: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _numbers(item, f"{path}/{key}")
    elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        yield path, float(value)


class TensorBoard:
    """Event files in `tensorboard/` of the run, flushed after every row, without a thread."""

    name = "tensorboard"

    def __init__(self, run: Path) -> None:
        self._folder = run / "tensorboard"
        self._writer: Any = None
        self._files = 0

    def resume(self, stage: str, done: int) -> None:
        if done and self._folder.exists():
            from tensorboardX.proto.event_pb2 import Event, SessionLog

            start = SessionLog(status=SessionLog.START)  # hides an earlier session's later steps
            self._write(Event(wall_time=time.time(), step=done + 1, session_log=start))

    def row(self, row: Mapping[str, Any]) -> None:
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in flat(row).items()]
        self._write(Event(wall_time=time.time(), step=int(row["step"]), summary=Summary(value=values)))

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _write(self, event: Any) -> None:
        if self._writer is None:
            from tensorboardX.event_file_writer import EventsWriter

            self._folder.mkdir(exist_ok=True)
            self._files += 1
            self._writer = EventsWriter(str(self._folder / "events"), f".{os.getpid()}.{self._files}")
        try:
            self._writer.write_event(event)
            self._writer.flush()
        except OSError:
            with contextlib.suppress(OSError):
                self._writer.close()
            self._writer = None  # this file may end in a partial record; the next row starts another
            raise


class Tracker:
    """Weights & Biases or Trackio: one tracked run per run directory, also after a resume.

    Args:
        library: `wandb` or `trackio`.
        run: The run directory, which need not exist yet.
        name: The recipe's name.
        recipe: The resolved recipe.

    Raises:
        UserError: The library is not installed, or does not start.
    """

    def __init__(self, library: str, run: Path, name: str, recipe: Mapping[str, Any]) -> None:
        if library not in TRACKERS:
            raise UserError(f"--track {library}: expected one of {', '.join(TRACKERS)}")
        os.environ.setdefault("WANDB_FINISH_TIMEOUT", f"{FINISH_SECONDS:g}")  # unlimited by default
        os.environ.setdefault("WANDB_CONSOLE", "off")  # the panel is not a log
        try:
            self._library: Any = importlib.import_module(library)
        except ImportError:
            raise UserError(f"--track {library} needs {library}, found none; pip install {library}") from None
        self.name = library
        try:
            self._id = str(json.loads((run / TRACKING).read_text(encoding="utf-8"))["id"])
        except (OSError, ValueError, KeyError, TypeError):
            self._id = secrets.token_hex(4)
        self._cold_start = 0
        options = {"project": "thinkaloud", "name": f"{name}-{run.name}-{self._id}", "config": dict(recipe)}
        try:
            with _notes_only():
                if library == "wandb":
                    self._run = self._library.init(**options, resume="allow", id=self._id)
                    for stage in ("cold_start", "grpo"):
                        self._library.define_metric(f"{stage}/*", step_metric=f"{stage}/step")
                else:  # Trackio identifies a run by its name
                    self._library.init(**options, resume="allow")
        except Exception as error:  # no account, no network: any exception of the library
            raise UserError(f"--track {library}: cannot start it ({str(error)[:200]})") from error

    @property
    def identity(self) -> dict[str, str]:
        """The content of the file TRACKING of the run directory."""
        return {"id": self._id}

    def resume(self, stage: str, done: int) -> None:
        """Trackers keep the rows that they received; rows of repeated steps are sent again, at the same steps."""
        if stage == "cold_start":
            self._cold_start = done

    def row(self, row: Mapping[str, Any]) -> None:
        values, step = {**flat(row), f"{row['stage']}/step": row["step"]}, row["step"]
        if self.name == "trackio":
            self._library.log(values, step=step)
            return
        if row["stage"] == "cold_start":
            self._cold_start = step
        # wandb's step counts both stages and must not decrease; offline, it does not know earlier sessions
        passed = step - 1 if row["stage"] == "cold_start" else self._cold_start + step - 1
        self._library.log(values, step=max(passed, self._run.step), commit=True)

    def close(self) -> None:
        with _notes_only():
            self._library.finish()


def _notes_only() -> contextlib.redirect_stdout[Any]:
    """Redirect what a library prints to stderr: stdout is for results."""
    return contextlib.redirect_stdout(sys.stderr)
