"""The mixture's promises, as properties: shares kept at every moment, each task once an epoch, nothing remembered."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.domains import DOMAINS
from thinkaloud.data import Mixture
from thinkaloud.data.mixture import PERIOD, domain_shares, mixture_table
from thinkaloud.records import Task, task_id

SIZES = st.dictionaries(st.sampled_from(DOMAINS), st.integers(1, 40), min_size=1, max_size=7)
EXPONENTS = st.sampled_from([0.0, 0.25, 0.5, 1.0, 4.0])
SEEDS = st.integers(0, 2**63 - 1)


def tasks_of(sizes: dict[str, int]) -> dict[str, list[Task]]:
    def task(name: str, number: int) -> Task:
        return Task(id=task_id(name, str(number)), domain=name, source="test", question=str(number), answer="")

    return {name: [task(name, number) for number in range(size)] for name, size in sizes.items()}


def make(sizes: dict[str, int], *, exponent: float = 0.5, seed: int = 0) -> Mixture:
    return Mixture(tasks_of(sizes), exponent=exponent, seed=seed)


def bound_of(num_domains: int) -> float:
    """How far the draws of a domain may be from its share of all draws so far."""
    return 1 - 1 / (2 * num_domains - 2) if num_domains > 1 else 0.0


def furthest_off(mixture: Mixture, length: int) -> float:
    """The largest difference of a domain's draws from its share, after any of the first `length` draws."""
    drawn: Counter[str] = Counter()
    worst = 0.0
    for n, task in enumerate(turns(mixture, length), start=1):
        drawn[task.domain] += 1
        worst = max(worst, *(abs(drawn[name] - n * share) for name, share in mixture.shares.items()), 0.0)
    return worst


def turns(mixture: Mixture, count: int) -> list[Task]:
    """The first `count` tasks, one a step."""
    return [mixture.tasks(step, 1)[0] for step in range(count)]


class TestShares:
    def test_by_hand(self) -> None:
        assert domain_shares({"math": 2500, "coding": 900}, 0.5) == {"math": 50 / 80, "coding": 30 / 80}
        assert domain_shares({"math": 30, "coding": 10}, 1.0) == {"math": 0.75, "coding": 0.25}
        assert domain_shares({"math": 30, "coding": 10}, 0.0) == {"math": 0.5, "coding": 0.5}
        assert domain_shares({"math": 30, "coding": 10}, 2.0) == {"math": 0.9, "coding": 0.1}

    def test_a_domain_without_tasks_has_none(self) -> None:
        assert domain_shares({"math": 4, "coding": 0}, 0.0) == {"math": 1.0}

    @given(sizes=SIZES, exponent=EXPONENTS)
    def test_they_sum_to_one_and_keep_the_order_of_sizes(self, sizes: dict[str, int], exponent: float) -> None:
        shares = domain_shares(sizes, exponent)
        assert sum(shares.values()) == pytest.approx(1.0)
        assert all(shares[a] <= shares[b] + 1e-12 for a in sizes for b in sizes if sizes[a] <= sizes[b])


class TestTurns:
    @given(sizes=SIZES, exponent=EXPONENTS, seed=SEEDS, length=st.integers(1, 300))
    @settings(deadline=None)
    def test_after_n_tasks_every_domain_is_within_tijdeman_s_bound_of_its_share(
        self, sizes: dict[str, int], exponent: float, seed: int, length: int
    ) -> None:
        assert furthest_off(make(sizes, exponent=exponent, seed=seed), length) <= bound_of(len(sizes)) + 1e-9

    def test_the_bound_holds_where_a_greedy_rule_breaks_it(self) -> None:
        """Three domains of which one is rare: with a later deadline the error would reach 0.96, the bound is 0.75."""
        sizes = {"math": 33, "coding": 32, "logic": 2}
        assert bound_of(3) == 0.75
        assert 0.7 < furthest_off(make(sizes, exponent=1.0), 200) <= 0.75

    @given(sizes=SIZES, exponent=EXPONENTS, count=st.integers(1, 8), first=st.integers(0, 200))
    @settings(deadline=None, max_examples=50)
    def test_a_hundred_steps_anywhere_are_within_tijdeman_s_bound_of_their_share(
        self, sizes: dict[str, int], exponent: float, count: int, first: int
    ) -> None:
        mixture = make(sizes, exponent=exponent)
        bound = 2 - 1 / (len(sizes) - 1) if len(sizes) > 1 else 0
        drawn = Counter(task.domain for step in range(first, first + 100) for task in mixture.tasks(step, count))
        for name, share in mixture.shares.items():
            assert abs(drawn[name] - 100 * count * share) <= bound + 1e-9, name

    def test_shares_are_those_of_the_recipe_to_a_part_in_the_period(self) -> None:
        sizes = {"math": 400, "coding": 225, "logic": 1}
        mixture = make(sizes)
        for name, share in domain_shares(sizes, 0.5).items():
            assert mixture.shares[name] == pytest.approx(share, abs=1 / PERIOD)
        assert sum(mixture.shares.values()) == 1.0

    def test_equal_domains_take_turns_in_order(self) -> None:
        drawn = turns(make({"math": 4, "coding": 4}), 4)
        assert [task.domain for task in drawn] == ["math", "coding", "math", "coding"]

    def test_a_domain_below_one_part_of_the_period_has_one_part(self) -> None:
        (math,), (logic,) = tasks_of({"math": 1, "logic": 1}).values()
        mixture = Mixture({"math": [math] * 200_000, "logic": [logic]}, exponent=1.0, seed=0)
        assert mixture.shares["logic"] == 1 / PERIOD

    def test_the_turns_go_on_after_a_period_as_before_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("thinkaloud.data.mixture.PERIOD", 64)
        mixture = make({"math": 9, "coding": 4, "logic": 1}, exponent=1.0)
        first, second = mixture.tasks(0, 64), mixture.tasks(1, 64)
        assert Counter(task.domain for task in first) == {"math": 41, "coding": 18, "logic": 5}  # 41.1, 18.3 and 4.6
        assert [task.domain for task in first] == [task.domain for task in second]
        ids = [task.id for task in [*first, *second] if task.domain == "math"]
        assert [len(set(ids[start : start + 9])) for start in range(0, 81, 9)] == [9] * 9, "epochs run on"

    @given(sizes=SIZES, seed=SEEDS, count=st.integers(1, 9), steps=st.integers(1, 20))
    @settings(deadline=None)
    def test_a_step_of_many_is_many_turns(self, sizes: dict[str, int], seed: int, count: int, steps: int) -> None:
        mixture = make(sizes, seed=seed)
        in_steps = [task for step in range(steps) for task in mixture.tasks(step, count)]
        assert in_steps == turns(make(sizes, seed=seed), steps * count)

    @given(sizes=SIZES, exponent=EXPONENTS, seed=SEEDS, epochs=st.integers(1, 3))
    @settings(deadline=None, max_examples=50)
    def test_each_task_once_before_any_repeats(
        self, sizes: dict[str, int], exponent: float, seed: int, epochs: int
    ) -> None:
        mixture = make(sizes, exponent=exponent, seed=seed)
        seen: dict[str, list[str]] = {name: [] for name in sizes}
        for task in turns(mixture, sum(sizes.values()) * epochs):
            seen[task.domain].append(task.id)
        for name, ids in seen.items():
            for start in range(0, len(ids), sizes[name]):
                epoch = ids[start : start + sizes[name]]
                assert len(set(epoch)) == len(epoch)


class TestPurity:
    @given(sizes=SIZES, seed=SEEDS, step=st.integers(0, 60), count=st.integers(1, 8))
    @settings(deadline=None)
    def test_step_k_asked_for_first_is_step_k_asked_for_last(
        self, sizes: dict[str, int], seed: int, step: int, count: int
    ) -> None:
        used = make(sizes, seed=seed)
        before = [used.tasks(earlier, count) for earlier in range(step)]
        there = used.tasks(step, count)
        assert make(sizes, seed=seed).tasks(step, count) == there
        assert [used.tasks(earlier, count) for earlier in range(step)] == before

    def test_another_seed_is_another_order_of_the_same_turns(self) -> None:
        sizes = {"math": 30, "logic": 20}
        first, second = turns(make(sizes, seed=1), 50), turns(make(sizes, seed=2), 50)
        assert [task.domain for task in first] == [task.domain for task in second]
        assert first != second

    def test_epochs_have_orders_of_their_own(self) -> None:
        drawn = [task.id for task in turns(make({"math": 30}), 60)]
        assert sorted(drawn[:30]) == sorted(drawn[30:])
        assert drawn[:30] != drawn[30:]

    @given(size=st.integers(1, 30), other=st.integers(1, 40), another=st.integers(1, 40), seed=SEEDS)
    @settings(deadline=None, max_examples=50)
    def test_a_domain_s_order_does_not_hang_on_the_size_of_another(
        self, size: int, other: int, another: int, seed: int
    ) -> None:
        def order(beside: int) -> list[str]:
            drawn = turns(make({"logic": beside, "math": size}, seed=seed), 200)
            return [task.id for task in drawn if task.domain == "math"]

        first, second = order(other), order(another)
        shared = min(len(first), len(second))
        assert shared > 0
        assert first[:shared] == second[:shared]


def test_a_step_far_out_costs_what_the_first_costs() -> None:
    """Two hundred million draws in: nothing is walked through on the way."""
    read: list[int] = []

    class Counted(list[Task]):
        def __getitem__(self, index: object) -> object:  # type: ignore[override]
            assert isinstance(index, int)
            read.append(index)
            return super().__getitem__(index)

    own = tasks_of({"math": 7})["math"]
    mixture = Mixture({"math": Counted(own), "logic": Counted(own)}, exponent=0.5, seed=0)
    read.clear()
    assert len(mixture.tasks(25_000_000, 8)) == 8
    assert len(read) == 8


def test_the_table_by_hand() -> None:
    math, coding = mixture_table({"math": 900, "coding": 100, "logic": 0}, 0.5, 800)
    assert (math.domain, math.tasks, math.natural_share, math.sampled_share) == ("math", 900, 0.9, 0.75)
    assert (math.drawn, math.repeats) == (600, pytest.approx(600 / 900))
    assert (coding.natural_share, coding.sampled_share, coding.drawn, coding.repeats) == (0.1, 0.25, 200, 2.0)
