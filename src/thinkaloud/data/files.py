"""Rows out of files, one at a time: JSON lines (plain or gzip), CSV, Parquet.

A line that cannot be read is one rejected row; a file that cannot be read is the user's error.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thinkaloud.data.sources.base import Row
from thinkaloud.errors import UserError

SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".parquet", ".csv")
"""Of the files that can be read; `.json` holds JSON lines too."""

MAX_LINE_BYTES = 32 << 20
"""Longer lines are rejected: no row may fill the memory."""

_PARQUET_BATCH = 256


class Unavailable(UserError):
    """A source that cannot be had at all; one that the recipe marks optional may be left out."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One row of a file: `number` counts lines or rows from 1; `row` is None where `reason` says why."""

    number: int
    row: Row | None
    reason: str = ""
    raw: str = ""


def suffix_of(path: Path) -> str | None:
    """Which of `SUFFIXES` a file's name ends in, the longest; None for any other."""
    found = [suffix for suffix in SUFFIXES if path.name.endswith(suffix) and path.name != suffix]
    return max(found, key=len, default=None)


def read_rows(path: Path) -> Iterator[Cell]:
    """The rows of a file, in order, in bounded memory.

    Raises:
        Unavailable: it cannot be opened, or is damaged as a whole.
    """
    suffix = suffix_of(path)
    try:
        if suffix == ".parquet":
            yield from _parquet(path)
        elif suffix == ".csv":
            yield from _csv(path)
        elif suffix == ".jsonl.gz":
            with gzip.open(path, "rb") as file:
                yield from _json_lines(file)
        elif suffix is not None:
            with path.open("rb") as file:
                yield from _json_lines(file)
        else:
            raise UserError(f"expected one of {', '.join(SUFFIXES)}, found {path}")
    except (OSError, EOFError, zlib.error) as error:
        raise Unavailable(f"expected a readable file, found {path}: {error}; get it anew") from error


def file_identity(path: Path) -> dict[str, Any]:
    """What tells a file from another: name, size in bytes, SHA-256."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"file": path.name, "bytes": path.stat().st_size, "sha256": digest}
    except OSError as error:
        raise Unavailable(f"expected a readable file, found {path}: {error}") from error


def _json_lines(file: io.BufferedIOBase) -> Iterator[Cell]:
    number = 0
    while line := file.readline(MAX_LINE_BYTES):
        number += 1
        if not line.endswith(b"\n") and len(line) == MAX_LINE_BYTES:
            while (more := file.readline(MAX_LINE_BYTES)) and not more.endswith(b"\n"):
                pass
            yield Cell(number, None, f"line over {MAX_LINE_BYTES >> 20} MiB", line[:400].decode(errors="replace"))
            continue
        line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        if line.strip():
            yield _from_json(number, line)


def _from_json(number: int, line: bytes) -> Cell:
    shown = line[:400].decode(errors="replace")
    try:
        value = json.loads(line.decode())
    except UnicodeDecodeError:
        return Cell(number, None, "not UTF-8", shown)
    except (ValueError, RecursionError):
        return Cell(number, None, "not JSON", shown)
    if not isinstance(value, dict):
        return Cell(number, None, "not a JSON object", shown)
    return Cell(number, value)


def _csv(path: Path) -> Iterator[Cell]:
    """CSV with a header line. Bytes that are not UTF-8 come through as surrogates, so that they spoil one row only."""
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
                yield Cell(number, None, "not CSV", str(error))
                continue
            if header is None:
                header = values
            elif values:
                number += 1
                yield _from_csv(number, header, values)


def _from_csv(number: int, header: list[str], values: list[str]) -> Cell:
    shown = ",".join(values)[:400].encode(errors="replace").decode()
    if len(values) != len(header):
        return Cell(number, None, "more or fewer fields than columns", shown)
    if any("\udc80" <= char <= "\udcff" for value in values for char in value):
        return Cell(number, None, "not UTF-8", shown)
    return Cell(number, dict(zip(header, values, strict=True)))


def _parquet(path: Path) -> Iterator[Cell]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_PARQUET_BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield Cell(number, row)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise Unavailable(f"expected a Parquet file, found {path}: {error}; get it anew") from error
