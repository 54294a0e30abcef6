"""Tasks from the user's own file: JSON lines with domain, question, answer, and the other fields of the domain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from thinkaloud.domains import Registry
from thinkaloud.domains.choices import options_of
from thinkaloud.errors import UserError, type_name
from thinkaloud.records import Task, task_id
from thinkaloud.storage.json_lines import bounded_lines, parse_object
from thinkaloud.storage.unicode import well_formed

_MAX_LINE_BYTES = 32 << 20
REQUIRED = ("domain", "question", "answer")


def read_tasks(path: Path, registry: Registry) -> list[Task]:
    """The tasks of a file, in order and without duplicates.

    A line is an object with `domain`, `question` and `answer`, and where the task has them `tests` (list of texts),
    `setup`, `choices` (list of texts; by default those that the question shows, if the answer is one of them) and
    `source`. Other keys are ignored, blank lines skipped.

    Raises:
        UserError: The file cannot be read or holds no task, or a line is not a task; the message names the line.
    """
    tasks: dict[str, Task] = {}
    try:
        with path.open("rb") as file:
            for number, line in bounded_lines(file, _MAX_LINE_BYTES):
                if line.strip():
                    try:
                        task = _task(parse_object(line, _MAX_LINE_BYTES), path.stem, registry)
                    except UserError as error:
                        raise UserError(f"{path}, line {number}: {error}") from None
                    tasks.setdefault(task.id, task)
    except OSError as error:
        raise UserError(f"cannot read tasks in {path} ({error.strerror or error}); name a file of JSON lines") from None
    if not tasks:
        raise UserError(f"expected tasks in {path}, found none; a line is an object with {', '.join(REQUIRED)}")
    return list(tasks.values())


def _task(row: dict[str, Any], source: str, registry: Registry) -> Task:
    missing = [key for key in REQUIRED if key not in row]
    if missing:
        raise UserError(f"expected the keys {', '.join(REQUIRED)}, found no {', '.join(missing)}")
    domain = registry.domain(_text(row, "domain"))
    question, answer = _text(row, "question"), _text(row, "answer")
    if not question.strip():
        raise UserError("expected a question, found an empty one")
    choices = options_of(domain, question, answer, _texts(row, "choices"))
    return Task(
        id=task_id(domain.name, question, choices),
        domain=domain.name,
        source=_text(row, "source") if isinstance(row.get("source"), str) else source,
        question=question,
        answer=answer,
        tests=_texts(row, "tests"),
        setup=_text(row, "setup") if row.get("setup") is not None else "",
        choices=choices,
        split="test",
    )


def _text(row: dict[str, Any], key: str) -> str:
    value = row[key]
    if isinstance(value, int | float) and not isinstance(value, bool) and key == "answer":
        value = str(value)
    if not isinstance(value, str):
        raise UserError(f"expected a text in {key!r}, found {type_name(value)}")
    return well_formed(value)


def _texts(row: dict[str, Any], key: str) -> tuple[str, ...]:
    value = row.get(key) or []
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise UserError(f"expected a list of texts in {key!r}, found something else")
    return tuple(value)
