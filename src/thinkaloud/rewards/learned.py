"""What GRPO learns from: the reward, shaped as the recipe says, or a control that says nothing about the answers.

    graded     the reward itself: 0.2 for the format, up to 0.8 for the answer
    binary     in domains with a verifier, 1 for a correct answer in a valid format and 0 otherwise
    overlong   minus the share of the last `overlong_tokens` before the limit that a completion uses, 1 where it is cut
               off (the soft overlong punishment of DAPO, arXiv 2503.14476, equation 13)

A run with the real reward is compared with a control (`rewards.control`) that is the same in all else; the difference
is due to the reward.

- `random`: the rewards of a step, shuffled over all its completions (those of a refill among themselves). So the
  rewards keep their exact mean and distribution, every completion has the same expected reward, and the expected
  advantage of each is zero. A coin with the mean of the rewards so far would keep only their mean, and its state would
  have to be saved; the shuffle depends on the seed and the step alone, so a resumed run has the same numbers. A shuffle
  within each group would keep equal groups without signal, and so still tell solved and unsolved tasks apart.
- `format`: 1 for a valid format, 0 otherwise. It shows what the format alone teaches.

Masked completions stay masked: they take no part in the shuffle, and truncated ones take none if they are masked.
The scores are not changed: metrics, rollout files, the curriculum's pass rates, validation (hence the best checkpoint)
and evaluation are of the real reward. The share of groups without signal is counted on what is learned from.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from thinkaloud.config.recipe import RewardConfig
from thinkaloud.domains import Registry
from thinkaloud.records import RolloutGroup, Score, Status
from thinkaloud.rewards.scoring import is_masked


def rewards_to_learn(
    groups: Sequence[RolloutGroup], config: RewardConfig, registry: Registry, *, max_new_tokens: int, seed: int
) -> Float[np.ndarray, "prompts group"]:
    """The rewards that advantages are computed from.

    Args:
        groups: Scored groups, each of the same size; for a control, all that were sampled at once.
        config: `answers`, `overlong_tokens`, `control`, and whether truncated completions are masked.
        registry: Says which domains have a verifier.
        max_new_tokens: The token limit.
        seed: Of the shuffle; derived from the recipe's seed and the step.
    """
    scores = [score for group in groups for score in group.scores]
    if config.control == "format":
        rewards = np.asarray([float(not (score.status.breaks_format or score.status.masked)) for score in scores])
    else:
        rewards = np.asarray([_reward(group, score, config, registry) for group in groups for score in group.scores])
    if config.overlong_tokens:
        lengths = np.asarray([len(completion.token_ids) for group in groups for completion in group.completions])
        over = lengths - (max_new_tokens - config.overlong_tokens)
        rewards -= np.clip(over / config.overlong_tokens, 0.0, 1.0)
    if config.control == "random":
        counted = np.flatnonzero([not is_masked(score, config.truncated == "mask") for score in scores])
        rewards[counted] = rewards[np.random.default_rng(seed).permutation(counted)]
    return rewards.reshape(len(groups), -1)


def _reward(group: RolloutGroup, score: Score, config: RewardConfig, registry: Registry) -> float:
    if config.answers == "binary" and registry.is_verifiable(group.task.domain):
        return float(score.status is Status.CORRECT)
    return score.reward
