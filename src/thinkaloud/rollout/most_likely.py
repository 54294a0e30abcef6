"""Top-k and top-p without sorting the vocabulary.

Both are exact. A tie goes to the lowest index, as in `jax.lax.top_k`, and 0.0 ranks above -0.0.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt32

WIDEST_SORT = 1 << 14
"""Sorts on accelerators take several passes over memory beyond this width."""

MOST_SORTED = WIDEST_SORT // 2
"""The largest k of `top_k` for vocabularies wider than `WIDEST_SORT`."""


def top_k(values: Float[Array, "rows choices"], k: int) -> tuple[Float[Array, "rows kept"], Int[Array, "rows kept"]]:
    """Equal to `jax.lax.top_k`, without a sort wider than `WIDEST_SORT`.

    Every one of the k largest values lies in one of the k blocks with the largest maxima: a block that is not among
    them is preceded by k larger values. So the blocks' maxima are ranked first (by this function, where they are
    many), then the values of k blocks.

    Args:
        values: Float32.
        k: At most the number of choices, and at most `MOST_SORTED` where they are more than `WIDEST_SORT`.
    """
    rows, choices = values.shape
    if choices <= WIDEST_SORT:
        largest, index = jax.lax.top_k(values, k)
        return largest, index
    assert k <= MOST_SORTED, f"k = {k} of {choices}"
    width = max(2, 1 << (choices // k).bit_length() // 2)  # about sqrt(choices / k): as many maxima as candidates
    width = min(width, WIDEST_SORT // k)
    padded = jnp.pad(values, ((0, 0), (0, -choices % width)), constant_values=-np.inf)
    blocks = padded.reshape(rows, -1, width)
    maxima = _from_order(_order(blocks).max(axis=-1))  # a float maximum need not tell 0.0 from -0.0
    chosen = jnp.sort(top_k(maxima, k)[1], axis=-1)  # in the order of the indices, for ties
    candidates = jnp.take_along_axis(blocks, chosen[:, :, None], axis=1).reshape(rows, -1)
    largest, index = jax.lax.top_k(candidates, k)
    return largest, jnp.take_along_axis(chosen, index // width, axis=1) * width + index % width


def leading(
    values: Float[Array, "rows choices"], weights: Float[Array, "rows choices"], limit: Float[Array, " rows"]
) -> Bool[Array, "rows choices"]:
    """Where the total weight of all larger (and equal earlier) values is below a limit; by bisection, not sorting.

    With weights of 1 and the limit k, this is top-k. With probabilities and the limit p, it is top-p.

    Args:
        values: Float32.
        weights: Float32, not negative; equal where values are equal, or 0.
        limit: Positive.
    """
    rows, choices = values.shape
    place = ~_order(values)  # ascending from the largest value
    bound = _last_true(rows, 32, lambda bound: _sum(weights, place < bound) < limit)
    before, tied = place < bound, place == bound
    left = limit - _sum(weights, before)
    index = jnp.arange(choices, dtype=jnp.uint32)[None]
    bits = (choices - 1).bit_length()
    last = _last_true(rows, bits, lambda last: _sum(weights, tied & (index < last)) < left)
    return before | (tied & (index <= last))


def _last_true(
    rows: int, bits: int, condition: Callable[[UInt32[Array, "rows 1"]], Bool[Array, " rows"]]
) -> UInt32[Array, "rows 1"]:
    """The largest number of so many bits that meets a condition; 0 meets it, and all numbers up to the result do."""

    def with_bit(step: Int[Array, ""], found: UInt32[Array, "rows 1"]) -> UInt32[Array, "rows 1"]:
        tried = found | (jnp.uint32(1) << (bits - 1 - step).astype(jnp.uint32))
        return jnp.where(condition(tried)[:, None], tried, found)

    return jax.lax.fori_loop(0, bits, with_bit, jnp.zeros((rows, 1), jnp.uint32))


def _sum(weights: Float[Array, "rows choices"], where: Bool[Array, "rows choices"]) -> Float[Array, " rows"]:
    return jnp.sum(jnp.where(where, weights, 0.0), axis=-1)


SIGN = np.uint32(1 << 31)


def _order(values: Float[Array, "*shape"]) -> UInt32[Array, "*shape"]:
    """Integers in the total order of floats."""
    bits = jax.lax.bitcast_convert_type(values, jnp.uint32)
    return jnp.where(bits >= SIGN, ~bits, bits | SIGN)


def _from_order(order: UInt32[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The inverse of `_order`."""
    return jax.lax.bitcast_convert_type(jnp.where(order >= SIGN, order & ~SIGN, ~order), jnp.float32)
