"""The account of every row: read, then kept, or dropped for a named reason with the first example of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from thinkaloud.data.rows import Rejection
from thinkaloud.records import SPLITS, Task

MAX_EXAMPLE = 120
"""Characters of an example."""


@dataclass(slots=True)
class Line:
    """The counts of one source in one domain; `domain` is empty for rows that belong to none."""

    domain: str
    source: str
    license: str = ""
    read: int = 0
    kept: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    tokens: list[int] = field(default_factory=list)

    def drop(self, reason: str, example: str) -> None:
        self.dropped[reason] += 1
        if reason not in self.examples:
            flat = " ".join(example[: 4 * MAX_EXAMPLE].split())
            self.examples[reason] = flat if len(flat) <= MAX_EXAMPLE else flat[: MAX_EXAMPLE - 1] + "…"

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; `prompt_tokens` are percentiles over the prompts of kept tasks."""
        return {
            "domain": self.domain,
            "source": self.source,
            "license": self.license,
            "read": self.read,
            "kept": {split: self.kept[split] for split in SPLITS},
            "dropped": dict(sorted(self.dropped.items())),
            "notes": dict(sorted(self.notes.items())),
            "examples": dict(sorted(self.examples.items())),
            "prompt_tokens": percentiles(self.tokens),
        }


class Ledger:
    """Lines by (domain, source). Every row that is read is later kept or dropped, exactly once."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str], Line] = {}
        self._tokens: dict[str, int] = {}

    def line(self, domain: str, source: str) -> Line:
        """The line of a source in a domain, created on first use."""
        return self._lines.setdefault((domain, source), Line(domain, source))

    def read(self, task: Task) -> None:
        """Count a row that became a task."""
        line = self.line(task.domain, task.source)
        line.license = task.license
        line.read += 1

    def reject(self, rejection: Rejection, domain: str, source: str, license: str) -> None:
        """Count a row that did not become a task, as read and dropped; `domain` is the source's only one, or empty."""
        line = self.line(domain, source)
        line.license = license
        line.read += 1
        line.drop(rejection.reason, f"{rejection.row.split} row {rejection.row.number}: {rejection.example}")

    def drop(self, task: Task, reason: str, example: str = "") -> None:
        """Count a task that is left out; the example is its question unless given."""
        self.line(task.domain, task.source).drop(reason, example or task.question)

    def example(self, domain: str, reason: str) -> str:
        """The first example of a reason in a domain; empty if there is none."""
        lines = (line for line in self._lines.values() if line.domain == domain)
        return next((line.examples[reason] for line in lines if reason in line.examples), "")

    def note(self, task: Task, what: str) -> None:
        """Count a remark about a task that is kept nevertheless."""
        self.line(task.domain, task.source).notes[what] += 1

    def measure(self, task: Task, prompt_tokens: int) -> None:
        """Remember the length of a task's whole prompt; tasks of one id have the same."""
        self._tokens[task.id] = prompt_tokens

    def keep(self, task: Task) -> None:
        """Count a task that is in the pool. Its prompt must have been measured."""
        line = self.line(task.domain, task.source)
        line.kept[task.split] += 1
        line.tokens.append(self._tokens[task.id])

    def as_list(self, domains: tuple[str, ...]) -> list[dict[str, Any]]:
        """All lines, by domain in this order, then in the order sources were read; rows of no domain last.

        Raises:
            AssertionError: A row was lost or counted twice.
        """
        order = {name: index for index, name in enumerate(domains)}
        lines = sorted(self._lines.values(), key=lambda line: order.get(line.domain, len(order)))
        for line in lines:
            assert line.read == line.kept.total() + line.dropped.total(), f"rows of {line.source} do not add up"
        return [line.as_dict() for line in lines]

    def reasons(self, domain: str | None = None) -> dict[str, int]:
        """Dropped rows by reason, over all sources; of one domain, or of all."""
        total: Counter[str] = Counter()
        for line in self._lines.values():
            if domain in (None, line.domain):
                total.update(line.dropped)
        return dict(sorted(total.items()))


def percentiles(counts: list[int]) -> dict[str, int]:
    """Median, 95th percentile and largest of some counts; empty for none.

    >>> percentiles([1, 2, 3, 4, 100])
    {'p50': 3, 'p95': 100, 'max': 100}
    """
    if not counts:
        return {}
    ranks = np.percentile(np.asarray(counts), [50, 95], method="higher")
    return {"p50": int(ranks[0]), "p95": int(ranks[1]), "max": max(counts)}
