"""The learning rate that a recipe leaves open (`"auto"`), and whether a rate can move the adapter at all.

The rule for the cold start is fitted to what learned in docs/log.md (5e-4 for 135M parameters, 1e-4 for 270M) and to
what is usual for larger models: 1e-4 for half a billion, 5e-5 for one billion, all with rank 16 and alpha 32. GRPO gets
a fifth of it: its gradient is noisier, and at a higher rate it destroys what the cold start has taught (docs/log.md).

Adam changes an entry by about the learning rate per update, at most. So the entries of B are at most the sum T of the
learning rates of all updates, and a change of the weights, scale * A B with r independent columns of A, grows with
scale * sqrt(r) * T. Both the rule and the bound keep that product.
"""

from __future__ import annotations

import math

from thinkaloud.config import Recipe
from thinkaloud.config.recipe import LoraConfig
from thinkaloud.model.config import ModelConfig
from thinkaloud.model.layout import num_parameters

BASE_RATE, BASE_PARAMETERS = 5e-4, 135e6
GRPO_SHARE = 0.2
"""GRPO's rate, as a share of the cold start's."""
EXPONENT = 1.15
"""The rate falls with the number of parameters to this power."""
LEAST, MOST = 1e-5, 1e-3
BASE_STRENGTH = 32 / 16 * math.sqrt(16)
"""scale * sqrt(rank) of the rule's own LoRA."""
LEAST_TRAVEL = 5e-4
"""The least useful sum of learning rates, at the rule's own LoRA: the demo's ten updates have 9.5e-4 and raise its
sampled reward (docs/log.md); a hundred at 3e-6 have 3e-4."""


def auto_learning_rate(parameters: int, lora: LoraConfig, share: float = 1.0) -> float:
    """The peak learning rate for a model of so many parameters, to two digits.

    Args:
        share: Of the rule's rate: 1 for the cold start, `GRPO_SHARE` for GRPO.
    """
    rate = share * BASE_RATE * (BASE_PARAMETERS / parameters) ** EXPONENT / _strength(lora)
    return float(f"{min(MOST, max(LEAST, rate)):.1e}")


def peak_learning_rate(recipe: Recipe, model: ModelConfig) -> float:
    """The peak learning rate of GRPO: the recipe's, or the rule's."""
    rate = recipe.grpo.learning_rate
    return auto_learning_rate(num_parameters(model), recipe.lora, GRPO_SHARE) if rate == "auto" else rate


def cold_start_learning_rate(recipe: Recipe, model: ModelConfig) -> float:
    """The learning rate of the cold start: the recipe's, or the rule's."""
    rate = recipe.cold_start.learning_rate
    return auto_learning_rate(num_parameters(model), recipe.lora) if rate == "auto" else rate


def travel(recipe: Recipe, peak: float) -> float:
    """An upper bound on what GRPO adds to an entry of B, in units of the rule's own LoRA: the sum of all rates."""
    config = recipe.grpo
    updates = config.max_steps * config.updates_per_step
    decay = 0.5 if config.schedule == "cosine" else 1.0
    mean = 0.5 * config.warmup_fraction + decay * (1 - config.warmup_fraction)
    return updates * peak * mean * _strength(recipe.lora)


def _strength(lora: LoraConfig) -> float:
    """scale * sqrt(rank), relative to the rule's own LoRA."""
    return lora.alpha / lora.rank * math.sqrt(lora.rank) / BASE_STRENGTH
