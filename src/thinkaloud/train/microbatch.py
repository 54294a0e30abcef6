"""Splits an update into micro-batches whose saved activations and temporaries fit into memory."""

from __future__ import annotations

from collections.abc import Sequence

import jax

from thinkaloud.model.footprint import Footprint, free_bytes, update_bytes
from thinkaloud.model.packed import PER_OCTAVE, bucketed, power_of_two

CPU_BUDGET_BYTES = 2 * 2**30
"""On a CPU larger micro-batches are not faster, so this is the upper limit of the budget."""

SMALLEST_BUDGET_BYTES = 2**26
"""The lower limit of the budget. A single row is never split."""


def update_budget_bytes(
    footprint: Footprint, backend: str | None = None, memory_bytes: int | None = None, *, shards: int = 1
) -> int:
    """Bytes that a micro-batch may use: the device's memory minus the resident bytes, on a CPU at most 2 GiB.

    Over all `shards`, the devices that share the rows; on a CPU they share its memory too.
    """
    backend = backend or jax.default_backend()
    free = free_bytes(footprint, memory_bytes)
    if free is None:
        return CPU_BUDGET_BYTES
    left = max(SMALLEST_BUDGET_BYTES, free)
    return min(left, CPU_BUDGET_BYTES) if backend == "cpu" else left * shards


def split_rows(
    tokens: Sequence[int],
    footprint: Footprint,
    budget_bytes: int | None = None,
    *,
    attended: int | None = None,
    per_octave: int = PER_OCTAVE,
    shards: int = 1,
) -> list[list[int]]:
    """Split rows (each a prompt with all its completions) into micro-batches, in order.

    Args:
        tokens: Tokens of each row. A row that exceeds the budget becomes a micro-batch of its own.
        footprint: The model's shape and its resident bytes.
        budget_bytes: Bytes that a micro-batch may use, over all `shards`; from the device if None.
        attended: Positions that a token attends to (padded prompt and completion); the longest row if None.
        per_octave: How the tokens of a micro-batch are padded; see `bucketed`.
        shards: Devices that share the tokens.

    Returns:
        Lists of row indices, in each micro-batch the same power of two except the last.
    """
    budget = update_budget_bytes(footprint, shards=shards) if budget_bytes is None else budget_bytes
    longest, size = max(tokens), power_of_two(len(tokens))

    def needed(rows: int) -> int:
        padded = bucketed(min(rows, len(tokens)) * longest, per_octave)
        return shards * update_bytes(footprint, -(-padded // shards), attended or longest)

    while size > 1 and needed(size) > budget:
        size //= 2
    return [list(range(first, min(first + size, len(tokens)))) for first in range(0, len(tokens), size)]
