"""The tasks of a run: gathered, filtered by tokens under the contract, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from thinkaloud.config import DataConfig
from thinkaloud.data.generators import generate_logic, generate_math
from thinkaloud.data.starter import load_starter
from thinkaloud.domains import domain, register_alias
from thinkaloud.errors import UserError
from thinkaloud.records import SPLITS, Task

_GENERATORS: dict[str, Callable[[int, int], list[Task]]] = {"math": generate_math, "logic": generate_logic}


@dataclass(frozen=True, slots=True)
class Pool:
    """Kept tasks in a fixed order, and how many were dropped for which reason."""

    tasks: tuple[Task, ...]
    dropped: dict[str, int] = field(default_factory=dict)

    def split(self, name: str) -> list[Task]:
        """The tasks of one split, grouped by domain, in order."""
        return [task for task in self.tasks if task.split == name]

    def counts(self) -> dict[str, dict[str, int]]:
        """Tasks by domain and split."""
        counted = Counter((task.domain, task.split) for task in self.tasks)
        domains = list(dict.fromkeys(task.domain for task in self.tasks))
        return {name: {split: counted[name, split] for split in SPLITS} for name in domains}


def check_domains(config: DataConfig) -> None:
    """Register the domains that a recipe makes its own, and check all that it names.

    Raises:
        UserError: one is not registered, or contradicts another.
    """
    for source, table in config.sources.items():
        if table.domain is not None:
            try:
                register_alias(table.domain, table.scored_as or table.domain)
            except UserError as error:
                raise UserError(f"data.sources.{source}: {error}") from None
    for name in config.domains:
        try:
            domain(name)
        except UserError as error:
            raise UserError(f"data.domains: {error}") from None


def build_pool(config: DataConfig, seed: int, *, num_tokens: Callable[[str], int], max_prompt_tokens: int) -> Pool:
    """Gather the tasks of a recipe.

    Args:
        config: Which domains, and how many generated tasks.
        seed: Of the generators.
        num_tokens: Tokens of a question's whole prompt under the contract.
        max_prompt_tokens: Longer prompts are dropped whole; no text is ever cut.

    Returns:
        The pool; one question stands in it once.

    Raises:
        UserError: An unknown domain, or one left without training tasks.
    """
    check_domains(config)
    candidates = [task for name in config.domains for task in load_starter(name)]
    for name, count in config.generated.items():
        candidates += _GENERATORS[name](seed, count)
    dropped: Counter[str] = Counter()
    kept: dict[str, Task] = {}
    for task in candidates:
        if task.id in kept:
            dropped["duplicate question"] += 1
        elif num_tokens(task.question) > max_prompt_tokens:
            dropped[f"prompt over {max_prompt_tokens} tokens"] += 1
        else:
            kept[task.id] = task
    order = {name: index for index, name in enumerate(config.domains)}
    tasks = tuple(sorted(kept.values(), key=lambda task: order[task.domain]))
    for name in config.domains:
        if not any(task.domain == name and task.split == "train" for task in tasks):
            reasons = ", ".join(f"{count} by {reason}" for reason, count in dropped.items()) or "none dropped"
            raise UserError(f"no training task of domain {name!r} is left ({reasons}); raise rollout.max_prompt_tokens")
    return Pool(tasks, dict(dropped))
