"""Rows from files, one at a time: JSON lines (plain or gzip), JSON arrays, CSV, Parquet.

A line that cannot be parsed is one rejected row. A file that cannot be read is the user's error.
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from io import BufferedReader, TextIOWrapper
from pathlib import Path
from typing import Any

from thinkaloud.data.csv_rows import Record, read_records, sniff_delimiter
from thinkaloud.data.rows import RawRow, Rejection
from thinkaloud.errors import UserError
from thinkaloud.storage.json_lines import InvalidLine, bounded_lines, parse_object

SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".parquet", ".csv", ".tsv")
"""The files that can be read; JSON files hold one object per line, or an array of objects."""

MAX_LINE_BYTES = 32 << 20
"""Longer lines are rejected, so that no row can fill the memory."""

MAX_ARRAY_BYTES = 256 << 20
"""A JSON array is read whole, so a larger one is rejected."""

MAX_NAME_CHARACTERS = 1_000
"""A longer column name is a row, or no table at all."""

Note = Callable[[str], None]

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SNIFFED = 1 << 16
"""Bytes or characters that encoding and delimiter are detected from."""
_PARQUET_BATCH = 256
_SHOWN = 400
"""Bytes or characters of a rejected line that are kept."""


class Unavailable(UserError):
    """A source that cannot be read at all. One that the recipe marks optional is left out instead."""


def suffix_of(path: Path) -> str | None:
    """The longest of `SUFFIXES` that a file's name ends in; None for any other file."""
    found = [suffix for suffix in SUFFIXES if path.name.endswith(suffix) and path.name != suffix]
    return max(found, key=len, default=None)


def read_rows(
    path: Path, split: str, note: Note = lambda text: None, *, encoding: str | None = None
) -> Iterator[RawRow | Rejection]:
    """The rows of a file that belongs to `split`, in order, in bounded memory.

    Args:
        encoding: Of a text file; when absent it is detected (`encoding_of`).
        note: Receives one line about a detected encoding or delimiter.

    Raises:
        Unavailable: The file cannot be opened, or is damaged as a whole.
    """
    suffix = suffix_of(path)
    if suffix is None:
        raise UserError(f"expected one of {', '.join(SUFFIXES)}, found {path}")
    try:
        if suffix == ".parquet":
            yield from _parquet(path, split)
            return
        encoding = encoding or encoding_of(path)
        if encoding != "utf-8-sig":
            note(f"{path.name} is read as {encoding}")
        if suffix in (".csv", ".tsv"):
            yield from _csv(path, split, encoding, note)
        elif _starts_array(path, encoding):
            yield from _json_array(path, split, encoding)
        else:
            with _open_text(path, encoding) as file:
                yield from _json_lines(file, split)
    except UnicodeError as error:
        raise Unavailable(f"expected text in {encoding}, found {path}: {error}; save it as UTF-8") from error
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


def open_binary(path: Path) -> gzip.GzipFile | BufferedReader:
    """The bytes of a file, unpacked if its name ends in `.gz`."""
    return gzip.GzipFile(path) if path.name.endswith(".gz") else path.open("rb")


def _open_text(path: Path, encoding: str) -> TextIOWrapper:
    """The text of a file; bytes that do not fit the encoding are kept as lone surrogates."""
    return TextIOWrapper(open_binary(path), encoding=encoding, errors="surrogateescape", newline="")


def _json_lines(file: TextIOWrapper, split: str) -> Iterator[RawRow | Rejection]:
    for number, line in bounded_lines(file, MAX_LINE_BYTES):
        if line.strip():
            try:
                yield RawRow(parse_object(line, MAX_LINE_BYTES), split, number)
            except InvalidLine as error:
                yield Rejection(RawRow({}, split, number, _shown(line)), error.reason)


def _shown(line: str) -> str:
    """The beginning of a rejected line."""
    return line[:_SHOWN].encode(errors="replace").decode()


def _starts_array(path: Path, encoding: str) -> bool:
    """Whether a JSON file holds one array, and not one object per line."""
    with _open_text(path, encoding) as file:
        start = file.read(_SHOWN).lstrip()
    return start.startswith("[") and (suffix_of(path) == ".json" or start[1:].lstrip().startswith("{"))


def _json_array(path: Path, split: str, encoding: str) -> Iterator[RawRow | Rejection]:
    with open_binary(path) as file:
        content = file.read(MAX_ARRAY_BYTES + 1)
    if len(content) > MAX_ARRAY_BYTES:
        raise UserError(
            f"expected a JSON array of at most {MAX_ARRAY_BYTES >> 20} MiB, found a larger one in {path}; write one "
            "object per line instead (.jsonl)"
        )
    try:
        rows = json.loads(content.decode(encoding))
    except (ValueError, RecursionError) as error:
        raise Unavailable(f"expected a JSON array, found {path}: {str(error)[:200]}; correct the file") from error
    for number, row in enumerate(rows, start=1):
        if isinstance(row, dict):
            yield RawRow(row, split, number)
        else:
            yield Rejection(RawRow({}, split, number, str(row)[:_SHOWN]), "not a JSON object")


def _csv(path: Path, split: str, encoding: str, note: Note) -> Iterator[RawRow | Rejection]:
    """CSV with a header line; the delimiter is detected. Bytes that do not fit the encoding reject one row each."""
    delimiter = delimiter_of(path, encoding)
    if delimiter != ",":
        note(f"{path.name} is read with {delimiter!r} between fields")
    with _open_text(path, encoding) as file:
        records = read_records(file, delimiter)
        header = next(records, None)
        if header is None:
            return
        if header.reason or len(max(header.fields, key=len)) > MAX_NAME_CHARACTERS:
            found = header.reason or f"a name of more than {MAX_NAME_CHARACTERS:,} characters"
            raise UserError(f"expected a line of column names first in {path}, found {found}; correct the file")
        if any("\udc80" <= char <= "\udcff" for name in header.fields for char in name):
            raise UserError(
                f"expected column names in {encoding} in {path}, found other bytes; save the file as UTF-8, or set its "
                "encoding in the recipe"
            )
        twice = [name for name, count in Counter(header.fields).items() if count > 1]
        if twice:
            raise UserError(f"expected distinct column names in {path}, found {twice[0]!r} twice; rename one of them")
        for number, record in enumerate(records, start=1):
            yield _from_csv(header.fields, record, split, number, encoding)


def delimiter_of(path: Path, encoding: str) -> str:
    """The delimiter of a CSV file, from its first lines."""
    with _open_text(path, encoding) as file:
        return sniff_delimiter(file.read(_SNIFFED))


def _from_csv(header: list[str], record: Record, split: str, number: int, encoding: str) -> RawRow | Rejection:
    reason = record.reason
    if not reason and len(record.fields) != len(header):
        reason = "more or fewer fields than columns"
    elif any("\udc80" <= char <= "\udcff" for value in record.fields for char in value):
        reason = f"not {'UTF-8' if encoding == 'utf-8-sig' else encoding}"
    if reason:
        return Rejection(RawRow({}, split, number, f"line {record.line}: {_shown(record.text)}"), reason)
    return RawRow(dict(zip(header, record.fields, strict=True)), split, number)


def encoding_of(path: Path) -> str:
    """The encoding of a text file: by its byte order mark, else UTF-16 if the bytes look like it, else UTF-8."""
    with open_binary(path) as file:
        sample = file.read(_SNIFFED)
    for mark, encoding in _MARKS:
        if sample.startswith(mark):
            return encoding
    if b"\0" in sample:  # no text in UTF-8 has zero bytes
        from charset_normalizer import from_bytes

        best = from_bytes(sample).best()
        if best is not None and best.encoding.startswith("utf"):
            return best.encoding
    return "utf-8-sig"


def _parquet(path: Path, split: str) -> Iterator[RawRow]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            short = [field.name for field in file.schema_arrow if field.type in (pa.float16(), pa.float32())]
            for batch in file.iter_batches(batch_size=_PARQUET_BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield RawRow({**row, **{name: _shortest(row[name]) for name in short}}, split, number)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise Unavailable(f"expected a Parquet file, found {path}: {error}; download it again") from error


def _shortest(value: float | None) -> float | None:
    """A float32 as the shortest decimal number that rounds to it: 33.1, not 33.099998474121094."""
    import numpy as np

    return None if value is None else float(str(np.float32(value)))
