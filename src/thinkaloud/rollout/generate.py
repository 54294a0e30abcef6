"""Groups of completions for a list of prompts: batches, buckets, and closer packing as rows finish."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from thinkaloud.model.heap import trim_heap
from thinkaloud.model.load import Model
from thinkaloud.model.lora import Adapter
from thinkaloud.model.packed import common_prefix, pack, round_up
from thinkaloud.model.precision import weights_dtype
from thinkaloud.model.sharding import mesh_of, place_rows
from thinkaloud.records import Finish
from thinkaloud.rollout.decode import (
    DecodingWeights,
    decode,
    decoding_weights,
    empty_cache,
    lengthen,
    pack_rows,
    prefill,
    start,
)
from thinkaloud.rollout.sampling import Sampling, key_of

FEWEST_ROWS = 8
"""Batches are not packed closer than this: every size is a compilation."""

PROMPT_BUCKET = 128
"""Prompts are padded, within attention alone, to a multiple of this many tokens: one size a call."""

FINE_PROMPT_BUCKET = 64
"""In a call of several batches, sorted by length, each prefill is padded to a multiple of this; its cache then is
padded to the call's size, so that decoding is compiled for that alone."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """One completion in tokens; the end-of-turn token is the last one where `finish` is `stop`."""

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish: Finish


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
    first_row: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[list[Sampled]]:
    """Sample `group_size` completions of each prompt.

    Args:
        model: The base.
        adapter: LoRA pairs; {} for the base itself.
        prompts: Token ids; one prompt at least.
        max_new_tokens: Limit a completion, the end-of-turn token included.
        stop_ids: Tokens that end a completion.
        seed: Of the noise; derive it from (seed, step). Member m of prompt i has noise of its own at every position,
            the same however the prompts are batched.
        scale: LoRA's alpha / rank.
        batch_prompts: Prompts decoded at once; all when None. Batches are filled by length, results keep the order.
        first_row: The number of the first prompt where these are some of many: a label of the noise.
        progress: Called with (prompts done, all prompts).

    Returns:
        For each prompt, its completions.
    """
    batch = min(batch_prompts or len(prompts), len(prompts))
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i])) if batch < len(prompts) else range(len(prompts))
    weights = decoding_weights(model.params, adapter, model.config, scale)
    bucket = PROMPT_BUCKET if batch == len(prompts) else FINE_PROMPT_BUCKET
    prompt_length, prefix = round_up(max(map(len, prompts)), bucket), common_prefix(prompts)
    results: dict[int, list[Sampled]] = {}
    for first in range(0, len(prompts), batch):
        chosen = list(order)[first : first + batch]
        groups = _generate_batch(
            model,
            weights,
            adapter,
            [prompts[i] for i in chosen],
            group_size,
            max_new_tokens,
            sampling,
            tuple(sorted(stop_ids)),
            seed,
            scale,
            rows=[first_row + i for i in chosen],
            bucket=bucket,
            prompt_length=prompt_length,
            prefix=prefix,
        )
        results.update(zip(chosen, groups, strict=True))
        if progress:
            progress(min(first + batch, len(prompts)), len(prompts))
    del weights
    trim_heap()
    return [results[i] for i in range(len(prompts))]


def _generate_batch(
    model: Model,
    weights: DecodingWeights,
    adapter: Adapter,
    prompts: list[Sequence[int]],
    group: int,
    limit: int,
    sampling: Sampling,
    stop_ids: tuple[int, ...],
    seed: int,
    scale: float,
    rows: list[int],
    bucket: int,
    prompt_length: int,
    prefix: int,
) -> list[list[Sampled]]:
    config, key, mesh = model.config, key_of(seed), mesh_of(model.params)
    filled = _power_of_two(len(prompts))
    live = np.arange(filled) < len(prompts)
    padded = [*prompts, *[prompts[0][: prefix + 1]] * (filled - len(prompts))]
    packed = place_rows(pack(padded, [[]] * filled, prompt_bucket=bucket, prefix_length=prefix), mesh)
    logits, prompt_cache = prefill(model.params, adapter, packed, config, scale)
    prompt_cache = lengthen(prompt_cache, prompt_length)
    labels = np.asarray([*rows, *[0] * (filled - len(rows))])[:, None] * group + np.arange(group)
    state = start(
        logits,
        *place_rows((jnp.asarray(live), jnp.asarray(packed.prompt_lengths), jnp.asarray(labels, jnp.int32)), mesh),
        key,
        slots=limit,
        sampling=sampling,
        stop_ids=stop_ids,
    )
    cache = place_rows(empty_cache(config, filled, group, limit, weights_dtype(model.params)), mesh)
    taken = np.broadcast_to(live[:, None], labels.shape)  # cells whose outcome is still to be read
    places = {int(label): divmod(i, group) for i, label in enumerate(labels[: len(prompts)].reshape(-1))}
    results: list[list[Sampled | None]] = [[None] * group for _ in prompts]
    while True:
        cells = taken.size
        enough = cells // 2 if cells // 2 >= FEWEST_ROWS else 0
        cache, state = decode(
            model.params,
            weights,
            cache,
            state,
            prompt_cache,
            key,
            jnp.asarray(limit, jnp.int32),
            jnp.asarray(enough, jnp.int32),
            config=config,
            scale=scale,
            sampling=sampling,
            stop_ids=stop_ids,
        )
        step, tokens, logprobs, done, row_labels = jax.device_get(
            (state.step, state.tokens, state.logprobs, state.done, state.rows)
        )
        ended = taken & (done | (step + 1 >= limit))
        for cell in zip(*np.nonzero(ended), strict=True):
            place = places[int(row_labels[cell])]
            results[place[0]][place[1]] = _read(tokens[cell][: step + 1], logprobs[cell], bool(done[cell]), stop_ids)
        left = np.flatnonzero((taken & ~ended).reshape(-1))
        if not len(left):
            break
        filled = _power_of_two(len(left))
        flat = np.resize(left, filled)
        cache, state, prompt_cache = pack_rows(
            cache, state, prompt_cache, jnp.asarray(flat), jnp.asarray(np.arange(filled) < len(left))
        )
        taken = (np.arange(filled) < len(left))[:, None]
    return [[sampled for sampled in group_results if sampled is not None] for group_results in results]


def _read(tokens: np.ndarray, logprobs: np.ndarray, done: bool, stop_ids: tuple[int, ...]) -> Sampled:
    """Cut a row at its stop token, which belongs to the completion."""
    end = len(tokens)
    if done:
        end = int(np.flatnonzero(np.isin(tokens, stop_ids))[0]) + 1
    finish = Finish.STOP if done else Finish.LENGTH
    return Sampled(tuple(tokens[:end].tolist()), tuple(logprobs[:end].tolist()), finish)


def _power_of_two(count: int) -> int:
    return 1 << (count - 1).bit_length()
