"""Tables of texts, and the formats of numbers in them; a missing number is `-`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from thinkaloud.domains import in_order
from thinkaloud.durations import duration
from thinkaloud.evaluate.rows import STAGE_LABELS
from thinkaloud.evaluate.summary import percent, percent_range
from thinkaloud.report.run_data import lookup, number


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of texts; the first column is the name of the row."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    bold_last: bool = False


def by_domain(
    columns: Mapping[str, Mapping[str, Any]],
    caption: str,
    show: Callable[[object], str],
    domains: Iterable[str] | None = None,
) -> Table:
    """One row per domain and one for all domains; one column per stage or run.

    Args:
        columns: For each heading, an object with `overall` and `domains`.
        show: The text of a cell, from the rates of a domain; None if there are none.
        domains: The domains to show; all if None.
    """
    results = columns.values()
    names = in_order({name for result in results for name in result["domains"]} if domains is None else set(domains))
    rows = [(name, *(show(result["domains"].get(name)) for result in results)) for name in names]
    rows.append(("overall", *(show(result["overall"]) for result in results)))
    return Table(caption=caption, header=("domain", *columns), rows=tuple(rows), bold_last=True)


def has_values(table: Table) -> bool:
    """Whether any cell has a value."""
    return any(cell != "-" for row in table.rows for cell in row[1:])


def label(stage: str) -> str:
    """The displayed name of a stage."""
    return STAGE_LABELS.get(stage, stage)


def rate_text(rates: object, name: str) -> str:
    """Format rate or accuracy with its interval: `97 % [90, 99]`."""
    rate = number(rates, "accuracy" if name == "accuracy" else f"{name}_rate")
    return "-" if rate is None else f"{percent(rate)} {percent_range(interval(rates, f'{name}_interval'))}".strip()


def given_format_text(rates: object) -> str:
    """Accuracy given format, with its interval."""
    return mean_text(rates, "accuracy_given_format", "accuracy_given_format_interval", rate=True)


def mean_text(rates: object, key: str, bounds: str, rate: bool = False) -> str:
    """A mean or a rate with its interval: `41 [38, 45]`, `97 % [90, 99]`."""
    mean, span = number(rates, key), interval(rates, bounds)
    if mean is None:
        return "-"
    if rate:
        return f"{percent(mean)} {percent_range(span)}".strip()
    return f"{mean:.0f} [{span[0]:.0f}, {span[1]:.0f}]" if span else f"{mean:.0f}"


def reward_text(rates: object) -> str:
    mean, bounds = number(rates, "mean_reward"), interval(rates, "reward_interval")
    if mean is None:
        return "-"
    return f"{mean:.2f} [{bounds[0]:.2f}, {bounds[1]:.2f}]" if bounds else f"{mean:.2f}"


def marks_text(rates: object, part: str) -> str:
    """A judge's mean mark, its interval and the number of completions: `6.2 [5.1, 7.3], 20`."""
    mean, bounds = number(rates, "judge", part), interval(lookup(rates, "judge"), f"{part}_interval")
    if mean is None:
        return "-"
    span = f" [{bounds[0]:.1f}, {bounds[1]:.1f}]" if bounds else ""
    return f"{mean:.1f}{span}, {number(rates, 'judge', 'n') or 0:.0f}"


def count_text(rates: object) -> str:
    n, masked = number(rates, "n"), number(rates, "masked")
    if n is None:
        return "-"
    return f"{n:.0f} (+ {masked:.0f})" if masked else f"{n:.0f}"


def change_text(first: float, last: float, kind: str) -> tuple[str, str, str]:
    if kind == "rate":
        return (percent(first), percent(last), f"{100 * (last - first):+.0f} points")
    return (plain_text(first), plain_text(last), f"{last - first:+.3g}")


def plain_text(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def seconds_text(record: object, *keys: str) -> str:
    seconds = number(record, *keys)
    return "-" if seconds is None else duration(seconds)


def interval(rates: object, key: str) -> tuple[float, float] | None:
    bounds = lookup(rates, key)
    if not isinstance(bounds, list) or len(bounds) != 2:
        return None
    low, high = number({"": bounds[0]}, ""), number({"": bounds[1]}, "")
    return None if low is None or high is None else (low, high)
