"""Marks beside the rows of an evaluation; rewards stay as they are, so that runs with and without a judge compare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from thinkaloud.domains import Registry
from thinkaloud.evaluate.rows import Row
from thinkaloud.judge import Judge, Outcome
from thinkaloud.judge.paid import answer_of
from thinkaloud.prompt.contract import PromptContract

Marking = Callable[[Sequence[Row]], list[Row]]

PATIENCE_SECONDS = 300.0
"""For so long an evaluation waits for a judge that pauses; a later one asks again about what was left out."""


def marked(
    rows: Sequence[Row],
    judge: Judge,
    contract: PromptContract,
    registry: Registry,
    check: Callable[[], None] = lambda: None,
    tell: Callable[[str], None] = lambda line: None,
) -> list[Row]:
    """The rows, those of creative completions that keep the format with the judge's marks or why they have none.

    Args:
        check: called while requests are under way; what it raises ends the waiting.
        tell: told how many answers are asked about, then how many got no marks, with the commonest reason.
    """
    answers = [
        None if registry.is_verifiable(row.domain) else answer_of(row.question, row.text, row.finish, contract)
        for row in rows
    ]
    shown = [answer for answer in answers if answer is not None]
    if judge.asks and shown:
        tell(f"the judge marks {len(shown)} answers")
    asking = judge.begin(shown, PATIENCE_SECONDS)
    rulings = iter(judge.finish(asking, check))
    found: list[Row] = []
    whys: Counter[str] = Counter()
    for row, answer in zip(rows, answers, strict=True):
        if answer is not None:
            ruling = next(rulings)
            if ruling.marks is not None:
                row = replace(
                    row,
                    judge=Outcome.JUDGED.value,
                    judge_reasoning=ruling.marks.reasoning,
                    judge_answer=ruling.marks.answer,
                    judge_overall=ruling.marks.overall,
                )
            elif judge.asks:
                row = replace(row, judge=ruling.outcome.value)
                whys[ruling.why] += 1
        found.append(row)
    for why, count in whys.most_common(1):
        tell(f"{whys.total()} of {len(shown)} got no marks; {count} of them: {why}")
    return found
