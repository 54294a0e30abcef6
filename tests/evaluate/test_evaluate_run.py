from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from support.scorers import grouped
from thinkaloud.errors import UserError
from thinkaloud.evaluate.answer import Decoding, evaluate, held_out
from thinkaloud.evaluate.partial_results import PartialResults
from thinkaloud.fetch.models import resolve_model
from thinkaloud.model.load import load_model
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.prompt.tokenizer import byte_tokenizer
from thinkaloud.records import Completion, Score, Status, Task
from thinkaloud.rollout.policy import Policy


def tasks_of(domain: str, count: int) -> list[Task]:
    return [Task(id=f"{domain}{i}", domain=domain, source="s", question=f"q{i}", answer="a") for i in range(count)]


def test_the_first_tasks_of_each_domain_are_held_out() -> None:
    tasks = {"math": tasks_of("math", 5), "logic": tasks_of("logic", 1)}
    assert [task.id for task in held_out(tasks, per_domain=2)] == ["math0", "math1", "logic0"]
    with pytest.raises(UserError, match=r"choose another split"):
        held_out({}, per_domain=2)


def test_the_sources_of_a_domain_take_turns() -> None:
    sources = ["starter", "starter", "starter", "generated", "new", "new"]
    tasks = [replace(task, source=source) for task, source in zip(tasks_of("math", 6), sources, strict=True)]
    chosen = [task.id for task in held_out({"math": tasks}, per_domain=5)]
    assert chosen == ["math0", "math3", "math4", "math1", "math5"]
    assert [task.id for task in held_out({"math": tasks}, per_domain=9)] == [*chosen, "math2"]


def test_rows_carry_task_completion_and_score_in_order() -> None:
    contract = PromptContract.build(byte_tokenizer(), template="gemma", system="S")
    policy = Policy(load_model(resolve_model("tiny"), "float32"), contract, 1.0)
    tasks = tasks_of("math", 5)
    seen: list[tuple[int, int]] = []

    @grouped
    def score(some: Sequence[Task], completions: Sequence[Completion]) -> list[Score]:
        return [Score(reward=i / 10, status=Status.WRONG) for i, _ in enumerate(completions)]

    rows = evaluate(
        policy, {}, tasks, Decoding(max_new_tokens=4, batch_size=2), score=score, progress=lambda *at: seen.append(at)
    )
    assert [(row.task_id, row.reward) for row in rows] == [(f"math{i}", i / 10) for i in range(5)]
    assert seen == [(2, 5), (4, 5), (5, 5)]
    again = evaluate(policy, {}, tasks, Decoding(max_new_tokens=4, batch_size=5), score=score)
    assert [row.text for row in again] == [row.text for row in rows]


def test_an_interrupted_evaluation_goes_on_to_the_same_rows(tmp_path: Path) -> None:
    contract = PromptContract.build(byte_tokenizer(), template="gemma", system="S")
    policy = Policy(load_model(resolve_model("tiny"), "float32"), contract, 1.0)
    tasks = tasks_of("math", 5)
    decoding = Decoding(max_new_tokens=3, batch_size=2, samples=2, temperature=2.0)
    scored: list[int] = []

    @grouped
    def score(some: Sequence[Task], completions: Sequence[Completion]) -> list[Score]:
        scored.append(len(some))
        if len(scored) == 2:
            raise KeyboardInterrupt
        return [Score(reward=0.0, status=Status.WRONG, explanation=str(c.token_ids)) for c in completions]

    plan = {"tasks": "these"}
    with pytest.raises(KeyboardInterrupt):
        evaluate(policy, {}, tasks, decoding, score=score, parts=PartialResults(tmp_path / "parts", plan))
    resumed = evaluate(policy, {}, tasks, decoding, score=score, parts=PartialResults(tmp_path / "parts", plan))
    assert scored == [6, 4, 4], "the first part is not scored again"
    assert [(row.task_id, row.sample) for row in resumed] == [(task.id, n) for task in tasks for n in (0, 1)]
    assert resumed == evaluate(policy, {}, tasks, decoding, score=score)
    assert len({row.explanation for row in resumed}) > 5, "sampled, and each sample for itself"
    assert PartialResults(tmp_path / "parts", plan).read(0) is not None
    assert PartialResults(tmp_path / "parts", {"tasks": "others"}).read(0) is None, "another plan begins anew"
