"""The starter pool: original tasks that ship in the package, so that everything runs without a hub.

One JSON lines file a domain; `choices` are rendered into the question here, by the one function that does so.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from thinkaloud.domains.choices import with_options
from thinkaloud.errors import UserError
from thinkaloud.records import Task, task_id

LICENSE = "Apache-2.0"


def load_starter(domain: str) -> list[Task]:
    """The starter tasks of one domain, in file order.

    Raises:
        UserError: There are no starter tasks for this domain.
    """
    starter = resources.files("thinkaloud.data").joinpath("starter")
    there = sorted(file.name.removesuffix(".jsonl") for file in starter.iterdir())
    if domain not in there:
        raise UserError(f"the starter pool has no domain {domain!r} (it has: {', '.join(there)})")
    text = starter.joinpath(f"{domain}.jsonl").read_text(encoding="utf-8")
    return [_task(domain, json.loads(line)) for line in text.splitlines()]


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
