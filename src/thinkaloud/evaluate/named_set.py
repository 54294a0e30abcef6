"""Tasks of a data set by name, read by the same adapters as training data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from thinkaloud.config import SourceConfig
from thinkaloud.data.read import Unavailable, open_source
from thinkaloud.data.rows import Rejection
from thinkaloud.data.sources import SOURCES
from thinkaloud.errors import UserError, nearest
from thinkaloud.records import Task


def read_set(spec: str, data_dir: Path | None) -> list[Task]:
    """The tasks of `NAME` or `NAME:SPLIT`, in order; rejected rows are left out.

    Without a split: the test rows, or if the set has none its validation rows, or else the splits of its adapter.

    Args:
        spec: A known source, and one of its own splits.
        data_dir: A folder with NAME/SPLIT files; the hub when None.

    Raises:
        UserError: The set or the split is unknown, is not in `data_dir`, is not available, or holds no task.
    """
    name, _, split = spec.partition(":")
    if name not in SOURCES:
        raise UserError(f"unknown data set {name!r}{nearest(name, SOURCES)}; for a file of your own use --tasks")
    if data_dir and data_dir.is_dir() and not (data_dir / name).is_dir():
        have = ", ".join(sorted(path.name for path in data_dir.iterdir() if path.name in SOURCES)) or "no known set"
        raise UserError(f"expected a folder {name} in {data_dir}, found {have}; leave --data-dir out to ask the hub")
    rows = _rows(name, (split,) if split else ("test", "validation", ""), data_dir)
    tasks: dict[str, Task] = {}
    for found in rows:
        if isinstance(found, Task):
            tasks.setdefault(found.id, found)
    if not tasks:
        raise UserError(f"expected tasks in {spec}, found none; name another split, such as {name}:train")
    return list(tasks.values())


def _rows(name: str, splits: Sequence[str], data_dir: Path | None) -> Iterator[Task | Rejection]:
    """The rows of the first split that is available; "" stands for the splits of the adapter."""
    for place, split in enumerate(splits):
        try:
            return open_source(name, SourceConfig(splits=(split,) if split else ()), data_dir).rows()
        except (Unavailable, UserError) as error:
            if place == len(splits) - 1:
                raise UserError(str(error)) from None
    raise AssertionError("no split was given")
