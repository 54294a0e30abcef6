"""The configuration of a decoder-only transformer: one frozen record for Gemma 3, Llama, Qwen 2 and Qwen 3.

Everything that differs between the families is a field, read from the checkpoint and never assumed from a name; the
forward pass uses only these fields. `hf_config` reads and writes Hugging Face's `config.json`, `gguf_config` reads GGUF
metadata; both reject, by name, anything the forward pass does not support.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from thinkaloud.errors import UserError

Family = Literal["gemma3", "llama", "qwen2", "qwen3"]

FAMILIES: tuple[Family, ...] = ("gemma3", "llama", "qwen2", "qwen3")

MAX_LAYERS = 1024
"""More than any model has; a damaged file is rejected before memory is allocated for it."""


def check_layers(num_layers: int) -> int:
    """Return `num_layers`; raises UserError if it is out of range."""
    if not 0 < num_layers <= MAX_LAYERS:
        raise UserError(f"model configuration: expected 1 to {MAX_LAYERS} layers, found {num_layers}")
    return num_layers


@dataclass(frozen=True, slots=True, kw_only=True)
class RopeScaling:
    """How rotary frequencies are scaled for contexts longer than those of pretraining.

    `linear` divides every frequency by `factor` (arXiv 2306.15595). `llama3` divides only the low ones: wavelengths
    above `original_max_position / low_freq_factor` by `factor`, those below `original_max_position /
    high_freq_factor` by 1, with a linear blend between (arXiv 2407.21783). The last three fields are used by
    `llama3` alone.
    """

    kind: Literal["linear", "llama3"]
    factor: float
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_max_position: int = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The shape and the arithmetic of one model.

    Fields that are easily misread:
        rope_theta: base of the rotary frequencies of the layers that attend globally.
        rope_local_theta: base for sliding-window layers; None where they use `rope_theta` as well.
        rope_scaling: applies to the layers that use `rope_theta`, never to those that use `rope_local_theta`.
        sliding_window: W: position i attends to i - W + 1 ... i, in the layers marked in `sliding_layers`.
        sliding_layers: one flag per layer; all False where `sliding_window` is None.
        query_scale: factor on the attention scores, before the softmax.
        embedding_scale: factor on the token embeddings; not applied to a tied output head.
        norm_plus_one: RMS norms multiply by (1 + weight), as Gemma stores them.
        sandwich_norms: a second norm on the output of attention and of the MLP, before the residual is added.
        qk_norm: RMS norm over each head of queries and keys, before the rotation.
        attention_bias: biases on the query, key and value projections (the output projection has none).
    """

    family: Family
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    norm_eps: float
    rope_theta: float
    rope_local_theta: float | None
    rope_scaling: RopeScaling | None
    sliding_window: int | None
    sliding_layers: tuple[bool, ...]
    query_scale: float
    tie_embeddings: bool
    embedding_scale: float
    activation: Literal["gelu_tanh", "silu"]
    norm_plus_one: bool
    sandwich_norms: bool
    qk_norm: bool
    attention_bias: bool
    max_position: int

    def __post_init__(self) -> None:
        sizes = (
            "vocab_size",
            "hidden_size",
            "intermediate_size",
            "num_layers",
            "num_heads",
            "num_kv_heads",
            "head_dim",
        )
        for name in (*sizes, "max_position", "norm_eps", "rope_theta", "query_scale", "embedding_scale"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise UserError(f"model configuration: {name} must be a positive number, found {value!r}")
        if self.num_heads % self.num_kv_heads:
            raise UserError(
                f"model configuration: num_heads ({self.num_heads}) must be a multiple of num_kv_heads "
                f"({self.num_kv_heads}): each key-value head serves the same number of query heads"
            )
        if self.head_dim % 2:
            raise UserError(f"model configuration: head_dim must be even for rotary embeddings, found {self.head_dim}")
        if len(self.sliding_layers) != self.num_layers:
            raise UserError(
                f"model configuration: expected one layer type for each of {self.num_layers} layers, "
                f"found {len(self.sliding_layers)}"
            )
        if any(self.sliding_layers) and (self.sliding_window is None or self.sliding_window < 1):
            raise UserError(f"model configuration: sliding layers need a positive window, found {self.sliding_window}")
        if self.rope_scaling is not None and self.rope_scaling.kind == "llama3":
            low, high = self.rope_scaling.low_freq_factor, self.rope_scaling.high_freq_factor
            if not 0 < low < high:
                raise UserError(f"model configuration: llama3 rope scaling needs 0 < low < high, found {low}, {high}")


def tiny_config() -> ModelConfig:
    """A tiny Gemma 3 for tests and experiments: four layers, the last one global.

    The vocabulary is that of `thinkaloud.prompt.tokenizer.byte_tokenizer`: five special tokens and the 256 bytes.
    """
    return ModelConfig(
        family="gemma3",
        vocab_size=261,
        hidden_size=64,
        intermediate_size=128,
        num_layers=4,
        num_heads=4,
        num_kv_heads=1,
        head_dim=16,
        norm_eps=1e-6,
        rope_theta=1_000_000.0,
        rope_local_theta=10_000.0,
        rope_scaling=None,
        sliding_window=32,
        sliding_layers=(True, True, True, False),
        query_scale=16**-0.5,
        tie_embeddings=True,
        embedding_scale=8.0,
        activation="gelu_tanh",
        norm_plus_one=True,
        sandwich_norms=True,
        qk_norm=True,
        attention_bias=False,
        max_position=4096,
    )
