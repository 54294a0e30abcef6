"""What goes into a judge and what comes out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from thinkaloud.judge.rubric import Marks


class Outcome(StrEnum):
    """What became of an answer that was to be judged."""

    JUDGED = "judged"
    FAILED = "failed"
    SILENT = "silent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer to be judged: the question, and the two parts of a completion in a valid format.

    `gold` is the right answer where the domain compares with one, else empty.
    """

    question: str
    reasoning: str
    answer: str
    gold: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """The outcome of one answer; `marks` where it was judged, `why` in one line where it was not."""

    outcome: Outcome
    marks: Marks | None = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something to report to the user once: `state` is `raised` or `cleared`."""

    state: str
    message: str
    remedy: str = ""
