"""The optimizer: gradient norm clip, AdamW, linear warm-up, cosine decay to zero."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
import optax

Schedule = Callable[[Any], Any]


@lru_cache(maxsize=16)  # the same function for the same settings: jit knows the optimizer step again
def learning_rate_schedule(
    peak: float, *, warmup_steps: int, total_steps: int, kind: Literal["cosine", "constant"]
) -> Schedule:
    """The learning rate of the 0-based update n: (n + 1) / warmup_steps of the peak at first, so no update is idle.

    With `cosine` the last update (n = total_steps - 1) still has a small positive rate.
    """

    def rate(update: Any) -> Any:
        n = jnp.asarray(update, jnp.float32)
        warm = jnp.minimum(np.float32(1.0), (n + np.float32(1.0)) / np.float32(max(1, warmup_steps)))
        if kind == "constant":
            return np.float32(peak) * warm
        done = (n - np.float32(warmup_steps)) / np.float32(max(1, total_steps - warmup_steps))
        decay = np.float32(0.5) * (np.float32(1.0) + jnp.cos(np.float32(math.pi) * jnp.clip(done, 0.0, 1.0)))
        return np.float32(peak) * warm * decay

    return rate


@lru_cache(maxsize=16)
def make_optimizer(
    schedule: Schedule, *, b1: float, b2: float, weight_decay: float, max_grad_norm: float
) -> optax.GradientTransformation:
    """AdamW (arXiv 1711.05101) on clipped gradients; moments in the parameters' float32."""
    return optax.chain(
        optax.clip_by_global_norm(max_grad_norm),
        optax.adamw(schedule, b1=b1, b2=b2, weight_decay=weight_decay),
    )
