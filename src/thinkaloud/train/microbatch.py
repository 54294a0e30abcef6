"""How an update is cut up so that what the backward pass keeps fits into memory."""

from __future__ import annotations

from collections.abc import Sequence

import jax

from thinkaloud.model.config import ModelConfig

CPU_BUDGET_BYTES = 2**30


def saved_bytes_per_token(config: ModelConfig) -> int:
    """What the backward pass keeps of one token over all layers (float32), by `architecture.SAVED_IN_BACKWARD`."""
    attended = config.num_heads * config.head_dim
    keys = 2 * config.num_kv_heads * config.head_dim
    widths = 2 * attended + keys + 3 * config.hidden_size + 2 * config.intermediate_size
    return 4 * config.num_layers * widths


def activation_budget_bytes() -> int:
    """How much a micro-batch may keep: a quarter of the device's memory, or 1 GiB on a CPU."""
    stats = jax.local_devices()[0].memory_stats() or {}
    return int(stats["bytes_limit"]) // 4 if "bytes_limit" in stats else CPU_BUDGET_BYTES


def split_rows(tokens: Sequence[int], config: ModelConfig, budget_bytes: int | None = None) -> list[list[int]]:
    """Rows (each a prompt with all its completions) to micro-batches, in order.

    Args:
        tokens: Tokens of each row; a row that exceeds the budget alone makes a micro-batch of its own.
        budget_bytes: What a micro-batch may keep; by the device when None.

    Returns:
        Lists of row indices; micro-batches hold equally many rows, but for the last.
    """
    limit = (activation_budget_bytes() if budget_bytes is None else budget_bytes) // saved_bytes_per_token(config)
    most = max(1, limit // max(1, max(tokens)))
    count = -(-len(tokens) // most)
    size = -(-len(tokens) // count)
    return [list(range(first, min(first + size, len(tokens)))) for first in range(0, len(tokens), size)]
