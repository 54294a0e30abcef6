"""Marks beside the rows of an evaluation; rewards stay as they are, so that runs with and without a judge compare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from thinkaloud.evaluate.rows import Row
from thinkaloud.judge.judge import Judge, Outcome
from thinkaloud.judge.paid import answer_of
from thinkaloud.prompt.contract import PromptContract

Marking = Callable[[Sequence[Row]], list[Row]]

PATIENCE_SECONDS = 300.0
"""For so long an evaluation waits for a judge that pauses; a later one asks again about what was left out."""


def marked(
    rows: Sequence[Row], judge: Judge, contract: PromptContract, check: Callable[[], None] = lambda: None
) -> list[Row]:
    """The rows, those of creative completions that keep the format with the judge's marks or why they have none.

    Args:
        check: called while requests are under way; what it raises ends the waiting.
    """
    answers = [answer_of(row.domain, row.question, row.text, row.finish, contract) for row in rows]
    asking = judge.begin([answer for answer in answers if answer is not None], PATIENCE_SECONDS)
    rulings = iter(judge.finish(asking, check))
    found = []
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
        found.append(row)
    return found
