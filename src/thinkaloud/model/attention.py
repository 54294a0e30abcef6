"""How tokens attend: prompts to themselves, completions to their group's prompt and to themselves.

A prompt's keys and values are computed once and shared by its group, in the rollout and in the update alike. Masks
come from lengths and positions, never from token ids, so that tokenizers whose pad is eos work. Softmax in float32.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from thinkaloud.model.config import ModelConfig

MASKED = np.float32(-1e30)
"""Added to nothing, put in place of a score: finite, so that a row without any key stays finite."""


def visible(
    query_positions: Int[Array, "*rows queries"],
    key_positions: Int[Array, "*rows keys"],
    key_valid: Bool[Array, "*rows keys"],
    sliding: Bool[Array, ""] | bool,
    config: ModelConfig,
) -> Bool[Array, "*rows queries keys"]:
    """Causal, within the window where the layer slides, real keys only."""
    distance = query_positions[..., :, None] - key_positions[..., None, :]
    mask = (distance >= 0) & key_valid[..., None, :]
    if config.sliding_window is None:
        return mask
    return mask & ((distance < config.sliding_window) | ~jnp.asarray(sliding))


def heads_first(x: Float[Array, "*rows length heads dim"], config: ModelConfig) -> Float[Array, "*rows kv queries dim"]:
    """[..., length, heads, dim] -> [..., kv heads, length * (heads / kv heads), dim]: rows that share a key head.

    Scores are then plain batched products in their final order; only the small operands are ever transposed.
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
    length, repeats = query.shape[1], config.num_heads // config.num_kv_heads
    positions = jnp.broadcast_to(jnp.arange(length), query.shape[:2])
    mask = visible(positions, positions, positions < lengths[:, None], sliding, config)
    heads = heads_first(query, config) * jnp.asarray(config.query_scale, query.dtype)
    scores = jnp.einsum("pkqd,pksd->pkqs", heads, key, preferred_element_type=jnp.float32)
    weights = jax.nn.softmax(jnp.where(jnp.repeat(mask, repeats, axis=1)[:, None], scores, MASKED), axis=-1)
    return heads_last(jnp.einsum("pkqs,pksd->pkqd", weights.astype(value.dtype), value), length)


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
    """Completions attend to their prompt (kept once a group) and to their own earlier tokens, in one softmax.

    Args:
        query: Queries at `query_offsets` tokens after the prompt's end.
        prompt_key, prompt_value: The prompt's, heads first, padded on the right to `length`.
        own_key, own_value: The completions' own, slot i holding the i-th token; rows are prompts * kv heads * group, in
            that order. (Flat, since XLA copies a decoding cache that a dot reads in any other shape, on CPUs.)
        prompt_lengths: Real tokens of each prompt.
        own_lengths: Real tokens of each completion in its slots.
    """
    prompts, group, queries = query.shape[:3]
    length, own = prompt_key.shape[2], own_key.shape[1]
    repeats = config.num_heads // config.num_kv_heads
    ends = prompt_lengths[:, None]
    query_positions = jnp.broadcast_to(ends + query_offsets[None], (prompts, queries))
    prompt_positions = jnp.broadcast_to(jnp.arange(length), (prompts, length))
    own_positions = jnp.broadcast_to(ends + jnp.arange(own)[None], (prompts, own))
    to_prompt = visible(query_positions, prompt_positions, prompt_positions < ends, sliding, config)
    to_own = visible(query_positions, own_positions, jnp.ones((prompts, own), bool), sliding, config)
    to_own = to_own[:, None] & (jnp.arange(own)[None, None] < own_lengths[..., None])[:, :, None]

    # All members' queries at once against the prompt: [prompts, kv, group * queries * repeats, dim]. Each member's
    # against its own tokens: [prompts * kv * group, queries * repeats, dim]. The same order in memory.
    heads = jnp.moveaxis(heads_first(query, config), 1, 2) * jnp.asarray(config.query_scale, query.dtype)
    joined = (prompts, config.num_kv_heads, group * queries * repeats)
    scores = jnp.einsum(
        "pkqd,pksd->pkqs", heads.reshape(*joined, config.head_dim), prompt_key, preferred_element_type=jnp.float32
    )
    scores = jnp.where(jnp.repeat(jnp.tile(to_prompt, (1, group, 1)), repeats, axis=1)[:, None], scores, MASKED)
    scores = scores.reshape(*heads.shape[:4], length)
    flat = heads.reshape(-1, queries * repeats, config.head_dim)
    own_scores = jnp.einsum("rqd,rsd->rqs", flat, own_key, preferred_element_type=jnp.float32)
    own_scores = own_scores.reshape(*heads.shape[:4], own)
    own_scores = jnp.where(jnp.repeat(to_own, repeats, axis=2)[:, None], own_scores, MASKED)

    highest = jax.lax.stop_gradient(jnp.maximum(scores.max(-1, keepdims=True), own_scores.max(-1, keepdims=True)))
    powers, own_powers = jnp.exp(scores - highest), jnp.exp(own_scores - highest)
    total = powers.sum(-1, keepdims=True) + own_powers.sum(-1, keepdims=True)
    dtype = own_value.dtype
    from_prompt = jnp.einsum(
        "pkqs,pksd->pkqd",
        powers.astype(dtype).reshape(*joined, length),
        prompt_value,
        preferred_element_type=jnp.float32,
    ).reshape(heads.shape)
    own_powers = own_powers.astype(dtype).reshape(-1, queries * repeats, own)
    from_own = jnp.einsum("rqs,rsd->rqd", own_powers, own_value, preferred_element_type=jnp.float32)
    from_own = from_own.reshape(heads.shape)
    attended = ((from_prompt + from_own) / total).astype(query.dtype)
    return heads_last(jnp.moveaxis(attended, 2, 1), queries)
