"""Reading back what was sampled: the rows of a run's Parquet files, chosen and ordered."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from thinkaloud.domains import BUILTIN
from thinkaloud.errors import UserError, nearest
from thinkaloud.records import Status

Order = Literal["step", "reward", "length"]
_COLUMNS = [
    *("step", "member", "task_id", "domain", "question", "gold", "text", "token_ids", "finish", "reward"),
    *("status", "reason", "components", "explanation"),
]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which completions.

    Attributes:
        step: 1-based; negative ones count from the newest step there is.
        sort: `reward`: best first; `length`: longest first; `step`: as they came.
        ascending: The other way round.
    """

    domain: str | None = None
    status: str | None = None
    step: int | None = None
    sort: Order = "step"
    ascending: bool = False
    limit: int = 10


def find_rollouts(directory: Path, wanted: Wanted) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows that are wanted, and the names of files that cannot be read.

    Files are read one at a time; no more than `limit` rows are kept.

    Raises:
        UserError: There are no files, no such step, or the status or the domain is unknown.
    """
    if wanted.status is not None and wanted.status not in {status.value for status in Status}:
        raise UserError(f"unknown status {wanted.status!r}{nearest(wanted.status, [s.value for s in Status])}")
    files = sorted(directory.glob("step-*.parquet"))
    if not files:
        raise UserError(f"{directory} holds no rollouts; `thinkaloud train` writes them, one file a step of GRPO")
    if wanted.step is not None:
        files = [_file_of(files, wanted.step)]
    bad: list[str] = []
    seen: set[str] = set()
    found = _chosen(_rows(files, wanted, bad, seen), wanted)
    if wanted.domain is not None and not found and wanted.domain not in seen.union(BUILTIN):
        raise UserError(f"no completion is of domain {wanted.domain!r}{nearest(wanted.domain, seen)}")
    return found, bad


def _chosen(rows: Iterator[dict[str, Any]], wanted: Wanted) -> list[dict[str, Any]]:
    """As many as are wanted, in the order that is wanted."""
    if wanted.sort == "step":
        if wanted.ascending:
            return list(deque(rows, maxlen=wanted.limit))[::-1]
        return list(islice(rows, wanted.limit))
    sign = 1 if wanted.ascending else -1

    def key(row: dict[str, Any]) -> tuple[float, int, int]:
        value = row["reward"] if wanted.sort == "reward" else row["num_tokens"]
        return float(sign * value), row["step"], row["member"]

    return heapq.nsmallest(wanted.limit, rows, key=key)


def _file_of(files: list[Path], step: int) -> Path:
    for file in files:
        if step > 0 and int(file.stem.removeprefix("step-")) == step:
            return file
    if step < 0 and -step <= len(files):
        return files[step]
    first, last = (int(file.stem.removeprefix("step-")) for file in (files[0], files[-1]))
    raise UserError(f"there are no rollouts of step {step}; there are some of steps {first} to {last}")


def _rows(files: list[Path], wanted: Wanted, bad: list[str], seen: set[str]) -> Iterator[dict[str, Any]]:
    """The rows that are wanted, file by file; `bad` is told of files that cannot be read, `seen` of the domains."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for file in files:
        try:
            table = pq.read_table(file, columns=_COLUMNS).to_pylist()
        except (pa.ArrowException, OSError):
            bad.append(file.name)
            continue
        for row in table:
            seen.add(row["domain"])
            if wanted.domain in (None, row["domain"]) and wanted.status in (None, row["status"]):
                row["num_tokens"] = len(row.pop("token_ids"))
                yield row


def visible(text: str) -> str:
    """Text that a model wrote, safe for a terminal: line feeds and tabs stay, other control characters are escaped."""
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)
