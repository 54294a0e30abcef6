"""Splits an update into micro-batches whose saved activations and temporaries fit into memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax

from thinkaloud.distributed.devices import device_memory_bytes
from thinkaloud.model.attention import SCORE_BYTES
from thinkaloud.model.config import ModelConfig
from thinkaloud.model.head import chunk_size
from thinkaloud.model.packed import power_of_two
from thinkaloud.model.remat import SAVED_IN_BACKWARD

CPU_BUDGET_BYTES = 2 * 2**30
"""On a CPU larger micro-batches are not faster, so this is the upper limit of the budget."""

USABLE_SHARE = 0.85
"""The usable share of a device's memory; the rest is for fragmentation and what is not counted."""

SMALLEST_BUDGET_BYTES = 2**26
"""The lower limit of the budget. A single row is never split."""


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


class UpdateShape(NamedTuple):
    """Padded sizes of a micro-batch; a prefill has a group of 0."""

    prompts: int
    group: int
    prompt_length: int
    input_length: int
    tokens: int
    targets: int = 0


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


def temporary_bytes(config: ModelConfig, shape: UpdateShape, *, backward: bool) -> int:
    """Bytes of temporaries of one layer or of one chunk of the head, whichever is larger.

    The factors are fitted to XLA's `memory_analysis` of compiled programs; attention scores are float32, in
    blocks of `SCORE_BYTES`.
    """
    rows = shape.prompts * shape.group
    scores = shape.prompts * shape.prompt_length**2 + rows * shape.input_length * (
        shape.prompt_length + shape.input_length
    )
    attention, dense = min(4 * config.num_heads * scores, SCORE_BYTES), _dense_bytes(config) * shape.tokens
    if not backward:
        return max(2 * attention, dense)
    head = 0
    if shape.targets:
        chunk = chunk_size(config.vocab_size, shape.targets)
        head = 4 * (2 * chunk * config.vocab_size + 2 * shape.targets * config.hidden_size)
    return max(2 * attention + 2 * dense, head)


def _dense_bytes(config: ModelConfig) -> int:
    """Bytes of one token's projections and hidden states in one layer, in float32."""
    projections = 2 * (config.num_heads + config.num_kv_heads) * config.head_dim
    return 4 * (2 * config.intermediate_size + 4 * config.hidden_size + projections)


def update_budget_bytes(
    footprint: Footprint, backend: str | None = None, memory_bytes: int | None = None, *, shards: int = 1
) -> int:
    """Bytes that a micro-batch may use: the device's memory minus the resident bytes, on a CPU at most 2 GiB.

    Over all `shards`, the devices that share the rows; on a CPU they share its memory too. Based on the total memory,
    not on the free memory, so that the same machine always splits a run in the same way.
    """
    backend = backend or jax.default_backend()
    total = memory_bytes if memory_bytes is not None else device_memory_bytes()
    if total is None:
        return CPU_BUDGET_BYTES
    left = max(SMALLEST_BUDGET_BYTES, int(USABLE_SHARE * total) - footprint.resident_bytes)
    return min(left, CPU_BUDGET_BYTES) if backend == "cpu" else left * shards


def split_rows(
    tokens: Sequence[int], footprint: Footprint, budget_bytes: int | None = None, *, attended: int | None = None
) -> list[list[int]]:
    """Split rows (each a prompt with all its completions) into micro-batches, in order.

    Args:
        tokens: Tokens of each row. A row that exceeds the budget becomes a micro-batch of its own.
        footprint: The model's shape and its resident bytes.
        budget_bytes: Bytes that a micro-batch may use; from the device if None.
        attended: Positions that a token attends to (padded prompt and completion); the longest row if None.

    Returns:
        Lists of row indices, in each micro-batch the same power of two except the last.
    """
    budget = update_budget_bytes(footprint) if budget_bytes is None else budget_bytes
    most = max(1, budget // (bytes_per_token(footprint, attended or max(tokens)) * max(1, max(tokens))))
    size = min(1 << (most.bit_length() - 1), power_of_two(len(tokens)))
    return [list(range(first, min(first + size, len(tokens)))) for first in range(0, len(tokens), size)]


def bytes_per_token(footprint: Footprint, attended: int) -> int:
    """Bytes per token of an update: saved activations and temporaries."""
    config, kept = footprint.config, saved_bytes_per_token(footprint)
    return kept + 2 * (_dense_bytes(config) + 4 * config.num_heads * attended)
