"""Base readings: the base model asked in other ways than by the contract, which it was never trained on.

    plain      the question alone, in the model's own chat form; no format is demanded
    example    the contract after one worked example: a training task with its rationale, of the same domain if possible
               (a starter task if no training task has one)

Only tasks of verifiable domains are asked, because readings are compared by answer accuracy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from thinkaloud.config import Recipe
from thinkaloud.data import Pool
from thinkaloud.data.starter import starter_tasks
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.prompt.readings import contract_with_example, plain_contract
from thinkaloud.records import Task
from thinkaloud.rollout.policy import Policy

_CANDIDATES = 200
"""The first training tasks of a domain, among which the example is chosen."""


def reading_policy(policy: Policy, reading: str, examples: Mapping[str, Sequence[Task]]) -> Policy | None:
    """The policy that asks in the way of a reading; None where there is no task to make an example of.

    Args:
        policy: The run's.
        reading: A key of `READING_STAGES`.
        examples: Training tasks by domain.
    """
    if reading == "plain":
        return replace(policy, prompt=_prompt_of(plain_contract(policy.contract), {}))
    made = {name: found for name, tasks in examples.items() if (found := _with_example(policy.contract, tasks))}
    return replace(policy, prompt=_prompt_of(next(iter(made.values())), made)) if made else None


def tasks_with_rationale(recipe: Recipe, pool: Pool) -> Mapping[str, Sequence[Task]]:
    """The training tasks that have a rationale, by domain; if there are none, starter tasks."""
    return pool.by_domain("train", with_rationale=True) or {"starter": starter_tasks(recipe)}


def _prompt_of(default: PromptContract, by_domain: Mapping[str, PromptContract]) -> Callable[[Task], list[int]]:
    return lambda task: by_domain.get(task.domain, default).encode(task.question)


def _with_example(contract: PromptContract, tasks: Sequence[Task]) -> PromptContract | None:
    """The contract after a worked example: a rather short one of the tasks that have a rationale."""
    usable = sorted((task for task in tasks[:_CANDIDATES] if task.rationale), key=lambda task: (length(task), task.id))
    found = first_example(contract, usable[len(usable) // 4 :])
    return found[1] if found else None


def first_example(contract: PromptContract, tasks: Iterable[Task]) -> tuple[Task, PromptContract] | None:
    """The first task whose rationale makes a well-formed reply, and the contract after it; None without one."""
    for task in tasks:
        try:
            return task, contract_with_example(contract, task.question, task.rationale, task.answer)
        except ValueError:
            continue
    return None


def length(task: Task) -> int:
    """Characters of a worked example."""
    return len(task.question) + len(task.rationale) + len(task.answer)
