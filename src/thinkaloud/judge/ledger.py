"""A judge's marks and what they cost, in a file of the run: complete JSON lines that are only appended.

A line holds the key of a question (`rubric.key_of`), its requests and tokens, and its marks. `"marks": null` is a
question that was answered without valid marks: another request would pay twice. A question that the endpoint failed to
answer has no key, but its costs count. A line cut off by a crash is skipped.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from thinkaloud.config import JudgeConfig
from thinkaloud.judge.rubric import Marks, read_marks
from thinkaloud.storage.atomic import append_line


class Ledger:
    """The file, read once and then appended to.

    Args:
        path: Its path. Until its folder exists, and while writing fails, lines wait in memory.

    Attributes:
        calls: Requests so far, those of earlier sessions included.
        tokens: Tokens so far, likewise.
        trouble: Why lines wait, if writing failed.
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
            self._waiting.append("")  # ends the line that was cut off

    def __contains__(self, key: str) -> bool:
        return key in self._marks

    def __getitem__(self, key: str) -> Marks | None:
        """The marks of a question; None where the judge answered without valid marks."""
        return self._marks[key]

    def spent(self, config: JudgeConfig, in_flight: int) -> str:
        """Which budget of the run is spent, if one is; `in_flight` requests are not in the ledger yet."""
        if config.max_calls is not None and self.calls + in_flight >= config.max_calls:
            return f"the judge's budget is spent (judge.max_calls = {config.max_calls})"
        if config.max_tokens is not None and self.tokens >= config.max_tokens:
            return f"the judge's budget is spent (judge.max_tokens = {config.max_tokens})"
        return ""

    def add(self, key: str | None, marks: Marks | None, *, calls: int, tokens: int) -> None:
        """Record the outcome and cost of a question; `key` is None where the endpoint failed to answer."""
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
        """Write the waiting lines, as far as writing succeeds."""
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
