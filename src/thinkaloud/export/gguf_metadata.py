"""The model's shape as GGUF metadata: the inverse of `model/gguf_config.py`.

Source: llama.cpp's `convert_hf_to_gguf.py` (`set_gguf_parameters` by architecture), `src/llama-model.cpp`.
"""

from __future__ import annotations

from typing import Any

from thinkaloud.model.config import ModelConfig
from thinkaloud.model.gguf_config import GEMMA3_LOCAL_THETA, GEMMA3_PATTERN


def shape_metadata(config: ModelConfig) -> dict[str, Any]:
    """Every `<architecture>.*` key; what GGUF cannot represent is omitted.

    The caller must check that `config_from_gguf` reads the same configuration back.
    """
    fields: dict[str, Any] = {
        "block_count": config.num_layers,
        "context_length": config.max_position,
        "embedding_length": config.hidden_size,
        "feed_forward_length": config.intermediate_size,
        "vocab_size": config.vocab_size,
        "attention.head_count": config.num_heads,
        "attention.head_count_kv": config.num_kv_heads,
        "attention.key_length": config.head_dim,
        "attention.value_length": config.head_dim,
        "attention.layer_norm_rms_epsilon": config.norm_eps,
        "rope.dimension_count": config.head_dim,
        "rope.freq_base": config.rope_theta,
    }
    if config.sliding_window is not None:
        fields["attention.sliding_window"] = config.sliding_window
        period = next((at for at, slides in enumerate(config.sliding_layers, start=1) if not slides), 0)
        if config.sliding_layers != tuple(at % GEMMA3_PATTERN != 0 for at in range(1, config.num_layers + 1)):
            regular = tuple(at % (period or 1) != 0 for at in range(1, config.num_layers + 1))
            fields["attention.sliding_window_pattern"] = (
                period if config.sliding_layers == regular else list(config.sliding_layers)
            )
    if config.rope_local_theta not in (None, GEMMA3_LOCAL_THETA):
        fields["rope.freq_base_swa"] = config.rope_local_theta
    if config.rope_scaling is not None and config.rope_scaling.kind == "linear":
        fields["rope.scaling.type"] = "linear"
        fields["rope.scaling.factor"] = config.rope_scaling.factor
    return {f"{config.family}.{key}": value for key, value in fields.items()}
