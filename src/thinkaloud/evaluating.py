"""Evaluation of a run's stages: as part of `train`, or of a finished run anew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from thinkaloud.display import Display
from thinkaloud.errors import UserError, nearest
from thinkaloud.evaluate.run import evaluate, held_out
from thinkaloud.evaluate.summary import STAGES, Row, build_summary, read_rows, write_rows, write_summary
from thinkaloud.model.lora import Adapter
from thinkaloud.records import SPLITS, Task
from thinkaloud.report.build import build_report
from thinkaloud.rollout.policy import Policy
from thinkaloud.rundir import check_writable
from thinkaloud.session import Scorer, Session, available_stages, open_run, open_scorer, stage_adapter


def evaluate_tasks(
    session: Session,
    policy: Policy,
    adapter: Adapter,
    tasks: Sequence[Task],
    score: Scorer,
    display: Display,
    stage: str,
) -> list[Row]:
    """Greedy completions of the tasks, under the recipe's limits, with progress shown."""
    config = session.recipe.evaluate
    return evaluate(
        policy,
        adapter,
        tasks,
        max_new_tokens=config.max_new_tokens or session.recipe.rollout.max_new_tokens,
        batch_size=config.batch_size,
        score=score,
        progress=lambda done, total: display.progress(done, total, f"{stage.replace('_', ' ')}: tasks answered"),
    )


def summarize(folder: Path, split: str) -> dict[str, Any]:
    """Count the evaluated rows of a folder, and write its summary.json."""
    found = {path.stem: read_rows(path) for path in folder.glob("*.parquet") if not path.name.startswith(".")}
    summary = build_summary(split, found)
    write_summary(folder / "summary.json", summary)
    return summary


def evaluate_run(
    path: Path,
    *,
    split: str | None,
    stages: Sequence[str],
    tasks_per_domain: int | None,
    allow_contract_mismatch: bool,
    display: Display,
) -> dict[str, Any]:
    """Evaluate the stages of a finished or interrupted run anew.

    On the recipe's own split and number of tasks the run's evaluation and report are rewritten; any other choice goes
    to eval/<split>-<tasks>/ and leaves them alone.

    Raises:
        UserError: Unknown split or stage, or the run has not got that far.
    """
    if split is not None and split not in SPLITS:
        raise UserError(f"unknown split {split!r}{nearest(split, SPLITS)}")
    for stage in stages:
        if stage not in STAGES:
            raise UserError(f"unknown stage {stage!r}{nearest(stage, STAGES)}")
    session, run = open_run(path, allow_contract_mismatch=allow_contract_mismatch)
    config = session.recipe.evaluate
    chosen, count = split or config.split, tasks_per_domain or config.tasks_per_domain
    tasks = held_out(session.pool.split(chosen), per_domain=count)
    own = (chosen, count) == (config.split, config.tasks_per_domain)
    folder = run.evaluation if own else run.evaluation / f"{chosen}-{count}"
    check_writable(path)
    with open_scorer(session.recipe, session.contract) as (score, _):
        policy = session.load_policy()
        folder.mkdir(parents=True, exist_ok=True)
        for stage in stages or available_stages(run):
            adapter = stage_adapter(session, run, policy, stage)
            display.stage("evaluate", total_steps=0)
            write_rows(
                folder / f"{stage}.parquet",
                evaluate_tasks(session, policy, adapter, tasks, score, display, stage),
            )
    summary = summarize(folder, chosen)
    if own:
        build_report(path)
    return summary
