"""Packed batches: prompts and their groups of completions, concatenated, so that dense layers process no padding.

`pack` (host, NumPy) lays out the tokens and all indices that the device needs; `forward` runs the model on them. Each
prompt is stored once for its group, and a prefix common to all prompts (the contract's instructions) once for all of
them: first the prefix, then the rest of each prompt, then the completions. The last token of a completion is only a
target, never an input. There is padding in two places: at the end of the packed tokens, up to a bucket size (to limit
the number of compilations), and inside attention, where prompts and completions become rectangles. A row of a
rectangle of completions holds as many of a group's completions as it has room for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int

from thinkaloud.model.architecture import Params, run_layers
from thinkaloud.model.attention import self_attention, shared_prefix_attention
from thinkaloud.model.config import ModelConfig
from thinkaloud.model.remat import SAVED_IN_BACKWARD


@partial(
    jax.tree_util.register_dataclass,
    data_fields=[
        "tokens",
        "positions",
        "slot_tokens",
        "slot_valid",
        "token_slots",
        "token_valid",
        "prompt_lengths",
        "last_of_prompt",
        "own_offsets",
        "predictors",
        "targets",
        "target_rows",
        "target_valid",
    ],
    meta_fields=["prefix_length", "prompt_length", "num_completions", "mesh", "full_rematerialization"],
)
@dataclass(frozen=True, kw_only=True)
class Packed:
    """The layout of one batch; NumPy arrays on the host, JAX arrays on the device."""

    tokens: Int[Any, " tokens"]
    positions: Int[Any, " tokens"]
    slot_tokens: Int[Any, " slots"]
    """Packed index of the token in each slot of the attention rectangles: prefix, rest of prompts, completions."""
    slot_valid: Bool[Any, " slots"]
    token_slots: Int[Any, " tokens"]
    """Slot of each packed token: the inverse of `slot_tokens`."""
    token_valid: Bool[Any, " tokens"]
    prompt_lengths: Int[Any, " prompts"]
    """Tokens of each prompt, common prefix included."""
    last_of_prompt: Int[Any, " prompts"]
    """Packed index of each prompt's last token."""
    own_offsets: Int[Any, "prompts rows own"]
    """The place in its completion of the token in each slot of a row of completions."""
    predictors: Int[Any, " targets"]
    """Packed index whose hidden state predicts each target."""
    targets: Int[Any, " targets"]
    target_rows: Int[Any, " targets"]
    """prompt * group + member, for each target."""
    target_valid: Bool[Any, " targets"]
    prefix_length: int = field(metadata={"static": True})
    """Length of the common prefix, stored once."""
    prompt_length: int = field(metadata={"static": True})
    """Slots of a prompt, common prefix included."""
    num_completions: int = field(metadata={"static": True})
    """prompts * group."""
    mesh: Mesh | None = field(default=None, metadata={"static": True})
    """Where the arrays are placed, for the output head to divide its rows; None on one device."""
    full_rematerialization: bool = field(default=False, metadata={"static": True})
    """Whether the backward pass keeps nothing but each layer's input."""


PREFIX_STEP = 16
"""Common prefixes are cut to a multiple of this many tokens, because every length is a compilation."""

PROMPT_BUCKET, PER_OCTAVE = 64, 8
"""Of `Buckets` on CPUs."""

COARSE_PROMPT_BUCKET = 128
"""The same for the server and for Tunix, where compiling another program costs more than the padding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Buckets:
    """The sizes to which batches are padded. Every combination of sizes compiles its own programs.

    Attributes:
        prompt: Prompts are padded, within attention alone, to a multiple of this many tokens.
        per_octave: Numbers of tokens are rounded up to one of this many sizes between powers of two.
        row_shares: See `pack`.
        prefix: Tokens of the common prefix where the prompts share at least so many; what they share if None.
    """

    prompt: int = PROMPT_BUCKET
    per_octave: int = PER_OCTAVE
    row_shares: tuple[float, ...] = (1 / 2, 3 / 4)
    prefix: int | None = None

    @classmethod
    def of(cls, backend: str, max_prompt_tokens: int, prefix: int | None = None) -> Buckets:
        """Few sizes on accelerators, where compiling takes minutes; more on CPUs, where padding costs more."""
        if backend == "cpu":
            return cls(prefix=prefix)
        prompt = round_up(-(-max_prompt_tokens // 2), 128)
        return cls(prompt=prompt, per_octave=2, row_shares=(3 / 4,), prefix=prefix)

    def prefix_of(self, prompts: Sequence[Sequence[int]]) -> int:
        """The length of the prefix that is stored once for these prompts."""
        shared = common_prefix(prompts)
        return shared if self.prefix is None else min(self.prefix, shared)


def round_up(count: int, multiple: int) -> int:
    """`count` rounded up to a multiple, and at least one."""
    return max(1, -(-count // multiple)) * multiple


def power_of_two(count: int) -> int:
    """The smallest power of two that is at least `count`."""
    return 1 << max(0, count - 1).bit_length()


def bucketed(count: int, per_octave: int = PER_OCTAVE) -> int:
    """`count` rounded up to one of `per_octave` sizes between powers of two, at least 64 apart."""
    return round_up(count, max(64, (1 << max(0, count.bit_length() - 1)) // per_octave))


def fill_rows(lengths: Sequence[int], size: int) -> tuple[list[int], int]:
    """Put completions into rows of `size` slots: the longest first, each into the first row with room.

    Returns:
        The first slot of each completion, which does not cross the end of its row (0 for one without tokens), and the
        number of rows.
    """
    used: list[int] = []
    first = [0] * len(lengths)
    for i in sorted((i for i, length in enumerate(lengths) if length), key=lambda i: -lengths[i]):
        row = next((row for row, taken in enumerate(used) if taken + lengths[i] <= size), len(used))
        if row == len(used):
            used.append(0)
        first[i] = row * size + used[row]
        used[row] += lengths[i]
    return first, len(used)


def common_prefix(prompts: Sequence[Sequence[int]]) -> int:
    """The length of the prefix that all prompts share, rounded down to a multiple of PREFIX_STEP.

    It leaves at least one token of each prompt; for a single prompt it is 0.
    """
    if len(prompts) < 2:
        return 0
    first, last = min(map(tuple, prompts)), max(map(tuple, prompts))  # a prefix of both is one of all in between
    most = min(map(len, prompts)) - 1
    shared = next((i for i in range(most) if first[i] != last[i]), most)
    return shared // PREFIX_STEP * PREFIX_STEP


def pack(
    prompts: Sequence[Sequence[int]],
    groups: Sequence[Sequence[Sequence[int]]],
    *,
    token_bucket: int | None = None,
    target_bucket: int | None = None,
    prompt_bucket: int = PROMPT_BUCKET,
    completion_bucket: int = 128,
    prefix_length: int | None = None,
    per_octave: int = PER_OCTAVE,
    row_shares: Sequence[float] = (),
) -> Packed:
    """Lay out prompts with their completions.

    Args:
        prompts: Token ids, each prompt at least one.
        groups: The same number of completions for each prompt (0 for a prefill); empty ones are ignored.
        token_bucket: The number of tokens is rounded up to a multiple of this; by `bucketed` when None.
        target_bucket: The same for targets. When None, there are as many target slots as token slots, so that the
            number of targets adds no shape; the head skips the empty ones.
        prompt_bucket: Prompts are padded to a multiple of this in attention.
        completion_bucket: Rows of completions have a multiple of this many slots, and as many as the longest needs.
        prefix_length: Length of the common prefix; computed by `common_prefix` when None.
        per_octave: See `bucketed`.
        row_shares: A prompt has so many rows of completions, as shares of its group; all of it where they are too few.
            As many rows as needed when empty.

    Returns:
        The layout, in NumPy arrays.
    """
    group = len(groups[0]) if groups else 0
    assert len(prompts) == len(groups)
    assert all(len(members) == group for members in groups)
    prompt_length = round_up(max(map(len, prompts)), prompt_bucket)
    longest = max((len(member) - 1 for members in groups for member in members), default=0)
    row_length = round_up(longest, completion_bucket) if group else 0
    filled = [fill_rows([max(0, len(member) - 1) for member in members], row_length) for members in groups]
    needed = max((count for _, count in filled), default=0)
    sizes = [int(share * group) for share in row_shares] + [group] if row_shares else [needed]
    rows = min(size for size in sizes if size >= needed)
    prefix = common_prefix(prompts) if prefix_length is None else prefix_length
    tail_length = prompt_length - prefix
    num_tokens = (
        sum(map(len, prompts))
        - (len(prompts) - 1) * prefix
        + sum(max(0, len(c) - 1) for members in groups for c in members)
    )
    num_targets = sum(len(c) for members in groups for c in members)
    tied = bucketed(max(num_tokens, 0 if target_bucket else num_targets), per_octave)
    size = round_up(num_tokens, token_bucket) if token_bucket else tied
    target_size = (round_up(num_targets, target_bucket) if target_bucket else max(size, tied)) if group else 0
    num_slots = prefix + len(prompts) * (tail_length + rows * row_length)

    tokens, positions = np.zeros(size, np.int32), np.zeros(size, np.int32)
    token_slots, token_valid = np.zeros(size, np.int32), np.zeros(size, bool)
    slot_tokens, slot_valid = np.zeros(num_slots, np.int32), np.zeros(num_slots, bool)
    predictors, targets = np.zeros(target_size, np.int32), np.zeros(target_size, np.int32)
    target_rows, target_valid = np.zeros(target_size, np.int32), np.zeros(target_size, bool)
    own_offsets = np.zeros((len(prompts), rows * row_length), np.int32)
    last_of_prompt = np.zeros(len(prompts), np.int32)
    at, target_at = 0, 0

    def place(ids: Sequence[int], first_position: int, first_slot: int) -> slice:
        nonlocal at
        here = slice(at, at + len(ids))
        tokens[here] = ids
        positions[here] = np.arange(first_position, first_position + len(ids))
        token_slots[here] = np.arange(first_slot, first_slot + len(ids))
        token_valid[here] = True
        slot_tokens[first_slot : first_slot + len(ids)] = np.arange(at, at + len(ids))
        slot_valid[first_slot : first_slot + len(ids)] = True
        at += len(ids)
        return here

    place(prompts[0][:prefix], 0, 0)
    for row, (prompt, members) in enumerate(zip(prompts, groups, strict=True)):
        assert prefix < len(prompt)
        own_slots = prefix + len(prompts) * tail_length + row * rows * row_length
        last_of_prompt[row] = place(prompt[prefix:], prefix, prefix + row * tail_length).stop - 1
        for member, completion in enumerate(members):
            if not len(completion):
                continue
            first_slot, count = filled[row][0][member], len(completion) - 1
            here = place(completion[:-1], len(prompt), own_slots + first_slot)
            own_offsets[row, first_slot : first_slot + count] = np.arange(count)
            spots = slice(target_at, target_at + len(completion))
            predictors[spots] = [last_of_prompt[row], *range(here.start, here.stop)]
            targets[spots] = completion
            target_rows[spots] = row * group + member
            target_valid[spots] = True
            target_at += len(completion)
    return Packed(
        tokens=tokens,
        positions=positions,
        slot_tokens=slot_tokens,
        slot_valid=slot_valid,
        token_slots=token_slots,
        token_valid=token_valid,
        prompt_lengths=np.asarray([len(prompt) for prompt in prompts], np.int32),
        last_of_prompt=last_of_prompt,
        own_offsets=own_offsets.reshape(len(prompts), rows, row_length),
        predictors=predictors,
        targets=targets,
        target_rows=target_rows,
        target_valid=target_valid,
        prefix_length=prefix,
        prompt_length=prompt_length,
        num_completions=len(prompts) * group,
    )


@jax.custom_vjp
def _rearrange(x: Array, there: Array, there_valid: Array, back: Array, back_valid: Array) -> Array:
    """x[there], zero where not valid. `back` is the inverse, so that the gradient is a gather instead of a scatter."""
    return jnp.where(there_valid.reshape(-1, *[1] * (x.ndim - 1)), x[there], jnp.zeros((), x.dtype))


def _rearrange_forward(x: Array, *indices: Array) -> tuple[Array, tuple[Array, ...]]:
    return _rearrange(x, *indices), indices


def _rearrange_backward(indices: tuple[Array, ...], gradient: Array) -> tuple[Array | None, ...]:
    there, there_valid, back, back_valid = indices
    return _rearrange(gradient, back, back_valid, there, there_valid), None, None, None, None


_rearrange.defvjp(_rearrange_forward, _rearrange_backward)


def forward(
    params: Params, adapter: dict[str, Any], packed: Packed, config: ModelConfig, scale: float, *, collect: bool = False
) -> tuple[Float[Array, "tokens width"], Any]:
    """Final hidden states of the packed tokens.

    Returns:
        Hidden states after the final norm; and, if `collect`, the prompts' keys and values, each
        [layers, prompts, kv, prompt_length, dim] (else None).
    """
    prompts, rows, own = packed.own_offsets.shape
    prefix, tail = packed.prefix_length, packed.prompt_length - packed.prefix_length
    ends = (prefix, prefix + prompts * tail)
    shapes = ((1, prefix), (prompts, tail), (prompts, rows, own))

    def attend(query: Array, key: Array, value: Array, sliding: Array) -> tuple[Array, Any]:
        parts = []
        for x in (query, key, value):
            # heads beside each other: with an axis of a few heads, TPUs would pad every row to eight
            flat = x.reshape(len(x), -1)
            slots = _rearrange(flat, packed.slot_tokens, packed.slot_valid, packed.token_slots, packed.token_valid)
            cut = jnp.split(slots, ends)
            parts.append([part.reshape(*shape, *x.shape[1:]) for part, shape in zip(cut, shapes, strict=True)])
        queries, keys, values = parts
        prompt_keys, prompt_values = jnp.swapaxes(keys[1], 1, 2), jnp.swapaxes(values[1], 1, 2)
        attended = []
        if prefix:
            first_keys, first_values = jnp.swapaxes(keys[0], 1, 2), jnp.swapaxes(values[0], 1, 2)
            attended.append(self_attention(queries[0], first_keys, first_values, sliding, config))
            tails = shared_prefix_attention(
                queries[1][None],
                first_keys,
                first_values,
                _cache_rows(keys[1][None]),
                _cache_rows(values[1][None]),
                jnp.full((1,), prefix),
                jnp.arange(tail)[None, None],
                jnp.arange(tail),
                sliding,
                config,
            )
            attended.append(tails)
            prompt_keys = _with_prefix(first_keys, prompt_keys)
            prompt_values = _with_prefix(first_values, prompt_values)
        else:
            attended.append(self_attention(queries[1], prompt_keys, prompt_values, sliding, config))
        if rows:
            completions = shared_prefix_attention(
                queries[2],
                prompt_keys,
                prompt_values,
                _cache_rows(keys[2]),
                _cache_rows(values[2]),
                packed.prompt_lengths,
                packed.own_offsets,
                jnp.arange(own),
                sliding,
                config,
            )
            attended.append(completions)
        slots = jnp.concatenate([part.reshape(-1, query[0].size) for part in attended])
        back = _rearrange(slots, packed.token_slots, packed.token_valid, packed.slot_tokens, packed.slot_valid)
        return back.reshape(query.shape), (prompt_keys, prompt_values) if collect else None

    saved = () if packed.full_rematerialization else SAVED_IN_BACKWARD
    return run_layers(params, adapter, packed.tokens, packed.positions, attend, config, scale, saved=saved)


def _with_prefix(
    prefix: Float[Array, "1 kv prefix dim"], tails: Float[Array, "prompts kv tail dim"]
) -> Float[Array, "prompts kv length dim"]:
    return jnp.concatenate([jnp.broadcast_to(prefix, (tails.shape[0], *prefix.shape[1:])), tails], axis=2)


def _cache_rows(x: Float[Array, "prompts group slots kv dim"]) -> Float[Array, "rows slots dim"]:
    return jnp.moveaxis(x, 3, 1).reshape(-1, x.shape[2], x.shape[4])
