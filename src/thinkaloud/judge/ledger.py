"""A judge's marks and what they cost, kept in a file of the run: whole JSON lines, only ever added to.

A line holds the key of a question (`rubric.key_of`), the requests and tokens that went into it, and its marks.
`"marks": null` is a question that was answered, and with no mark: asking again would be paying twice. A question that
the endpoint failed to answer has no key, but its costs count. A line cut off by a crash spoils itself alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from thinkaloud.judge.rubric import Marks, read_marks
from thinkaloud.storage.atomic import append_line


class Ledger:
    """The file, read once and then added to.

    Args:
        path: where it is or will be. Until its folder exists, and while the disk takes nothing, lines wait in memory.

    Attributes:
        calls: requests so far, those of earlier sessions included.
        tokens: tokens so far, likewise.
        trouble: why lines wait, if a disk is the reason.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._marks: dict[str, Marks | None] = {}
        self._waiting: list[str] = []
        self.calls = self.tokens = 0
        self.trouble: str | None = None
        try:
            text = path.read_bytes().decode("utf-8", "replace")
        except OSError:
            return
        for line in text.splitlines():
            self._read(line)
        if text and not text.endswith("\n"):
            self._waiting.append("")  # ends the line that was cut off, so that the next one stands by itself

    def __contains__(self, key: str) -> bool:
        return key in self._marks

    def __getitem__(self, key: str) -> Marks | None:
        """The marks of a question; None where the judge answered it without any."""
        return self._marks[key]

    def add(self, key: str | None, marks: Marks | None, *, calls: int, tokens: int) -> None:
        """Note the outcome of a question, and what it cost; `key` is None where the endpoint failed to answer."""
        cost: dict[str, Any] = {"calls": calls, "tokens": tokens}
        self.calls += calls
        self.tokens += tokens
        if key is not None:
            self._marks[key] = marks
            given = None if marks is None else {name: getattr(marks, name) for name in Marks.__dataclass_fields__}
            cost = {"key": key, "marks": given, **cost}
        self._waiting.append(json.dumps(cost))
        self.flush()

    def flush(self) -> None:
        """Write what waits, as far as the disk takes it."""
        if not self._path.parent.is_dir():
            return
        self.trouble = None
        while self._waiting:
            try:
                append_line(self._path, self._waiting[0])
            except OSError as error:
                self.trouble = error.strerror or str(error)
                return
            del self._waiting[0]

    def _read(self, line: str) -> None:
        try:
            row = json.loads(line)
            calls, tokens = int(row["calls"]), int(row["tokens"])
            if isinstance(key := row.get("key"), str):
                self._marks[key] = None if row["marks"] is None else read_marks(json.dumps(row["marks"]))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError):
            return
        self.calls += calls
        self.tokens += tokens
