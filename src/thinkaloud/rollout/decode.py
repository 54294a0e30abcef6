"""The programs that run on the device while completions are sampled.

Prompts are prefilled once (`prefill`); the group shares their keys and values. `decoding_weights` unstacks the layers,
so that no layer is copied out of a stack at every step. Float32 weights have the adapter merged in; in a narrower type,
merging would round much of it away, and the sampled policy would differ from the trained one. `decode` is one loop over
positions. Every completion starts at slot 0, whatever its prompt's length, so there is no ragged indexing. The loop
ends when all rows are done, or when so few are left that the host repacks them.
"""

from __future__ import annotations

import os
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int

from thinkaloud.model.architecture import (
    Layer,
    Params,
    Rotation,
    doubled,
    embed,
    finish_block,
    fuse_layer,
    head_weight,
    queries_keys_values,
    rms_norm,
    rotation,
    token_heads,
)
from thinkaloud.model.attention import shared_prefix_attention
from thinkaloud.model.config import ModelConfig
from thinkaloud.model.lora import Adapter, merge_adapter
from thinkaloud.model.packed import Packed, forward
from thinkaloud.model.precision import (
    activation_dtype,
    as_bits,
    as_numbers,
    gpu_capability,
    weight_product,
    weights_dtype,
)
from thinkaloud.rollout import decode_kernel
from thinkaloud.rollout.sampling import Sampling, row_keys, sample

Cache = tuple[tuple[Array, ...], tuple[Array, ...]]
"""The prompts' keys and values, one array per layer, heads first: [prompts, kv, length, dim]; keys have their last two
axes swapped, as the product with queries reads them."""

OwnCache = tuple[tuple[Array, ...], ...]
"""The completions' keys and values by layer. Rows are prompts * kv * group. Keys [rows, dim, slots] and values [rows,
slots, dim]; for `decode_kernel` one array [rows, 2, slots, dim], which one kernel writes."""


NO_KERNEL = "THINKALOUD_NO_KERNEL"
"""Set to 1, this environment variable leaves attention on GPUs to XLA."""


class DecodingWeights(NamedTuple):
    """Per layer: matrices, norms and biases, and the LoRA pairs that are not merged into them."""

    layers: list[Layer]
    pairs: list[Layer]


class State(NamedTuple):
    """The state of decoding. `step` is the slot of the last sampled token."""

    step: Int[Array, ""]
    tokens: Int[Array, "prompts group slots"]
    logprobs: Float[Array, "prompts group slots"]
    kept_mass: Float[Array, "prompts group slots"]
    """Log of the probability that top-k and top-p kept."""
    done: Bool[Array, "prompts group"]
    rows: Int[Array, "prompts group"]
    """The row's number in the whole rollout; it labels the noise."""
    prompt_lengths: Int[Array, " prompts"]


@partial(jax.jit, static_argnames=("config", "scale", "fuse"))
def decoding_weights(
    params: Params, adapter: Adapter, config: ModelConfig, scale: float, *, fuse: bool = False
) -> DecodingWeights:
    """The weights, one dict per layer; the adapter is merged into float32 weights and kept apart from others.

    With `fuse`, projections of the same input are one matrix (`FusedProjections`), which holds the adapter too.
    """
    layers, pairs, merge = [], [], weights_dtype(params) == jnp.float32
    for index in range(config.num_layers):
        layer, pair = jax.tree.map(lambda stack, i=index: stack[i], (params["layers"], adapter))
        if merge:
            layer, pair = merge_adapter(layer, pair, scale), {}
        layer = as_numbers(layer)
        layers.append(fuse_layer(layer, pair, scale, config) if fuse else layer)
        pairs.append({} if fuse else pair)
    return DecodingWeights(layers, pairs)


def fuses(mesh: Mesh | None) -> bool:
    """Whether `decoding_weights` fuses projections: on accelerators, if every device has whole matrices.

    Of matrices that are divided, each device has a part of every one, which is no part of all of them in a row. A CPU
    gains nothing: it has no kernels to launch.
    """
    return jax.default_backend() != "cpu" and (mesh is None or mesh.shape["fsdp"] * mesh.shape["tensor"] == 1)


@partial(jax.jit, static_argnames=("config", "scale"))
def prefill(
    params: Params, adapter: Adapter, packed: Packed, config: ModelConfig, scale: float
) -> tuple[Float[Array, "prompts vocab"], Cache]:
    """Logits (float32) after each prompt's last token, and the prompts' keys and values by layer."""
    hidden, (keys, values) = forward(params, adapter, packed, config, scale, collect=True)
    return _logits(params, hidden[packed.last_of_prompt]), (tuple(jnp.swapaxes(keys, -1, -2)), tuple(values))


def lengthen(prompt: Cache, length: int) -> Cache:
    """Pad the prompts' keys and values to `length` slots at the end."""
    return prompt if prompt[1][0].shape[2] == length else _lengthen(prompt, length)


@partial(jax.jit, static_argnames=("length",))
def _lengthen(prompt: Cache, length: int) -> Cache:
    keys, values = prompt
    none, more = (0, 0), (0, length - values[0].shape[2])
    return (
        tuple(jnp.pad(x, (none, none, none, more)) for x in keys),
        tuple(jnp.pad(x, (none, none, more, none)) for x in values),
    )


@partial(jax.jit, static_argnames=("slots", "sampling", "stop_ids"))
def start(
    logits: Float[Array, "prompts vocab"],
    live: Bool[Array, " prompts"],
    prompt_lengths: Int[Array, " prompts"],
    rows: Int[Array, "prompts group"],
    key: Array,
    *,
    slots: int,
    sampling: Sampling,
    stop_ids: tuple[int, ...],
) -> State:
    """Sample every completion's first token. Prompts that are not `live` are padding and done at once."""
    shape, empty = rows.shape, (*rows.shape, slots)
    repeated, keys = jnp.repeat(logits, rows.shape[1], axis=0), row_keys(key, rows.reshape(-1), 0)
    tokens, logprobs, kept_mass = sample(repeated, keys, sampling)
    done = _is_stop(tokens, stop_ids).reshape(shape) | ~live[:, None]
    return State(
        step=jnp.zeros((), jnp.int32),
        tokens=jnp.zeros(empty, jnp.int32).at[:, :, 0].set(tokens.reshape(shape)),
        logprobs=jnp.zeros(empty, jnp.float32).at[:, :, 0].set(logprobs.reshape(shape)),
        kept_mass=jnp.zeros(empty, jnp.float32).at[:, :, 0].set(kept_mass.reshape(shape)),
        done=done,
        rows=rows,
        prompt_lengths=prompt_lengths,
    )


@partial(jax.jit, static_argnames=("config", "scale", "sampling", "stop_ids", "kernel"), donate_argnums=(2, 3))
def decode(
    params: Params,
    weights: DecodingWeights,
    own: OwnCache,
    state: State,
    prompt: Cache,
    key: Array,
    limit: Int[Array, ""],
    enough: Int[Array, ""],
    *,
    config: ModelConfig,
    scale: float,
    sampling: Sampling,
    stop_ids: tuple[int, ...],
    kernel: bool = False,
) -> tuple[OwnCache, State]:
    """Feed and sample until `limit` tokens, or until at most `enough` rows are live.

    Args:
        params: The base model's parameters; embedding, final norm and head are used.
        weights: From `decoding_weights`.
        own: Keys and values of the completions so far, by layer. Donated.
        state: Donated.
        prompt: Keys and values of the prompts, by layer.
        kernel: Whether attention is the kernel for GPUs (`uses_kernel`); the weights are fused then.
    """
    prompts, group = state.done.shape
    params, weights = as_bits((params, weights))
    # for all positions at once: in the loop, XLA would compute them anew in every layer
    turns = rotation(config, jnp.arange(prompt[1][0].shape[2] + state.tokens.shape[2]))
    turns = doubled(turns) if kernel else turns

    def attend(
        x: Array, layer: Layer, pairs: Layer, turn: Rotation, own: tuple[Array, ...], now: State, index: int
    ) -> tuple[Array, tuple[Array, ...]]:
        """What the tokens attend to, [prompts, group, ...], and the layer's cache with them."""
        sliding, (keys, values) = config.sliding_layers[index], (part[index] for part in prompt)
        if kernel:
            token = token_heads(x, layer, config, turn, sliding)
            token = token.reshape(prompts, group, *token.shape[1:])
            known = (keys, values, own[0], now.prompt_lengths, now.step)
            attended, cache = decode_kernel.attend(token, *known, config, sliding=sliding)
            return attended, (cache,)
        query, key, value = queries_keys_values(x, layer, pairs, scale, config, turn, sliding)
        own_keys = _store(own[0], _cache_entry(key, group)[..., None], now.step, axis=2)
        own_values = _store(own[1], _cache_entry(value, group)[:, None], now.step, axis=1)
        attended = shared_prefix_attention(
            query.reshape(prompts, group, 1, *query.shape[1:]),
            jnp.swapaxes(keys, -1, -2),
            values,
            jnp.swapaxes(own_keys, -1, -2),
            own_values,
            now.prompt_lengths,
            now.step[None, None, None],
            now.step[None],
            sliding,
            config,
        )
        return attended, (own_keys, own_values)

    def more(carry: tuple[Any, State]) -> Array:
        now = carry[1]
        return (now.step + 1 < limit) & (jnp.sum(~now.done) > enough)

    def advance(carry: tuple[OwnCache, State]) -> tuple[OwnCache, State]:
        caches, now = list(carry[0]), carry[1]
        base, layers = as_numbers((params, weights.layers))
        last = jax.lax.dynamic_index_in_dim(now.tokens, now.step, axis=2, keepdims=False).reshape(-1)
        positions = jnp.repeat(now.prompt_lengths + now.step, group)
        turn = jax.tree.map(lambda table: table[positions], turns)
        x = embed(base, last, config)
        for index, (layer, pairs) in enumerate(zip(layers, weights.pairs, strict=True)):
            attended, caches[index] = attend(x, layer, pairs, turn, caches[index], now, index)
            x = finish_block(x, attended.reshape(len(x), -1), layer, pairs, scale, config)
        logits = _logits(base, rms_norm(x, base["final_norm"], config))
        step = now.step + 1
        tokens, logprobs, kept_mass = sample(logits, row_keys(key, now.rows.reshape(-1), step), sampling)
        tokens = jnp.where(now.done, 0, tokens.reshape(now.done.shape))
        logprobs = jnp.where(now.done, 0.0, logprobs.reshape(now.done.shape))
        kept_mass = jnp.where(now.done, 0.0, kept_mass.reshape(now.done.shape))
        return tuple(caches), now._replace(
            step=step,
            tokens=jax.lax.dynamic_update_index_in_dim(now.tokens, tokens, step, axis=2),
            logprobs=jax.lax.dynamic_update_index_in_dim(now.logprobs, logprobs, step, axis=2),
            kept_mass=jax.lax.dynamic_update_index_in_dim(now.kept_mass, kept_mass, step, axis=2),
            done=now.done | _is_stop(tokens, stop_ids),
        )

    return jax.lax.while_loop(more, advance, (own, state))


def uses_kernel(params: Params, config: ModelConfig, mesh: Mesh | None) -> bool:
    """Whether attention while decoding is `decode_kernel`: on one NVIDIA GPU where it works, without `NO_KERNEL`."""
    capability = None if os.environ.get(NO_KERNEL) == "1" else gpu_capability()
    if mesh is not None or capability is None:
        return False
    dtype = activation_dtype(weights_dtype(params))
    return decode_kernel.supports(config, dtype, capability) and decode_kernel.works(config)


def empty_cache(
    config: ModelConfig, prompts: int, group: int, slots: int, weights_dtype: Any, *, kernel: bool = False
) -> OwnCache:
    """An empty cache of the completions' keys and values, for weights of this dtype."""
    dtype = activation_dtype(weights_dtype)
    rows, dim = prompts * config.num_kv_heads * group, config.head_dim
    shapes: tuple[tuple[int, ...], ...] = (
        ((rows, 2, slots, dim),) if kernel else ((rows, dim, slots), (rows, slots, dim))
    )
    return tuple(tuple(jnp.zeros(shape, dtype) for shape in shapes) for _ in range(config.num_layers))


@jax.jit
def pack_rows(
    own: OwnCache,
    state: State,
    prompt: Cache,
    flat: Int[Array, " rows"],
    live: Bool[Array, " rows"],
) -> tuple[Any, State, Any]:
    """Keep the rows `flat` (prompt * group + member), each with a copy of its prompt, as groups of one."""
    prompts, group = state.done.shape
    of_prompt, member = flat // group, flat % group

    def take_own(x: Array) -> Array:
        rows = x.reshape(prompts, -1, group, *x.shape[1:])[of_prompt, :, member]
        return rows.reshape(-1, *x.shape[1:])

    packed = State(
        step=state.step,
        tokens=state.tokens[of_prompt, member][:, None],
        logprobs=state.logprobs[of_prompt, member][:, None],
        kept_mass=state.kept_mass[of_prompt, member][:, None],
        done=(state.done[of_prompt, member] | ~live)[:, None],
        rows=state.rows[of_prompt, member][:, None],
        prompt_lengths=state.prompt_lengths[of_prompt],
    )
    return jax.tree.map(take_own, own), packed, jax.tree.map(lambda x: x[of_prompt], prompt)


def _logits(params: Params, hidden: Float[Array, "rows width"]) -> Float[Array, "rows vocab"]:
    return weight_product("rd,vd->rv", hidden, head_weight(params))


def _is_stop(tokens: Int[Array, "*rows"], stop_ids: tuple[int, ...]) -> Bool[Array, "*rows"]:
    return jnp.isin(tokens, jnp.asarray(stop_ids, jnp.int32))


def _cache_entry(new: Float[Array, "rows kv dim"], group: int) -> Float[Array, "cache_rows dim"]:
    """One token's keys or values, [prompts * group, kv, dim], in the order of the cache's rows."""
    kv, dim = new.shape[1:]
    return jnp.swapaxes(new.reshape(-1, group, kv, dim), 1, 2).reshape(-1, dim)


def _store(cache: Array, entry: Array, step: Array, axis: int) -> Array:
    """Write one token's entry into slot `step`."""
    return jax.lax.dynamic_update_slice_in_dim(cache, entry.astype(cache.dtype), step, axis=axis)
