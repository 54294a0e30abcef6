"""The curriculum: which tasks of a domain a step draws, by their pass rates.

GRPO learns nothing from a task that the policy always or never solves: all rewards of its group are equal. So every
sampled group updates the pass rate p of its task, and tasks are drawn with a weight proportional to 4 p (1 - p), the
variance of a 0/1 reward. Tasks that were always or never solved are set aside for a while. A share of the draws
explores tasks that were not sampled yet. Domains without a verifier have no pass rate; their tasks are drawn at random.

How many tasks of each domain a step draws is decided by the mixture. A draw is a pure function of (seed, step, round,
place) and of the pass rates, so a run that continues from a checkpoint with its pass rates draws the same tasks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thinkaloud.config.curriculum import CurriculumConfig
from thinkaloud.data.mixture import Mixture
from thinkaloud.domains import Registry
from thinkaloud.records import RolloutGroup, Status, Task
from thinkaloud.seeding import derive_seed

DECAY = 0.5
"""Weight of earlier completions in a pass rate, each time that new ones are counted: the policy changes."""
EXTREME = 0.05
"""A smoothed pass rate closer than this to 0 or 1 counts as never or always solved."""
ATTEMPTS = 64
"""Random draws for a task that was not sampled yet, before all of them are listed."""


@dataclass(frozen=True, slots=True)
class PassRate:
    """What is known of a task.

    Attributes:
        rate: Share of correct completions, earlier ones with less weight.
        count: Completions that it stands for, after decay.
        step: The step that sampled the task last; 0 for the probe.
    """

    rate: float
    count: float
    step: int

    def updated(self, solved: int, sampled: int, step: int) -> PassRate:
        """With `solved` of `sampled` new completions."""
        kept = DECAY * self.count
        return PassRate((kept * self.rate + solved) / (kept + sampled), kept + sampled, step)

    @property
    def smoothed(self) -> float:
        """The mean of the rate's posterior under Jeffreys' prior."""
        return (self.rate * self.count + 0.5) / (self.count + 1)

    @property
    def is_extreme(self) -> bool:
        """Whether the task was always or never solved, or nearly so."""
        return self.rate in (0.0, 1.0) or not EXTREME <= self.smoothed <= 1 - EXTREME

    @property
    def weight(self) -> float:
        """4 p (1 - p): 1 for a task that is solved half of the time."""
        return 4 * self.smoothed * (1 - self.smoothed)


class Curriculum:
    """Draws the tasks of each step.

    Args:
        tasks: Training tasks by domain; only drawn tasks are read.
        registry: Says which domains have a verifier.
        exponent: Of the mixture.
        seed: Of the mixture and of the draws.
    """

    def __init__(
        self,
        tasks: Mapping[str, Sequence[Task]],
        config: CurriculumConfig,
        registry: Registry,
        *,
        exponent: float,
        seed: int,
    ) -> None:
        self._mixture = Mixture(tasks, exponent=exponent, seed=seed)
        self._tasks, self._config, self._registry, self._seed = tasks, config, registry, seed
        self._known: dict[str, dict[int, PassRate]] = {name: {} for name in self._mixture.shares}
        self._places: dict[str, tuple[str, int]] = {}  # domain and place of each drawn task, by id
        self._arrays: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
        self._first: dict[str, list[int]] = {}  # by domain, of the last update: correct and counted first completions

    def tasks(self, step: int, count: int) -> list[Task]:
        """The `count` tasks of 0-based `step`, when every step draws `count`."""
        if not self._config.enabled:
            return [self._task(name, place) for name, place in self._mixture.places(step, count)]
        return self._draw(self._mixture.domains(step, count), step, 0, ())

    def replacements(self, replaced: Sequence[Task], step: int, round: int, seen: Collection[str]) -> list[Task]:
        """Another task of the same domain for each of `replaced`, in the 1-based `round` of `step`.

        Args:
            seen: Ids of the tasks that the step has sampled; drawn again only where the domain has no others.
        """
        return self._draw([task.domain for task in replaced], step, round, seen)

    def probe(self, count: int) -> list[Task]:
        """`count` distinct tasks of verifiable domains, by the shares of the mixture; fewer if there are fewer."""
        own = {name: self._tasks[name] for name in self._known if self._registry.is_verifiable(name)}
        if not own or not count:
            return []
        shares = {name: self._mixture.shares[name] for name in own}
        total, chosen = sum(shares.values()), []
        for name, tasks in own.items():
            wanted = min(len(tasks), round(count * shares[name] / total))
            rng = np.random.default_rng(derive_seed(self._seed, "probe", name))
            chosen += [self._task(name, int(place)) for place in rng.choice(len(tasks), wanted, replace=False)]
        return chosen

    def update(self, groups: Sequence[RolloutGroup], step: int) -> None:
        """Count the completions of scored `groups`, sampled in the 1-based `step` (0: the probe)."""
        if not self._config.enabled:
            return
        self._arrays, self._first = {}, {}
        for group in groups:
            name = group.task.domain
            counted = [score.status for score in group.scores if not score.status.masked]
            if not counted or not self._registry.is_verifiable(name):
                continue
            place = self._places[group.task.id][1]
            solved = sum(status is Status.CORRECT for status in counted)
            before = self._known[name].get(place, PassRate(0.0, 0.0, 0))
            if not before.count:
                first = self._first.setdefault(name, [0, 0])
                first[0], first[1] = first[0] + solved, first[1] + len(counted)
            self._known[name][place] = before.updated(solved, len(counted), step)

    def metrics(self) -> dict[str, Any]:
        """Per domain: tasks with a known pass rate, those set aside, and the mean rate of the known ones.

        `first_accuracy`: the share of correct ones among the last step's `first` completions, those of tasks that were
        never sampled before: they were drawn at random.
        """
        found = {}
        for name, known in self._known.items():
            if known:
                rates = [one.rate for one in known.values()]
                aside = sum(one.is_extreme for one in known.values())
                solved, first = self._first.get(name, (0, 0))
                found[name] = {
                    "known": len(rates),
                    "set_aside": aside,
                    "pass_rate": sum(rates) / len(rates),
                    "first": first,
                    "first_accuracy": solved / first if first else None,
                }
        return found

    def state(self) -> dict[str, list[list[float | int]]]:
        """All pass rates, JSON-ready: [place, rate, count, step] by domain."""
        return {
            name: [[place, one.rate, one.count, one.step] for place, one in known.items()]
            for name, known in self._known.items()
            if known
        }

    def restore(self, state: Mapping[str, Sequence[Sequence[float | int]]]) -> None:
        """Go back to an earlier `state`."""
        self._arrays = {}
        self._known = {name: {} for name in self._known}
        for name, rows in state.items():
            self._known[name] = {int(place): PassRate(rate, count, int(step)) for place, rate, count, step in rows}

    def _draw(self, domains: Sequence[str], step: int, round: int, seen: Collection[str]) -> list[Task]:
        taken: dict[str, set[int]] = {name: set() for name in domains}
        for name, place in (self._places[id] for id in seen):
            if name in taken:
                taken[name].add(place)
        drawn = []
        for number, name in enumerate(domains):
            rng = np.random.default_rng(derive_seed(self._seed, "curriculum", step, round, number))
            place = self._place(name, step, taken[name], rng)
            taken[name].add(place)
            drawn.append(self._task(name, place))
        return drawn

    def _place(self, name: str, step: int, taken: set[int], rng: np.random.Generator) -> int:
        """The place of the next task of a domain: one by its pass rate, or one that is not known."""
        count, config = len(self._tasks[name]), self._config
        places, weights, steps = self._known_arrays(name)
        waited = step + 1 - steps
        ready = (weights > 0) & ((steps == 0) | (waited > config.cooldown_steps)) & ~np.isin(places, list(taken))
        known = (weights > 0) | (waited <= config.retry_steps)
        new = _outside(count, taken.union(places[known].tolist()), rng)
        if ready.any() and (new is None or rng.random() >= config.explore):
            return int(rng.choice(places[ready], p=weights[ready] / weights[ready].sum()))
        if new is None:
            new = _outside(count, taken, rng)
        return int(rng.integers(count)) if new is None else new

    def _known_arrays(self, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Place, weight (0 if set aside) and step of the tasks with a pass rate; kept until pass rates change."""
        if name not in self._arrays:
            rates = list(self._known[name].values())
            self._arrays[name] = (
                np.asarray(list(self._known[name]), np.int64),
                np.asarray([0.0 if one.is_extreme else one.weight for one in rates], np.float64),
                np.asarray([one.step for one in rates], np.int64),
            )
        return self._arrays[name]

    def _task(self, name: str, place: int) -> Task:
        task = self._tasks[name][place]
        self._places[task.id] = (name, place)
        return task


def _outside(count: int, excluded: Collection[int], rng: np.random.Generator) -> int | None:
    """A random number below `count` that is not excluded; None if there is none."""
    for place in rng.integers(count, size=ATTEMPTS).tolist():
        if place not in excluded:
            return int(place)
    free = sorted(set(range(count)).difference(excluded))
    return free[int(rng.integers(len(free)))] if free else None
