from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkaloud.train.learner import apply_gradients
from thinkaloud.train.schedule import Horizon, learning_rate, make_optimizer


def test_warm_up_is_linear_and_no_update_is_idle() -> None:
    rates = [learning_rate(1.0, Horizon(12), n, warmup_fraction=1 / 3, kind="cosine") for n in range(5)]
    np.testing.assert_allclose(rates, [0.25, 0.5, 0.75, 1.0, 1.0], rtol=1e-6)


def test_cosine_falls_to_nothing_and_stays_positive() -> None:
    rate = [learning_rate(2.0, Horizon(10), n, warmup_fraction=0.0, kind="cosine") for n in range(11)]
    assert rate[0] == pytest.approx(2.0)
    assert rate[5] == pytest.approx(1.0)
    assert 0 < rate[9] < 0.1
    assert rate[10] == pytest.approx(0.0, abs=1e-6)


def test_constant_stays() -> None:
    rates = [learning_rate(0.5, Horizon(5), n, warmup_fraction=0.4, kind="constant") for n in (0, 1, 4)]
    assert rates == [0.25, 0.5, 0.5]


def test_a_run_that_is_all_warm_up_ends_at_its_peak() -> None:
    assert learning_rate(1.0, Horizon(4), 3, warmup_fraction=1.0, kind="cosine") == pytest.approx(1.0)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 500), st.lists(st.tuples(st.integers(1, 50), st.integers(1, 500)), max_size=6))
def test_plans_that_change_bend_the_curve_and_never_break_it(total: int, changes: list[tuple[int, int]]) -> None:
    horizon, update = Horizon(total), 0
    for steps, left in changes:
        update = min(update + steps, horizon.total)
        before = horizon.progress(update)
        horizon = horizon.replanned(update, update + left)
        longer = update / (update + left)  # a finished plan is extended as if it had been longer from the start
        assert horizon.progress(update) == pytest.approx(before if before < 1 else longer)
        assert horizon.progress(update + left) == pytest.approx(1.0)
        shares = [horizon.progress(n) for n in range(update, update + left + 2)]
        assert shares == sorted(shares)


def test_a_deadline_that_ends_a_run_early_leaves_the_curve_to_a_later_one() -> None:
    """A plan cut off after 40 of 100 updates, and one before any: what is planned next goes on from there."""
    for done in (0, 40):
        cut = Horizon(100).replanned(done, done)
        assert cut.progress(done) == done / 100
        assert cut.replanned(done, 100) == Horizon(100, done, done / 100)
        assert Horizon(100, done, done / 100).progress(70) == pytest.approx(0.7)


def test_a_finished_plan_that_is_extended_has_a_learning_rate_again() -> None:
    """Ten updates ended at a rate of 0; ten more have the rates of a run of twenty: half of the peak, then less."""
    extended = Horizon(10).replanned(10, 20)
    rates = [learning_rate(1.0, extended, update, warmup_fraction=0.0, kind="cosine") for update in range(10, 20)]
    whole = [learning_rate(1.0, Horizon(20), update, warmup_fraction=0.0, kind="cosine") for update in range(10, 20)]
    assert rates == pytest.approx(whole)
    assert rates[0] == pytest.approx(0.5)


def test_the_same_plan_again_changes_nothing() -> None:
    horizon = Horizon(10, 3, 0.2)
    assert horizon.replanned(5, 10) is horizon


def test_a_learning_rate_of_three_millionths_moves_float32_weights() -> None:
    """Invariant 4: after one update of Adam every weight has moved by about the learning rate."""
    optimizer = make_optimizer(b1=0.9, b2=0.99, weight_decay=0.0, max_grad_norm=0.1)
    adapter = {"q": {"a": jnp.full((2, 3, 2), 0.04), "b": jnp.zeros((2, 2, 3))}}
    before = jax.tree.map(np.asarray, adapter)
    gradients = jax.tree.map(lambda leaf: jnp.full(leaf.shape, 0.01), adapter)
    state = optimizer.init(adapter)
    assert all(leaf.dtype in (jnp.float32, jnp.int32) for leaf in jax.tree.leaves(state))
    after, state, norm = apply_gradients(adapter, state, gradients, np.float32(3e-6), optimizer=optimizer)
    for new, old in zip(jax.tree.leaves(after), jax.tree.leaves(before), strict=True):
        assert new.dtype == jnp.float32
        np.testing.assert_allclose(old - np.asarray(new), 3e-6, rtol=0.01)
    assert float(norm) == pytest.approx(0.01 * np.sqrt(24), rel=1e-4)


def test_weight_decay_is_decoupled_and_times_the_learning_rate() -> None:
    optimizer = make_optimizer(b1=0.9, b2=0.99, weight_decay=0.5, max_grad_norm=1.0)
    adapter = {"q": {"a": jnp.ones((1, 2, 2)), "b": jnp.ones((1, 2, 2))}}
    gradients = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), adapter)
    after, _, _ = apply_gradients(adapter, optimizer.init(adapter), gradients, np.float32(0.1), optimizer=optimizer)
    for leaf in jax.tree.leaves(after):
        np.testing.assert_allclose(leaf, 1 - 0.1 * 0.5, rtol=1e-6)


def test_a_gradient_that_is_not_finite_changes_nothing() -> None:
    optimizer = make_optimizer(b1=0.9, b2=0.99, weight_decay=0.1, max_grad_norm=1.0)
    adapter = {"q": {"a": jnp.ones((1, 2, 2)), "b": jnp.ones((1, 2, 2))}}
    gradients = jax.tree.map(lambda leaf: jnp.full(leaf.shape, jnp.nan), adapter)
    state = optimizer.init(adapter)
    after, state, norm = apply_gradients(adapter, state, gradients, np.float32(0.1), optimizer=optimizer)
    assert not np.isfinite(float(norm))
    assert all((np.asarray(leaf) == 1).all() for leaf in jax.tree.leaves(after))
    assert all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(state))
