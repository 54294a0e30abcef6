"""Procedural tasks for math and logic, correct by construction and the same for the same seed.

Item `i` is drawn from a seed hashed from (seed, domain, i), and templates take turns. So a larger count only appends:
the first hundred of a thousand items are the same as a hundred items. Generated tasks are training tasks only; held-out
tasks are written by people.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from thinkaloud.data.logic_templates import LOGIC_TEMPLATES
from thinkaloud.data.math_templates import MATH_TEMPLATES, Draft
from thinkaloud.errors import UserError
from thinkaloud.records import Task, task_id
from thinkaloud.seeding import derive_seed

SOURCE = "generated"
LICENSE = "Apache-2.0"
MAX_DRAWS = 200
"""Draws for one item before its template counts as exhausted."""


def generate_math(seed: int, count: int) -> list[Task]:
    """`count` short math tasks with distinct questions.

    Args:
        seed: any integer; the same seed gives the same tasks.
        count: number of tasks; item i does not depend on it.

    Raises:
        UserError: `count` is negative, or larger than the number of distinct questions.
    """

    def draft(index: int, rng: Random) -> Draft:
        return MATH_TEMPLATES[index % len(MATH_TEMPLATES)](rng)

    return _generate("math", seed, count, draft)


def generate_logic(seed: int, count: int) -> list[Task]:
    """`count` short yes/no tasks with distinct questions, half of them yes, also within each template.

    Args:
        seed: any integer; the same seed gives the same tasks.
        count: number of tasks; item i does not depend on it.

    Raises:
        UserError: `count` is negative, or larger than the number of distinct questions.
    """

    def draft(index: int, rng: Random) -> Draft:
        turn, template = divmod(index, len(LOGIC_TEMPLATES))
        truth = (turn + template) % 2 == 0
        question, rationale = LOGIC_TEMPLATES[template](rng, truth)
        return Draft(question, "yes" if truth else "no", rationale)

    return _generate("logic", seed, count, draft)


def _generate(domain: str, seed: int, count: int, draft: Callable[[int, Random], Draft]) -> list[Task]:
    """Draw `count` tasks in order; a task is drawn again while its question is a repetition."""
    if count < 0:
        raise UserError(f"generate {domain}: expected a count of 0 or more, found {count}; ask for at least 0 tasks")
    seen: set[str] = set()
    tasks: list[Task] = []
    for index in range(count):
        for attempt in range(MAX_DRAWS):
            item = draft(index, Random(derive_seed(seed, "generate", domain, index, attempt)))
            if item.question not in seen:
                break
        else:
            raise UserError(
                f"generate {domain}: expected a count of at most {index}, the number of distinct "
                f"questions, found {count}; ask for fewer"
            )
        seen.add(item.question)
        tasks.append(
            Task(
                id=task_id(domain, item.question),
                domain=domain,
                source=SOURCE,
                question=item.question,
                answer=item.answer,
                rationale=item.rationale,
                license=LICENSE,
            )
        )
    return tasks
