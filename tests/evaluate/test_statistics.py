from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkaloud.evaluate.statistics import bootstrap_interval, mcnemar_exact, wilson_interval


def test_wilson_matches_a_calculation_by_hand() -> None:
    # p = 0.8, n = 10, z = 1.959964: z^2 = 3.841459, scale = 1.3841459, center = (0.8 + 0.192073) / scale = 0.716740,
    # half = 1.959964 * sqrt(0.016 + 0.0096036) / scale = 0.226578.
    low, high = wilson_interval(8, 10)
    assert low == pytest.approx(0.490162, abs=1e-5)
    assert high == pytest.approx(0.943318, abs=1e-5)


def test_wilson_at_the_ends_is_the_closed_form() -> None:
    # At p = 0 the bounds are 0 and z^2 / (n + z^2); at p = 1 they are mirrored.
    z_squared = 1.959963985**2
    assert wilson_interval(0, 10) == (0.0, pytest.approx(z_squared / (10 + z_squared)))
    assert wilson_interval(10, 10) == (pytest.approx(10 / (10 + z_squared)), 1.0)
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_wilson_agrees_with_newcombe_1998() -> None:
    # Newcombe (1998), Statistics in Medicine 17, table I, method 3: 81/263, 15/148, 0/20, 1/29.
    published = {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0.0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }
    for (successes, n), bounds in published.items():
        assert wilson_interval(successes, n) == pytest.approx(bounds, abs=5e-5)


def test_wilson_widens_with_confidence() -> None:
    narrow, wide = wilson_interval(7, 10, 0.8), wilson_interval(7, 10, 0.99)
    assert wide[0] < narrow[0] < 0.7 < narrow[1] < wide[1]


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_rate_and_mirrors(trial: tuple[int, int]) -> None:
    successes, n = trial
    low, high = wilson_interval(successes, n)
    assert 0.0 <= low <= successes / n <= high <= 1.0
    mirrored = wilson_interval(n - successes, n)
    assert (1.0 - mirrored[1], 1.0 - mirrored[0]) == pytest.approx((low, high), abs=1e-12)


def test_bootstrap_of_two_values_is_the_exact_distribution() -> None:
    # The mean of two draws from {0, 1} is 0, 1/2 or 1 with probability 1/4, 1/2, 1/4: so its 2.5 % and 97.5 % quantiles
    # are 0 and 1, and its 40 % and 60 % quantiles both 1/2.
    assert bootstrap_interval([0.0, 1.0], resamples=4000, confidence=0.95) == (0.0, 1.0)
    assert bootstrap_interval([0.0, 1.0], resamples=4000, confidence=0.2) == (0.5, 0.5)
    assert bootstrap_interval([0.4]) == (0.4, 0.4)


def test_bootstrap_is_close_to_the_normal_interval_of_a_large_sample() -> None:
    values = np.random.default_rng(3).random(500)
    low, high = bootstrap_interval(values.tolist())
    half = 1.96 * values.std() / math.sqrt(500)
    assert low == pytest.approx(values.mean() - half, abs=0.004)
    assert high == pytest.approx(values.mean() + half, abs=0.004)


def test_bootstrap_depends_on_the_seed_only() -> None:
    values = [0.0, 0.2, 0.9, 1.0, 0.55]
    assert bootstrap_interval(values, seed=7) == bootstrap_interval(values, seed=7)
    assert bootstrap_interval(values, seed=7, resamples=99) != bootstrap_interval(values, seed=8, resamples=99)


def test_bootstrap_in_chunks_counts_every_resample() -> None:
    # 300,001 values do not fit two resamples into one chunk of four; five resamples make two chunks.
    values = [0.0, 1.0] * 150_000 + [0.5]
    low, high = bootstrap_interval(values, resamples=5)
    assert 0.49 < low < high < 0.51


def test_mcnemar_against_binomial_tails_by_hand() -> None:
    assert mcnemar_exact(0, 0) == 1.0
    assert mcnemar_exact(5, 5) == 1.0
    assert mcnemar_exact(6, 0) == 2 / 64
    assert mcnemar_exact(1, 9) == 2 * (1 + 10) / 1024  # C(10,0) + C(10,1)
    assert mcnemar_exact(9, 1) == mcnemar_exact(1, 9)
    assert mcnemar_exact(2, 8) == 2 * (1 + 10 + 45) / 1024


def test_mcnemar_of_many_pairs_neither_overflows_nor_vanishes() -> None:
    assert mcnemar_exact(2600, 2400) == pytest.approx(math.erfc((200 - 1) / math.sqrt(2 * 5000)), rel=0.01)
    assert mcnemar_exact(5000, 0) == 0.0
