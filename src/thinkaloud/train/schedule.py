"""The optimizer: gradient norm clip and AdamW; and its learning rate: linear warm-up, cosine decay to zero.

The host computes the learning rate of an update from its progress through the run. If the plan changes (a deadline, a
longer run), the schedule continues from the current value without a jump, unless it had already reached its end.
Nothing is compiled again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import optax

from thinkaloud.config import Recipe


@dataclass(frozen=True, slots=True)
class Horizon:
    """Maps an update to its progress through the run, from 0 to 1, under the current plan.

    Args:
        total: The planned number of updates.
        since: The update at which this plan started.
        covered: The progress at that update.
    """

    total: int
    since: int = 0
    covered: float = 0.0

    def progress(self, update: int) -> float:
        """The progress before the 0-based `update`; 1 at the end and after it."""
        left = self.total - self.since
        if update <= self.since:  # also for a plan without updates
            return self.covered
        return 1.0 if left <= 0 else min(1.0, self.covered + (1 - self.covered) * (update - self.since) / left)

    def replanned(self, update: int, total: int) -> Horizon:
        """A plan with the same progress before `update`, and the rest distributed over the updates up to `total`.

        A finished plan has no rest: its extension has the progress of a run that was planned so long from the start.
        """
        if total == self.total:
            return self
        progress = self.progress(update)
        return Horizon(total, update, progress if progress < 1 else min(1.0, update / max(1, total)))


def learning_rate(
    peak: float, horizon: Horizon, update: int, *, warmup_fraction: float, kind: Literal["cosine", "constant"]
) -> float:
    """The learning rate of the 0-based `update`.

    It rises to `peak` over the first `warmup_fraction` of the run (the first update has a positive rate), then stays
    there or, with `cosine`, decays; the last update still has a small positive rate.
    """
    warm = min(1.0, horizon.progress(update + 1) / warmup_fraction) if warmup_fraction > 0 else 1.0
    if kind == "constant":
        return peak * warm
    done = (horizon.progress(update) - warmup_fraction) / (1 - warmup_fraction) if warmup_fraction < 1 else 0.0
    return peak * warm * 0.5 * (1 + math.cos(math.pi * min(1.0, max(0.0, done))))


@lru_cache(maxsize=16)  # the same object for the same settings, so that jit does not compile again
def make_optimizer(*, b1: float, b2: float, weight_decay: float, max_grad_norm: float) -> optax.GradientTransformation:
    """AdamW (arXiv 1711.05101) on clipped gradients, with float32 moments and a learning rate of 1.

    `learner.apply_gradients` multiplies its updates by the learning rate.
    """
    adam: Any = optax.scale_by_adam(b1=b1, b2=b2)
    return optax.chain(
        optax.clip_by_global_norm(max_grad_norm), adam, optax.add_decayed_weights(weight_decay), optax.scale(-1.0)
    )


def optimizer_of(recipe: Recipe) -> optax.GradientTransformation:
    """The optimizer of GRPO that the recipe names."""
    config = recipe.grpo
    return make_optimizer(
        b1=config.adam_b1,
        b2=config.adam_b2,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
    )
