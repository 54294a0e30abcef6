"""The starter pool: original tasks that ship in the package, so that everything runs offline.

One JSON lines file per domain. `choices` are rendered into the question when a file is read.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from thinkaloud.config import Recipe
from thinkaloud.domains.choices import with_options
from thinkaloud.errors import UserError
from thinkaloud.records import Task, task_id
from thinkaloud.storage.json_lines import bounded_lines, parse_object

LICENSE = "Apache-2.0"
MAX_LINE_BYTES = 1 << 20


def has_starter(domain: str) -> bool:
    """Whether the starter pool has tasks of a domain."""
    return _file(domain).is_file()


def load_starter(domain: str) -> list[Task]:
    """The starter tasks of one domain, in file order.

    Raises:
        UserError: There are no starter tasks for this domain.
    """
    if not has_starter(domain):
        there = sorted(file.name.removesuffix(".jsonl") for file in _file(domain).parent.iterdir())
        raise UserError(f"the starter pool has no domain {domain!r} (it has: {', '.join(there)})")
    with _file(domain).open("rb") as file:
        return [_task(domain, parse_object(line, MAX_LINE_BYTES)) for _, line in bounded_lines(file, MAX_LINE_BYTES)]


def starter_tasks(recipe: Recipe) -> list[Task]:
    """The starter tasks for training that are scored as a source of the recipe is, else those of math."""
    names = [name for source in recipe.data.sources.values() for name in (source.scored_as, source.domain) if name]
    name = next((name for name in names if has_starter(name)), "math")
    return [task for task in load_starter(name) if task.split == "train"]


def _file(domain: str) -> Path:
    return Path(str(resources.files("thinkaloud.data"))) / "starter" / f"{domain}.jsonl"


def _task(domain: str, row: dict[str, Any]) -> Task:
    choices: tuple[str, ...] = tuple(row.get("choices", ()))
    question = str(row["question"])
    question = with_options(question, choices) if choices else question
    return Task(
        id=task_id(domain, question, choices),
        domain=domain,
        source="starter",
        question=question,
        answer=str(row["answer"]),
        rationale=str(row["rationale"]),
        tests=tuple(row.get("tests", ())),
        setup=str(row.get("setup", "")),
        choices=choices,
        license=LICENSE,
        split=str(row["split"]),
    )
