"""A computed shuffle is a permutation, and looks like one that was drawn."""

from __future__ import annotations

from collections import Counter
from itertools import permutations

import numpy as np
import pytest

from thinkaloud.data.shuffle import Shuffle


def order(size: int, seed: int) -> list[int]:
    shuffle = Shuffle(size, seed)
    return [shuffle[place] for place in range(size)]


def test_it_is_a_permutation_of_every_small_size() -> None:
    for size in range(1, 130):
        assert sorted(order(size, seed=size)) == list(range(size))


def test_it_is_a_permutation_of_a_large_size() -> None:
    assert sorted(order(10_007, seed=3)) == list(range(10_007))


def test_every_order_of_three_comes_about_as_often() -> None:
    counts = Counter(tuple(order(3, seed)) for seed in range(1200))
    assert set(counts) == set(permutations(range(3)))
    assert all(120 <= count <= 280 for count in counts.values()), counts  # 200 each; the deviation is 13


@pytest.mark.parametrize("size", [100, 1000, 4096])
def test_neighbours_do_not_stay_together(size: int) -> None:
    drawn = np.array(order(size, seed=1))
    steps = np.abs(np.diff(drawn))
    assert np.mean(steps) == pytest.approx(size / 3, rel=0.2)  # two random places are a third of the way apart
    assert abs(np.corrcoef(np.arange(size), drawn)[0, 1]) < 4 / size**0.5
    assert np.sum(drawn == np.arange(size)) < 8  # one is expected


def test_seeds_give_unlike_orders() -> None:
    first, second = order(500, seed=1), order(500, seed=2)
    assert sum(a == b for a, b in zip(first, second, strict=True)) < 8
    assert order(500, seed=1) == first
