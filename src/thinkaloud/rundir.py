"""A run directory: where each file is, and how it is written so that a crash leaves whole files only.

runs/NAME/ recipe.toml  resolved.json  contract.json  metrics.jsonl  rollouts/step-*.parquet
           checkpoints/  eval/  figures/  report.html  writeup.md  environment.json
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thinkaloud.errors import UserError

LEAST_FREE_BYTES = 200 * 2**20


@dataclass(frozen=True, slots=True)
class RunDir:
    """The paths of one run."""

    path: Path

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

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

    def rows(self) -> list[dict[str, Any]]:
        """The rows of metrics.jsonl; a last line cut off in mid-write is left out."""
        if not self.metrics.exists():
            return []
        lines = self.metrics.read_text(encoding="utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n") and line.strip()]

    def append(self, row: dict[str, Any]) -> None:
        """Add one row to metrics.jsonl."""
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, allow_nan=False, default=float) + "\n")

    def keep_rows(self, wanted: Callable[[dict[str, Any]], bool]) -> None:
        """Drop the rows of steps that a resumed run will take again."""
        if self.metrics.exists():
            kept = [row for row in self.rows() if wanted(row)]
            write_text(self.metrics, "".join(json.dumps(row) + "\n" for row in kept))

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file, whole or not at all."""
        write_text(self.path / name, json.dumps(value, indent=1, ensure_ascii=False) + "\n")

    def read_json(self, name: str) -> Any:
        """Read a JSON file of the run.

        Raises:
            UserError: It is missing or is no JSON.
        """
        path = self.path / name
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(
                f"expected a run that `thinkaloud train` made at {self.path}, found no readable {name} ({error})"
            ) from None


def write_text(path: Path, text: str) -> None:
    """Write through a temporary file beside it, so that readers see the old text or the new."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def create(path: Path, recipe_text: str, resolved: dict[str, Any]) -> RunDir:
    """Make a new run directory with its recipe.

    Raises:
        UserError: It exists, cannot be written, or its disk is nearly full. Nothing is left behind then.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"{path} exists already; choose another with --out, or go on with it by --resume")
    made = not path.exists()
    run = RunDir(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(path).free
        if free < LEAST_FREE_BYTES:
            raise UserError(
                f"the disk of {path} has {free / 2**20:.0f} MiB free, a run needs at least "
                f"{LEAST_FREE_BYTES / 2**20:.0f}; free some, or choose another place with --out"
            )
        write_text(path / "recipe.toml", recipe_text)
        run.write_json("resolved.json", resolved)
        for folder in (run.checkpoints, run.evaluation, run.rollouts):
            folder.mkdir()
    except (OSError, UserError) as error:
        if made:
            shutil.rmtree(path, ignore_errors=True)
        if isinstance(error, UserError):
            raise
        raise UserError(f"cannot write the run directory {path}: {error.strerror}; choose another with --out") from None
    return run
