"""Attention in blocks of queries against all queries at once, and against a mask written out."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from thinkaloud.model import attention
from thinkaloud.model.attention import MASKED, Reach, attend_to_two, num_blocks

PROMPTS, KV, ROWS, POSITIONS, REPEATS, DIM, LENGTH = 2, 2, 3, 8, 2, 4, 6
COMPLETIONS = [[[8], [3], [5, 2]], [[1, 6, 1], [8], [4, 4]]]
"""The completions in each row, by their lengths."""


def inputs() -> tuple[tuple[jax.Array, ...], Reach]:
    rng = np.random.default_rng(0)

    def random(*shape: int) -> jax.Array:
        return jnp.asarray(rng.standard_normal(shape), jnp.float32)

    rows = PROMPTS * KV * ROWS
    arrays = (
        random(PROMPTS, KV, ROWS, POSITIONS * REPEATS, DIM),
        random(PROMPTS, KV, LENGTH, DIM),
        random(PROMPTS, KV, LENGTH, DIM),
        random(rows, POSITIONS, DIM),
        random(rows, POSITIONS, DIM),
    )
    offsets = [[[i for length in row for i in range(length)] for row in own] for own in COMPLETIONS]
    padded = jnp.asarray([[row + [0] * (POSITIONS - len(row)) for row in own] for own in offsets], jnp.int32)
    return arrays, Reach(jnp.asarray([6, 2], jnp.int32), padded, jnp.arange(POSITIONS), jnp.int32(5))


def written_out(query: Any, prompt_key: Any, prompt_value: Any, own_key: Any, own_value: Any, reach: Reach) -> Any:
    """The same with loops over completions, and one softmax over the keys of each query; zero in unused slots."""
    out = np.zeros(query.shape, np.float32)
    for p, k, m in np.ndindex(query.shape[:3]):
        row, length, first = (p * KV + k) * ROWS + m, int(reach.prompt_lengths[p]), 0
        for own in COMPLETIONS[p][m]:
            keys = np.concatenate([prompt_key[p, k, :length], own_key[row, first : first + own]])
            values = np.concatenate([prompt_value[p, k, :length], own_value[row, first : first + own]])
            for offset, repeat in np.ndindex(own, REPEATS):
                q, position = (first + offset) * REPEATS + repeat, length + offset
                distance = position - np.arange(length + own)
                seen = (distance >= 0) & (distance < int(reach.window))
                scores = np.where(seen, keys @ np.asarray(query[p, k, m, q]), MASKED)
                weights = np.exp(scores - scores.max())
                out[p, k, m, q] = weights @ values / weights.sum()
            first += own
    return out


def test_what_each_query_attends_to() -> None:
    arrays, reach = inputs()
    used = [[[slot < sum(row) for slot in range(POSITIONS)] for row in own] for own in COMPLETIONS]
    ours = jax.jit(attend_to_two)(*arrays, reach)
    assert np.isfinite(ours).all()
    ours = np.where(np.repeat(used, REPEATS, axis=2)[:, None, :, :, None], ours, 0.0)
    np.testing.assert_allclose(ours, written_out(*arrays, reach), atol=1e-5)


def test_blocks_of_queries_change_neither_values_nor_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    arrays, reach = inputs()

    def loss(*values: Any) -> Any:
        return jnp.sum(jnp.sin(attend_to_two(*values, reach)))

    whole = jax.value_and_grad(loss, argnums=tuple(range(5)))(*arrays)
    scores = PROMPTS * KV * ROWS * POSITIONS * REPEATS * (LENGTH + POSITIONS)
    assert num_blocks(scores, POSITIONS) == 1
    monkeypatch.setattr(attention, "SCORE_BYTES", scores)
    assert num_blocks(scores, POSITIONS) == 4
    in_blocks = jax.value_and_grad(loss, argnums=tuple(range(5)))(*arrays)
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, atol=1e-5), whole, in_blocks)


def test_blocks_divide_the_positions() -> None:
    assert num_blocks(2**40, 8 * 3) == 8
    assert num_blocks(2**40, 7) == 1
    # prompts of 8,192 tokens, four heads: scores of 1 GiB for each are computed in blocks
    assert num_blocks(4 * 8192 * 8192, 8192) == 2
