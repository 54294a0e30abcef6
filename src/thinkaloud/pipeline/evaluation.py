"""Evaluation of a stage's model on held-out tasks, into the run directory."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from thinkaloud.distributed.agreement import from_first, shared_clock
from thinkaloud.domains import registry_of
from thinkaloud.evaluate.answer import evaluate, held_out
from thinkaloud.evaluate.judged import marked
from thinkaloud.evaluate.options import decoding_of
from thinkaloud.evaluate.partial_results import clear
from thinkaloud.evaluate.rows import READING_STAGES, STAGE_LABELS, Row, read_plan, read_rows, replace_file
from thinkaloud.evaluate.run import evaluate_into, evaluate_reading, judge_facts, plan_of, reading_of, summarize
from thinkaloud.evaluate.summary import percent
from thinkaloud.model.lora import Adapter
from thinkaloud.pipeline.context import TrainContext
from thinkaloud.pipeline.resume import BASE, changed_software
from thinkaloud.pipeline.stopping import StopRequested
from thinkaloud.records import Task
from thinkaloud.rollout.policy import Policy
from thinkaloud.storage.run_directory import RunDir


class _OutOfTime(Exception):
    """The deadline leaves no time for the rest of an evaluation."""


def run_evaluation(context: TrainContext, stage: str, adapter: Adapter) -> None:
    """Evaluate one stage, unless the recipe excludes it or the run directory has the rows of this model and tasks."""
    again, registry = f"thinkaloud eval {context.run.path}", registry_of(context.recipe)
    planner, tasks = context.planner, held_out_tasks(context)
    if _is_done(context, stage, context.policy, adapter, tasks) or stage not in context.recipe.evaluate.stages:
        return
    if planner and not planner.may_evaluate():
        context.display.note(f"deadline: no time to evaluate {stage}; run `{again}` later")
        return
    began = shared_clock()
    interrupt = _interrupt(context, began)

    def marking(rows: Sequence[Row]) -> list[Row]:
        if context.judge is None:
            return list(rows)
        try:
            contract, note = context.session.contract, context.display.note
            return from_first(
                partial(marked, rows, context.judge, contract, registry, interrupt, note),
                list[Row],
                raises=(StopRequested, _OutOfTime),
            )
        except _OutOfTime:
            context.display.note(f"deadline: no time for the judge's marks of {stage}; run `{again} --judge`")
            return list(rows)
        finally:
            context.judge.take_counts()  # the counts of GRPO's steps start again at zero

    def answer() -> list[Row]:
        own = (context.session, context.policy, adapter, tasks, context.score, context.display)
        return evaluate_into(context.run.evaluation, stage, *own, between=interrupt, marking=marking)

    try:
        rows = _attempt(context, stage, answer, again)
    finally:
        if planner:
            planner.record("evaluation", shared_clock() - began)
    if rows:
        rates = _summary(context)["stages"][stage]["overall"]
        context.display.note(f"{_label(stage)}: format {rates['format_rate']:.0%} of {rates['n']} held-out tasks")


def run_readings(context: TrainContext) -> None:
    """Ask the base in the other ways that the recipe names, where it evaluates the base (see `evaluate.readings`).

    With a deadline they are left out if the base's evaluation took much of the time.
    """
    config = context.recipe.evaluate
    for reading in config.readings if "base" in config.stages else ():
        stage = READING_STAGES[reading]
        again = f"thinkaloud eval {context.run.path} --reading {reading}"
        tasks, decoding = held_out_tasks(context), decoding_of(context.session)
        asked, kept = reading_of(context.session, context.policy, reading, tasks, decoding)
        if asked and _is_done(context, stage, asked, {}, kept):
            continue
        if context.planner and not (context.planner.may_evaluate() and context.planner.may_read()):
            context.display.note(f"deadline: no time for the reading {reading}; run `{again}` later")
            continue
        answer = partial(
            evaluate_reading,
            *(context.run.evaluation, reading, context.session, context.policy, tasks, context.score),
            *(context.display, decoding, _interrupt(context, shared_clock())),
        )
        if _attempt(context, stage, answer, again):
            rates = _summary(context)["stages"][stage]["overall"]
            rate = f"answer accuracy {percent(rates['answer_accuracy'])} of {rates['n']} tasks"
            context.display.note(f"{_label(stage)}: {rate}, without regard to the format")


def _is_done(context: TrainContext, stage: str, policy: Policy, adapter: Adapter, tasks: Sequence[Task]) -> bool:
    """Whether the run directory has the rows of these tasks and this adapter.

    Other rows are removed: those of a finished run that was resumed with more steps are not its result any more.
    """
    plan = plan_of(context.session, policy, adapter, tasks, decoding_of(context.session))
    file = context.run.evaluation / f"{stage}.parquet"
    known = from_first(lambda: read_plan(file))
    if known is not None and known != plan:
        file.unlink(missing_ok=True)
    return bool(known == plan)


def held_out_tasks(context: TrainContext) -> list[Task]:
    """The tasks that an evaluation of the recipe answers."""
    config = context.recipe.evaluate
    tasks = context.session.pool.by_domain(config.split)
    return held_out(tasks, per_domain=config.tasks_per_domain, others=config.tasks)


def _interrupt(context: TrainContext, began: float) -> Callable[[], None]:
    """What is called between batches: it ends the evaluation where a signal or the deadline asks for it."""

    def interrupt() -> None:
        context.stop.check()
        if context.planner and context.planner.must_end_evaluation(shared_clock() - began):
            raise _OutOfTime

    return interrupt


def _attempt(context: TrainContext, stage: str, answer: Callable[[], list[Row]], again: str) -> list[Row]:
    """The rows of a stage; none, and a note that says why, where it could not be evaluated."""
    try:
        with context.timer.phase(f"evaluate_{stage}"):
            rows = answer()
            clear(context.run.evaluation)
    except _OutOfTime:
        context.display.note(f"deadline: the evaluation of {_label(stage)} takes too long; run `{again}`")
        return []
    except OSError as error:
        context.recorder.problem(f"eval/{stage}", f"{error}; run `{again}` later to evaluate {_label(stage)}")
        return []
    return rows


def _summary(context: TrainContext) -> dict[str, Any]:
    config = context.recipe.evaluate
    facts = judge_facts(context.judge)
    return summarize(context.run.evaluation, config.split, registry_of(context.recipe), **facts)


def _label(stage: str) -> str:
    return STAGE_LABELS.get(stage, stage)


def reuse_base(context: TrainContext, other: Path) -> None:
    """Copy another run's evaluations of the base, if model, prompts, tasks, machine and versions are the same."""
    source, own, theirs = other / "eval", context.run, RunDir(other)
    base = source / "base.parquet"
    if from_first((own.evaluation / base.name).exists) or not base.exists():
        return
    software = theirs.read_json("environment.json")
    if (
        theirs.read_json(BASE) != own.read_json(BASE)
        or theirs.read_json(own.contract.name) != own.read_json(own.contract.name)
        or changed_software(software, own.read_json("environment.json"))
        or {row.task_id for row in read_rows(base)} != {task.id for task in held_out_tasks(context)}
    ):
        return
    for stage in ("base", *(READING_STAGES[reading] for reading in context.recipe.evaluate.readings)):
        if (rows := source / f"{stage}.parquet").exists():
            replace_file(own.evaluation / rows.name, partial(shutil.copyfile, rows))
    _summary(context)
    seconds = software.get("seconds", {}).get("evaluate_base")
    if context.planner and seconds:
        context.planner.record("evaluation", seconds)
    context.display.note(f"base: its evaluation is that of {other}")


def validate(context: TrainContext, adapter: Adapter) -> dict[str, Any]:
    """Greedy reward on a few validation tasks: the mean over domains, and by domain.

    Raises:
        UserError: The pool has no validation tasks.
    """
    per_domain = context.recipe.checkpoint.validate_tasks
    tasks = held_out(context.session.pool.by_domain("validation"), per_domain=per_domain)
    rows = evaluate(context.policy, adapter, tasks, decoding_of(context.session), score=context.score)
    rewards: dict[str, list[float]] = {}
    for row in rows:
        rewards.setdefault(row.domain, []).append(row.reward)
    domains = {name: fmean(own) for name, own in rewards.items()}
    return {"n": len(rows), "reward": fmean(domains.values()), "domains": domains}
