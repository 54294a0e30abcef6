"""Compares groups of runs: differences between their recipes, and between their results.

A group is one run, or several that differ only by their seed. Two single runs are compared by McNemar's exact test on
their tasks; differences between groups have intervals that cover seeds and tasks (`evaluate/seeds.py`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import combinations
from typing import Any

from thinkaloud.evaluate.headline import headline_over_seeds
from thinkaloud.evaluate.paired import compare_stages
from thinkaloud.evaluate.seeds import Measure, by_domain, difference_over_seeds, matrix, measures, task_ids
from thinkaloud.report.groups import CONTROL, Group
from thinkaloud.report.run_data import Run, lookup, number

DIFFERENCES = {
    "format_rate": "Format rate",
    "accuracy": "Accuracy",
    "answer_accuracy": "Answer accuracy",
    "mean_reward": "Mean reward",
}
"""The measures whose differences are reported, with their displayed names."""


def compare_groups(groups: dict[str, Group]) -> dict[str, Any]:
    """The differences, JSON-ready.

    Returns:
        - `groups`: {group: {runs, seeds}};
        - `seeds`: {run: {seed, steps, and the overall rates}} for the runs of groups of several;
        - `changes`: {group: [...]} for groups of several, from the base and from the cold start to the last stage (see
          `headline_over_seeds`);
        - `recipe`: {key: {group: value}} for every resolved key that differs, a list where the runs of a group differ;
        - `results`: {group: {stage, split, overall, domains, steps, seconds, missing}} of each group's last stage;
        - `differences`: for each pair of groups and each measure the later group minus the earlier one, `overall` and
          by domain: objects with `difference`, its `interval` and the number of `tasks` that both answered;
        - `above_control`: the same, a run with the real reward minus its control; `control` is its kind;
        - `paired`: the first group against each other one where both are single runs (see `compare_stages`), with the
          names of the groups as `before` and `after`;
        - `unpaired`: the groups that share no task with the first.
    """
    first, *others = groups
    paired, unpaired = [], []
    for other in others:
        one, two = (groups[name].rows(groups[name].last_stage) for name in (first, other))
        if not set(task_ids(one)) & set(task_ids(two)):
            unpaired.append(other)
        elif len(groups[first].runs) == len(groups[other].runs) == 1:
            paired += compare_stages(first, one[0], other, two[0], groups[first].first.registry)
    pairs = list(combinations(groups, 2))
    controlled = [pair for pair in [*pairs, *((b, a) for a, b in pairs)] if _is_control(groups, *pair)]
    return {
        "groups": {
            name: {"runs": list(group.runs), "seeds": [own.get("seed") for own in group.settings.values()]}
            for name, group in groups.items()
        },
        "seeds": {name: _seed(group, name) for group in groups.values() if len(group.runs) > 1 for name in group.runs},
        "changes": {
            name: headline_over_seeds(rows, group.first.registry)
            for name, group in groups.items()
            if len(rows := group.rows_by_run) > 1
        },
        "recipe": _recipe_differences(groups),
        "results": {name: _result(group) for name, group in groups.items()},
        "differences": [entry for pair in pairs for entry in _differences(groups, *pair)],
        "above_control": [
            {**entry, "control": groups[control].control}
            for trained, control in controlled
            for entry in _differences(groups, control, trained)
        ],
        "paired": paired,
        "unpaired": unpaired,
    }


def _recipe_differences(groups: dict[str, Group]) -> dict[str, dict[str, Any]]:
    settings = [own for group in groups.values() for own in group.settings.values()]
    keys = list(dict.fromkeys(key for own in settings for key in own))

    def value(group: Group, key: str) -> Any:
        found = {json.dumps(own.get(key), sort_keys=True): own.get(key) for own in group.settings.values()}
        return next(iter(found.values())) if len(found) == 1 else list(found.values())

    return {
        key: {name: value(group, key) for name, group in groups.items()}
        for key in keys
        if len({json.dumps(own.get(key), sort_keys=True) for own in settings}) > 1
    }


def _is_control(groups: dict[str, Group], trained: str, control: str) -> bool:
    """Whether one group is the control of the other: their recipes differ only in `rewards.control`."""
    one, two = ({**groups[name].recipe, CONTROL: None} for name in (trained, control))
    return one == two and groups[trained].control == "none" != groups[control].control and groups[trained].stages != []


def _result(group: Group) -> dict[str, Any]:
    stage, runs = group.last_stage, list(group.runs.items())
    rates = group.rates(stage) if stage else {"overall": {}, "domains": {}}
    seconds = [own for _, run in runs if (own := _seconds(run)) is not None]
    return {
        "stage": stage,
        "split": next((run.summary.get("split") for run in group.evaluated), None),
        "overall": rates["overall"],
        "domains": rates["domains"],
        "steps": [len(run.grpo) for _, run in runs] if len(runs) > 1 else len(group.first.grpo),
        "seconds": sum(seconds) if seconds else None,
        "missing": [f"{name}: {line}" if len(runs) > 1 else line for name, run in runs for line in run.missing],
    }


def _seed(group: Group, name: str) -> dict[str, Any]:
    run = group.runs[name]
    overall = run.stages[group.last_stage]["overall"] if group.last_stage in run.stages else {}
    rates = {key: number(overall, key) for key in DIFFERENCES}
    return {"seed": group.settings[name].get("seed"), "steps": len(run.grpo), **rates}


def _seconds(run: Run) -> float | None:
    phases = lookup(run.environment, "seconds")
    seconds = [number(phases, name) or 0.0 for name in phases] if isinstance(phases, dict) else []
    return sum(seconds) if seconds else None


def _differences(groups: dict[str, Group], first: str, second: str) -> list[dict[str, Any]]:
    """Each measure of `second` minus that of `first`; a measure without tasks in common is left out."""
    one, two = (groups[name].rows(groups[name].last_stage) for name in (first, second))
    own, other = by_domain(one), by_domain(two)
    found = []
    for measure in measures(groups[first].first.registry):
        if measure.key in DIFFERENCES and (overall := _difference(one, two, measure)):
            domains = {name: _difference(own[name], other[name], measure) for name in own if name in other}
            found.append(
                {
                    "first": first,
                    "second": second,
                    "measure": measure.key,
                    "overall": overall,
                    "domains": {name: value for name, value in domains.items() if value},
                }
            )
    return found


def _difference(first: Sequence[list[Any]], second: Sequence[list[Any]], measure: Measure) -> dict[str, Any] | None:
    tasks = sorted(set(task_ids(first)) & set(task_ids(second)))
    values = (matrix(rows, measure.value, tasks) for rows in (first, second))
    found = difference_over_seeds(*values, is_rate=measure.is_rate)
    if found is None:
        return None
    return {"difference": found.mean, "interval": [found.low, found.high], "tasks": found.tasks}
