"""What a domain is: a name, a kind, one line on how it is scored, and a scorer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from thinkaloud.records import Status, Task

Kind = Literal["verifiable", "heuristic"]

Creative = Literal["guarded", "original"]
"""How heuristic domains are measured: with guards (`graded`), or by the original's plain formulas (`original`)."""

FULL = 0.8
"""The domain score of a right, or a fully convincing, answer."""


@runtime_checkable
class CodeRunner(Protocol):
    """What coding needs of a sandbox; `thinkaloud.sandbox.Sandbox` is one, and is loaded only where code is run."""

    def run_batch(self, jobs: Sequence[Any]) -> Sequence[Any]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainScore:
    """What an answer earned beyond its format.

    `value` lies in [0, 0.8] and is the sum of `components`; `explanation` says in one line why.
    """

    value: float
    status: Status
    components: dict[str, float] = field(default_factory=dict)
    explanation: str = ""


Scorer = Callable[[Task, str, str, CodeRunner | None], DomainScore]
"""(task, reasoning, answer, sandbox) -> score. Must not raise, stall or run code, whatever the texts hold."""

Item = tuple[Task, str, str]

BatchScorer = Callable[[Sequence[Item], CodeRunner | None], list[DomainScore]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """One domain.

    Attributes:
        kind: `verifiable`: answers are right or wrong. `heuristic`: the scorer grades them.
        description: How answers are scored, in one line.
        score_many: Given if scoring many answers at once is cheaper than one by one.
        runs_code: Scoring needs a sandbox.
        uses_choices: Scoring uses the options of a task.
        agrees: (question, reasoning, answer) -> whether the reasoning comes to the answer; None: it cannot be told.
        uses_gold: A heuristic that compares with the gold answer, which must itself earn full marks.
    """

    name: str
    kind: Kind
    description: str
    score: Scorer
    score_many: BatchScorer | None = None
    runs_code: bool = False
    uses_choices: bool = False
    uses_gold: bool = False
    agrees: Callable[[str, str, str], bool | None] | None = None

    def score_batch(
        self, items: Sequence[tuple[Task, str, str]], sandbox: CodeRunner | None = None
    ) -> list[DomainScore]:
        """Scores of (task, reasoning, answer) items, in order."""
        if self.score_many is not None:
            return self.score_many(items, sandbox)
        return [self.score(task, reasoning, answer, sandbox) for task, reasoning, answer in items]


def correct(explanation: str) -> DomainScore:
    return DomainScore(value=FULL, status=Status.CORRECT, components={"correctness": FULL}, explanation=explanation)


def wrong(explanation: str) -> DomainScore:
    return DomainScore(value=0.0, status=Status.WRONG, components={"correctness": 0.0}, explanation=explanation)


def no_answer(explanation: str) -> DomainScore:
    """The format is right, but the answer holds nothing that could be right or wrong."""
    return DomainScore(value=0.0, status=Status.NO_ANSWER, components={"correctness": 0.0}, explanation=explanation)


def unscorable(explanation: str) -> DomainScore:
    """The task itself cannot be checked: masked, never paid 0."""
    return DomainScore(value=0.0, status=Status.UNSCORABLE, explanation=explanation)


def quote(text: str, limit: int = 60) -> str:
    """`text` in quotes on one line, cut where long: for explanations."""
    flat = " ".join(text[: 4 * limit].split())
    return repr(flat if len(flat) <= limit and len(text) <= 4 * limit else f"{flat[:limit]}…")
