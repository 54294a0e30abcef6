"""`evaluate.tasks`: other numbers of tasks for some domains."""

from __future__ import annotations

import pytest

from thinkaloud.config.load import parse_recipe
from thinkaloud.errors import UserError
from thinkaloud.evaluate.answer import held_out
from thinkaloud.records import Task


def tasks_of(name: str, count: int) -> list[Task]:
    return [Task(id=f"{name}{i}", domain=name, source="s", question=f"{name} {i}?", answer="1") for i in range(count)]


def test_some_domains_have_numbers_of_their_own() -> None:
    pool = {"math": tasks_of("math", 9), "logic": tasks_of("logic", 9)}
    chosen = held_out(pool, per_domain=2, others={"math": 5})
    assert [task.id for task in chosen] == ["math0", "math1", "math2", "math3", "math4", "logic0", "logic1"]


def test_the_recipe_names_known_domains() -> None:
    recipe = parse_recipe({"name": "a", "model": "tiny", "evaluate": {"tasks_per_domain": 3, "tasks": {"math": 7}}})
    assert (recipe.evaluate.wanted("math"), recipe.evaluate.wanted("logic")) == (7, 3)
    with pytest.raises(UserError, match=r"evaluate\.tasks names maths"):
        parse_recipe({"name": "a", "model": "tiny", "evaluate": {"tasks": {"maths": 7}}})
