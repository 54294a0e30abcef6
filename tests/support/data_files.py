"""Small files of many kinds, made for the tests of `thinkaloud init`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Rows = Sequence[Mapping[str, Any]]

_PLACES = (
    "a shelf",
    "the cellar",
    "an attic",
    "our garden",
    "some office",
    "that harbour",
    "every museum",
    "no kitchen",
)
_THINGS = ("lamps", "ropes", "crates", "bottles", "tickets", "letters", "plates", "hats", "drums", "coins")


def csv_text(rows: Rows, delimiter: str = ",") -> str:
    """The rows as CSV with a header line."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def json_lines(rows: Rows) -> str:
    """One object per line."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def write_parquet(path: Path, rows: Rows) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), path)


def sums(count: int = 40) -> list[tuple[str, int]]:
    """Distinct questions with whole numbers as answers."""
    return [
        (f"In {_PLACES[n % 8]} are {n + 2} {_THINGS[n % 10]} and {3 * n + 1} more. How many?", 4 * n + 3)
        for n in range(count)
    ]
