"""The optimizer: gradient norm clip, AdamW; and its learning rate: linear warm-up, cosine decay to zero.

The rate of an update is worked out on the host from how far along the run it is, so that a plan that changes (a
deadline, a longer run) bends the curve where it stands: no jump, and nothing is compiled again.
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
    """How far along the run each update is, from 0 to 1, under the plan in force.

    Args:
        total: Updates in all, as planned.
        since: The update from which this plan holds.
        covered: The share of the run that was covered by then.
    """

    total: int
    since: int = 0
    covered: float = 0.0

    def progress(self, update: int) -> float:
        """The share covered before the 0-based `update`; 1 at the end and after it."""
        left = self.total - self.since
        if update <= self.since:  # a plan that ends where it begins covers nothing
            return self.covered
        return 1.0 if left <= 0 else min(1.0, self.covered + (1 - self.covered) * (update - self.since) / left)

    def replanned(self, update: int, total: int) -> Horizon:
        """The same share covered before `update`, the rest spread over the updates up to `total`."""
        return self if total == self.total else Horizon(total, update, self.progress(update))


def learning_rate(
    peak: float, horizon: Horizon, update: int, *, warmup_fraction: float, kind: Literal["cosine", "constant"]
) -> float:
    """The learning rate of the 0-based `update`.

    It rises to `peak` over the first `warmup_fraction` of the run (no update is idle), then stays there or, with
    `cosine`, falls to nearly nothing: the last update still has a small positive rate.
    """
    warm = min(1.0, horizon.progress(update + 1) / warmup_fraction) if warmup_fraction > 0 else 1.0
    if kind == "constant":
        return peak * warm
    done = (horizon.progress(update) - warmup_fraction) / (1 - warmup_fraction) if warmup_fraction < 1 else 0.0
    return peak * warm * 0.5 * (1 + math.cos(math.pi * min(1.0, max(0.0, done))))


@lru_cache(maxsize=16)  # the same optimizer for the same settings: jit knows its step again
def make_optimizer(*, b1: float, b2: float, weight_decay: float, max_grad_norm: float) -> optax.GradientTransformation:
    """AdamW (arXiv 1711.05101) on clipped gradients, for a learning rate of 1; moments in the parameters' float32.

    What it gives is multiplied by the update's learning rate (`learner.apply_gradients`).
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
