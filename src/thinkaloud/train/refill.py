"""Replaces groups without signal by other groups (as DAPO's dynamic sampling, arXiv 2503.14476, but bounded)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from thinkaloud.config.recipe import GrpoConfig
from thinkaloud.records import RolloutGroup, Task

Replacements = Callable[[Sequence[Task], int, Collection[str]], list[Task]]
"""Other tasks for some tasks of a step, given the 1-based round and the ids of the tasks sampled so far."""


def tasks_to_replace(groups: Sequence[RolloutGroup], config: GrpoConfig) -> list[Task]:
    """As many tasks as there are groups: those without signal, repeated in order, so that every round has one shape.

    Empty if enough groups have signal.
    """
    silent = [group.task for group in groups if not group.has_signal]
    enough = config.informative_groups or len(groups)
    if len(groups) - len(silent) >= min(enough, len(groups)):
        return []
    return [silent[place % len(silent)] for place in range(len(groups))]


def with_replacements(groups: Sequence[RolloutGroup], sampled: Sequence[RolloutGroup]) -> list[RolloutGroup]:
    """The groups, with those of `sampled` that have signal in place of groups without, and the rest of these behind.

    A group is replaced by one of its own domain where there is one, then by any other. What is left over is trained on
    too: it is paid for, and more groups mean less noise in the gradient.
    """
    result, spare = list(groups), [group for group in sampled if group.has_signal]
    for same_domain in (True, False):
        for place, group in enumerate(result):
            if group.has_signal:
                continue
            found = next((s for s in spare if not same_domain or s.task.domain == group.task.domain), None)
            if found is not None:
                spare.remove(found)
                result[place] = found
    return result + spare
