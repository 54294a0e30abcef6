"""A run directory: where each file is, and how it is written so that a crash leaves whole files only.

runs/NAME/ recipe.toml  resolved.json  contract.json  metrics.jsonl  rollouts/step-*.parquet
           checkpoints/  eval/  figures/  report.html  writeup.md  environment.json
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thinkaloud.errors import UserError

LEAST_FREE_BYTES = 200 * 2**20
_TEMPORARY = re.compile(r"\..+\.\d+(\.partial)?")


@dataclass(frozen=True, slots=True)
class RunDir:
    """The paths of one run."""

    path: Path

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def pool(self) -> Path:
        return self.path / "pool"

    @property
    def contract(self) -> Path:
        return self.path / "contract.json"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def evaluation(self) -> Path:
        return self.path / "eval"

    @property
    def rollouts(self) -> Path:
        return self.path / "rollouts"

    def is_begun(self) -> bool:
        """Whether there is something to go on with."""
        return (self.path / "resolved.json").exists()

    def rows(self) -> list[dict[str, Any]]:
        """The rows of metrics.jsonl; a last line cut off in mid-write is left out.

        Raises:
            UserError: Another line is damaged.
        """
        if not self.metrics.exists():
            return []
        lines = self.metrics.read_bytes().splitlines(keepends=True)
        rows = []
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n") or not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            if not isinstance(row, dict) or not {"stage", "step"} <= row.keys():
                raise UserError(f"{self.metrics}, line {number}: expected a row of metrics; delete the line to go on")
            rows.append(row)
        return rows

    def append(self, row: dict[str, Any]) -> None:
        """Add one row to metrics.jsonl, whole or not at all.

        Raises:
            UserError: A number in it is not finite: the stage has diverged.
        """
        try:
            text = json.dumps(row, allow_nan=False, default=float)
        except ValueError:
            stage = row.get("stage", "the stage")
            raise UserError(
                f"{stage} diverged in step {row.get('step')}: a metric is not a finite number; lower "
                f"{stage}.learning_rate and start anew with --out"
            ) from None
        append_line(self.metrics, text)

    def keep_rows(self, wanted: Callable[[dict[str, Any]], bool]) -> None:
        """Drop the rows of steps that a resumed run will take again; the cold start's come first."""
        if self.metrics.exists():
            kept = sorted(filter(wanted, self.rows()), key=lambda row: row["stage"] != "cold_start")
            write_text(self.metrics, "".join(json.dumps(row) + "\n" for row in kept))

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file, whole or not at all."""
        write_text(self.path / name, _json(value))

    def read_json(self, name: str) -> dict[str, Any]:
        """Read a JSON file of the run, which holds an object.

        Raises:
            UserError: It is missing or is no JSON object.
        """
        path = self.path / name
        if not self.path.is_dir():
            raise UserError(f"there is no run directory {self.path}; name one that `thinkaloud train` made")
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(
                f"{self.path} is no run directory: it has no {name}; `thinkaloud train` makes one"
            ) from None
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(f"cannot read {path} ({error}); it is damaged, start anew with --out") from None
        if not isinstance(value, dict):
            raise UserError(f"{path} is damaged: expected a JSON object, found {type(value).__name__}")
        return value


def clear_temporary(path: Path) -> None:
    """Remove the temporary files of a process that was killed as it wrote them (`.NAME.PID` beside NAME's place)."""
    for file in path.rglob(".*"):
        if _TEMPORARY.fullmatch(file.name) and file.is_file():
            file.unlink(missing_ok=True)


def append_line(path: Path, text: str) -> None:
    """Add a line to a file; where the disk does not take all of it, the file stays as it was."""
    with _naming(path), path.open("ab", buffering=0) as file:
        before, line = file.tell(), (text + "\n").encode()
        try:
            if file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            with contextlib.suppress(OSError):
                file.truncate(before)
            raise


def write_text(path: Path, text: str) -> None:
    """Write through a temporary file beside it, so that readers see the old text or the new."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with _naming(path):
            temporary.write_text(text, encoding="utf-8")
            os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """A full disk is often noticed as a file is closed, by an error that does not name it."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def check_new(path: Path) -> None:
    """Whether a run directory can be made at `path`; makes nothing.

    Raises:
        UserError: Something is there already, the place cannot be written, or its disk is nearly full.
    """
    if os.path.lexists(path) and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"{path} exists already; choose another with --out, or go on with it by --resume")
    place = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not place.is_dir():
        raise UserError(f"cannot make {path}: {place} is a file; choose another place with --out")
    check_writable(place)
    free = shutil.disk_usage(place).free
    if free < LEAST_FREE_BYTES:
        raise UserError(
            f"the disk of {path} has {free / 2**20:.0f} MiB free, a run needs at least "
            f"{LEAST_FREE_BYTES / 2**20:.0f}; free some, or choose another place with --out"
        )


def check_writable(folder: Path) -> None:
    """Raises UserError where files cannot be made in a folder: before long work rather than after it."""
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        raise UserError(f"cannot write in {folder}: it is read-only, or not yours; choose another place")


def create(path: Path, recipe_text: str, resolved: dict[str, Any]) -> RunDir:
    """Make a new run directory with its recipe.

    Raises:
        UserError: It exists, cannot be written, or its disk is nearly full. Nothing is left behind then.
    """
    check_new(path)
    run = RunDir(path)
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    made: list[Path] = []
    try:
        for folder in (*reversed(missing), run.checkpoints, run.evaluation, run.rollouts):
            folder.mkdir()
            made.append(folder)
        for name, text in (("recipe.toml", recipe_text), ("resolved.json", _json(resolved))):
            write_text(path / name, text)
            made.append(path / name)
    except OSError as error:
        for entry in reversed(made):
            with contextlib.suppress(OSError):
                entry.rmdir() if entry.is_dir() else entry.unlink()
        raise UserError(
            f"cannot write the run directory {path}: {error.strerror or error}; choose another with --out"
        ) from None
    return run


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
