"""A row of a source, before it becomes a task or a rejection."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Values = Mapping[str, Any]
"""A row's values by column name."""

_EXAMPLE_CHARS = 200


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row as its source has it.

    `split` is the source's own name for the split, `number` the line or row in the split's file, from 1. Of a line
    that cannot be parsed, `values` is empty and `text` holds the beginning.
    """

    values: Values
    split: str
    number: int
    text: str = ""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row that did not become a task. `reason` is a fixed phrase, such as `no answer`: rows are counted by it."""

    row: RawRow
    reason: str

    @property
    def example(self) -> str:
        """The beginning of the row, on one line."""
        text = self.row.text or json.dumps(self.row.values, ensure_ascii=False, default=str)
        return " ".join(text.split())[:_EXAMPLE_CHARS]
