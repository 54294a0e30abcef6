"""A judge's calls and tokens, counted by hand on a small recipe."""

from __future__ import annotations

import pytest

from thinkaloud.audit.findings import Level
from thinkaloud.audit.judge_checks import check_judge, num_calls, tokens_a_call
from thinkaloud.audit.preflight import audit_recipe
from thinkaloud.config import Recipe, parse_recipe_text
from thinkaloud.data import Pool
from thinkaloud.judge.rubric import messages
from thinkaloud.records import Task

TEXT = """
name = "judged"
model = "tiny"

[data]
domains = ["creative_writing", "math"]

[mixture]
exponent = 0.0

[rollout]
prompts_per_step = 2
group_size = 4
max_new_tokens = 100

[grpo]
max_steps = 5

[evaluate]
tasks_per_domain = 2
stages = ["base", "cold_start", "trained"]

[judge]
base_url = "http://127.0.0.1:1/v1"
model = "j"
reward_share = 0.5
"""


def task(number: int, domain: str, split: str) -> Task:
    return Task(
        id=f"{domain}{number}{split}",
        domain=domain,
        source="s",
        question="q" * 400,
        answer="a",
        split=split,
    )


POOL = Pool.of(
    [
        task(number, domain, split)
        for domain, split, count in (
            ("creative_writing", "train", 30),
            ("creative_writing", "test", 3),
            ("math", "train", 90),
            ("math", "test", 3),
        )
        for number in range(count)
    ],
    ("creative_writing", "math"),
)


def recipe(*overrides: str) -> Recipe:
    return parse_recipe_text(TEXT, overrides)


def test_calls_by_purpose() -> None:
    # 5 steps x 2 prompts, half of them creative, x 4 completions; 2 creative tasks x base, cold start and trained
    assert num_calls(recipe("cold_start.max_steps=4"), POOL) == {"to try it": 1, "in GRPO": 20, "in evaluation": 6}
    assert num_calls(recipe("judge.reward_share=0", "cold_start.max_steps=0"), POOL) == {
        "to try it": 1,
        "in evaluation": 4,
    }


def test_tokens_are_those_of_rubric_question_completion_and_marks() -> None:
    rubric = sum(len(message["content"]) for message in messages("", "", ""))
    assert tokens_a_call(recipe(), POOL) == round((rubric + 400) / 4) + 50 + 30


@pytest.mark.parametrize(
    ("overrides", "level", "output", "remedy"),
    [
        ((), Level.OK, "up to 25 calls (1 to try it, 20 in GRPO, 4 in evaluation)", ""),
        ((), Level.OK, "no budget is set", ""),
        (("judge.max_calls=25",), Level.OK, "within judge.max_calls = 25", ""),
        (("judge.max_calls=24",), Level.WARNING, "used up before the end: then GRPO", "set judge.max_calls = 25"),
        (("judge.max_tokens=99",), Level.WARNING, "judge.max_tokens = 99 may be used up", "set judge.max_tokens = "),
        (("judge.max_calls=1", "judge.reward_share=0"), Level.WARNING, "the rest has no marks", "judge.max_calls = 5"),
    ],
)
def test_the_budget_against_the_need(overrides: tuple[str, ...], level: Level, output: str, remedy: str) -> None:
    (finding,) = check_judge(recipe("cold_start.max_steps=0", *overrides), POOL)
    assert finding.level is level
    assert output in finding.message
    assert finding.remedy.startswith("set ") if remedy else not finding.remedy
    assert remedy in finding.remedy


def test_no_judge_no_finding() -> None:
    quiet = recipe("judge.base_url=", "judge.reward_share=0")
    assert "judge" not in [finding.name for finding in audit_recipe(quiet, POOL)]
    assert "judge" in [finding.name for finding in audit_recipe(recipe(), POOL)]
