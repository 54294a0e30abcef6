"""Fused projections against separate ones."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from thinkaloud.model import fused
from thinkaloud.model.adapter_products import bfloat16_terms
from thinkaloud.model.architecture import project
from thinkaloud.model.fused import FusedProjections

WIDTHS = {"q": 24, "k": 8, "v": 8}
NAMES = ("q", "k", "v")


def layer_and_pairs(dtype: Any) -> tuple[dict[str, Any], dict[str, Any], jax.Array]:
    """Three projections of width 32, two with an adapter, two with a bias."""
    rng = np.random.default_rng(0)

    def random(*shape: int) -> jax.Array:
        return jnp.asarray(rng.standard_normal(shape), jnp.float32)

    layer = {name: random(32, width).astype(dtype) for name, width in WIDTHS.items()}
    layer |= {f"{name}_bias": random(WIDTHS[name]).astype(dtype) for name in NAMES}
    pairs = {name: {"a": random(32, 4), "b": random(4, WIDTHS[name])} for name in ("q", "v")}
    return layer, pairs, random(5, 32)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_fused_projections_equal_separate_ones(monkeypatch: pytest.MonkeyPatch, dtype: str, backend: str) -> None:
    """For `gpu` and bfloat16, the A's are columns of the matrix."""
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    layer, pairs, x = layer_and_pairs(dtype)
    joined = FusedProjections.of(layer, pairs, NAMES, 2.0)
    in_weight = backend == "gpu" and dtype == "bfloat16"
    assert joined.weight.shape == (32, 40 + fused.TERMS * 8 * in_weight)
    assert (joined.down is None) == in_weight
    x = x.astype(jnp.bfloat16 if in_weight else jnp.float32)
    found = project(x, {"q+k+v": joined}, {}, NAMES, 2.0)
    expected = project(x, layer, pairs, NAMES, 2.0)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(
            one.astype(jnp.float32), other.astype(jnp.float32), rtol=2**-7 if in_weight else 1e-6, atol=1e-5
        )


def test_the_adapter_in_the_matrix_is_not_rounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What bfloat16 would round away of A stays: its three terms add up to it."""
    a = jnp.asarray(np.random.default_rng(1).standard_normal((32, 4)), jnp.float32)
    terms = jax.jit(bfloat16_terms)(a)
    assert all(term.dtype == jnp.bfloat16 for term in terms)
    np.testing.assert_array_equal(sum(np.asarray(term, np.float64) for term in terms), np.asarray(a, np.float64))
    assert bool((terms[0].astype(jnp.float32) != a).any())
