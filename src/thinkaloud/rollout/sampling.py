"""Sampling of the next token: temperature, top-k and top-p, with noise that depends on (seed, row, position)."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from thinkaloud.config import RolloutConfig
from thinkaloud.rollout.most_likely import MOST_SORTED, leading, top_k


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Sampling parameters.

    `temperature` 0 is greedy. `top_k` 0 keeps every token. `top_p` applies to the renormalised tokens that top-k kept,
    as in transformers' warpers.
    """

    temperature: float = 0.7
    top_k: int = 50
    top_p: float = 0.95

    @classmethod
    def of(cls, rollout: RolloutConfig) -> Sampling:
        """The sampling parameters of a recipe's rollouts."""
        return cls(temperature=rollout.temperature, top_k=rollout.top_k, top_p=rollout.top_p)


BLOCK = 256
"""Choices per block of `_draw`."""

GREEDY = Sampling(temperature=0.0, top_k=0, top_p=1.0)


def key_of(seed: int) -> Array:
    """A threefry key from all 64 bits of a derived seed."""
    words = np.asarray([seed >> 32, seed & 0xFFFFFFFF], np.uint32)
    return jax.random.wrap_key_data(jnp.asarray(words), impl="threefry2x32")


def row_keys(key: Array, rows: Int[Array, " rows"], position: Int[Array, ""] | int) -> Array:
    """One key per row and position: independent of the batch, never repeated."""
    return jax.vmap(lambda row: jax.random.fold_in(jax.random.fold_in(key, row), position))(rows)


def _draw(powers: Float[Array, "rows choices"], keys: Array) -> Int[Array, " rows"]:
    """One index per row, with probabilities in proportion to `powers`, by inverting the distribution in two stages.

    First a block of choices, then a choice within it. Two uniform numbers per row suffice; a Gumbel variable per choice
    would cost more than the model's layers on a CPU. Two stages also give enough bits for very unlikely choices.
    """
    rows, choices = powers.shape
    width = min(BLOCK, choices)
    blocks = jnp.pad(powers, ((0, 0), (0, -choices % width))).reshape(rows, -1, width)
    uniform = jax.vmap(lambda key: jax.random.uniform(key, (2,), jnp.float32))(keys)
    block = _invert(blocks.sum(axis=-1), uniform[:, 0])
    within = jnp.take_along_axis(blocks, block[:, None, None], axis=1)[:, 0]
    return block * width + _invert(within, uniform[:, 1])


def _invert(weights: Float[Array, "rows choices"], uniform: Float[Array, " rows"]) -> Int[Array, " rows"]:
    """The first choice whose cumulative weight exceeds `uniform` (below 1) times the total; never one of weight 0."""
    sums = jnp.where(weights > 0, jnp.cumsum(weights, axis=-1), np.float32(-1.0))
    return _first(sums > (uniform * sums.max(axis=-1))[:, None])


def _first(where: Bool[Array, "rows choices"]) -> Int[Array, " rows"]:
    """The index of the first True of each row, 0 without one; argmax is slow in XLA on CPUs."""
    choices = where.shape[-1]
    index = jnp.min(jnp.where(where, jnp.arange(choices)[None], choices), axis=-1)
    return jnp.where(index < choices, index, 0)


def sample(
    logits: Float[Array, "rows vocab"], keys: Array, sampling: Sampling
) -> tuple[Int[Array, " rows"], Float[Array, " rows"], Float[Array, " rows"]]:
    """Sample one token per row.

    Args:
        logits: Float32.
        keys: One key per row, from `row_keys`.

    Returns:
        Tokens; their log-probabilities (nats) under the full distribution at this temperature (at 1 when greedy), as
        the trainer computes them; and the log of the probability that top-k and top-p kept, 0 without them.
    """
    scaled = logits / np.float32(sampling.temperature) if sampling.temperature > 0 else logits
    values, tokens = (scaled, None) if sampling.temperature == 0 else _kept(scaled, sampling)
    highest = scaled.max(axis=-1) if tokens is None else values[:, 0]  # the first of `top_k` is the largest of all
    total = highest + jnp.log(jnp.exp(scaled - highest[:, None]).sum(axis=-1))
    kept_mass = jnp.zeros_like(total)
    if sampling.temperature == 0:
        chosen = _first(scaled == highest[:, None])
    else:
        powers = jnp.exp(values - highest[:, None])
        chosen = _draw(powers, keys)
        if values is not scaled:
            kept_mass = jnp.minimum(highest + jnp.log(powers.sum(axis=-1)) - total, 0.0)
        if tokens is not None:
            chosen = jnp.take_along_axis(tokens, chosen[:, None], axis=-1)[:, 0]
    logprobs = jnp.take_along_axis(scaled, chosen[:, None], axis=-1)[:, 0] - total
    return chosen.astype(jnp.int32), logprobs, kept_mass


def _kept(
    scaled: Float[Array, "rows vocab"], sampling: Sampling
) -> tuple[Float[Array, "rows choices"], Int[Array, "rows choices"] | None]:
    """The values that top-k and top-p leave (-inf: dropped), and their tokens; None: every token, in order."""
    rows, vocab = scaled.shape
    k, p = min(sampling.top_k, vocab) or vocab, np.float32(sampling.top_p)
    if k == vocab and p >= 1:
        return scaled, None
    if k <= MOST_SORTED:
        values, tokens = top_k(scaled, k)
        if p < 1:
            probabilities = jax.nn.softmax(values, axis=-1)
            before = jnp.cumsum(probabilities, axis=-1) - probabilities
            values = jnp.where(before < p, values, -jnp.inf)
        return values, tokens
    values = scaled
    if k < vocab:
        values = jnp.where(leading(values, jnp.ones_like(values), jnp.full(rows, np.float32(k))), values, -jnp.inf)
    if p < 1:
        probabilities = jax.nn.softmax(values, axis=-1)
        values = jnp.where(leading(values, probabilities, jnp.full(rows, p)), values, -jnp.inf)
    return values, None
