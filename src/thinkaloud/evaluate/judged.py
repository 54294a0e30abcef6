"""A judge's marks in the rows of an evaluation. Rewards do not change, so runs with and without a judge compare."""

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
"""How long an evaluation waits for a judge that pauses; a later evaluation asks about the missing answers again."""


def marked(
    rows: Sequence[Row],
    judge: Judge,
    contract: PromptContract,
    registry: Registry,
    check: Callable[[], None] = lambda: None,
    notify: Callable[[str], None] = lambda line: None,
) -> list[Row]:
    """The rows; creative completions in valid format get the judge's marks, or the reason why they have none.

    Args:
        check: Called while requests are pending; an exception it raises ends the wait.
        notify: Called with the number of answers to mark, then with how many got no marks and the most common reason.
    """
    answers = [
        None
        if registry.is_verifiable(row.domain)
        else answer_of(
            row.question, row.text, row.finish, contract, row.gold if registry.needs_gold(row.domain) else ""
        )
        for row in rows
    ]
    shown = [answer for answer in answers if answer is not None]
    if judge.sends_requests and shown:
        notify(f"the judge marks {len(shown)} answers")
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
            elif judge.sends_requests:
                row = replace(row, judge=ruling.outcome.value)
                whys[ruling.why] += 1
        found.append(row)
    for why, count in whys.most_common(1):
        notify(f"{whys.total()} of {len(shown)} got no marks; {count} of them: {why}")
    return found
