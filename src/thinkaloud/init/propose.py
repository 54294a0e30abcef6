"""All that `thinkaloud init` finds out about a file."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from thinkaloud.config import Recipe
from thinkaloud.config.load import parse_recipe
from thinkaloud.config.sources import KNOWN_SOURCES
from thinkaloud.data.rows import Values
from thinkaloud.data.sources.base import InvalidRow
from thinkaloud.data.sources.own_values import from_chat, text_of, turns_of
from thinkaloud.domains import SCORERS
from thinkaloud.errors import UserError, nearest
from thinkaloud.init.check import Check, check_rows
from thinkaloud.init.columns import Columns, find_columns
from thinkaloud.init.sample import Sample, read_sample
from thinkaloud.init.scorer import Scorer, find_scorer, gold_options

DEFAULT_MODEL = "smollm2-135m"
HELD_OUT = 50
"""Test tasks that an evaluation needs to say much, if they are not over a fifth of the file."""
MOST_STEPS, LEAST_STEPS = 200, 20
FEW_TASKS = 100
PROMPTS_PER_STEP = 4
PASSES = 3
"""How often GRPO visits a task, within the limits of `LEAST_STEPS` and `MOST_STEPS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the user chose; None: init finds it. An empty `rationale` or `choices` means that there is none."""

    question: str | None = None
    answer: str | None = None
    rationale: str | None = None
    choices: str | None = None
    model: str = DEFAULT_MODEL
    domain: str | None = None
    encoding: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A recipe and the reasons for it.

    Attributes:
        name: Of the recipe, of its source and of its domain.
        values: The recipe as plain values, as in TOML.
    """

    name: str
    sample: Sample
    columns: Columns
    scorer: Scorer
    check: Check
    values: dict[str, Any]
    recipe: Recipe


def propose(path: Path, wishes: Wishes) -> Proposal:
    """Look at a file, and propose a recipe for it.

    Raises:
        UserError: The file cannot be used, or a wish does not fit it.
    """
    if wishes.domain is not None and wishes.domain not in SCORERS:
        raise UserError(
            f"--domain: expected the domain whose verifier scores the answers ({', '.join(SCORERS)}), found "
            f"{wishes.domain!r}{nearest(wishes.domain, SCORERS)}"
        )
    sample = read_sample(path, wishes.encoding)
    given = {
        "question": wishes.question,
        "answer": wishes.answer,
        "rationale": wishes.rationale,
        "choices": wishes.choices,
    }
    columns = find_columns(sample, given)
    rows = [from_chat(row, columns.question, columns.answer) for row in sample.rows]
    columns = _fitting(rows, columns, wishes)
    scorer = find_scorer(rows, columns)
    if wishes.domain is not None:
        scorer = replace(scorer, name=wishes.domain, why="as given", doubts=())
    scorer = replace(scorer, doubts=(*scorer.doubts, *_turns(sample)))
    name = _name(path)
    values = recipe_values(name, sample, columns, scorer, wishes.model)
    check = check_rows(parse_recipe(values, where=str(path)), name)
    if not check.kept["train"]:
        raise UserError(_nothing_kept(path, check))
    scorer = replace(scorer, doubts=(*scorer.doubts, *_few(sample, check)))
    values = recipe_values(name, sample, columns, scorer, wishes.model, check)
    return Proposal(
        name=name,
        sample=sample,
        columns=columns,
        scorer=scorer,
        check=check,
        values=values,
        recipe=parse_recipe(values, where=str(path)),
    )


def _nothing_kept(path: Path, check: Check) -> str:
    most = check.dropped[0] if check.dropped else None
    why = f"; {most.count:,} of {check.rows:,}: {most.reason} (first: {most.example})" if most else ""
    return (
        f"expected rows of {path} that make training tasks, found none{why}; choose other columns or another scorer "
        "with --question, --answer, --choices, --domain"
    )


def _few(sample: Sample, check: Check) -> tuple[str, ...]:
    """A doubt where there are too few tasks to learn from."""
    tasks = sum(check.kept.values())
    if tasks >= FEW_TASKS or not sample.is_whole:
        return ()
    return (f"{tasks:,} tasks are few: the model memorizes them, and {check.kept['test']:,} test tasks say little",)


def _fitting(rows: list[Values], columns: Columns, wishes: Wishes) -> Columns:
    """The columns, without options and tests that do not fit the answers or the wished scorer."""
    kind = SCORERS[wishes.domain] if wishes.domain else None
    if columns.tests and kind is not None and not kind.runs_code:
        columns = replace(columns, tests=None, setup=None)
    if columns.choices and kind is not None and not kind.uses_choices:
        columns = replace(columns, choices=None)
    if columns.choices and wishes.choices is None and not _names_options(rows, columns):
        columns = replace(columns, choices=None)
    return columns


def _names_options(rows: list[Values], columns: Columns) -> bool:
    """Whether most answers name an option, or are all numbers."""
    found = sum(gold_options(row, columns) is not None for row in rows)
    return 2 * found >= len(rows) or all(_text(row, columns.answer).isdecimal() for row in rows)


def _text(row: Values, column: str) -> str:
    try:
        return text_of(row, column).strip()
    except InvalidRow:
        return ""


def _turns(sample: Sample) -> tuple[str, ...]:
    """A doubt where chats have several turns of the user."""
    several = sum(sum(role == "user" for role, _ in turns_of(row)) > 1 for row in sample.rows)
    return (
        (f"{several:,} chats have several questions: the last one is used, without the turns before",)
        if several
        else ()
    )


def _name(path: Path) -> str:
    """A name for recipe, source and domain, from the file's."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", path.name.split(".")[0]).strip("-_")[:30]
    name = stem if stem[:1].isalpha() else f"own-{stem}".rstrip("-")
    return f"own-{name}" if name in KNOWN_SOURCES or name in SCORERS else name


def recipe_values(
    name: str, sample: Sample, columns: Columns, scorer: Scorer, model: str, check: Check | None = None
) -> dict[str, Any]:
    """The recipe as plain values, as in TOML; without `check` for the first look at the rows."""
    source: dict[str, Any] = {
        "path": str(sample.path),
        "encoding": sample.encoding,
        "domain": name,
        "scored_as": scorer.name,
        "question": columns.question,
        "context": columns.context,
        "answer": columns.answer,
        "answer_after": columns.answer_after,
        "rationale": columns.rationale,
        "choices": list(columns.choices) if isinstance(columns.choices, tuple) else columns.choices,
        "tests": columns.tests,
        "setup": columns.setup,
    }
    values: dict[str, Any] = {
        "name": name,
        "seed": 0,
        "model": model,
        "data": {
            "validation_share": 0.05,
            "test_share": min(0.2, max(0.05, round(HELD_OUT / len(sample.rows), 2))),
            "sources": {name: {key: value for key, value in source.items() if value is not None}},
        },
    }
    if check is None:
        return values
    has_rationales = check.rationales * 2 >= check.kept["train"] > 0
    return {
        **values,
        "lora": {"rank": 16, "alpha": 32.0},
        "cold_start": {
            "max_steps": 24,
            "batch_size": 8,
            "source": "data" if has_rationales else "self",
            **({} if has_rationales else {"self_tasks": 128, "self_rows_per_domain": 64}),
        },
        "rollout": {
            "prompts_per_step": PROMPTS_PER_STEP,
            "group_size": 8,
            "max_prompt_tokens": check.limits.prompt,
            "max_new_tokens": check.limits.new,
        },
        "grpo": {
            "max_steps": min(MOST_STEPS, max(LEAST_STEPS, PASSES * check.kept["train"] // PROMPTS_PER_STEP)),
            "learning_rate": "auto",
        },
        "evaluate": {"tasks_per_domain": 100, "batch_size": 32},
        "checkpoint": {"every_steps": 10},
    }
