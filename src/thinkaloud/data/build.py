"""The pool of a recipe: load -> map -> fit -> check gold -> drop copies -> decontaminate -> split -> cap -> write.

The same recipe, rows and tokenizer give the same bytes. Nothing is there until all is: a build that is killed leaves
the pool that was there before, or none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from thinkaloud.config import DataConfig, Recipe, SourceConfig
from thinkaloud.config.flat import changed_keys, flat
from thinkaloud.data.curate import (
    Candidate,
    Progress,
    cap,
    check_answers,
    drop_contaminated,
    drop_copies,
    fit_tokens,
    needs_check,
    split_by_hash,
)
from thinkaloud.data.decontaminate import Contamination
from thinkaloud.data.generators import generate_logic, generate_math
from thinkaloud.data.ledger import Ledger
from thinkaloud.data.pool import Pool, check_domains
from thinkaloud.data.read import OpenSource, Unavailable, open_source
from thinkaloud.data.sources import SOURCES
from thinkaloud.data.starter import load_starter
from thinkaloud.data.store import link_pool, open_pool, write_pool
from thinkaloud.domains.base import CodeRunner
from thinkaloud.errors import UserError, nearest
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.records import DOMAINS, Task
from thinkaloud.sandbox import Sandbox, SandboxUnavailable
from thinkaloud.seeding import derive_seed

_GENERATORS: dict[str, Callable[[int, int], list[Task]]] = {"math": generate_math, "logic": generate_logic}


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
        recipe: `data` says what; `rollout` the token limits; `seed` draws the generated tasks.
        contract: Whose prompts are counted.
        out: The folder of the pool; one that is there is replaced.
        progress: Told (done, total, what) now and then.
        note: Told one line about what the user should know, such as an optional source that is missing.

    Raises:
        UserError: A source that cannot be had, a domain left without training tasks, or a sandbox that is needed and
            cannot be had.
    """
    config, rollout = recipe.data, recipe.rollout
    check_domains(config)
    ledger = Ledger()
    opened, missing = _open(config, note)
    found = _gather(config, opened, derive_seed(recipe.seed, "data"), ledger, progress)
    found = fit_tokens(
        found,
        ledger,
        contract,
        max_prompt_tokens=rollout.max_prompt_tokens,
        max_new_tokens=rollout.max_new_tokens,
        progress=progress,
    )
    with _sandbox(recipe, found) as sandbox:
        found = check_answers(found, ledger, contract, sandbox=sandbox, progress=progress)
    found = drop_copies(found, ledger, threshold=config.near_duplicates, progress=progress)
    found = drop_contaminated(found, ledger, _evaluation_sets(config), progress)
    found = split_by_hash(found, validation_share=config.validation_share, test_share=config.test_share)
    found = cap(found, ledger, _caps(config, opened))
    for name in config.domains:
        if not any(c.task.domain == name and c.task.split == "train" for c in found):
            raise UserError(_nothing_left(name, ledger))
    for candidate in found:
        ledger.keep(candidate.task, candidate.prompt_tokens)
    write_pool(
        out,
        (candidate.task for candidate in found),
        domains=config.domains,
        seed=derive_seed(recipe.seed, "pool"),
        dropped=ledger.reasons(),
        record={
            "settings": pool_settings(recipe, contract),
            "lines": ledger.as_list(config.domains),
            "sources": {name: source.identity() for name, source in opened.items()},
            "missing": missing,
        },
    )
    return open_pool(out)


def place_pool(
    recipe: Recipe,
    contract: PromptContract,
    place: Path,
    *,
    given: Path | None = None,
    progress: Progress = lambda done, total, what: None,
    note: Callable[[str], None] = lambda text: None,
) -> Pool:
    """The pool of a recipe at `place`: built there, or one that `thinkaloud data` built, linked there.

    Raises:
        UserError: As `build_pool`; or the pool that is given was built from other settings.
    """
    check_domains(recipe.data)
    if given is None:
        return build_pool(recipe, contract, place, progress=progress, note=note)
    found = open_pool(given)
    changed = changed_keys(flat(found.record.get("settings", {})), flat(pool_settings(recipe, contract)))
    if changed:
        raise UserError(
            f"the pool at {given} was built from other settings ({', '.join(changed)}); build it again with "
            "`thinkaloud data`, or leave --pool out"
        )
    link_pool(given, place)
    return open_pool(place)


def pool_settings(recipe: Recipe, contract: PromptContract) -> dict[str, Any]:
    """What decides about the tasks of a pool, rows apart: JSON-ready, to compare a built pool with a recipe.

    `data.dir` is left out: what was read from it is on record with its hash, and the folder may have moved since.
    """
    return {
        "seed": recipe.seed,
        "data": recipe.data.model_dump(mode="json", exclude={"dir"}),
        "max_prompt_tokens": recipe.rollout.max_prompt_tokens,
        "max_new_tokens": recipe.rollout.max_new_tokens,
        "contract": contract.fingerprint,
    }


def _open(config: DataConfig, note: Callable[[str], None]) -> tuple[dict[str, OpenSource], list[str]]:
    """Every source found before the first is read, and the names of the optional ones that could not be had.

    Why they could not is said and not recorded: it names this machine, and may read otherwise the next time.
    """
    opened: dict[str, OpenSource] = {}
    missing: list[str] = []
    for name, source in config.sources.items():
        if name == "starter":
            continue
        try:
            opened[name] = open_source(name, source, _data_dir(config))
        except Unavailable as error:
            if not source.optional:
                raise
            missing.append(name)
            note(f"optional source {name} is left out: {error}")
    return opened, missing


def _data_dir(config: DataConfig) -> Path | None:
    return None if config.dir is None else Path(config.dir).expanduser()


def _gather(
    config: DataConfig, opened: dict[str, OpenSource], seed: int, ledger: Ledger, progress: Progress
) -> list[Candidate]:
    """All rows that map to a task, in the recipe's order."""
    found: list[Candidate] = []
    for name in config.sources:
        if name == "starter":
            for task in (task for domain in config.domains for task in _starter(domain)):
                ledger.read(task.domain, task.source, task.license)
                found.append(Candidate(task, task.question, task.split))
        elif name in opened:
            found += _read(name, opened[name], config.domains, ledger, progress)
    for name, count in config.generated.items():
        for task in _GENERATORS[name](seed, count):
            ledger.read(task.domain, task.source, task.license)
            found.append(Candidate(task, task.question, "train"))
    return found


def _starter(name: str) -> list[Task]:
    """The starter tasks of a domain; a domain of the user's own has none."""
    return load_starter(name) if name in DOMAINS else []


def _read(
    name: str, opened: OpenSource, domains: Sequence[str], ledger: Ledger, progress: Progress
) -> Iterator[Candidate]:
    """The tasks of one source; rows of a domain that the recipe leaves out are counted as such."""
    known = opened.source
    nowhere = known.domains[0] if len(known.domains) == 1 else ""
    for number, row in enumerate(opened.rows()):
        if number % 1000 == 0:
            progress(number, 0, f"{name}: rows read")
        draft = row.draft
        if draft is None:
            ledger.read(nowhere, name, known.license)
            ledger.drop(nowhere, name, str(row.reason), f"{row.split} row {row.number}: {row.example}")
            continue
        ledger.read(draft.domain, name, known.license)
        if draft.domain not in domains:
            ledger.drop(draft.domain, name, "domain left out", draft.question)
            continue
        task = draft.task(source=name, license=known.license, split=row.role)
        yield Candidate(task, draft.key, row.role)


def _caps(config: DataConfig, opened: dict[str, OpenSource]) -> dict[tuple[str, str], int]:
    """Training tasks at most, by (source, domain); what has no cap is not there."""
    caps = {}
    for name, source in opened.items():
        own = config.sources[name].cap
        for domain in source.source.domains:
            limit = source.source.caps.get(domain, 0) if own is None else own
            if limit:
                caps[name, domain] = limit
    return caps


def _evaluation_sets(config: DataConfig) -> dict[str, Contamination]:
    """What training tasks are compared with, by the name in the recipe.

    Raises:
        UserError: A set that cannot be had, or that holds no question.
    """
    sets = {}
    for entry in config.evaluation_sets:
        name, _, split = entry.partition(":")
        if name in SOURCES:
            options, name = SourceConfig(splits=(split or "test",)), name
        elif Path(entry).exists():
            options, name = SourceConfig(path=entry, domain=DOMAINS[0], answer="question"), entry
        else:
            raise UserError(
                f"data.evaluation_sets: {entry!r} is neither a known set{nearest(name, SOURCES)} nor a file; write "
                "NAME, NAME:SPLIT, or the path of a file with questions"
            )
        rows = open_source(name, options, _data_dir(config)).rows()
        texts = [row.draft.key for row in rows if row.draft is not None]
        if not texts:
            raise UserError(f"data.evaluation_sets: {entry!r} holds no question; name a set that does, or drop it")
        sets[entry] = Contamination(texts)
    return sets


@contextmanager
def _sandbox(recipe: Recipe, found: Sequence[Candidate]) -> Iterator[CodeRunner | None]:
    """Where reference programs run; none is started where there are none to run."""
    if not any(needs_check(c) and c.task.tests for c in found):
        yield None
        return
    try:
        sandbox = Sandbox(
            num_workers=recipe.rewards.sandbox_workers or None, allow_unsandboxed=recipe.rewards.allow_unsandboxed
        ).start()
    except SandboxUnavailable as error:
        raise UserError(
            f"{error}; or leave coding out of data.domains, or set rewards.allow_unsandboxed = true"
        ) from error
    try:
        yield sandbox
    finally:
        sandbox.close()


def _nothing_left(name: str, ledger: Ledger) -> str:
    dropped = ledger.reasons(name)
    if not dropped:
        return f"no training task of domain {name!r}: no source has any; add one, or leave it out of data.domains"
    reasons = ", ".join(f"{count} by {reason}" for reason, count in dropped.items())
    mend = "raise rollout.max_prompt_tokens" if any("prompt over" in r for r in dropped) else "see the reasons"
    return f"no training task of domain {name!r} is left ({reasons}); {mend}"
