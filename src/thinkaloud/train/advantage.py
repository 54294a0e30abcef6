"""Group-relative advantages (GRPO, arXiv 2402.03300, section 4.1.2).

    A_i = (r_i - mean(r)) / (std(r) + 1e-6)        within the group of one prompt

`scale_by_std=False` leaves out the division (Dr. GRPO, arXiv 2503.20783). Masked completions (no reward could be
formed) are left out of the mean and of the update. A group whose rewards are all equal, or that has fewer than two of
them, has no signal: its advantages are zero.

No difference from the paper; the standard deviation is the population's, as in the authors' formula.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from thinkaloud.records import RolloutGroup
from thinkaloud.rewards.scoring import is_masked

EPSILON = 1e-6
EQUAL = 1e-9
"""Rewards that differ by less are treated as equal."""


@dataclass(frozen=True, slots=True)
class Advantages:
    """`values` is zero where a completion is masked or its group has no signal."""

    values: Float[np.ndarray, "prompts group"]
    has_signal: Bool[np.ndarray, " prompts"]


def group_advantages(
    rewards: Float[np.ndarray, "prompts group"], masked: Bool[np.ndarray, "prompts group"], *, scale_by_std: bool
) -> Advantages:
    """The advantage of each completion over its own group."""
    values = np.zeros(rewards.shape, np.float64)
    has_signal = np.zeros(len(rewards), bool)
    for row, (group, left_out) in enumerate(zip(rewards.astype(np.float64), masked, strict=True)):
        counted = group[~left_out]
        if len(counted) < 2 or counted.max() - counted.min() < EQUAL:
            continue
        has_signal[row] = True
        centred = counted - counted.mean()
        values[row, ~left_out] = centred / (counted.std() + EPSILON) if scale_by_std else centred
    return Advantages(values, has_signal)


def with_advantages(
    groups: Sequence[RolloutGroup],
    *,
    mask_truncated: bool,
    scale_by_std: bool,
    rewards: Float[np.ndarray, "prompts group"] | None = None,
) -> list[RolloutGroup]:
    """The groups, all of one size and scored, with the advantages of their completions.

    Args:
        mask_truncated: Leave out completions that were cut off at the token limit.
        rewards: What is learned from in place of the scores' rewards.
    """
    if rewards is None:
        rewards = np.asarray([[score.reward for score in group.scores] for group in groups])
    masked = np.asarray([[is_masked(score, mask_truncated) for score in group.scores] for group in groups])
    found = group_advantages(rewards, masked, scale_by_std=scale_by_std)
    return [
        replace(group, advantages=tuple(values.tolist())) for group, values in zip(groups, found.values, strict=True)
    ]
