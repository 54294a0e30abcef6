"""What GRPO learns from in a control run (`rewards.control`): rewards that say nothing about the answers.

A run with the real reward is compared with a control that is the same in all else; the difference is due to the reward.

- `random`: the rewards of a step, shuffled over all its completions (those of a refill among themselves). So the
  rewards keep their exact mean and distribution, every completion has the same expected reward, and the expected
  advantage of each is zero. A coin with the mean of the rewards so far would keep only their mean, and its state would
  have to be saved; the shuffle depends on the seed and the step alone, so a resumed run has the same numbers. A shuffle
  within each group would keep equal groups without signal, and so still tell solved and unsolved tasks apart.
- `format`: 1 for a valid format, 0 otherwise. It shows what the format alone teaches.

Masked completions stay masked: they take no part in the shuffle, and truncated ones take none if they are masked.
The scores are not changed: metrics, rollout files, the curriculum's pass rates, validation (hence the best checkpoint)
and evaluation are of the real reward. A control changes the share of groups without signal, which the metrics count as
it is learned from.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from thinkaloud.config.recipe import RewardConfig
from thinkaloud.records import RolloutGroup, Status
from thinkaloud.rewards.scoring import is_masked


def rewards_to_learn(
    groups: Sequence[RolloutGroup], config: RewardConfig, seed: int
) -> Float[np.ndarray, "prompts group"]:
    """The rewards that advantages are computed from.

    Args:
        groups: All scored groups of a step, each of the same size.
        config: `control`, and whether truncated completions are masked.
        seed: Of the shuffle; derived from the recipe's seed and the step.
    """
    scores = [score for group in groups for score in group.scores]
    rewards = np.asarray([score.reward for score in scores], np.float64)
    if config.control == "random":
        counted = np.flatnonzero([not is_masked(score, config.truncated == "mask") for score in scores])
        rewards[counted] = rewards[np.random.default_rng(seed).permutation(counted)]
    elif config.control == "format":
        broken = (Status.BAD_FORMAT, Status.TRUNCATED)
        rewards = np.asarray([float(score.status not in broken and not score.status.masked) for score in scores])
    return rewards.reshape(len(groups), -1)
