"""Reads the completions of a run from its Parquet files, with filters and sorting."""

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
class RolloutFilter:
    """Which completions to read, and in which order.

    Attributes:
        step: 1-based; negative numbers count from the newest step.
        sort: `reward`: best first; `length`: longest first; `step`: oldest first.
        ascending: The opposite order.
    """

    domain: str | None = None
    status: str | None = None
    step: int | None = None
    sort: Order = "step"
    ascending: bool = False
    limit: int = 10


def find_rollouts(directory: Path, criteria: RolloutFilter) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows that match, and the names of files that cannot be read.

    Files are read one at a time; no more than `limit` rows are kept.

    Raises:
        UserError: There are no files or no such step, or the status or the domain is unknown.
    """
    if criteria.status is not None and criteria.status not in {status.value for status in Status}:
        raise UserError(f"unknown status {criteria.status!r}{nearest(criteria.status, [s.value for s in Status])}")
    files = sorted(directory.glob("step-*.parquet"))
    if not files:
        raise UserError(f"{directory} holds no rollouts; `thinkaloud train` writes one file per GRPO step")
    if criteria.step is not None:
        files = [_file_of(files, criteria.step)]
    bad: list[str] = []
    seen: set[str] = set()
    found = _chosen(_rows(files, criteria, bad, seen), criteria)
    if criteria.domain is not None and not found and criteria.domain not in seen.union(BUILTIN):
        raise UserError(f"no completion has the domain {criteria.domain!r}{nearest(criteria.domain, seen)}")
    return found, bad


def _chosen(rows: Iterator[dict[str, Any]], criteria: RolloutFilter) -> list[dict[str, Any]]:
    """At most `limit` rows, in the order of `criteria`."""
    if criteria.sort == "step":
        if criteria.ascending:
            return list(deque(rows, maxlen=criteria.limit))[::-1]
        return list(islice(rows, criteria.limit))
    sign = 1 if criteria.ascending else -1

    def key(row: dict[str, Any]) -> tuple[float, int, int]:
        value = row["reward"] if criteria.sort == "reward" else row["num_tokens"]
        return float(sign * value), row["step"], row["member"]

    return heapq.nsmallest(criteria.limit, rows, key=key)


def _file_of(files: list[Path], step: int) -> Path:
    for file in files:
        if step > 0 and int(file.stem.removeprefix("step-")) == step:
            return file
    if step < 0 and -step <= len(files):
        return files[step]
    first, last = (int(file.stem.removeprefix("step-")) for file in (files[0], files[-1]))
    raise UserError(f"expected a step from {first} to {last}, or -1 for the newest, found {step}")


def _rows(files: list[Path], criteria: RolloutFilter, bad: list[str], seen: set[str]) -> Iterator[dict[str, Any]]:
    """The rows that match, file by file. Adds the names of unreadable files to `bad`, and all domains to `seen`."""
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
            if criteria.domain in (None, row["domain"]) and criteria.status in (None, row["status"]):
                row["num_tokens"] = len(row.pop("token_ids"))
                yield row


def visible(text: str) -> str:
    """Model output made safe for a terminal: line feeds and tabs stay, other control characters are escaped."""
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)
