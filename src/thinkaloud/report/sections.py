"""The variables of the templates of both the page and the write-up."""

from __future__ import annotations

from typing import Any

from thinkaloud.report import contract_experiment, evaluation, run_details, training
from thinkaloud.report.run_data import Run
from thinkaloud.storage.unicode import printable


def sections(run: Run) -> dict[str, Any]:
    """Tables and sentences of a run; missing ones are None or empty."""
    return {
        "run": run,
        "title": evaluation.title(run),
        "result": evaluation.result(run),
        "about": evaluation.about(run),
        "headline": evaluation.headline(run),
        "results": evaluation.results(run),
        "changes": evaluation.changes(run),
        "judge": evaluation.judge(run),
        "judge_note": evaluation.judge_note(run),
        "lengths": evaluation.lengths(run),
        "reasons_by_domain": evaluation.reasons_by_domain(run),
        "matching": contract_experiment.summary(run),
        "matching_table": contract_experiment.table(run),
        "matching_ids": contract_experiment.differences(run),
        "pool": run_details.pool(run),
        "health": run_details.health(run),
        "sandbox": run_details.sandbox(run),
        "statuses": evaluation.statuses(run),
        "reasons": evaluation.reasons(run),
        "training": training.first_and_last_steps(run),
        "by_domain": training.first_and_last_by_domain(run),
        "cold_start": training.cold_start(run),
        "settings": run_details.settings(run),
        "machine": run_details.machine(run),
        "times": run_details.times(run),
        "prompt": run_details.prompt(run),
        "data": run_details.data(run),
        "recipe": printable(run.recipe, 20_000),
        "window_note": training.WINDOW_NOTE,
        "limits": evaluation.limits(run),
        "missing": run.missing,
    }
