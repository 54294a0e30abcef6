"""Checks of the learning rate: whether it can move the adapter, by a bound."""

from __future__ import annotations

import math

from thinkaloud.audit.findings import Finding, Level
from thinkaloud.config import Recipe
from thinkaloud.model.config import ModelConfig
from thinkaloud.train.learning_rate import LEAST_TRAVEL, peak_learning_rate, travel


def check_learning_rate(recipe: Recipe, model: ModelConfig) -> Finding:
    """Whether the recipe's rate and updates can move the adapter enough to learn."""
    peak = peak_learning_rate(recipe, model)
    bound = travel(recipe, peak)
    updates = recipe.grpo.max_steps * recipe.grpo.updates_per_step
    moves = bound >= LEAST_TRAVEL or not updates
    auto = " (auto)" if recipe.grpo.learning_rate == "auto" else ""
    message = f"{updates} updates at a peak of {peak:.1e}{auto} move an entry of LoRA's B by at most {bound:.1e}"
    wanted = _rounded_up(peak * LEAST_TRAVEL / max(bound, 1e-12))
    return Finding(
        name="learning rate",
        level=Level.OK if moves else Level.WARNING,
        message=message + ("" if moves else f", less than {LEAST_TRAVEL:.0e}: too little to learn"),
        remedy="" if moves else f'set grpo.learning_rate = "auto" or at least {wanted:.0e}, or raise grpo.max_steps',
        figures={"peak": peak, "updates": updates, "travel": bound},
    )


def _rounded_up(rate: float) -> float:
    """The next number of one digit: 1.05e-4 becomes 2e-4."""
    unit = 10.0 ** math.floor(math.log10(rate))
    return math.ceil(rate / unit * (1 - 1e-9)) * unit
