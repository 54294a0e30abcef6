"""Intervals, a paired test and pass@k for rates and means measured on a few dozen tasks.

At ten tasks a domain the textbook interval p +- 1.96 sqrt(p (1 - p) / n) has no width at p = 0 and p = 1, which is
where a format rate lives; Wilson's has. Two stages answer the same tasks, so their difference is tested on pairs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

_CHUNK = 1_000_000
"""Resampled values held at a time, so that memory does not grow with the number of resamples."""


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a rate.

    With p = successes / n and z the two-sided normal quantile:
    (p + z^2 / 2n  -+  z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n).

    Args:
        successes: how many of the n trials succeeded, 0 <= successes <= n.
        n: trials; 0 tells nothing about the rate, and gives (0, 1).
        confidence: two-sided coverage, between 0 and 1.

    Returns:
        The lower and the upper bound, within [0, 1]; exactly 0 where nothing succeeded, 1 where everything did.

    Source: E. B. Wilson (1927), Probable inference, the law of succession, and statistical inference, JASA 22;
    recommended for small n by Brown, Cai and DasGupta (2001), Statistical Science 16(2). No continuity correction.
    """
    assert 0 <= successes <= n, (successes, n)
    if n == 0:
        return (0.0, 1.0)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    rate = successes / n
    scale = 1.0 + z * z / n
    center = (rate + z * z / (2 * n)) / scale
    half = z * math.sqrt(rate * (1.0 - rate) / n + z * z / (4 * n * n)) / scale
    low = 0.0 if successes == 0 else max(0.0, center - half)
    high = 1.0 if successes == n else min(1.0, center + half)
    return (low, high)


def bootstrap_interval(
    values: Sequence[float | int], *, seed: int = 0, resamples: int = 2000, confidence: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap interval of a mean; the same values and seed give the same interval.

    Args:
        values: at least one finite number.
        seed: of the resampling.
        resamples: how many means are drawn.
        confidence: two-sided coverage, between 0 and 1.

    Returns:
        The lower and the upper bound, never outside [min(values), max(values)]; a single value gives no width.

    Source: Efron and Tibshirani (1993), An Introduction to the Bootstrap, section 13.3.
    """
    assert len(values) > 0, "a mean of no values"
    sample = np.asarray(values, np.float64)
    n = len(sample)
    generator = np.random.default_rng(seed)
    rows = max(1, _CHUNK // n)
    means = [
        sample[generator.integers(0, n, (min(rows, resamples - start), n))].mean(axis=1)
        for start in range(0, resamples, rows)
    ]
    tail = 0.5 - confidence / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1.0 - tail])
    return (max(float(low), float(sample.min())), min(float(high), float(sample.max())))


def rate_interval(rates: Sequence[float | int]) -> tuple[float, float]:
    """Interval of the mean of one rate a task, where every task was tried several times.

    Args:
        rates: each task's share of successes; at least one.

    Returns:
        The bootstrap interval over tasks; Wilson's, of as many trials as there are tasks, where all rates are 0 or all
        are 1: resampling those has no width, however few they are.
    """
    if all(rate == rates[0] for rate in rates) and rates[0] in (0.0, 1.0):
        return wilson_interval(len(rates) if rates[0] else 0, len(rates))
    return bootstrap_interval(rates)


def mcnemar_exact(gained: int, lost: int) -> float:
    """Two-sided exact McNemar test: may the same tasks succeed as often before as after?

    Under that hypothesis each changed task is a fair coin, so p = min(1, 2 P(X <= min(gained, lost))) with
    X ~ Binomial(gained + lost, 1/2); tasks that did not change carry no information.

    Args:
        gained: tasks that failed before and succeed after.
        lost: tasks that succeeded before and fail after.

    Returns:
        The p-value; 1 where no task changed. Counted in integers, then divided once.

    Source: Q. McNemar (1947), Psychometrika 12(2), with the exact binomial distribution in place of chi-squared.
    """
    assert min(gained, lost) >= 0, (gained, lost)
    changed = gained + lost
    ways, total = 1, 1
    for chosen in range(1, min(gained, lost) + 1):
        ways = ways * (changed - chosen + 1) // chosen
        total += ways
    return min(1.0, 2 * total / 2**changed)


def pass_at_k(n: int, correct: int, k: int) -> float:
    """Unbiased estimate of the chance that at least one of k samples is right: 1 - C(n - c, k) / C(n, k).

    Args:
        n: samples drawn, n >= k.
        correct: how many of them are right.
        k: samples that one may draw.

    Source: Chen et al. (2021), arXiv 2107.03374, equation 1.
    """
    assert 0 <= correct <= n and 1 <= k <= n, (n, correct, k)  # noqa: PT018
    return 1.0 - math.comb(n - correct, k) / math.comb(n, k)
