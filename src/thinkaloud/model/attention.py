"""Attention: prompts attend to themselves, completions to their group's prompt and to themselves.

A prompt's keys and values are computed once and shared by its group, both in the rollout and in the update. What a
query attends to follows from lengths and positions, never from token ids, so that tokenizers with pad = eos work. Masks
are computed where scores are, from small vectors, and never stored. Softmax is float32.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from thinkaloud.model.config import ModelConfig
from thinkaloud.model.precision import product
from thinkaloud.model.remat import keep

MASKED = np.float32(-1e30)
"""Replaces masked scores; finite, so that a row without any key stays finite."""

SCORE_BYTES = 2**29
"""Scores are computed for so many queries at once that they take about this much, in float32."""


class Reach(NamedTuple):
    """What each query attends to: earlier tokens within the window, real ones only. No arrays of [queries, keys].

    Attributes:
        prompt_lengths: Real tokens of each prompt; slot i holds the token at position i.
        offsets: The position of each query minus its prompt's length: the number of own tokens before it, which are in
            the slots before its own. A row of own slots may hold several completions.
        slots: The own slot of each query.
        window: Tokens that a query attends to, itself included; None for all.
    """

    prompt_lengths: Int[Array, " prompts"]
    offsets: Int[Array, "#prompts #rows positions"]
    slots: Int[Array, " positions"]
    window: Int[Array, ""] | None

    def mask(
        self, scores: Float[Array, "prompts kv rows queries length"], repeats: int
    ) -> Float[Array, "prompts kv rows queries length"]:
        """Scores against the prompt; each position has `repeats` queries next to each other."""
        # in the scores' own shape, so that XLA computes it there and does not store a smaller mask
        slots = jax.lax.broadcasted_iota(jnp.int32, scores.shape, 4)
        lengths = self.prompt_lengths[:, None, None, None, None]
        real = slots < lengths
        if self.window is not None:
            real = real & (lengths + _by_query(self.offsets, repeats) - slots < self.window)
        return jnp.where(real, scores, MASKED)

    def mask_own(
        self, scores: Float[Array, "prompts kv rows queries own"], repeats: int
    ) -> Float[Array, "prompts kv rows queries own"]:
        """Scores against the own slots."""
        slots = jax.lax.broadcasted_iota(jnp.int32, scores.shape, 4)
        before = _by_query(self.slots[None, None], repeats) - slots
        real = (before >= 0) & (before <= _by_query(self.offsets, repeats))
        if self.window is not None:
            real = real & (before < self.window)
        return jnp.where(real, scores, MASKED)

    def in_blocks(self, blocks: int) -> tuple[Array, Array]:
        """`offsets` and `slots`, each with a leading axis of blocks of positions."""
        offsets = self.offsets.reshape(*self.offsets.shape[:2], blocks, -1)
        return jnp.moveaxis(offsets, 2, 0), self.slots.reshape(blocks, -1)

    def of_block(self, block: tuple[Array, Array]) -> Reach:
        """The reach of one of `in_blocks`."""
        return self._replace(offsets=block[0], slots=block[1])


def _by_query(x: Int[Array, "prompts rows positions"], repeats: int) -> Int[Array, "prompts 1 rows queries 1"]:
    return jnp.repeat(x, repeats, axis=2)[:, None, :, :, None]


def window_of(sliding: Bool[Array, ""] | bool, config: ModelConfig) -> Int[Array, ""] | None:
    """`Reach.window` of a layer."""
    if config.sliding_window is None or sliding is False:
        return None
    return jnp.where(sliding, config.sliding_window, np.int32(2**30))


def heads_first(x: Float[Array, "*rows length heads dim"], config: ModelConfig) -> Float[Array, "*rows kv queries dim"]:
    """[..., length, heads, dim] -> [..., kv heads, length * (heads / kv heads), dim]: rows that share a key head.

    Scores are then batched products in their final order, and only the small operands are transposed.
    """
    *rows, length, heads, dim = x.shape
    grouped = x.reshape(*rows, length, config.num_kv_heads, heads // config.num_kv_heads, dim)
    return jnp.moveaxis(grouped, -3, -4).reshape(*rows, config.num_kv_heads, -1, dim)


def heads_last(x: Float[Array, "*rows kv queries dim"], length: int) -> Float[Array, "*rows length heads dim"]:
    """The inverse of `heads_first`."""
    *rows, kv, queries, dim = x.shape
    grouped = jnp.moveaxis(x.reshape(*rows, kv, length, queries // length, dim), -4, -3)
    return grouped.reshape(*rows, length, kv * (queries // length), dim)


def self_attention(
    query: Float[Array, "prompts length heads dim"],
    key: Float[Array, "prompts kv length dim"],
    value: Float[Array, "prompts kv length dim"],
    sliding: Bool[Array, ""] | bool,
    config: ModelConfig,
) -> Float[Array, "prompts length heads dim"]:
    """Causal attention of each prompt to itself; prompts are padded on the right, keys and values heads first."""
    prompts, length = query.shape[:2]
    nothing = jnp.zeros((prompts, config.num_kv_heads, 0, config.head_dim), key.dtype)
    rows = (-1, length, config.head_dim)
    no_prompt = jnp.zeros(prompts, jnp.int32)
    slots = jnp.arange(length)
    reach = Reach(no_prompt, slots[None, None], slots, window_of(sliding, config))
    own = (key.reshape(rows), value.reshape(rows))
    attended = attend_to_two(_queries(query[:, None], config), nothing, nothing, *own, reach)
    return heads_last(jnp.moveaxis(attended, 2, 1), length)[:, 0]


def shared_prefix_attention(
    query: Float[Array, "prompts rows queries heads dim"],
    prompt_key: Float[Array, "prompts kv length dim"],
    prompt_value: Float[Array, "prompts kv length dim"],
    own_key: Float[Array, "own slots dim"],
    own_value: Float[Array, "own slots dim"],
    prompt_lengths: Int[Array, " prompts"],
    offsets: Int[Array, "#prompts #rows queries"],
    slots: Int[Array, " queries"],
    sliding: Bool[Array, ""] | bool,
    config: ModelConfig,
) -> Float[Array, "prompts rows queries heads dim"]:
    """Completions attend to their prompt (stored once per group) and to their own earlier tokens, in one softmax.

    Args:
        query: Queries of rows of completions; a row holds one completion after the other.
        prompt_key, prompt_value: The prompt's, heads first, padded on the right to `length`.
        own_key, own_value: Those of the rows; the first axis is prompts * kv heads * rows, in that order. (Flat, since
            XLA copies a decoding cache that a dot reads in any other shape, on CPUs.)
        prompt_lengths: Real tokens of each prompt.
        offsets: The place of each query in its completion. What a query of an unused slot attends to does not matter.
        slots: The own slot of each query.
    """
    reach = Reach(prompt_lengths, offsets, slots, window_of(sliding, config))
    attended = attend_to_two(_queries(query, config), prompt_key, prompt_value, own_key, own_value, reach)
    return heads_last(jnp.moveaxis(attended, 2, 1), query.shape[2])


def _queries(query: Array, config: ModelConfig) -> Array:
    """Scaled, [prompts, rows, slots, heads, dim] -> [prompts, kv, rows, slots * heads / kv, dim]."""
    return jnp.moveaxis(heads_first(query, config), 1, 2) * jnp.asarray(config.query_scale, query.dtype)


@jax.custom_vjp
def attend_to_two(
    query: Float[Array, "prompts kv rows queries dim"],
    prompt_key: Float[Array, "prompts kv length dim"],
    prompt_value: Float[Array, "prompts kv length dim"],
    own_key: Float[Array, "own slots dim"],
    own_value: Float[Array, "own slots dim"],
    reach: Reach,
) -> Float[Array, "prompts kv rows queries dim"]:
    """One softmax over two sets of keys: those of the prompt, shared by its rows, and those of each row.

    Queries hold the heads of a position next to each other; `own` rows are prompts * kv * rows. Queries are processed
    in blocks (`num_blocks`). The backward pass is that of FlashAttention (arXiv 2205.14135, algorithm 4) with blocks of
    queries alone: it uses the output and the log-sum-exp instead of recomputing the softmax.
    """
    return _attend(query, prompt_key, prompt_value, own_key, own_value, reach)[0]


def num_blocks(scores: int, positions: int) -> int:
    """The blocks into which queries are divided: a power of two, as far as it divides the positions.

    Args:
        scores: Scores of all queries.
        positions: Positions of the queries.
    """
    blocks = 1
    while 4 * scores > SCORE_BYTES * blocks and positions % (2 * blocks) == 0:
        blocks *= 2
    return blocks


def _attend(
    query: Array, prompt_key: Array, prompt_value: Array, own_key: Array, own_value: Array, reach: Reach
) -> tuple[Array, Array]:
    """The attended values, and the log-sum-exp of each query's scores (float32)."""
    keys = (prompt_key, prompt_value, own_key, own_value)
    blocks = num_blocks(_num_scores(query, prompt_key, own_key), len(reach.slots))
    if blocks == 1:
        return _attend_block(query, *keys, reach)

    def one(block: tuple[Array, Any]) -> tuple[Array, Array]:
        return _attend_block(block[0], *keys, reach.of_block(block[1]))

    attended, normalizer = jax.lax.map(one, (_split(query, blocks), reach.in_blocks(blocks)))
    return _unsplit(attended), _unsplit(normalizer)


def _num_scores(query: Array, prompt_key: Array, own_key: Array) -> int:
    return query.size // query.shape[-1] * (prompt_key.shape[2] + own_key.shape[1])


def _split(x: Float[Array, "prompts kv rows queries width"], blocks: int) -> Array:
    """-> [blocks, prompts, kv, rows, queries / blocks, width]."""
    return jnp.moveaxis(x.reshape(*x.shape[:3], blocks, -1, x.shape[4]), 3, 0)


def _unsplit(x: Float[Array, "blocks prompts kv group queries width"]) -> Array:
    """The inverse of `_split`."""
    return jnp.moveaxis(x, 0, 3).reshape(*x.shape[1:4], -1, x.shape[5])


def _attend_block(
    query: Array, prompt_key: Array, prompt_value: Array, own_key: Array, own_value: Array, reach: Reach
) -> tuple[Array, Array]:
    scores, own_scores = _scores(query, prompt_key, own_key, reach)
    highest = own_scores.max(-1, keepdims=True)
    if scores.shape[-1]:
        highest = jnp.maximum(scores.max(-1, keepdims=True), highest)
    powers, own_powers = jnp.exp(scores - highest), jnp.exp(own_scores - highest)
    total = powers.sum(-1, keepdims=True) + own_powers.sum(-1, keepdims=True)
    dtype = own_value.dtype
    from_prompt = _batched("pkqs,pksd->pkqd", _joined(powers.astype(dtype)), prompt_value)
    from_own = _batched("rqs,rsd->rqd", _flat(own_powers.astype(dtype)), own_value)
    attended = (from_prompt.reshape(query.shape) + from_own.reshape(query.shape)) / total
    return attended.astype(query.dtype), highest + jnp.log(total)


def _scores(
    query: Array, prompt_key: Array, own_key: Array, reach: Reach
) -> tuple[Float[Array, "prompts kv rows queries length"], Float[Array, "prompts kv rows queries own"]]:
    """Masked scores, float32: the queries of all rows against the prompt, and of each row against its own slots."""
    repeats, shape = query.shape[3] // len(reach.slots), query.shape[:4]
    scores = _batched("pkqd,pksd->pkqs", _joined(query), prompt_key).reshape(*shape, prompt_key.shape[2])
    own_scores = _batched("rqd,rsd->rqs", _flat(query), own_key).reshape(*shape, own_key.shape[1])
    # XLA would compute the masks of all layers before the loop over them, and keep them
    barrier: Any = jax.lax.optimization_barrier
    reach, _ = barrier((reach, query[0, 0, 0, 0, 0]))
    return reach.mask(scores, repeats), reach.mask_own(own_scores, repeats)


def _joined(x: Float[Array, "prompts kv rows queries width"]) -> Float[Array, "prompts kv joined width"]:
    return x.reshape(*x.shape[:2], x.shape[2] * x.shape[3], x.shape[4])


def _flat(x: Float[Array, "prompts kv rows queries width"]) -> Float[Array, "own queries width"]:
    return x.reshape(x.shape[0] * x.shape[1] * x.shape[2], *x.shape[3:])


def _batched(formula: str, one: Array, other: Array) -> Array:
    return product(formula, one, other)


def _attend_forward(query: Array, *rest: Any) -> tuple[Array, tuple[Any, ...]]:
    attended, normalizer = _attend(query, *rest)
    # named, so that a rematerialized layer keeps both instead of recomputing attention
    attended = keep(attended, "attended")
    normalizer = keep(normalizer, "normalizer")
    return attended, (query, *rest, attended, normalizer)


def _attend_backward(saved: tuple[Any, ...], gradient: Array) -> tuple[Array | None, ...]:
    query, *keys, reach, attended, normalizer = saved
    drift = jnp.sum(gradient.astype(jnp.float32) * attended.astype(jnp.float32), axis=-1, keepdims=True)
    by_query = (query, gradient, drift, normalizer)
    blocks = num_blocks(_num_scores(query, keys[0], keys[2]), len(reach.slots))
    if blocks == 1:
        query_slope, slopes = _block_backward(by_query, keys, reach)
    else:

        def one(sums: list[Array], block: tuple[Any, Any]) -> tuple[list[Array], Array]:
            query_slope, slopes = _block_backward(block[0], keys, reach.of_block(block[1]))
            return [total + slope for total, slope in zip(sums, slopes, strict=True)], query_slope

        split = tuple(_split(x, blocks) for x in by_query), reach.in_blocks(blocks)
        slopes, parts = jax.lax.scan(one, [jnp.zeros(x.shape, jnp.float32) for x in keys], split)
        query_slope = _unsplit(parts)
    return (query_slope.astype(query.dtype), *(slope.astype(query.dtype) for slope in slopes), None)


def _block_backward(by_query: tuple[Array, ...], keys: list[Array], reach: Reach) -> tuple[Array, list[Array]]:
    """Gradients of a block's queries, and of all keys and values (in the order of `keys`) through them, in float32."""
    query, gradient, drift, normalizer = by_query
    prompt_key, prompt_value, own_key, own_value = keys
    dtype = query.dtype
    scores, own_scores = _scores(query, prompt_key, own_key, reach)

    weights = jnp.exp(scores - normalizer)
    slopes = _batched("pkqd,pksd->pkqs", _joined(gradient), prompt_value).reshape(scores.shape)
    slopes = _joined((weights * (slopes - drift)).astype(dtype))
    weights = _joined(weights.astype(dtype))
    query_slope = _batched("pkqs,pksd->pkqd", slopes, prompt_key).reshape(query.shape)
    key_slope = _batched("pkqs,pkqd->pksd", slopes, _joined(query))
    value_slope = _batched("pkqs,pkqd->pksd", weights, _joined(gradient))

    weights = jnp.exp(own_scores - normalizer)
    slopes = _batched("rqd,rsd->rqs", _flat(gradient), own_value).reshape(own_scores.shape)
    slopes = _flat((weights * (slopes - drift)).astype(dtype))
    weights = _flat(weights.astype(dtype))
    query_slope = query_slope + _batched("rqs,rsd->rqd", slopes, own_key).reshape(query.shape)
    own_key_slope = _batched("rqs,rqd->rsd", slopes, _flat(query))
    own_value_slope = _batched("rqs,rqd->rsd", weights, _flat(gradient))
    return query_slope, [key_slope, value_slope, own_key_slope, own_value_slope]


attend_to_two.defvjp(_attend_forward, _attend_backward)
