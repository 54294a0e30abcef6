"""Tasks from a file of the user's own: JSON lines with domain, question, answer, and what else the domain needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from thinkaloud.domains import domain
from thinkaloud.errors import UserError
from thinkaloud.records import Task, task_id
from thinkaloud.storage.unicode import well_formed

_MAX_BYTES = 256 * 1024 * 1024
REQUIRED = ("domain", "question", "answer")


def read_tasks(path: Path) -> list[Task]:
    """The tasks of a file, in order; one that stands there twice counts once.

    A line is an object with `domain`, `question` and `answer`, and where the task has them `tests` (list of texts),
    `setup`, `choices` (list of texts) and `source`; further keys are ignored, blank lines skipped.

    Raises:
        UserError: The file cannot be read, holds no task, or a line is none; names the line.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise UserError(f"expected a file of tasks, found more than {_MAX_BYTES >> 20} MiB in {path}; split it")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot read tasks in {path} ({error.strerror or error}); name a file of JSON lines") from None
    except UnicodeDecodeError as error:
        raise UserError(f"expected UTF-8 text in {path}, found other bytes ({error.reason}); convert it") from None
    tasks: dict[str, Task] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                task = _task(line, path.stem)
            except UserError as error:
                raise UserError(f"{path}, line {number}: {error}") from None
            tasks.setdefault(task.id, task)
    if not tasks:
        raise UserError(f"expected tasks in {path}, found none; a line is an object with {', '.join(REQUIRED)}")
    return list(tasks.values())


def _task(line: str, source: str) -> Task:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"expected a JSON object, found {error or 'one nested too deeply'}") from None
    if not isinstance(row, dict):
        raise UserError(f"expected a JSON object with {', '.join(REQUIRED)}, found another value")
    missing = [key for key in REQUIRED if key not in row]
    if missing:
        raise UserError(f"expected the keys {', '.join(REQUIRED)}, found no {', '.join(missing)}")
    name = domain(_text(row, "domain")).name
    question, choices = _text(row, "question"), _texts(row, "choices")
    if not question.strip():
        raise UserError("expected a question, found an empty one")
    return Task(
        id=task_id(name, question, choices),
        domain=name,
        source=_text(row, "source") if isinstance(row.get("source"), str) else source,
        question=question,
        answer=_text(row, "answer"),
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
        raise UserError(f"expected a text in {key!r}, found {type(value).__name__}")
    return well_formed(value)


def _texts(row: dict[str, Any], key: str) -> tuple[str, ...]:
    value = row.get(key) or []
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise UserError(f"expected a list of texts in {key!r}, found something else")
    return tuple(value)
