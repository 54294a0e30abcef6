"""A recipe: one TOML file that configures a run.

`load_recipe(path, overrides)` reads and validates it; `recipe.resolved()` is what a run directory records. The fields,
their units and their defaults are in `recipe.py` and the modules of its larger sections. A new field is added there
only.
"""

from thinkaloud.config.cold_start import ColdStartConfig
from thinkaloud.config.data import DataConfig, SourceConfig
from thinkaloud.config.judge import JudgeConfig
from thinkaloud.config.load import RECIPES_HELP, load_recipe, parse_recipe_text, read_recipe_text
from thinkaloud.config.recipe import (
    CheckpointConfig,
    EvaluateConfig,
    GrpoConfig,
    LoraConfig,
    MixtureConfig,
    ModelSource,
    PromptConfig,
    Recipe,
    RewardConfig,
    RolloutConfig,
)

__all__ = [
    "RECIPES_HELP",
    "CheckpointConfig",
    "ColdStartConfig",
    "DataConfig",
    "EvaluateConfig",
    "GrpoConfig",
    "JudgeConfig",
    "LoraConfig",
    "MixtureConfig",
    "ModelSource",
    "PromptConfig",
    "Recipe",
    "RewardConfig",
    "RolloutConfig",
    "SourceConfig",
    "load_recipe",
    "parse_recipe_text",
    "read_recipe_text",
]
