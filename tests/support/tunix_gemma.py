"""Tunix's configuration of a Gemma 3, from the fields of a `config.json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def gemma_config(fields: Mapping[str, Any]) -> Any:
    """A `tunix.models.gemma3.model.ModelConfig` in float32."""
    import jax.numpy as jnp
    from tunix.models.gemma3 import model as gemma3

    return gemma3.ModelConfig(
        num_layers=fields["num_hidden_layers"],
        num_embed=fields["vocab_size"],
        embed_dim=fields["hidden_size"],
        hidden_dim=fields["intermediate_size"],
        num_heads=fields["num_attention_heads"],
        head_dim=fields["head_dim"],
        num_kv_heads=fields["num_key_value_heads"],
        sliding_window_size=fields["sliding_window"],
        local_base_frequency=int(fields["rope_local_base_freq"]),
        global_base_frequency=int(fields["rope_theta"]),
        param_dtype=jnp.float32,
    )
