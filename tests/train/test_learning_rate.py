"""The rule for the learning rate, by hand, and the bound on what a recipe's rate can move."""

from __future__ import annotations

from pathlib import Path

import pytest

from thinkaloud.audit.findings import Level
from thinkaloud.audit.learning_rate import check_learning_rate
from thinkaloud.config import Recipe
from thinkaloud.config.load import load_recipe, parse_recipe
from thinkaloud.config.recipe import LoraConfig
from thinkaloud.rollout.policy import Policy
from thinkaloud.train.learning_rate import (
    GRPO_SHARE,
    LEAST_TRAVEL,
    auto_learning_rate,
    cold_start_learning_rate,
    peak_learning_rate,
    travel,
)


def recipe(**sections: object) -> Recipe:
    return parse_recipe({"name": "a", "model": "tiny", **sections})


@pytest.mark.parametrize(
    ("parameters", "rate"),
    [(135e6, 5.0e-4), (270e6, 2.3e-4), (500e6, 1.1e-4), (1e9, 5.0e-5), (70e9, 1e-5), (1e6, 1e-3)],
)
def test_the_rule_by_size(parameters: float, rate: float) -> None:
    assert auto_learning_rate(int(parameters), LoraConfig()) == pytest.approx(rate, rel=0.03)


def test_the_rule_by_rank_and_alpha() -> None:
    """scale * sqrt(rank) is 8 at rank 16 and alpha 32, 4 at rank 64 and alpha 32, 16 at rank 4 and alpha 32."""
    assert auto_learning_rate(135_000_000, LoraConfig(rank=64, alpha=32.0)) == pytest.approx(1e-3)
    assert auto_learning_rate(135_000_000, LoraConfig(rank=4, alpha=32.0)) == pytest.approx(2.5e-4)


def test_a_rate_in_the_recipe_wins(policy: Policy) -> None:
    own = recipe(grpo={"learning_rate": 7e-5}, cold_start={"learning_rate": 2e-5})
    assert peak_learning_rate(own, policy.model.config) == 7e-5
    assert cold_start_learning_rate(own, policy.model.config) == 2e-5
    assert peak_learning_rate(recipe(), policy.model.config) == cold_start_learning_rate(recipe(), policy.model.config)
    assert peak_learning_rate(recipe(), policy.model.config) == 1e-3  # the most, for a tiny model


def test_grpo_gets_a_fifth() -> None:
    assert auto_learning_rate(135_000_000, LoraConfig(), GRPO_SHARE) == pytest.approx(1e-4)
    assert auto_learning_rate(10**9, LoraConfig(), GRPO_SHARE) == pytest.approx(1e-5)


def test_the_bound_by_hand() -> None:
    """100 steps of 2 x 3 updates; a tenth of warm-up at half the rate on average, cosine halves the rest."""
    grpo = {"max_steps": 100, "inner_iterations": 2, "minibatches": 3, "warmup_fraction": 0.1, "schedule": "cosine"}
    assert travel(recipe(grpo=grpo), 1e-4) == pytest.approx(600 * 1e-4 * 0.5)
    constant = {**grpo, "schedule": "constant"}
    assert travel(recipe(grpo=constant), 1e-4) == pytest.approx(600 * 1e-4 * 0.95)
    assert travel(recipe(grpo=constant, lora={"rank": 4, "alpha": 8.0}), 1e-4) == pytest.approx(600 * 1e-4 * 0.95 / 2)


@pytest.mark.parametrize(
    ("rate", "steps", "level"),
    [(3e-6, 300, Level.WARNING), (3e-6, 5000, Level.OK), (5e-4, 100, Level.OK), (3e-6, 0, Level.OK)],
)
def test_a_rate_that_moves_nothing_is_a_warning(policy: Policy, rate: float, steps: int, level: Level) -> None:
    found = check_learning_rate(recipe(grpo={"learning_rate": rate, "max_steps": steps}), policy.model.config)
    assert found.level is level
    assert ("grpo.learning_rate" in found.remedy) is (level is Level.WARNING)


def test_the_rate_that_is_asked_for_is_enough(policy: Policy) -> None:
    """20 updates, constant, without warm-up, on LoRA as strong as the rule's own: 5e-4 / 20 is 2.5e-5."""
    grpo = {"learning_rate": 1e-6, "max_steps": 20, "warmup_fraction": 0.0, "schedule": "constant"}
    found = check_learning_rate(recipe(grpo=grpo), policy.model.config)
    assert "at least 3e-05" in found.remedy
    enough = check_learning_rate(recipe(grpo={**grpo, "learning_rate": 3e-5}), policy.model.config)
    assert enough.level is Level.OK


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("starter", 135e6), ("night-135m", 135e6), ("night-270m", 270e6), ("night-0.5b", 494e6), ("night-1b", 1e9)],
)
def test_a_shipped_recipe_moves_its_adapter(name: str, parameters: float) -> None:
    shipped = load_recipe(Path(name))
    rate = shipped.grpo.learning_rate
    peak = auto_learning_rate(int(parameters), shipped.lora, GRPO_SHARE) if rate == "auto" else rate
    assert travel(shipped, peak) >= LEAST_TRAVEL
