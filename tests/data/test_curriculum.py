"""The curriculum: pass rates, weights, draws, and the same draws after a restore."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from thinkaloud.config.curriculum import CurriculumConfig
from thinkaloud.data.curriculum import Curriculum, PassRate
from thinkaloud.domains import BUILTIN
from thinkaloud.records import Completion, RolloutGroup, Score, Status, Task


def tasks_of(name: str, count: int) -> list[Task]:
    return [Task(id=f"{name}{i}", domain=name, source="t", question=f"{name} {i}?", answer="1") for i in range(count)]


def open_curriculum(sizes: dict[str, int], **config: object) -> Curriculum:
    tasks = {name: tasks_of(name, count) for name, count in sizes.items()}
    return Curriculum(tasks, CurriculumConfig.model_validate(config), BUILTIN, exponent=0.5, seed=3)


def group(task: Task, solved: int, size: int = 4, masked: int = 0) -> RolloutGroup:
    statuses = [Status.CORRECT] * solved + [Status.WRONG] * (size - solved) + [Status.SANDBOX_ERROR] * masked
    scores = tuple(Score(reward=float(status is Status.CORRECT), status=status) for status in statuses)
    return RolloutGroup(task=task, prompt_ids=(1,), completions=(Completion(text=""),) * len(statuses), scores=scores)


def train(curriculum: Curriculum, rates: Sequence[float], steps: range, count: int = 4) -> list[list[Task]]:
    """Draw and update, as if task i were solved with probability `rates[i]`; returns the tasks of each step."""
    drawn = []
    for step in steps:
        tasks = curriculum.tasks(step, count)
        rng = np.random.default_rng(step)
        solved = [int(rng.binomial(8, rates[int(task.id.removeprefix("math"))])) for task in tasks]
        curriculum.update([group(task, n, 8) for task, n in zip(tasks, solved, strict=True)], step + 1)
        drawn.append(tasks)
    return drawn


def test_a_pass_rate_by_hand() -> None:
    first = PassRate(0.0, 0.0, 0).updated(3, 4, step=1)
    assert (first.rate, first.count, first.step) == (0.75, 4.0, 1)
    second = first.updated(0, 8, step=5)  # 2 of the earlier 4 completions still count: 1.5 solved of 10
    assert (second.rate, second.count, second.step) == (pytest.approx(0.15), 10.0, 5)
    assert second.smoothed == pytest.approx(2.0 / 11)
    assert second.weight == pytest.approx(4 * (2 / 11) * (9 / 11))


@pytest.mark.parametrize(
    ("rate", "count", "extreme"),
    [(0.0, 4.0, True), (1.0, 4.0, True), (0.25, 4.0, False), (0.01, 12.0, True), (0.99, 12.0, True), (0.5, 1.0, False)],
)
def test_what_counts_as_always_or_never_solved(rate: float, count: float, extreme: bool) -> None:
    assert PassRate(rate, count, 0).is_extreme is extreme


def test_tasks_in_the_middle_are_drawn_most() -> None:
    """Without exploration, draws follow 4 p (1 - p): 0.5 is drawn more than 0.1, and 0 and 1 never."""
    curriculum = open_curriculum({"math": 40}, explore=0.0, cooldown_steps=0, retry_steps=10_000)
    rates = [0.0, 1.0, 0.5, 0.1] * 10
    probed = curriculum.probe(40)
    curriculum.update([group(task, int(10 * rates[int(task.id[4:])]), 10) for task in probed], 0)
    late = Counter(rates[int(task.id[4:])] for tasks in train(curriculum, rates, range(100)) for task in tasks)
    assert sum(late.values()) == 400
    assert late[0.0] + late[1.0] == 0
    assert late[0.5] > 1.5 * late[0.1] > 0


def test_without_a_known_task_all_draws_explore_and_none_repeats() -> None:
    curriculum = open_curriculum({"math": 40}, explore=0.0)
    drawn = [task.id for step in range(10) for task in curriculum.tasks(step, 4)]
    assert len(drawn) == 40
    assert all(len({task.id for task in curriculum.tasks(step, 4)}) == 4 for step in range(10))


def test_a_share_of_the_draws_explores() -> None:
    curriculum = open_curriculum({"math": 4000}, explore=0.25, cooldown_steps=0)
    known = curriculum.probe(400)
    curriculum.update([group(task, 2) for task in known], 0)
    ids = {task.id for task in known}
    drawn = [task.id for step in range(250) for task in curriculum.tasks(step, 4)]
    assert 0.20 < sum(id not in ids for id in drawn) / len(drawn) < 0.30


def test_the_accuracy_on_tasks_that_were_never_sampled_before() -> None:
    curriculum = open_curriculum({"math": 10}, explore=1.0)
    (probed,) = curriculum.probe(1)
    curriculum.update([group(probed, 2)], 0)
    one, other = curriculum.tasks(0, 2)
    assert probed not in (one, other)
    curriculum.update([group(probed, 4), group(one, 3), group(other, 0, masked=2)], 1)
    found = curriculum.metrics()["math"]
    assert (found["first"], found["first_accuracy"]) == (8, 3 / 8)
    curriculum.update([group(one, 4)], 2)
    found = curriculum.metrics()["math"]
    assert (found["first"], found["first_accuracy"]) == (0, None)


def test_a_task_rests_for_the_cooldown() -> None:
    curriculum = open_curriculum({"math": 60}, explore=0.0, cooldown_steps=5)
    curriculum.update([group(task, 2) for task in curriculum.probe(60)], 0)
    last: dict[str, int] = {}
    for step, tasks in enumerate(train(curriculum, [0.5] * 60, range(50))):
        for task in tasks:
            assert step - last.get(task.id, -100) > 5
            last[task.id] = step


def test_set_aside_tasks_come_back() -> None:
    curriculum = open_curriculum({"math": 8}, explore=1.0, retry_steps=20)
    curriculum.update([group(task, 0) for task in curriculum.probe(8)], 0)
    found = {"known": 8, "set_aside": 8, "pass_rate": 0.0, "first": 32, "first_accuracy": 0.0}
    assert curriculum.metrics()["math"] == found
    assert len(curriculum.tasks(3, 4)) == 4  # nothing else is left: they are drawn rather than none
    one_new = open_curriculum({"math": 9}, explore=1.0, retry_steps=20)
    aside = one_new.probe(8)
    one_new.update([group(task, 0) for task in aside], 0)
    new = ({f"math{i}" for i in range(9)} - {task.id for task in aside}).pop()
    assert [task.id for task in one_new.tasks(3, 1)] == [new]
    assert {one_new.tasks(step, 1)[0].id for step in range(20, 120)} == {f"math{i}" for i in range(9)}


def test_the_mixture_decides_the_domains() -> None:
    curriculum = open_curriculum({"math": 100, "logic": 25, "creative_writing": 25})
    drawn = Counter(task.domain for step in range(100) for task in curriculum.tasks(step, 4))
    assert drawn["math"] == pytest.approx(200, abs=2)
    assert drawn["logic"] == pytest.approx(100, abs=2)


def test_replacements_are_of_the_same_domain_and_new_in_the_step() -> None:
    curriculum = open_curriculum({"math": 30, "creative_writing": 30})
    tasks = curriculum.tasks(0, 8)
    seen = {task.id for task in tasks}
    others = curriculum.replacements(tasks, 0, 1, seen)
    assert [task.domain for task in others] == [task.domain for task in tasks]
    assert not seen & {task.id for task in others}
    assert len({task.id for task in others}) == 8


def test_a_small_domain_repeats_rather_than_fails() -> None:
    curriculum = open_curriculum({"math": 2})
    tasks = curriculum.tasks(0, 2)
    assert len(curriculum.replacements(tasks, 0, 1, {task.id for task in tasks})) == 2


def test_masked_completions_and_domains_without_verifier_have_no_pass_rate() -> None:
    curriculum = open_curriculum({"math": 5, "creative_writing": 5})
    for task in curriculum.tasks(0, 6):
        curriculum.update([group(task, 0, 0, masked=4) if task.domain == "math" else group(task, 4)], 1)
    assert curriculum.state() == {}
    math = next(task for task in curriculum.tasks(1, 6) if task.domain == "math")
    curriculum.update([group(math, 1, 2, masked=2)], 2)
    ((_, rate, count, step),) = curriculum.state()["math"]
    assert (rate, count, step) == (0.5, 2, 2)


def test_the_probe_follows_the_mixture_and_takes_no_task_twice() -> None:
    curriculum = open_curriculum({"math": 100, "logic": 25, "creative_writing": 400})
    probed = curriculum.probe(30)
    assert Counter(task.domain for task in probed) == {"math": 20, "logic": 10}
    assert len({task.id for task in probed}) == 30
    assert curriculum.probe(0) == []
    assert len(curriculum.probe(1000)) == 125


def test_the_same_draws_after_a_restore() -> None:
    rates = [(i % 11) / 10 for i in range(60)]
    whole = open_curriculum({"math": 60}, cooldown_steps=2, retry_steps=6)
    first = train(whole, rates, range(15))
    state = json.loads(json.dumps(whole.state()))
    rest = train(whole, rates, range(15, 40))
    again = open_curriculum({"math": 60}, cooldown_steps=2, retry_steps=6)
    again.restore(state)
    assert train(again, rates, range(15, 40)) == rest
    whole.restore({})
    assert train(whole, rates, range(15)) == first


def test_without_a_curriculum_the_draws_are_those_of_the_mixture() -> None:
    curriculum = open_curriculum({"math": 40}, enabled=False)
    drawn = train(curriculum, [0.0] * 40, range(10))
    assert len({task.id for tasks in drawn for task in tasks}) == 40
    assert not {t.id for t in drawn[0]} & {
        t.id for t in curriculum.replacements(drawn[0], 0, 1, [t.id for t in drawn[0]])
    }
