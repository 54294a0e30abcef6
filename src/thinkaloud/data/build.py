"""The pool of a recipe: load -> map -> fit -> check gold -> drop copies -> decontaminate -> split -> cap -> write.

The same recipe, rows and tokenizer give the same bytes. A build that is killed leaves the previous pool, or none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from thinkaloud.config import DataConfig, Recipe, SourceConfig
from thinkaloud.config.flat import changed_keys, flat
from thinkaloud.data.curate import (
    Progress,
    cap,
    check_answers,
    drop_contaminated,
    drop_copies,
    fit_tokens,
    needs_check,
    question_of,
    split_by_hash,
)
from thinkaloud.data.decontaminate import Contamination
from thinkaloud.data.generators import HELD_OUT, generate
from thinkaloud.data.ledger import Ledger
from thinkaloud.data.pool import Pool
from thinkaloud.data.read import OpenSource, Unavailable, open_source
from thinkaloud.data.rows import Rejection
from thinkaloud.data.sources import SOURCES
from thinkaloud.data.starter import has_starter, load_starter
from thinkaloud.data.store import link_pool, open_pool, verified_pool, write_pool
from thinkaloud.domains import registry_of
from thinkaloud.domains.base import CodeRunner
from thinkaloud.errors import UserError, nearest
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.records import Task
from thinkaloud.sandbox import Sandbox, SandboxUnavailable
from thinkaloud.seeding import derive_seed


def build_pool(
    recipe: Recipe,
    contract: PromptContract,
    out: Path,
    *,
    progress: Progress = lambda done, total, what: None,
    note: Callable[[str], None] = lambda text: None,
) -> Pool:
    """Gather, check and write the tasks of a recipe.

    Args:
        recipe: `data` names the sources, `rollout` the token limits; `data_seed` draws the generated tasks.
        contract: Its prompts are counted.
        out: The folder of the pool; an existing pool is replaced.
        progress: Called with (done, total, what) now and then.
        note: Called with one line for the user, such as that an optional source is missing.

    Raises:
        UserError: A source or an evaluation set is not available, a domain has no training tasks left, or the sandbox
            that is needed cannot start.
    """
    config = recipe.data
    registry_of(recipe).load_scorers()
    if out.exists() and not out.is_dir():
        raise UserError(f"expected a folder for the pool, found a file at {out}; choose another with --out")
    ledger = Ledger()
    evaluation_sets = read_evaluation_sets(config)  # first: what is missing should not be found after minutes of work
    opened, missing = _open(config, note)
    tasks = _gather(config, opened, derive_seed(recipe.data_seed, "data"), ledger, progress)
    caps = _caps(config, opened)
    tasks = curate_tasks(recipe, contract, tasks, ledger, evaluation_sets, caps=caps, progress=progress)
    for name in config.domains:
        if not any(task.domain == name and task.split == "train" for task in tasks):
            raise UserError(_nothing_left(name, ledger))
    for task in tasks:
        ledger.keep(task)
    write_pool(
        out,
        tasks,
        domains=config.domains,
        seed=derive_seed(recipe.data_seed, "pool"),
        dropped=ledger.reasons(),
        record={
            "settings": pool_settings(recipe, contract),
            "lines": ledger.as_list(config.domains),
            "sources": {name: source.identity() for name, source in opened.items()},
            "missing": missing,
        },
    )
    return open_pool(out)


def curate_tasks(
    recipe: Recipe,
    contract: PromptContract,
    tasks: Sequence[Task],
    ledger: Ledger,
    evaluation_sets: dict[str, Contamination],
    *,
    caps: dict[tuple[str, str], int],
    progress: Progress = lambda done, total, what: None,
) -> list[Task]:
    """The tasks that a pool keeps, with their splits; the others are entered in the ledger.

    Args:
        tasks: Entered in the ledger as read.
        evaluation_sets: See `read_evaluation_sets`.
        caps: The most training tasks by (source, domain), where there is a limit.

    Raises:
        UserError: The sandbox that is needed cannot start.
    """
    config, registry = recipe.data, registry_of(recipe)
    tasks = fit_tokens(
        tasks,
        ledger,
        contract,
        max_prompt_tokens=recipe.rollout.max_prompt_tokens,
        max_new_tokens=recipe.rollout.max_new_tokens,
        registry=registry,
        progress=progress,
    )
    with _sandbox(recipe, tasks) as sandbox:
        tasks = check_answers(tasks, ledger, contract, sandbox=sandbox, registry=registry, progress=progress)
    tasks = drop_copies(tasks, ledger, threshold=config.near_duplicates, registry=registry, progress=progress)
    tasks = drop_contaminated(tasks, ledger, evaluation_sets, progress)
    tasks = split_by_hash(tasks, validation_share=config.validation_share, test_share=config.test_share)
    return cap(tasks, ledger, caps)


def place_pool(
    recipe: Recipe,
    contract: PromptContract,
    place: Path,
    *,
    given: Path | None = None,
    progress: Progress = lambda done, total, what: None,
    note: Callable[[str], None] = lambda text: None,
) -> Pool:
    """The pool of a recipe at `place`: built there, or linked from one that `thinkaloud data` built.

    Raises:
        UserError: As `build_pool`, or the given pool was built from other settings or changed since.
    """
    registry_of(recipe)  # raises UserError
    if given is None:
        return build_pool(recipe, contract, place, progress=progress, note=note)
    pool = verified_pool(given)
    changed = changed_keys(flat(pool.record.get("settings", {})), flat(pool_settings(recipe, contract)))
    if changed:
        raise UserError(
            f"the pool at {given} was built from other settings ({', '.join(changed)}); build it again with "
            "`thinkaloud data`, or remove --pool"
        )
    link_pool(given, place)
    return open_pool(place)


def pool_settings(recipe: Recipe, contract: PromptContract) -> dict[str, Any]:
    """All settings that decide which tasks a pool holds, JSON-ready, to compare a built pool with a recipe.

    `data.dir` is left out: the files read from it are recorded with their hashes, and the folder may have moved since.
    """
    return {
        "seed": recipe.data_seed,
        "data": recipe.data.model_dump(mode="json", exclude={"dir", "seed"}),
        "max_prompt_tokens": recipe.rollout.max_prompt_tokens,
        "max_new_tokens": recipe.rollout.max_new_tokens,
        "contract": contract.fingerprint,
    }


def _open(config: DataConfig, note: Callable[[str], None]) -> tuple[dict[str, OpenSource], list[str]]:
    """All sources, opened before the first is read, and the names of the optional ones that are not available.

    The causes are shown and not recorded: they name paths of this machine, and may differ the next time.
    """
    opened: dict[str, OpenSource] = {}
    missing: list[str] = []
    for name, source in config.sources.items():
        if name == "starter":
            continue
        try:
            opened[name] = open_source(name, source, _data_dir(config), note)
        except Unavailable as error:
            if not source.optional:
                raise Unavailable(f"{error}; or mark sources.{name} with optional = true") from error
            missing.append(name)
            note(f"optional source {name} is left out: {error}")
    return opened, missing


def _data_dir(config: DataConfig) -> Path | None:
    return None if config.dir is None else Path(config.dir).expanduser()


def _gather(
    config: DataConfig, opened: dict[str, OpenSource], seed: int, ledger: Ledger, progress: Progress
) -> list[Task]:
    """The tasks of all sources, in the recipe's order."""
    tasks: list[Task] = []
    for name in config.sources:
        if name == "starter":
            for domain in config.domains:
                tasks += _counted(_starter(domain), ledger)
        elif name in opened:
            tasks += _read(opened[name], config.domains, ledger, progress)
    steps = config.generated_steps
    for name, count in config.generated.items():
        tasks += _counted(generate(name, seed, count, most_steps=steps), ledger)
    for name, count in config.generated_held_out.items():
        for part in HELD_OUT:
            tasks += _counted(generate(name, seed, count, part, most_steps=steps), ledger)
    return tasks


def _counted(tasks: list[Task], ledger: Ledger) -> list[Task]:
    for task in tasks:
        ledger.read(task)
    return tasks


def _starter(name: str) -> list[Task]:
    """The starter tasks of a domain; a domain of the user's own has none."""
    return load_starter(name) if has_starter(name) else []


def _read(opened: OpenSource, domains: Sequence[str], ledger: Ledger, progress: Progress) -> Iterator[Task]:
    """The tasks of one source; rows of a domain that the recipe leaves out are counted as such."""
    source = opened.source
    only_domain = source.domains[0] if len(source.domains) == 1 else ""
    for number, found in enumerate(opened.rows()):
        if number % 1000 == 0:
            progress(number, 0, f"{source.name}: rows read")
        if isinstance(found, Rejection):
            ledger.reject(found, only_domain, source.name, source.license)
        elif found.domain in domains:
            ledger.read(found)
            if found.note:
                ledger.note(found, found.note)
            yield found
        else:
            ledger.read(found)
            ledger.drop(found, "domain left out")


def _caps(config: DataConfig, opened: dict[str, OpenSource]) -> dict[tuple[str, str], int]:
    """The most training tasks by (source, domain), where there is a limit."""
    caps = {}
    for name, source in opened.items():
        own = config.sources[name].cap
        for domain in source.source.domains:
            limit = source.source.caps.get(domain, 0) if own is None else own
            if limit:
                caps[name, domain] = limit
    return caps


def read_evaluation_sets(config: DataConfig) -> dict[str, Contamination]:
    """The texts that training tasks are compared with, by the set's name in the recipe.

    Raises:
        UserError: A set is not available, or holds no question.
    """
    sets = {}
    for entry in config.evaluation_sets:
        name, _, split = entry.partition(":")
        if name in SOURCES:
            options, name = SourceConfig(splits=(split or "test",)), name
        elif Path(entry).exists():
            options, name = SourceConfig(path=entry, domain="questions", answer="question"), entry
        else:
            raise UserError(
                f"data.evaluation_sets: {entry!r} is neither a known set{nearest(name, SOURCES)} nor a file; write "
                "NAME, NAME:SPLIT, or the path of a file with questions"
            )
        try:
            rows = open_source(name, options, _data_dir(config)).rows()
            texts = [question_of(row) for row in rows if isinstance(row, Task)]
        except UserError as error:
            raise UserError(f"data.evaluation_sets: {entry!r}: {error}; or drop it from this list") from error
        if not texts:
            raise UserError(f"data.evaluation_sets: {entry!r} holds no question; name a set that does, or drop it")
        sets[entry] = Contamination(texts)
    return sets


@contextmanager
def _sandbox(recipe: Recipe, tasks: Sequence[Task]) -> Iterator[CodeRunner | None]:
    """The sandbox for reference programs; None where there are none to run."""
    if not any(needs_check(task) and task.tests for task in tasks):
        yield None
        return
    try:
        sandbox = Sandbox(
            num_workers=recipe.rewards.sandbox_workers or None, allow_unsandboxed=recipe.rewards.allow_unsandboxed
        ).start()
    except SandboxUnavailable as error:
        raise UserError(
            f"{error}; or remove coding from data.domains, or set rewards.allow_unsandboxed = true"
        ) from error
    try:
        yield sandbox
    finally:
        sandbox.close()


FIXES = {
    "prompt over": "raise rollout.max_prompt_tokens",
    "answer over": "raise rollout.max_new_tokens",
    "gold answer": "correct the gold answers, or the scorer of the domain",
}
"""What to do about a reason, by its first words."""


def _nothing_left(name: str, ledger: Ledger) -> str:
    dropped = ledger.reasons(name)
    if not dropped:
        return f"no training task of domain {name!r}: no source has any; add one, or remove it from data.domains"
    reasons = "; ".join(
        f"{count} rows: {reason} (first: {ledger.example(name, reason)})" for reason, count in dropped.items()
    )
    most = max(dropped, key=lambda reason: dropped[reason])
    fix = next((fix for words, fix in FIXES.items() if most.startswith(words)), "change the rows or the recipe")
    return f"no training task of domain {name!r} is left: {reasons}; {fix}"
