"""Projections of the same input as one product, with their adapters: fewer and larger products while decoding.

A decoding step is bound by the number of kernels when it has few rows. Without this, a layer of Gemma 3 with an adapter
has 18 products; with it, 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from thinkaloud.model.adapter_products import TERMS, bfloat16_terms
from thinkaloud.model.precision import activation_dtype, product, weight_product


@partial(jax.tree_util.register_dataclass, data_fields=["weight", "bias", "down", "up"], meta_fields=["widths"])
@dataclass(frozen=True)
class FusedProjections:
    """Matrices with the same input, beside each other.

    Attributes:
        weight: [in, out]. Where hidden states are bfloat16, the A's of the adapters follow as `TERMS` blocks of
            bfloat16 numbers, [in, out + TERMS * ranks]. Products of two bfloat16 numbers are exact in float32, so these
            columns sum to what a float32 product with A gives.
        bias: Float32 [out], or None.
        down: The A's, float32 [in, ranks], where they are not part of `weight`.
        up: The B's on the diagonal, times LoRA's scale, float32 [ranks, out]; None without adapters.
        widths: Of each projection; they sum to `out`.
    """

    weight: Any
    bias: Any
    down: Any
    up: Any
    widths: tuple[int, ...]

    @staticmethod
    def of(layer: dict[str, Any], pairs: dict[str, Any], names: Sequence[str], scale: float) -> FusedProjections:
        """Join the projections `names` of one layer, with those of its LoRA pairs that there are."""
        weight = jnp.concatenate([layer[name] for name in names], axis=1)
        widths = tuple(layer[name].shape[1] for name in names)
        bias = None
        if any(f"{name}_bias" in layer for name in names):
            bias = jnp.concatenate([layer[f"{name}_bias"].astype(jnp.float32) for name in names])
        adapted = [name for name in names if name in pairs]
        if not adapted:
            return FusedProjections(weight, bias, None, None, widths)
        down = jnp.concatenate([pairs[name]["a"] for name in adapted], axis=1)
        before = dict(zip(names, accumulate(widths, initial=0), strict=False))
        total = sum(widths)
        up = jnp.concatenate(
            [
                jnp.pad(b, ((0, 0), (before[name], total - before[name] - b.shape[1])))
                for name, b in ((name, pairs[name]["b"]) for name in adapted)
            ]
        ) * np.float32(scale)
        if activation_dtype(weight.dtype) != jnp.bfloat16:
            return FusedProjections(weight, bias, down, up, widths)
        weight = jnp.concatenate([weight, *bfloat16_terms(down)], axis=1)
        return FusedProjections(weight, bias, None, up, widths)

    def __call__(self, x: Float[Array, "*rows width"]) -> list[Array]:
        """x W + bias + scale (x A) B for each projection, summed in float32, in the dtype of x."""
        y, total = weight_product("...i,io->...o", x, self.weight), sum(self.widths)
        if self.up is not None:
            if self.down is None:
                low = y[..., total:].reshape(*x.shape[:-1], TERMS, -1).sum(axis=-2)
                y = y[..., :total]
            else:
                low = product("...i,ir->...r", x.astype(jnp.float32), self.down)
            y = y + product("...r,ro->...o", low, self.up)
        if self.bias is not None:
            y = y + self.bias.reshape(*[1] * (x.ndim - 1), -1)
        return jnp.split(y.astype(x.dtype), list(accumulate(self.widths[:-1])), axis=-1)
