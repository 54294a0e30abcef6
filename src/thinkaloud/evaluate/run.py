"""Greedy decoding on held-out tasks: completions, scores, rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from thinkaloud.errors import UserError
from thinkaloud.evaluate.summary import Row
from thinkaloud.model.lora import Adapter
from thinkaloud.records import Completion, Score, Task
from thinkaloud.rollout.policy import Policy
from thinkaloud.rollout.sampling import GREEDY


def held_out(tasks: Sequence[Task], *, per_domain: int) -> list[Task]:
    """The first `per_domain` tasks of each domain.

    Raises:
        UserError: There are none.
    """
    taken: dict[str, list[Task]] = {}
    for task in tasks:
        own = taken.setdefault(task.domain, [])
        if len(own) < per_domain:
            own.append(task)
    chosen = [task for own in taken.values() for task in own]
    if not chosen:
        raise UserError("there are no tasks to evaluate on; choose another evaluate.split (train, validation, test)")
    return chosen


def evaluate(
    policy: Policy,
    adapter: Adapter,
    tasks: Sequence[Task],
    *,
    max_new_tokens: int,
    batch_size: int,
    score: Callable[[Sequence[Task], Sequence[Completion]], list[Score]],
    progress: Callable[[int, int], None] | None = None,
) -> list[Row]:
    """One greedy completion of each task, scored."""
    groups = policy.complete(
        adapter,
        tasks,
        group_size=1,
        max_new_tokens=max_new_tokens,
        sampling=GREEDY,
        seed=0,
        batch_prompts=batch_size,
        progress=progress,
    )
    completions = [completion for (completion,) in groups]
    return [Row.of(*row) for row in zip(tasks, completions, score(tasks, completions), strict=True)]
