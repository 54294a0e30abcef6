"""Gold answers are paid in full: the starter pool's, all of them."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest

from support.domains import HEURISTIC, VERIFIABLE
from thinkaloud.domains.choices import with_options
from thinkaloud.records import Status, Task
from thinkaloud.rewards import check_gold, check_golds, gold_completion


def starter(domain: str) -> list[Task]:
    tasks = []
    for line in files("thinkaloud.data").joinpath(f"starter/{domain}.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        choices = tuple(row.get("choices", ()))
        question = with_options(row["question"], choices) if choices else row["question"]
        task = Task(
            id=question,
            domain=domain,
            source="starter",
            question=question,
            answer=row["answer"],
            rationale=row["rationale"],
            tests=tuple(row.get("tests", ())),
            setup=row.get("setup", ""),
            choices=choices,
        )
        tasks.append(task)
    return tasks


@pytest.mark.parametrize("domain", VERIFIABLE)
def test_verifiable_starter_golds_earn_full_marks(domain: str) -> None:
    checks = check_golds(starter(domain))
    assert len(checks) >= 40
    assert [check.score for check in checks if not check.passed] == []
    assert all(check.score.reward == pytest.approx(1.0) for check in checks)


@pytest.mark.parametrize("domain", HEURISTIC)
def test_graded_starter_golds_earn_nearly_full_marks(domain: str) -> None:
    tasks = starter(domain)
    assert len(tasks) >= 40
    rewards = [check.score.reward for check in check_golds(tasks)]
    assert sum(rewards) / len(rewards) >= 0.96
    assert sum(reward >= 0.9 for reward in rewards) / len(rewards) >= 0.9


def task(domain: str, answer: str, **fields: object) -> Task:
    return Task(id="t", domain=domain, source="test", question="Write about rain.", answer=answer, **fields)  # type: ignore[arg-type]


def test_reasons_to_drop_a_task() -> None:
    assert check_gold(task("math", "42")).passed
    assert check_gold(task("math", " ")).reason == "bad_format"
    assert check_gold(task("math", "<answer>42</answer>")).reason == "bad_format"
    assert check_gold(task("coding", "f = 1")).reason == "unscorable"
    assert check_gold(task("coding", "f = 1", tests=("assert f == 2",))).reason == "wrong"
    assert check_gold(task("science", "iron", choices=("tin", "lead"))).reason == "unscorable"


def test_graded_golds_are_examples() -> None:
    loose = check_gold(task("creative_writing", "It rained."))
    assert loose.passed
    assert loose.score.status == Status.GRADED
    assert check_gold(task("creative_writing", "It rained."), minimum=0.95).reason == "below_minimum"


def test_a_gold_completion_is_in_the_format() -> None:
    text = gold_completion(task("math", " 42 ", rationale=" six times seven ")).text
    assert text == "<reasoning>six times seven</reasoning>\n<answer>42</answer>"
    assert gold_completion(task("math", "42")).text.startswith("<reasoning>The task gives all that is needed")
