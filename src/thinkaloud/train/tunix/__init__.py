"""GRPO through Tunix's `GRPOLearner` and `RLCluster` (google-tunix 0.1.7), on the same recipe, tasks and rewards.

`model` builds a Tunix model from our base, `lora` and `optimizer` convert adapters and moments in both directions,
`rollout` and `learner` correct the faults of 0.1.7, `engine` is the trainer. Tunix is imported only by runs that use
it. `docs/tunix.md` lists the faults and the corrections.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING

import jax

from thinkaloud.config import Recipe
from thinkaloud.errors import UserError

if TYPE_CHECKING:
    from thinkaloud.model.config import ModelConfig

VERSION = "0.1.7"
"""The version that this was tested with; the corrections replace parts of its source."""

_PROGRAMS = {"vllm": "vllm", "sglang_jax": "sgl_jax"}
"""The module that each external rollout needs."""


def check_tunix(recipe: Recipe, warn: Callable[[str], None]) -> None:
    """Check that this installation and this recipe can train with Tunix; does not import it.

    Args:
        warn: Receives one line if the installed version was not tested.

    Raises:
        UserError: They cannot.
    """
    fix = "run pip install '.[tunix]' in the clone, or leave out --engine"
    try:
        found = version("google-tunix")
    except PackageNotFoundError:
        raise UserError(f"the engine tunix needs google-tunix {VERSION}, which is not installed; {fix}") from None
    if found != VERSION:
        warn(f"the engine tunix was tested with google-tunix {VERSION}, found {found}")
    if jax.process_count() > 1:
        raise UserError("the engine tunix needs a single process, found several; leave out --engine")
    prompts, parts = recipe.rollout.prompts_per_step, recipe.grpo.minibatches
    if prompts % parts:
        raise UserError(
            f"the engine tunix needs minibatches of equal size: expected rollout.prompts_per_step to be a multiple of "
            f"grpo.minibatches = {parts}, found {prompts}; change one of them"
        )
    micro = recipe.tunix.micro_batch_prompts
    if micro and (prompts // parts) % micro:
        raise UserError(
            f"expected tunix.micro_batch_prompts to divide the {prompts // parts} prompts of an update, found {micro}; "
            "change one of them"
        )

    rollout = recipe.tunix.rollout
    if rollout in _PROGRAMS and find_spec(_PROGRAMS[rollout]) is None:
        raise UserError(f'tunix.rollout = "{rollout}" needs {_PROGRAMS[rollout]}, which is not installed; install it')


def check_tunix_model(recipe: Recipe, config: ModelConfig) -> None:
    """Check that Tunix's modules support this model, and its rollout the recipe's options.

    Raises:
        UserError: They do not.
    """
    from thinkaloud.train.tunix.engine import rollout_config
    from thinkaloud.train.tunix.model import check_model

    check_model(config)
    if config.family == "gemma3" and recipe.tunix.rollout != "vanilla":
        raise UserError(
            f'Tunix {VERSION} cannot send Gemma 3 weights to {recipe.tunix.rollout}; set tunix.rollout = "vanilla"'
        )
    rollout_config(recipe, ())
