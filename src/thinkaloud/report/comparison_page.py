"""The comparison of runs as tables, sentences and a page."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from thinkaloud.evaluate.seeds import shown
from thinkaloud.report.charts import Chart
from thinkaloud.report.comparison import DIFFERENCES
from thinkaloud.report.run_data import number
from thinkaloud.report.tables import (
    Table,
    by_domain,
    count_text,
    given_format_text,
    has_values,
    interval,
    label,
    mean_text,
    plain_text,
    rate_text,
    reward_text,
    seconds_text,
)
from thinkaloud.storage.unicode import printable

MEASURES: tuple[tuple[str, Callable[[object], str]], ...] = (
    ("Format rate", partial(rate_text, name="format")),
    ("Accuracy", partial(rate_text, name="accuracy")),
    ("Answer accuracy", partial(mean_text, key="answer_accuracy", bounds="answer_accuracy_interval", rate=True)),
    ("Accuracy given format", given_format_text),
    ("Mean reward", reward_text),
    ("Tokens per completion", partial(mean_text, key="mean_tokens", bounds="tokens_interval")),
)


def sentences(found: dict[str, Any]) -> tuple[str, ...]:
    """What the groups of several seeds changed, and the tests of the first group against each other one."""
    first = next(iter(found["results"]))
    tested = {(entry["before"], entry["after"]) for entry in found["paired"]}
    return (
        *(f"{printable(name, 60)}: {one['sentence']}" for name, changes in found["changes"].items() for one in changes),
        *(entry["sentence"] for entry in found["paired"]),
        *(
            _sentence(entry, found["groups"])
            for entry in found["differences"]
            if entry["first"] == first and (first, entry["second"]) not in tested
        ),
        *(
            f"{printable(other, 60)} and {printable(first, 60)} have no answered task in common."
            for other in found["unpaired"]
        ),
    )


def _sentence(entry: dict[str, Any], groups: dict[str, Any]) -> str:
    names = [printable(entry[key], 60) for key in ("first", "second")]
    seeds = " and ".join(str(len(groups[entry[key]]["runs"])) for key in ("first", "second"))
    return (
        f"{DIFFERENCES[entry['measure']]}, {names[0]} to {names[1]}: {shown(*entry['overall']['interval'])}; "
        f"{difference_text(entry['overall'], entry['measure'])} on {entry['overall']['tasks']} tasks, {seeds} seeds."
    )


def difference_text(entry: object, measure: str) -> str:
    """A difference with its interval: `+12 points [3, 20]`, `+0.08 [0.02, 0.13]`."""
    value, span = number(entry, "difference"), interval(entry, "interval")
    if value is None or span is None:
        return "-"
    if measure == "mean_reward":
        return f"{value:+.2f} [{span[0]:.2f}, {span[1]:.2f}]"
    return f"{100 * value:+.0f} points [{100 * span[0]:.0f}, {100 * span[1]:.0f}]"


def tables(found: dict[str, Any]) -> tuple[Table, ...]:
    """The comparison as tables: recipes, an overview, then one per measure, the seeds, and gains above controls."""
    names = tuple(found["results"])
    shown = tuple(printable(name, 60) for name in names)
    recipe = Table(
        caption="Differences between the recipes",
        header=("field", *shown),
        rows=tuple((key, *(_value(values[name]) for name in names)) for key, values in found["recipe"].items()),
    )
    results = found["results"]
    columns = dict(zip(shown, results.values(), strict=True))
    by_measure = [by_domain(columns, f"{caption} [95 % interval]", show) for caption, show in MEASURES]
    missing = [[printable(line, 120) for line in results[name]["missing"]] for name in names]
    about = Table(
        caption="What was evaluated",
        header=("run", *shown),
        rows=(
            ("stage", *(label(printable(str(results[name]["stage"] or "-"), 40)) for name in names)),
            ("split", *(printable(str(results[name]["split"] or "-"), 40) for name in names)),
            ("tasks", *(count_text(results[name]["overall"]) for name in names)),
            ("GRPO steps", *(_value(results[name]["steps"]).strip("[]") for name in names)),
            ("wall time", *(seconds_text(results[name], "seconds") for name in names)),
            *((("incomplete", *("; ".join(lines) or "-" for lines in missing)),) if any(missing) else ()),
        ),
    )
    controlled = [{entry["first"], entry["second"]} for entry in found["above_control"]]
    others = [entry for entry in found["differences"] if {entry["first"], entry["second"]} not in controlled]
    return (
        *((recipe,) if recipe.rows else ()),
        about,
        *filter(has_values, by_measure),
        *_seeds(found["seeds"]),
        *difference_tables(found["above_control"], "Gain above the control ({control}): {second} minus {first}"),
        *difference_tables(others, "Difference: {second} minus {first} [95 % interval]"),
    )


def _seeds(seeds: dict[str, Any]) -> tuple[Table, ...]:
    """One row per run of the groups that have several: its seed, steps and overall rates."""
    rows = tuple(
        (printable(name, 60), _value(own["seed"]), str(own["steps"]), *(plain_text(own[key]) for key in DIFFERENCES))
        for name, own in seeds.items()
    )
    header = ("run", "seed", "GRPO steps", *DIFFERENCES.values())
    return (Table(caption="Each seed", header=header, rows=rows),) if rows else ()


def difference_tables(entries: Sequence[dict[str, Any]], caption: str) -> tuple[Table, ...]:
    """One table per pair of groups: domain x measure."""
    pairs: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for entry in entries:
        pairs.setdefault((entry["first"], entry["second"]), []).append(entry)
    found = []
    for own in pairs.values():
        domains = dict.fromkeys(name for entry in own for name in entry["domains"])
        rows = [
            (name, *(difference_text(entry["domains"].get(name), entry["measure"]) for entry in own))
            for name in domains
        ]
        rows.append(("overall", *(difference_text(entry["overall"], entry["measure"]) for entry in own)))
        names = {key: printable(str(own[0].get(key)), 60) for key in ("first", "second", "control")}
        found.append(
            Table(
                caption=caption.format(**names),
                header=("domain", *(DIFFERENCES[entry["measure"]] for entry in own)),
                rows=tuple(rows),
                bold_last=True,
            )
        )
    return tuple(found)


def _value(value: object) -> str:
    return "-" if value is None else printable(value if isinstance(value, str) else json.dumps(value), 200)


def comparison_page(found: dict[str, Any], charts: Sequence[Chart] = ()) -> str:
    """The comparison as one self-contained page."""
    from thinkaloud.report.page import environment

    templates = environment()
    return templates.get_template("comparison.html.j2").render(
        style=templates.get_template("page.css.j2").render(),
        title="Runs compared",
        tables=tables(found),
        sentences=sentences(found),
        charts=charts,
        several_seeds=bool(found["seeds"]),
    )
