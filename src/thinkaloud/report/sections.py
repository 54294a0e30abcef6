"""What the page and the write-up both tell of a run, by the names that their templates use."""

from __future__ import annotations

from typing import Any

from thinkaloud.report import course, matching, outcome, setting
from thinkaloud.report.run_data import Run
from thinkaloud.report.samples import printable


def sections(run: Run) -> dict[str, Any]:
    """Tables and sentences; what a run does not have is None or empty."""
    return {
        "run": run,
        "title": outcome.title(run),
        "about": outcome.about(run),
        "headline": outcome.headline(run),
        "results": outcome.results(run),
        "changes": outcome.changes(run),
        "judge": outcome.judge(run),
        "judge_said": outcome.judge_said(run),
        "lengths": outcome.lengths(run),
        "reasons_by_domain": outcome.reasons_by_domain(run),
        "matching": matching.summary(run),
        "matching_table": matching.table(run),
        "matching_ids": matching.differences(run),
        "pool": setting.pool(run),
        "health": setting.health(run),
        "sandbox": setting.sandbox(run),
        "statuses": outcome.statuses(run),
        "reasons": outcome.reasons(run),
        "training": course.training(run),
        "by_domain": course.training_by_domain(run),
        "cold_start": course.cold_start(run),
        "settings": setting.settings(run),
        "machine": setting.machine(run),
        "times": setting.times(run),
        "prompt": setting.prompt(run),
        "data": setting.data(run),
        "recipe": printable(run.recipe, 20_000),
        "window_note": course.WINDOW_NOTE,
        "limits": outcome.limits(run),
        "missing": run.missing,
    }
