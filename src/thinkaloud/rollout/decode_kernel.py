"""Attention of one decoding step on NVIDIA GPUs, as one Pallas kernel per layer (and a combination of its parts).

XLA needs eleven kernels for it and for the update of the caches, and reads all slots of the caches. This one reads only
the blocks that hold visible tokens: of the real prompt, of what is sampled so far, in sliding layers of the window. It
is FlashAttention's online softmax (arXiv 2205.14135) over two sets of keys; a row's blocks are divided among `splits`
programs where there are few rows, as in Flash-Decoding. It is tested interpreted, and compiled for an H100; it has not
run on a GPU yet. So a process compares it with plain attention before it uses it (`works`).
"""

from __future__ import annotations

import warnings
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from thinkaloud.model.attention import MASKED, shared_prefix_attention
from thinkaloud.model.config import ModelConfig

BLOCK = 32
"""Slots that are read at once."""

TOKEN_ROWS = 16
"""The fewest rows of a product on tensor cores. A token's rows for one key head: its queries, its key, its value."""

PROGRAMS, MOST_SPLITS = 256, 8
"""About as many programs as an H100 runs at once; the most among which a row is divided."""

ROUNDING = 0.02
"""A difference from plain attention, as a share of the largest value, that bfloat16 explains."""

FIRST_CAPABILITY = 8.0
"""Of GPUs with bfloat16 tensor cores, which Triton supports."""


def supports(config: ModelConfig, dtype: Any, capability: float) -> bool:
    """Whether the kernel runs for this model, with hidden states of this dtype, on a GPU of this compute capability."""
    dim, repeats = config.head_dim, config.num_heads // config.num_kv_heads
    fits = 16 <= dim <= 256 and dim & (dim - 1) == 0 and repeats + 2 <= TOKEN_ROWS
    return fits and dtype == jnp.bfloat16 and capability >= FIRST_CAPABILITY


@lru_cache
def works(config: ModelConfig) -> bool:
    """Whether the kernel attends as plain attention does on this device; otherwise a warning says what is wrong.

    It takes random numbers in bfloat16, in one layer of each kind (sliding or not), and allows for `ROUNDING`.
    """
    prompts, group, length, slots, step = 2, 3, 4 * BLOCK, 3 * BLOCK, 2 * BLOCK + 5
    rng = np.random.default_rng(0)

    def random(*shape: int) -> jax.Array:
        return jnp.asarray(rng.standard_normal(shape), jnp.bfloat16)

    kv, dim = config.num_kv_heads, config.head_dim
    token = random(prompts, group, kv, config.num_heads // kv + 2, dim)
    keys, values = random(prompts, kv, dim, length), random(prompts, kv, length, dim)
    own = random(prompts * kv * group, 2, slots, dim)
    lengths, now = jnp.asarray([length, BLOCK // 2 + 1], jnp.int32), jnp.int32(step)
    entry = jnp.swapaxes(token[..., -2:, :], 1, 2).reshape(len(own), 2, dim)
    expected_own = own.at[:, :, step].set(entry)
    plain = jax.jit(shared_prefix_attention, static_argnames=("sliding", "config"))
    kernel = jax.jit(attend, static_argnames=("config", "sliding"))
    difference = 0.0
    try:
        for sliding in sorted(set(config.sliding_layers)):
            expected = plain(
                token[..., :-2, :].reshape(prompts, group, 1, -1, dim),
                jnp.swapaxes(keys, -1, -2),
                values,
                *(expected_own[:, 0], expected_own[:, 1]),
                lengths,
                now[None, None, None],
                now[None],
                sliding=sliding,
                config=config,
            )[:, :, 0]
            attended, updated = kernel(token, keys, values, own, lengths, now, config=config, sliding=sliding)
            difference = max(difference, _relative(attended, expected), _relative(updated, expected_own))
    except Exception as error:  # of whatever Triton, its compiler or the driver may raise
        lines = str(error).strip().splitlines() or [type(error).__name__]
        fault = f"does not run here: {lines[0][:200]}"
    else:
        if difference <= ROUNDING:
            return True
        fault = f"differs from plain attention by {difference:.2g} of the largest value"
    warnings.warn(f"the attention kernel for decoding {fault}; attention is left to XLA", RuntimeWarning, stacklevel=2)
    return False


def _relative(found: jax.Array, expected: jax.Array) -> float:
    """The largest difference, as a share of the largest value; infinite where something is not finite."""
    one, other = (np.asarray(x, np.float32) for x in (found, expected))
    difference = float(np.abs(one - other).max() / np.abs(other).max())
    return difference if np.isfinite(difference) else float("inf")


def first_visible(next_position: Any, window: int | None) -> Any:
    """The first position that a query just before `next_position` attends to."""
    return jnp.zeros_like(next_position) if window is None else jnp.maximum(next_position - window, 0)


def slots_read(first: Any, stop: Any) -> Any:
    """The slots in the blocks that hold the slots from `first` to `stop`."""
    return jnp.maximum((stop + BLOCK - 1) // BLOCK - first // BLOCK, 0) * BLOCK


def attend(
    token: Float[Array, "prompts group kv token_heads dim"],
    prompt_keys: Float[Array, "prompts kv dim length"],
    prompt_values: Float[Array, "prompts kv length dim"],
    own: Float[Array, "rows 2 slots dim"],
    prompt_lengths: Int[Array, " prompts"],
    step: Int[Array, ""],
    config: ModelConfig,
    *,
    sliding: bool,
) -> tuple[Float[Array, "prompts group heads dim"], Float[Array, "rows 2 slots dim"]]:
    """Attention of the token in slot `step` of every completion; see `attention.shared_prefix_attention`.

    Args:
        token: For each key head the token's queries, its key and its value, from `architecture.token_heads`.
        own: The completions' keys and values before it. Rows are prompts * kv heads * group. `length` and `slots` are
            multiples of `BLOCK`.

    Returns:
        The attended values, and `own` with the token, written in place.
    """
    from jax.experimental import pallas as pl
    from jax.experimental.pallas import triton

    prompts, group, kv, heads, dim = token.shape
    length, (rows, _, slots, _), repeats = prompt_values.shape[2], own.shape, heads - 2
    assert length % BLOCK == slots % BLOCK == 0, f"caches of {length} and {slots} slots"
    splits = max(1, min(MOST_SPLITS, PROGRAMS // rows))
    padded = jnp.pad(token, ((0, 0), (0, 0), (0, 0), (0, TOKEN_ROWS - heads), (0, 0)))
    by_row = jnp.swapaxes(padded, 1, 2).reshape(rows, TOKEN_ROWS, dim)
    window = config.sliding_window if sliding else None

    def of_prompt(row: Any, split: Any) -> Any:
        return row // (kv * group), (row // group) % kv, 0, 0

    own_spec = pl.BlockSpec((None, 2, slots, dim), lambda row, split: (row, 0, 0, 0))
    shape_of: Any = jax.ShapeDtypeStruct
    row_parts = shape_of((rows, splits, TOKEN_ROWS), jnp.float32)
    own, attended, highest, total = pl.pallas_call(
        partial(_kernel, window=window, splits=splits, repeats=repeats, scale=config.query_scale),
        grid=(rows, splits),
        in_specs=[
            pl.BlockSpec((None, TOKEN_ROWS, dim), lambda row, split: (row, 0, 0)),
            pl.BlockSpec((None, None, dim, length), of_prompt),
            pl.BlockSpec((None, None, length, dim), of_prompt),
            own_spec,
            pl.BlockSpec((None,), lambda row, split: (row // (kv * group),)),
            pl.BlockSpec((None,), lambda row, split: (0,)),
        ],
        out_specs=[
            own_spec,
            pl.BlockSpec((None, None, TOKEN_ROWS, dim), lambda row, split: (row, split, 0, 0)),
            pl.BlockSpec((None, None, TOKEN_ROWS), lambda row, split: (row, split, 0)),
            pl.BlockSpec((None, None, TOKEN_ROWS), lambda row, split: (row, split, 0)),
        ],
        out_shape=[
            shape_of(own.shape, own.dtype),
            shape_of((*row_parts.shape, dim), jnp.float32),
            row_parts,
            row_parts,
        ],
        compiler_params=triton.CompilerParams(num_warps=4, num_stages=2),
        input_output_aliases={3: 0},
        interpret=jax.default_backend() == "cpu",
        name="decode_attention",
    )(by_row, prompt_keys, prompt_values, own, prompt_lengths, step[None])
    attended, highest, total = (x[:, :, :repeats] for x in (attended, highest, total))
    weights = jnp.exp(highest - highest.max(axis=1, keepdims=True))
    summed = (attended * weights[..., None]).sum(axis=1) / (total * weights).sum(axis=1)[..., None]
    ordered = jnp.swapaxes(summed.reshape(prompts, kv, group, repeats, dim), 1, 2)
    return ordered.reshape(prompts, group, kv * repeats, dim).astype(token.dtype), own


def _kernel(
    token_ref: Any,
    prompt_key_ref: Any,
    prompt_value_ref: Any,
    own_ref: Any,
    prompt_length_ref: Any,
    step_ref: Any,
    updated_ref: Any,
    attended_ref: Any,
    highest_ref: Any,
    total_ref: Any,
    *,
    window: int | None,
    splits: int,
    repeats: int,
    scale: float,
) -> None:
    """One row's queries, every `splits`-th block of its keys: sums of values times exp(score - highest), not divided.

    Refs: the token [TOKEN_ROWS, dim], the prompt's keys [dim, length] and values [length, dim], the completion's
    [2, slots, dim], two numbers; results: the completion's again, which is the same memory, and [TOKEN_ROWS, dim] and
    [TOKEN_ROWS], meaningless beyond the queries. The first split adds the token itself.
    """
    from jax.experimental import pallas as pl
    from jax.experimental.pallas import triton

    split, query = pl.program_id(1), token_ref[...]
    length, step = prompt_length_ref[()], step_ref[()]

    def over(scores_of: Any, values_of: Any, first: Any, stop: Any, carry: Any) -> Any:
        """Add the visible slots, `first` to `stop`."""
        first_block = first // BLOCK + split

        def add(index: Any, carry: Any) -> Any:
            attended, highest, total = carry
            start = (first_block + index * splits) * BLOCK
            slots = start + jax.lax.iota(jnp.int32, BLOCK)
            visible = (slots >= first) & (slots < stop)
            block = pl.ds(start, BLOCK)
            scores = jnp.where(visible[None, :], np.float32(scale) * scores_of(block), MASKED)
            now = jnp.maximum(highest, scores.max(axis=1))
            shrink, powers = jnp.exp(highest - now), jnp.exp(scores - now[:, None])
            values = values_of(block)
            attended = attended * shrink[:, None] + triton.dot(powers.astype(values.dtype), values)
            return attended, now, total * shrink + powers.sum(axis=1)

        blocks = jnp.maximum((stop + BLOCK - 1) // BLOCK - first_block, 0)
        return jax.lax.fori_loop(0, (blocks + splits - 1) // splits, add, carry)

    def row(index: int) -> Any:
        """One of the token's rows, in float32."""
        chosen = jax.lax.iota(jnp.int32, TOKEN_ROWS)[:, None] == index
        return jnp.sum(jnp.where(chosen, query.astype(jnp.float32), 0.0), axis=0)

    key, value, first = row(repeats), row(repeats + 1), split == 0
    score = np.float32(scale) * jnp.sum(query.astype(jnp.float32) * key[None, :], axis=1)
    carry: Any = (
        jnp.where(first, jnp.broadcast_to(value[None, :], attended_ref.shape), 0.0),
        jnp.where(first, score, MASKED),
        jnp.where(first, jnp.ones_like(score), 0.0),
    )
    carry = over(
        lambda block: triton.dot(query, prompt_key_ref[:, block]),
        lambda block: prompt_value_ref[block, :],
        first_visible(length + step + 1, window),
        length,
        carry,
    )
    carry = over(
        lambda block: triton.dot(query, own_ref[0, block, :], trans_b=True),
        lambda block: own_ref[1, block, :],
        first_visible(step + 1, window),
        step,
        carry,
    )

    @pl.when(first)
    def _store() -> None:
        updated_ref[0, step, :], updated_ref[1, step, :] = key.astype(own_ref.dtype), value.astype(own_ref.dtype)

    attended_ref[...], highest_ref[...], total_ref[...] = carry
