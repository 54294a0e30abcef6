"""The objective against numbers computed by hand, and its gradient against the formula."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from thinkaloud.config.recipe import GrpoConfig
from thinkaloud.train.loss import Objective, grpo_loss, k3, next_entropy_weight, token_weights

PLAIN = Objective(beta=0.0, epsilon=0.2, epsilon_high=0.2, ratio="token")


def arrays(*values: Any) -> list[Any]:
    return [jnp.asarray(value, jnp.float32) for value in values]


def loss_of(
    logprobs: Any, old: Any, advantages: Any, objective: Objective = PLAIN, reference: Any = None, rows: Any = None
) -> tuple[float, Any]:
    count = len(logprobs)
    logprobs, old, advantages = arrays(logprobs, old, advantages)
    reference = old if reference is None else jnp.asarray(reference, jnp.float32)
    rows = jnp.zeros(count, jnp.int32) if rows is None else jnp.asarray(rows, jnp.int32)
    weights = jnp.full(count, 1 / count, jnp.float32)
    valid = jnp.ones(count, bool)
    total, sums = grpo_loss(logprobs, old, reference, jnp.zeros(count), advantages, weights, valid, rows, 2, objective)
    return float(total), sums


def test_the_loss_is_minus_the_ratio_times_the_advantage_within_the_clip() -> None:
    total, sums = loss_of(np.log([0.55]), np.log([0.5]), [2.0])
    assert total == pytest.approx(-1.1 * 2.0, rel=1e-5)
    assert float(sums.clipped) == 0


def test_a_good_token_is_clipped_above_and_a_bad_one_below() -> None:
    total, sums = loss_of(np.log([0.75, 0.25]), np.log([0.5, 0.5]), [1.0, -1.0])
    # ratios 1.5 and 0.5: -min(1.5, 1.2) and -min(-0.5, -0.8), averaged
    assert total == pytest.approx((-1.2 + 0.8) / 2, rel=1e-5)
    assert float(sums.clipped) == 2


def test_a_ratio_that_goes_the_wrong_way_is_not_clipped() -> None:
    total, sums = loss_of(np.log([0.25, 0.75]), np.log([0.5, 0.5]), [1.0, -1.0])
    assert total == pytest.approx((-0.5 + 1.5) / 2, rel=1e-5)
    assert float(sums.clipped) == 0


def test_a_token_without_advantage_is_never_clipped() -> None:
    _, sums = loss_of(np.log([0.75, 0.25]), np.log([0.5, 0.5]), [0.0, 0.0])
    assert float(sums.clipped) == 0


def test_the_upper_clip_has_a_bound_of_its_own() -> None:
    total, _ = loss_of(np.log([0.75]), np.log([0.5]), [1.0], PLAIN._replace(epsilon_high=0.28))
    assert total == pytest.approx(-1.28, rel=1e-5)


def test_the_sequence_ratio_is_the_exponential_of_the_mean_log_ratio() -> None:
    objective = PLAIN._replace(ratio="sequence")
    old = np.log([0.5, 0.5, 0.5])
    new = old + np.asarray([0.3, -0.1, 0.05])
    total, _ = loss_of(new, old, [1.0, 1.0, -2.0], objective, rows=[0, 0, 1])
    assert total == pytest.approx((-2 * np.exp(0.1) + 2 * np.exp(0.05)) / 3, rel=1e-5)


def test_k3_is_never_negative_and_has_the_gradient_of_its_formula() -> None:
    """Invariant 6: exp(d) - d - 1 with d = log p_ref - log p; its derivative by log p is 1 - exp(d)."""
    rng = np.random.default_rng(0)
    logprobs, reference = arrays(-rng.exponential(2, 200), -rng.exponential(2, 200))
    values = np.asarray(k3(logprobs, reference))
    difference = np.asarray(reference - logprobs)
    assert (values >= 0).all()
    np.testing.assert_allclose(values, np.exp(difference) - difference - 1, rtol=1e-3, atol=1e-5)
    gradient = jax.grad(lambda x: k3(x, reference).sum())(logprobs)
    np.testing.assert_allclose(gradient, 1 - np.exp(difference), rtol=1e-3, atol=1e-5)


def test_the_penalty_is_added_with_its_weight() -> None:
    objective = PLAIN._replace(beta=0.5)
    total, sums = loss_of([-1.0], [-1.0], [0.0], objective, reference=[-2.0])
    expected = np.exp(-1.0) + 1.0 - 1.0
    assert total == pytest.approx(0.5 * expected, rel=1e-5)
    assert float(sums.kl) == pytest.approx(expected, rel=1e-5)


def test_a_runaway_ratio_stays_finite() -> None:
    total, sums = loss_of([0.0, -300.0], [-300.0, 0.0], [-1.0, 1.0], PLAIN._replace(beta=0.1))
    assert np.isfinite(total)
    assert np.isfinite(float(sums.ratio))


def test_the_gradient_is_zero_where_the_clip_holds() -> None:
    old = jnp.log(jnp.asarray([0.5, 0.5], jnp.float32))
    rest = (old, jnp.zeros(2), jnp.ones(2), jnp.ones(2), jnp.ones(2, bool), jnp.zeros(2, jnp.int32), 1, PLAIN)
    gradient = jax.grad(lambda x: grpo_loss(x, old, *rest)[0])(jnp.log(jnp.asarray([0.75, 0.55], jnp.float32)))
    np.testing.assert_allclose(gradient, [0.0, -1.1], rtol=1e-5)


def test_cispo_keeps_the_gradient_of_clipped_tokens() -> None:
    """-min(r, 1.2) A d log p: ratios 1.5 and 0.5, of which only the first is clipped."""
    old = jnp.log(jnp.asarray([0.5, 0.5], jnp.float32))
    objective = PLAIN._replace(clip="cispo")
    advantages = jnp.asarray([1.0, -2.0])
    rest = (old, jnp.zeros(2), advantages, jnp.ones(2), jnp.ones(2, bool), jnp.zeros(2, jnp.int32), 1, objective)
    now = jnp.log(jnp.asarray([0.75, 0.25], jnp.float32))
    gradient = jax.grad(lambda x: grpo_loss(x, old, *rest)[0])(now)
    np.testing.assert_allclose(gradient, [-1.2, 0.5 * 2.0], rtol=1e-5)
    assert float(grpo_loss(now, old, *rest)[1].clipped) == 1


def test_the_importance_weight_is_capped_and_constant() -> None:
    """p_old = 0.4 and 0.3, drawn with 0.5 and 0.1: weights 0.8 and min(2, 3); the ratios are 1.1 and 1."""
    now, old, drawn = (jnp.log(jnp.asarray(p, jnp.float32)) for p in ((0.44, 0.3), (0.4, 0.3), (0.5, 0.1)))
    objective = PLAIN._replace(importance_cap=2.0, beta=0.5)
    advantages = jnp.asarray([1.0, -1.0])
    rest = (jnp.zeros(2), advantages, jnp.ones(2), jnp.ones(2, bool), jnp.zeros(2, jnp.int32), 1, objective)

    def loss(x: Any) -> Any:
        return grpo_loss(x, old, now, *rest, sampled=drawn)  # the reference is `now`: k3 and its gradient are 0

    total, sums = loss(now)
    assert float(total) == pytest.approx(-0.8 * 1.1 + 2.0, rel=1e-5)
    np.testing.assert_allclose(jax.grad(lambda x: loss(x)[0])(now), [-0.8 * 1.1, 2.0], rtol=1e-5)
    assert float(sums.capped) == 1
    expected = sum(p / q - np.log(p / q) - 1 for p, q in ((0.4, 0.5), (0.3, 0.1)))
    assert float(sums.mismatch) == pytest.approx(expected, rel=1e-4)
    uncorrected, sums = grpo_loss(now, old, now, *rest[:-1], PLAIN, sampled=drawn)
    assert float(uncorrected) == pytest.approx(-1.1 + 1.0, rel=1e-5)
    assert float(sums.capped) == 0


def test_the_entropy_bonus_is_subtracted_only_where_the_objective_has_one() -> None:
    values = arrays([-1.0], [-1.0], [-1.0], [0.3], [0.0], [1.0])
    rest = (jnp.asarray([True]), jnp.zeros(1, jnp.int32), 1)
    with_bonus = PLAIN._replace(entropy_bonus=True)
    assert float(grpo_loss(*values, *rest, with_bonus, 0.5)[0]) == pytest.approx(-0.15)
    assert float(grpo_loss(*values, *rest, PLAIN, 0.5)[0]) == 0.0


@pytest.mark.parametrize(
    ("weight", "entropy", "expected"),
    [(0.01, 0.1, 0.015), (0.01, 0.4, 0.005), (0.002, 0.4, 0.0), (0.01, None, 0.01), (0.0, 0.3, 0.0)],
)
def test_the_weight_of_the_bonus_follows_the_floor(weight: float, entropy: float | None, expected: float) -> None:
    assert next_entropy_weight(weight, entropy, GrpoConfig(entropy_floor=0.3)) == pytest.approx(expected)
    assert next_entropy_weight(weight, entropy, GrpoConfig()) == weight


def test_padding_counts_for_nothing() -> None:
    valid = jnp.asarray([True, False])
    values = arrays([-1.0, -50.0], [-1.0, 0.0], [-1.0, 0.0], [0.3, 9.0], [1.0, 5.0], [1.0, 1.0])
    total, sums = grpo_loss(*values, valid, jnp.zeros(2, jnp.int32), 1, PLAIN)
    assert float(total) == pytest.approx(-1.0)
    assert (float(sums.tokens), float(sums.entropy)) == (1.0, pytest.approx(0.3))


def test_weights_of_the_three_ways_to_add_up() -> None:
    lengths = np.asarray([2, 4])
    arguments = {"num_rows": 4, "num_tokens": 20, "max_new_tokens": 10}
    np.testing.assert_allclose(token_weights(lengths, "sequence_mean", **arguments), [1 / 8, 1 / 16])
    np.testing.assert_allclose(token_weights(lengths, "token_mean", **arguments), [1 / 20, 1 / 20])
    np.testing.assert_allclose(token_weights(lengths, "constant_length", **arguments), [1 / 40, 1 / 40])
