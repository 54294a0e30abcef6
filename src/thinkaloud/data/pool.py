"""The tasks of a run, by domain and split, in memory or read from a file one at a time."""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, groupby
from typing import Any, overload

from thinkaloud.records import SPLITS, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The tasks of one domain and split, which stand together in a pool.

    They are `tasks[start : start + count]`; the first `with_rationale` of them have one.
    """

    domain: str
    split: str
    start: int
    count: int
    with_rationale: int


class Tasks(Sequence[Task]):
    """Tasks that are read where they are asked for: what a sequence needs besides `__len__` and `_at`."""

    @abstractmethod
    def _at(self, place: int) -> Task:
        """The task at `place`, 0 <= place < len(self)."""

    @overload
    def __getitem__(self, index: int) -> Task: ...
    @overload
    def __getitem__(self, index: slice) -> list[Task]: ...
    def __getitem__(self, index: int | slice) -> Task | list[Task]:
        if isinstance(index, slice):
            return [self._at(place) for place in range(*index.indices(len(self)))]
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(f"task {index} of {len(self)}")
        return self._at(place)


class TaskView(Tasks):
    """Stretches of a sequence of tasks, one after another, read where they are asked for.

    Args:
        tasks: Any sequence, on disk too.
        stretches: (start, count) of each.
    """

    def __init__(self, tasks: Sequence[Task], stretches: Iterable[tuple[int, int]]) -> None:
        self._tasks = tasks
        self._stretches = [(start, count) for start, count in stretches if count]
        self._ends = list(accumulate(count for _, count in self._stretches))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def _at(self, place: int) -> Task:
        which = bisect_right(self._ends, place)
        start, count = self._stretches[which]
        return self._tasks[start + place - (self._ends[which] - count)]


@dataclass(frozen=True, slots=True)
class Pool:
    """Kept tasks, and how many were dropped for which reason.

    `tasks` stand by domain, split, and those with a rationale first; `ranges` says where each domain's split is. They
    are a tuple in memory (`Pool.of`), or are read from a file as they are needed (`store.open_pool`). `record` is
    what the builder noted: settings, sources, the account of every row.
    """

    tasks: Sequence[Task]
    ranges: tuple[Range, ...]
    dropped: dict[str, int] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, tasks: Iterable[Task], domains: Sequence[str], dropped: dict[str, int] | None = None) -> Pool:
        """A pool in memory; tasks of one domain, split and kind keep their order.

        Args:
            tasks: All of `domains`.
            domains: In the order of every table.
            dropped: Counts by reason.
        """
        ordered = sorted(tasks, key=lambda task: place_of(task, domains))
        ranges: list[Range] = []
        for (name, split), group in groupby(ordered, key=lambda task: (task.domain, task.split)):
            own = list(group)
            start = ranges[-1].start + ranges[-1].count if ranges else 0
            reasoned = sum(bool(task.rationale) for task in own)
            ranges.append(Range(domain=name, split=split, start=start, count=len(own), with_rationale=reasoned))
        return cls(tuple(ordered), tuple(ranges), dropped or {})

    def split(self, name: str) -> TaskView:
        """The tasks of one split, grouped by domain, in order."""
        return TaskView(self.tasks, ((own.start, own.count) for own in self.ranges if own.split == name))

    def by_domain(self, split: str, *, with_rationale: bool = False) -> dict[str, TaskView]:
        """The tasks of one split by domain, those without a rationale left out if so asked; no domain is empty."""
        counts = {
            own.domain: (own.start, own.with_rationale if with_rationale else own.count)
            for own in self.ranges
            if own.split == split
        }
        return {name: TaskView(self.tasks, [stretch]) for name, stretch in counts.items() if stretch[1]}

    def counts(self) -> dict[str, dict[str, int]]:
        """Tasks by domain and split."""
        return counts_of(self.ranges)


def counts_of(ranges: Iterable[Range]) -> dict[str, dict[str, int]]:
    """Tasks by domain and split."""
    counted: dict[str, dict[str, int]] = {}
    for own in ranges:
        counted.setdefault(own.domain, dict.fromkeys(SPLITS, 0))[own.split] = own.count
    return counted


def group_by_domain(tasks: Iterable[Task]) -> dict[str, list[Task]]:
    """Tasks in memory by domain, in the order in which the domains come up."""
    groups: dict[str, list[Task]] = {}
    for task in tasks:
        groups.setdefault(task.domain, []).append(task)
    return groups


def place_of(task: Task, domains: Sequence[str]) -> tuple[int, int, bool]:
    """Where a task stands in a pool: by domain, by split, those with a rationale first."""
    return domains.index(task.domain), SPLITS.index(task.split), not task.rationale
