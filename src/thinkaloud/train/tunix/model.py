"""Builds a Tunix model from our base, from the arrays in memory, without files.

Two modules of Tunix are replaced by subclasses:

- Llama's attention: Tunix 0.1.7 calls `apply_rope` without the configuration's `rope_theta`, so the rotary base is
  always 1,000,000. The subclass runs the same `block` with an `apply_rope` that has the right base bound.
- Gemma's attention: Tunix has a fixed pattern of five sliding layers and a global one, which not every checkpoint has;
  and its `kv_einsum` shares the adapter's A between keys and values, while our adapters have one for each.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import FunctionType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import AxisType, Mesh
from tunix.models.gemma3 import model as gemma3
from tunix.models.llama3 import model as llama3
from tunix.utils import compat

from thinkaloud.errors import UserError
from thinkaloud.model.config import ModelConfig
from thinkaloud.model.load import Model
from thinkaloud.model.precision import as_numbers

MODULES = {
    "llama": {
        **{name: f"attn.{name}_proj.w" for name in "qkvo"},
        **{name: f"mlp.{name}_proj.kernel" for name in ("gate", "up", "down")},
    },
    "gemma3": {
        "q": "attn.q_einsum.w",
        "k": "attn.kv_einsum.key.w",
        "v": "attn.kv_einsum.value.w",
        "o": "attn.attn_vec_einsum.w",
        **{name: f"mlp.{name}_proj.kernel" for name in ("gate", "up", "down")},
    },
}
"""The path of each projection's weight in a layer of Tunix."""

NORMS = {
    "llama": {"attn_norm": "input_layernorm.w", "mlp_norm": "post_attention_layernorm.w", "final_norm": "final_norm.w"},
    "gemma3": {
        "attn_norm": "pre_attention_norm.scale",
        "post_attn_norm": "post_attention_norm.scale",
        "mlp_norm": "pre_ffw_norm.scale",
        "post_mlp_norm": "post_ffw_norm.scale",
        "q_norm": "attn._query_norm.scale",
        "k_norm": "attn._key_norm.scale",
        "final_norm": "final_norm.scale",
    },
}


def check_model(config: ModelConfig) -> None:
    """Check that Tunix's modules support this model.

    Raises:
        UserError: They do not; names the missing feature.
    """
    if config.family not in MODULES:
        raise UserError(
            f"the engine tunix supports the families {' and '.join(MODULES)}, found {config.family}; leave out --engine"
        )
    scaling, gemma = config.rope_scaling, config.family == "gemma3"
    missing = [
        name
        for name, there in {
            f"rope scaling of the kind {scaling.kind if scaling else ''}": scaling is not None
            and not (gemma and scaling.kind == "linear"),
            f"a norm epsilon of {config.norm_eps}": gemma and config.norm_eps != 1e-6,
            "sliding windows": not gemma and any(config.sliding_layers),
            "biases of attention": config.attention_bias,
        }.items()
        if there
    ]
    if missing:
        raise UserError(f"Tunix's {config.family} does not support {missing[0]}; leave out --engine")


def open_mesh(sizes: dict[str, int]) -> Mesh:
    """The devices of the recipe's mesh on Tunix's axes; Tunix has one axis for `data` and `fsdp`."""
    shape = sizes.get("data", 1) * sizes.get("fsdp", 1), sizes.get("tensor", 1)
    count = shape[0] * shape[1]
    if count > len(jax.devices()):
        raise UserError(f"the mesh needs {count} devices, found {len(jax.devices())}; change [mesh]")
    return jax.make_mesh(shape, ("fsdp", "tp"), axis_types=(AxisType.Auto,) * 2, devices=jax.devices()[:count])


def build_model(model: Model, mesh: Mesh) -> Any:
    """A Tunix model with the weights of `model`, in their dtype, laid out over `mesh`."""
    config, params = model.config, as_numbers(model.params)
    dtype = params["embed"].dtype
    make = partial(_gemma, config, dtype) if config.family == "gemma3" else partial(_llama, config)
    with compat.set_mesh(mesh):
        graph, state = nnx.split(nnx.eval_shape(make))
    shapes = state.to_pure_dict()
    shardings = nnx.get_named_sharding(state, mesh).to_pure_dict()
    sources = _sources(config)

    def place(path: Any, leaf: Any, sharding: Any) -> Any:
        name = ".".join(str(part.key) for part in path)
        array = _fit(np.asarray(sources[name](params)), name, leaf.shape)
        return jax.device_put(array, sharding)

    return nnx.merge(graph, jax.tree.map_with_path(place, shapes, shardings))


def _fit(array: np.ndarray, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A matrix [in, out] in the shape of Tunix's weight: with a heads axis, which is first in Gemma's einsums."""
    if "_einsum" in name and "attn_vec" not in name:
        heads, width, head_dim = shape
        return array.reshape(width, heads, head_dim).transpose(1, 0, 2)
    return array.reshape(shape)


def _sources(config: ModelConfig) -> dict[str, Callable[[Any], Any]]:
    """For each weight of Tunix, a function that selects it from our parameters."""
    names = {**NORMS[config.family], **MODULES[config.family]}
    found: dict[str, Callable[[Any], Any]] = {
        "embedder.input_embedding": lambda params: params["embed"],
        names.pop("final_norm"): lambda params: params["final_norm"],
        "lm_head.w": lambda params: params["head"],
    }
    for layer in range(config.num_layers):
        for ours, theirs in names.items():
            found[f"layers.{layer}.{theirs}"] = partial(_of_layer, ours, layer)
    return found


def _of_layer(name: str, layer: int, params: Any) -> Any:
    return params["layers"][name][layer]


# --- Llama ------------------------------------------------------------------------------------------------------


def _llama(config: ModelConfig) -> Any:
    shape = llama3.ModelConfig(
        num_layers=config.num_layers,
        vocab_size=config.vocab_size,
        embed_dim=config.hidden_size,
        hidden_dim=config.intermediate_size,
        num_heads=config.num_heads,
        head_dim=config.head_dim,
        num_kv_heads=config.num_kv_heads,
        rope_theta=int(config.rope_theta),
        norm_eps=config.norm_eps,
        weight_tying=config.tie_embeddings,
    )
    llama = llama3.Llama3(shape, rngs=nnx.Rngs(params=0))
    attention = llama_attention(config.rope_theta)
    for layer in llama.layers:
        layer.attn = attention(shape, rngs=nnx.Rngs(params=0))
    return llama


def llama_attention(rope_theta: float) -> type[Any]:
    """Tunix's `Attention` for Llama with the rotary base `rope_theta`."""
    stock = llama3.Attention.block
    names = {**stock.__globals__, "apply_rope": partial(llama3.apply_rope, rope_theta=rope_theta)}

    class Attention(llama3.Attention):
        block = FunctionType(stock.__code__, names, stock.__name__, stock.__defaults__, stock.__closure__)

    return Attention


# --- Gemma 3 ----------------------------------------------------------------------------------------------------


def _gemma(config: ModelConfig, dtype: Any) -> Any:
    shape = gemma3.ModelConfig(
        num_layers=config.num_layers,
        num_embed=config.vocab_size,
        embed_dim=config.hidden_size,
        hidden_dim=config.intermediate_size,
        num_heads=config.num_heads,
        head_dim=config.head_dim,
        num_kv_heads=config.num_kv_heads,
        sliding_window_size=config.sliding_window or config.max_position,
        param_dtype=jnp.dtype(dtype),
    )
    gemma = gemma3.Gemma3(shape, rngs=nnx.Rngs(params=0))
    for layer, sliding in zip(gemma.layers, config.sliding_layers, strict=True):
        layer.attn = GemmaAttention(config, shape, sliding)
    return gemma


class GemmaAttention(gemma3.Attention):
    """Tunix's attention with the layer's own rotary base, and separate projections of keys and values."""

    def __init__(self, config: ModelConfig, shape: Any, sliding: bool) -> None:
        local = sliding and config.rope_local_theta is not None
        scaled = not local and config.rope_scaling is not None
        common: dict[str, Any] = {"rngs": nnx.Rngs(params=0), "param_dtype": shape.param_dtype}
        super().__init__(
            num_heads=config.num_heads,
            num_kv_heads=config.num_kv_heads,
            features=config.hidden_size,
            head_dim=config.head_dim,
            attn_type=gemma3.AttentionType.LOCAL_SLIDING if sliding else gemma3.AttentionType.GLOBAL,
            sliding_window_size=shape.sliding_window_size,
            rope_base_frequency=config.rope_local_theta if local else config.rope_theta,
            rope_scale_factor=config.rope_scaling.factor if scaled and config.rope_scaling else 1.0,
            query_pre_attn_norm=shape.query_pre_attn_norm,
            shd_config=shape.shd_config,
            remat_config=shape.remat_config,
            **common,
        )
        self.query_scale = config.query_scale
        if hasattr(self, "qkv_einsum"):
            del self.qkv_einsum
        self.q_einsum = gemma3.Einsum(
            "BTD,NDH->BTNH",
            (config.num_heads, config.hidden_size, config.head_dim),
            sharding=shape.shd_config.q_weight_ndh,
            **common,
        )
        self.kv_einsum = KeysValues(config, shape.shd_config, common)

    @property
    def query_pre_attn_scalar(self) -> float:
        return self.query_scale


class KeysValues(nnx.Module):
    """Tunix's `kv_einsum` as two projections, each with its own adapter."""

    def __init__(self, config: ModelConfig, shardings: Any, common: dict[str, Any]) -> None:
        shape = config.num_kv_heads, config.hidden_size, config.head_dim
        sharding = (None, "fsdp", None) if config.num_kv_heads == 1 else shardings.kv_weight_cndh[1:]
        self.shape = (2, *shape)
        self.key = gemma3.Einsum("BSD,KDH->BSKH", shape, sharding=sharding, **common)
        self.value = gemma3.Einsum("BSD,KDH->BSKH", shape, sharding=sharding, **common)

    def __call__(self, x: Any) -> tuple[Any, Any]:
        return self.key(x), self.value(x)
