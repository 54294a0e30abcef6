"""Rematerialization: the backward pass keeps matrix products of each layer and recomputes the rest."""

from __future__ import annotations

from collections.abc import Callable

from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array

SAVED_IN_BACKWARD = (
    *("query", "key", "value", "attended", "normalizer"),
    *("attention_out", "gate", "up", "mlp_out", "lora_in"),
)
"""The names that `keep` marks; `train/microbatch.py` counts their bytes."""


def keep(x: Array, name: str) -> Array:
    """Name a value that the backward pass keeps."""
    mark: Callable[[Array, str], Array] = checkpoint_name
    return mark(x, name)
