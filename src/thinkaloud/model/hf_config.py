"""Hugging Face's `config.json` to `ModelConfig` and back.

`hf_fields` lists the fields that are supported, that must be off, and that are ignored.

Source: transformers' configuration classes, versions 4.50 to 5.23 (`configuration_gemma3.py`, `..._llama.py`,
`..._qwen2.py`, `..._qwen3.py`), whose defaults are used for absent fields. Version 5 moved `rope_theta`,
`rope_local_base_freq` and `rope_scaling` into `rope_parameters`; both forms are read; the older one is written, because
both versions load it.
"""

from __future__ import annotations

import math
from typing import Any

from thinkaloud.errors import UserError, nearest
from thinkaloud.model.config import Family, ModelConfig, RopeScaling, check_layers
from thinkaloud.model.hf_fields import integer, mapping, number, refuse_unknown

ARCHITECTURES: dict[str, Family] = {
    "Gemma3ForCausalLM": "gemma3",
    "Gemma3ForConditionalGeneration": "gemma3",
    "LlamaForCausalLM": "llama",
    "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
}
MODEL_TYPES: dict[str, Family] = {
    "gemma3_text": "gemma3",
    "gemma3": "gemma3",
    "llama": "llama",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
}

DEFAULTS: dict[Family, dict[str, Any]] = {
    "gemma3": {
        "vocab_size": 262_208,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "max_position_embeddings": 131_072,
        "rope_theta": 1_000_000.0,
        "rope_local_base_freq": 10_000.0,
        "query_pre_attn_scalar": 256,
        "sliding_window": 4096,
        "sliding_window_pattern": 6,
        "tie_word_embeddings": True,
        "hidden_activation": "gelu_pytorch_tanh",
    },
    "llama": {"max_position_embeddings": 2048},
    "qwen2": {"max_position_embeddings": 32_768, "sliding_window": 4096, "max_window_layers": 28},
    "qwen3": {"max_position_embeddings": 32_768, "sliding_window": 4096, "max_window_layers": 28, "head_dim": 128},
}


def read_hf_config(config: dict[str, Any]) -> ModelConfig:
    """The `ModelConfig` of a `config.json`.

    Args:
        config: The parsed file. Of Gemma 3's multimodal form, with a `text_config`, the text model is read.

    Raises:
        UserError: An unknown architecture or field, or an unsupported value; the message names it.
    """
    family = _family(config)
    fields = {key: value for key, value in config.items() if key != "text_config"}
    if isinstance(text := config.get("text_config"), dict):
        fields = {**{key: fields[key] for key in ("tie_word_embeddings",) if key in fields}, **text}
        refuse_unknown({key: value for key, value in config.items() if key not in fields})
    refuse_unknown(fields)
    fields = {**DEFAULTS[family], **{key: value for key, value in fields.items() if value is not None}}

    layers = check_layers(integer(fields, "num_hidden_layers"))
    hidden = integer(fields, "hidden_size")
    heads = integer(fields, "num_attention_heads")
    head_dim = integer(fields, "head_dim") if "head_dim" in fields else max(hidden // heads, 1)
    gemma = family == "gemma3"
    if fields.get("attention_bias") and family != "qwen2":
        raise UserError(f"config.json: attention_bias = true is not supported for {family}; only Qwen 2 has biases")
    sliding_window, sliding_layers = _sliding(family, config, fields, layers)
    theta, local_theta, scaling = _rope(family, fields)
    return ModelConfig(
        family=family,
        vocab_size=integer(fields, "vocab_size"),
        hidden_size=hidden,
        intermediate_size=integer(fields, "intermediate_size"),
        num_layers=layers,
        num_heads=heads,
        num_kv_heads=integer(fields, "num_key_value_heads") if "num_key_value_heads" in fields else heads,
        head_dim=head_dim,
        norm_eps=number(fields, "rms_norm_eps", 1e-6),
        rope_theta=theta,
        rope_local_theta=local_theta,
        rope_scaling=scaling,
        sliding_window=sliding_window,
        sliding_layers=sliding_layers,
        query_scale=number(fields, "query_pre_attn_scalar") ** -0.5 if gemma else head_dim**-0.5,
        tie_embeddings=bool(fields.get("tie_word_embeddings", False)),
        embedding_scale=math.sqrt(hidden) if gemma else 1.0,
        activation=_activation(family, fields),
        norm_plus_one=gemma,
        sandwich_norms=gemma,
        qk_norm=family in ("gemma3", "qwen3"),
        attention_bias=family == "qwen2",
        max_position=integer(fields, "max_position_embeddings"),
    )


def write_hf_config(config: ModelConfig) -> dict[str, Any]:
    """A `config.json` that transformers 4.50 and newer load; `read_hf_config` returns the same record."""
    fields: dict[str, Any] = {
        "architectures": [next(name for name, family in ARCHITECTURES.items() if family == config.family)],
        "model_type": next(name for name, family in MODEL_TYPES.items() if family == config.family),
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads,
        "head_dim": config.head_dim,
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_theta,
        "rope_scaling": _scaling_fields(config.rope_scaling),
        "max_position_embeddings": config.max_position,
        "tie_word_embeddings": config.tie_embeddings,
        "attention_dropout": 0.0,
        "use_cache": True,
    }
    if config.family == "gemma3":
        scalar = round(config.query_scale**-2, 6)
        fields["query_pre_attn_scalar"] = int(scalar) if scalar.is_integer() else scalar
        fields["rope_local_base_freq"] = config.rope_local_theta
        fields["hidden_activation"] = "gelu_pytorch_tanh"
    else:
        fields["hidden_act"] = "silu"
    if config.family != "qwen2":
        fields["attention_bias"] = False
    if config.family == "llama":
        fields["mlp_bias"] = False
    else:
        fields["sliding_window"] = config.sliding_window
        fields["layer_types"] = ["sliding_attention" if flag else "full_attention" for flag in config.sliding_layers]
    if config.family in ("qwen2", "qwen3"):
        fields["use_sliding_window"] = config.sliding_window is not None
    return fields


def _family(config: dict[str, Any]) -> Family:
    """The family by `architectures`, or by `model_type` where that is absent."""
    names = config.get("architectures")
    if isinstance(names, list) and names:
        if len(names) == 1 and isinstance(names[0], str) and names[0] in ARCHITECTURES:
            return ARCHITECTURES[names[0]]
        found = ", ".join(map(str, names))
        raise UserError(f"config.json: architecture {found} is not supported{nearest(found, ARCHITECTURES)}")
    kind = config.get("model_type")
    if isinstance(kind, str) and kind in MODEL_TYPES:
        return MODEL_TYPES[kind]
    raise UserError(
        f"config.json: expected a supported architecture, found model_type {kind!r}{nearest(str(kind), MODEL_TYPES)}"
    )


def _activation(family: Family, fields: dict[str, Any]) -> Any:
    key = "hidden_activation" if family == "gemma3" else "hidden_act"
    wanted = "gelu_pytorch_tanh" if family == "gemma3" else "silu"
    found = fields.get(key, wanted)
    if found != wanted:
        raise UserError(f"config.json: expected {key} = {wanted!r} for {family}, found {found!r}")
    return "gelu_tanh" if family == "gemma3" else "silu"


def _sliding(
    family: Family, config: dict[str, Any], fields: dict[str, Any], layers: int
) -> tuple[int | None, tuple[bool, ...]]:
    """(window, one flag per layer), from `layer_types` or from the family's older fields."""
    none = (False,) * layers
    if family == "llama":
        if fields.get("sliding_window") is not None or any(kind != "full_attention" for kind in _types(fields)):
            raise UserError("config.json: sliding_window is not supported for llama, whose layers all attend globally")
        return None, none
    if family != "gemma3" and not fields.get("use_sliding_window", False):
        if "sliding_attention" in _types(fields):
            raise UserError("config.json: layer_types names sliding layers, but use_sliding_window is false")
        return None, none
    window = integer(fields, "sliding_window")
    if types := _types(fields):
        if len(types) != layers:
            raise UserError(f"config.json: expected {layers} layer_types, found {len(types)}")
        flags = tuple(kind == "sliding_attention" for kind in types)
    elif family == "gemma3":
        text = config.get("text_config")
        key = "_sliding_window_pattern" if "_sliding_window_pattern" in (text or config) else "sliding_window_pattern"
        pattern = integer(fields, key)
        flags = tuple((index + 1) % pattern != 0 for index in range(layers))
    else:
        flags = tuple(index >= integer(fields, "max_window_layers", least=0) for index in range(layers))
    return (window, flags) if any(flags) else (None, none)


def _types(fields: dict[str, Any]) -> list[str]:
    types = fields.get("layer_types", [])
    if not isinstance(types, list):
        raise UserError(f"config.json: expected a list for layer_types, found {str(types)[:80]!r}")
    unknown = [kind for kind in types if kind not in ("sliding_attention", "full_attention")]
    if unknown:
        raise UserError(f"config.json: layer type {unknown[0]!r} is not supported: full_attention or sliding_attention")
    return list(types)


def _rope(family: Family, fields: dict[str, Any]) -> tuple[float, float | None, RopeScaling | None]:
    """(global base, local base or None, scaling of the global layers) from either form of the rope fields."""
    parameters = mapping(fields, "rope_parameters")
    gemma = family == "gemma3"
    local: dict[str, Any] = {}
    if "full_attention" in parameters or "sliding_attention" in parameters:
        if not gemma or set(parameters) - {"full_attention", "sliding_attention"}:
            raise UserError(f"config.json: rope_parameters by layer type ({', '.join(parameters)}) for {family}")
        local = mapping(parameters, "sliding_attention")
        parameters = mapping(parameters, "full_attention")
    if _scaling(local) is not None:
        raise UserError("config.json: rope scaling of sliding layers is not supported")
    scaling = {**mapping(fields, "rope_scaling"), **parameters}
    theta = number({"rope_theta": fields.get("rope_theta", 10_000.0), **scaling}, "rope_theta")
    local_theta = number({"rope_theta": fields.get("rope_local_base_freq"), **local}, "rope_theta") if gemma else None
    return theta, local_theta, _scaling(scaling)


def _scaling(fields: dict[str, Any]) -> RopeScaling | None:
    kind = fields.get("rope_type", fields.get("type", "default"))
    if fields.get("partial_rotary_factor", 1.0) != 1.0:
        raise UserError("config.json: partial_rotary_factor other than 1 is not supported")
    known = {"rope_type", "type", "rope_theta", "partial_rotary_factor"}
    if kind == "linear":
        known |= {"factor"}
    elif kind == "llama3":
        known |= {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"}
    elif kind != "default":
        raise UserError(f"config.json: rope scaling {kind!r} is not supported: expected linear or llama3")
    if extra := sorted(set(fields) - known):
        raise UserError(f"config.json: unknown field {extra[0]!r} in {kind} rope scaling{nearest(extra[0], known)}")
    if kind == "default":
        return None
    if kind == "linear":
        return RopeScaling(kind="linear", factor=number(fields, "factor"))
    return RopeScaling(
        kind="llama3",
        factor=number(fields, "factor"),
        low_freq_factor=number(fields, "low_freq_factor"),
        high_freq_factor=number(fields, "high_freq_factor"),
        original_max_position=integer(fields, "original_max_position_embeddings"),
    )


def _scaling_fields(scaling: RopeScaling | None) -> dict[str, Any] | None:
    if scaling is None:
        return None
    fields: dict[str, Any] = {"rope_type": scaling.kind, "factor": scaling.factor}
    if scaling.kind == "llama3":
        fields["low_freq_factor"] = scaling.low_freq_factor
        fields["high_freq_factor"] = scaling.high_freq_factor
        fields["original_max_position_embeddings"] = scaling.original_max_position
    return fields
