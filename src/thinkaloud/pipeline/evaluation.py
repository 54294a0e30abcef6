"""Greedy decoding of a stage's model on held-out tasks, into the run directory."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from statistics import fmean
from typing import Any

from thinkaloud.distributed.team import from_first
from thinkaloud.durations import session_clock
from thinkaloud.evaluate.answer import evaluate, held_out
from thinkaloud.evaluate.judged import marked
from thinkaloud.evaluate.options import decoding_of
from thinkaloud.evaluate.partial_results import clear
from thinkaloud.evaluate.rows import Row
from thinkaloud.evaluate.run import evaluate_into, judge_facts, summarize
from thinkaloud.model.lora import Adapter
from thinkaloud.pipeline.context import Work


class _OutOfTime(Exception):
    """The deadline leaves no time for the rest of an evaluation."""


def run_evaluation(work: Work, stage: str, adapter: Adapter) -> None:
    """Evaluate one stage, unless the recipe leaves it out or the run directory has it."""
    path, config = work.run.evaluation / f"{stage}.parquet", work.recipe.evaluate
    if stage not in config.stages or from_first(path.exists):
        return
    if work.planner and not work.planner.may_evaluate():
        work.display.note(f"deadline: no time to evaluate {stage}; `thinkaloud eval {work.run.path}` does it later")
        return
    tasks = held_out(work.session.pool.by_domain(config.split), per_domain=config.tasks_per_domain)
    began = session_clock()

    def between() -> None:
        work.stop.check()
        if work.planner and work.planner.must_end_evaluation(session_clock() - began):
            raise _OutOfTime

    def marking(rows: Sequence[Row]) -> list[Row]:
        if work.judge is None:
            return list(rows)
        try:
            return from_first(partial(marked, rows, work.judge, work.session.contract, between, work.display.note))
        except _OutOfTime:
            work.display.note(f"deadline: {stage} is not judged; `thinkaloud eval {work.run.path} --judge` does it")
            return list(rows)
        finally:
            work.judge.take_counts()  # GRPO's are its own

    try:
        with work.timer.phase(f"evaluate_{stage}"):
            own = (work.session, work.policy, adapter, tasks, work.score, work.display)
            evaluate_into(path.parent, stage, *own, between=between, marking=marking)
            clear(path.parent)
    except _OutOfTime:
        work.display.note(f"deadline: {stage} takes too long to evaluate; `thinkaloud eval {work.run.path}` does it")
        return
    except OSError as error:
        work.recorder.trouble(f"eval/{stage}", f"{error}; `thinkaloud eval {work.run.path}` evaluates {stage} later")
        return
    finally:
        if work.planner:
            work.planner.took("evaluation", session_clock() - began)
    rates = summarize(work.run.evaluation, config.split, **judge_facts(work.judge))["stages"][stage]["overall"]
    work.display.note(f"{stage.replace('_', ' ')}: format {rates['format_rate']:.0%} of {rates['n']} held-out tasks")


def validate(work: Work, adapter: Adapter) -> dict[str, Any]:
    """The greedy reward of a few validation tasks: its mean over domains, and by domain.

    Raises:
        UserError: The pool has no validation tasks.
    """
    per_domain = work.recipe.checkpoint.validate_tasks
    tasks = held_out(work.session.pool.by_domain("validation"), per_domain=per_domain)
    rows = evaluate(work.policy, adapter, tasks, decoding_of(work.session), score=work.score)
    rewards: dict[str, list[float]] = {}
    for row in rows:
        rewards.setdefault(row.domain, []).append(row.reward)
    domains = {name: fmean(own) for name, own in rewards.items()}
    return {"n": len(rows), "reward": fmean(domains.values()), "domains": domains}
