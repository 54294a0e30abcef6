"""Which type numbers have: the base's weights, the activations between them, and weights inside XLA's loops.

Adapters, norms, softmax and sums of products are float32 always. The base is float32 or bfloat16. Activations have the
base's type on accelerators; on a CPU they are float32, and only the factors of a product with the base are rounded:
that is more exact, and XLA has no other arithmetic there, so that anything narrower is converted to and fro.
"""

from __future__ import annotations

from typing import Any, Literal

import jax
import jax.numpy as jnp

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


def into_loop(tree: Any) -> Any:
    """Weights as a loop of XLA should carry them; `in_loop` gives them back inside.

    On a CPU, XLA widens every bfloat16 array that a loop carries to float32 before it begins, and narrows what it
    needs in every turn. As bits the weights are left alone.
    """
    if jax.default_backend() != "cpu":
        return tree

    def bits(x: Any) -> Any:
        return jax.lax.bitcast_convert_type(x, jnp.uint16) if x.dtype == jnp.bfloat16 else x

    return jax.tree.map(bits, tree)


def in_loop(tree: Any) -> Any:
    """The weights again, from what `into_loop` made of them."""

    def numbers(x: Any) -> Any:
        return jax.lax.bitcast_convert_type(x, jnp.bfloat16) if x.dtype == jnp.uint16 else x

    return jax.tree.map(numbers, tree)
