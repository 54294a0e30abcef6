"""Several seeds of one recipe as one result: means over seeds, with intervals that cover seeds and tasks.

A measure is a matrix [seeds, tasks]. Its mean gives every seed the same weight. The interval is a two-way bootstrap: a
draw resamples the seeds, then the tasks, and takes the mean of the drawn cells; the interval is the middle 95 % of
10,000 such means. The tasks of a draw are the same for all of its seeds, because all seeds answered the same tasks:
drawing tasks anew within each seed would count one task in three seeds as three tasks, and give too narrow an interval.
If all seeds have the same rows, the interval is that of the tasks alone.

It assumes that seeds and tasks are independent draws from what the result is to hold for. With few seeds the interval
is coarse and tends to be too narrow: three seeds can be resampled in ten ways, and their variance is underestimated by
a third (docs/compare.md has measured coverages).

Source: A. B. Owen (2007), The pigeonhole bootstrap, Annals of Applied Statistics 1(2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from thinkaloud.domains import Registry, in_order
from thinkaloud.evaluate.rows import Row
from thinkaloud.evaluate.statistics import wilson_interval
from thinkaloud.records import Status

DRAWS = 10_000
_CHUNK = 2_000_000
"""Resampled counts held at a time."""

Matrix = Float[np.ndarray, "_ _"]
"""One value per seed (row) and task (column); NaN where the measure does not apply or the completion is masked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One measure of a completion.

    Attributes:
        key: The name of its mean in a summary.
        bounds: The name of its interval.
        value: The value of a row, None where the measure does not apply.
        is_rate: Whether the values are successes and failures.
    """

    key: str
    bounds: str
    value: Callable[[Row], float | None]
    is_rate: bool = True


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean, or a difference of means, with its 95 % interval and the number of tasks that it is based on."""

    mean: float
    low: float
    high: float
    tasks: int


def measures(registry: Registry) -> tuple[Measure, ...]:
    """The measures of a group of seeds, named as in `summary.summarize`."""

    def correct(row: Row) -> float | None:
        return float(row.status == Status.CORRECT) if registry.is_verifiable(row.domain) else None

    def answered(row: Row) -> float | None:
        return None if row.answer_correct is None else float(row.answer_correct)

    return (
        Measure(key="format_rate", bounds="format_interval", value=lambda row: float(row.keeps_format)),
        Measure(key="accuracy", bounds="accuracy_interval", value=correct),
        Measure(key="answer_accuracy", bounds="answer_accuracy_interval", value=answered),
        Measure(
            key="accuracy_given_format",
            bounds="accuracy_given_format_interval",
            value=lambda row: correct(row) if row.keeps_format else None,
        ),
        Measure(key="mean_reward", bounds="reward_interval", value=lambda row: row.reward, is_rate=False),
        Measure(key="mean_tokens", bounds="tokens_interval", value=lambda row: float(row.num_tokens), is_rate=False),
    )


def matrix(seeds: Sequence[Sequence[Row]], value: Callable[[Row], float | None], tasks: Sequence[str]) -> Matrix:
    """The values of each seed's rows by task id; several samples of one task are averaged."""
    places = {task: place for place, task in enumerate(tasks)}
    sums, counts = np.zeros((2, len(seeds), len(tasks)))
    for own_sums, own_counts, rows in zip(sums, counts, seeds, strict=True):
        for row in rows:
            if row.task_id in places and not row.masked and (found := value(row)) is not None:
                own_sums[places[row.task_id]] += found
                own_counts[places[row.task_id]] += 1
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def mean_over_seeds(values: Matrix, *, is_rate: bool = False, draws: int = DRAWS) -> Estimate | None:
    """The mean over seeds with its interval; None where no seed has a value.

    A rate of exactly 0 or 1 in every cell has no spread to resample, however few tasks there are: then Wilson's
    interval with one trial per task.
    """
    values, tasks = _with_values(values)
    if not tasks:
        return None
    mean = float(_means(np.ones((1, tasks)), values, np.ones((1, len(values))))[0])
    if is_rate and mean in (0.0, 1.0):
        return Estimate(mean, *wilson_interval(round(mean) * tasks, tasks), tasks)
    return Estimate(mean, *_bounds(_resampled(draws, values)), tasks)


def difference_over_seeds(
    first: Matrix, second: Matrix, *, is_rate: bool = False, draws: int = DRAWS
) -> Estimate | None:
    """The mean of `second` minus that of `first`, over the tasks in which both have a value.

    Args:
        first: With the same tasks in the same columns as `second`; the seeds need not be the same.
        second: See `first`.

    A draw takes the same tasks for both, and resamples the seeds of each by itself. Where both are rates of exactly 0
    or 1, the interval is Newcombe's, from Wilson's of both.
    """
    both = ~np.isnan(first).all(0) & ~np.isnan(second).all(0)
    (first, tasks), (second, _) = _with_values(first[:, both]), _with_values(second[:, both])
    if not tasks:
        return None
    one, other = mean_over_seeds(first, draws=1), mean_over_seeds(second, draws=1)
    assert one is not None
    assert other is not None
    difference = other.mean - one.mean
    if is_rate and {one.mean, other.mean} <= {0.0, 1.0}:
        (low_1, high_1), (low_2, high_2) = (wilson_interval(round(own.mean) * tasks, tasks) for own in (one, other))
        below = np.hypot(other.mean - low_2, high_1 - one.mean)
        above = np.hypot(high_2 - other.mean, one.mean - low_1)
        return Estimate(difference, float(difference - below), float(difference + above), tasks)
    return Estimate(difference, *_bounds(_resampled(draws, first, second)), tasks)


def change_over_seeds(before: Matrix, after: Matrix, *, draws: int = DRAWS) -> Estimate | None:
    """The mean change of a rate from one stage to another of the same seeds; None where no cell has both values.

    Args:
        before: The rows are the same seeds as those of `after`, the columns the same tasks.
        after: See `before`.

    A draw takes both values of the seeds and tasks that it draws. Where no cell changes there is nothing to resample:
    then the interval is that of the two rates.
    """
    change = after - before
    if not np.nan_to_num(change).any():
        known = ~np.isnan(change)
        return difference_over_seeds(*(np.where(known, rate, np.nan) for rate in (before, after)), is_rate=True)
    return mean_over_seeds(change, draws=draws)


def shown(low: float, high: float) -> str:
    """What the interval of a difference shows, in words."""
    return "a gain is shown" if low > 0 else "a loss is shown" if high < 0 else "no change is shown"


def summarize_seeds(seeds: Sequence[Sequence[Row]], registry: Registry) -> dict[str, Any]:
    """Rates and means of one stage over several seeds, in the shape of `summary.summarize`.

    Args:
        seeds: The rows of each seed; at least one.

    Returns:
        `overall` and `domains`, each with `n` (tasks with a score in any seed), `masked` (completions of all seeds),
        and the mean and interval of every measure.
    """

    def rates(rows: Sequence[Sequence[Row]]) -> dict[str, Any]:
        tasks = task_ids(rows)
        found: dict[str, Any] = {"n": len(tasks), "masked": sum(row.masked for own in rows for row in own)}
        for measure in measures(registry):
            estimate = mean_over_seeds(matrix(rows, measure.value, tasks), is_rate=measure.is_rate)
            found[measure.key] = None if estimate is None else estimate.mean
            found[measure.bounds] = None if estimate is None else [estimate.low, estimate.high]
        return found

    return {"overall": rates(seeds), "domains": {name: rates(own) for name, own in by_domain(seeds).items()}}


def by_domain(seeds: Sequence[Sequence[Row]]) -> Mapping[str, list[list[Row]]]:
    """The rows of each seed, by domain, in the usual order."""
    names = in_order({row.domain for rows in seeds for row in rows})
    return {name: [[row for row in rows if row.domain == name] for rows in seeds] for name in names}


def task_ids(seeds: Sequence[Sequence[Row]]) -> list[str]:
    """The tasks that have a score in any seed, sorted: the order of their columns must not depend on that of files."""
    return sorted({row.task_id for rows in seeds for row in rows if not row.masked})


def _with_values(values: Matrix) -> tuple[Matrix, int]:
    """The seeds and the tasks that have a value at all, and the number of these tasks."""
    known = ~np.isnan(values)
    kept = values[known.any(1)][:, known.any(0)]
    return kept, kept.shape[1]


def _resampled(draws: int, *groups: Matrix) -> Float[np.ndarray, " draws"]:
    """The mean of one group in every draw, or the second's minus the first's."""
    tasks, seeds = np.random.default_rng([0, 0]), np.random.default_rng([0, 1])
    num_tasks, found = groups[0].shape[1], []
    for block in _blocks(draws, max(1, _CHUNK // num_tasks)):
        drawn = _counts(block, num_tasks, tasks)
        means = [_means(drawn, values, _counts(block, len(values), seeds)) for values in groups]
        found.append(means[-1] - means[0] if len(means) == 2 else means[0])
    return np.concatenate(found)


def _blocks(total: int, most: int) -> Iterator[int]:
    for start in range(0, total, most):
        yield min(most, total - start)


def _counts(draws: int, size: int, rng: np.random.Generator) -> Float[np.ndarray, "draws size"]:
    """How often each of `size` items is drawn when `size` of them are drawn with replacement."""
    picked = rng.integers(0, size, (draws, size)) + size * np.arange(draws)[:, None]
    return np.bincount(picked.ravel(), minlength=draws * size).reshape(draws, size).astype(np.float64)


def _means(
    tasks: Float[np.ndarray, "draws tasks"],
    values: Float[np.ndarray, "seeds tasks"],
    seeds: Float[np.ndarray, "draws seeds"],
) -> Float[np.ndarray, " draws"]:
    """The mean over seeds of each seed's mean over tasks, both weighted by how often they were drawn."""
    known = (~np.isnan(values)).astype(np.float64)
    counts = tasks @ known.T
    rates = (tasks @ np.nan_to_num(values).T) / np.maximum(counts, 1)
    weights = seeds * (counts > 0)
    total = weights.sum(1)
    return np.where(total > 0, (weights * rates).sum(1) / np.maximum(total, 1), np.nan)


def _bounds(means: Float[np.ndarray, " draws"]) -> tuple[float, float]:
    low, high = np.nanquantile(means, [0.025, 0.975])
    return float(low), float(high)
