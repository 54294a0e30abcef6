"""Rows of an unfinished evaluation, saved part by part, so that a killed evaluation continues where it stopped."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thinkaloud.errors import UserError
from thinkaloud.evaluate.rows import Row, read_rows, write_rows
from thinkaloud.storage.atomic import write_text

FOLDER = ".unfinished"
"""Beside the results; removed once they are complete."""


class PartialResults:
    """The rows of one stage by part, in their own folder.

    Args:
        folder: Emptied unless it holds parts of the same plan.
        plan: Everything that determines the rows, JSON-ready: tasks, model, adapter, contract, decoding.
    """

    def __init__(self, folder: Path, plan: Mapping[str, Any]) -> None:
        self.folder = folder
        text = json.dumps(plan, sort_keys=True)
        file = folder / "plan.json"
        try:
            known = file.read_text(encoding="utf-8")
        except (OSError, ValueError):
            known = ""
        if known != text:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            write_text(file, text)

    def read(self, index: int) -> list[Row] | None:
        """The rows of a part, or None where it is missing or damaged."""
        path = self._path(index)
        if not path.exists():
            return None
        try:
            return read_rows(path)
        except UserError:
            return None

    def write(self, index: int, rows: list[Row]) -> None:
        write_rows(self._path(index), rows)

    def _path(self, index: int) -> Path:
        return self.folder / f"part-{index:05d}.parquet"


def clear(results: Path) -> None:
    """Remove the partial results beside a folder of complete results."""
    shutil.rmtree(results / FOLDER, ignore_errors=True)


def digest(*values: bytes | str) -> str:
    """SHA-256 of several values, in hex; their lengths are hashed too."""
    found = hashlib.sha256()
    for value in values:
        data = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
        found.update(len(data).to_bytes(8, "big") + data)
    return found.hexdigest()
