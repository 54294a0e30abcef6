"""Compares several runs: differences between their recipes, and between their results."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from thinkaloud.config.flat import flat
from thinkaloud.errors import UserError
from thinkaloud.evaluate.paired import compare_stages
from thinkaloud.report.run_data import Run, load_run, lookup, number
from thinkaloud.report.samples import printable
from thinkaloud.report.tables import (
    Table,
    by_domain,
    count_text,
    given_format_text,
    has_values,
    label,
    mean_text,
    rate_text,
    reward_text,
    seconds_text,
)

_MEASURES: tuple[tuple[str, Callable[[object], str]], ...] = (
    ("Format rate", partial(rate_text, name="format")),
    ("Accuracy", partial(rate_text, name="accuracy")),
    ("Accuracy given format", given_format_text),
    ("Mean reward", reward_text),
    ("Tokens per completion", partial(mean_text, key="mean_tokens", bounds="tokens_interval")),
)


def load_runs(paths: Sequence[Path]) -> dict[str, Run]:
    """The runs by name: the folder's name, with as much of its path as needed to be unique.

    Raises:
        UserError: Fewer than two runs, the same run twice, or not a run directory.
    """
    if len(paths) < 2:
        raise UserError("expected two or more runs, found one; name another run directory")
    full = [path.absolute().resolve() for path in paths]
    if len(set(full)) < len(full):
        raise UserError("expected different runs, found the same run twice; name each once")
    depth = 1
    while len({path.parts[-depth:] for path in full}) < len(full):
        depth += 1
    return {"/".join(where.parts[-depth:]): load_run(path) for where, path in zip(full, paths, strict=True)}


def compare_runs(runs: dict[str, Run]) -> dict[str, Any]:
    """The differences, JSON-ready.

    Returns:
        `recipe`: {key: {run: value}} for every resolved key that differs; `results`: {run: {stage, overall, domains,
        steps, seconds, missing}} of each run's last stage; `paired`: the first run against each other run on the tasks
        that both answered (see `compare_stages`), with the runs' names as `before` and `after`; `unpaired`: the runs
        that share no task with the first.
    """
    settings = {name: flat(run.resolved) for name, run in runs.items()}
    keys = list(dict.fromkeys(key for values in settings.values() for key in values))
    recipe = {
        key: {name: values.get(key) for name, values in settings.items()}
        for key in keys
        if len({json.dumps(values.get(key), sort_keys=True) for values in settings.values()}) > 1
    }
    first, *others = runs
    paired, unpaired = [], []
    for other in others:
        tests = compare_stages(first, _last_rows(runs[first]), other, _last_rows(runs[other]), runs[first].registry)
        paired += tests
        unpaired += [] if tests else [other]
    results = {name: _result(run) for name, run in runs.items()}
    return {"recipe": recipe, "results": results, "paired": paired, "unpaired": unpaired}


def sentences(found: dict[str, Any]) -> tuple[str, ...]:
    """The paired tests in sentences."""
    first = printable(next(iter(found["results"])), 60)
    return (
        *(entry["sentence"] for entry in found["paired"]),
        *(f"{printable(other, 60)} and {first} have no answered task in common." for other in found["unpaired"]),
    )


def tables(found: dict[str, Any]) -> tuple[Table, ...]:
    """The comparison as tables: recipes, an overview, then one per measure."""
    names = tuple(found["results"])
    shown = tuple(printable(name, 60) for name in names)
    recipe = Table(
        caption="Differences between the recipes",
        header=("field", *shown),
        rows=tuple((key, *(_value(values[name]) for name in names)) for key, values in found["recipe"].items()),
    )
    results = found["results"]
    columns = dict(zip(shown, results.values(), strict=True))
    by_measure = [by_domain(columns, f"{caption} [95 % interval]", show) for caption, show in _MEASURES]
    missing = [[printable(line, 120) for line in results[name]["missing"]] for name in names]
    about = Table(
        caption="What was evaluated",
        header=("run", *shown),
        rows=(
            ("stage", *(label(printable(str(results[name]["stage"] or "-"), 40)) for name in names)),
            ("split", *(printable(str(results[name]["split"] or "-"), 40) for name in names)),
            ("tasks", *(count_text(results[name]["overall"]) for name in names)),
            ("GRPO steps", *(str(results[name]["steps"]) for name in names)),
            ("wall time", *(seconds_text(results[name], "seconds") for name in names)),
            *((("incomplete", *("; ".join(lines) or "-" for lines in missing)),) if any(missing) else ()),
        ),
    )
    return (*((recipe,) if recipe.rows else ()), about, *filter(has_values, by_measure))


def _result(run: Run) -> dict[str, Any]:
    stage = list(run.stages)[-1] if run.stages else None
    rates = run.stages[stage] if stage else {"overall": {}, "domains": {}}
    phases = lookup(run.environment, "seconds")
    seconds = [number(phases, name) or 0.0 for name in phases] if isinstance(phases, dict) else []
    return {
        "stage": stage,
        "split": run.summary.get("split"),
        "overall": rates["overall"],
        "domains": rates["domains"],
        "steps": len(run.grpo),
        "seconds": sum(seconds) if seconds else None,
        "missing": list(run.missing),
    }


def _last_rows(run: Run) -> list[Any]:
    stages = [stage for stage in run.stages if stage in run.rows]
    return run.rows[stages[-1]] if stages else []


def _value(value: object) -> str:
    return "-" if value is None else printable(value if isinstance(value, str) else json.dumps(value), 200)


def comparison_page(found: dict[str, Any]) -> str:
    """The comparison as one self-contained page."""
    from thinkaloud.report.page import environment

    templates = environment()
    return templates.get_template("comparison.html.j2").render(
        style=templates.get_template("page.css.j2").render(),
        title="Runs compared",
        tables=tables(found),
        sentences=sentences(found),
    )
