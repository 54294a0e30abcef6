"""The rows of a cold start that are sampled: from the base itself, or from a teacher.

Training tasks are asked after one worked example, or by their question alone, and scored as in GRPO;
`train.row_selection` keeps some of the answers. The cold start then trains on them with the ordinary prompt. A domain
that gets too few uses the pool's own rationales, so that every domain keeps its share. Where no domain has any row,
starter tasks teach at least the format.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from thinkaloud.config import ColdStartConfig, Recipe
from thinkaloud.data import Pool
from thinkaloud.data.starter import starter_tasks
from thinkaloud.data.store import INDEX, POOL_FILES, open_pool, write_pool
from thinkaloud.distributed.agreement import from_first, is_first, shared_clock
from thinkaloud.domains import Registry, registry_of
from thinkaloud.evaluate.readings import first_example, length, tasks_with_rationale
from thinkaloud.model.heap import trim_heap
from thinkaloud.pipeline.answerer import Answerer, open_answerer
from thinkaloud.pipeline.context import TrainContext
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.records import Task
from thinkaloud.seeding import derive_seed
from thinkaloud.session.session import copy_from_first
from thinkaloud.train.row_selection import Candidate, candidates_of, put_into_format, select

FILE = "cold_start.json"
"""File of a run directory: the sampling so far."""
FOLDER = "cold_start"
"""Folder of a run directory: the rows as a pool; the `source` of a row is `data`, `self` or `teacher:NAME`."""
FEW = 4
"""The worked example of a domain is the shortest of its first few training tasks with a rationale."""


@dataclass(slots=True)
class Sampled:
    """The sampling of one domain so far.

    `tasks` and `samples` count what was asked; `candidates` are the usable answers, in the order of sampling.
    """

    tasks: int = 0
    samples: int = 0
    candidates: list[Candidate] = field(default_factory=list)


def cold_start_rows(context: TrainContext, seconds: float) -> Pool | None:
    """The pool of the rows that the cold start trains on; None if it trains on the run's own pool.

    They are saved in the run directory, so that a resumed run trains on the same rows. The sampling is saved after
    every batch.

    Args:
        context: The run.
        seconds: For sampling; the batch that exceeds them is the last.

    Raises:
        UserError: The teacher cannot be loaded, or does not answer.
    """
    if context.recipe.cold_start.source == "data":
        return None
    folder: Path = context.run.path / FOLDER
    if not from_first(lambda: (folder / INDEX).exists()):
        _sample(context, seconds, folder)
        trim_heap()
    copy_from_first(folder, POOL_FILES)
    return open_pool(folder)


def _sample(context: TrainContext, seconds: float, folder: Path) -> None:
    recipe, pool, began = context.recipe, context.session.pool, shared_clock()
    registry, contract = registry_of(recipe), context.session.contract
    examples = worked_examples(recipe, pool, contract)
    answerer = open_answerer(context, examples)
    known = {task.id for task in examples.values()}
    tasks = {
        name: [task for task in own[: recipe.cold_start.self_tasks] if task.id not in known and answerer.can_ask(task)]
        for name, own in pool.by_domain("train").items()
    }
    batches, ended, sampled = _read(context, tasks)
    size = max(1, recipe.rollout.prompts_per_step * recipe.rollout.group_size // recipe.cold_start.self_samples)
    context.display.stage("cold_start_rows", total_steps=0)
    while not ended and (batch := next_tasks(tasks, sampled, size, registry, recipe.cold_start)):
        groups = answerer.answer(batch, derive_seed(recipe.seed, "cold_start_self", batches))
        if recipe.cold_start.reading == "plain":
            groups = put_into_format(groups, contract, registry)
        for group in context.score(groups):
            own = sampled[group.task.domain]
            own.tasks += 1
            own.samples += len(group.completions)
            own.candidates += candidates_of([group], contract, registry, recipe.rollout.max_new_tokens)
        batches += 1
        ended = shared_clock() - began > seconds
        _write(context, batches, ended, sampled)
        asked, limit = sum(own.tasks for own in sampled.values()), sum(map(len, tasks.values()))
        context.display.progress(asked, limit, "cold start: tasks asked")
        context.after_step()
        context.stop.check()
        if ended:
            context.display.note(f"deadline: the sampling for the cold start ends here, after {asked} tasks")
    rows, record = assemble(context, sampled, answerer)
    if is_first():
        seed = recipe.data_seed
        write_pool(folder, rows, domains=recipe.data.domains, seed=seed, record=record)


def worked_example(contract: PromptContract, tasks: Sequence[Task]) -> Task | None:
    """The shortest task whose rationale makes a well-formed reply; None without one."""
    found = first_example(contract, sorted(tasks, key=length))
    return found[0] if found else None


def worked_examples(recipe: Recipe, pool: Pool, contract: PromptContract) -> dict[str, Task]:
    """A worked example of each domain that has one; for a pool without rationales one from the starter tasks."""
    found = (worked_example(contract, own[:FEW]) for own in tasks_with_rationale(recipe, pool).values())
    return {one.domain: one for one in found if one}


def starter_rows(recipe: Recipe, contract: PromptContract, domain: str) -> list[Task]:
    """Rows of a domain of which no answer was kept: starter tasks within the token limits, as tasks of that domain."""
    limits = recipe.rollout
    return [
        replace(task, domain=domain)
        for task in starter_tasks(recipe)
        if task.rationale
        and len(contract.encode(task.question)) <= limits.max_prompt_tokens
        and len(contract.encode_completion(task.rationale, task.answer)) <= limits.max_new_tokens
    ]


def next_tasks(
    tasks: Mapping[str, Sequence[Task]],
    sampled: Mapping[str, Sampled],
    size: int,
    registry: Registry,
    config: ColdStartConfig,
) -> list[Task]:
    """At most `size` further tasks, of the domains that have too few rows, equally many of each; [] at the end."""
    asked = {
        name: own.tasks
        for name, own in sampled.items()
        if len(select(own.candidates, registry.is_verifiable(name), config)) < config.self_rows_per_domain
    }
    chosen: list[Task] = []
    while len(chosen) < size and (open_ := [name for name, count in asked.items() if count < len(tasks[name])]):
        name = min(open_, key=asked.__getitem__)
        chosen.append(tasks[name][asked[name]])
        asked[name] += 1
    return chosen


def assemble(
    context: TrainContext, sampled: Mapping[str, Sampled], answerer: Answerer
) -> tuple[list[Task], dict[str, Any]]:
    """The rows of all domains, and what is recorded about them; notes how many each domain has."""
    pool, config, registry = context.session.pool, context.recipe.cold_start, registry_of(context.recipe)
    reasoned = pool.by_domain("train", with_rationale=True)
    rows: list[Task] = []
    record: dict[str, Any] = {}
    for name, tasks in pool.by_domain("train").items():
        own = sampled[name]
        chosen = select(own.candidates, registry.is_verifiable(name), config)
        too_few = len(chosen) < config.self_rows_per_domain and name in reasoned
        counts = {"tasks": own.tasks, "samples": own.samples, "usable": len(own.candidates), "found": len(chosen)}
        text = f"cold start: {name}: {len(chosen)} rows of {own.samples} samples from {answerer.name}"
        if too_few:
            found = [replace(task, source="data") for task in reasoned[name]]
            text += f"; fewer than cold_start.self_rows_per_domain, so the pool's {len(found)} rationales are used"
        else:
            found = list(_rows(tasks, chosen, answerer.name))
        context.display.note(text)
        rows += found
        record[name] = {**counts, "origin": "data" if too_few else answerer.name, "kept": len(found)}
    if not rows and not reasoned:
        name = next(iter(record))
        rows = starter_rows(context.recipe, context.session.contract, name)
        record[name] |= {"origin": "starter", "kept": len(rows)}
        context.display.note(
            f"cold start: no right answer in the format; {len(rows)} starter tasks teach the format alone"
        )
    return rows, {"domains": record}


def _rows(tasks: Sequence[Task], chosen: Sequence[Candidate], origin: str) -> Iterator[Task]:
    by_id = {one.task_id: one for one in chosen}
    for task in tasks:
        if one := by_id.get(task.id):
            yield replace(task, rationale=one.reasoning, answer=one.answer, source=origin)


def _read(context: TrainContext, tasks: Mapping[str, Sequence[Task]]) -> tuple[int, bool, dict[str, Sampled]]:
    """Batches sampled, whether the sampling has ended, and its state by domain."""
    saved = from_first(lambda: context.run.read_json(FILE) if (context.run.path / FILE).exists() else {})
    sampled = {name: Sampled() for name in tasks}
    for name, own in saved.get("domains", {}).items():
        sampled[name] = Sampled(own["tasks"], own["samples"], [Candidate(**one) for one in own["candidates"]])
    return saved.get("batches", 0), saved.get("ended", False), sampled


def _write(context: TrainContext, batches: int, ended: bool, sampled: Mapping[str, Sampled]) -> None:
    if is_first():
        domains = {name: asdict(own) for name, own in sampled.items()}
        context.run.write_json(FILE, {"batches": batches, "ended": ended, "domains": domains})
