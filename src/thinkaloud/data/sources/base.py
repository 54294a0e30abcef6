"""What a source is: where its rows come from, and how one row becomes a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from thinkaloud.records import Task, task_id

Row = Mapping[str, Any]
"""One row as the hub copy has it."""


class Unfit(Exception):
    """A row that is no task. The message is one fixed phrase, such as `no answer`: rows are counted by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What an adapter makes of one row: a task without id, split and licence.

    `question` is what the model is shown, lead text and options included; `key` its own words alone, by which copies
    are found, splits are drawn and evaluation sets are compared.
    """

    domain: str
    question: str
    key: str
    answer: str
    rationale: str = ""
    tests: tuple[str, ...] = ()
    setup: str = ""
    choices: tuple[str, ...] = ()

    def task(self, *, source: str, license: str, split: str) -> Task:
        """The task that this becomes."""
        return Task(
            id=task_id(self.domain, self.question, self.choices),
            domain=self.domain,
            source=source,
            question=self.question,
            answer=self.answer,
            rationale=self.rationale,
            tests=self.tests,
            setup=self.setup,
            choices=self.choices,
            license=license,
            split=split,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One data set.

    `splits` are read in this order, each with what becomes of its rows: those of "train" are split by a hash of
    their key, those of "validation" and "test" stay held out. `caps` limit training tasks by domain (the original
    write-up's mixture); a domain that is not there has no cap.

    `revision` is the hub branch that is read unless the recipe pins another; `hub_splits` names the splits that the
    hub copy has under another name (ours -> its), and then it has no others. `columns` must stand in the rows.
    """

    name: str
    domains: tuple[str, ...]
    license: str
    to_draft: Callable[[Row], Draft]
    hub: str = ""
    config: str | None = None
    revision: str | None = None
    splits: Mapping[str, str] = field(default_factory=lambda: {"train": "train"})
    hub_splits: Mapping[str, str] = field(default_factory=dict)
    caps: Mapping[str, int] = field(default_factory=dict)
    streaming: bool = False
    columns: tuple[str, ...] = ()


def text_in(row: Row, *columns: str) -> str:
    """The first of `columns` that holds text which is not blank; else an empty string."""
    for column in columns:
        value = row.get(column)
        if isinstance(value, str) and value.strip():
            return value
    return ""


def required(text: str, unless: str) -> str:
    """`text`, where there is any.

    Raises:
        Unfit: with the phrase `unless`.
    """
    if not text:
        raise Unfit(unless)
    return text
