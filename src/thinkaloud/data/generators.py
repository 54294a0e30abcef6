"""Procedural tasks for math and logic, correct by construction and the same for the same seed.

Item `i` of a part is drawn from a seed hashed from (seed, domain, part, i), and templates take turns. So a larger count
only appends: the first hundred of a thousand items are the same as a hundred items.

Held-out tasks are new in one of two ways. `NEW_TEMPLATES` come from templates that are never trained on. `VALIDATION`
and `TEST` come from the training templates, but each instance belongs to one split, by a hash of its numbers: whatever
the seeds and counts, no training task has the template and the numbers of a held-out one, with other names or things.
Templates without enough numbers go by the whole question (`Template.by_numbers`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from random import Random

from thinkaloud.data.templates import TEMPLATES, Draft, Template
from thinkaloud.errors import UserError
from thinkaloud.records import Task, task_id
from thinkaloud.seeding import derive_seed

SOURCE = "generated"
NEW_SOURCE = "generated-new-templates"
SOURCES = (SOURCE, NEW_SOURCE)
LICENSE = "Apache-2.0"
MAX_DRAWS = 1000
"""Draws for one item before its template counts as exhausted."""
NEW_KEY_DRAWS = 200
"""The first of these draws accept only an instance whose numbers are new, later ones also another name or thing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of the generated tasks: its split, and whether its templates are those that are never trained on."""

    split: str
    new_templates: bool = False

    @property
    def source(self) -> str:
        return NEW_SOURCE if self.new_templates else SOURCE


TRAINING = Part(split="train")
VALIDATION = Part(split="validation")
TEST = Part(split="test")
NEW_TEMPLATES = Part(split="test", new_templates=True)
HELD_OUT = (VALIDATION, TEST, NEW_TEMPLATES)


def generate(domain: str, seed: int, count: int, part: Part = TRAINING, *, most_steps: int | None = None) -> list[Task]:
    """`count` short tasks with distinct questions; logic is half yes and half no, also within each template.

    Args:
        domain: `math` or `logic`.
        seed: Any integer; the same seed gives the same tasks.
        count: Number of tasks; item i does not depend on it.
        part: Where they belong; the parts have no question in common.
        most_steps: Only templates of at most so many computations or inferences; None for all.

    Raises:
        UserError: `count` is negative, or larger than the number of distinct questions.
    """
    if count < 0:
        raise UserError(f"generate {domain}: expected a count of 0 or more, found {count}; ask for at least 0 tasks")
    templates = [
        template
        for template in TEMPLATES[domain]
        if template.held_out == part.new_templates and (most_steps is None or template.steps <= most_steps)
    ]
    questions: set[str] = set()
    keys: set[tuple[str, str]] = set()
    tasks: list[Task] = []
    for index in range(count):
        turn, place = divmod(index, len(templates))
        rng = Random(derive_seed(seed, "generate", domain, part.source, part.split, index))
        draft = _draw(templates[place], part, rng, (turn + place) % 2 == 0, questions, keys)
        if draft is None:
            raise UserError(
                f"generate {domain}: expected a count of at most {index}, the number of distinct "
                f"questions, found {count}; ask for fewer"
            )
        questions.add(draft.question)
        keys.add((templates[place].name, templates[place].key(draft.question)))
        tasks.append(_task(domain, part, draft))
    return tasks


def _draw(
    template: Template, part: Part, rng: Random, truth: bool, questions: set[str], keys: set[tuple[str, str]]
) -> Draft | None:
    """An instance that belongs to the part and is new in it; None if there seems to be none left."""
    for attempt in range(MAX_DRAWS):
        draft = template.draft(rng, truth)
        key = template.key(draft.question)
        known = (template.name, key) in keys and attempt < NEW_KEY_DRAWS
        if (
            draft.question not in questions
            and not known
            and (part.new_templates or _split(template, key) == part.split)
        ):
            return draft
    return None


def _split(template: Template, key: str) -> str:
    """The split of an instance of a training template: one in eight each for test and validation, by a fixed hash."""
    place = hashlib.sha256(f"{template.name}\x1f{key}".encode()).digest()[0] % 8
    return {0: "test", 1: "validation"}.get(place, "train")


def _task(domain: str, part: Part, draft: Draft) -> Task:
    return Task(
        id=task_id(domain, draft.question),
        domain=domain,
        source=part.source,
        question=draft.question,
        answer=draft.answer,
        rationale=draft.rationale,
        license=LICENSE,
        split=part.split,
    )
