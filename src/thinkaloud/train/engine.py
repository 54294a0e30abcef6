"""Selects the trainer of GRPO by the recipe's `engine`: the package's own, or Tunix."""

from __future__ import annotations

from collections.abc import Callable

from thinkaloud.config import Recipe
from thinkaloud.model.config import ModelConfig
from thinkaloud.model.load import Model
from thinkaloud.model.lora import Adapter
from thinkaloud.rewards.scoring import GroupScorer
from thinkaloud.rollout.policy import Policy
from thinkaloud.train.grpo_step import GrpoTrainer
from thinkaloud.train.trainer import Trainer


def check_engine(
    recipe: Recipe, config: ModelConfig | None = None, warn: Callable[[str], None] = lambda text: None
) -> None:
    """Check before long work that the recipe's engine is installed and supports the recipe, and the model if known.

    Raises:
        UserError: It is not installed, or does not support them.
    """
    if recipe.engine != "tunix":
        return
    from thinkaloud.train.tunix import check_tunix, check_tunix_model

    check_tunix(recipe, warn)
    if config is not None:
        check_tunix_model(recipe, config)


def open_trainer(
    policy: Policy,
    reference: Adapter,
    recipe: Recipe,
    score: GroupScorer,
    interrupt: Callable[[], None],
    teacher: Model | None = None,
) -> Trainer:
    """The trainer of the recipe's engine; see `Trainer` and `GrpoTrainer` for the arguments."""
    if recipe.engine != "tunix":
        return GrpoTrainer(policy, reference, recipe, score, interrupt, teacher)
    from thinkaloud.train.tunix.engine import TunixTrainer

    return TunixTrainer(policy, reference, recipe, score, interrupt)
