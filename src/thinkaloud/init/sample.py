"""The first rows of a data file, and how it is written."""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from thinkaloud.config import SourceConfig
from thinkaloud.config.data import is_text_encoding
from thinkaloud.data.files import SUFFIXES, delimiter_of, encoding_of, open_binary, read_rows, suffix_of
from thinkaloud.data.read import role_of
from thinkaloud.data.rows import RawRow, Values
from thinkaloud.data.sources import own_source
from thinkaloud.errors import UserError

MAX_ROWS = 2_000
"""Rows that are looked at."""
_BLOCK = 1 << 20
_MAX_SCANNED = 64 << 20
"""Bytes that are searched for characters which are not UTF-8."""
_MAX_GUESSED = 1 << 16
"""Bytes of lines with such characters that the encoding is guessed from."""

_BINARY = {
    b"PK\x03\x04": "an Excel workbook or a ZIP file; save the table as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; save the table as CSV",
    b"%PDF": "a PDF; copy the questions and answers into a CSV file",
    b"\x1f\x8b": "a gzip file; unpack it, or name it .jsonl.gz if it holds JSON lines",
    b"SQLite": "a database; export the table as CSV",
}
"""What a file is that cannot be read, by its first bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The beginning of a data file.

    Attributes:
        encoding: To be named in the recipe; None where it is detected each time the file is read.
        written: How the file is written, for the reader: `CSV, ';' between fields, cp1252`.
        rows: At most `MAX_ROWS`.
        is_whole: Whether the file has no more rows.
        rejected: Lines among them that cannot be parsed.
    """

    path: Path
    encoding: str | None
    written: str
    rows: tuple[Values, ...]
    is_whole: bool
    rejected: int

    @property
    def columns(self) -> tuple[str, ...]:
        """In order of first occurrence."""
        return tuple(dict.fromkeys(str(name) for row in self.rows for name in row))


def read_sample(path: Path, encoding: str | None = None) -> Sample:
    """Read the beginning of a file.

    Args:
        encoding: The user's choice; when absent it is detected.

    Raises:
        UserError: The file is missing, empty, of an unknown kind, or has no row that can be parsed.
    """
    if encoding is not None and not is_text_encoding(encoding):
        raise UserError(f"--encoding: expected an encoding that Python knows, such as cp1252; found {encoding[:40]!r}")
    suffix = _checked(path)
    if suffix != ".parquet" and encoding is None:
        encoding = legacy_encoding(path)
    found = list(islice(read_rows(path, "train", encoding=encoding), MAX_ROWS + 1))
    rows = tuple(row.values for row in found[:MAX_ROWS] if isinstance(row, RawRow))
    if not rows:
        reasons = Counter(row.reason for row in found if not isinstance(row, RawRow)).most_common(1)
        why = f"none; {reasons[0][1]:,} of {len(found):,}: {reasons[0][0]}" if reasons else "none"
        raise UserError(f"expected rows with a question and an answer in {path}, found {why}; correct the file")
    return Sample(
        path=path,
        encoding=encoding,
        written=_written(path, suffix, encoding),
        rows=rows,
        is_whole=len(found) <= MAX_ROWS,
        rejected=min(len(found), MAX_ROWS) - len(rows),
    )


def _checked(path: Path) -> str:
    """The suffix of a file that can be read. Raises UserError for any other."""
    if not path.is_file():
        what = "a folder" if path.is_dir() else "nothing"
        raise UserError(f"expected a data file ({', '.join(SUFFIXES)}), found {what} at {str(path)!r}; name a file")
    with path.open("rb") as file:
        start = file.read(_BLOCK)
    suffix = suffix_of(path)
    what = next((what for mark, what in _BINARY.items() if start.startswith(mark)), "")
    if what and not (suffix == ".jsonl.gz" and start.startswith(b"\x1f\x8b")):
        raise UserError(f"expected a data file, found {path}: it looks like {what}")
    if suffix is None:
        raise UserError(f"expected a file name that ends in {', '.join(SUFFIXES)}, found {path.name}; rename the file")
    if not start.strip():
        raise UserError(f"expected rows in {path}, found an empty file; write a line of column names and the rows")
    if suffix not in (".parquet", ".jsonl.gz") and b"\0" in start and encoding_of(path) == "utf-8-sig":
        raise UserError(f"expected text in {path}, found binary data; save the table as CSV in UTF-8")
    split = path.name.removesuffix(suffix)
    role = role_of(split, own_source("own", SourceConfig(path=str(path), domain="own", scored_as="science")))
    if role != "train":
        raise UserError(
            f"expected training rows, found {path.name}, whose name marks {role} rows, which are never trained on; "
            "rename the file"
        )
    return suffix


def legacy_encoding(path: Path) -> str | None:
    """The encoding of a text that is not Unicode, guessed; None for a Unicode text.

    A few damaged characters do not count: they must be more than the intact ones outside ASCII. For scripts that
    Latin letters write, the guess is cp1252, the usual one of Excel.
    """
    if encoding_of(path) != "utf-8-sig":
        return None
    decode = codecs.getincrementaldecoder("utf-8")(errors="surrogateescape").decode
    intact = damaged = 0
    odd = bytearray()
    with open_binary(path) as file:
        for _ in range(_MAX_SCANNED // _BLOCK):
            block = file.read(_BLOCK)
            if not block:
                break
            if block.isascii():
                continue
            outside = [char for char in decode(block) if char > "\x7f"]
            bad = sum("\udc80" <= char <= "\udcff" for char in outside)
            damaged, intact = damaged + bad, intact + len(outside) - bad
            if bad and len(odd) < _MAX_GUESSED:
                odd += _lines_outside_ascii(block.splitlines(keepends=True), _MAX_GUESSED - len(odd))
    return _guess(bytes(odd)) if damaged > intact else None


def _lines_outside_ascii(lines: Iterable[bytes], limit: int) -> bytes:
    return b"".join(line for line in lines if not line.isascii())[:limit]


def _guess(text: bytes) -> str:
    from charset_normalizer import from_bytes

    best = from_bytes(text).best()
    scripts = [] if best is None else [name for name in best.alphabets if name.split()[0] not in _ANY_SCRIPT]
    if best is None or not scripts:
        try:
            text.decode("cp1252")
            return "cp1252"
        except UnicodeDecodeError:
            return best.encoding if best else "latin-1"
    return best.encoding


_ANY_SCRIPT = ("Basic", "Control", "Currency", "Latin", "Latin-1", "General", "Letterlike", "Spacing", "IPA")
"""First words of Unicode blocks that texts in Latin letters use."""


def _written(path: Path, suffix: str, encoding: str | None) -> str:
    if suffix == ".parquet":
        return "Parquet"
    used = encoding or encoding_of(path)
    shown = "UTF-8" if used == "utf-8-sig" else used
    if suffix in (".csv", ".tsv"):
        delimiter = delimiter_of(path, used)
        between = {",": "commas", "\t": "tabs"}.get(delimiter, repr(delimiter))
        return f"CSV, {between} between fields, {shown}"
    return f"JSON, {shown}"
