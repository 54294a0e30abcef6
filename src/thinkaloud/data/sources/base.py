"""A source: where its rows come from, and how a row becomes a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from thinkaloud.data.rows import Values
from thinkaloud.records import Task, task_id


class InvalidRow(Exception):
    """A row that is not a task. The message is a fixed phrase, such as `no answer`: rows are counted by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One data set.

    Attributes:
        to_task: Makes a task of a row's values, without source, licence and split; raises `InvalidRow`.
        splits: The splits to read, in this order, and the role of each. Rows of "train" are split again by a hash of
            their key; rows of "validation" and "test" stay held out.
        hub_splits: Our split names to those of the hub copy, where they differ; then only these exist there.
        revision: The hub branch to read, unless the recipe pins another.
        caps: The most training tasks by domain (the mixture of the original write-up); other domains have no cap.
        columns: Columns that the rows must have.
        reshape: Applied to the values of every row first.
        adapted: Makes `to_task` of the first rows of a split, where the whole column decides how a value is read.
    """

    name: str
    domains: tuple[str, ...]
    license: str
    to_task: Callable[[Values], Task]
    hub: str = ""
    config: str | None = None
    revision: str | None = None
    splits: Mapping[str, str] = field(default_factory=lambda: {"train": "train"})
    hub_splits: Mapping[str, str] = field(default_factory=dict)
    caps: Mapping[str, int] = field(default_factory=dict)
    streaming: bool = False
    columns: tuple[str, ...] = ()
    reshape: Callable[[Values], Values] | None = None
    adapted: Callable[[Sequence[Values]], Callable[[Values], Task]] | None = None


def new_task(
    *,
    domain: str,
    question: str,
    answer: str,
    key: str = "",
    rationale: str = "",
    tests: tuple[str, ...] = (),
    setup: str = "",
    choices: tuple[str, ...] = (),
) -> Task:
    """A task whose source, licence and split are filled in by the reader (`read.OpenSource`).

    Args:
        question: What the model is shown, instructions and options included.
        key: The question alone, without instructions and options; `question` when absent. See `Task.key`.
    """
    return Task(
        id=task_id(domain, question, choices),
        domain=domain,
        source="",
        question=question,
        answer=answer,
        rationale=rationale,
        tests=tests,
        setup=setup,
        choices=choices,
        key=key or question,
    )


def text_in(values: Values, *columns: str) -> str:
    """The first of `columns` that holds text which is not blank; else an empty string."""
    for column in columns:
        value = values.get(column)
        if isinstance(value, str) and value.strip():
            return value
    return ""


def required(text: str, reason: str) -> str:
    """`text`, unless it is empty.

    Raises:
        InvalidRow: With `reason`.
    """
    if not text:
        raise InvalidRow(reason)
    return text
