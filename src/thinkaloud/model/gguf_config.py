"""GGUF metadata to `ModelConfig`.

A GGUF file holds less than a `config.json`: constants that llama.cpp has in its code for an architecture, such as
Gemma 3's local rotary base and the period of its global layers, are defined here. As with `hf_config`, an unsupported
key that may change the forward pass is an error that names it.

Source: llama.cpp's `src/llama-model.cpp` (hyperparameters by architecture), `convert_hf_to_gguf.py` (what is written).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from thinkaloud.errors import UserError, nearest
from thinkaloud.fetch.gguf_header import GGUFHeader
from thinkaloud.model.config import FAMILIES, Family, ModelConfig, RopeScaling, check_layers

HONOURED = {
    "block_count",
    "context_length",
    "embedding_length",
    "feed_forward_length",
    "vocab_size",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.layer_norm_rms_epsilon",
    "attention.sliding_window",
    "attention.sliding_window_pattern",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.freq_base_swa",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scale_linear",
}
IRRELEVANT = {
    "rope.scaling.finetuned",
    "rope.scaling.original_context_length",
    "tensor_data_layout",
    "attention.causal",
}
MUST_BE_ZERO = {
    "expert_count",
    "expert_used_count",
    "attn_logit_softcapping",
    "final_logit_softcapping",
    "attention.clamp_kqv",
    "logit_scale",
}
GEMMA3_LOCAL_THETA = 10_000.0
GEMMA3_PATTERN = 6
GEMMA3_27B_LAYERS = 62
"""llama.cpp identifies Gemma 3 27B by its layers: it alone scales queries by hidden_size / num_heads."""


def config_from_gguf(header: GGUFHeader) -> ModelConfig:
    """The configuration of the model in a GGUF file.

    Raises:
        UserError: An unknown architecture, a missing key, or a key with an unsupported value.
    """
    metadata = header.metadata
    name = str(metadata.get("general.architecture"))
    family = next((family for family in FAMILIES if family == name), None)
    if family is None:
        raise UserError(f"{header.path}: architecture {name!r} is not supported{nearest(name, FAMILIES)}")
    if metadata.get("split.count", 1) not in (0, 1):
        raise UserError(
            f"{header.path}: one of {metadata['split.count']} parts; join them with llama-gguf-split --merge"
        )
    fields = {key.removeprefix(f"{name}."): value for key, value in metadata.items() if key.startswith(f"{name}.")}
    _refuse(header, name, fields)

    def number(key: str, default: float | int | None = None) -> float:
        value = fields.get(key, default)
        if isinstance(value, list) and value and len(set(value)) == 1:
            value = value[0]
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise UserError(f"{header.path}: expected a positive number for {name}.{key}, found {str(value)[:80]!r}")
        return float(value) if isinstance(value, int) else float(f"{value:.7g}")  # float32: 9.99999997e-07 is 1e-06

    hidden, layers, heads = (int(number(k)) for k in ("embedding_length", "block_count", "attention.head_count"))
    check_layers(layers)
    head_dim = int(number("attention.key_length", max(hidden // max(heads, 1), 1)))
    for key in ("attention.value_length", "rope.dimension_count"):
        if int(number(key, head_dim)) != head_dim:
            raise UserError(
                f"{header.path}: {name}.{key} = {fields[key]} differs from the head size {head_dim}: not supported"
            )
    gemma = family == "gemma3"
    window, flags = _sliding(header, family, fields, number, layers)
    scale_size = hidden // heads if gemma and layers == GEMMA3_27B_LAYERS else head_dim
    embedding = header.tensors.get("token_embd.weight")
    if embedding is None or len(embedding.shape) != 2:
        raise UserError(f"{header.path}: tensor token_embd.weight is missing; fetch the model again")
    return ModelConfig(
        family=family,
        vocab_size=embedding.shape[0],
        hidden_size=hidden,
        intermediate_size=int(number("feed_forward_length")),
        num_layers=layers,
        num_heads=heads,
        num_kv_heads=int(number("attention.head_count_kv", heads)),
        head_dim=head_dim,
        norm_eps=number("attention.layer_norm_rms_epsilon"),
        rope_theta=number("rope.freq_base", 1e6 if gemma else 1e4),
        rope_local_theta=number("rope.freq_base_swa", GEMMA3_LOCAL_THETA) if gemma else None,
        rope_scaling=_rope_scaling(header, fields, number, head_dim),
        sliding_window=window,
        sliding_layers=flags,
        query_scale=scale_size**-0.5,
        tie_embeddings="output.weight" not in header.tensors,
        embedding_scale=math.sqrt(hidden) if gemma else 1.0,
        activation="gelu_tanh" if gemma else "silu",
        norm_plus_one=gemma,
        sandwich_norms=gemma,
        qk_norm=family in ("gemma3", "qwen3"),
        attention_bias=family == "qwen2",
        max_position=int(number("context_length")),
    )


def _refuse(header: GGUFHeader, name: str, fields: dict[str, Any]) -> None:
    for key, value in fields.items():
        if key in MUST_BE_ZERO or key == "attention.causal":
            if bool(value) != (key == "attention.causal"):
                raise UserError(f"{header.path}: {name}.{key} = {value} is not supported")
        elif key not in HONOURED | IRRELEVANT:
            raise UserError(
                f"{header.path}: unknown metadata {name}.{key} = {str(value)[:40]}: it may change the forward pass"
            )


def _sliding(
    header: GGUFHeader, family: Family, fields: dict[str, Any], number: Any, layers: int
) -> tuple[int | None, tuple[bool, ...]]:
    window = fields.get("attention.sliding_window", 0)
    if family != "gemma3":
        if window:
            raise UserError(f"{header.path}: a sliding window of {window} is not supported for {family} in GGUF files")
        return None, (False,) * layers
    pattern = fields.get("attention.sliding_window_pattern", GEMMA3_PATTERN)
    if isinstance(pattern, list):
        flags = tuple(bool(flag) for flag in pattern)
    else:
        period = int(number("attention.sliding_window_pattern", GEMMA3_PATTERN))
        flags = tuple((index + 1) % period != 0 for index in range(layers))
    return (int(number("attention.sliding_window")), flags) if window and any(flags) else (None, (False,) * layers)


def _rope_scaling(header: GGUFHeader, fields: dict[str, Any], number: Any, head_dim: int) -> RopeScaling | None:
    kind = fields.get("rope.scaling.type", "linear" if "rope.scale_linear" in fields else "none")
    if "rope_freqs.weight" in header.tensors:
        return _llama3_scaling(header, number("rope.freq_base", 1e4), head_dim)
    if kind == "none":
        return None
    if kind != "linear":
        raise UserError(f"{header.path}: rope scaling {kind!r} is not supported: expected linear")
    factor = number("rope.scaling.factor", number("rope.scale_linear", 1.0))
    return RopeScaling(kind="linear", factor=factor) if factor != 1.0 else None


def _llama3_scaling(header: GGUFHeader, theta: float, head_dim: int) -> RopeScaling:
    """Llama 3.1's scaling, from the divisors that GGUF stores, one per frequency.

    The largest divisor is the factor; the other three numbers are those of every Llama 3 release. They are accepted
    only if they reproduce the stored divisors.
    """
    info = header.tensors["rope_freqs.weight"]
    if info.offset > header.file_size:
        raise UserError(f"{header.path} is truncated: it ends before rope_freqs.weight; fetch it again")
    stored = np.fromfile(header.path, dtype="<f4", count=head_dim // 2, offset=info.offset)
    if info.shape == (head_dim // 2,) and info.kind == 0 and len(stored) == head_dim // 2:
        scaling = RopeScaling(kind="llama3", factor=float(f"{stored.max():.7g}"))
        if np.allclose(llama3_divisors(scaling, theta, head_dim), stored, rtol=1e-4):
            return scaling
    raise UserError(f"{header.path}: rope_freqs.weight is not Llama 3's rope scaling: not supported")


def llama3_divisors(scaling: RopeScaling, theta: float, head_dim: int) -> np.ndarray:
    """The divisors of the head_dim / 2 rotary frequencies under Llama 3.1's scaling (arXiv 2407.21783)."""
    frequencies = theta ** (-np.arange(0, head_dim, 2, dtype=np.float64) / head_dim)
    turns = scaling.original_max_position * frequencies / (2 * math.pi)
    smooth = (turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor)
    blend = np.clip(smooth, 0.0, 1.0)
    return 1.0 / ((1 - blend) / scaling.factor + blend)
