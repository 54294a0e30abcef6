"""Groups without signal are replaced: first within the domain, then by any; what is left over is trained on too."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import pytest

from support.scorers import grouped
from thinkaloud.config import Recipe
from thinkaloud.config.recipe import GrpoConfig
from thinkaloud.model.lora import TARGETS, init_adapter
from thinkaloud.records import Completion, RolloutGroup, Score, Status, Task
from thinkaloud.rollout.policy import Policy
from thinkaloud.train.grpo_step import GrpoTrainer
from thinkaloud.train.refill import tasks_to_replace, with_replacements


def group(name: str, domain: str, *, signal: bool) -> RolloutGroup:
    task = Task(id=name, domain=domain, source="t", question=name, answer="1")
    advantages = (1.0, -1.0) if signal else (0.0, 0.0)
    return RolloutGroup(task=task, prompt_ids=(1,), completions=(Completion(text=""),) * 2, advantages=advantages)


FIRST = [group("a", "math", signal=True), group("b", "logic", signal=False), group("c", "math", signal=False)]


def names(groups: Sequence[RolloutGroup]) -> list[str]:
    return [one.task.id for one in groups]


def test_a_round_repeats_the_tasks_without_signal() -> None:
    assert [task.id for task in tasks_to_replace(FIRST, GrpoConfig())] == ["b", "c", "b"]


@pytest.mark.parametrize(("enough", "expected"), [(1, 0), (2, 3), (3, 3), (50, 3)])
def test_enough_groups_with_signal_end_the_rounds(enough: int, expected: int) -> None:
    assert len(tasks_to_replace(FIRST, GrpoConfig(informative_groups=enough))) == expected


def test_nothing_is_replaced_where_all_have_signal() -> None:
    assert tasks_to_replace([FIRST[0]], GrpoConfig()) == []


def test_the_own_domain_comes_first() -> None:
    sampled = [group("d", "math", signal=True), group("e", "logic", signal=True), group("f", "math", signal=False)]
    assert names(with_replacements(FIRST, sampled)) == ["a", "e", "d"]


def test_another_domain_stands_in_where_the_own_has_none() -> None:
    sampled = [group("d", "math", signal=True), group("e", "math", signal=True)]
    assert names(with_replacements(FIRST, sampled)) == ["a", "e", "d"]
    assert names(with_replacements(FIRST, [])) == ["a", "b", "c"]


def test_groups_that_replace_nothing_are_trained_on_too() -> None:
    sampled = [group(name, "math", signal=name != "f") for name in "defg"]
    assert names(with_replacements(FIRST, sampled)) == ["a", "e", "d", "g"]


@grouped
def by_question(tasks: Sequence[Task], completions: Sequence[Completion]) -> list[Score]:
    """Rewards that differ within the groups of new tasks only."""
    return [
        Score(reward=float(place % 2) if task.id.startswith("new") else 0.2, status=Status.WRONG)
        for place, task in enumerate(tasks)
    ]


def test_a_step_samples_until_its_groups_have_signal(
    policy: Policy, tasks: list[Task], make_recipe: Callable[..., Recipe]
) -> None:
    asked: list[tuple[list[str], int, int]] = []

    def replacements(replaced: Sequence[Task], round: int, seen: Collection[str]) -> list[Task]:
        asked.append(([task.id for task in replaced], round, len(seen)))
        if round == 1:
            return [
                Task(id=f"old{i}", domain=t.domain, source="t", question="?", answer="") for i, t in enumerate(replaced)
            ]
        return [
            Task(id=f"new{i}", domain=t.domain, source="t", question="!", answer="") for i, t in enumerate(replaced)
        ]

    recipe = make_recipe(grpo={"refill_rounds": 3})
    trainer = GrpoTrainer(policy, {}, recipe, by_question)
    state = trainer.start(init_adapter(policy.model.config, 2, TARGETS, seed=5))
    result = trainer.step(state, tasks, replacements)
    ids, count = [task.id for task in tasks], len(tasks)
    assert asked == [(ids, 1, len(set(ids))), (ids, 2, len(set(ids)) + count)]
    assert result.metrics["groups"] == {"sampled": 3 * count, "trained": count}
    assert result.metrics["signal_share"] == 1.0
    assert result.metrics["zero_std_fraction"] == pytest.approx(2 / 3)
    assert result.metrics["grad_norm"] > 0
    assert [one.has_signal for one in result.groups] == [False] * 2 * count + [True] * count
    texts = [[c.token_ids for c in one.completions] for one in result.groups]
    assert texts[0] != texts[count]  # other noise in each round


def test_without_rounds_nothing_is_asked_for(
    policy: Policy, tasks: list[Task], make_recipe: Callable[..., Recipe]
) -> None:
    trainer = GrpoTrainer(policy, {}, make_recipe(grpo={"refill_rounds": 0}), by_question)
    state = trainer.start(init_adapter(policy.model.config, 2, TARGETS, seed=5))
    result = trainer.step(state, tasks, lambda replaced, round, seen: pytest.fail("asked"))
    assert result.metrics["groups"] == {"sampled": len(tasks), "trained": len(tasks)}
    assert result.metrics["signal_share"] == 0.0
