"""The mixture: the tasks of step k, as a pure function of (seed, k).

P(domain) is proportional to count ** exponent, rounded to a multiple of 1 / `PERIOD`. Domains take turns by the rule of
R. Tijdeman, "The chairman assignment problem" (Discrete Mathematics 32, 1980): with D domains, after n draws each has
been drawn n P times, within 1 - 1/(2D - 2). A window of draws is the difference of two such counts, so within any
window, of any length, a domain is within 2 - 1/(D - 1) of its share; from the first draw on, within one. (Within one in
every window is impossible in general: with three or more domains such a sequence exists for only a few choices of P.)

As every share is a whole number of parts of `PERIOD`, the turns repeat after `PERIOD` draws, so a late step costs as
much as an early one. Within a domain each epoch is a seeded permutation: every task is drawn once before any repeats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from thinkaloud.config import Recipe
from thinkaloud.data.pool import Pool
from thinkaloud.records import Task
from thinkaloud.seeding import derive_seed

PERIOD = 2**16
"""Draws after which the sequence of domains repeats."""


def domain_shares(counts: Mapping[str, int], exponent: float) -> dict[str, float]:
    """P(domain), proportional to count ** exponent; domains without tasks are left out.

    >>> domain_shares({"math": 100, "logic": 25}, 0.5)
    {'math': 0.6666666666666666, 'logic': 0.3333333333333333}
    """
    weights = {name: count**exponent for name, count in counts.items() if count > 0}
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureRow:
    """One domain of a mixture: its tasks, and how many a run draws.

    `natural_share` is its share of the tasks, `sampled_share` P(domain), `drawn` the expected number of tasks over the
    run, `repeats` how often each of its tasks is drawn, on average.
    """

    domain: str
    tasks: int
    natural_share: float
    sampled_share: float
    drawn: float
    repeats: float


def mixture_table(counts: Mapping[str, int], exponent: float, draws: int) -> list[MixtureRow]:
    """What a run of `draws` tasks draws of each domain that has tasks.

    Args:
        counts: Training tasks by domain.
        exponent: 1 keeps the natural mix, 0 is uniform over domains.
        draws: Steps times prompts per step.
    """
    natural, sampled = domain_shares(counts, 1.0), domain_shares(counts, exponent)
    return [
        MixtureRow(
            domain=name,
            tasks=counts[name],
            natural_share=natural[name],
            sampled_share=share,
            drawn=draws * share,
            repeats=draws * share / counts[name],
        )
        for name, share in sampled.items()
    ]


def mixture_of_run(recipe: Recipe, pool: Pool) -> tuple[int, list[MixtureRow]]:
    """How many tasks a run of the recipe draws, in all and of each domain."""
    draws = recipe.grpo.max_steps * recipe.rollout.prompts_per_step
    counts = {name: own["train"] for name, own in pool.counts().items()}
    return draws, mixture_table(counts, recipe.mixture.exponent, draws)


class Mixture:
    """The schedule of tasks.

    Args:
        tasks: Training tasks by domain; lazy sequences are fine, only drawn tasks are read.
        exponent: 1 keeps the natural mix, 0 is uniform over domains.
        seed: Seed of the permutations.
        counts: By domain, what its share is computed from; the number of its tasks when absent.
    """

    def __init__(
        self,
        tasks: Mapping[str, Sequence[Task]],
        *,
        exponent: float,
        seed: int,
        counts: Mapping[str, int] | None = None,
    ) -> None:
        self._tasks = {name: own for name, own in tasks.items() if len(own)}
        assert self._tasks, "there are no tasks to draw"
        shares = domain_shares(
            {name: (counts or {}).get(name, len(own)) for name, own in self._tasks.items()}, exponent
        )
        self._names = list(shares)
        self._parts = _in_parts(list(shares.values()))
        self.shares = {name: part / PERIOD for name, part in zip(self._names, self._parts, strict=True)}
        self._seed = seed
        self._drawn = [0] * len(self._names)
        self._turns: list[tuple[int, int]] = []  # (domain, its earlier draws) of the first period, as far as needed
        self._orders: dict[str, tuple[int, np.ndarray]] = {}  # a cache: each domain's current epoch and its permutation

    def tasks(self, step: int, count: int) -> list[Task]:
        """The `count` tasks of 0-based `step`, when every step draws `count`."""
        return [self._tasks[name][place] for name, place in self.places(step, count)]

    def places(self, step: int, count: int) -> list[tuple[str, int]]:
        """Domain of each of these tasks, and its place among the domain's tasks."""
        turns = (self._turn(number) for number in range(step * count, (step + 1) * count))
        return [(name, self._place(name, index)) for name, index in turns]

    def domains(self, step: int, count: int) -> list[str]:
        """The domains of these tasks."""
        return [self._turn(number)[0] for number in range(step * count, (step + 1) * count)]

    def _turn(self, number: int) -> tuple[str, int]:
        """The domain of a draw, and how often that domain was drawn before."""
        period, place = divmod(number, PERIOD)
        self._extend(place + 1)
        which, before = self._turns[place]
        return self._names[which], period * self._parts[which] + before

    def _extend(self, num_turns: int) -> None:
        """Tijdeman's rule in integers: of the domains due by 1/(2D - 2), the one with the earliest deadline."""
        scale = max(1, 2 * len(self._names) - 2)
        slack = (scale - 1) * PERIOD
        while len(self._turns) < num_turns:
            turn = len(self._turns) + 1
            best, chosen = float("inf"), -1
            for index, part in enumerate(self._parts):
                due = scale * (turn * part - self._drawn[index] * PERIOD)
                if due >= PERIOD and (deadline := (slack - due) / part) < best:
                    best, chosen = deadline, index
            self._turns.append((chosen, self._drawn[chosen]))
            self._drawn[chosen] += 1

    def _place(self, name: str, index: int) -> int:
        count = len(self._tasks[name])
        epoch, place = divmod(index, count)
        known = self._orders.get(name)
        if known is None or known[0] != epoch:
            generator = np.random.default_rng(derive_seed(self._seed, "mixture", name, epoch))
            known = (epoch, generator.permutation(count))
            self._orders[name] = known
        return int(known[1][place])


def _in_parts(shares: Sequence[float]) -> list[int]:
    """Shares in parts of `PERIOD`, at least one each, by largest remainder."""
    parts = [max(1, int(share * PERIOD)) for share in shares]
    by_remainder = sorted(range(len(shares)), key=lambda index: parts[index] - shares[index] * PERIOD)
    for index in by_remainder[: max(0, PERIOD - sum(parts))]:
        parts[index] += 1
    while sum(parts) > PERIOD:  # shares below one part were rounded up
        parts[parts.index(max(parts))] -= 1
    return parts
