"""What `thinkaloud eval` was asked for: which tasks, which model, and how it decodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from thinkaloud.data.pool import group_by_domain
from thinkaloud.domains import registry_of
from thinkaloud.errors import UserError, nearest
from thinkaloud.evaluate.answer import Decoding, held_out
from thinkaloud.evaluate.named_set import read_set
from thinkaloud.evaluate.partial_results import digest
from thinkaloud.evaluate.rows import READING_STAGES, STAGES
from thinkaloud.evaluate.task_file import read_tasks
from thinkaloud.records import SPLITS, Task
from thinkaloud.session.session import Session


def decoding_of(session: Session) -> Decoding:
    """The decoding of `train`: greedy, with the recipe's limits."""
    config = session.recipe.evaluate
    limit = config.max_new_tokens or session.recipe.rollout.max_new_tokens
    return Decoding(max_new_tokens=limit, batch_size=config.batch_size)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalOptions:
    """The options of `thinkaloud eval`; those that are None or empty come from the recipe."""

    split: str | None = None
    tasks_per_domain: int | None = None
    tasks_file: Path | None = None
    data_set: str | None = None
    data_dir: Path | None = None
    stages: Sequence[str] = ()
    readings: Sequence[str] = ()
    """Ways to ask the base; without stages only these are evaluated."""
    checkpoint: Path | None = None
    model: Path | None = None
    samples: int = 1
    temperature: float = 0.0
    max_new_tokens: int | None = None
    seed: int = 0
    judge: bool = False
    overrides: Sequence[str] = ()
    """Overrides of the recipe's section `judge`: `judge.model=...`."""

    def check(self) -> None:
        """Raises UserError where options contradict each other or name something unknown."""
        if self.split is not None and self.split not in SPLITS:
            raise UserError(f"unknown split {self.split!r}{nearest(self.split, SPLITS)}")
        for stage in self.stages:
            if stage not in STAGES:
                raise UserError(f"unknown stage {stage!r}{nearest(stage, STAGES)}")
        for reading in self.readings:
            if reading not in READING_STAGES:
                raise UserError(f"unknown reading {reading!r}{nearest(reading, READING_STAGES)}")
        if self.readings and (self.checkpoint or self.model):
            raise UserError("--reading asks the run's base; remove --checkpoint and --model")
        if sum(bool(value) for value in (self.tasks_file, self.split, self.data_set)) > 1:
            raise UserError("--tasks, --on and --split each select tasks; give only one of them")
        if self.data_dir and not self.data_set:
            raise UserError("--data-dir is the folder of the set of --on; add --on NAME, or remove --data-dir")
        if sum((bool(self.stages), self.checkpoint is not None, self.model is not None)) > 1:
            raise UserError("--stage, --checkpoint and --model each select a model; give only one of them")
        if self.samples > 1 and not self.temperature:
            raise UserError(f"greedy decoding gives {self.samples} equal samples; add --temperature, such as 0.7")
        if any(not override.startswith("judge.") for override in self.overrides):
            raise UserError("--set takes only judge.KEY=VALUE here; the rest of a run's recipe cannot change")
        if self.overrides and not self.judge:
            raise UserError("--set configures the judge; add --judge, or remove --set")
        if not 0.0 <= self.temperature < float("inf"):
            raise UserError(f"expected a temperature of 0 or more, such as 0.7, found {self.temperature}")

    def tasks(self, session: Session) -> tuple[str, list[Task]]:
        """A name for the tasks that is safe as a folder name, and the tasks."""
        config = session.recipe.evaluate
        if self.tasks_file or self.data_set:
            tasks = (
                read_tasks(self.tasks_file, registry_of(session.recipe))
                if self.tasks_file
                else read_set(self.data_set or "", self.data_dir)
            )
            if self.tasks_per_domain:
                tasks = held_out(group_by_domain(tasks), per_domain=self.tasks_per_domain)
            return f"{plain_name(self.data_set or 'tasks')}-{digest(*(task.id for task in tasks))[:8]}", tasks
        split, count = self.split or config.split, self.tasks_per_domain or config.tasks_per_domain
        tasks = held_out(session.pool.by_domain(split), per_domain=count)
        return f"{split}-{count}", tasks

    def decoding(self, session: Session) -> Decoding:
        """The recipe's decoding with these options applied."""
        usual = decoding_of(session)
        return replace(
            usual,
            samples=self.samples,
            temperature=self.temperature,
            seed=self.seed,
            max_new_tokens=self.max_new_tokens or usual.max_new_tokens,
        )

    def source(self, session: Session) -> str:
        """The name of the tasks in results."""
        if self.tasks_file:
            return self.tasks_file.name
        return self.data_set or self.split or session.recipe.evaluate.split

    def is_default(self, session: Session) -> bool:
        """True where the options equal the evaluation of `train`."""
        config, usual = session.recipe.evaluate, decoding_of(session)
        return (
            self.tasks_file is None
            and self.data_set is None
            and self.checkpoint is None
            and self.model is None
            and (self.split or config.split) == config.split
            and (self.tasks_per_domain or config.tasks_per_domain) == config.tasks_per_domain
            and self.decoding(session) == replace(usual, seed=self.seed)
        )


def plain_name(name: str) -> str:
    """`name` with only characters that are safe in a file name."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in name).strip(".-")[:60] or "model"
