"""The transformer block of Gemma 3, Llama and Qwen, on packed tokens; `ModelConfig` holds the differences.

Dense layers (projections, MLP, norms) process only real tokens, concatenated as [tokens, hidden]. The caller defines
attention: `block` takes an `attend` function. `run_layers` scans the stacked layers.

Precision: factors of a product with the base have its dtype. Sums, norms, rotations, softmax and adapters are float32.
For hidden states see `precision.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from thinkaloud.model.adapter_products import adapter_down, adapter_up
from thinkaloud.model.config import ModelConfig
from thinkaloud.model.fused import FusedProjections
from thinkaloud.model.precision import activation_dtype, as_bits, as_numbers, product, rows_of, weight_product
from thinkaloud.model.remat import SAVED_IN_BACKWARD, keep

Params = dict[str, Any]
Layer = dict[str, Any]


SAME_INPUT: tuple[tuple[str, ...], ...] = (("q", "k", "v"), ("o",), ("gate", "up"), ("down",))
"""The projections of a layer, grouped by their input."""


class Rotation(NamedTuple):
    """Cosines and sines of rotary angles, one row per token, for global and sliding-window layers."""

    cos: Float[Array, "*tokens half"]
    sin: Float[Array, "*tokens half"]
    local_cos: Float[Array, "*tokens half"]
    local_sin: Float[Array, "*tokens half"]


Attend = Callable[
    [Float[Array, "tokens heads dim"], Float[Array, "tokens kv dim"], Float[Array, "tokens kv dim"], Any],
    tuple[Float[Array, "tokens heads dim"], Any],
]
"""(queries, keys, values, whether the layer is sliding) -> (attended values, anything to collect per layer)."""


def rms_norm(x: Float[Array, "*rows width"], weight: Float[Array, "*heads width"], config: ModelConfig) -> Array:
    """RMSNorm (arXiv 1910.07467) in float32; Gemma's weight is an offset from one."""
    wide = x.astype(jnp.float32)
    normed = wide * jax.lax.rsqrt(jnp.mean(wide * wide, axis=-1, keepdims=True) + np.float32(config.norm_eps))
    factor = weight.astype(jnp.float32) + (np.float32(1.0) if config.norm_plus_one else np.float32(0.0))
    return (normed * _across(factor, x)).astype(x.dtype)


def _across(vector: Float[Array, "*heads width"], x: Float[Array, "*rows width"]) -> Array:
    """The vector, or one per head, with as many axes as `x`: implicit rank promotion is an error."""
    return vector.reshape(*[1] * (x.ndim - vector.ndim), *vector.shape)


def rope_frequencies(config: ModelConfig, *, local: bool) -> np.ndarray:
    """Angular frequencies [head_dim / 2] (radians per position), with the checkpoint's scaling."""
    theta = config.rope_local_theta if local and config.rope_local_theta is not None else config.rope_theta
    half = config.head_dim // 2
    frequencies = theta ** (-np.arange(half, dtype=np.float64) / half)
    scaling = config.rope_scaling
    if scaling is None or (local and config.rope_local_theta is not None):
        return frequencies.astype(np.float32)
    if scaling.kind == "linear":
        return (frequencies / scaling.factor).astype(np.float32)
    wavelength = 2 * np.pi / frequencies
    low = scaling.original_max_position / scaling.low_freq_factor
    high = scaling.original_max_position / scaling.high_freq_factor
    blend = (scaling.original_max_position / wavelength - scaling.low_freq_factor) / (
        scaling.high_freq_factor - scaling.low_freq_factor
    )
    between = (1 - blend) * frequencies / scaling.factor + blend * frequencies
    scaled = np.where(wavelength > low, frequencies / scaling.factor, np.where(wavelength < high, frequencies, between))
    return scaled.astype(np.float32)


def rotation(config: ModelConfig, positions: Int[Array, "*tokens"]) -> Rotation:
    """The rotary table (arXiv 2104.09864) for these positions."""
    wide = positions.astype(jnp.float32)
    angles = jnp.multiply.outer(wide, rope_frequencies(config, local=False))
    local = jnp.multiply.outer(wide, rope_frequencies(config, local=True))
    return Rotation(jnp.cos(angles), jnp.sin(angles), jnp.cos(local), jnp.sin(local))


def rotate(x: Float[Array, "*tokens heads dim"], cos: Array, sin: Array) -> Array:
    """Rotate each head; pairs are (i, i + dim / 2), as Hugging Face checkpoints expect."""
    first, second = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    cos, sin = cos[..., None, :], sin[..., None, :]
    return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1).astype(x.dtype)


def doubled(turn: Rotation) -> Rotation:
    """The tables for `rotate_doubled`, as wide as a head: [cos, cos] and [-sin, sin]."""
    return Rotation(
        jnp.concatenate([turn.cos, turn.cos], axis=-1),
        jnp.concatenate([-turn.sin, turn.sin], axis=-1),
        jnp.concatenate([turn.local_cos, turn.local_cos], axis=-1),
        jnp.concatenate([-turn.local_sin, turn.local_sin], axis=-1),
    )


def rotate_doubled(x: Float[Array, "*heads dim"], cos: Array, sin: Array) -> Array:
    """`rotate` in one expression, which XLA does not split into a kernel for each half."""
    wide, half = x.astype(jnp.float32), x.shape[-1] // 2
    return (wide * cos + jnp.concatenate([wide[..., half:], wide[..., :half]], axis=-1) * sin).astype(x.dtype)


@jax.custom_vjp
def frozen_product(x: Float[Array, "*rows inner"], weight: Float[Array, "inner outer"]) -> Float[Array, "*rows outer"]:
    """x W in float32, for a frozen matrix: no gradient flows into it.

    In the forward and the backward pass, both factors have the weights' dtype and sums are float32. With bfloat16
    weights this uses the matrix units of accelerators; CPUs with bfloat16 products run it twice as fast as float32.
    """
    return weight_product("...i,io->...o", x, weight)


def _product_forward(x: Array, weight: Array) -> tuple[Array, Array]:
    return frozen_product(x, weight), weight


def _product_backward(weight: Array, gradient: Array) -> tuple[Array, None]:
    slope = weight_product("...o,io->...i", gradient, weight)
    return slope.astype(activation_dtype(weight.dtype)), None


frozen_product.defvjp(_product_forward, _product_backward)


def project(
    x: Float[Array, "*rows width"], layer: Layer, adapter: Layer, names: tuple[str, ...], scale: float
) -> list[Array]:
    """x W + bias + scale (x A) B, summed in float32, for several matrices with the same input.

    Their A's are multiplied as one matrix, because thin products are inefficient. For bfloat16 x, `adapter_products`
    has the products. A layer that `fuse_layer` made holds the matrices as one too.
    """
    fused = layer.get(fused_name(names))
    if isinstance(fused, FusedProjections):
        return fused(x)
    by_terms = x.dtype == jnp.bfloat16
    adapted = [name for name in names if name in adapter]
    lows: dict[str, Array] = {}
    if adapted:
        down = jnp.concatenate([adapter[name]["a"] for name in adapted], axis=-1)
        low = adapter_down(x, down) if by_terms else product("...i,ir->...r", x.astype(jnp.float32), down)
        low = keep(low, "lora_in") * np.float32(scale)
        lows = dict(zip(adapted, jnp.split(low, len(adapted), axis=-1), strict=True))
    outputs = []
    for name in names:
        y = frozen_product(x, layer[name])
        if f"{name}_bias" in layer:
            y = y + _across(layer[f"{name}_bias"].astype(jnp.float32), y)
        if name in lows:
            up = adapter[name]["b"]
            y = y + (adapter_up(lows[name], up) if by_terms else product("...r,ro->...o", lows[name], up))
        outputs.append(y.astype(x.dtype))
    return outputs


def fused_name(names: tuple[str, ...]) -> str:
    """The key of projections that are stored as one."""
    return "+".join(names)


def fuse_layer(layer: Layer, pairs: Layer, scale: float, config: ModelConfig) -> Layer:
    """A layer whose projections with the same input are one matrix, with their LoRA pairs.

    `qk_norm` has the norms of queries and keys as `token_heads` needs them: [kv heads, queries of one + 1, dim].
    """
    fused = {fused_name(names): FusedProjections.of(layer, pairs, names, scale) for names in SAME_INPUT}
    apart = {name for names in SAME_INPUT for name in names}
    rest = {name: leaf for name, leaf in layer.items() if name.removesuffix("_bias") not in apart}
    if config.qk_norm:
        repeats = config.num_heads // config.num_kv_heads
        norms = jnp.concatenate([jnp.tile(rest["q_norm"], (repeats, 1)), rest["k_norm"][None]])
        rest["qk_norm"] = jnp.tile(norms, (config.num_kv_heads, 1, 1))
    return rest | fused


def activate(gate: Float[Array, "*rows inner"], config: ModelConfig) -> Array:
    """The activation function of the gate."""
    return jax.nn.gelu(gate, approximate=True) if config.activation == "gelu_tanh" else jax.nn.silu(gate)


def queries_keys_values(
    x: Float[Array, "*rows width"],
    layer: Layer,
    adapter: Layer,
    scale: float,
    config: ModelConfig,
    turn: Rotation,
    sliding: Any,
) -> tuple[Array, Array, Array]:
    """Normed, projected, head-split and rotated: queries [rows, heads, dim], keys and values [rows, kv, dim]."""
    normed = rms_norm(x, layer["attn_norm"], config)
    heads = (*x.shape[:-1], -1, config.head_dim)
    query, key, value = (y.reshape(heads) for y in project(normed, layer, adapter, SAME_INPUT[0], scale))
    if config.qk_norm:
        query = rms_norm(query, layer["q_norm"], config)
        key = rms_norm(key, layer["k_norm"], config)
    cos = jnp.where(sliding, turn.local_cos, turn.cos)
    sin = jnp.where(sliding, turn.local_sin, turn.sin)
    query = keep(rotate(query, cos, sin), "query")
    key = keep(rotate(key, cos, sin), "key")
    return query, key, keep(value, "value")


def token_heads(
    x: Float[Array, "rows width"], layer: Layer, config: ModelConfig, turn: Rotation, sliding: bool
) -> Float[Array, "rows kv heads dim"]:
    """`queries_keys_values` of a layer from `fuse_layer` as one array: for each key head its queries, key and value.

    `turn` is `doubled`.
    """
    normed = rms_norm(x, layer["attn_norm"], config)
    by_key = (len(x), config.num_kv_heads, -1, config.head_dim)
    query, key, value = (y.reshape(by_key) for y in project(normed, layer, {}, SAME_INPUT[0], 1.0))
    turned = jnp.concatenate([query, key], axis=2)
    if config.qk_norm:
        turned = rms_norm(turned, layer["qk_norm"], config)
    cos, sin = (turn.local_cos, turn.local_sin) if sliding else (turn.cos, turn.sin)
    return jnp.concatenate([rotate_doubled(turned, cos[:, None, None], sin[:, None, None]), value], axis=2)


def finish_block(
    x: Float[Array, "*rows width"], attended: Array, layer: Layer, adapter: Layer, scale: float, config: ModelConfig
) -> Array:
    """Output projection, residual and MLP: the part of a block after attention."""
    attended = attended.reshape(*x.shape[:-1], -1)
    (out,) = project(attended, layer, adapter, SAME_INPUT[1], scale)
    out = keep(out, "attention_out")
    if config.sandwich_norms:
        out = rms_norm(out, layer["post_attn_norm"], config)
    x = x + out
    normed = rms_norm(x, layer["mlp_norm"], config)
    gate, up = project(normed, layer, adapter, SAME_INPUT[2], scale)
    inner = activate(keep(gate, "gate"), config) * keep(up, "up")
    (out,) = project(inner, layer, adapter, SAME_INPUT[3], scale)
    out = keep(out, "mlp_out")
    if config.sandwich_norms:
        out = rms_norm(out, layer["post_mlp_norm"], config)
    return x + out


def block(
    x: Float[Array, "tokens width"],
    layer: Layer,
    adapter: Layer,
    sliding: Bool[Array, ""],
    turn: Rotation,
    attend: Attend,
    config: ModelConfig,
    scale: float,
) -> tuple[Float[Array, "tokens width"], Any]:
    """One layer; returns the new hidden states and the values that `attend` collected."""
    query, key, value = queries_keys_values(x, layer, adapter, scale, config, turn, sliding)
    attended, collected = attend(query, key, value, sliding)
    return finish_block(x, attended, layer, adapter, scale, config), collected


def embed(params: Params, tokens: Int[Array, "*tokens"], config: ModelConfig) -> Array:
    """Token embeddings, with Gemma's scaling."""
    x = rows_of(params["embed"], tokens)
    x = x.astype(activation_dtype(x.dtype))
    return x * jnp.asarray(config.embedding_scale, x.dtype) if config.embedding_scale != 1.0 else x


def run_layers(
    params: Params,
    adapter: dict[str, Any],
    tokens: Int[Array, " tokens"],
    positions: Int[Array, " tokens"],
    attend: Attend,
    config: ModelConfig,
    scale: float,
    *,
    saved: tuple[str, ...] = SAVED_IN_BACKWARD,
) -> tuple[Float[Array, "tokens width"], Any]:
    """Embed packed tokens and run every layer and the final norm.

    Args:
        params: The base's parameters, layers stacked.
        adapter: LoRA pairs, layers stacked; {} for none.
        tokens: Token ids, packed.
        positions: Position of each token in its own sequence.
        attend: The attention function; see `Attend`.
        scale: LoRA's alpha / rank.
        saved: Names of `remat` that the backward pass keeps, beside each layer's input.

    Returns:
        Final hidden states, and the values that `attend` collected, stacked over layers.
    """
    turn = rotation(config, positions)
    sliding = jnp.asarray(config.sliding_layers)

    def body(x: Array, scanned: Any) -> tuple[Array, Any]:
        layer, pairs, slides = scanned
        return block(x, as_numbers(layer), pairs, slides, turn, attend, config, scale)

    policy = jax.checkpoint_policies.save_only_these_names(*saved)
    x, collected = jax.lax.scan(
        jax.checkpoint(body, policy=policy, prevent_cse=False),
        embed(params, tokens, config),
        (as_bits(params["layers"]), adapter, sliding),
    )
    return rms_norm(x, as_numbers(params["final_norm"]), config), collected


def head_weight(params: Params) -> Float[Array, "vocab width"]:
    """The output head, one row per vocabulary entry; the embedding if they are tied."""
    return as_numbers(params["head"].T if "head" in params else params["embed"])
