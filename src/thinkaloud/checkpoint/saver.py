"""When checkpoints are written, which are kept, and which one a resumed stage goes on from.

A save takes a copy of the arrays to the host and writes it in the background; training goes on meanwhile. One that
fails is told at the next opportunity, and costs nothing but itself.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

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
from thinkaloud.distributed.team import alone, from_first, is_first
from thinkaloud.errors import UserError
from thinkaloud.model.lora import Adapter


class Saver:
    """Writes checkpoints of one run, at most one at a time, each in the background; of several processes the first.

    Args:
        directory: Of the checkpoints.
        keep: So many of the newest of each stage stay, and the best by validation.
        before: Called as each save begins; it is not made if this raises OSError (metrics that cannot be written:
            a checkpoint must not be ahead of its metrics).
    """

    def __init__(self, directory: Path, *, keep: int, before: Callable[[], None] = lambda: None) -> None:
        self._directory, self._keep, self._before = directory, keep, before
        self._thread: threading.Thread | None = None
        self._failures: list[str] = []
        self._unsaved: tuple[Stage, int] | None = None
        self.seconds = 0.0
        """That the slowest save took, copy and all."""

    @property
    def unsaved(self) -> bool:
        """Whether the newest save failed."""
        return self._unsaved is not None

    def save(self, stage: Stage, step: int, adapter: Adapter, state: Any, progress: Mapping[str, Any]) -> None:
        """Begin a save, after the one before has ended.

        Args:
            progress: JSON-ready; `best` in it, if any, names the step of the best by validation, which is kept.
        """
        if not is_first():  # all hold the same
            return
        self.wait()
        self._began = time.perf_counter()
        arrays = jax.tree.map(lambda leaf: np.array(leaf, copy=True), jax.device_get((adapter, state)))
        self._thread = threading.Thread(
            target=self._write, args=(stage, step, *arrays, dict(progress)), name="checkpoint", daemon=True
        )
        self._thread.start()

    def failures(self) -> list[str]:
        """What went wrong with saves that have ended since this was asked last."""
        told, self._failures = self._failures, []
        return told

    def wait(self) -> None:
        """Until nothing is being written."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _write(self, stage: Stage, step: int, adapter: Any, state: Any, progress: dict[str, Any]) -> None:
        self._unsaved = (stage, step)
        try:
            self._settle(stage, step)
            save(self._directory, stage, step, adapter, state, progress)
            self._unsaved = None
            self.seconds = max(self.seconds, time.perf_counter() - self._began)
            best = progress.get("best") or {}
            own = [saved for saved in list_saved(self._directory) if saved.stage == stage and saved.step <= step]
            for old in own[: -self._keep]:
                if old.step != best.get("step"):
                    shutil.rmtree(old.path, ignore_errors=True)
        except UserError as error:
            self._failures.append(str(error))
        except Exception as error:  # a thread has nobody else to tell; training goes on
            self._failures.append(f"cannot write the checkpoint {name_of(stage, step)}: {error!r:.200}")

    def _settle(self, stage: Stage, step: int) -> None:
        try:
            self._before()
        except OSError as error:
            why = f"the metrics before it cannot be written: {reason(error)}"
            raise UserError(f"cannot write the checkpoint {self._directory / name_of(stage, step)}: {why}") from error


@dataclass(frozen=True, slots=True)
class Found:
    """Where a stage goes on.

    Attributes:
        restored: None at the stage's beginning.
        passed_over: Newer checkpoints that are not whole, each with what became of it.
    """

    restored: Restored | None
    passed_over: tuple[str, ...]


def find(directory: Path, stage: Stage, like: Adapter, state_like: Any) -> Found:
    """The newest whole checkpoint of a stage, restored. Damaged ones are renamed, unfinished ones removed.

    Args:
        like: Shapes and dtypes of the adapter; `state_like`, of the optimizer's state.

    Raises:
        UserError: All are damaged, or a whole one holds something of another shape.
    """
    passed = [f"{name} (cut off as it was written; removed)" for name in clear_unfinished(directory, stage)]
    own = [saved for saved in list_saved(directory) if saved.stage == stage]
    broken: list[tuple[Saved, str]] = []
    for saved in reversed(own):
        problem = damage(saved)
        if problem is None:
            found = restore(saved, like, state_like)
            passed += [f"{bad.path.name} ({why}; now {set_aside(bad).name})" for bad, why in broken]
            return Found(found, tuple(passed))
        broken.append((saved, problem))
    if broken:
        raise UserError(
            f"no checkpoint of {stage} in {directory} is whole: "
            + ", ".join(f"{bad.path.name} ({why})" for bad, why in broken)
            + f"; delete these folders to begin {stage} anew"
        )
    return Found(None, tuple(passed))


def find_together(directory: Path, stage: Stage, like: Adapter, state_like: Any) -> Found:
    """As `find`, in all processes of a run: process 0 has the checkpoints, and sends what is in the one it takes."""
    if alone():
        return find(directory, stage, like, state_like)

    def found_here() -> Found:
        found = find(directory, stage, like, state_like)
        if found.restored is None:
            return found
        adapter, state = jax.device_get((found.restored.adapter, found.restored.state))
        return replace(found, restored=replace(found.restored, adapter=adapter, state=state))

    found = from_first(found_here)
    if found.restored is None:
        return found
    adapter, state = placed_like((found.restored.adapter, found.restored.state), (like, state_like))
    return replace(found, restored=replace(found.restored, adapter=adapter, state=state))


def placed_like(tree: Any, like: Any) -> Any:
    """A tree of host arrays on the devices, each where `like` has its counterpart."""
    return jax.tree.map(lambda leaf, there: jax.device_put(leaf, there.sharding), tree, like)


def forget_after(directory: Path, stage: Stage, step: int) -> None:
    """Remove the checkpoints of a stage that are newer than `step`, which is taken again."""
    for saved in list_saved(directory):
        if saved.stage == stage and saved.step > step:
            shutil.rmtree(saved.path, ignore_errors=True)
