"""Attention: prompts attend to themselves, completions to their group's prompt and to themselves.

A prompt's keys and values are computed once and shared by its group, both in the rollout and in the update. Masks are
built from lengths and positions, never from token ids, so that tokenizers with pad = eos work. Softmax is float32.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from thinkaloud.model.config import ModelConfig
from thinkaloud.model.precision import product
from thinkaloud.model.remat import keep

MASKED = np.float32(-1e30)
"""Replaces masked scores; finite, so that a row without any key stays finite."""


def visible(
    query_positions: Int[Array, "*rows queries"],
    key_positions: Int[Array, "*rows keys"],
    key_valid: Bool[Array, "*rows keys"],
    sliding: Bool[Array, ""] | bool,
    config: ModelConfig,
) -> Bool[Array, "*rows queries keys"]:
    """The mask: causal, within the window in sliding layers, real keys only."""
    distance = query_positions[..., :, None] - key_positions[..., None, :]
    mask = (distance >= 0) & key_valid[..., None, :]
    if config.sliding_window is None:
        return mask
    return mask & ((distance < config.sliding_window) | ~jnp.asarray(sliding))


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
    lengths: Int[Array, " prompts"],
    sliding: Bool[Array, ""] | bool,
    config: ModelConfig,
) -> Float[Array, "prompts length heads dim"]:
    """Causal attention of each prompt to itself; prompts are padded on the right, keys and values heads first."""
    prompts, length = query.shape[:2]
    positions = jnp.broadcast_to(jnp.arange(length), query.shape[:2])
    mask = visible(positions, positions, positions < lengths[:, None], sliding, config)
    nothing = jnp.zeros((prompts, config.num_kv_heads, 0, config.head_dim), key.dtype)
    rows = (-1, length, config.head_dim)
    attended = attend_to_two(
        _queries(query[:, None], config),
        nothing,
        nothing,
        key.reshape(rows),
        value.reshape(rows),
        jnp.zeros((prompts, length, 0), bool),
        mask[:, None],
    )
    return heads_last(jnp.moveaxis(attended, 2, 1), length)[:, 0]


def shared_prefix_attention(
    query: Float[Array, "prompts group queries heads dim"],
    prompt_key: Float[Array, "prompts kv length dim"],
    prompt_value: Float[Array, "prompts kv length dim"],
    own_key: Float[Array, "rows own dim"],
    own_value: Float[Array, "rows own dim"],
    prompt_lengths: Int[Array, " prompts"],
    own_lengths: Int[Array, "prompts group"],
    query_offsets: Int[Array, " queries"],
    sliding: Bool[Array, ""] | bool,
    config: ModelConfig,
) -> Float[Array, "prompts group queries heads dim"]:
    """Completions attend to their prompt (stored once per group) and to their own earlier tokens, in one softmax.

    Args:
        query: Queries at `query_offsets` tokens after the prompt's end.
        prompt_key, prompt_value: The prompt's, heads first, padded on the right to `length`.
        own_key, own_value: The completions' own, slot i holding the i-th token; rows are prompts * kv heads * group, in
            that order. (Flat, since XLA copies a decoding cache that a dot reads in any other shape, on CPUs.)
        prompt_lengths: Real tokens of each prompt.
        own_lengths: Real tokens of each completion in its slots.
    """
    prompts, _, queries = query.shape[:3]
    length, own = prompt_key.shape[2], own_key.shape[1]
    ends = prompt_lengths[:, None]
    query_positions = jnp.broadcast_to(ends + query_offsets[None], (prompts, queries))
    prompt_positions = jnp.broadcast_to(jnp.arange(length), (prompts, length))
    own_positions = jnp.broadcast_to(ends + jnp.arange(own)[None], (prompts, own))
    to_prompt = visible(query_positions, prompt_positions, prompt_positions < ends, sliding, config)
    to_own = visible(query_positions, own_positions, jnp.ones((prompts, own), bool), sliding, config)
    to_own = to_own[:, None] & (jnp.arange(own)[None, None] < own_lengths[..., None])[:, :, None]
    attended = attend_to_two(_queries(query, config), prompt_key, prompt_value, own_key, own_value, to_prompt, to_own)
    return heads_last(jnp.moveaxis(attended, 2, 1), queries)


def _queries(query: Array, config: ModelConfig) -> Array:
    """Scaled, [prompts, group, queries, heads, dim] -> [prompts, kv, group, queries * heads / kv, dim]."""
    return jnp.moveaxis(heads_first(query, config), 1, 2) * jnp.asarray(config.query_scale, query.dtype)


@jax.custom_vjp
def attend_to_two(
    query: Float[Array, "prompts kv group queries dim"],
    prompt_key: Float[Array, "prompts kv length dim"],
    prompt_value: Float[Array, "prompts kv length dim"],
    own_key: Float[Array, "rows own dim"],
    own_value: Float[Array, "rows own dim"],
    to_prompt: Bool[Array, "prompts positions length"],
    to_own: Bool[Array, "prompts members positions own"],
) -> Float[Array, "prompts kv group queries dim"]:
    """One softmax over two sets of keys: those shared by a group, and those of each member.

    Queries hold the heads of a position next to each other; `own` rows are prompts * kv * group; masks have one row for
    all members or one per member. The backward pass is that of FlashAttention (arXiv 2205.14135, algorithm 4) without
    tiling: it uses the output and the log-sum-exp instead of recomputing the softmax.
    """
    return _attend(query, prompt_key, prompt_value, own_key, own_value, to_prompt, to_own)[0]


def _attend(
    query: Array, prompt_key: Array, prompt_value: Array, own_key: Array, own_value: Array, *masks: Array
) -> tuple[Array, Array]:
    """The attended values, and the log-sum-exp of each query's scores (float32)."""
    scores, own_scores = _scores(query, prompt_key, own_key, *masks)
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
    query: Array, prompt_key: Array, own_key: Array, to_prompt: Array, to_own: Array
) -> tuple[Float[Array, "prompts kv group queries length"], Float[Array, "prompts kv group queries own"]]:
    """Masked scores, float32: the queries of all members against the prompt, and of each member against its tokens."""
    repeats = query.shape[3] // to_own.shape[2]
    shape = query.shape[:4]
    scores = _batched("pkqd,pksd->pkqs", _joined(query), prompt_key).reshape(*shape, prompt_key.shape[2])
    own_scores = _batched("rqd,rsd->rqs", _flat(query), own_key).reshape(*shape, own_key.shape[1])
    scores = jnp.where(jnp.repeat(to_prompt, repeats, axis=1)[:, None, None], scores, MASKED)
    own_scores = jnp.where(jnp.repeat(to_own, repeats, axis=2)[:, None], own_scores, MASKED)
    return scores, own_scores


def _joined(x: Float[Array, "prompts kv group queries width"]) -> Float[Array, "prompts kv rows width"]:
    return x.reshape(*x.shape[:2], x.shape[2] * x.shape[3], x.shape[4])


def _flat(x: Float[Array, "prompts kv group queries width"]) -> Float[Array, "rows queries width"]:
    return x.reshape(x.shape[0] * x.shape[1] * x.shape[2], *x.shape[3:])


def _batched(formula: str, one: Array, other: Array) -> Array:
    return product(formula, one, other)


def _attend_forward(query: Array, *rest: Array) -> tuple[Array, tuple[Array, ...]]:
    attended, normalizer = _attend(query, *rest)
    # named, so that a rematerialized layer keeps both instead of recomputing attention
    attended = keep(attended, "attended")
    normalizer = keep(normalizer, "normalizer")
    return attended, (query, *rest, attended, normalizer)


def _attend_backward(saved: tuple[Array, ...], gradient: Array) -> tuple[Array | None, ...]:
    query, prompt_key, prompt_value, own_key, own_value, to_prompt, to_own, attended, normalizer = saved
    dtype = query.dtype
    scores, own_scores = _scores(query, prompt_key, own_key, to_prompt, to_own)
    wide = gradient.astype(jnp.float32)
    drift = jnp.sum(wide * attended.astype(jnp.float32), axis=-1, keepdims=True)

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
    found = (query_slope, key_slope, value_slope, own_key_slope, own_value_slope)
    return (*(slope.astype(dtype) for slope in found), None, None)


attend_to_two.defvjp(_attend_forward, _attend_backward)
