"""The tasks of a run by domain and split, in memory or read lazily from a file."""

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
    """The tasks of one domain and split, which are adjacent in a pool.

    They are `tasks[start : start + count]`; the first `with_rationale` of them have one.
    """

    domain: str
    split: str
    start: int
    count: int
    with_rationale: int


class Tasks(Sequence[Task]):
    """A sequence of tasks that are read on access. Subclasses define `__len__` and `_at`."""

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
    """Several slices of a sequence of tasks, joined, read on access.

    Args:
        tasks: Any sequence, also one on disk.
        stretches: (start, count) of each slice.
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
    """The kept tasks, and how many were dropped by reason.

    `tasks` are sorted by domain and split, those with a rationale first; `ranges` says where each domain's split is.
    They are a tuple in memory (`Pool.of`), or are read lazily from a file (`store.open_pool`). `record` holds what the
    build recorded: settings, sources, the account of every row.
    """

    tasks: Sequence[Task]
    ranges: tuple[Range, ...]
    dropped: dict[str, int] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, tasks: Iterable[Task], domains: Sequence[str], dropped: dict[str, int] | None = None) -> Pool:
        """A pool in memory; tasks of the same domain and split, with or without a rationale, keep their order.

        Args:
            tasks: Each of one of `domains`.
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
        """The tasks of one split by domain, optionally those with a rationale only; empty domains are left out."""
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
    """Tasks in memory by domain, in order of first occurrence."""
    groups: dict[str, list[Task]] = {}
    for task in tasks:
        groups.setdefault(task.domain, []).append(task)
    return groups


def place_of(task: Task, domains: Sequence[str]) -> tuple[int, int, bool]:
    """The sort key of a task in a pool: domain, split, those with a rationale first."""
    return domains.index(task.domain), SPLITS.index(task.split), not task.rationale
