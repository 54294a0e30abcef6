"""Answer accuracy: whether the answer of a completion is right, read without the tags.

Well-formed completions keep the verdict of their score. The answers of the others are put into the format and scored
like any completion, so there is one verifier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from thinkaloud.domains import Registry
from thinkaloud.domains.base import Domain
from thinkaloud.domains.untagged import read_answer_without_tags
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.prompt.parse import parse_completion, without_tags
from thinkaloud.records import Completion, RolloutGroup, Status, Task
from thinkaloud.rewards.scoring import GroupScorer

MOST_COMPARED = 32
"""Distinct answers of one task that others are compared with; a further one counts as different from all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRead:
    """The answer of one completion.

    Attributes:
        text: The answer, from the tags or read without them; empty where there is none.
        correct: The verifier's verdict; None in heuristic domains, and where the task or the sandbox failed.
        group: Completions of a task with equal answers have the same number; None where answers are not compared.
    """

    text: str = ""
    correct: bool | None = None
    group: int | None = None


def read_answers(
    groups: Sequence[RolloutGroup], score: GroupScorer, contract: PromptContract, registry: Registry
) -> list[list[AnswerRead]]:
    """The answers of scored groups, one per completion.

    Equal answers to a task are scored once.
    """
    texts = [
        [_answer_of(group, place, contract, registry) for place in range(len(group.completions))] for group in groups
    ]
    unscored = {
        (at, text): None
        for at, group in enumerate(groups)
        for text, scored in zip(texts[at], group.scores, strict=True)
        if text and scored.status.breaks_format
    }
    asked = [
        RolloutGroup(task=groups[at].task, prompt_ids=(), completions=(_in_format(text, contract),))
        for at, text in unscored
    ]
    verdicts = {key: group.scores[0].status for key, group in zip(unscored, score(asked) if asked else [], strict=True)}
    found = []
    for at, group in enumerate(groups):
        statuses = [
            verdicts.get((at, text), scored.status) for text, scored in zip(texts[at], group.scores, strict=True)
        ]
        numbers = _equal_answers(group.task, texts[at], registry[group.task.domain])
        found.append(
            [
                AnswerRead(text=text, correct=_correct(status, group.task, registry), group=number)
                for text, status, number in zip(texts[at], statuses, numbers, strict=True)
            ]
        )
    return found


def _answer_of(group: RolloutGroup, place: int, contract: PromptContract, registry: Registry) -> str:
    task, text = group.task, group.completions[place].text
    if not registry.is_verifiable(task.domain):
        return ""
    if not group.scores[place].status.breaks_format:
        return parse_completion(text, outside_text=contract.outside_text, tags=contract.tags).answer or ""
    return read_answer_without_tags(text, task, registry[task.domain], contract.tags) or ""


def _in_format(answer: str, contract: PromptContract) -> Completion:
    """A well-formed completion with this answer."""
    reasoning = "The answer was read without tags."
    return Completion(text=contract.render_completion(reasoning, without_tags(answer, contract.tags)))


def _correct(status: Status, task: Task, registry: Registry) -> bool | None:
    return None if status.masked or not registry.is_verifiable(task.domain) else status is Status.CORRECT


def _equal_answers(task: Task, texts: Sequence[str], domain: Domain) -> list[int | None]:
    """The number of each answer's class under the verifier: an answer belongs to the first class whose first member,
    taken as the gold answer, it would match."""
    if len(texts) < 2 or domain.runs_code:
        return [None] * len(texts)
    first: list[str] = []
    known: dict[str, int] = {}
    for text in filter(None, texts):
        if text in known:
            continue
        matches = (
            number
            for number, other in enumerate(first[:MOST_COMPARED])
            if domain.score(replace(task, answer=other), "", text, None).status is Status.CORRECT
        )
        known[text] = next(matches, len(first))
        if known[text] == len(first):
            first.append(text)
    return [known.get(text) for text in texts]
