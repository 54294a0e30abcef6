"""Marks as part of the reward.

    domain score = (1 - share) heuristics + share 0.8 quality        quality in [0, 1], the mean of the marks

Completions that break the format earn 0 and are not shown to the judge. A group is scored on one scale: where one of a
task's completions is `silent`, the heuristics alone score them all. A completion whose judging failed is `unscorable`:
masked out of the loss, never scored 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from thinkaloud.domains import FULL
from thinkaloud.judge.records import Answer, Outcome, Ruling
from thinkaloud.judge.rubric import HIGHEST, LOWEST, PARTS
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.prompt.parse import parse_completion
from thinkaloud.records import Finish, Score, Status, Task


def answer_of(question: str, text: str, finish: str, contract: PromptContract, gold: str = "") -> Answer | None:
    """What there is to judge in a completion of a heuristic domain; None if its format is broken.

    Args:
        gold: The right answer, in a domain whose answers are compared with one.
    """
    parsed = parse_completion(
        text, truncated=finish == Finish.LENGTH, outside_text=contract.outside_text, tags=contract.tags
    )
    if parsed.reasoning is None or parsed.answer is None:
        return None
    return Answer(question=question, reasoning=parsed.reasoning, answer=parsed.answer, gold=gold)


def paid(
    tasks: Sequence[Task], scores: Sequence[Score], rulings: Sequence[Ruling | None], share: float | int
) -> list[Score]:
    """Scores with the judge's share in them.

    Args:
        tasks: The task of each completion.
        scores: By the heuristics alone.
        rulings: None where there was nothing to judge.
        share: The judge's share of the domain score, from 0 to 1.

    Returns:
        Scores whose components sum to their reward, `judge_reasoning`, `judge_answer` and `judge_overall` among them.
    """
    silent = {
        task.id
        for task, ruling in zip(tasks, rulings, strict=True)
        if ruling is not None and ruling.outcome is Outcome.SILENT
    }
    return [
        score if ruling is None or task.id in silent else _mixed(score, ruling, share)
        for task, score, ruling in zip(tasks, scores, rulings, strict=True)
    ]


def _mixed(score: Score, ruling: Ruling, share: float | int) -> Score:
    marks = ruling.marks
    if marks is None:
        return Score(reward=0.0, status=Status.UNSCORABLE, explanation=f"the judge gave no marks: {ruling.why}")
    own = {name: value * (1.0 if name == "format" else 1.0 - share) for name, value in score.components.items()}
    step = share * FULL / len(PARTS) / (HIGHEST - LOWEST)
    components = own | {f"judge_{part}": step * (getattr(marks, part) - LOWEST) for part in PARTS}
    said = ", ".join(f"{part} {getattr(marks, part)}" for part in PARTS)
    return replace(
        score,
        reward=sum(components.values()),
        components=components,
        explanation=f"{score.explanation}; judge: {said} of {HIGHEST}",
    )
