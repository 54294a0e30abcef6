"""Whether the cold start has something to train on, and whether the device is slow with the dtype, by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from thinkaloud.audit.findings import Level
from thinkaloud.audit.preflight import check_dtype, check_rationales
from thinkaloud.config.load import parse_recipe
from thinkaloud.data import Pool
from thinkaloud.model import precision
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


def test_a_dtype_that_the_cpu_converts_is_warned_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("flags : fpu avx2\n")
    monkeypatch.setattr(precision, "CPU_INFO", info)
    (found,) = check_dtype(parse_recipe({"name": "r", "model": {"source": "tiny", "dtype": "bfloat16"}}))
    assert found.level is Level.WARNING
    assert "'bfloat16'" in found.message
    assert found.remedy == 'set model.dtype = "auto", here float32'
    assert check_dtype(parse_recipe({"name": "r", "model": {"source": "tiny", "dtype": "auto"}})) == []
