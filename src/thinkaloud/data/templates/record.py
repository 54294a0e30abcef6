"""The record of a template, the decorators that make one of a function, and the words that templates share."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

NAMES = (
    *("Ada", "Bela", "Carl", "Dora", "Emil", "Femi", "Gita", "Hugo", "Ines", "Jon", "Kira", "Luis", "Mona", "Nils"),
    *("Olga", "Paul", "Rosa", "Sami", "Tara", "Yuki"),
)
THINGS = (
    *("stamps", "shells", "buttons", "cards", "beads", "plums", "nuts", "coins", "badges", "pens"),
    *("marbles", "apples", "candles", "ribbons", "magnets", "stickers"),
)

_NUMBER = re.compile(r"\d+")


class Draft(NamedTuple):
    """The parts of a task that a template fills in."""

    question: str
    answer: str
    rationale: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """One kind of generated task.

    Attributes:
        name: Unique within the domain.
        steps: Its difficulty: computations or inferences from the question to the answer, 1 to 4.
        draft: Draws a task; a yes/no question has the answer that the second argument asks for, math ignores it.
        held_out: Never trained on: its tasks are the test part `generated-new-templates`.
        by_numbers: Instances with the same numbers count as the same; otherwise those with the same question.
    """

    name: str
    steps: int
    draft: Callable[[Random, bool], Draft]
    held_out: bool = False
    by_numbers: bool = True

    def key(self, question: str) -> str:
        """What tells an instance from others: its numbers in order, or the question."""
        return " ".join(_NUMBER.findall(question)) if self.by_numbers else question


def math_template(*, steps: int, held_out: bool = False) -> Callable[[Callable[[Random], Draft]], Template]:
    """Make a template of a function that draws numbers and fills in question, answer and rationale."""

    def template(make: Callable[[Random], Draft]) -> Template:
        return Template(name=make.__name__, steps=steps, draft=lambda rng, _: make(rng), held_out=held_out)

    return template


def logic_template(
    *, steps: int, held_out: bool = False, by_numbers: bool = False
) -> Callable[[Callable[[Random, bool], tuple[str, str]]], Template]:
    """Make a template of a function that draws question and rationale; the rationale ends with the verdict."""

    def template(make: Callable[[Random, bool], tuple[str, str]]) -> Template:
        def draft(rng: Random, truth: bool) -> Draft:
            question, rationale = make(rng, truth)
            answer = "yes" if truth else "no"
            return Draft(question, answer, f"{rationale} So {answer}.")

        return Template(name=make.__name__, steps=steps, draft=draft, held_out=held_out, by_numbers=by_numbers)

    return template
