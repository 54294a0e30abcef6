"""What survives a crash: adapter, optimizer state and progress, one directory a save, the arrays written by Orbax.

A save ends with `files.json`, the SHA-256 of every file. A directory without it was never finished; one whose files are
not those is damaged, and is known for it before Orbax reads it. `saver.py` decides when and where saves are made.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import orbax.checkpoint as ocp

from thinkaloud.errors import UserError
from thinkaloud.model.lora import Adapter
from thinkaloud.storage.run_directory import write_text

Stage = Literal["cold_start", "grpo"]

_NAME = re.compile(r"(cold_start|grpo)-(\d{6,})")
_SUMS, _PROGRESS = "files.json", "progress.json"
_TEMPORARY = ".orbax-checkpoint-tmp"


@dataclass(frozen=True, slots=True)
class Saved:
    """A whole checkpoint: where it is and after how many steps of which stage it was taken."""

    path: Path
    stage: Stage
    step: int


@dataclass(frozen=True, slots=True)
class Restored:
    """What a checkpoint holds."""

    saved: Saved
    adapter: Adapter
    state: Any
    progress: dict[str, Any]


def save(
    directory: Path, stage: Stage, step: int, adapter: Adapter, state: Any, progress: Mapping[str, Any] | None = None
) -> Saved:
    """Write `<stage>-<step>` below `directory`, in place of one of that name.

    Args:
        progress: What else the stage goes on from, JSON-ready.

    Raises:
        UserError: It cannot be written; nothing is left of it then.
    """
    path = directory / name_of(stage, step)
    items = ocp.args.Composite(
        adapter=ocp.args.StandardSave(adapter),
        optimizer=ocp.args.StandardSave(state if state is not None else {"none": 0}),
    )
    try:
        if path.exists():
            shutil.rmtree(path)
        directory.mkdir(parents=True, exist_ok=True)
        _check_room(directory, sum(leaf.nbytes for leaf in jax.tree.leaves((adapter, state))))
        with _one_voice(), _checkpointer() as checkpointer:
            checkpointer.save(path.absolute(), items)
        write_text(path / _PROGRESS, json.dumps(progress or {}, indent=1) + "\n")
        write_text(path / _SUMS, json.dumps(_sums(path), indent=1) + "\n")
    except (OSError, ValueError) as error:
        for part in (path, path.with_name(path.name + _TEMPORARY)):
            shutil.rmtree(part, ignore_errors=True)
        raise UserError(f"cannot write the checkpoint {path}: {reason(error)}") from error
    return Saved(path, stage, step)


def name_of(stage: Stage, step: int) -> str:
    """The name of a checkpoint's directory."""
    return f"{stage}-{step:06d}"


def reason(error: OSError | ValueError) -> str:
    """Why something could not be written, in plain words; Orbax tells it in a ValueError."""
    full = "No space left" in str(error) or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
    if getattr(error, "errno", None) == errno.EROFS:
        return "the disk is read-only; make it writable again"
    return "the disk is full; free some space" if full else str(error)[:200]


def clear_unfinished(directory: Path, stage: Stage) -> list[str]:
    """Remove what a process that was killed as it saved a stage left behind; returns the names of the checkpoints."""
    cut_off = []
    for path in sorted(directory.iterdir()) if directory.is_dir() else []:
        match = _NAME.fullmatch(path.name.partition(_TEMPORARY)[0])
        if match and match[1] == stage and (_TEMPORARY in path.name or not (path / _SUMS).exists()):
            shutil.rmtree(path, ignore_errors=True)
            cut_off.append(match[0])
    return list(dict.fromkeys(cut_off))


def set_aside(saved: Saved) -> Path:
    """Rename a damaged checkpoint, so that none takes it for one; returns where it is now."""
    path = saved.path.with_name(f"{saved.path.name}.damaged")
    if path.exists():
        shutil.rmtree(path)
    return saved.path.rename(path)


def damage(saved: Saved) -> str | None:
    """What is wrong with the files of a checkpoint; None where they are as they were saved."""
    try:
        expected, found = json.loads((saved.path / _SUMS).read_text(encoding="utf-8")), _sums(saved.path)
    except (OSError, ValueError, RecursionError) as error:
        return f"{_SUMS} cannot be read ({str(error)[:100]})"
    if not isinstance(expected, dict) or not expected:
        return f"{_SUMS} is not as it was saved"
    differ = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
    return f"{differ[0]} is not as it was saved" if differ else None


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
    """GRPO's checkpoint that counts as the trained model, or None before there is one.

    Args:
        use: `best` is the best by validation of those that the newest knows of; the newest where that is gone.
    """
    last = newest(directory, "grpo")
    if last is None or use == "newest":
        return last
    step = (read_progress(last).get("best") or {}).get("step")
    return next((saved for saved in list_saved(directory) if saved.stage == "grpo" and saved.step == step), last)


def restore_adapter(saved: Saved, like: Adapter) -> Adapter:
    """The adapter of a checkpoint; `like` gives shapes and dtypes.

    Raises:
        UserError: The files cannot be read, or hold an adapter of another shape.
    """
    items = ocp.args.Composite(adapter=ocp.args.StandardRestore(_abstract(like)))
    return _restore(saved, items).adapter


def restore(saved: Saved, like: Adapter, state_like: Any) -> Restored:
    """Everything that a checkpoint holds; raises UserError as `restore_adapter` does."""
    items = ocp.args.Composite(
        adapter=ocp.args.StandardRestore(_abstract(like)),
        optimizer=ocp.args.StandardRestore(_abstract(state_like)),
    )
    found = _restore(saved, items)
    return Restored(saved, found.adapter, found.optimizer, read_progress(saved))


def read_progress(saved: Saved) -> dict[str, Any]:
    """What was saved beside the arrays.

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


def _check_room(directory: Path, num_bytes: int) -> None:
    """Raises OSError where a disk, or a quota, does not take so much more.

    Orbax would notice it halfway, and print a page of tracebacks from threads of its own.
    """
    if not hasattr(os, "posix_fallocate"):  # macOS
        return
    probe = directory / f".room.{os.getpid()}"
    try:
        with probe.open("wb") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, max(1, num_bytes))
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # this file system cannot reserve
                    raise
    finally:
        with suppress(OSError):
            probe.unlink()


def _sums(path: Path) -> dict[str, str]:
    files = sorted(file for file in path.rglob("*") if file.is_file() and file != path / _SUMS)
    return {str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def _restore(saved: Saved, items: Any) -> Any:
    try:
        if problem := damage(saved):
            raise ValueError(problem)
        with _one_voice(), _checkpointer() as checkpointer:
            return checkpointer.restore(saved.path.absolute(), items)
    except (ValueError, OSError, KeyError, TypeError) as error:
        raise UserError(
            f"cannot read the checkpoint {saved.path}: {str(error)[:200]}; delete that folder to go on from the one "
            "before"
        ) from error


def _checkpointer() -> Any:
    """Orbax for the first process of a run alone: it holds all there is, and the others have no part in it."""
    alone = ocp.options.MultiprocessingOptions(primary_host=0, active_processes={0}, barrier_sync_key_prefix="first")
    handler = ocp.CompositeCheckpointHandler(composite_options=ocp.CompositeOptions(multiprocessing_options=alone))
    return ocp.Checkpointer(handler, multiprocessing_options=alone)


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
