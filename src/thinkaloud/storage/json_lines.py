"""JSON lines: one object per line, read with bounded memory and line numbers.

for number, line in bounded_lines(file, MAX_BYTES):
    if line.strip():
        row = parse_object(line, MAX_BYTES)    # raises InvalidLine
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, AnyStr, Protocol, TypeVar, runtime_checkable

from thinkaloud.errors import UserError, type_name

_Line = TypeVar("_Line", str, bytes, covariant=True)


@runtime_checkable
class LineReader(Protocol[_Line]):
    """A file, text or binary, as far as it is read here."""

    def readline(self, limit: int, /) -> _Line: ...


class InvalidLine(UserError):
    """A line that is not a JSON object. `reason` is a fixed phrase, such as `not JSON`, by which lines are counted."""

    def __init__(self, reason: str, found: str) -> None:
        super().__init__(f"expected a JSON object, found {found}")
        self.reason = reason


def bounded_lines(file: LineReader[AnyStr], limit: int) -> Iterator[tuple[int, AnyStr]]:
    """The lines of a file with their numbers, from 1.

    Args:
        file: A text or binary file; it is read line by line.
        limit: Characters (text) or bytes (binary). A longer line is cut to `limit + 1`, which `parse_object` rejects;
            the rest of it is skipped without being held in memory.
    """
    number = 0
    while line := file.readline(limit + 1):
        number += 1
        yield number, line
        while len(line) > limit and line[-1:] not in ("\n", b"\n"):
            line = file.readline(limit + 1)


def parse_object(line: str | bytes, limit: int) -> dict[str, Any]:
    """The object that a line holds.

    Args:
        line: Text, or UTF-8 bytes.
        limit: The most characters or bytes that are parsed: parsing takes several times their size in memory.

    Raises:
        InvalidLine: The line is too long, is not UTF-8, is not JSON, or holds another value.
    """
    if len(line) > limit:
        unit = "characters" if isinstance(line, str) else "bytes"
        raise InvalidLine(f"line over {limit >> 20} MiB", f"a line of more than {limit:,} {unit}")
    try:
        text = line if isinstance(line, str) else line.decode()
        text.encode()  # text that was read with surrogateescape may hold other bytes
        value = json.loads(text.removeprefix("\ufeff"))
    except UnicodeError as error:
        reason = error.reason if isinstance(error, UnicodeDecodeError) else "save the file as UTF-8"
        raise InvalidLine("not UTF-8", f"bytes that are not UTF-8 ({reason})") from None
    except (ValueError, RecursionError) as error:
        raise InvalidLine("not JSON", str(error) or "a value nested too deeply") from None
    if not isinstance(value, dict):
        raise InvalidLine("not a JSON object", type_name(value))
    return value
