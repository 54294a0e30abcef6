"""The products of an adapter by bfloat16 terms, against float64."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from thinkaloud.model.adapter_products import adapter_down, adapter_up
from thinkaloud.model.architecture import project
from thinkaloud.model.config import tiny_config

WIDTH, RANK = 96, 5


def random(seed: int, *shape: int) -> jax.Array:
    """Of very different sizes, so that every term counts."""
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.standard_normal(shape) * np.exp(rng.standard_normal(shape)), jnp.float32)


def close(found: Any, exact: Any, tolerance: float) -> None:
    assert np.abs(np.asarray(found, np.float64) - exact).max() <= tolerance * np.abs(exact).max()


def wide(x: jax.Array) -> np.ndarray:
    return np.asarray(x.astype(jnp.float32), np.float64)


@pytest.mark.parametrize("rows", [(7,), (2, 3)])
def test_down_and_its_gradients(rows: tuple[int, ...]) -> None:
    x, down, slope = random(0, *rows, WIDTH).astype(jnp.bfloat16), random(1, WIDTH, RANK), random(2, *rows, RANK)
    y, pull = jax.vjp(adapter_down, x, down)
    dx, d_down = pull(slope)
    assert (y.dtype, dx.dtype, d_down.dtype) == (jnp.float32, jnp.bfloat16, jnp.float32)
    close(y, wide(x) @ wide(down), 2e-7)
    close(d_down, wide(x).reshape(-1, WIDTH).T @ wide(slope).reshape(-1, RANK), 2e-7)
    close(dx.astype(jnp.float32), wide(slope) @ wide(down).T, 2**-8)  # rounded to bfloat16 in the end


@pytest.mark.parametrize("rows", [(7,), (2, 3)])
def test_up_and_its_gradients(rows: tuple[int, ...]) -> None:
    low, up = random(0, *rows, RANK), random(1, RANK, WIDTH)
    slope = random(2, *rows, WIDTH).astype(jnp.bfloat16)
    y, pull = jax.vjp(adapter_up, low, up)
    d_low, d_up = pull(slope.astype(jnp.float32))
    assert {leaf.dtype for leaf in (y, d_low, d_up)} == {jnp.dtype(jnp.float32)}
    close(y, wide(low) @ wide(up), 2e-7)
    close(d_low, wide(slope) @ wide(up).T, 2e-7)
    close(d_up, wide(low).reshape(-1, RANK).T @ wide(slope).reshape(-1, WIDTH), 2e-7)


def test_projections_use_them_for_bfloat16_alone() -> None:
    config = tiny_config()
    layer = {"o": random(0, config.num_heads * config.head_dim, config.hidden_size)}
    pairs = {"o": {"a": random(1, len(layer["o"]), RANK), "b": random(2, RANK, config.hidden_size)}}

    def text(dtype: Any) -> str:
        narrow = {"o": layer["o"].astype(dtype)}
        x = random(3, 7, len(layer["o"])).astype(dtype)
        return str(jax.make_jaxpr(lambda x: project(x, narrow, pairs, ("o",), 2.0))(x))

    assert "adapter_up" in text(jnp.bfloat16)
    assert "adapter_up" not in text(jnp.float32)
