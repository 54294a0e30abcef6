"""What kind of answer a task expects, and how often a guess is right; known from the task itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from thinkaloud.domains.base import Domain
from thinkaloud.domains.choices import LETTERS, resolve_gold
from thinkaloud.domains.logic import polarity_of_word
from thinkaloud.domains.values.kinds import Number
from thinkaloud.domains.values.reader import read
from thinkaloud.records import Task


class AnswerKind(StrEnum):
    """The form of the gold answer."""

    CODE = "code"
    CHOICE = "choice"
    POLARITY = "polarity"
    NUMBER = "number"
    TEXT = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The answer that a task expects.

    Attributes:
        kind: Its form.
        chance: The probability that a uniform guess among the options, or among yes and no, is right; None for others.
        constant: The gold answer as someone would write it who gives every task the same answer: an option's letter,
            `yes` or `no`, otherwise the gold text; empty for code.
    """

    kind: AnswerKind
    chance: float | None
    constant: str


def expected_of(task: Task, domain: Domain) -> Expected:
    """What a task of a verifiable domain expects."""
    if domain.runs_code:
        return Expected(kind=AnswerKind.CODE, chance=None, constant="")
    if task.choices:
        right = resolve_gold(task.answer, task.choices)
        letter = LETTERS[right] if right is not None and right < len(LETTERS) else task.answer
        return Expected(kind=AnswerKind.CHOICE, chance=1 / len(task.choices), constant=letter)
    polarity = polarity_of_word(task.answer)
    if polarity is not None:
        return Expected(kind=AnswerKind.POLARITY, chance=0.5, constant="yes" if polarity else "no")
    kind = AnswerKind.NUMBER if isinstance(read(task.answer), Number) else AnswerKind.TEXT
    return Expected(kind=kind, chance=None, constant=" ".join(task.answer.casefold().split()))
