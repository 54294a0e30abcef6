"""What samples and updates in GRPO, by the recipe's `engine`: this package, or Tunix."""

from __future__ import annotations

from thinkaloud.config import Recipe
from thinkaloud.model.config import ModelConfig
from thinkaloud.train.grpo import Grpo


def check_engine(recipe: Recipe, config: ModelConfig | None = None) -> None:
    """Whether the recipe's engine is installed and takes the recipe, and the model where it is known.

    Raises:
        UserError: It is not, or does not; called before long work.
    """
    if recipe.engine != "tunix":
        return
    from thinkaloud.train.tunix import check_tunix, check_tunix_model

    check_tunix(recipe)
    if config is not None:
        check_tunix_model(recipe, config)


def stage_of(recipe: Recipe) -> type[Grpo]:
    """The class of the GRPO stage; see `Grpo`."""
    if recipe.engine != "tunix":
        return Grpo
    from thinkaloud.train.tunix.engine import TunixGrpo

    return TunixGrpo
