"""Completions of the same tasks by each stage, with model output made safe to display.

Samples are not selected by hand: they are the first tasks of each domain in evaluation order.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from thinkaloud.domains import in_order
from thinkaloud.evaluate.rows import READING_STAGES, Row
from thinkaloud.records import Status
from thinkaloud.report.run_data import Run, lookup
from thinkaloud.report.tables import label
from thinkaloud.storage.unicode import printable

_MAX_COMPONENTS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One stage's completion of a task, ready for display."""

    stage: str
    stage_label: str
    text: str
    status: str
    reason: str
    reward: str
    components: tuple[tuple[str, str], ...]
    explanation: str
    num_tokens: int
    cut: bool
    answer: str
    """Where the format is invalid: the verdict on the answer that was read without the tags."""
    judge: str
    """A judge's marks as text; empty without a judge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One task with every stage's answer; the gold answer is what the score compares with."""

    task_id: str
    domain: str
    source: str
    question: str
    gold: str
    answers: tuple[Answer, ...]


def samples(run: Run, *, per_domain: int, max_chars: int) -> tuple[Sample, ...]:
    """The first tasks of each domain with the answers of every stage.

    Args:
        run: The run.
        per_domain: Maximum number of tasks per domain.
        max_chars: Maximum length of each text; longer ones are truncated, with a note.
    """
    by_task: dict[str, dict[str, Row]] = {}
    for stage, rows in run.rows.items():
        for row in rows:
            by_task.setdefault(row.task_id, {})[stage] = row
    chosen: list[Sample] = []
    for domain in in_order({next(iter(found.values())).domain for found in by_task.values()}):
        tasks = [found for found in by_task.values() if next(iter(found.values())).domain == domain]
        chosen += [_sample(found, max_chars) for found in tasks[:per_domain]]
    return tuple(chosen)


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstLook:
    """One task before and after training, for the top of the page; `why` says how it was chosen."""

    sample: Sample
    why: str


def first_look(run: Run, *, max_chars: int) -> FirstLook | None:
    """The first task that the last model solves and the base does not, by the sides of the headline; else the first
    that gains the format; else the first. None without a base and a later model."""
    before = lookup(run.summary, "headline", "before")
    first = before if isinstance(before, str) and before in run.rows else "base"
    last = next((stage for stage in ("trained", "cold_start") if stage in run.rows), None)
    if last is None or first not in run.rows:
        return None
    rows = {row.task_id: row for row in reversed(run.rows[first])}
    pairs = [(rows[row.task_id], row) for row in run.rows[last] if row.task_id in rows]
    tests: tuple[tuple[str, Callable[[Row, Row], bool]], ...] = (
        ("solves and the base does not", lambda was, now: now.status == Status.CORRECT and not was.answer_correct),
        ("answers in the format and the base does not", lambda was, now: now.keeps_format and not was.keeps_format),
    )
    for text, holds in tests:
        for was, now in pairs:
            if holds(was, now):
                why = f"The first task, in evaluation order, that the {label(last)} model {text}."
                return FirstLook(sample=_sample({first: was, last: now}, max_chars), why=why)
    if not pairs:
        return None
    return FirstLook(sample=_sample({first: pairs[0][0], last: pairs[0][1]}, max_chars), why="The first task.")


def _sample(found: dict[str, Row], max_chars: int) -> Sample:
    task = next(iter(found.values()))
    return Sample(
        task_id=printable(task.task_id, 80),
        domain=printable(task.domain, 80),
        source=printable(task.source, 80),
        question=printable(task.question, max_chars),
        gold=printable(task.gold, max_chars),
        answers=tuple(_answer(stage, row, max_chars) for stage, row in found.items()),
    )


def _answer(stage: str, row: Row, max_chars: int) -> Answer:
    return Answer(
        stage=stage,
        stage_label=label(stage),
        text=printable(row.text, max_chars),
        status=_status(stage, row),
        reason=printable(row.reason or "", 80),
        reward=f"{row.reward:.3g}",
        components=_components(row.components),
        explanation=printable(row.explanation, 400),
        num_tokens=row.num_tokens,
        cut=row.finish == "length",
        answer=_answer_read(row),
        judge=_judge(row),
    )


def _status(stage: str, row: Row) -> str:
    """The status of a completion; where no format was asked for, that of its answer."""
    if stage != READING_STAGES["plain"] or row.answer_correct is None:
        return row.status
    return str(Status.CORRECT if row.answer_correct else Status.WRONG)


def _answer_read(row: Row) -> str:
    if row.keeps_format or row.answer_correct is None:
        return ""
    if not row.answer:
        return "answer without tags: none found"
    shown = printable(" ".join(row.answer[:200].split()), 60)
    return f"answer without tags: {shown} ({'correct' if row.answer_correct else 'wrong'})"


def _judge(row: Row) -> str:
    marks = (("reasoning", row.judge_reasoning), ("answer", row.judge_answer), ("overall", row.judge_overall))
    given = ", ".join(f"{part} {mark}" for part, mark in marks if mark is not None)
    return f"judge, of 10: {given}" if given else f"judge: no marks ({printable(row.judge, 40)})" if row.judge else ""


def _components(text: str) -> tuple[tuple[str, str], ...]:
    """The components of the reward; empty if `text` is not a JSON object."""
    try:
        found = json.loads(text[:10_000])
    except (ValueError, RecursionError):
        return ()
    if not isinstance(found, dict):
        return ()
    pairs = [(printable(str(name), 40), value) for name, value in found.items() if isinstance(value, int | float)]
    return tuple((name.replace("_", " "), f"{value:.3g}") for name, value in pairs[:_MAX_COMPONENTS])


def statuses_of(found: Sequence[Sample]) -> tuple[str, ...]:
    """The statuses that occur, in order of first occurrence."""
    return tuple(dict.fromkeys(answer.status for sample in found for answer in sample.answers))
