"""LoRA adapters (arXiv 2106.09685): W + (alpha / rank) A B on attention and MLP projections.

An adapter is a pytree {target: {"a": [layers, in, rank], "b": [layers, rank, out]}} in float32 for any base.
A is normal with deviation 1 / sqrt(in), B is zero, so a new adapter has no effect.

Differs from the paper: A's deviation follows the input width, as in `peft`'s Kaiming initialisation in scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from thinkaloud.model.config import ModelConfig
from thinkaloud.seeding import derive_seed

Adapter = dict[str, dict[str, Any]]

TARGETS = ("q", "k", "v", "o", "gate", "up", "down")


def projection_shapes(config: ModelConfig) -> dict[str, tuple[int, int]]:
    """(input width, output width) of each projection that can carry an adapter."""
    hidden, inner = config.hidden_size, config.intermediate_size
    query, key = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
    return {
        "q": (hidden, query),
        "k": (hidden, key),
        "v": (hidden, key),
        "o": (query, hidden),
        "gate": (hidden, inner),
        "up": (hidden, inner),
        "down": (inner, hidden),
    }


def init_adapter(config: ModelConfig, rank: int, targets: Sequence[str], seed: int) -> Adapter:
    """A new adapter. Each target's A has its own seed, so that omitting a target does not change the others."""
    shapes = projection_shapes(config)
    adapter: Adapter = {}
    for target in targets:
        width_in, width_out = shapes[target]
        rng = np.random.default_rng(derive_seed(seed, "lora", target))
        a = rng.standard_normal((config.num_layers, width_in, rank), dtype=np.float32) / np.float32(np.sqrt(width_in))
        adapter[target] = {
            "a": jnp.asarray(a),
            "b": jnp.zeros((config.num_layers, rank, width_out), jnp.float32),
        }
    return adapter


def merge_adapter(layer: dict[str, Any], adapter: Adapter, scale: float) -> dict[str, Any]:
    """Weights of one layer, or of stacked layers, with the adapter merged: in float32, cast to the weights' dtype.

    Args:
        layer: Matrices [..., in, out] by name; norms and biases are passed through.
        adapter: Pairs [..., in, rank] and [..., rank, out]; may be empty.
        scale: alpha / rank.
    """
    merged = dict(layer)
    for target, pair in adapter.items():
        weight = layer[target]
        delta = jnp.matmul(pair["a"], pair["b"], precision=jax.lax.Precision.HIGHEST)
        merged[target] = (weight.astype(jnp.float32) + np.float32(scale) * delta).astype(weight.dtype)
    return merged
