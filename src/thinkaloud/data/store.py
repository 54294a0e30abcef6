"""A pool on disk: `tasks.parquet` for any tool, `tasks.arrow` for training, `pool.json` for what is in them.

The Arrow file is uncompressed and is mapped into memory, never read whole: opening a million tasks takes no longer
than opening a hundred, and one task costs some microseconds. Tasks stand by domain (in the recipe's order), split,
those with a rationale first, and then by a hash of (seed, id): any first n of a kind are a random sample of it, and
the order does not hang on the order in which they were written.

Files are written under other names first; `pool.json` goes before they are put in place, and comes back last: a
folder with a pool.json is whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, fields
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
"""The index last: a folder that has it is whole."""
BATCH_ROWS = 4096
"""Rows of a record batch of the Arrow file: row i stands in batch i // 4096."""

GROUP_ROWS = 4 * BATCH_ROWS
"""Rows of a row group of the Parquet file, and those that are in memory at once while the pool is put in order."""

_COLUMNS = tuple(column.name for column in fields(Task))
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
    """Write a pool, and open it. The same tasks give the same bytes, in whatever order they come.

    Args:
        folder: Made if need be; a pool that is there is replaced.
        tasks: With distinct ids, each of one of `domains`; gone through once, never held in memory together.
        domains: In the order of every table.
        seed: Of the order within a domain's split.
        dropped: Counts by reason.
        record: What else belongs into pool.json: the sources' identities, settings, token percentiles.
    """
    folder.mkdir(parents=True, exist_ok=True)
    unsorted, parts = folder / ".tasks.unsorted", {name: folder / f".{name}.partial" for name in (ARROW, PARQUET)}
    try:
        index, order = _spill(unsorted, tasks, domains, seed)
        _write_in_order(unsorted, order, parts)
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
        for leftover in (unsorted, *parts.values()):
            leftover.unlink(missing_ok=True)
    return open_pool(folder)


def open_pool(folder: Path) -> Pool:
    """A pool that `write_pool` made; its tasks are read as they are asked for.

    Raises:
        UserError: There is none, it is of another version, or one of its files is not whole.
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
    """The pool.json of a pool.

    Raises:
        UserError: It is missing, damaged, or of another version.
    """
    path = folder / INDEX
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{folder} is no task pool: it has no {INDEX}; `thinkaloud data` makes one") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"cannot read {path} ({error}); build the pool again") from None
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        raise UserError(f"{path}: expected the index of a task pool, found something else; `thinkaloud data` makes one")
    if index.get("version") != VERSION:
        raise UserError(
            f"{path}: expected version {VERSION} of the format, found {index.get('version')!r}; build the pool again"
        )
    if not {"files", "ranges", "dropped"} <= index.keys():
        raise UserError(f"{path} is damaged: it does not say what the pool holds; build the pool again")
    return index


def link_pool(source: Path, target: Path) -> None:
    """Have a pool in a second place too: as links where the disk allows it, else as a copy; the index goes last."""
    target.mkdir(parents=True, exist_ok=True)
    for name in POOL_FILES:
        try:
            os.link(source / name, target / name)
        except OSError:
            shutil.copyfile(source / name, target / name)


def verify_pool(folder: Path) -> None:
    """Compare every byte of a pool with the sums that pool.json holds.

    Raises:
        UserError: They differ, or it is no pool.
    """
    open_pool(folder)
    for name, known in read_index(folder)["files"].items():
        if file_sha256(folder / name) != known["sha256"]:
            raise UserError(f"{folder / name} is not as it was written: its SHA-256 differs; build the pool again")


class StoredTasks(Tasks):
    """The tasks of an Arrow file with record batches of `BATCH_ROWS`, mapped into memory.

    Raises:
        UserError: It is no such file.
    """

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        try:
            table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        except pa.ArrowInvalid as error:
            raise UserError(f"cannot read {path} ({error}); build the pool again") from None
        self._num_rows = table.num_rows
        self._columns = [table.column(name).chunks for name in _COLUMNS]

    def __len__(self) -> int:
        return self._num_rows

    def _at(self, place: int) -> Task:
        batch, row = divmod(place, BATCH_ROWS)
        values = {name: chunks[batch][row].as_py() for name, chunks in zip(_COLUMNS, self._columns, strict=True)}
        return Task(**values | {name: tuple(values[name]) for name in _LISTS})


def _schema() -> pa.Schema:
    import pyarrow as pa

    text = pa.string()
    kinds = {name: pa.list_(pa.field("item", text, nullable=False)) for name in _LISTS}
    return pa.schema([pa.field(name, kinds.get(name, text), nullable=False) for name in _COLUMNS])


def _spill(path: Path, tasks: Iterable[Task], domains: Sequence[str], seed: int) -> tuple[dict[str, Any], np.ndarray]:
    """Write tasks as they come; return what pool.json says of them, and the rows in the pool's order."""
    import pyarrow as pa

    schema, key = _schema(), derive_seed(seed, "pool").to_bytes(8, "big")
    places: list[np.ndarray] = []
    hashes: list[np.ndarray] = []
    by_source: Counter[tuple[str, str, str]] = Counter()
    licenses: Counter[tuple[str, str]] = Counter()
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        for batch in _batches(tasks):
            columns = [[getattr(task, name) for task in batch] for name in _COLUMNS]
            writer.write_batch(pa.record_batch(columns, schema=schema))
            kinds = [place_of(task, domains) for task in batch]
            places.append(np.array([(d * len(SPLITS) + s) * 2 + late for d, s, late in kinds], np.int64))
            hashes.append(_hashes(batch, key))
            by_source.update((task.domain, task.source, task.split) for task in batch)
            licenses.update((task.license, task.source) for task in batch)
    place, drawn = (np.concatenate([np.empty(0, np.int64), *parts]) for parts in (places, hashes))
    assert len(np.unique(drawn)) == len(drawn), "two tasks of a pool have one id"
    order = np.lexsort((drawn, place))
    ranges = list(_ranges(place[order], domains))
    return {
        "num_tasks": len(order),
        "counts": counts_of(ranges),
        "ranges": [asdict(own) for own in ranges],
        "sources": _nested(by_source),
        "licenses": _nested(licenses),
    }, order


def _hashes(tasks: Sequence[Task], key: bytes) -> np.ndarray:
    digests = [hashlib.blake2b(task.id.encode(), digest_size=8, key=key).digest() for task in tasks]
    return np.frombuffer(b"".join(digests), ">i8").astype(np.int64)


def _batches(tasks: Iterable[Task]) -> Iterator[list[Task]]:
    batch: list[Task] = []
    for task in tasks:
        batch.append(task)
        if len(batch) == BATCH_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch


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


def _write_in_order(unsorted: Path, order: np.ndarray, parts: dict[str, Path]) -> None:
    """Copy rows from the unsorted file in `order`, a row group at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema()
    with contextlib.ExitStack() as stack:
        source = pa.ipc.open_file(stack.enter_context(pa.memory_map(str(unsorted))))
        batches = [source.get_batch(number) for number in range(source.num_record_batches)]
        arrow = stack.enter_context(pa.ipc.new_file(stack.enter_context(pa.OSFile(str(parts[ARROW]), "wb")), schema))
        parquet = stack.enter_context(pq.ParquetWriter(str(parts[PARQUET]), schema, compression="zstd"))
        for first in range(0, len(order), GROUP_ROWS):
            rows = order[first : first + GROUP_ROWS]
            ascending = np.sort(rows)
            numbers, starts = np.unique(ascending // BATCH_ROWS, return_index=True)
            taken = [
                batches[number].take(pa.array(local % BATCH_ROWS))
                for number, local in zip(numbers.tolist(), np.split(ascending, starts[1:]), strict=True)
            ]
            group = pa.Table.from_batches(taken, schema).combine_chunks()
            group = group.take(pa.array(np.searchsorted(ascending, rows))).combine_chunks()
            arrow.write_table(group, max_chunksize=BATCH_ROWS)
            parquet.write_table(group, row_group_size=GROUP_ROWS)
