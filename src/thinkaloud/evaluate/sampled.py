"""Several samples per task: pass@k and the majority vote."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from thinkaloud.domains import Registry
from thinkaloud.evaluate.rows import Row
from thinkaloud.evaluate.statistics import pass_at_k, rate_interval, wilson_interval
from thinkaloud.prompt.parse import Tags, parse_completion
from thinkaloud.records import Finish, Status

NO_VOTE = ("coding",)
"""Domains without a vote: two programs are rarely the same text."""


def by_task(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows grouped by task, in order of first occurrence."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.task_id, []).append(row)
    return list(groups.values())


def sampled_rates(rows: Sequence[Row], registry: Registry, tags: Tags | None = None) -> dict[str, Any]:
    """pass@k for k = 1, 2, 4, ... and the majority vote's accuracy, over the verifiable domains.

    Args:
        rows: Scored completions (no masked ones), several per task.
        tags: The contract's.

    Returns:
        `pass_at`: {k: {"rate", "interval" (bootstrap over tasks)}}, for k up to the fewest samples of any task;
        `majority`: {"n", "rate", "interval" (Wilson)}; each empty where it does not apply.
    """
    groups = [group for group in by_task(rows) if registry.is_verifiable(group[0].domain)]
    fewest = min(map(len, groups), default=0)
    sizes = [k for k in (1, 2, 4, 8, 16, 32, 64, 128) if k <= fewest]
    passes: dict[str, dict[str, Any]] = {}
    for k in sizes:
        values = [pass_at_k(len(group), sum(row.status == Status.CORRECT for row in group), k) for group in groups]
        passes[str(k)] = {"rate": fmean(values), "interval": list(rate_interval(values))}
    votes = [vote(group, tags) for group in groups if group[0].domain not in NO_VOTE]
    won = sum(votes)
    majority = (
        {"n": len(votes), "rate": won / len(votes), "interval": list(wilson_interval(won, len(votes)))} if votes else {}
    )
    return {"pass_at": passes, "majority": majority}


def vote(group: Sequence[Row], tags: Tags | None = None) -> bool:
    """Whether the most frequent answer of one task's samples is right; with a tie, the answer given first counts.

    Samples with invalid format have no vote. Answers are compared as text, ignoring case, white space, thousands
    commas, currency signs and trailing full stops.
    """
    answers: list[tuple[str, Row]] = []
    for row in group:
        parsed = parse_completion(row.text, truncated=row.finish == Finish.LENGTH, outside_text="allow", tags=tags)
        if row.keeps_format and parsed.answer is not None:
            answers.append((_normal(parsed.answer), row))
    if not answers:
        return False
    winner = Counter(answer for answer, _ in answers).most_common(1)[0][0]
    return next(row.status == Status.CORRECT for answer, row in answers if answer == winner)


def _normal(answer: str) -> str:
    text = " ".join(answer.casefold().split()).strip(" .$€£")
    return re.sub(r"(?<=\d),(?=\d{3}\b)", "", re.sub(r"(?<=\d)\.0+$", "", text))
