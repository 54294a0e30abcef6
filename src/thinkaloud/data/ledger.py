"""What became of every row: read, kept, or dropped for a named reason with the first example; nothing goes unseen."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from thinkaloud.records import SPLITS, Task

MAX_EXAMPLE = 120
"""Characters of an example."""


@dataclass(slots=True)
class Line:
    """The account of one source in one domain; `domain` is empty for rows that belong to none."""

    domain: str
    source: str
    license: str = ""
    read: int = 0
    kept: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    tokens: list[int] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; token percentiles are those of the prompts of kept tasks."""
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
    """Lines by (domain, source). Every row read ends up either kept or dropped once."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str], Line] = {}

    def line(self, domain: str, source: str) -> Line:
        """The line of a source in a domain, made on first use."""
        return self._lines.setdefault((domain, source), Line(domain, source))

    def read(self, domain: str, source: str, license: str) -> None:
        """One row was read."""
        line = self.line(domain, source)
        line.license = license
        line.read += 1

    def drop(self, domain: str, source: str, reason: str, example: str) -> None:
        """A row that was read is left out."""
        line = self.line(domain, source)
        line.dropped[reason] += 1
        flat = " ".join(example[: 4 * MAX_EXAMPLE].split())
        line.examples.setdefault(reason, flat if len(flat) <= MAX_EXAMPLE else flat[: MAX_EXAMPLE - 1] + "…")

    def drop_task(self, task: Task, reason: str) -> None:
        """A task is left out."""
        self.drop(task.domain, task.source, reason, task.question)

    def note(self, task: Task, what: str) -> None:
        """Something about a task that is kept all the same."""
        self.line(task.domain, task.source).notes[what] += 1

    def keep(self, task: Task, prompt_tokens: int) -> None:
        """A task is in the pool."""
        line = self.line(task.domain, task.source)
        line.kept[task.split] += 1
        line.tokens.append(prompt_tokens)

    def as_list(self, domains: tuple[str, ...]) -> list[dict[str, Any]]:
        """All lines, by domain in this order, then in the order sources were read; rows of no domain last.

        Raises:
            AssertionError: a row was lost or counted twice.
        """
        order = {name: index for index, name in enumerate(domains)}
        lines = sorted(self._lines.values(), key=lambda line: order.get(line.domain, len(order)))
        for line in lines:
            assert line.read == line.kept.total() + line.dropped.total(), f"rows of {line.source} do not add up"
        return [line.as_dict() for line in lines]

    def reasons(self, domain: str | None = None) -> dict[str, int]:
        """Rows dropped by reason, over all sources; of one domain, or of all."""
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
