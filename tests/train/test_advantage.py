"""Advantages against hand-computed numbers."""

from __future__ import annotations

import numpy as np

from thinkaloud.train.advantage import group_advantages

NOBODY = np.zeros((1, 4), bool)


def test_rewards_are_centred_and_scaled_within_their_group() -> None:
    rewards = np.asarray([[1.0, 0.2, 0.2, 0.2], [0.0, 1.0, 0.0, 1.0]])
    found = group_advantages(rewards, np.zeros((2, 4), bool), scale_by_std=True)
    # mean 0.4, deviation sqrt((0.36 + 3 * 0.04) / 4) = 0.34641
    np.testing.assert_allclose(found.values[0], [1.73205, -0.57735, -0.57735, -0.57735], atol=1e-4)
    np.testing.assert_allclose(found.values[1], [-1, 1, -1, 1], atol=1e-4)
    assert found.has_signal.all()


def test_without_scaling_they_are_only_centred() -> None:
    found = group_advantages(np.asarray([[1.0, 0.2, 0.2, 0.2]]), NOBODY, scale_by_std=False)
    np.testing.assert_allclose(found.values, [[0.6, -0.2, -0.2, -0.2]])


def test_equal_rewards_have_no_signal() -> None:
    """Invariant 10. Also where rounding alone tells them apart."""
    for reward in (0.0, 0.2, 1.0, 0.1 + 0.2):
        rewards = np.asarray([[reward, reward, reward + 1e-12, reward]])
        found = group_advantages(rewards, NOBODY, scale_by_std=True)
        assert not found.has_signal.any()
        assert not found.values.any()


def test_masked_completions_take_no_part() -> None:
    masked = np.asarray([[False, False, True, False]])
    found = group_advantages(np.asarray([[1.0, 0.0, 0.0, 0.5]]), masked, scale_by_std=False)
    np.testing.assert_allclose(found.values, [[0.5, -0.5, 0.0, 0.0]])


def test_one_counted_completion_has_no_signal() -> None:
    masked = np.asarray([[False, True, True, True]])
    found = group_advantages(np.asarray([[1.0, 0.0, 0.0, 0.0]]), masked, scale_by_std=True)
    assert not found.has_signal.any()
    assert not found.values.any()


def test_two_counted_completions_have_a_signal_and_none_has_not() -> None:
    rewards = np.asarray([[1.0, 0.0, 0.5, 0.5], [1.0, 0.0, 0.5, 0.5]])
    masked = np.asarray([[False, False, True, True], [True, True, True, True]])
    found = group_advantages(rewards, masked, scale_by_std=False)
    assert found.has_signal.tolist() == [True, False]
    np.testing.assert_allclose(found.values, [[0.5, -0.5, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])


def test_epsilon_is_added_to_the_deviation() -> None:
    """A deviation of 1e-6, as large as epsilon, halves the advantages."""
    found = group_advantages(np.asarray([[2e-6, 0.0]]), np.zeros((1, 2), bool), scale_by_std=True)
    np.testing.assert_allclose(found.values, [[0.5, -0.5]], rtol=1e-6)
