"""Checks of the base model, on hand-made completions and scores, and once on a tiny model."""

from __future__ import annotations

import pytest

from thinkaloud.audit.findings import Level
from thinkaloud.audit.model_checks import check_format, check_signal, check_time, check_truncation
from thinkaloud.config import Recipe
from thinkaloud.config.load import parse_recipe
from thinkaloud.records import Completion, Finish, RolloutGroup, Score, Status, Task
from thinkaloud.train.advantage import with_advantages

TASKS = [Task(id=name, domain=name, source="s", question="q", answer="a") for name in ("math", "logic")]


def recipe(cold_start: int = 0, max_new_tokens: int = 300, max_steps: int = 100, source: str = "data") -> Recipe:
    return parse_recipe(
        {
            "name": "r",
            "model": "tiny",
            "cold_start": {"max_steps": cold_start, "source": source},
            "rollout": {"max_new_tokens": max_new_tokens},
            "grpo": {"max_steps": max_steps},
        }
    )


def scored(task: Task, *rewards: float) -> RolloutGroup:
    """A group with these rewards and its advantages."""
    scores = [Score(reward=float(r), status=Status.CORRECT if r else Status.BAD_FORMAT) for r in rewards]
    group = RolloutGroup(task=task, prompt_ids=(), completions=(completion(1),) * len(scores), scores=tuple(scores))
    return with_advantages([group], mask_truncated=False, scale_by_std=True)[0]


def groups(*rewards: tuple[float, float]) -> list[RolloutGroup]:
    """One group for each of the tasks."""
    return [scored(task, *own) for task, own in zip(TASKS, rewards, strict=True)]


def sampled(*completions: Completion) -> RolloutGroup:
    return RolloutGroup(task=TASKS[0], prompt_ids=(), completions=completions)


def completion(length: int, finish: Finish = Finish.STOP) -> Completion:
    return Completion(text="", token_ids=(1,) * length, finish=finish)


def test_only_zeros_is_a_stop_that_names_the_cold_start() -> None:
    found = check_format(recipe(), groups((0, 0), (0, 0)))
    assert found.level is Level.STOP
    assert "0% of 4 samples" in found.message
    assert "cold start" in found.remedy
    assert check_format(recipe(cold_start=8), groups((0, 0), (0, 0))).level is Level.OK
    some = check_format(recipe(), groups((1, 0), (0, 0)))
    assert (some.level, some.figures["by_domain"]) == (Level.OK, {"math": 0.5, "logic": 0.0})
    few = [scored(TASKS[0], *[1] * right, *[0] * (20 - right)) for right in (1, 3, 4)]
    assert [check_format(recipe(), [one]).level for one in few] == [Level.WARNING, Level.WARNING, Level.OK]
    assert "max_steps" in check_format(recipe(), few[:1]).remedy
    assert check_format(recipe(cold_start=8), few[:1]).level is Level.OK


def test_truncation_at_every_limit_that_is_known() -> None:
    some = [sampled(completion(100), completion(128)), sampled(completion(129), completion(300, Finish.LENGTH))]
    found = check_truncation(recipe(max_new_tokens=300), some)
    assert found.figures["truncated"] == {"128": 0.5, "256": 0.25, "300": 0.25}
    assert found.level is Level.OK
    cut = check_truncation(recipe(max_new_tokens=100), [sampled(completion(100, Finish.LENGTH), completion(100))])
    assert cut.figures["truncated"] == {"100": 0.5}
    assert cut.level is Level.WARNING
    assert "raise rollout.max_new_tokens" in cut.remedy


def test_a_cold_start_on_rationales_covers_a_base_that_does_not_end() -> None:
    some = [sampled(completion(100, Finish.LENGTH), completion(100))]
    covered = check_truncation(recipe(cold_start=8, max_new_tokens=100), some)
    assert (covered.level, covered.remedy) == (Level.OK, "")
    assert "cold start" in covered.message
    own = check_truncation(recipe(cold_start=8, source="self", max_new_tokens=100), some)
    assert own.level is Level.WARNING


def test_groups_without_signal() -> None:
    half = check_signal(recipe(), groups((1, 1), (1, 0)))
    assert (half.level, half.figures) == (Level.OK, {"zero_std_fraction": 0.5, "groups": 2, "mean_reward": 0.75})
    assert check_signal(recipe(), groups((1, 1), (0, 0))).level is Level.STOP
    assert check_signal(recipe(cold_start=4), groups((0, 0), (0, 0))).level is Level.OK


@pytest.mark.parametrize(
    ("deadline", "level", "fit"),
    [(None, Level.OK, None), (100_000.0, Level.OK, 7999), (600.0, Level.WARNING, 47), (20.0, Level.STOP, 0)],
)
def test_the_steps_that_fit(deadline: float | None, level: Level, fit: int | None) -> None:
    seconds = {"first_step": 10.0, "step": 10.0, "rollout": 6.0, "update": 4.0}
    found = check_time(recipe(max_steps=100), seconds, deadline)
    assert found.level is level
    assert found.figures.get("steps_that_fit") == fit
    assert found.figures["grpo_seconds"] == 1000.0
    assert "a step takes 10.0 s" in found.message
    assert "100 steps take 16 min 40 s" in found.message
