"""Rows from files, one at a time: JSON lines (plain or gzip), CSV, Parquet.

A line that cannot be parsed is one rejected row. A file that cannot be read is the user's error.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from thinkaloud.data.rows import RawRow, Rejection
from thinkaloud.errors import UserError
from thinkaloud.storage.json_lines import InvalidLine, LineReader, bounded_lines, parse_object

SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".parquet", ".csv")
"""The files that can be read; `.json` holds JSON lines too."""

MAX_LINE_BYTES = 32 << 20
"""Longer lines are rejected, so that no row can fill the memory."""

_PARQUET_BATCH = 256
_SHOWN = 400
"""Bytes or characters of a rejected line that are kept."""


class Unavailable(UserError):
    """A source that cannot be read at all. One that the recipe marks optional is left out instead."""


def suffix_of(path: Path) -> str | None:
    """The longest of `SUFFIXES` that a file's name ends in; None for any other file."""
    found = [suffix for suffix in SUFFIXES if path.name.endswith(suffix) and path.name != suffix]
    return max(found, key=len, default=None)


def read_rows(path: Path, split: str) -> Iterator[RawRow | Rejection]:
    """The rows of a file that belongs to `split`, in order, in bounded memory.

    Raises:
        Unavailable: The file cannot be opened, or is damaged as a whole.
    """
    suffix = suffix_of(path)
    try:
        if suffix == ".parquet":
            yield from _parquet(path, split)
        elif suffix == ".csv":
            yield from _csv(path, split)
        elif suffix == ".jsonl.gz":
            with gzip.open(path, "rb") as file:
                yield from _json_lines(file, split)
        elif suffix is not None:
            with path.open("rb") as file:
                yield from _json_lines(file, split)
        else:
            raise UserError(f"expected one of {', '.join(SUFFIXES)}, found {path}")
    except (OSError, EOFError, zlib.error) as error:
        raise Unavailable(f"expected a readable file, found {path}: {error}; download it again") from error


def file_identity(path: Path) -> dict[str, Any]:
    """What identifies a file: name, size in bytes, SHA-256."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"file": path.name, "bytes": path.stat().st_size, "sha256": digest}
    except OSError as error:
        raise Unavailable(f"expected a readable file, found {path}: {error}") from error


def _json_lines(file: LineReader[bytes], split: str) -> Iterator[RawRow | Rejection]:
    for number, line in bounded_lines(file, MAX_LINE_BYTES):
        line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        if line.strip():
            try:
                yield RawRow(parse_object(line, MAX_LINE_BYTES), split, number)
            except InvalidLine as error:
                yield Rejection(RawRow({}, split, number, line[:_SHOWN].decode(errors="replace")), error.reason)


def _csv(path: Path, split: str) -> Iterator[RawRow | Rejection]:
    """CSV with a header line. Bytes that are not UTF-8 are read as surrogates, so that they affect one row only."""
    csv.field_size_limit(MAX_LINE_BYTES)
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file, strict=True)
        header: list[str] | None = None
        number = 0
        while True:
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                number += 1
                yield Rejection(RawRow({}, split, number, str(error)), "not CSV")
                continue
            if header is None:
                header = values
            elif values:
                number += 1
                yield _from_csv(header, values, split, number)


def _from_csv(header: list[str], values: list[str], split: str, number: int) -> RawRow | Rejection:
    reason = ""
    if len(values) != len(header):
        reason = "more or fewer fields than columns"
    elif any("\udc80" <= char <= "\udcff" for value in values for char in value):
        reason = "not UTF-8"
    if reason:
        text = ",".join(values)[:_SHOWN].encode(errors="replace").decode()
        return Rejection(RawRow({}, split, number, text), reason)
    return RawRow(dict(zip(header, values, strict=True)), split, number)


def _parquet(path: Path, split: str) -> Iterator[RawRow]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_PARQUET_BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield RawRow(row, split, number)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise Unavailable(f"expected a Parquet file, found {path}: {error}; download it again") from error
