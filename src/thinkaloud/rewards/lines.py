"""JSON lines of completions in, scores out: what `thinkaloud score` reads and writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from thinkaloud.domains import BUILTIN, Registry
from thinkaloud.domains.base import CodeRunner, Creative
from thinkaloud.domains.choices import options_of
from thinkaloud.errors import UserError, nearest, type_name
from thinkaloud.prompt.parse import OutsideText
from thinkaloud.records import Completion, Finish, Score, Task, task_id
from thinkaloud.rewards.scoring import score_batch
from thinkaloud.storage.json_lines import parse_object
from thinkaloud.storage.unicode import well_formed

BATCH = 256
"""Lines scored at once: programs of a batch run in parallel, and results are yielded batch by batch."""

MAX_LINE_CHARACTERS = 1 << 24
"""Longer lines are rejected: no model output is that long, and parsing takes several times its size in memory."""

REQUIRED = ("domain", "question", "answer", "completion")
OPTIONAL = ("tests", "setup", "choices", "finish")
KEYS = (*REQUIRED, *OPTIONAL)


def score_lines(
    lines: Iterable[str],
    *,
    outside_text: OutsideText = "reject",
    sandbox: CodeRunner | None = None,
    creative: Creative = "guarded",
    registry: Registry = BUILTIN,
) -> Iterator[dict[str, Any]]:
    """Score JSON lines, in order.

    Args:
        lines: Objects with `domain`, `question`, `answer` and `completion`, and where the task has them `tests` (list
            of strings), `setup`, `choices` (list of strings; by default those that the question shows, if the answer is
            one of them) and `finish` (`"stop"`, or `"length"` for a truncated completion). Blank lines are skipped,
            other keys ignored.
        outside_text: The parsing rule for text outside the tags.
        sandbox: Where code is run.
        creative: How the heuristic domains are scored.

    Yields:
        For each line `{"reward", "status", "reason", "components", "explanation"}`, or for a bad one
        `{"error", "line"}` with its number, from 1; the other lines are scored regardless.
    """
    score = partial(score_batch, outside_text=outside_text, sandbox=sandbox, creative=creative, registry=registry)
    batch: list[tuple[int, str]] = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            batch.append((number, line))
        if len(batch) == BATCH:
            yield from _score_lines(batch, registry, score)
            batch = []
    yield from _score_lines(batch, registry, score)


def _score_lines(
    batch: list[tuple[int, str]], registry: Registry, score: Callable[[list[Task], list[Completion]], list[Score]]
) -> Iterator[dict[str, Any]]:
    errors: dict[int, str] = {}
    rows: dict[int, tuple[Task, Completion]] = {}
    for number, line in batch:
        try:
            rows[number] = read_row(line, registry)
        except UserError as error:
            errors[number] = str(error)
    scores = score([task for task, _ in rows.values()], [completion for _, completion in rows.values()])
    by_number = dict(zip(rows, scores, strict=True))
    for number, _ in batch:
        yield {"error": errors[number], "line": number} if number in errors else as_dict(by_number[number])


def as_dict(score: Score) -> dict[str, Any]:
    """A score as the object to print; numbers are rounded to nine digits."""
    return {
        "reward": round(score.reward, 9),
        "status": str(score.status),
        "reason": score.reason,
        "components": {name: round(value, 9) for name, value in score.components.items()},
        "explanation": score.explanation,
    }


def read_row(line: str, registry: Registry = BUILTIN) -> tuple[Task, Completion]:
    """The task and the completion of one line.

    Raises:
        UserError: The line is too long or not JSON, a key is missing or misspelt, or a value has another type.
    """
    row = parse_object(line, MAX_LINE_CHARACTERS)
    for key in row:
        if key not in KEYS and "did you mean" in (hint := nearest(key, KEYS)):
            raise UserError(f"expected known keys, found {key!r}{hint}")
    missing = [key for key in REQUIRED if key not in row]
    if missing:
        raise UserError(f"expected the keys {', '.join(REQUIRED)}, found no {', '.join(map(repr, missing))}")
    name = _string(row, "domain")
    domain = registry.domain(name)
    question, answer = _string(row, "question"), _string(row, "answer")
    choices = options_of(domain, question, answer, _strings(row, "choices"))
    if row.get("finish", "stop") not in tuple(Finish):
        raise UserError(f"expected 'finish' to be 'stop' or 'length', found {row['finish']!r}")
    task = Task(
        id=task_id(name, question, choices),
        domain=name,
        source="lines",
        question=question,
        answer=answer,
        tests=_strings(row, "tests"),
        setup=_string(row, "setup") if row.get("setup") is not None else "",
        choices=choices,
    )
    finish = Finish(row.get("finish", "stop"))
    return task, Completion(text=_string(row, "completion"), finish=finish)


def _string(row: dict[str, Any], key: str) -> str:
    value = row[key]
    if key == "answer" and isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise UserError(f"expected a string in {key!r}, found {type_name(value)}")
    return well_formed(value)


def _strings(row: dict[str, Any], key: str) -> tuple[str, ...]:
    value = row.get(key) or []
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise UserError(f"expected a list of strings in {key!r}, found {type_name(value)}")
    return tuple(well_formed(entry) for entry in value)
