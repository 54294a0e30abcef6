"""Group-relative advantages (GRPO, arXiv 2402.03300, section 4.1.2).

    A_i = (r_i - mean(r)) / (std(r) + 1e-6)        within the group of one prompt

`scale_by_std=False` leaves out the division (Dr. GRPO, arXiv 2503.20783). Masked completions (no reward could be
formed) take no part: neither in the mean nor in the update. A group whose rewards are all equal, or that has fewer
than two of them, is dead: its advantages are zero.

Differs from the paper: none; the deviation is the population's, as in the authors' formula.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

EPSILON = 1e-6
EQUAL = 1e-9
"""Rewards closer than this are the same reward."""


@dataclass(frozen=True, slots=True)
class Advantages:
    """`values` is zero wherever a completion is masked or its group is dead."""

    values: Float[np.ndarray, "prompts group"]
    dead: Bool[np.ndarray, " prompts"]


def group_advantages(
    rewards: Float[np.ndarray, "prompts group"], masked: Bool[np.ndarray, "prompts group"], *, scale_by_std: bool
) -> Advantages:
    """Advantages of every completion against its own group."""
    values = np.zeros(rewards.shape, np.float64)
    dead = np.ones(len(rewards), bool)
    for row, (group, left_out) in enumerate(zip(rewards.astype(np.float64), masked, strict=True)):
        counted = group[~left_out]
        if len(counted) < 2 or counted.max() - counted.min() < EQUAL:
            continue
        dead[row] = False
        centred = counted - counted.mean()
        values[row, ~left_out] = centred / (counted.std() + EPSILON) if scale_by_std else centred
    return Advantages(values, dead)
