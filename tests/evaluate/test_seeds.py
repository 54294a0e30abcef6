"""Means over seeds: against hand-computed numbers, the bootstrap of tasks, formulas, and by simulation."""

from __future__ import annotations

from dataclasses import astuple, replace

import numpy as np
import pytest

from support.eval_rows import row
from thinkaloud.domains import BUILTIN
from thinkaloud.evaluate.seeds import (
    Estimate,
    change_over_seeds,
    difference_over_seeds,
    matrix,
    mean_over_seeds,
    measures,
    summarize_seeds,
    task_ids,
)
from thinkaloud.evaluate.statistics import bootstrap_interval, wilson_interval


def estimate(values: object, *, is_rate: bool = False, draws: int = 10_000) -> Estimate:
    found = mean_over_seeds(np.asarray(values, np.float64), is_rate=is_rate, draws=draws)
    assert found is not None
    return found


def test_without_variance_between_seeds_the_interval_is_that_of_the_tasks() -> None:
    tasks = np.random.default_rng(3).random(30)
    one, three = estimate([tasks]), estimate([tasks] * 3)
    assert astuple(one) == pytest.approx(astuple(three), rel=1e-12)
    assert (one.low, one.high) == pytest.approx(bootstrap_interval(tasks.tolist(), resamples=10_000), abs=0.01)


def test_with_one_task_the_interval_is_that_of_the_seeds() -> None:
    # of the 27 resamples of three seeds one is all lowest and one all highest: 1/27 > 2.5 %
    assert astuple(estimate([[0.1], [0.2], [0.6]])) == pytest.approx((0.3, 0.1, 0.6, 1))
    seeds = np.random.default_rng(4).random(25)
    found = estimate(seeds[:, None])
    assert (found.low, found.high) == pytest.approx(bootstrap_interval(seeds.tolist(), resamples=10_000), abs=0.01)


def test_the_width_is_that_of_the_formula() -> None:
    """Where values are a seed's part plus a task's part, the variance of a draw's mean is var / seeds + var / tasks."""
    rng = np.random.default_rng(5)
    seeds, tasks = rng.normal(0, 1.0, 40), rng.normal(0, 2.0, 60)
    found = estimate(seeds[:, None] + tasks)
    deviation = np.sqrt(seeds.var() / 40 + tasks.var() / 60)
    assert found.mean == pytest.approx(seeds.mean() + tasks.mean())
    assert found.high - found.low == pytest.approx(2 * 1.96 * deviation, rel=0.03)


def test_every_seed_has_the_same_weight_and_missing_cells_none() -> None:
    nan = np.nan
    found = estimate([[1, 0, 1, 1], [0, nan, nan, nan], [nan, nan, nan, nan]])
    assert found.mean == pytest.approx((3 / 4 + 0) / 2), "the third seed has no value"
    assert found.tasks == 4
    assert mean_over_seeds(np.full((2, 3), nan)) is None


def test_a_rate_of_zero_or_one_has_an_interval_all_the_same() -> None:
    assert estimate(np.zeros((3, 10)), is_rate=True) == Estimate(0.0, *wilson_interval(0, 10), 10)
    assert estimate(np.ones((3, 10)), is_rate=True) == Estimate(1.0, *wilson_interval(10, 10), 10)
    same = difference_over_seeds(np.zeros((1, 10)), np.zeros((3, 10)), is_rate=True)
    assert same is not None
    assert same.mean == 0.0
    assert same.high == pytest.approx(wilson_interval(0, 10)[1])
    assert same.low == -same.high


def test_a_difference_is_over_the_tasks_of_both_and_resampled_together() -> None:
    rng = np.random.default_rng(6)
    first = rng.random((1, 20))
    second = first + 0.25
    found = difference_over_seeds(first, second)
    assert found is not None
    assert astuple(found) == pytest.approx((0.25, 0.25, 0.25, 20)), "same tasks in a draw"
    second[0, 3] = np.nan
    found = difference_over_seeds(first, second)
    assert found is not None
    assert found.tasks == 19
    varied = difference_over_seeds(first, np.concatenate([first + 0.1, first + 0.4]))
    assert varied is not None
    assert (varied.mean, varied.low, varied.high) == pytest.approx((0.25, 0.1, 0.4)), (
        "two seeds: 1/4 each all low, high"
    )
    assert difference_over_seeds(np.full((1, 3), np.nan), np.ones((1, 3))) is None


def test_a_change_is_that_of_the_same_seeds() -> None:
    before = np.repeat([[0.1], [0.5], [0.9]], 6, axis=1)
    found = change_over_seeds(before, before + 0.25)
    assert found is not None
    assert astuple(found) == pytest.approx((0.25, 0.25, 0.25, 6)), "seeds that are drawn for both at once cancel"
    apart = difference_over_seeds(before, before + 0.25)
    assert apart is not None
    assert apart.high - apart.low > 0.5
    before[0, 2] = np.nan
    after = np.array([[0.1] * 6, [0.5] * 6, [0.9, 1.0, 0.9, 0.9, 0.9, 0.9]])
    found = change_over_seeds(before, after)
    assert found is not None
    assert found.mean == pytest.approx(0.1 / 6 / 3), "one cell of the third seed, of six tasks"
    assert change_over_seeds(np.full((2, 3), np.nan), np.ones((2, 3))) is None


def test_no_change_in_few_tasks_is_no_certainty() -> None:
    found = change_over_seeds(np.zeros((2, 10)), np.zeros((2, 10)))
    assert found is not None
    assert found.mean == 0.0
    assert found.low == -found.high == pytest.approx(-wilson_interval(0, 10)[1])
    mixed = np.array([[1.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
    found = change_over_seeds(mixed, mixed)
    assert found is not None
    assert found.low < found.mean == 0.0 < found.high


def test_the_interval_covers_the_truth_where_that_of_the_cells_does_not() -> None:
    rng = np.random.default_rng(7)
    covered = {"two-way": 0, "cells": 0}
    for _ in range(200):
        values = 0.5 + rng.normal(0, 0.1, (8, 1)) + rng.normal(0, 0.3, (1, 40)) + rng.normal(0, 0.1, (8, 40))
        found = estimate(values, draws=500)
        covered["two-way"] += found.low <= 0.5 <= found.high
        half = 1.96 * values.std() / np.sqrt(values.size)
        covered["cells"] += abs(values.mean() - 0.5) <= half
    assert 0.85 <= covered["two-way"] / 200 <= 0.99
    assert covered["cells"] / 200 < 0.7


def test_rows_become_a_matrix_and_a_summary() -> None:
    first = [row("a", status="correct"), row("b", status="bad_format"), row("c", status="unscorable")]
    second = [row("b", status="correct"), row("a", status="wrong"), replace(row("a", status="correct"), sample=1)]
    tasks = task_ids([first, second])
    assert tasks == ["a", "b"]
    accuracy = measures(BUILTIN)[1]
    assert matrix([first, second], accuracy.value, tasks).tolist() == [[1, 0], [0.5, 1]]
    found = summarize_seeds([first, second], BUILTIN)
    overall = found["overall"]
    assert (overall["n"], overall["masked"]) == (2, 1)
    assert overall["accuracy"] == pytest.approx((0.5 + 0.75) / 2)
    assert overall["format_rate"] == pytest.approx((0.5 + 1) / 2)
    assert overall["accuracy_given_format"] == pytest.approx((1 + 0.75) / 2)
    assert overall["accuracy_interval"][0] < overall["accuracy"] < overall["accuracy_interval"][1]
    assert found["domains"].keys() == {"math"}
