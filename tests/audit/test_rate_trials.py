"""The trial of learning rates: its numbers by hand, its verdict, and once on a tiny model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest

from thinkaloud.audit import rate_trials
from thinkaloud.audit.findings import Level
from thinkaloud.audit.rate_trials import FACTORS, RateTrial, check_rates, compare_rate, try_rates
from thinkaloud.config.load import parse_recipe
from thinkaloud.fetch.models import resolve_model
from thinkaloud.model.load import load_model
from thinkaloud.model.lora import init_adapter
from thinkaloud.prompt.from_recipe import open_contract
from thinkaloud.records import Completion, RolloutGroup, Score, Status, Task
from thinkaloud.rollout.policy import Policy

TASKS = [Task(id=str(i), domain="math", source="s", question=f"{i} + 1?", answer="7") for i in range(4)]


def groups(*rewards: tuple[float, ...]) -> list[RolloutGroup]:
    return [
        RolloutGroup(
            task=TASKS[0],
            prompt_ids=(),
            completions=(Completion(text=""),) * len(own),
            scores=tuple(Score(reward=r, status=Status.CORRECT if r else Status.BAD_FORMAT) for r in own),
        )
        for own in rewards
    ]


def trial(rate: float, reward: float, format_rate: float = 0.0) -> RateTrial:
    return RateTrial(rate=rate, reward=reward, error=0.02, format_rate=format_rate)


def test_the_change_is_the_mean_over_tasks_with_its_standard_error() -> None:
    found = compare_rate(1e-4, groups((0.0, 1.0), (0.0, 0.0)), groups((1.0, 1.0), (0.2, 0.0)))
    assert found.reward == pytest.approx((0.5 + 0.1) / 2)
    assert found.error == pytest.approx(0.4 / np.sqrt(2) / np.sqrt(2))
    assert found.format_rate == pytest.approx(0.5)
    assert not found.moved  # 0.3 is less than twice 0.2


def test_a_rate_that_moves_nothing_is_replaced_by_one_that_does() -> None:
    slow = check_rates([trial(1e-5, 0.0), trial(3e-5, 0.01), trial(1e-4, 0.1)])
    assert slow.level is Level.WARNING
    assert "1e-04" in slow.remedy
    assert check_rates([trial(1e-5, 0.0), trial(3e-5, 0.1), trial(1e-4, 0.2)]).level is Level.OK
    assert check_rates([trial(1e-5, 0.0), trial(3e-5, 0.0), trial(1e-4, 0.0)]).remedy == ""


def test_a_rate_that_loses_the_format_is_not_recommended() -> None:
    fast = check_rates([trial(1e-4, 0.05), trial(3e-4, 0.1, -0.2), trial(1e-3, 0.3, -0.5)])
    assert fast.level is Level.WARNING
    assert "1e-04" in fast.remedy
    assert "loses the format" in fast.message
    lost = check_rates([trial(1e-4, 0.0), trial(3e-4, 0.0, -0.2), trial(1e-3, 0.0, -0.5)])
    assert "1e-04" in lost.remedy


def test_three_rates_are_tried_from_the_same_adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reward is the share of one token: higher rates move it more, and the adapter that was given is unchanged."""
    monkeypatch.setattr(rate_trials, "STEPS", 2)
    recipe = parse_recipe(
        {
            "name": "rates",
            "model": {"source": "tiny", "dtype": "float32"},
            "lora": {"rank": 2, "alpha": 4.0},
            "rollout": {"prompts_per_step": 2, "group_size": 4, "max_new_tokens": 8},
            "grpo": {"learning_rate": 0.01},
        }
    )
    _, contract = open_contract(recipe)
    policy = Policy(load_model(resolve_model("tiny"), "float32"), contract, 2.0)
    adapter = init_adapter(policy.model.config, 2, recipe.lora.targets, 0)
    before = jax.tree.map(np.asarray, adapter)

    def score(sampled: Sequence[RolloutGroup]) -> list[RolloutGroup]:
        def one(completion: Any) -> Score:
            return Score(reward=float(np.mean([i < 60 for i in completion.token_ids])), status=Status.GRADED)

        return [replace(group, scores=tuple(map(one, group.completions))) for group in sampled]

    trials = try_rates(recipe, policy, adapter, {"math": TASKS}, score, lambda *_: None)
    assert [found.rate for found in trials] == pytest.approx([0.01 * factor for factor in FACTORS])
    assert trials[-1].reward > trials[0].reward
    assert trials[-1].reward > 0
    jax.tree.map(np.testing.assert_array_equal, before, jax.tree.map(np.asarray, adapter))
