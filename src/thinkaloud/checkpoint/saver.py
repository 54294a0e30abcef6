"""When checkpoints are written, which are kept, and which one a resumed stage continues from.

A save copies the arrays to the host and writes them in the background while training continues. A save that fails is
reported at the next opportunity; training is not affected.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from thinkaloud.checkpoint.arrays import placed_like
from thinkaloud.checkpoint.files import (
    Restored,
    Saved,
    Stage,
    clear_unfinished,
    damage,
    list_saved,
    name_of,
    reason,
    restore,
    save,
    set_aside,
)
from thinkaloud.distributed.agreement import from_first, is_first
from thinkaloud.distributed.processes import broadcast
from thinkaloud.errors import UserError
from thinkaloud.model.lora import Adapter
from thinkaloud.model.sharding import fetch


class Saver:
    """Writes the checkpoints of a run in the background, one at a time. Of several processes only the first writes.

    Args:
        directory: Folder of the checkpoints.
        keep: Number of the newest checkpoints of each stage to keep, besides the best by validation.
        before: Called at the start of each save, to write the metrics: a checkpoint must not be ahead of them. If it
            raises OSError, the checkpoint is not written.
    """

    def __init__(self, directory: Path, *, keep: int, before: Callable[[], None] = lambda: None) -> None:
        self._directory, self._keep, self._before = directory, keep, before
        self._thread: threading.Thread | None = None
        self._failures: list[str] = []
        self._unsaved: tuple[Stage, int] | None = None
        self._slowest = self.seconds = 0.0
        """Duration of the slowest save before this one, copy included; the same in all processes."""

    @property
    def unsaved(self) -> bool:
        """Whether the newest save failed."""
        return self._unsaved is not None

    def save(self, stage: Stage, step: int, adapter: Adapter, state: Any, progress: Mapping[str, Any]) -> None:
        """Begin a save, after waiting for the one before.

        Args:
            progress: JSON-ready; `best`, if present, holds the step of the best by validation, which is kept.
        """
        self.wait()
        self.seconds = from_first(lambda: self._slowest)
        self._began = time.perf_counter()
        arrays = fetch((adapter, state))
        if not is_first():
            return
        arrays = jax.tree.map(lambda leaf: np.array(leaf, copy=True), arrays)
        self._thread = threading.Thread(
            target=self._write, args=(stage, step, *arrays, dict(progress)), name="checkpoint", daemon=True
        )
        self._thread.start()

    def failures(self) -> list[str]:
        """Errors of the saves that ended since the last call."""
        failures, self._failures = self._failures, []
        return failures

    def wait(self) -> None:
        """Wait for the save in progress."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _write(self, stage: Stage, step: int, adapter: Any, state: Any, progress: dict[str, Any]) -> None:
        self._unsaved = (stage, step)
        try:
            self._write_metrics(stage, step)
            save(self._directory, stage, step, adapter, state, progress)
            self._unsaved = None
            self._slowest = max(self._slowest, time.perf_counter() - self._began)
            best = progress.get("best") or {}
            own = [saved for saved in list_saved(self._directory) if saved.stage == stage and saved.step <= step]
            for old in own[: -self._keep]:
                if old.step != best.get("step"):
                    shutil.rmtree(old.path, ignore_errors=True)
        except UserError as error:
            self._failures.append(str(error))
        except Exception as error:  # reported by `failures`; training continues
            self._failures.append(f"cannot write the checkpoint {name_of(stage, step)}: {error!r:.200}")

    def _write_metrics(self, stage: Stage, step: int) -> None:
        try:
            self._before()
        except OSError as error:
            why = f"the metrics before it cannot be written: {reason(error)}"
            raise UserError(f"cannot write the checkpoint {self._directory / name_of(stage, step)}: {why}") from error


@dataclass(frozen=True, slots=True)
class Found:
    """The checkpoint that a stage continues from.

    Attributes:
        restored: None where the stage has no checkpoint yet.
        passed_over: Newer checkpoints that are damaged or unfinished, each with what was done with it.
    """

    restored: Restored | None
    passed_over: tuple[str, ...]


def find(directory: Path, stage: Stage, like: Adapter, state_like: Any) -> Found:
    """The newest whole checkpoint of a stage, restored and placed on the devices. All processes of a run call it.

    Process 0 reads the checkpoint and sends it to the others; it renames damaged ones and removes unfinished ones.

    Args:
        like: An adapter with the shapes, dtypes and shardings expected; `state_like`, an optimizer state.

    Raises:
        UserError: All are damaged, or a whole one has another shape or was written by an earlier version.
    """
    own: list[Found] = []  # in process 0

    def look() -> tuple[list[Any] | None, tuple[str, ...]]:
        own.append(_find(directory, stage, like, state_like))
        there = own[0].restored
        at = None if there is None else [str(there.saved.path), there.saved.step, there.progress]
        return at, own[0].passed_over

    at, passed = from_first(look)
    if at is None:
        return Found(None, tuple(passed))
    path, step, progress = at
    first = own[0].restored if own else None
    arrays = broadcast((first.adapter, first.state) if first else None, (like, state_like))
    adapter, state = placed_like(arrays, (like, state_like))
    return Found(Restored(Saved(Path(path), stage, step), adapter, state, progress), tuple(passed))


def _find(directory: Path, stage: Stage, like: Adapter, state_like: Any) -> Found:
    passed = [f"{name} (unfinished; removed)" for name in clear_unfinished(directory, stage)]
    own = [saved for saved in list_saved(directory) if saved.stage == stage]
    broken: list[tuple[Saved, str]] = []
    for saved in reversed(own):
        problem = damage(saved)
        if problem is None:
            found = restore(saved, like, state_like)
            passed += [f"{bad.path.name} ({why}; renamed to {set_aside(bad).name})" for bad, why in broken]
            return Found(found, tuple(passed))
        broken.append((saved, problem))
    if broken:
        raise UserError(
            f"all checkpoints of {stage} in {directory} are damaged: "
            + ", ".join(f"{bad.path.name} ({why})" for bad, why in broken)
            + f"; delete these folders to begin {stage} again"
        )
    return Found(None, tuple(passed))


def forget_after(directory: Path, stage: Stage, step: int) -> None:
    """Remove the checkpoints of a stage after `step`, before a run repeats the steps that follow."""
    for saved in list_saved(directory):
        if saved.stage == stage and saved.step > step:
            shutil.rmtree(saved.path, ignore_errors=True)
