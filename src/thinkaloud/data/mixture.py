"""Which tasks make up step k: a pure function of (seed, k).

P(domain) is proportional to count ** exponent, to a part in `PERIOD`. Domains take their turns by the rule of
R. Tijdeman, "The chairman assignment problem" (Discrete Mathematics 32, 1980): with D domains, after n draws each has
had n P draws, give or take at most 1 - 1/(2D - 2). Any window of draws is the difference of two such counts, so a
domain is there within 2 - 1/(D - 1) of its share of the window, however long that is; from the first draw on, within
one. (Within one in every window is more than can be had: a sequence of three or more letters that is so even exists
for a few choices of P only.)

As every share is a whole number of `PERIOD` parts, the turns repeat after `PERIOD` draws, and any step, however late,
costs the same. Within a domain each epoch is a seeded shuffle, so that every task comes once before any repeats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from thinkaloud.config import Recipe
from thinkaloud.data.pool import Pool
from thinkaloud.data.shuffle import Shuffle
from thinkaloud.records import Task
from thinkaloud.seeding import derive_seed

PERIOD = 2**16
"""Draws after which the turns of domains begin again."""


def domain_shares(counts: Mapping[str, int], exponent: float) -> dict[str, float]:
    """P(domain), proportional to count ** exponent; domains without tasks have none.

    >>> domain_shares({"math": 100, "logic": 25}, 0.5)
    {'math': 0.6666666666666666, 'logic': 0.3333333333333333}
    """
    weights = {name: count**exponent for name, count in counts.items() if count > 0}
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureRow:
    """One domain of a mixture: what it has, and what a run takes of it.

    `natural_share` is its share of the tasks, `sampled_share` P(domain), `drawn` the expected number of tasks over the
    run, `repeats` how often each of its tasks then comes, on average.
    """

    domain: str
    tasks: int
    natural_share: float
    sampled_share: float
    drawn: float
    repeats: float


def mixture_table(counts: Mapping[str, int], exponent: float, draws: int) -> list[MixtureRow]:
    """What a run of `draws` tasks takes of each domain that has any.

    Args:
        counts: Training tasks by domain.
        exponent: 1 keeps the natural mix, 0 is uniform over domains.
        draws: Steps times prompts a step.
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
    """How many tasks a run of the recipe draws, and what it takes of each domain."""
    draws = recipe.grpo.max_steps * recipe.rollout.prompts_per_step
    counts = {name: own["train"] for name, own in pool.counts().items()}
    return draws, mixture_table(counts, recipe.mixture.exponent, draws)


class Mixture:
    """The schedule of tasks.

    Args:
        tasks: Training tasks by domain; sequences that read a task where it is asked for will do.
        exponent: 1 keeps the natural mix, 0 is uniform over domains.
        seed: Of the shuffles.
    """

    def __init__(self, tasks: Mapping[str, Sequence[Task]], *, exponent: float, seed: int) -> None:
        self._tasks = {name: own for name, own in tasks.items() if len(own)}
        assert self._tasks, "there are no tasks to draw"
        shares = domain_shares({name: len(own) for name, own in self._tasks.items()}, exponent)
        self._names = list(shares)
        self._parts = _in_parts(list(shares.values()))
        self.shares = {name: part / PERIOD for name, part in zip(self._names, self._parts, strict=True)}
        self._seed = seed
        self._drawn = [0] * len(self._names)
        self._turns: list[tuple[int, int]] = []  # (domain, how many it had before), of the first period as needed
        self._shuffles: dict[str, tuple[int, Shuffle]] = {}  # the epoch at hand: a cache

    def tasks(self, step: int, count: int) -> list[Task]:
        """The `count` tasks of 0-based `step`, when every step takes `count`."""
        return [self._draw(number) for number in range(step * count, (step + 1) * count)]

    def _draw(self, number: int) -> Task:
        period, place = divmod(number, PERIOD)
        self._extend(place + 1)
        which, before = self._turns[place]
        return self._task(self._names[which], period * self._parts[which] + before)

    def _extend(self, num_turns: int) -> None:
        """Tijdeman's rule in whole numbers: of the domains due by 1/(2D - 2), the one that must come soonest."""
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

    def _task(self, name: str, index: int) -> Task:
        own = self._tasks[name]
        epoch, place = divmod(index, len(own))
        known = self._shuffles.get(name)
        if known is None or known[0] != epoch:
            known = (epoch, Shuffle(len(own), derive_seed(self._seed, "mixture", name, epoch)))
            self._shuffles[name] = known
        return own[known[1][place]]


def _in_parts(shares: Sequence[float]) -> list[int]:
    """Shares in parts of `PERIOD`, at least one each, by largest remainder."""
    parts = [max(1, int(share * PERIOD)) for share in shares]
    by_remainder = sorted(range(len(shares)), key=lambda index: parts[index] - shares[index] * PERIOD)
    for index in by_remainder[: max(0, PERIOD - sum(parts))]:
        parts[index] += 1
    while sum(parts) > PERIOD:  # shares below one part were rounded up
        parts[parts.index(max(parts))] -= 1
    return parts
