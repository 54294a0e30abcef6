"""How many prompts are decoded at once, and the bytes that decoding takes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from thinkaloud.model.footprint import Footprint, free_bytes, num_scores, prefill_bytes
from thinkaloud.model.layout import parameters
from thinkaloud.model.packed import Buckets, bucketed, power_of_two, round_up

DECODED_LOGITS = 4
"""Arrays of [rows, vocabulary] in float32 that are live while a token is sampled."""


def smallest_batch(backend: str) -> int:
    """Batches are not repacked below this many rows: every size compiles its own programs.

    An accelerator reads all weights for each token, whatever the number of rows, so small batches gain little there.
    """
    return 8 if backend == "cpu" else 64


def decoding_bytes(
    footprint: Footprint,
    buckets: Buckets,
    longest: Sequence[int],
    prompts: int,
    *,
    group: int,
    slots: int,
    backend: str,
) -> dict[str, int]:
    """Bytes that decoding adds on one device, by part, at the peak of prefill, decoding and repacking.

    Args:
        longest: Tokens of the prompts, the longest first.
        prompts: Prompts decoded at once on the device.
        group: Completions per prompt.
        slots: Tokens per completion.
    """
    config, itemsize = footprint.config, footprint.itemsize
    prompts = power_of_two(prompts)
    length = round_up(longest[0], buckets.prompt)
    merged = itemsize * sum(config.num_layers * math.prod(leaf.shape) for leaf in parameters(config) if leaf.stacked)
    merged //= footprint.weight_shards
    token = 2 * config.num_layers * config.num_kv_heads * config.head_dim * footprint.activation_itemsize
    prompt_cache, own_cache = prompts * length * token, prompts * group * slots * token
    tokens = bucketed(sum(longest[min(i, len(longest) - 1)] for i in range(prompts)), buckets.per_octave)
    prefill = prefill_bytes(config, num_scores(prompts, length), tokens, backend)
    logits = 4 * DECODED_LOGITS * prompts * group * config.vocab_size
    half = prompts * group // 2  # rows left when the batch is repacked, each with a copy of its prompt
    repacked = half * (length + slots) * token if half >= smallest_batch(backend) else 0
    at_prefill, at_decode = prompt_cache + prefill, own_cache + max(logits, repacked)
    temporary = max(at_prefill, at_decode)
    return {"decoding weights": merged, "prompt cache": prompt_cache, "completion cache and temporaries": temporary}


def prompts_at_once(
    wanted: int,
    footprint: Footprint,
    buckets: Buckets,
    longest: Sequence[int],
    *,
    group: int,
    slots: int,
    backend: str,
    shards: int = 1,
    memory_bytes: int | None = None,
) -> int:
    """`wanted` prompts if decoding them fits into the memory, else the most that do in powers of two; at least one.

    Args:
        shards: Devices that share the prompts; on a CPU they share its memory too. See `decoding_bytes` for the others.
        memory_bytes: See `free_bytes`.
    """
    free = free_bytes(footprint, memory_bytes)
    if free is None:
        return wanted
    if backend == "cpu":
        free //= shards
    count = wanted
    while count > shards:
        each = -(-count // shards)
        needed = decoding_bytes(footprint, buckets, longest, each, group=group, slots=slots, backend=backend)
        if sum(needed.values()) <= free:
            break
        count = power_of_two(count) // 2
    return count
