"""Evaluation of a stage's model on held-out tasks, into the run directory."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from thinkaloud.distributed.team import from_first
from thinkaloud.domains import registry_of
from thinkaloud.durations import session_clock
from thinkaloud.evaluate.answer import evaluate, held_out
from thinkaloud.evaluate.judged import marked
from thinkaloud.evaluate.options import decoding_of
from thinkaloud.evaluate.partial_results import clear
from thinkaloud.evaluate.rows import Row, read_rows, replace_file
from thinkaloud.evaluate.run import evaluate_into, judge_facts, summarize
from thinkaloud.model.lora import Adapter
from thinkaloud.pipeline.context import TrainContext
from thinkaloud.pipeline.resume import BASE, changed_software
from thinkaloud.storage.run_directory import RunDir


class _OutOfTime(Exception):
    """The deadline leaves no time for the rest of an evaluation."""


def run_evaluation(context: TrainContext, stage: str, adapter: Adapter) -> None:
    """Evaluate one stage, unless the recipe excludes it or the run directory already has it."""
    path, config = context.run.evaluation / f"{stage}.parquet", context.recipe.evaluate
    if stage not in config.stages or from_first(path.exists):
        return
    again = f"thinkaloud eval {context.run.path}"
    if context.planner and not context.planner.may_evaluate():
        context.display.note(f"deadline: no time to evaluate {stage}; run `{again}` later")
        return
    tasks = held_out(context.session.pool.by_domain(config.split), per_domain=config.tasks_per_domain)
    began, registry = session_clock(), registry_of(context.recipe)

    def interrupt() -> None:
        context.stop.check()
        if context.planner and context.planner.must_end_evaluation(session_clock() - began):
            raise _OutOfTime

    def marking(rows: Sequence[Row]) -> list[Row]:
        if context.judge is None:
            return list(rows)
        try:
            contract, note = context.session.contract, context.display.note
            return from_first(partial(marked, rows, context.judge, contract, registry, interrupt, note))
        except _OutOfTime:
            context.display.note(f"deadline: no time for the judge's marks of {stage}; run `{again} --judge`")
            return list(rows)
        finally:
            context.judge.take_counts()  # the counts of GRPO's steps start again at zero

    try:
        with context.timer.phase(f"evaluate_{stage}"):
            own = (context.session, context.policy, adapter, tasks, context.score, context.display)
            evaluate_into(path.parent, stage, *own, between=interrupt, marking=marking)
            clear(path.parent)
    except _OutOfTime:
        context.display.note(f"deadline: the evaluation of {stage} takes too long; run `{again}`")
        return
    except OSError as error:
        context.recorder.problem(f"eval/{stage}", f"{error}; run `{again}` later to evaluate {stage}")
        return
    finally:
        if context.planner:
            context.planner.record("evaluation", session_clock() - began)
    rates = summarize(context.run.evaluation, config.split, registry, **judge_facts(context.judge))["stages"][stage][
        "overall"
    ]
    context.display.note(f"{stage.replace('_', ' ')}: format {rates['format_rate']:.0%} of {rates['n']} held-out tasks")


def reuse_base(context: TrainContext, other: Path) -> None:
    """Copy another run's evaluation of the base, if model, prompts, tasks, machine and versions are the same."""
    source, own, theirs = other / "eval" / "base.parquet", context.run, RunDir(other)
    target = own.evaluation / source.name
    if target.exists() or not source.exists():
        return
    config = context.recipe.evaluate
    tasks = held_out(context.session.pool.by_domain(config.split), per_domain=config.tasks_per_domain)
    software = theirs.read_json("environment.json")
    if (
        theirs.read_json(BASE) != own.read_json(BASE)
        or theirs.read_json(own.contract.name) != own.read_json(own.contract.name)
        or changed_software(software, own.read_json("environment.json"))
        or {row.task_id for row in read_rows(source)} != {task.id for task in tasks}
    ):
        return
    replace_file(target, partial(shutil.copyfile, source))
    summarize(own.evaluation, config.split, registry_of(context.recipe), **judge_facts(context.judge))
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
