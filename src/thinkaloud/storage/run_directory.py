"""A run directory: the paths of its files, its metrics, and how it is created.

runs/NAME/ recipe.toml  resolved.json  contract.json  metrics.jsonl  rollouts/step-*.parquet
           checkpoints/  eval/  figures/  report.html  writeup.md  environment.json
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thinkaloud.errors import UserError
from thinkaloud.storage.atomic import append_line, write_json, write_text

LEAST_FREE_BYTES = 200 * 2**20


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
        """Whether there is a run to resume."""
        return (self.path / "resolved.json").exists()

    def rows(self) -> list[dict[str, Any]]:
        """The rows of metrics.jsonl; an incomplete last line is left out.

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
                raise UserError(
                    f"{self.metrics}, line {number}: expected a row of metrics; delete the line to continue"
                )
            rows.append(row)
        return rows

    def append(self, row: dict[str, Any]) -> None:
        """Append one row to metrics.jsonl, whole or not at all.

        Raises:
            UserError: A metric is not finite: the stage has diverged.
        """
        try:
            text = json.dumps(row, allow_nan=False, default=float)
        except ValueError:
            stage = row.get("stage", "the stage")
            raise UserError(
                f"{stage} diverged in step {row.get('step')}: a metric is not a finite number; lower "
                f"{stage}.learning_rate and start again with --out"
            ) from None
        append_line(self.metrics, text)

    def keep_rows(self, wanted: Callable[[dict[str, Any]], bool]) -> None:
        """Drop the rows of steps that a resumed run repeats; rows of the cold start come first."""
        if self.metrics.exists():
            kept = sorted(filter(wanted, self.rows()), key=lambda row: row["stage"] != "cold_start")
            write_text(self.metrics, "".join(json.dumps(row) + "\n" for row in kept))

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file of the run, whole or not at all."""
        write_json(self.path / name, value)

    def read_json(self, name: str) -> dict[str, Any]:
        """Read a JSON object from a file of the run.

        Raises:
            UserError: The file is missing, or holds no JSON object.
        """
        path = self.path / name
        if not self.path.is_dir():
            raise UserError(f"there is no run directory {self.path}; name one that `thinkaloud train` made")
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(
                f"{self.path} is not a run directory: it has no {name}; `thinkaloud train` makes one"
            ) from None
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(f"cannot read {path} ({error}); it is damaged; start again with --out") from None
        if not isinstance(value, dict):
            raise UserError(f"{path} is damaged: expected a JSON object, found {type(value).__name__}")
        return value


def check_new(path: Path) -> None:
    """Check that a run directory can be made at `path`, without making it.

    Raises:
        UserError: The path exists, cannot be written, or its disk is nearly full.
    """
    if os.path.lexists(path) and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"{path} exists already; choose another with --out, or continue it with --resume")
    place = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not place.is_dir():
        raise UserError(f"cannot make {path}: {place} is a file; choose another place with --out")
    check_writable(place)
    free = shutil.disk_usage(place).free
    if free < LEAST_FREE_BYTES:
        raise UserError(
            f"the disk of {path} has {free / 2**20:.0f} MiB free; a run needs at least "
            f"{LEAST_FREE_BYTES / 2**20:.0f}; free some, or choose another place with --out"
        )


def check_writable(folder: Path) -> None:
    """Raises UserError where files cannot be made in a folder; called before long work."""
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        raise UserError(f"cannot write in {folder}: it is read-only or not yours; choose another place")


def create(path: Path, recipe_text: str, resolved: dict[str, Any]) -> RunDir:
    """Make a new run directory with its recipe.

    Raises:
        UserError: The path exists, cannot be written, or its disk is nearly full; nothing is left behind.
    """
    check_new(path)
    run = RunDir(path)
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    made: list[Path] = []
    try:
        for folder in (*reversed(missing), run.checkpoints, run.evaluation, run.rollouts):
            folder.mkdir()
            made.append(folder)
        write_text(path / "recipe.toml", recipe_text)
        made.append(path / "recipe.toml")
        write_json(path / "resolved.json", resolved)
    except OSError as error:
        for entry in reversed(made):
            with contextlib.suppress(OSError):
                entry.rmdir() if entry.is_dir() else entry.unlink()
        raise UserError(
            f"cannot write the run directory {path}: {error.strerror or error}; choose another with --out"
        ) from None
    return run
