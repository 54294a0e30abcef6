"""Which tasks make up step k: a pure function of (seed, k).

P(domain) is proportional to count ** exponent. Domains take their turns by the rule of R. Tijdeman, "The chairman
assignment problem" (Discrete Mathematics 32, 1980): after n draws every domain has had n P draws, give or take less
than one. Within a domain each epoch is a seeded permutation, so that every task comes once before any repeats.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from thinkaloud.records import Task
from thinkaloud.seeding import derive_seed


def domain_shares(counts: dict[str, int], exponent: float) -> dict[str, float]:
    """P(domain), proportional to count ** exponent; domains without tasks have none.

    >>> domain_shares({"math": 100, "logic": 25}, 0.5)
    {'math': 0.6666666666666666, 'logic': 0.3333333333333333}
    """
    weights = {name: count**exponent for name, count in counts.items() if count > 0}
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}


class Mixture:
    """The schedule of tasks.

    Args:
        tasks: Training tasks; their order matters only within a domain.
        exponent: 1 keeps the natural mix, 0 is uniform over domains.
        seed: Of the permutations.
    """

    def __init__(self, tasks: Sequence[Task], *, exponent: float, seed: int) -> None:
        self._by_domain: dict[str, list[Task]] = {}
        for task in tasks:
            self._by_domain.setdefault(task.domain, []).append(task)
        self.shares = domain_shares({name: len(own) for name, own in self._by_domain.items()}, exponent)
        self._seed = seed
        self._names = list(self.shares)
        self._share = np.asarray([self.shares[name] for name in self._names])
        self._drawn = np.zeros(len(self._names), np.int64)
        self._turns: list[tuple[int, int]] = []  # (domain, how many it had before), extended on demand: a cache

    def tasks(self, step: int, count: int) -> list[Task]:
        """The `count` tasks of 0-based `step`, when every step takes `count`."""
        first = step * count
        self._extend(first + count)
        return [self._task(self._names[name], index) for name, index in self._turns[first : first + count]]

    def _extend(self, num_turns: int) -> None:
        slack = 1 - 1 / (2 * len(self._names) - 2) if len(self._names) > 1 else 0.0
        while len(self._turns) < num_turns:
            due = (len(self._turns) + 1) * self._share - self._drawn
            may = due >= 1 - slack - 1e-12
            deadline = np.where(may, (slack - due) / self._share, np.inf)
            chosen = int(np.argmin(deadline))
            self._turns.append((chosen, int(self._drawn[chosen])))
            self._drawn[chosen] += 1

    def _task(self, name: str, index: int) -> Task:
        own = self._by_domain[name]
        epoch, place = divmod(index, len(own))
        rng = np.random.default_rng(derive_seed(self._seed, "mixture", name, epoch))
        return own[int(rng.permutation(len(own))[place])]
