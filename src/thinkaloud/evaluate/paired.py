"""Two stages on the same tasks: how many gained and lost, McNemar's exact test, and a sentence with the result.

The test is on pairs: tasks that both stages pass or fail carry no information. The sentence says so when too few tasks
changed for any test to be significant. p-values are not corrected for the number of comparisons.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from thinkaloud.domains import Registry, in_order
from thinkaloud.evaluate.rows import STAGE_LABELS, Row
from thinkaloud.evaluate.statistics import mcnemar_exact
from thinkaloud.records import Status

LEVEL = 0.05
"""p-values below it are significant."""

FEWEST_CHANGED = 6
"""With fewer changed tasks the exact test cannot get below LEVEL: 2 / 2^5 > 0.05."""

_NOUNS = {"format": "the format", "accuracy": "the right answer"}

Test = Callable[[Row], bool | None]
"""Whether a row succeeds; None where the measure does not apply."""


def keeps_format(row: Row) -> bool | None:
    """The measure `format`."""
    return row.keeps_format


def measures(registry: Registry) -> dict[str, Test]:
    """What two stages are compared by."""
    return {
        "format": keeps_format,
        "accuracy": lambda row: row.status == Status.CORRECT if registry.is_verifiable(row.domain) else None,
    }


def compare(before: Sequence[Row], after: Sequence[Row], succeeds: Test = keeps_format) -> dict[str, Any]:
    """One measure of two stages, on the tasks that were scored in both.

    Where tasks have several samples, the first of each counts.

    Returns:
        `n` paired tasks, how many `gained` and how many `lost`, and the exact McNemar `p_value`.
    """
    first = {row.task_id: succeeds(row) for row in before if not row.masked and row.sample == 0}
    pairs = [
        (was, now)
        for row in after
        if not row.masked
        and row.sample == 0
        and (was := first.get(row.task_id)) is not None
        and (now := succeeds(row)) is not None
    ]
    gained = sum(now and not was for was, now in pairs)
    lost = sum(was and not now for was, now in pairs)
    return {"n": len(pairs), "gained": gained, "lost": lost, "p_value": mcnemar_exact(gained, lost)}


def compare_stages(
    first: str, before: Sequence[Row], second: str, after: Sequence[Row], registry: Registry
) -> list[dict[str, Any]]:
    """Every measure of two stages, overall and by domain; a measure without pairs is left out.

    Returns:
        Objects with `before`, `after`, `measure`, the counts of `compare`, `sentence`, and `domains`: the counts of
        each domain.
    """
    found = []
    for measure, succeeds in measures(registry).items():
        counts = compare(before, after, succeeds)
        if not counts["n"]:
            continue
        names = in_order({row.domain for row in after})
        domains = {
            name: compare([r for r in before if r.domain == name], [r for r in after if r.domain == name], succeeds)
            for name in names
        }
        found.append(
            {
                "before": first,
                "after": second,
                "measure": measure,
                **counts,
                "sentence": sentence(first, second, measure, **counts),
                "domains": {name: own for name, own in domains.items() if own["n"]},
            }
        )
    return found


def sentence(before: str, after: str, measure: str, *, n: int, gained: int, lost: int, p_value: float) -> str:
    """The result of a comparison in one sentence."""
    noun = _NOUNS.get(measure, measure)
    stages = f"{STAGE_LABELS.get(before, before)} to {STAGE_LABELS.get(after, after)}"
    counts = f"of {n} paired tasks {gained} gained {noun} and {lost} lost it"
    test = f"(McNemar, exact: p {'< 0.001' if p_value < 0.001 else f'= {p_value:.3f}'})"
    if p_value < LEVEL:
        return f"{measure.capitalize()}, {stages}: {'a gain' if gained > lost else 'a loss'} is shown; {counts} {test}."
    if gained + lost == 0:
        return f"{measure.capitalize()}, {stages}: no change is shown; {counts}."
    weak = (
        "; fewer than six changed tasks cannot be significant"
        if gained + lost < FEWEST_CHANGED
        else "; this does not prove that there is none"
    )
    return f"{measure.capitalize()}, {stages}: no change is shown; {counts} {test}{weak}."
