"""An adapter's two products, x A and (x A) B, as exact as in float32, on matrix units that multiply bfloat16.

A and B are float32. TPUs multiply float32 factors by six products of bfloat16 numbers, one after the other, and GPUs
without matrix units. Both waste most of what they have on a rank of 16. Here the bfloat16 terms of the factors stand
beside each other in the thin dimension, so that one product does the work of six. Products of two bfloat16 numbers are
exact in float32, in which they are summed.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from thinkaloud.model.precision import product

TERMS = 3
"""A float32 number is the sum of three bfloat16 numbers: 3 x 8 bits of mantissa are 24."""

PAIRS = ((0, 0), (0, 1), (1, 0), (0, 2), (1, 1), (2, 0))
"""The terms of two float32 factors whose products matter: the others are below 2^-24 of the whole."""


def bfloat16_terms(x: Float[Array, "*shape"]) -> list[Array]:
    """Three bfloat16 arrays whose sum is the float32 array, but for what is below bfloat16's smallest numbers."""
    terms = []
    for _ in range(TERMS):
        # not a pair of conversions, which XLA may drop
        rounded = jax.lax.reduce_precision(x, exponent_bits=8, mantissa_bits=7)
        terms.append(rounded.astype(jnp.bfloat16))
        x = x - rounded
    return terms


@jax.custom_vjp
def adapter_down(x: Float[Array, "*rows width"], down: Float[Array, "width rank"]) -> Float[Array, "*rows rank"]:
    """x A in float32, for bfloat16 x, with its gradients."""
    return _sum_of_terms(product("...i,ir->...r", x, jnp.concatenate(bfloat16_terms(down), axis=1)))


def _down_forward(x: Array, down: Array) -> tuple[Array, tuple[Array, Array]]:
    return adapter_down(x, down), (x, down)


def _down_backward(saved: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    x, down = saved
    by_term = jnp.concatenate(bfloat16_terms(gradient), axis=-1)
    return _product(gradient, down.T).astype(x.dtype), _sum_of_terms(product("...i,...r->ir", x, by_term))


adapter_down.defvjp(_down_forward, _down_backward)


@jax.custom_vjp
def adapter_up(low: Float[Array, "*rows rank"], up: Float[Array, "rank width"]) -> Float[Array, "*rows width"]:
    """(x A) B in float32, with its gradients.

    For a sum that is rounded to bfloat16: the gradient of the result is bfloat16 already, and is read as such.
    """
    return _product(low, up)


def _up_forward(low: Array, up: Array) -> tuple[Array, tuple[Array, Array]]:
    return adapter_up(low, up), (low, up)


def _up_backward(saved: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    low, up = saved
    gradient = gradient.astype(jnp.bfloat16)
    slope = product("...o,or->...r", gradient, jnp.concatenate(bfloat16_terms(up.T), axis=1))
    by_term = jnp.concatenate(bfloat16_terms(low), axis=-1)
    return _sum_of_terms(slope), _sum_of_terms(product("...o,...r->or", gradient, by_term)).T


adapter_up.defvjp(_up_forward, _up_backward)


def _product(one: Float[Array, "*rows rank"], other: Float[Array, "rank width"]) -> Float[Array, "*rows width"]:
    """The product of two float32 factors; the terms of each pair stand beside each other in the contracted axis."""
    left, right = bfloat16_terms(one), bfloat16_terms(other)
    return product(
        "...r,ro->...o",
        jnp.concatenate([left[i] for i, _ in PAIRS], axis=-1),
        jnp.concatenate([right[j] for _, j in PAIRS], axis=0),
    )


def _sum_of_terms(x: Float[Array, "*rows terms_times_rank"]) -> Float[Array, "*rows rank"]:
    first, *rest = jnp.split(x, TERMS, axis=-1)
    return sum(rest, start=first)
