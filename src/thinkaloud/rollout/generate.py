"""Groups of completions for a list of prompts: batches, padding, and repacking as rows finish."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from thinkaloud.model.footprint import Footprint
from thinkaloud.model.heap import trim_heap
from thinkaloud.model.load import Model
from thinkaloud.model.lora import Adapter
from thinkaloud.model.packed import Buckets, round_up
from thinkaloud.model.sharding import mesh_of, row_shards
from thinkaloud.records import Finish
from thinkaloud.rollout.batch_size import prompts_at_once, smallest_batch
from thinkaloud.rollout.decode_batch import BatchShape, DecodeBatch, Decoder, Snapshot
from thinkaloud.rollout.sampling import Sampling


@dataclass(frozen=True, slots=True)
class Sampled:
    """One completion in tokens; the end-of-turn token is the last one where `finish` is `stop`."""

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    sampled_logprobs: tuple[float, ...]
    finish: Finish
    adapter: str = ""
    """See `Completion`."""


def generate(
    model: Model,
    adapter: Adapter,
    prompts: Sequence[Sequence[int]],
    *,
    group_size: int,
    max_new_tokens: int,
    sampling: Sampling,
    stop_ids: Sequence[int],
    seed: int,
    scale: float = 1.0,
    batch_prompts: int | None = None,
    buckets: Buckets = Buckets(),  # noqa: B008 - frozen
    footprint: Footprint | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[list[Sampled]]:
    """Sample `group_size` completions of each prompt.

    Args:
        model: The base model.
        adapter: LoRA pairs; {} for the base model itself.
        prompts: Token ids; one prompt at least.
        max_new_tokens: Limit per completion, the end-of-turn token included.
        stop_ids: Tokens that end a completion.
        seed: Of the noise; derive it from (seed, step). Member m of prompt i has its own noise at every position, which
            does not depend on how the prompts are batched.
        scale: LoRA's alpha / rank.
        batch_prompts: Prompts decoded at once; all when None. Batches are filled by length; results keep the order.
        buckets: The sizes that prompts are padded to.
        footprint: Fewer prompts are decoded at once where so many do not fit beside it; None: no such limit.
        progress: Called with (prompts done, all prompts).

    Returns:
        For each prompt, its completions.
    """
    count = len(prompts)
    batch = min(batch_prompts or count, count)
    if footprint:
        batch = prompts_at_once(
            batch,
            footprint,
            buckets,
            sorted(map(len, prompts), reverse=True),
            group=group_size,
            slots=max_new_tokens,
            backend=jax.default_backend(),
            shards=row_shards(mesh_of(model.params)),
        )
    order = sorted(range(count), key=lambda i: len(prompts[i])) if batch < count else list(range(count))
    decoder = Decoder.build(model, adapter, scale, sampling=sampling, stop_ids=stop_ids, seed=seed)
    shape = BatchShape(
        group=group_size,
        slots=max_new_tokens,
        prompt_bucket=buckets.prompt,
        prompt_slots=round_up(max(map(len, prompts)), buckets.prompt),
        prefix=buckets.prefix_of(prompts),
        per_octave=buckets.per_octave,
    )
    results: dict[int, list[Sampled]] = {}
    for first in range(0, count, batch):
        chosen = order[first : first + batch]
        groups = _generate_batch(decoder, [prompts[i] for i in chosen], chosen, shape)
        results.update(zip(chosen, groups, strict=True))
        if progress:
            progress(min(first + batch, count), count)
    del decoder
    trim_heap()
    return [results[i] for i in range(count)]


def _generate_batch(
    decoder: Decoder, prompts: list[Sequence[int]], rows: list[int], shape: BatchShape
) -> list[list[Sampled]]:
    """Decode a batch to its end; whenever half of the rows are done, only the other half is kept."""
    batch, fewest = DecodeBatch(decoder, prompts, rows, shape), smallest_batch(jax.default_backend())
    results: dict[int, Sampled] = {}
    while True:
        half = batch.live.size // 2
        now = batch.advance(shape.slots, enough=half if half >= fewest else 0)
        ended = batch.live & (now.done | (now.num_tokens >= shape.slots))
        for cell in zip(*np.nonzero(ended), strict=True):
            results[int(now.labels[cell])] = _read(now, cell, decoder.stop_ids)
        left = np.flatnonzero(batch.live & ~ended)
        if not len(left):
            return [[results[row * shape.group + member] for member in range(shape.group)] for row in rows]
        batch.keep(left)


def _read(now: Snapshot, cell: tuple[Any, ...], stop_ids: tuple[int, ...]) -> Sampled:
    """Cut a row after its stop token, which belongs to the completion."""
    tokens, done = now.tokens[cell], bool(now.done[cell])
    end = len(tokens)
    if done:
        end = int(np.flatnonzero(np.isin(tokens, stop_ids))[0]) + 1
    finish = Finish.STOP if done else Finish.LENGTH
    logprobs, sampled = (tuple(values[cell][:end].tolist()) for values in (now.logprobs, now.sampled_logprobs))
    return Sampled(tuple(tokens[:end].tolist()), logprobs, sampled, finish)
