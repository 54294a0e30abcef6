"""Evaluation with a run's model and contract: during `train`, or of a finished run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

import thinkaloud
from thinkaloud.checkpoint.files import list_saved, restore_adapter
from thinkaloud.config import Recipe
from thinkaloud.config.load import change_recipe
from thinkaloud.config.recipe import ModelSource
from thinkaloud.domains import Registry, registry_of
from thinkaloud.errors import UserError
from thinkaloud.evaluate.answer import Decoding, evaluate
from thinkaloud.evaluate.judged import Marking, marked
from thinkaloud.evaluate.options import EvalOptions, decoding_of, plain_name
from thinkaloud.evaluate.partial_results import FOLDER, PartialResults, clear, digest
from thinkaloud.evaluate.readings import reading_policy, tasks_with_rationale
from thinkaloud.evaluate.rows import READING_STAGES, STAGE_LABELS, Row, read_rows, write_rows
from thinkaloud.evaluate.summary import build_summary, write_summary
from thinkaloud.fetch.adapters import adapter_base
from thinkaloud.fetch.known import stock_name
from thinkaloud.judge import FILE, Judge, Notice, fingerprint, open_judge
from thinkaloud.model.lora import Adapter
from thinkaloud.model.sharding import fetch
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.prompt.from_recipe import open_contract
from thinkaloud.records import Task
from thinkaloud.rewards.scoring import GroupScorer
from thinkaloud.rollout.policy import Policy
from thinkaloud.session.device import announce_devices
from thinkaloud.session.run import available_stages, open_run, stage_adapter
from thinkaloud.session.scorer import open_scorer
from thinkaloud.session.session import Session
from thinkaloud.storage.lock import RunLock, locked
from thinkaloud.storage.run_directory import RunDir, check_writable
from thinkaloud.tracking.display import Display


def plan_of(
    session: Session, policy: Policy, adapter: Adapter, tasks: Sequence[Task], decoding: Decoding
) -> dict[str, Any]:
    """Everything that determines the rows of an evaluation, JSON-ready. All processes call it."""
    return {
        "tasks": digest(*(task.id for task in tasks)),
        "contract": policy.contract.fingerprint,
        "model": [session.files.name, *(f"{path.name} {path.stat().st_size}" for path in session.files.weights)],
        "merged": digest(session.files.adapter.read_bytes()) if session.files.adapter else "",
        "dtype": session.recipe.model.dtype,
        "adapter": digest(*(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(fetch(adapter)))),
        "scale": policy.scale,
        "prompts": digest(*(str(policy.encode(task)) for task in tasks)) if policy.prompt else "",
        # without the control, from which GRPO alone learns
        "rewards": session.recipe.rewards.model_dump(mode="json", exclude={"control"}),
        **{name: getattr(decoding, name) for name in Decoding.__dataclass_fields__},
    }


def evaluate_into(
    folder: Path,
    stage: str,
    session: Session,
    policy: Policy,
    adapter: Adapter,
    tasks: Sequence[Task],
    score: GroupScorer,
    display: Display,
    decoding: Decoding | None = None,
    between: Callable[[], None] = lambda: None,
    marking: Marking = list,
) -> list[Row]:
    """Answer the tasks with one policy and write `<stage>.parquet`; an interrupted call can be continued.

    The caller removes the partial results (`partial_results.clear`) once all of its stages are done. `between` is
    called after every batch; an exception it raises ends the evaluation. `marking` adds a judge's marks to the rows.
    """
    chosen = decoding or decoding_of(session)
    plan = plan_of(session, policy, adapter, tasks, chosen)
    display.stage(f"evaluate:{stage}", total_steps=0)
    label = STAGE_LABELS.get(stage, stage)

    def progress(done: int, total: int) -> None:
        display.progress(done, total, f"{label}: tasks answered")
        between()

    rows = evaluate(
        policy,
        adapter,
        tasks,
        chosen,
        score=score,
        registry=registry_of(session.recipe),
        progress=progress,
        parts=PartialResults(folder / FOLDER / stage, {"version": thinkaloud.__version__, **plan}),
    )
    rows = marking(rows)
    write_rows(folder / f"{stage}.parquet", rows, plan)
    return rows


def evaluate_reading(
    folder: Path,
    reading: str,
    session: Session,
    policy: Policy,
    tasks: Sequence[Task],
    score: GroupScorer,
    display: Display,
    decoding: Decoding,
    between: Callable[[], None] = lambda: None,
) -> list[Row]:
    """Ask the base in another way (see `evaluate.readings`), as `evaluate_into` does; a note says what is left out."""
    stage = READING_STAGES[reading]
    asked, kept = reading_of(session, policy, reading, tasks, decoding)
    if asked is None:
        display.note(f"{STAGE_LABELS[stage]}: left out, no training task has a rationale that makes a valid example")
        return []
    checked = sum(registry_of(session.recipe).is_verifiable(task.domain) for task in tasks)
    if len(kept) < checked:
        room = policy.model.config.max_position - decoding.max_new_tokens
        count = f"{checked - len(kept)} of {checked} tasks left out"
        display.note(f"{STAGE_LABELS[stage]}: {count}, their prompts have over {room} tokens")
    if not kept:
        return []
    return evaluate_into(folder, stage, session, asked, {}, kept, score, display, decoding, between)


def reading_of(
    session: Session, policy: Policy, reading: str, tasks: Sequence[Task], decoding: Decoding
) -> tuple[Policy | None, list[Task]]:
    """The policy that asks in the way of a reading (None without an example to show) and the tasks that it can ask."""
    asked = reading_policy(policy, reading, tasks_with_rationale(session.recipe, session.pool))
    if asked is None:
        return None, []
    registry, room = registry_of(session.recipe), policy.model.config.max_position - decoding.max_new_tokens
    return asked, [task for task in tasks if registry.is_verifiable(task.domain) and len(asked.encode(task)) <= room]


def judge_facts(judge: Judge | None) -> dict[str, Any]:
    """The judge's model and rubric, for a summary; empty without a judge."""
    return {"judge": {"model": judge.config.model, "rubric": fingerprint()}} if judge else {}


def summarize(folder: Path, split: str, registry: Registry, **more: Any) -> dict[str, Any]:
    """Summarize the rows of a folder, and write its summary.json with `more` added."""
    found = {path.stem: read_rows(path) for path in sorted(folder.glob("*.parquet")) if not path.name.startswith(".")}
    summary = {**build_summary(split, found, registry), **more}
    write_summary(folder / "summary.json", summary)
    return summary


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A finished evaluation.

    Attributes:
        summary: The object of `summary.json`.
        folder: Where the rows and the summary are.
        is_own: True where it replaced the run's own evaluation, so that the report is out of date.
    """

    summary: dict[str, Any]
    folder: Path
    is_own: bool


def evaluate_run(path: Path, options: EvalOptions, *, allow_contract_mismatch: bool, display: Display) -> Evaluation:
    """Evaluate the stages of a finished or interrupted run again, or another model on its tasks.

    With the recipe's own tasks, stages and decoding, the run's own evaluation is replaced. Otherwise the results go to
    a separate folder below eval/.

    Raises:
        UserError: The options contradict each other, or the run has no such stage yet.
    """
    options.check()
    session, run = open_run(path, allow_contract_mismatch=allow_contract_mismatch)
    announce_devices(session.recipe, display.note)
    registry = registry_of(session.recipe)
    name, tasks = options.tasks(session)
    if options.data_set and any(task.split == "train" for task in tasks):
        display.note(f"warning: {options.data_set} contains training rows; the run may have trained on them")
    decoding, own = options.decoding(session), options.is_default(session)
    folder = run.evaluation if own else run.evaluation / _folder_name(name, decoding, decoding_of(session))
    check_writable(path)
    judge = judge_of(change_recipe(session.recipe, options.overrides), run, options.judge, display)
    if options.model:
        session = open_other_model(session, options.model)
    # while a run trains, only `train` writes its own evaluation
    lock: AbstractContextManager[RunLock | None] = locked(path) if own else nullcontext()
    with lock, open_scorer(session.recipe, session.contract) as (score, _):
        policy = session.load_policy()
        tasks = fitting(policy, tasks, decoding, display)
        folder.mkdir(parents=True, exist_ok=True)
        for label, adapter in _models(session, run, policy, options):
            marking: Marking = list
            if judge:
                marking = partial(
                    marked, judge=judge, contract=session.contract, registry=registry, notify=display.note
                )
            evaluate_into(folder, label, session, policy, adapter, tasks, score, display, decoding, marking=marking)
        for reading in _readings(session, options, own):
            evaluate_reading(folder, reading, session, policy, tasks, score, display, decoding)
        clear(folder)
    sampling = {} if own else {"samples": decoding.samples, "temperature": decoding.temperature}
    summary = summarize(folder, options.source(session), registry, **sampling, **judge_facts(judge))
    if not own:
        display.note(f"rows and summary: {folder}")
    return Evaluation(summary, folder, own)


def judge_of(recipe: Recipe, run: RunDir, wanted: bool, display: Display) -> Judge | None:
    """The judge of an evaluation. It is asked only where `wanted`; otherwise it uses cached marks.

    Raises:
        UserError: It is wanted, but the recipe names none, or it returns no marks.
    """
    if not recipe.judge.on:
        if wanted:
            raise UserError(
                "--judge needs a judge, and the run's recipe names none; add --set judge.base_url=http://... and "
                "--set judge.model=NAME, and where it asks for a key --set judge.api_key_env=VARIABLE"
            )
        return None

    def notify(notice: Notice) -> None:
        display.note(f"{'warning: ' if notice.state == 'raised' else ''}{notice.message}")

    return open_judge(recipe.judge, run.path / FILE, notify=notify, sends_requests=wanted)


def fitting(policy: Policy, tasks: Sequence[Task], decoding: Decoding, display: Display) -> list[Task]:
    """The tasks whose prompts leave room for an answer; the number of others is shown.

    Raises:
        UserError: No task is left.
    """
    room = policy.model.config.max_position - decoding.max_new_tokens
    kept = [task for task in tasks if len(policy.encode(task)) <= room]
    if not kept:
        raise UserError(
            f"no prompt fits: the model attends to {policy.model.config.max_position} tokens and an answer may have "
            f"{decoding.max_new_tokens}; lower --max-new-tokens, or choose other tasks"
        )
    if len(kept) < len(tasks):
        display.note(f"{len(tasks) - len(kept)} of {len(tasks)} tasks left out: their prompts have over {room} tokens")
    return kept


def _models(session: Session, run: RunDir, policy: Policy, options: EvalOptions) -> list[tuple[str, Adapter]]:
    """The adapters to evaluate, each with the name of its results."""
    if options.model:
        return [(f"model-{plain_name(session.files.name)}", {})]
    if options.checkpoint:
        return [open_checkpoint(session, policy, options.checkpoint)]
    stages = options.stages or (() if options.readings else available_stages(run))
    return [(stage, stage_adapter(session, run, policy, stage)) for stage in stages]


def _readings(session: Session, options: EvalOptions, own: bool) -> Sequence[str]:
    """The readings that the options name; those of the recipe where the run's own evaluation is done again."""
    return options.readings or (session.recipe.evaluate.readings if own and not options.stages else ())


def open_checkpoint(session: Session, policy: Policy, path: Path) -> tuple[str, Adapter]:
    """A checkpoint's name and adapter.

    Raises:
        UserError: There is no complete checkpoint at `path`.
    """
    saved = next((saved for saved in list_saved(path.parent) if saved.path.name == path.name), None)
    if saved is None:
        have = ", ".join(saved.path.name for saved in list_saved(path.parent)) or "none"
        raise UserError(f"expected a complete checkpoint at {path}, found {have}; name RUN/checkpoints/NAME")
    return saved.path.name, restore_adapter(saved, session.new_adapter(policy))


def open_other_model(session: Session, directory: Path) -> Session:
    """The session with another model, in its own chat template or with the contract.json in its folder.

    A folder with only a PEFT adapter is merged into the run's own base where it was made for that, else into the base
    that it names.

    Raises:
        UserError: It is not a model directory, or its chat template is unknown.
    """
    if not directory.is_dir():
        raise UserError(f"expected a model directory in Hugging Face's layout, found none at {directory}")
    own = session.recipe.model
    source = ModelSource(source=str(directory.absolute()), dtype=own.dtype)
    if base := adapter_base(directory):
        base = own.source if base == stock_name(own.source) else base
        source = ModelSource(source=base, adapter=str(directory.absolute()), dtype=own.dtype)
    recipe = session.recipe.model_copy(update={"model": source})
    files, contract = open_contract(recipe)
    if (directory / "contract.json").exists():
        contract = PromptContract.load(directory / "contract.json", contract.tokenizer)
    return replace(session, recipe=recipe, files=files, contract=contract)


def _folder_name(tasks: str, decoding: Decoding, usual: Decoding) -> str:
    """The folder name of an evaluation that is not the run's own: tasks, and how decoding differs."""
    parts = [tasks]
    if decoding.temperature:
        parts.append(f"x{decoding.samples}-t{decoding.temperature:g}-s{decoding.seed}")
    if decoding.max_new_tokens != usual.max_new_tokens:
        parts.append(f"n{decoding.max_new_tokens}")
    return "-".join(parts)
