"""CSV with a header line, record by record: a stray quote costs its own line and no other.

A quoted field may hold line breaks, so a quote that is never meant to open a field can swallow every line up to the
next quote. Such a record is recognised by its shape: it does not close, it has another number of fields than the
header, or the lines inside its field are records themselves. Then its first line is rejected, and reading continues
with the next line.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from thinkaloud.storage.json_lines import LineReader

DELIMITERS = ",;\t|"
MAX_FIELD_CHARACTERS = 32 << 20
MAX_RECORD_LINES = 1_000
"""Lines of one record at most; a quote that is open for longer is a stray one."""
_SNIFFED_LINES = 100
"""Lines that the delimiter is detected from."""
MIN_SWALLOWED = 3
"""Complete records within one field that show that its quote is a stray one."""


@dataclass(frozen=True, slots=True)
class Record:
    """The fields of one record, or why its line has none.

    Attributes:
        line: The number of its first line in the file, from 1.
        fields: Empty if the line is rejected.
        reason: A fixed phrase; empty for a good record.
        text: The first line.
    """

    line: int
    fields: list[str]
    reason: str
    text: str


@dataclass(slots=True)
class _Lines:
    """The lines of a file with some lookahead."""

    file: LineReader[str]
    ahead: deque[str] = field(default_factory=deque)
    number: int = 1
    """Of the first line in `ahead`."""

    def look(self) -> Iterator[str]:
        """The lines from here on, without consuming them."""
        index = 0
        while index < MAX_RECORD_LINES:
            if index == len(self.ahead):
                line = self.file.readline(MAX_FIELD_CHARACTERS + 1)
                if not line:
                    return
                self.ahead.append(line)
            yield self.ahead[index]
            index += 1

    def skip(self, count: int) -> list[str]:
        """Consume lines."""
        self.number += count
        return [self.ahead.popleft() for _ in range(min(count, len(self.ahead)))]


def sniff_delimiter(sample: str) -> str:
    """The delimiter of the first lines of a CSV file: the one with which most lines have as many fields as the header.

    Args:
        sample: The beginning of the file, its header first. The last line is left out where it may be incomplete.

    Returns:
        One of `DELIMITERS`; of equals the one that the header has most, a comma if it has none.
    """
    lines = sample.splitlines(keepends=True)[:_SNIFFED_LINES]
    if len(lines) > 1 and not lines[-1].endswith(("\n", "\r")):
        lines.pop()
    return max(DELIMITERS, key=lambda delimiter: _agreement(lines, delimiter))


def _agreement(lines: list[str], delimiter: str) -> tuple[float, int]:
    """The share of records that are as wide as the header, and its width; nothing for one column."""
    try:
        widths = [len(record) for record in csv.reader(lines, delimiter=delimiter) if record]
    except csv.Error:
        return 0.0, 0
    if not widths or widths[0] == 1:
        return 0.0, 0
    return round(widths.count(widths[0]) / len(widths), 1), widths[0]


def read_records(file: LineReader[str], delimiter: str) -> Iterator[Record]:
    """The records of a file, the header first; blank lines are left out."""
    csv.field_size_limit(MAX_FIELD_CHARACTERS)
    lines, width = _Lines(file), 0
    while True:
        number, found, used = lines.number, *_next_record(lines.look, delimiter)
        if used == 0:
            return
        first = lines.ahead[0]
        if used > 1 and (found is None or _has_swallowed(found, width, delimiter)):
            lines.skip(1)
            yield Record(number, [], "unclosed quote", first)
        elif found is None:
            lines.skip(1)
            yield Record(number, [], "not CSV", first)
        else:
            lines.skip(used)
            if found:
                width = width or len(found)
                yield Record(number, found, "", first)


def _next_record(look: Callable[[], Iterator[str]], delimiter: str) -> tuple[list[str] | None, int]:
    """The fields of the next record, None if it is damaged, and how many lines it takes; 0 lines at the end."""
    reader = csv.reader(look(), delimiter=delimiter, strict=True)
    try:
        return next(reader), reader.line_num
    except StopIteration:
        return None, 0
    except csv.Error:
        return None, reader.line_num


def _has_swallowed(fields: list[str], width: int, delimiter: str) -> bool:
    """Whether a record of several lines is in truth a stray quote and other records."""
    if width and len(fields) != width:
        return True
    for text in fields:
        inner = text.split("\n")[1:-1]
        if len(inner) >= MIN_SWALLOWED and all(_num_fields(line, delimiter) == len(fields) for line in inner):
            return True
    return False


def _num_fields(line: str, delimiter: str) -> int:
    return len(next(csv.reader(islice([line], 1), delimiter=delimiter), []))
