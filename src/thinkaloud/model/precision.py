"""Which type numbers have: the base's weights, the activations between them, and how a CPU holds weights.

Adapters, norms, softmax and sums of products are float32 always. The base is float32 or bfloat16. Activations have the
base's type on accelerators; on a CPU they are float32, and only the factors of a product with the base are rounded:
that is more exact, and XLA has no other arithmetic there, so that anything narrower is converted to and fro.
"""

from __future__ import annotations

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

Dtype = Literal["auto", "float32", "bfloat16"]


def base_dtype(dtype: Dtype, backend: str | None = None) -> Literal["float32", "bfloat16"]:
    """What `auto` stands for: bfloat16 on accelerators, float32 on a CPU.

    In bfloat16 the sampler and the trainer, which sum in another order, differ by about a hundredth of a token's
    log-probability (docs/log.md, 2026-11-24); in float32 by less than a ten-thousandth.
    So a CPU is asked for it by name.
    """
    if dtype != "auto":
        return dtype
    return "float32" if (backend or jax.default_backend()) == "cpu" else "bfloat16"


def activation_dtype(weights: Any, backend: str | None = None) -> Any:
    """The type of hidden states, keys and values, for weights of this dtype."""
    return jnp.dtype(jnp.float32) if (backend or jax.default_backend()) == "cpu" else jnp.dtype(weights)


def as_bits(tree: Any) -> Any:
    """Weights as they are held and passed to programs; `as_numbers` gives them back where they are multiplied.

    On a CPU, XLA widens every bfloat16 array that it gathers from or that a loop carries to float32, all of it, and
    narrows what it needs in every turn. As bits (uint16) the weights are left alone.
    """
    if jax.default_backend() != "cpu":
        return tree

    def bits(x: Any) -> Any:
        if x.dtype != jnp.bfloat16:
            return x
        return x.view(np.uint16) if isinstance(x, np.ndarray) else jax.lax.bitcast_convert_type(x, jnp.uint16)

    return jax.tree.map(bits, tree)


def as_numbers(tree: Any) -> Any:
    """The weights again, from what `as_bits` made of them."""

    def numbers(x: Any) -> Any:
        return jax.lax.bitcast_convert_type(x, jnp.bfloat16) if x.dtype == jnp.uint16 else x

    return jax.tree.map(numbers, tree)


def rows_of(weight: Any, rows: Any) -> Any:
    """weight[rows], as numbers, without turning the rest into numbers: a barrier keeps XLA from doing that first."""
    barrier: Any = jax.lax.optimization_barrier
    return as_numbers(barrier(as_bits(weight)[rows]))


def weights_dtype(params: Any) -> Any:
    """The type of a model's weights, held as numbers or as bits."""
    dtype = jnp.dtype(params["embed"].dtype)
    return jnp.dtype(jnp.bfloat16) if dtype == jnp.uint16 else dtype
