"""Checkpoints on disk: a folder with adapter, optimizer state and progress.

    grpo-000012/ adapter.safetensors  optimizer.safetensors  progress.json  files.json

The folder is written under a temporary name and renamed, so it appears whole or not at all. `files.json` holds the
SHA-256 of the other files; a file that differs is reported by name. `saver.py` decides when checkpoints are written.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from thinkaloud.checkpoint.arrays import placed_like, read_tree, write_tree
from thinkaloud.errors import UserError
from thinkaloud.model.lora import Adapter
from thinkaloud.storage.atomic import write_json
from thinkaloud.storage.hashing import folder_sha256
from thinkaloud.storage.staging import staging

Stage = Literal["cold_start", "grpo"]

_NAME = re.compile(r"(cold_start|grpo)-(\d{6,})")
_STAGED = re.compile(r"\.((?:cold_start|grpo)-\d{6,})\..+")
_ADAPTER, _OPTIMIZER, _PROGRESS, _SUMS = "adapter.safetensors", "optimizer.safetensors", "progress.json", "files.json"


@dataclass(frozen=True, slots=True)
class Saved:
    """A whole checkpoint: its folder, and the stage and step it was taken after."""

    path: Path
    stage: Stage
    step: int


@dataclass(frozen=True, slots=True)
class Restored:
    """The content of a checkpoint."""

    saved: Saved
    adapter: Adapter
    state: Any
    progress: dict[str, Any]


def save(
    directory: Path, stage: Stage, step: int, adapter: Adapter, state: Any, progress: Mapping[str, Any] | None = None
) -> Saved:
    """Write `<stage>-<step>` below `directory`, replacing a checkpoint of that name.

    Args:
        adapter: Numpy or JAX arrays; sharded ones are gathered on the host.
        state: The optimizer's, or None.
        progress: Anything else the stage needs to resume, JSON-ready.

    Raises:
        UserError: It cannot be written; nothing is left of it then.
    """
    path = directory / name_of(stage, step)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with staging(path) as folder:
            write_tree(folder / _ADAPTER, adapter)
            write_tree(folder / _OPTIMIZER, state)
            write_json(folder / _PROGRESS, dict(progress or {}))
            write_json(folder / _SUMS, folder_sha256(folder, without=_SUMS))
            if path.exists():
                shutil.rmtree(path)
            os.replace(folder, path)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot write the checkpoint {path}: {reason(error)}") from error
    return Saved(path, stage, step)


def name_of(stage: Stage, step: int) -> str:
    """The name of a checkpoint's folder."""
    return f"{stage}-{step:06d}"


def reason(error: OSError | ValueError) -> str:
    """Why something could not be written, with the fix where it is known."""
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EROFS:
        return "the disk is read-only; make it writable again"
    return "the disk is full; free some space" if number in (errno.ENOSPC, errno.EDQUOT) else str(error)[:200]


def clear_unfinished(directory: Path, stage: Stage) -> list[str]:
    """Remove the checkpoints of a stage that a killed process did not finish; returns their names."""
    removed = set()
    for path in list(directory.iterdir()) if directory.is_dir() else []:
        staged = _STAGED.fullmatch(path.name)
        name = staged[1] if staged else path.name
        match = _NAME.fullmatch(name)
        if match and match[1] == stage and (staged or not (path / _SUMS).exists()):
            shutil.rmtree(path, ignore_errors=True)
            removed.add(name)
    return sorted(removed)


def set_aside(saved: Saved) -> Path:
    """Rename a damaged checkpoint so that it is no longer listed; returns its new path."""
    path = saved.path.with_name(f"{saved.path.name}.damaged")
    if path.exists():
        shutil.rmtree(path)
    return saved.path.rename(path)


def damage(saved: Saved) -> str | None:
    """The first file of a checkpoint that differs from what was saved; None where all are intact."""
    try:
        expected, found = (
            json.loads((saved.path / _SUMS).read_text(encoding="utf-8")),
            folder_sha256(saved.path, without=_SUMS),
        )
    except (OSError, ValueError, RecursionError) as error:
        return f"{_SUMS} cannot be read ({str(error)[:100]})"
    if not isinstance(expected, dict) or not expected:
        return f"{_SUMS} is damaged"
    differ = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
    return f"{differ[0]} is damaged" if differ else None


def list_saved(directory: Path) -> list[Saved]:
    """Whole checkpoints, oldest first: the cold start's before GRPO's."""
    found = []
    for path in sorted(directory.iterdir()) if directory.is_dir() else []:
        match = _NAME.fullmatch(path.name)
        if match and (path / _SUMS).exists():
            found.append(Saved(path, "grpo" if match[1] == "grpo" else "cold_start", int(match[2])))
    return sorted(found, key=lambda saved: (saved.stage, saved.step))


def newest(directory: Path, stage: Stage | None = None) -> Saved | None:
    """The newest whole checkpoint (of a stage), or None."""
    found = [saved for saved in list_saved(directory) if stage in (None, saved.stage)]
    return found[-1] if found else None


def trained(directory: Path, use: Literal["newest", "best"]) -> Saved | None:
    """The GRPO checkpoint that is the trained model, or None before there is one.

    Args:
        use: `best` is the best by validation that the newest records; the newest where that one was removed.
    """
    last = newest(directory, "grpo")
    if last is None or use == "newest":
        return last
    step = (read_progress(last).get("best") or {}).get("step")
    return next((saved for saved in list_saved(directory) if saved.stage == "grpo" and saved.step == step), last)


def restore_adapter(saved: Saved, like: Adapter) -> Adapter:
    """The adapter of a checkpoint, placed on the devices as `like` is.

    Args:
        like: An adapter with the shapes and dtypes expected.

    Raises:
        UserError: The files are damaged, of an earlier version, or hold an adapter of another shape.
    """
    return placed_like(read_adapter(saved, like), like)


def read_adapter(saved: Saved, like: Adapter) -> Adapter:
    """The adapter of a checkpoint as numpy arrays; raises UserError as `restore_adapter` does."""
    (adapter,) = _read(saved, {_ADAPTER: like})
    return adapter


def restore(saved: Saved, like: Adapter, state_like: Any) -> Restored:
    """The content of a checkpoint as numpy arrays; raises UserError as `restore_adapter` does."""
    adapter, state = _read(saved, {_ADAPTER: like, _OPTIMIZER: state_like})
    return Restored(saved, adapter, state, read_progress(saved))


def read_progress(saved: Saved) -> dict[str, Any]:
    """The progress saved with the arrays.

    Raises:
        UserError: It cannot be read.
    """
    try:
        value = json.loads((saved.path / _PROGRESS).read_text(encoding="utf-8"))
        if isinstance(value, dict):
            return value
        error: object = "it holds no JSON object"
    except (OSError, ValueError, RecursionError) as problem:
        error = problem
    raise UserError(f"cannot read the checkpoint {saved.path}: {_PROGRESS}: {str(error)[:200]}; delete that folder")


def _read(saved: Saved, trees: Mapping[str, Any]) -> list[Any]:
    """The trees in the named files, each like the one given."""
    if (saved.path / "adapter").is_dir():
        raise UserError(
            f"the checkpoint {saved.path} was written by an earlier version of thinkaloud, with Orbax, and cannot be "
            "read; finish the run with that version, or start again with --out"
        )
    try:
        if problem := damage(saved):
            raise ValueError(problem)
        return [read_tree(saved.path / name, like) for name, like in trees.items()]
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot read the checkpoint {saved.path}: {str(error)[:200]}; delete that folder to continue from the "
            "checkpoint before"
        ) from error
