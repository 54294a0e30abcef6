"""What survives a crash: adapter and optimizer state, one directory a save, written by Orbax.

A save ends with `files.json`, the SHA-256 of every file. A directory without it is not whole and is not looked at; one
whose files are not those is refused before Orbax reads it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import orbax.checkpoint as ocp

from thinkaloud.errors import UserError
from thinkaloud.model.lora import Adapter
from thinkaloud.rundir import write_text

Stage = Literal["cold_start", "grpo"]

_NAME = re.compile(r"^(cold_start|grpo)-(\d{6,})$")
_SUMS = "files.json"


@dataclass(frozen=True, slots=True)
class Saved:
    """A whole checkpoint: where it is and after how many steps of which stage it was taken."""

    path: Path
    stage: Stage
    step: int


def save(directory: Path, stage: Stage, step: int, adapter: Adapter, state: Any, *, keep: int) -> Saved:
    """Write `<stage>-<step>` below `directory`, then drop the stage's older ones but for the newest `keep`.

    Raises:
        UserError: It cannot be written; nothing is left of it then, and the older ones stay.
    """
    path = directory / f"{stage}-{step:06d}"
    if path.exists():
        shutil.rmtree(path)
    for cut_off in directory.glob("*.orbax-checkpoint-tmp"):  # of a process that was killed
        shutil.rmtree(cut_off, ignore_errors=True)
    items = ocp.args.Composite(
        adapter=ocp.args.StandardSave(adapter),
        optimizer=ocp.args.StandardSave(state if state is not None else {"none": 0}),
    )
    try:
        with _one_voice(), ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
            checkpointer.save(path.absolute(), items)
        write_text(path / _SUMS, json.dumps(_sums(path), indent=1) + "\n")
    except (OSError, ValueError) as error:
        for part in (path, path.with_name(f"{path.name}.orbax-checkpoint-tmp")):
            shutil.rmtree(part, ignore_errors=True)
        full = "No space left" in str(error)
        raise UserError(
            f"cannot write the checkpoint {path}: {'the disk is full' if full else str(error)[:200]}; free some space, "
            "then go on with --resume"
        ) from error
    for old in [saved for saved in list_saved(directory) if saved.stage == stage][:-keep]:
        shutil.rmtree(old.path, ignore_errors=True)
    return Saved(path, stage, step)


def list_saved(directory: Path) -> list[Saved]:
    """Whole checkpoints, oldest first: the cold start's before GRPO's."""
    found = []
    for path in sorted(directory.iterdir()) if directory.is_dir() else []:
        match = _NAME.match(path.name)
        if match and (path / _SUMS).exists():
            found.append(Saved(path, "grpo" if match[1] == "grpo" else "cold_start", int(match[2])))
    return sorted(found, key=lambda saved: (saved.stage, saved.step))


def newest(directory: Path, stage: Stage | None = None) -> Saved | None:
    """The newest whole checkpoint (of a stage), or None."""
    found = [saved for saved in list_saved(directory) if stage in (None, saved.stage)]
    return found[-1] if found else None


def restore_adapter(saved: Saved, like: Adapter) -> Adapter:
    """The adapter of a checkpoint; `like` gives shapes and dtypes.

    Raises:
        UserError: The files cannot be read, or hold an adapter of another shape.
    """
    items = ocp.args.Composite(adapter=ocp.args.StandardRestore(_abstract(like)))
    return _restore(saved, items).adapter


def restore(saved: Saved, like: Adapter, state_like: Any) -> tuple[Adapter, Any]:
    """Adapter and optimizer state of a checkpoint; raises UserError as `restore_adapter` does."""
    items = ocp.args.Composite(
        adapter=ocp.args.StandardRestore(_abstract(like)),
        optimizer=ocp.args.StandardRestore(_abstract(state_like)),
    )
    found = _restore(saved, items)
    return found.adapter, found.optimizer


def _sums(path: Path) -> dict[str, str]:
    files = sorted(file for file in path.rglob("*") if file.is_file() and file != path / _SUMS)
    return {str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def _restore(saved: Saved, items: Any) -> Any:
    try:
        expected, found = json.loads((saved.path / _SUMS).read_text(encoding="utf-8")), _sums(saved.path)
        if found != expected:
            differ = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
            raise ValueError(f"{differ[0]} is not as it was saved")
        with _one_voice(), ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
            return checkpointer.restore(saved.path.absolute(), items)
    except (ValueError, OSError, KeyError, TypeError) as error:
        raise UserError(
            f"cannot read the checkpoint {saved.path}: {str(error)[:200]}; delete that folder to go on from the one "
            "before"
        ) from error


@contextmanager
def _one_voice() -> Iterator[None]:
    """Orbax logs the traceback of an error that it raises as well; whoever catches it says it once."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _abstract(tree: Any) -> Any:
    return jax.tree.map(ocp.utils.to_shape_dtype_struct, tree)
