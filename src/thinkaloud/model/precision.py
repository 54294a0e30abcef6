"""Dtypes of the base's weights and of activations, and how weights are stored on a CPU.

Adapters, norms, softmax and sums of products are always float32. The base is float32 or bfloat16. Activations have the
base's dtype on accelerators. On a CPU they are float32, and only the factors of a product with the base are rounded:
this is more accurate, and XLA computes in float32 there anyway, converting narrower types back and forth.
"""

from __future__ import annotations

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

Dtype = Literal["auto", "float32", "bfloat16"]


def base_dtype(dtype: Dtype, backend: str | None = None) -> Literal["float32", "bfloat16"]:
    """The dtype for `auto`: bfloat16 on accelerators, float32 on a CPU.

    Sampler and trainer sum in different orders. In bfloat16 their log-probabilities of a token differ by about 0.01
    (docs/log.md, 2026-11-24), in float32 by less than 0.0001, so on a CPU bfloat16 must be requested explicitly.
    """
    if dtype != "auto":
        return dtype
    return "float32" if (backend or jax.default_backend()) == "cpu" else "bfloat16"


def activation_dtype(weights: Any, backend: str | None = None) -> Any:
    """The dtype of hidden states, keys and values, for weights of this dtype."""
    return jnp.dtype(jnp.float32) if (backend or jax.default_backend()) == "cpu" else jnp.dtype(weights)


def as_bits(tree: Any) -> Any:
    """Weights in the form in which they are stored and passed to programs; `as_numbers` is the inverse.

    On a CPU, XLA converts every bfloat16 array that it gathers from, or that a loop carries, to float32 as a whole, and
    converts parts back in every iteration. It does not touch weights stored as bits (uint16).
    """
    if jax.default_backend() != "cpu":
        return tree

    def bits(x: Any) -> Any:
        if x.dtype != jnp.bfloat16:
            return x
        return x.view(np.uint16) if isinstance(x, np.ndarray) else jax.lax.bitcast_convert_type(x, jnp.uint16)

    return jax.tree.map(bits, tree)


def as_numbers(tree: Any) -> Any:
    """The inverse of `as_bits`."""

    def numbers(x: Any) -> Any:
        return jax.lax.bitcast_convert_type(x, jnp.bfloat16) if x.dtype == jnp.uint16 else x

    return jax.tree.map(numbers, tree)


def rows_of(weight: Any, rows: Any) -> Any:
    """weight[rows] as numbers; a barrier keeps XLA from converting all rows first."""
    barrier: Any = jax.lax.optimization_barrier
    return as_numbers(barrier(as_bits(weight)[rows]))


def weights_dtype(params: Any) -> Any:
    """The dtype of a model's weights, stored as numbers or as bits."""
    dtype = jnp.dtype(params["embed"].dtype)
    return jnp.dtype(jnp.bfloat16) if dtype == jnp.uint16 else dtype
