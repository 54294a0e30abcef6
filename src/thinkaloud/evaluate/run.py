"""Evaluation with a run's model and contract: as part of `train`, or of a finished run anew."""

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
from thinkaloud.data.pool import group_by_domain
from thinkaloud.domains import Registry, registry_of
from thinkaloud.errors import UserError, nearest
from thinkaloud.evaluate.answer import Decoding, evaluate, held_out
from thinkaloud.evaluate.judged import Marking, marked
from thinkaloud.evaluate.named_set import read_set
from thinkaloud.evaluate.parts import FOLDER, Parts, clear, digest
from thinkaloud.evaluate.rows import STAGES, Row, read_rows, write_rows
from thinkaloud.evaluate.summary import build_summary, write_summary
from thinkaloud.evaluate.task_file import read_tasks
from thinkaloud.fetch.adapters import adapter_base
from thinkaloud.fetch.known import stock_name
from thinkaloud.judge import FILE, Judge, Notice, fingerprint, open_judge
from thinkaloud.model.lora import Adapter
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.prompt.from_recipe import open_contract
from thinkaloud.records import SPLITS, Task
from thinkaloud.rewards.scoring import GroupScorer
from thinkaloud.rollout.policy import Policy
from thinkaloud.session.run import available_stages, open_run, stage_adapter
from thinkaloud.session.scorer import open_scorer
from thinkaloud.session.session import Session
from thinkaloud.storage.lock import RunLock, locked
from thinkaloud.storage.run_directory import RunDir, check_writable
from thinkaloud.tracking.display import Display


def decoding_of(session: Session) -> Decoding:
    """Greedy, under the recipe's limits."""
    config = session.recipe.evaluate
    limit = config.max_new_tokens or session.recipe.rollout.max_new_tokens
    return Decoding(max_new_tokens=limit, batch_size=config.batch_size)


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
    """Answer the tasks with one policy and write `<stage>.parquet`; what an interrupted call has done is kept.

    The caller clears what is kept (`parts.clear`) once all of its stages are done. `between` is called after every
    batch; what it raises ends the evaluation. `marking` puts a judge's marks to the rows.
    """
    chosen = decoding or decoding_of(session)
    plan = {
        "version": thinkaloud.__version__,
        "tasks": digest(*(task.id for task in tasks)),
        "contract": policy.contract.fingerprint,
        "model": [session.files.name, *(f"{path.name} {path.stat().st_size}" for path in session.files.weights)],
        "merged": digest(session.files.adapter.read_bytes()) if session.files.adapter else "",
        "dtype": session.recipe.model.dtype,
        "adapter": digest(*(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(adapter))),
        "scale": policy.scale,
        "rewards": session.recipe.rewards.model_dump(mode="json"),
        **{name: getattr(chosen, name) for name in Decoding.__dataclass_fields__},
    }
    display.stage("evaluate", total_steps=0)
    label = stage.replace("_", " ")

    def progress(done: int, total: int) -> None:
        display.progress(done, total, f"{label}: tasks answered")
        between()

    rows = evaluate(
        policy,
        adapter,
        tasks,
        chosen,
        score=score,
        progress=progress,
        parts=Parts(folder / FOLDER / stage, plan),
    )
    rows = marking(rows)
    write_rows(folder / f"{stage}.parquet", rows)
    return rows


def judge_facts(judge: Judge | None) -> dict[str, Any]:
    """What a summary says of the judge whose marks it counts; nothing where there is none."""
    return {"judge": {"model": judge.config.model, "rubric": fingerprint()}} if judge else {}


def summarize(folder: Path, split: str, registry: Registry, **more: Any) -> dict[str, Any]:
    """Count the evaluated rows of a folder, and write its summary.json; `more` goes into it."""
    found = {path.stem: read_rows(path) for path in sorted(folder.glob("*.parquet")) if not path.name.startswith(".")}
    summary = {**build_summary(split, found, registry), **more}
    write_summary(folder / "summary.json", summary)
    return summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What `thinkaloud eval` was asked for; what is None or empty is the recipe's."""

    split: str | None = None
    tasks_per_domain: int | None = None
    tasks_file: Path | None = None
    data_set: str | None = None
    data_dir: Path | None = None
    stages: Sequence[str] = ()
    checkpoint: Path | None = None
    model: Path | None = None
    samples: int = 1
    temperature: float = 0.0
    max_new_tokens: int | None = None
    seed: int = 0
    judge: bool = False
    overrides: Sequence[str] = ()
    """Of the judge's section: `judge.model=...`."""

    def check(self) -> None:
        """Raises UserError where options contradict each other or name what does not exist."""
        if self.split is not None and self.split not in SPLITS:
            raise UserError(f"unknown split {self.split!r}{nearest(self.split, SPLITS)}")
        for stage in self.stages:
            if stage not in STAGES:
                raise UserError(f"unknown stage {stage!r}{nearest(stage, STAGES)}")
        if sum(bool(value) for value in (self.tasks_file, self.split, self.data_set)) > 1:
            raise UserError("--tasks, --on and --split each say which tasks; give one of them")
        if self.data_dir and not self.data_set:
            raise UserError("--data-dir says where the set of --on lies; add --on NAME, or leave it out")
        if sum((bool(self.stages), self.checkpoint is not None, self.model is not None)) > 1:
            raise UserError("--stage, --checkpoint and --model each say which model; give one of them")
        if self.samples > 1 and not self.temperature:
            raise UserError(f"greedy decoding gives {self.samples} times the same; add --temperature, such as 0.7")
        if any(not override.startswith("judge.") for override in self.overrides):
            raise UserError("--set takes judge.KEY=VALUE here; the rest of a run's recipe stays as it was trained with")
        if self.overrides and not self.judge:
            raise UserError("--set says which judge to ask; add --judge, or leave it out")
        if not 0.0 <= self.temperature < float("inf"):
            raise UserError(f"expected a temperature of 0 or more, such as 0.7, found {self.temperature}")

    def tasks(self, session: Session) -> tuple[str, list[Task]]:
        """A name for the tasks, of letters that a folder may have, and the tasks themselves."""
        config = session.recipe.evaluate
        if self.tasks_file or self.data_set:
            tasks = (
                read_tasks(self.tasks_file, registry_of(session.recipe))
                if self.tasks_file
                else read_set(self.data_set or "", self.data_dir)
            )
            if self.tasks_per_domain:
                tasks = held_out(group_by_domain(tasks), per_domain=self.tasks_per_domain)
            return f"{_plain(self.data_set or 'tasks')}-{digest(*(task.id for task in tasks))[:8]}", tasks
        split, count = self.split or config.split, self.tasks_per_domain or config.tasks_per_domain
        tasks = held_out(session.pool.by_domain(split), per_domain=count)
        return f"{split}-{count}", tasks

    def decoding(self, session: Session) -> Decoding:
        usual = decoding_of(session)
        return replace(
            usual,
            samples=self.samples,
            temperature=self.temperature,
            seed=self.seed,
            max_new_tokens=self.max_new_tokens or usual.max_new_tokens,
        )

    def source(self, session: Session) -> str:
        """What the tasks are called in results."""
        if self.tasks_file:
            return self.tasks_file.name
        return self.data_set or self.split or session.recipe.evaluate.split

    def is_own(self, session: Session) -> bool:
        """True where it is just what the recipe asks `train` for."""
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


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A finished evaluation.

    Attributes:
        summary: The object of `summary.json`.
        folder: Where the rows and the summary are.
        is_own: It replaced the run's own evaluation, so that the run's report is out of date.
    """

    summary: dict[str, Any]
    folder: Path
    is_own: bool


def evaluate_run(path: Path, choice: Choice, *, allow_contract_mismatch: bool, display: Display) -> Evaluation:
    """Evaluate the stages of a finished or interrupted run again, or another model on its tasks.

    With the recipe's own tasks, stages and decoding, the run's own evaluation is replaced. Any other choice is written
    to a separate folder below eval/.

    Raises:
        UserError: The choice contradicts itself, or the run has not got that far.
    """
    choice.check()
    session, run = open_run(path, allow_contract_mismatch=allow_contract_mismatch)
    registry = registry_of(session.recipe)
    name, tasks = choice.tasks(session)
    if choice.data_set and any(task.split == "train" for task in tasks):
        display.note(f"warning: {choice.data_set} gives rows to train on; a run may have seen them")
    decoding, own = choice.decoding(session), choice.is_own(session)
    folder = run.evaluation if own else run.evaluation / _folder_name(name, decoding, decoding_of(session))
    check_writable(path)
    judge = judge_of(change_recipe(session.recipe, choice.overrides), run, choice.judge, display)
    if choice.model:
        session = open_other_model(session, choice.model)
    # a run that is being trained keeps its own evaluation to itself
    lock: AbstractContextManager[RunLock | None] = locked(path) if own else nullcontext()
    with lock, open_scorer(session.recipe, session.contract) as (score, _):
        policy = session.load_policy()
        tasks = fitting(policy, tasks, decoding, display)
        folder.mkdir(parents=True, exist_ok=True)
        for label, adapter in _models(session, run, policy, choice):
            marking: Marking = list
            if judge:
                marking = partial(marked, judge=judge, contract=session.contract, registry=registry, tell=display.note)
            evaluate_into(folder, label, session, policy, adapter, tasks, score, display, decoding, marking=marking)
        clear(folder)
    told = {} if own else {"samples": decoding.samples, "temperature": decoding.temperature}
    summary = summarize(folder, choice.source(session), registry, **told, **judge_facts(judge))
    if not own:
        display.note(f"rows and summary: {folder}")
    return Evaluation(summary, folder, own)


def judge_of(recipe: Recipe, run: RunDir, wanted: bool, display: Display) -> Judge | None:
    """The judge of an evaluation: one that is asked where it is wanted, else one that knows what it said before.

    Raises:
        UserError: It is wanted, and the recipe names none, or it gives no marks.
    """
    if not recipe.judge.on:
        if wanted:
            raise UserError(
                "--judge needs a judge, and the run's recipe names none; add --set judge.base_url=http://... and "
                "--set judge.model=NAME, and where it asks for a key --set judge.api_key_env=VARIABLE"
            )
        return None

    def tell(notice: Notice) -> None:
        display.note(f"{'warning: ' if notice.state == 'raised' else ''}{notice.message}")

    return open_judge(recipe.judge, run.path / FILE, tell=tell, asks=wanted)


def fitting(policy: Policy, tasks: Sequence[Task], decoding: Decoding, display: Display) -> list[Task]:
    """The tasks whose prompts leave room for an answer; how many do not is said.

    Raises:
        UserError: None is left.
    """
    room = policy.model.config.max_position - decoding.max_new_tokens
    kept = [task for task in tasks if len(policy.contract.encode(task.question)) <= room]
    if not kept:
        raise UserError(
            f"no prompt fits: the model attends to {policy.model.config.max_position} tokens and an answer may have "
            f"{decoding.max_new_tokens}; lower --max-new-tokens, or take other tasks"
        )
    if len(kept) < len(tasks):
        display.note(f"{len(tasks) - len(kept)} of {len(tasks)} tasks left out: their prompts have over {room} tokens")
    return kept


def _models(session: Session, run: RunDir, policy: Policy, choice: Choice) -> list[tuple[str, Adapter]]:
    """The models asked for, each with the name that its results go by."""
    if choice.model:
        return [(f"model-{_plain(session.files.name)}", {})]
    if choice.checkpoint:
        return [open_checkpoint(session, policy, choice.checkpoint)]
    return [(stage, stage_adapter(session, run, policy, stage)) for stage in choice.stages or available_stages(run)]


def open_checkpoint(session: Session, policy: Policy, path: Path) -> tuple[str, Adapter]:
    """A checkpoint's name and adapter.

    Raises:
        UserError: There is no whole checkpoint at `path`.
    """
    saved = next((saved for saved in list_saved(path.parent) if saved.path.name == path.name), None)
    if saved is None:
        have = ", ".join(saved.path.name for saved in list_saved(path.parent)) or "none"
        raise UserError(f"expected a whole checkpoint at {path}, found none (there: {have}); name RUN/checkpoints/NAME")
    return saved.path.name, restore_adapter(saved, session.new_adapter(policy))


def open_other_model(session: Session, directory: Path) -> Session:
    """The session with another model, asked in its own chat frame, or by the contract.json that lies beside it.

    A folder with a PEFT adapter alone goes onto the run's own base where it was made for that, else onto the base that
    it names.

    Raises:
        UserError: It is no model directory, or its chat frame is not known.
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
    """A folder for what the recipe did not ask for: tasks, and what differs in decoding."""
    parts = [tasks]
    if decoding.temperature:
        parts.append(f"x{decoding.samples}-t{decoding.temperature:g}-s{decoding.seed}")
    if decoding.max_new_tokens != usual.max_new_tokens:
        parts.append(f"n{decoding.max_new_tokens}")
    return "-".join(parts)


def _plain(name: str) -> str:
    """A name made of letters that a file may have."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in name).strip(".-")[:60] or "model"
