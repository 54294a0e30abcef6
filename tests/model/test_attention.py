"""Attention in blocks of queries against all queries at once, and against a mask written out."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from thinkaloud.model import attention
from thinkaloud.model.attention import MASKED, Reach, attend_to_two, num_blocks

PROMPTS, KV, GROUP, POSITIONS, REPEATS, DIM, LENGTH = 2, 2, 3, 8, 2, 4, 6


def inputs() -> tuple[tuple[jax.Array, ...], Reach]:
    rng = np.random.default_rng(0)

    def random(*shape: int) -> jax.Array:
        return jnp.asarray(rng.standard_normal(shape), jnp.float32)

    rows = PROMPTS * KV * GROUP
    arrays = (
        random(PROMPTS, KV, GROUP, POSITIONS * REPEATS, DIM),
        random(PROMPTS, KV, LENGTH, DIM),
        random(PROMPTS, KV, LENGTH, DIM),
        random(rows, POSITIONS, DIM),
        random(rows, POSITIONS, DIM),
    )
    own = jnp.asarray([[8, 3, 5], [1, 8, 7]], jnp.int32)
    return arrays, Reach(jnp.asarray([6, 2], jnp.int32), own, jnp.arange(POSITIONS), jnp.int32(5))


def written_out(query: Any, prompt_key: Any, prompt_value: Any, own_key: Any, own_value: Any, reach: Reach) -> Any:
    """The same with loops over rows, and one softmax over the keys of each query."""
    out = np.zeros(query.shape, np.float32)
    for p, k, m, q in np.ndindex(query.shape[:4]):
        row, offset = (p * KV + k) * GROUP + m, q // REPEATS
        length, own = int(reach.prompt_lengths[p]), int(reach.own_lengths[p, m])
        keys = np.concatenate([prompt_key[p, k], own_key[row]])
        values = np.concatenate([prompt_value[p, k], own_value[row]])
        positions = [*range(LENGTH), *range(length, length + POSITIONS)]
        real = [i < length for i in range(LENGTH)] + [i < own for i in range(POSITIONS)]
        distance = length + offset - np.asarray(positions)
        seen = np.asarray(real) & (distance >= 0) & (distance < int(reach.window))
        scores = np.where(seen, keys @ np.asarray(query[p, k, m, q]), MASKED)
        weights = np.exp(scores - scores.max())
        out[p, k, m, q] = weights @ values / weights.sum()
    return out


def test_what_each_query_attends_to() -> None:
    arrays, reach = inputs()
    np.testing.assert_allclose(jax.jit(attend_to_two)(*arrays, reach), written_out(*arrays, reach), atol=1e-5)


def test_blocks_of_queries_change_neither_values_nor_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    arrays, reach = inputs()

    def loss(*values: Any) -> Any:
        return jnp.sum(jnp.sin(attend_to_two(*values, reach)))

    whole = jax.value_and_grad(loss, argnums=tuple(range(5)))(*arrays)
    scores = PROMPTS * KV * GROUP * POSITIONS * REPEATS * (LENGTH + POSITIONS)
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
