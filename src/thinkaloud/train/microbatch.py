"""How an update is cut up so that what the backward pass keeps, and what it computes on the way, fit into memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax

from thinkaloud.model.config import ModelConfig
from thinkaloud.model.head import chunk_size
from thinkaloud.model.remat import SAVED_IN_BACKWARD

CPU_BUDGET_BYTES = 2 * 2**30
"""On a CPU larger micro-batches gain nothing, so they stop here, however much memory there is."""

USABLE_SHARE = 0.85
"""Of a device's memory: the rest is left to fragments, to rollouts that overlap and to what is not counted."""

SMALLEST_BUDGET_BYTES = 2**26
"""Micro-batches are cut for at least this, however little is left: one row alone is never cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """What byte counts need to know of a run: the model's shape, bytes a number, summed adapter ranks."""

    config: ModelConfig
    itemsize: int = 4
    activation_itemsize: int = 4
    lora_width: int = 0
    resident_bytes: int = 0
    """What stays on the device all the time: weights, adapters, moments."""


class UpdateShape(NamedTuple):
    """Sizes of a micro-batch (of a prefill, with a group of none) as the device sees them, padding included."""

    prompts: int
    group: int
    prompt_length: int
    input_length: int
    tokens: int
    targets: int = 0


def saved_bytes_per_token(config: ModelConfig, itemsize: int = 4, lora_width: int = 0) -> int:
    """What the backward pass keeps of one token over all layers, by `architecture.SAVED_IN_BACKWARD`."""
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
        "mlp_out": hidden if config.sandwich_norms else 0,  # only a norm on it needs its value
    }
    wide = {"normalizer": config.num_heads, "lora_in": lora_width}  # float32 always
    residual = hidden  # what the scan over layers carries
    kept = residual + sum(widths[name] for name in SAVED_IN_BACKWARD if name not in wide)
    return config.num_layers * (itemsize * kept + 4 * sum(wide.values()))


def temporary_bytes(config: ModelConfig, shape: UpdateShape, *, backward: bool) -> int:
    """What one layer, or one chunk of the head, holds on the way: the larger of the two.

    The factors are fitted to XLA's account of compiled programs; scores of attention are float32.
    """
    rows = shape.prompts * shape.group
    scores = shape.prompts * shape.prompt_length**2 + rows * shape.input_length * (
        shape.prompt_length + shape.input_length
    )
    attention, dense = 4 * config.num_heads * scores, _dense_bytes(config) * shape.tokens
    if not backward:
        return max(2 * attention, dense)
    head = 0
    if shape.targets:
        chunk = chunk_size(config.vocab_size, shape.targets)
        head = 4 * (2 * chunk * config.vocab_size + 2 * shape.targets * config.hidden_size)
    return max(2 * attention + 2 * dense, head)


def _dense_bytes(config: ModelConfig) -> int:
    """One token's projections and hidden states in one layer, in float32."""
    projections = 2 * (config.num_heads + config.num_kv_heads) * config.head_dim
    return 4 * (2 * config.intermediate_size + 4 * config.hidden_size + projections)


def update_budget_bytes(footprint: Footprint, backend: str | None = None, memory_bytes: int | None = None) -> int:
    """How much a micro-batch may take: what the device has left beside what stays, on a CPU at most 2 GiB.

    Reckoned from the size of the whole memory, not from what happens to be free, so that the same machine cuts the same
    run in the same way.
    """
    backend = backend or jax.default_backend()
    total = memory_bytes if memory_bytes is not None else whole_memory()
    if total is None:
        return CPU_BUDGET_BYTES
    left = max(SMALLEST_BUDGET_BYTES, int(USABLE_SHARE * total) - footprint.resident_bytes)
    return min(left, CPU_BUDGET_BYTES) if backend == "cpu" else left


def device_limit() -> int | None:
    """Bytes that the device lets arrays take; None where it sets no limit of its own, as on a CPU."""
    stats = jax.local_devices()[0].memory_stats() or {}
    return int(stats["bytes_limit"]) if "bytes_limit" in stats else None


def whole_memory() -> int | None:
    """Bytes of the device (of the machine, on a CPU), whatever of it is in use; None where that is not known."""
    limit = device_limit()
    if limit is not None:
        return limit
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None


def split_rows(
    tokens: Sequence[int], footprint: Footprint, budget_bytes: int | None = None, *, attended: int | None = None
) -> list[list[int]]:
    """Rows (each a prompt with all its completions) to micro-batches, in order.

    Args:
        tokens: Tokens of each row; a row that exceeds the budget alone makes a micro-batch of its own.
        footprint: The model's shape, and what stays in memory.
        budget_bytes: What a micro-batch may take; by the device when None.
        attended: Places that a token's scores are held for (padded prompt and completion); all of a row's when None.

    Returns:
        Lists of row indices; micro-batches hold equally many rows, but for the last.
    """
    budget = update_budget_bytes(footprint) if budget_bytes is None else budget_bytes
    most = max(1, budget // (bytes_per_token(footprint, attended or max(tokens)) * max(1, max(tokens))))
    count = -(-len(tokens) // most)
    size = -(-len(tokens) // count)
    return [list(range(first, min(first + size, len(tokens)))) for first in range(0, len(tokens), size)]


def bytes_per_token(footprint: Footprint, attended: int) -> int:
    """What a token of an update takes, kept and on the way."""
    config = footprint.config
    kept = saved_bytes_per_token(config, footprint.activation_itemsize, footprint.lora_width)
    return kept + 2 * (_dense_bytes(config) + 4 * config.num_heads * attended)
