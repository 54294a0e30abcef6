"""A first curation of a file's rows, in memory: what a pool would keep, and what it would drop and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from thinkaloud.config import Recipe
from thinkaloud.data.build import curate_tasks, read_evaluation_sets
from thinkaloud.data.ledger import Ledger
from thinkaloud.data.read import open_source
from thinkaloud.data.rows import Rejection
from thinkaloud.init.lengths import Limits, contract_here, find_limits
from thinkaloud.init.sample import MAX_ROWS
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.prompt.from_recipe import open_contract
from thinkaloud.records import SPLITS, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """How many rows are dropped for a reason, and the first of them."""

    reason: str
    count: int
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What became of the rows.

    Attributes:
        rows: That were read.
        kept: Tasks by split.
        rationales: Training tasks that have one.
        limits: Token limits that suit the rows.
    """

    rows: int
    kept: dict[str, int]
    rationales: int
    dropped: tuple[Dropped, ...]
    notes: tuple[str, ...]
    limits: Limits


def read_tasks(recipe: Recipe, source: str) -> tuple[list[Task], Ledger, int]:
    """The tasks of the first rows of a source, entered in a ledger, and the number of rows.

    Raises:
        UserError: The source's table in the recipe does not suit the file.
    """
    config, ledger = recipe.data.sources[source], Ledger()
    opened, tasks, rows = open_source(source, config), [], 0
    for found in islice(opened.rows(), MAX_ROWS):
        rows += 1
        if isinstance(found, Rejection):
            ledger.reject(found, config.domain or "", source, opened.source.license)
            continue
        ledger.read(found)
        if found.note:
            ledger.note(found, found.note)
        tasks.append(found)
    return tasks, ledger, rows


def check_rows(recipe: Recipe, source: str) -> Check:
    """Curate the first rows of the recipe's one source, within limits that suit them.

    Raises:
        UserError: As `read_tasks`, or the sandbox that coding needs cannot start.
    """
    tasks, ledger, rows = read_tasks(recipe, source)
    contract = contract_here(recipe)
    limits = find_limits(tasks, contract, recipe)
    if contract is None:  # any tokenizer serves to read the tags, and nothing is counted
        recipe = recipe.model_copy(update={"model": recipe.model.model_copy(update={"source": "tiny"})})
        _, contract = open_contract(recipe)
        unlimited = {"max_prompt_tokens": 1_000_000, "max_new_tokens": 1_000_000}
    else:
        unlimited = {"max_prompt_tokens": limits.prompt, "max_new_tokens": limits.new}
    recipe = recipe.model_copy(update={"rollout": recipe.rollout.model_copy(update=unlimited)})
    kept = _curated(recipe, contract, tasks, ledger)
    lines = ledger.as_list(recipe.data.domains)
    return Check(
        rows=rows,
        kept={split: sum(task.split == split for task in kept) for split in SPLITS},
        rationales=sum(bool(task.rationale) for task in kept if task.split == "train"),
        dropped=tuple(
            Dropped(reason=reason, count=count, example=line["examples"].get(reason, ""))
            for line in lines
            for reason, count in sorted(line["dropped"].items(), key=lambda item: -item[1])
        ),
        notes=tuple(f"{count:,} rows: {note}" for line in lines for note, count in line["notes"].items()),
        limits=limits,
    )


def _curated(recipe: Recipe, contract: PromptContract, tasks: Sequence[Task], ledger: Ledger) -> list[Task]:
    kept = curate_tasks(recipe, contract, tasks, ledger, read_evaluation_sets(recipe.data), caps={})
    for task in kept:
        ledger.keep(task)
    return kept
