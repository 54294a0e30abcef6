"""Rematerialization: what the backward pass keeps of each layer; it computes the rest again.

Selective: matrix products and what attention gave. Full: nothing but each layer's input.
"""

from __future__ import annotations

from collections.abc import Callable

from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array

SAVED_IN_BACKWARD = (
    *("query", "key", "value", "attended", "normalizer"),
    *("attention_out", "gate", "up", "mlp_out", "lora_in"),
)
"""The names that `keep` marks; `model/footprint.py` counts their bytes."""


def keep(x: Array, name: str) -> Array:
    """Name a value that the backward pass keeps."""
    mark: Callable[[Array, str], Array] = checkpoint_name
    return mark(x, name)
