"""What a recipe's run keeps on the device all the time."""

from __future__ import annotations

from dataclasses import replace

import jax.numpy as jnp
from jax.sharding import Mesh

from thinkaloud.config import Recipe
from thinkaloud.model.config import ModelConfig
from thinkaloud.model.footprint import Footprint, free_bytes, update_bytes
from thinkaloud.model.layout import num_parameters
from thinkaloud.model.lora import projection_shapes
from thinkaloud.model.packed import Buckets, bucketed
from thinkaloud.model.precision import activation_dtype, base_dtype


def footprint_of(
    recipe: Recipe,
    config: ModelConfig,
    backend: str,
    mesh: Mesh | None = None,
    teacher: ModelConfig | None = None,
    memory_bytes: int | None = None,
) -> Footprint:
    """The `Footprint` of a recipe on a backend, for one device of the mesh; a teacher's weights are resident too.

    Args:
        memory_bytes: Memory of the device; that of the current one if None.
    """
    dtype = base_dtype(recipe.model.dtype, backend)
    itemsize = jnp.dtype(dtype).itemsize
    weight_shards = 1 if mesh is None else mesh.shape["fsdp"] * mesh.shape["tensor"]
    weights = sum(weights_bytes(model, itemsize) for model in (config, teacher) if model)
    stays = weights // weight_shards + 4 * adapter_bytes(recipe, config)
    lora_width = recipe.lora.rank * len(recipe.lora.targets)
    footprint = Footprint(
        config=config,
        itemsize=itemsize,
        activation_itemsize=activation_dtype(dtype, backend).itemsize,
        lora_width=lora_width,
        resident_bytes=stays,
        weight_shards=weight_shards,
    )
    choice = recipe.model.rematerialization
    full = choice == "full" or (choice == "auto" and not _a_group_fits(recipe, footprint, backend, memory_bytes))
    return replace(footprint, full_rematerialization=full)


def _a_group_fits(recipe: Recipe, footprint: Footprint, backend: str, memory_bytes: int | None) -> bool:
    """Whether the smallest update does: one prompt with its completions, as long as the recipe allows."""
    prompt, new = recipe.rollout.max_prompt_tokens, recipe.rollout.max_new_tokens
    tokens = bucketed(prompt + recipe.rollout.group_size * new, Buckets.of(backend, prompt).per_octave)
    free = free_bytes(footprint, memory_bytes)
    return free is None or update_bytes(footprint, tokens, prompt + new) <= free


def weights_bytes(config: ModelConfig, itemsize: int) -> int:
    """Bytes of the frozen base."""
    return num_parameters(config) * itemsize


def adapter_bytes(recipe: Recipe, config: ModelConfig) -> int:
    """Bytes of one adapter, of its gradient, or of one of Adam's moments (float32)."""
    shapes = projection_shapes(config)
    return sum(4 * config.num_layers * recipe.lora.rank * sum(shapes[target]) for target in recipe.lora.targets)
