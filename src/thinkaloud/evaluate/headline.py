"""The main result: the trained model's strict accuracy against the best answer accuracy that the base reaches.

The base is asked by the contract and in the other ways of `evaluate.readings`, and its answers count without the
format. The way with the highest answer accuracy over all verifiable domains is chosen, once for all domains. Choosing
the maximum favours the base.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thinkaloud.domains import Registry, in_order
from thinkaloud.evaluate.paired import FEWEST_CHANGED, LEVEL
from thinkaloud.evaluate.rows import READING_STAGES, STAGE_LABELS, Row
from thinkaloud.evaluate.seeds import Matrix, change_over_seeds, matrix, mean_over_seeds, measures, shown, task_ids
from thinkaloud.evaluate.statistics import mcnemar_exact, paired_difference_interval, wilson_interval
from thinkaloud.records import Finish, Status

BASES = ("base", *READING_STAGES.values())
CUT_SHARE = 0.2
"""From this share of truncated answers on, a way of asking the base may do better with more tokens."""


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Tasks by outcome: right before and after, gained, lost, and wrong before and after."""

    both: int
    gained: int
    lost: int
    neither: int


def best_base(stages: Mapping[str, Sequence[Row]], registry: Registry) -> str | None:
    """The way of asking the base with the highest answer accuracy, the first of equals; None where there is none."""
    rates = {name: _mean(_answers(stages[name], registry)) for name in BASES if name in stages}
    known = {name: rate for name, rate in rates.items() if rate is not None}
    return max(known, key=known.__getitem__) if known else None


def headline(stages: Mapping[str, Sequence[Row]], registry: Registry) -> dict[str, Any] | None:
    """The last stage against the best way of asking the base, on the tasks that both answered.

    Where tasks have several samples, the first of each counts.

    Args:
        stages: The rows of each stage.
        registry: The domains.

    Returns:
        `before` and `after` (stages), `bases` (answer accuracy of every way of asking the base), `truncated` (the share
        of its answers that the token limit cut), `domains` (the counts of each domain), `sentence`, and the counts: `n`
        tasks, the rates `base` and `trained`, their `difference` with its 95 % `interval` (Newcombe), `gained`, `lost`
        and McNemar's exact `p_value`. None where a side is missing.
    """
    before, after = best_base(stages, registry), next((s for s in ("trained", "cold_start") if s in stages), None)
    if before is None or after is None:
        return None
    was = _answers(stages[before], registry)
    now = {row.task_id: (row.domain, row.status == Status.CORRECT) for row in _checked(stages[after], registry)}
    shared = {task: (domain, was[task], right) for task, (domain, right) in now.items() if task in was}
    if not shared:
        return None
    asked = {name: _checked(stages[name], registry) for name in BASES if name in stages}
    truncated = {
        name: sum(row.finish == Finish.LENGTH for row in rows) / len(rows) for name, rows in asked.items() if rows
    }
    found = {**_counts(_pairs([pair[1:] for pair in shared.values()])), "truncated": truncated}
    domains = {
        name: _counts(_pairs([pair[1:] for pair in shared.values() if pair[0] == name]))
        for name in in_order({pair[0] for pair in shared.values()})
    }
    return {
        "before": before,
        "after": after,
        "bases": {name: _mean(_answers(stages[name], registry)) for name in BASES if name in stages},
        **found,
        "sentence": sentence(before, after, found),
        "domains": domains,
    }


def headline_over_seeds(seeds: Sequence[Mapping[str, Sequence[Row]]], registry: Registry) -> list[dict[str, Any]]:
    """What several seeds of one recipe changed: the last stage against the base at its best and the cold start.

    Args:
        seeds: The rows of each stage, of each seed; stages that not all seeds have are left out.
        registry: The domains.

    Returns:
        For each comparison `before` and `after` (stages), the rates `before_rate` (of the base: answer accuracy) and
        `after_rate` (strict accuracy), their `difference` with its 95 % `interval` over seeds and tasks, `tasks`,
        `seeds` and a `sentence`. The way of asking the base is chosen by its mean over the seeds.
    """
    stages = set.intersection(*(set(own) for own in seeds))
    tasks = task_ids([own[stage] for own in seeds for stage in stages])
    values = {measure.key: measure.value for measure in measures(registry)}
    rates = {
        stage: matrix([own[stage] for own in seeds], values["answer_accuracy" if stage in BASES else "accuracy"], tasks)
        for stage in stages
    }
    known = {name: found.mean for name in BASES if name in rates and (found := mean_over_seeds(rates[name], draws=1))}
    last = next((stage for stage in ("trained", "cold_start") if stage in stages), None)
    before = [max(known, key=known.__getitem__)] if known else []
    if last == "trained" and "cold_start" in stages:
        before.append("cold_start")
    return [change for stage in before if last and (change := _change(stage, last, rates[stage], rates[last]))]


def _change(before: str, after: str, was: Matrix, now: Matrix) -> dict[str, Any] | None:
    """One entry of `headline_over_seeds`; None where no task has both stages."""
    found, rate = change_over_seeds(was, now), mean_over_seeds(np.where(np.isnan(was), np.nan, now), draws=1)
    if found is None or rate is None:
        return None
    after_rate, before_rate = rate.mean, rate.mean - found.mean
    return {
        "before": before,
        "after": after,
        "before_rate": before_rate,
        "after_rate": after_rate,
        "difference": found.mean,
        "interval": [found.low, found.high],
        "tasks": found.tasks,
        "seeds": len(was),
        "sentence": f"{STAGE_LABELS[after]} against "
        f"{_base_name(before) if before in BASES else STAGE_LABELS[before]}: {shown(found.low, found.high)}; "
        f"{100 * after_rate:.0f} % against {100 * before_rate:.0f} % of {found.tasks} tasks, "
        f"{100 * found.mean:+.0f} points [{100 * found.low:+.0f}, {100 * found.high:+.0f}] over {len(was)} seeds.",
    }


def sentence(before: str, after: str, found: Mapping[str, Any]) -> str:
    """The result with its interval and p-value, and a caution where the token limit cut many of the base's answers."""
    points, (low, high), p = found["difference"], found["interval"], found["p_value"]
    after_rate, before_rate = (f"{100 * found[key]:.0f} %" for key in ("trained", "base"))
    base = _base_name(before)
    if p >= LEVEL:
        text = f"No difference is shown between the {STAGE_LABELS[after]} model and {base}"
    else:
        text = f"The {STAGE_LABELS[after]} model solves {'more' if points > 0 else 'fewer'} tasks than {base}"
    few = 0 < found["gained"] + found["lost"] < FEWEST_CHANGED
    return (
        f"{text}: {after_rate} against {before_rate} of {found['n']} tasks, {100 * points:+.0f} points "
        f"[{100 * low:+.0f}, {100 * high:+.0f}], p {'< 0.001' if p < 0.001 else f'= {p:.3f}'}"
        f"{'; fewer than six changed tasks cannot be significant' if few else ''}.{_truncation(found['truncated'])}"
    )


def _truncation(truncated: Mapping[str, float]) -> str:
    """A caution where the token limit cut many of the base's answers; empty elsewhere."""
    stage = max(truncated, key=truncated.__getitem__, default="")
    if not stage or truncated[stage] < CUT_SHARE:
        return ""
    return (
        f" The token limit cut {100 * truncated[stage]:.0f} % of the base's answers ({_asked(stage)}): a higher "
        "evaluate.max_new_tokens may raise its accuracy."
    )


def _base_name(stage: str) -> str:
    return f"the base at its best ({_asked(stage)}, format not required)"


def _asked(stage: str) -> str:
    return {"base_plain": "plain question", "base_example": "one worked example"}.get(stage, "same prompt")


def _checked(rows: Sequence[Row], registry: Registry) -> list[Row]:
    return [row for row in rows if not row.masked and row.sample == 0 and registry.is_verifiable(row.domain)]


def _answers(rows: Sequence[Row], registry: Registry) -> dict[str, bool]:
    """By task, whether the answer is right, read without the tags."""
    return {row.task_id: row.answer_correct for row in _checked(rows, registry) if row.answer_correct is not None}


def _mean(answers: Mapping[str, bool]) -> float | None:
    return sum(answers.values()) / len(answers) if answers else None


def _pairs(outcomes: Sequence[tuple[bool, bool]]) -> _Pairs:
    def count(was: bool, now: bool) -> int:
        return sum(pair == (was, now) for pair in outcomes)

    return _Pairs(count(True, True), count(False, True), count(True, False), count(False, False))


def _counts(pairs: _Pairs) -> dict[str, Any]:
    n = pairs.both + pairs.gained + pairs.lost + pairs.neither
    base, trained = pairs.both + pairs.lost, pairs.both + pairs.gained
    return {
        "n": n,
        "base": base / n,
        "base_interval": list(wilson_interval(base, n)),
        "trained": trained / n,
        "trained_interval": list(wilson_interval(trained, n)),
        "difference": (trained - base) / n,
        "interval": list(paired_difference_interval(pairs.both, pairs.gained, pairs.lost, pairs.neither)),
        "gained": pairs.gained,
        "lost": pairs.lost,
        "p_value": mcnemar_exact(pairs.gained, pairs.lost),
    }
