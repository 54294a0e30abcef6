"""Bytes that programs take on a device: the model's shape, what is always there, activations and temporaries."""

from __future__ import annotations

from dataclasses import dataclass

from thinkaloud.distributed.devices import device_memory_bytes
from thinkaloud.model.attention import SCORE_BYTES
from thinkaloud.model.config import ModelConfig
from thinkaloud.model.head import chunk_size
from thinkaloud.model.remat import SAVED_IN_BACKWARD

USABLE_SHARE = 0.85
"""The usable share of a device's memory; the rest is for fragmentation and what is not counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """The inputs of byte counts: the model's shape, bytes per number, the sum of the adapter ranks."""

    config: ModelConfig
    itemsize: int = 4
    activation_itemsize: int = 4
    lora_width: int = 0
    resident_bytes: int = 0
    """Bytes that are always on the device: weights, adapters, moments."""
    weight_shards: int = 1
    """Devices that share one copy of the weights."""
    full_rematerialization: bool = False
    """Whether the backward pass keeps nothing but each layer's input."""


FORWARD_DENSE = {"cpu": 1.0, "gpu": 1.9, "tpu": 1.1}
"""How often the activations of one layer are there at once in a forward pass: compiled, a v5e's prefill takes 1.0 to
1.16 times, an H100's 1.83, a T4's 2.0 (docs/log.md, 2026-11-30)."""


def saved_bytes_per_token(footprint: Footprint) -> int:
    """Bytes saved for the backward pass per token over all layers (`remat.SAVED_IN_BACKWARD`)."""
    config, itemsize = footprint.config, footprint.activation_itemsize
    residual = config.hidden_size  # the carry of the scan over layers
    if footprint.full_rematerialization:
        return config.num_layers * itemsize * residual
    attended, keys = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
    hidden, inner = config.hidden_size, config.intermediate_size
    widths = {
        "query": attended,
        "key": keys,
        "value": keys,
        "attended": attended,
        "attention_out": hidden,
        "gate": inner,
        "up": inner,
        "mlp_out": hidden if config.sandwich_norms else 0,  # saved only if a norm follows
    }
    wide = {"normalizer": config.num_heads, "lora_in": footprint.lora_width}  # always float32
    kept = residual + sum(widths[name] for name in SAVED_IN_BACKWARD if name not in wide)
    return config.num_layers * (itemsize * kept + 4 * sum(wide.values()))


def num_scores(prompts: int, prompt_length: int, group: int = 0, input_length: int = 0) -> int:
    """Attention scores of one head in one layer: of prompts with themselves, of completions with both."""
    return prompts * (prompt_length**2 + group * input_length * (prompt_length + input_length))


def prefill_bytes(config: ModelConfig, scores: int, tokens: int, backend: str) -> int:
    """Bytes of temporaries of one layer in a forward pass.

    Args:
        scores: See `num_scores`.
        tokens: After padding.
    """
    factor = FORWARD_DENSE.get(backend, max(FORWARD_DENSE.values()))
    return max(2 * _score_bytes(config, scores), int(factor * _dense_bytes(config, tokens)))


def temporary_bytes(config: ModelConfig, scores: int, tokens: int) -> int:
    """Bytes of temporaries of an update: of one layer, or of one chunk of the head if that is more.

    The factors are fitted to XLA's `memory_analysis` of compiled programs. See `prefill_bytes` for the arguments.
    """
    chunk = chunk_size(config.vocab_size, tokens)
    head = 4 * (2 * chunk * config.vocab_size + 2 * tokens * config.hidden_size)
    return max(2 * _score_bytes(config, scores) + 2 * _dense_bytes(config, tokens), head)


def update_bytes(footprint: Footprint, tokens: int, attended: int) -> int:
    """Bytes that an update adds: what is saved for the backward pass, and temporaries.

    Args:
        tokens: After padding; each may be a target.
        attended: Positions that a token attends to at most.
    """
    temporary = temporary_bytes(footprint.config, tokens * attended, tokens)
    return tokens * saved_bytes_per_token(footprint) + temporary


def _score_bytes(config: ModelConfig, scores: int) -> int:
    """In float32, in blocks of queries."""
    return min(4 * config.num_heads * scores, SCORE_BYTES)


def _dense_bytes(config: ModelConfig, tokens: int) -> int:
    """Projections and hidden states of one layer, in float32."""
    projections = 2 * (config.num_heads + config.num_kv_heads) * config.head_dim
    return 4 * tokens * (2 * config.intermediate_size + 4 * config.hidden_size + projections)


def free_bytes(footprint: Footprint, memory_bytes: int | None = None) -> int | None:
    """Usable bytes of one device beside what is always on it; None if its memory is not known.

    Based on the total memory, not on the free memory, so that the same machine always splits a run in the same way.

    Args:
        memory_bytes: The device's memory (on a CPU, the machine's); that of the current device if None.
    """
    total = device_memory_bytes() if memory_bytes is None else memory_bytes
    return None if total is None else max(0, int(USABLE_SHARE * total) - footprint.resident_bytes)
