"""Several samples per task: pass@k and the majority vote, for strict and for answer accuracy."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

from thinkaloud.domains import Registry
from thinkaloud.evaluate.rows import Row
from thinkaloud.evaluate.statistics import pass_at_k, rate_interval, wilson_interval
from thinkaloud.prompt.parse import Tags, parse_completion
from thinkaloud.records import Finish, Status

Right = Callable[[Row], bool]


def by_task(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows grouped by task, in order of first occurrence."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.task_id, []).append(row)
    return list(groups.values())


def strictly_right(row: Row) -> bool:
    """Right in the format."""
    return row.status == Status.CORRECT


def answer_right(row: Row) -> bool:
    """Right with or without the format."""
    return bool(row.answer_correct)


def sampled_rates(rows: Sequence[Row], registry: Registry, tags: Tags | None = None) -> dict[str, Any]:
    """pass@k for k = 1, 2, 4, ... and the majority vote's accuracy, over the verifiable domains.

    Args:
        rows: Scored completions (no masked ones), several per task.
        tags: The contract's.

    Returns:
        `pass_at`: {k: {"rate", "interval" (bootstrap over tasks)}}, for powers of two up to the fewest samples of any
        task, and for that number; `majority`: {"n", "rate", "interval" (Wilson)}, without tasks that run code, as two
        programs are rarely the same text; each empty where it does not apply. `answer_pass_at` and `answer_majority`
        are the same for answers read without the tags; empty in older rows.
    """
    groups = [group for group in by_task(rows) if registry.is_verifiable(group[0].domain)]
    voting = [group for group in groups if not registry[group[0].domain].runs_code]
    read = all(row.answer_correct is not None for group in groups for row in group)
    return {
        "pass_at": _pass_at(groups, strictly_right),
        "majority": _share([vote(group, tags) for group in voting]),
        "answer_pass_at": _pass_at(groups, answer_right) if read else {},
        "answer_majority": _share([vote(group, tags, strict=False) for group in voting]) if read else {},
    }


def _pass_at(groups: Sequence[Sequence[Row]], right: Right) -> dict[str, dict[str, Any]]:
    fewest = min(map(len, groups), default=0)
    found = {}
    for k in sorted({2**power for power in range(fewest.bit_length())} | {fewest} - {0}):
        values = [pass_at_k(len(group), sum(map(right, group)), k) for group in groups]
        found[str(k)] = {"rate": fmean(values), "interval": list(rate_interval(values))}
    return found


def _share(votes: Sequence[bool]) -> dict[str, Any]:
    won = sum(votes)
    return (
        {"n": len(votes), "rate": won / len(votes), "interval": list(wilson_interval(won, len(votes)))} if votes else {}
    )


def vote(group: Sequence[Row], tags: Tags | None = None, *, strict: bool = True) -> bool:
    """Whether the most frequent answer of one task's samples is right; with a tie, the answer given first counts.

    Answers are equal if the verifier takes one for the other (`Row.answer_group`). In older rows they are compared as
    text, ignoring case, white space, thousands commas, currency signs and trailing full stops.

    Args:
        group: The samples of one task.
        tags: The contract's.
        strict: Only samples with valid format vote; otherwise all whose answer can be read.
    """
    answers = [(key, row) for row in group if (key := _vote_of(row, tags, strict)) is not None]
    if not answers:
        return False
    winner = Counter(key for key, _ in answers).most_common(1)[0][0]
    right = strictly_right if strict else answer_right
    return next(right(row) for key, row in answers if key == winner)


def _vote_of(row: Row, tags: Tags | None, strict: bool) -> int | str | None:
    """What a sample votes for; None if it has no vote."""
    if strict and not row.keeps_format:
        return None
    if row.answer_group is not None:
        return row.answer_group
    answer = row.answer
    if not answer:
        parsed = parse_completion(row.text, truncated=row.finish == Finish.LENGTH, outside_text="allow", tags=tags)
        answer = parsed.answer or ""
    return _normal(answer) if answer else None


def _normal(answer: str) -> str:
    text = " ".join(answer.casefold().split()).strip(" .$€£")
    return re.sub(r"(?<=\d),(?=\d{3}\b)", "", re.sub(r"(?<=\d)\.0+$", "", text))
