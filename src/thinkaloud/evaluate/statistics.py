"""Intervals, a paired test and pass@k for rates and means measured on a few dozen tasks.

At ten tasks per domain the textbook interval p +- 1.96 sqrt(p (1 - p) / n) has zero width at p = 0 and p = 1, where
format rates usually are; Wilson's does not. Two stages answer the same tasks, so their difference is tested on pairs.

`scipy.stats` takes about a second to import, so each function imports it itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

_CHUNK = 1_000_000
"""Resampled values held at a time, so that memory does not grow with the number of resamples."""


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a rate, without continuity correction.

    Args:
        successes: How many of the n trials succeeded, 0 <= successes <= n.
        n: Trials; with 0 nothing is known about the rate, and the interval is (0, 1).
        confidence: Two-sided coverage, between 0 and 1.

    Returns:
        The lower and the upper bound, within [0, 1]; exactly 0 where nothing succeeded, 1 where everything did.

    Source: E. B. Wilson (1927), Probable inference, the law of succession, and statistical inference, JASA 22;
    recommended for small n by Brown, Cai and DasGupta (2001), Statistical Science 16(2).
    """
    from scipy.stats import binomtest

    assert 0 <= successes <= n, (successes, n)
    if n == 0:
        return (0.0, 1.0)
    interval = binomtest(successes, n).proportion_ci(confidence, method="wilson")
    return (float(interval.low), float(interval.high))


def bootstrap_interval(
    values: Sequence[float | int], *, seed: int = 0, resamples: int = 2000, confidence: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap interval of a mean; the same values and seed give the same interval.

    Args:
        values: At least one finite number.
        seed: Seed of the resampling.
        resamples: How many means are drawn.
        confidence: Two-sided coverage, between 0 and 1.

    Returns:
        The lower and the upper bound, never outside [min(values), max(values)]; a single value gives no width.

    Source: Efron and Tibshirani (1993), An Introduction to the Bootstrap, section 13.3.
    """
    from scipy.stats import bootstrap

    assert len(values) > 0, "a mean of no values"
    sample = np.asarray(values, np.float64)
    lowest, highest = float(sample.min()), float(sample.max())
    if lowest == highest:
        return (lowest, highest)
    interval = bootstrap(
        (sample,),
        np.mean,
        n_resamples=resamples,
        batch=max(1, _CHUNK // len(sample)),
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return (max(float(interval.low), lowest), min(float(interval.high), highest))


def rate_interval(rates: Sequence[float | int]) -> tuple[float, float]:
    """Interval of the mean of one rate per task, where every task was tried several times.

    Args:
        rates: Each task's share of successes; at least one.

    Returns:
        The bootstrap interval over tasks. Where all rates are 0 or all are 1, resampling has no width however few tasks
        there are: then Wilson's interval with one trial per task.
    """
    if all(rate == rates[0] for rate in rates) and rates[0] in (0.0, 1.0):
        return wilson_interval(len(rates) if rates[0] else 0, len(rates))
    return bootstrap_interval(rates)


def mcnemar_exact(gained: int, lost: int) -> float:
    """Two-sided exact McNemar test of the hypothesis that tasks succeed as often before as after.

    Under the hypothesis each changed task is a fair coin, so p = min(1, 2 P(X <= min(gained, lost))) with
    X ~ Binomial(gained + lost, 1/2); tasks that did not change carry no information.

    Args:
        gained: Tasks that failed before and succeed after.
        lost: Tasks that succeeded before and fail after.

    Returns:
        The p-value; 1 where no task changed.

    Source: Q. McNemar (1947), Psychometrika 12(2), with the exact binomial distribution in place of chi-squared.
    """
    from scipy.stats import binomtest

    assert min(gained, lost) >= 0, (gained, lost)
    if gained + lost == 0:
        return 1.0
    return float(binomtest(gained, gained + lost).pvalue)


def paired_difference_interval(both: int, gained: int, lost: int, neither: int) -> tuple[float, float]:
    """95 % interval of the difference of two rates on the same tasks, after minus before.

    Args:
        both: Tasks that succeed before and after.
        gained: Tasks that succeed only after.
        lost: Tasks that succeed only before.
        neither: Tasks that succeed neither before nor after; at least one task in all.

    Returns:
        The lower and the upper bound, within [-1, 1]; it has a width even where no task or every task changed.

    Source: R. G. Newcombe (1998), Improved confidence intervals for the difference between binomial proportions based
    on paired data, Statistics in Medicine 17, method 10: Wilson's intervals, and a continuity-corrected phi.
    """
    n = both + gained + lost + neither
    assert n > 0, "a difference of no tasks"
    after, before = (both + gained) / n, (both + lost) / n
    (low, high), (low_before, high_before) = wilson_interval(both + gained, n), wilson_interval(both + lost, n)
    margins = (both + gained) * (lost + neither) * (both + lost) * (gained + neither)
    cross = float(both * neither - gained * lost)
    phi = (max(cross - n / 2, 0.0) if cross > 0 else cross) / math.sqrt(margins) if margins else 0.0

    def width(one: float, other: float) -> float:
        return math.sqrt(max(0.0, one**2 - 2 * phi * one * other + other**2))

    difference = after - before
    return (
        difference - width(after - low, high_before - before),
        difference + width(high - after, before - low_before),
    )


def pass_at_k(n: int, correct: int, k: int) -> float:
    """Unbiased estimate of the probability that at least one of k samples is right: 1 - C(n - c, k) / C(n, k).

    Args:
        n: Samples drawn, n >= k.
        correct: How many of them are right.
        k: Samples that may be drawn.

    Source: Chen et al. (2021), arXiv 2107.03374, equation 1.
    """
    assert 0 <= correct <= n and 1 <= k <= n, (n, correct, k)  # noqa: PT018
    return 1.0 - math.comb(n - correct, k) / math.comb(n, k)
