from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from thinkaloud.train.learner import apply_gradients
from thinkaloud.train.schedule import learning_rate_schedule, make_optimizer


def test_warm_up_is_linear_and_no_update_is_idle() -> None:
    rate = learning_rate_schedule(1.0, warmup_steps=4, total_steps=12, kind="cosine")
    np.testing.assert_allclose([float(rate(n)) for n in range(5)], [0.25, 0.5, 0.75, 1.0, 1.0], rtol=1e-6)


def test_cosine_falls_to_nothing_and_stays_positive() -> None:
    rate = learning_rate_schedule(2.0, warmup_steps=0, total_steps=10, kind="cosine")
    assert float(rate(0)) == pytest.approx(2.0)
    assert float(rate(5)) == pytest.approx(1.0)
    assert 0 < float(rate(9)) < 0.1
    assert float(rate(10)) == pytest.approx(0.0, abs=1e-6)


def test_constant_stays() -> None:
    rate = learning_rate_schedule(0.5, warmup_steps=2, total_steps=5, kind="constant")
    assert [float(rate(n)) for n in (0, 1, 4)] == [0.25, 0.5, 0.5]


def test_a_learning_rate_of_three_millionths_moves_float32_weights() -> None:
    """Invariant 4: after one update of Adam every weight has moved by about the learning rate."""
    schedule = learning_rate_schedule(3e-6, warmup_steps=0, total_steps=100, kind="constant")
    optimizer = make_optimizer(schedule, b1=0.9, b2=0.99, weight_decay=0.0, max_grad_norm=0.1)
    adapter = {"q": {"a": jnp.full((2, 3, 2), 0.04), "b": jnp.zeros((2, 2, 3))}}
    before = jax.tree.map(np.asarray, adapter)
    gradients = jax.tree.map(lambda leaf: jnp.full(leaf.shape, 0.01), adapter)
    state = optimizer.init(adapter)
    assert all(leaf.dtype in (jnp.float32, jnp.int32) for leaf in jax.tree.leaves(state))
    after, state, norm = apply_gradients(adapter, state, gradients, optimizer=optimizer)
    for new, old in zip(jax.tree.leaves(after), jax.tree.leaves(before), strict=True):
        assert new.dtype == jnp.float32
        np.testing.assert_allclose(old - np.asarray(new), 3e-6, rtol=0.01)
    assert float(norm) == pytest.approx(0.01 * np.sqrt(24), rel=1e-4)


def test_a_gradient_that_is_not_finite_changes_nothing() -> None:
    schedule = learning_rate_schedule(0.1, warmup_steps=0, total_steps=10, kind="constant")
    optimizer = make_optimizer(schedule, b1=0.9, b2=0.99, weight_decay=0.1, max_grad_norm=1.0)
    adapter = {"q": {"a": jnp.ones((1, 2, 2)), "b": jnp.ones((1, 2, 2))}}
    gradients = jax.tree.map(lambda leaf: jnp.full(leaf.shape, jnp.nan), adapter)
    after, state, norm = apply_gradients(adapter, optimizer.init(adapter), gradients, optimizer=optimizer)
    assert not np.isfinite(float(norm))
    assert all((np.asarray(leaf) == 1).all() for leaf in jax.tree.leaves(after))
    assert all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(state))
