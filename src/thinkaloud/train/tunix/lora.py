"""Adapters in Tunix's models, and their conversion from and to our layout.

Qwix creates the adapter's parameters beside each weight, in the weight's dtype. Ours are always float32: they replace
Qwix's, and the output of an adapted projection is cast to the base's dtype, so that the forward pass stays in that
dtype.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import qwix
from flax import nnx
from jax.sharding import Mesh

from thinkaloud.model.config import ModelConfig
from thinkaloud.model.lora import Adapter
from thinkaloud.train.tunix.model import MODULES


class Float32Lora(qwix.LoraProvider):
    """Qwix's LoRA with float32 adapters: the sum of base and adapter is rounded once, to the base's dtype."""

    def dot_general(self, lhs: Any, rhs: Any, *arguments: Any, **options: Any) -> Any:
        return super().dot_general(lhs, rhs, *arguments, **options).astype(jnp.result_type(lhs, rhs))

    def einsum(self, einsum_str: str, *operands: Any, **options: Any) -> Any:
        return super().einsum(einsum_str, *operands, **options).astype(jnp.result_type(*operands))


def adapted(base: Any, config: ModelConfig, adapter: Adapter, scale: float, mesh: Mesh) -> Any:
    """A model that shares the base's weights and has `adapter` in float32."""
    names = [MODULES[config.family][target].rpartition(".")[0].replace(".", "/") for target in adapter]
    rank = next(iter(adapter.values()))["a"].shape[-1]
    provider = Float32Lora(module_path="|".join(f".*{name}" for name in names), rank=rank, alpha=scale * rank)
    with mesh:
        model = qwix.apply_lora_to_model(base, provider, rngs=nnx.Rngs(params=0), **base.get_model_input())
    put_adapter(model, config, adapter)
    return model


def put_adapter(model: Any, config: ModelConfig, adapter: Adapter) -> None:
    """Set the adapter of a Tunix model, in float32."""
    state = nnx.state(model, nnx.LoRAParam)
    nnx.update(model, filled(state, config, adapter))


def take_adapter(model: Any, config: ModelConfig, like: Adapter) -> Adapter:
    """The adapter of a Tunix model in our layout, in float32."""
    return gathered(nnx.state(model, nnx.LoRAParam), config, like)


def filled(state: Any, config: ModelConfig, adapter: Adapter) -> Any:
    """A Tunix state (adapter or moments) with the values of ours, in the shapes and shardings of the old one."""
    flat = dict(nnx.to_flat_state(state))
    for path, target, part, layer in _places(config, adapter):
        old = flat[path].get_value()
        new = jnp.asarray(adapter[target][part][layer], jnp.float32).reshape(old.shape)
        flat[path] = flat[path].replace(jax.device_put(new, old.sharding))
    return nnx.from_flat_state(flat)


def gathered(state: Any, config: ModelConfig, like: Adapter) -> Adapter:
    """The values of a Tunix state in our layout, with the shardings of `like`."""
    flat = dict(nnx.to_flat_state(state))
    stacks: dict[str, dict[str, list[Any]]] = {target: {"a": [], "b": []} for target in like}
    for path, target, part, _ in _places(config, like):
        shape = like[target][part].shape[1:]
        stacks[target][part].append(jax.device_get(flat[path].get_value()).astype(jnp.float32).reshape(shape))
    return jax.tree.map(
        lambda old, *layers: jax.device_put(jnp.stack(layers), old.sharding),
        like,
        *(
            {target: {part: stacks[target][part][layer] for part in ("a", "b")} for target in like}
            for layer in range(config.num_layers)
        ),
    )


def _places(config: ModelConfig, adapter: Adapter) -> list[tuple[tuple[Any, ...], str, str, int]]:
    """(path in Tunix's state, target, "a" or "b", layer) of every matrix of an adapter."""
    return [
        (("layers", layer, *f"{MODULES[config.family][target]}_lora_{part}".split(".")), target, part, layer)
        for target in adapter
        for part in ("a", "b")
        for layer in range(config.num_layers)
    ]
