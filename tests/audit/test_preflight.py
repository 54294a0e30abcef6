"""Whether the cold start has something to train on, by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from thinkaloud.audit.findings import Level
from thinkaloud.audit.preflight import check_rationales
from thinkaloud.config.load import parse_recipe
from thinkaloud.data import Pool
from thinkaloud.records import Task

MATH = Task(id="m", domain="math", source="s", question="q", answer="4", rationale="Two and two.")
LOGIC = Task(id="l", domain="logic", source="s", question="q", answer="yes")


def finding(tasks: list[Task], **cold_start: Any) -> Any:
    recipe = parse_recipe(
        {
            "name": "r",
            "model": "tiny",
            "data": {"domains": ["math", "logic"]},
            "cold_start": {"max_steps": 8, **cold_start},
        }
    )
    return check_rationales(recipe, Pool.of(tasks, ["math", "logic"]), [])


@pytest.mark.parametrize(
    ("rationales", "level", "remedy"),
    [
        (("Why.", "Why."), Level.OK, ""),
        (("Why.", ""), Level.WARNING, 'cold_start.source = "self"'),
        (("", ""), Level.STOP, 'cold_start.source = "self"'),
    ],
)
def test_domains_without_rationales_are_warned_of(rationales: tuple[str, str], level: Level, remedy: str) -> None:
    tasks = [replace(task, rationale=text) for task, text in zip((MATH, LOGIC), rationales, strict=True)]
    found = finding(tasks)
    assert found.level is level
    assert remedy in found.remedy
    assert finding(tasks, max_steps=0).level is Level.OK


def test_sampled_rows_need_no_rationale() -> None:
    assert finding([MATH, LOGIC], source="self").level is Level.OK
    bare = finding([replace(MATH, rationale=""), replace(LOGIC, rationale="")], source="self")
    assert bare.level is Level.OK
    assert "a worked example from the starter tasks" in bare.message
