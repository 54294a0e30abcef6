"""A pool on disk: `tasks.parquet` for any tool, `tasks.arrow` for training, `pool.json` for what they hold.

The Arrow file is uncompressed and mapped into memory: opening a million tasks takes milliseconds, and a task is read
when it is asked for. Tasks are sorted by domain (in the recipe's order), by split, those with a rationale first, and
then by a hash of (seed, id). So the first n of a kind are a random sample of it, whatever order they were written in.

Files are written under temporary names. `pool.json` is removed before they are renamed, and written last: a folder with
a pool.json is complete.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, fields
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from thinkaloud.data.pool import Pool, Range, Tasks, counts_of, place_of
from thinkaloud.errors import UserError
from thinkaloud.records import SPLITS, Task
from thinkaloud.seeding import derive_seed
from thinkaloud.storage.atomic import write_text
from thinkaloud.storage.hashing import file_sha256

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT, VERSION = "thinkaloud pool", 1
PARQUET, ARROW, INDEX = "tasks.parquet", "tasks.arrow", "pool.json"
POOL_FILES = (PARQUET, ARROW, INDEX)
"""The index last: a folder that has it is complete."""
BATCH_ROWS = 4096
"""Rows per record batch of the Arrow file."""

GROUP_ROWS = 4 * BATCH_ROWS
"""Rows per row group of the Parquet file."""

_COLUMNS = tuple(column.name for column in fields(Task) if column.name not in ("key", "note"))
_LISTS = ("tests", "choices")


def write_pool(
    folder: Path,
    tasks: Iterable[Task],
    *,
    domains: Sequence[str],
    seed: int,
    dropped: dict[str, int] | None = None,
    record: dict[str, Any] | None = None,
) -> Pool:
    """Write a pool, and open it. The same tasks give the same bytes, in any order.

    Args:
        folder: Created if needed; an existing pool is replaced.
        tasks: With distinct ids, each of one of `domains`; iterated once.
        domains: In the order of every table.
        seed: Seed of the order within a domain's split.
        dropped: Counts by reason.
        record: Further content of pool.json: identities of the sources, settings, counts.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = {name: folder / f".{name}.partial" for name in (ARROW, PARQUET)}
    try:
        table, order, index = _table(tasks, domains, seed)
        _write(table, order, parts[ARROW], parts[PARQUET])
        index = {
            "format": FORMAT,
            "version": VERSION,
            "files": {
                name: {"bytes": part.stat().st_size, "sha256": file_sha256(part)} for name, part in parts.items()
            },
            **index,
            "dropped": dropped or {},
            "record": record or {},
        }
        (folder / INDEX).unlink(missing_ok=True)
        for name, part in parts.items():
            part.replace(folder / name)
        write_text(folder / INDEX, json.dumps(index, indent=1, ensure_ascii=False, sort_keys=False) + "\n")
    finally:
        for leftover in parts.values():
            leftover.unlink(missing_ok=True)
    return open_pool(folder)


def open_pool(folder: Path) -> Pool:
    """Open a pool that `write_pool` made; a task is read when it is asked for.

    Raises:
        UserError: There is none, it has another version, or one of its files is incomplete.
    """
    index = read_index(folder)
    for name, known in index["files"].items():
        path = folder / name
        size = path.stat().st_size if path.exists() else None
        if size != known["bytes"]:
            found = "no such file" if size is None else f"{size} bytes"
            raise UserError(f"{path}: expected {known['bytes']} bytes, found {found}; build the pool again")
    ranges = tuple(Range(**own) for own in index["ranges"])
    return Pool(StoredTasks(folder / ARROW), ranges, dict(index["dropped"]), dict(index.get("record", {})))


def read_index(folder: Path) -> dict[str, Any]:
    """The content of pool.json.

    Raises:
        UserError: It is missing, damaged, or has another version.
    """
    path = folder / INDEX
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{folder} is not a task pool: it has no {INDEX}; `thinkaloud data` builds one") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"cannot read {path} ({error}); build the pool again") from None
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        raise UserError(f"{path}: expected the index of a task pool, found other JSON; `thinkaloud data` builds one")
    if index.get("version") != VERSION:
        raise UserError(
            f"{path}: expected version {VERSION} of the format, found {index.get('version')!r}; build the pool again"
        )
    if not {"files", "ranges", "dropped"} <= index.keys():
        raise UserError(f"{path} is damaged: keys are missing; build the pool again")
    return index


def link_pool(source: Path, target: Path) -> None:
    """Put a pool in a second place too: as hard links where the disk allows it, else as a copy; the index last."""
    target.mkdir(parents=True, exist_ok=True)
    for name in POOL_FILES:
        try:
            os.link(source / name, target / name)
        except OSError:
            shutil.copyfile(source / name, target / name)


def verified_pool(folder: Path) -> Pool:
    """Open a pool that may come from elsewhere: its files are compared with the SHA-256 sums in pool.json.

    Raises:
        UserError: They differ, or as `open_pool`.
    """
    pool = open_pool(folder)
    for name, known in read_index(folder)["files"].items():
        if file_sha256(folder / name) != known["sha256"]:
            raise UserError(f"{folder / name} was changed: its SHA-256 differs; copy or build the pool again")
    return pool


class StoredTasks(Tasks):
    """The tasks of an Arrow file, mapped into memory.

    Raises:
        UserError: It is not an Arrow file.
    """

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        try:
            self._table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        except pa.ArrowInvalid as error:
            raise UserError(f"cannot read {path} ({error}); build the pool again") from None

    def __len__(self) -> int:
        return self._table.num_rows

    def _at(self, place: int) -> Task:
        (values,) = self._table.slice(place, 1).to_pylist()
        return Task(**values | {name: tuple(values[name]) for name in _LISTS})


def _table(tasks: Iterable[Task], domains: Sequence[str], seed: int) -> tuple[pa.Table, np.ndarray, dict[str, Any]]:
    """The tasks as a table, its rows in the pool's order, and what pool.json says about them."""
    import pyarrow as pa

    schema, key = _schema(), derive_seed(seed, "pool").to_bytes(8, "big")
    batches: list[pa.RecordBatch] = []
    places: list[int] = []
    hashes: list[bytes] = []
    by_source: Counter[tuple[str, str, str]] = Counter()
    licenses: Counter[tuple[str, str]] = Counter()
    remaining = iter(tasks)
    while batch := list(islice(remaining, GROUP_ROWS)):
        columns = [[getattr(task, name) for task in batch] for name in _COLUMNS]
        batches.append(pa.record_batch(columns, schema=schema))
        for task in batch:
            index, split, late = place_of(task, domains)
            places.append((index * len(SPLITS) + split) * 2 + late)
            hashes.append(hashlib.blake2b(task.id.encode(), digest_size=8, key=key).digest())
            by_source[task.domain, task.source, task.split] += 1
            licenses[task.license, task.source] += 1
    place, drawn = np.array(places, np.int64), np.frombuffer(b"".join(hashes), ">i8").astype(np.int64)
    assert len(np.unique(drawn)) == len(drawn), "two tasks of a pool have one id"
    order = np.lexsort((drawn, place))
    ranges = list(_ranges(place[order], domains))
    contents = {
        "num_tasks": len(order),
        "counts": counts_of(ranges),
        "ranges": [asdict(own) for own in ranges],
        "sources": _nested(by_source),
        "licenses": _nested(licenses),
    }
    return pa.Table.from_batches(batches, schema), order, contents


def _schema() -> pa.Schema:
    import pyarrow as pa

    text = pa.string()
    kinds = {name: pa.list_(pa.field("item", text, nullable=False)) for name in _LISTS}
    return pa.schema([pa.field(name, kinds.get(name, text), nullable=False) for name in _COLUMNS])


def _ranges(places: np.ndarray, domains: Sequence[str]) -> Iterator[Range]:
    for index, name in enumerate(domains):
        for number, split in enumerate(SPLITS):
            kind = (index * len(SPLITS) + number) * 2
            first, middle, last = np.searchsorted(places, [kind, kind + 1, kind + 2]).tolist()
            if last > first:
                yield Range(domain=name, split=split, start=first, count=last - first, with_rationale=middle - first)


def _nested(counts: Counter[Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for keys, count in sorted(counts.items()):
        inner = nested
        for key in keys[:-1]:
            inner = inner.setdefault(key, {})
        inner[keys[-1]] = count
    return nested


def _write(table: pa.Table, order: np.ndarray, arrow_path: Path, parquet_path: Path) -> None:
    """Write a table's rows in `order` and in both formats, a row group at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with (
        pa.OSFile(str(arrow_path), "wb") as file,
        pa.ipc.new_file(file, table.schema) as arrow,
        pq.ParquetWriter(str(parquet_path), table.schema, compression="zstd") as parquet,
    ):
        for first in range(0, len(order), GROUP_ROWS):
            group = table.take(pa.array(order[first : first + GROUP_ROWS])).combine_chunks()
            arrow.write_table(group, max_chunksize=BATCH_ROWS)
            parquet.write_table(group, row_group_size=GROUP_ROWS)
