"""Compares runs, and writes compare.html, rates and differences as CSV and LaTeX, and learning curves as SVG."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from thinkaloud.domains import Registry
from thinkaloud.errors import UserError
from thinkaloud.evaluate.seeds import measures
from thinkaloud.report.charts import BLUE, GRID, INK, ORANGE, PAPER, Chart
from thinkaloud.report.comparison import compare_groups
from thinkaloud.report.comparison_page import MEASURES, comparison_page, difference_tables
from thinkaloud.report.figures import save_charts
from thinkaloud.report.groups import Group, check_alike, group_runs, load_runs
from thinkaloud.report.run_data import number
from thinkaloud.report.tables import Table, by_domain, has_values, interval, label, plain_text
from thinkaloud.storage.atomic import write_text
from thinkaloud.storage.unicode import printable, well_formed

COLORS = (BLUE, ORANGE, "#009e73", "#cc79a7", "#e69f00", "#56b4e9", INK)
"""One per group, in turn; Okabe and Ito's, as in `charts`."""
CURVES = {"reward": "Sampled reward", "format_rate": "Format rate, sampled", "accuracy": "Accuracy, sampled"}


RATE_COLUMNS = ("domain", "measure", "value", "low", "high", "tasks")
DIFFERENCE_COLUMNS = ("first", "second", "domain", "measure", "second_minus_first", "low", "high", "tasks")


def compare_runs(paths: Sequence[Path], out: Path | None = None, *, allow_different: bool = False) -> dict[str, Any]:
    """Compare runs; seeds of one recipe are one result.

    Args:
        paths: Run directories, or folders of `train --seeds`; the reference first.
        out: A folder for the files of the comparison; not written if None.
        allow_different: Compare runs with another stage, split, set of tasks or token limit.

    Returns:
        See `report.comparison.compare_groups`.

    Raises:
        UserError: Fewer than two runs, no run directory, runs that were not evaluated alike, or a folder that cannot be
            written.
    """
    if out and (out.suffix == ".html" or (out.exists() and not out.is_dir())):
        raise UserError(f"expected a folder for --out, found {out}; name a folder, compare.html is written into it")
    runs = load_runs(paths)
    if not allow_different:
        check_alike(runs)
    groups = group_runs(runs)
    found = compare_groups(groups)
    if out:
        save_comparison(groups, found, out)
    return found


def save_comparison(groups: dict[str, Group], found: dict[str, Any], folder: Path) -> Path:
    """Write all files of a comparison into a folder, which is made if needed.

    Returns:
        The path of compare.html.

    Raises:
        UserError: The folder cannot be written.
    """
    curves = learning_curves(groups)
    stages = dict.fromkeys(stage for group in groups.values() for stage in group.stages)
    rates = [table for stage in stages for table in rate_tables(groups, stage)]
    differences = difference_tables(found["differences"], "{second} minus {first} [95 % interval]")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / "rates.csv", _csv(_rates(groups)))
        write_text(folder / "rates.tex", latex(rates))
        write_text(folder / "differences.csv", _csv([DIFFERENCE_COLUMNS, *difference_rows(found["differences"])]))
        write_text(folder / "differences.tex", latex(differences))
        if curves:
            save_charts(curves, folder / "curves.svg", columns=3)
        write_text(folder / "compare.html", well_formed(comparison_page(found, curves)))
    except OSError as error:
        raise UserError(
            f"cannot write the comparison into {folder} ({error.strerror or error}); choose another --out"
        ) from None
    return folder / "compare.html"


def rate_tables(groups: dict[str, Group], stage: str) -> list[Table]:
    """One table per measure of a stage: domain x group."""
    columns = {printable(name, 60): group.rates(stage) for name, group in groups.items() if stage in group.stages}
    found = [by_domain(columns, f"{caption}, {label(stage)} [95 % interval]", show) for caption, show in MEASURES]
    return list(filter(has_values, found))


def _rates(groups: dict[str, Group]) -> Iterator[tuple[object, ...]]:
    yield ("group", "seeds", "stage", *RATE_COLUMNS)
    for name, group in groups.items():
        for stage in group.stages:
            for row in rate_rows(group.rates(stage), group.first.registry):
                yield (name, len(group.runs), stage, *row)


def rate_rows(rates: dict[str, Any], registry: Registry) -> Iterator[tuple[object, ...]]:
    """The rates and means of one stage, with the columns `RATE_COLUMNS`."""
    for domain, own in (*rates["domains"].items(), ("overall", rates["overall"])):
        for measure in measures(registry):
            if (value := number(own, measure.key)) is not None:
                bounds = interval(own, measure.bounds) or (None, None)
                yield (domain, measure.key, value, *bounds, number(own, "n"))


def difference_rows(entries: Iterable[dict[str, Any]]) -> Iterator[tuple[object, ...]]:
    """The `differences` of a comparison, with the columns `DIFFERENCE_COLUMNS`."""
    for entry in entries:
        for domain, own in (*entry["domains"].items(), ("overall", entry["overall"])):
            value, bounds, tasks = own["difference"], own["interval"], own["tasks"]
            yield (entry["first"], entry["second"], domain, entry["measure"], value, *bounds, tasks)


def _csv(rows: Iterable[tuple[object, ...]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return well_formed(buffer.getvalue())


_LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def latex(tables: Sequence[Table]) -> str:
    """Tables as LaTeX, each a `table` with a caption; no package is needed."""
    return well_formed("\n".join(_latex(table) for table in tables))


def _latex(table: Table) -> str:
    def line(cells: Sequence[str]) -> str:
        return " & ".join("".join(_LATEX.get(c, c) for c in cell.replace("_", " ")) for cell in cells) + r" \\"

    rows = [line(row) for row in table.rows]
    if table.bold_last:
        rows.insert(len(rows) - 1, r"\hline")
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{line([table.caption])[:-3]}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(table.header) - 1)}}}",
            *(line(table.header), r"\hline", *rows),
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def learning_curves(groups: dict[str, Group]) -> list[Chart]:
    """Sampled reward, format rate and accuracy by step: thin lines for seeds, a thick one for their mean."""
    return [chart for key, title in CURVES.items() if (chart := _curve(groups, key, title)) is not None]


def _curve(groups: dict[str, Group], key: str, title: str) -> Chart | None:
    lines = {name: found for name, group in groups.items() if (found := _lines(group, key))}
    if not lines:
        return None
    means = {name: mean_line(own) for name, own in lines.items()}

    def draw(ax: Any) -> None:
        for name, own in lines.items():
            color = COLORS[list(groups).index(name) % len(COLORS)]
            for line in own if len(own) > 1 else ():
                ax.plot(list(line), list(line.values()), color=color, linewidth=0.6, alpha=0.5, zorder=2)
            mean = means[name]
            ax.plot(list(mean), list(mean.values()), color=color, linewidth=2.0, label=printable(name, 40), zorder=3)
        ax.set_ylim(-0.04, 1.04)
        ax.grid(axis="y", color=GRID, linewidth=0.8)
        ax.locator_params(axis="x", nbins=6, integer=True, min_n_ticks=1)
        ax.set_xlabel("step", loc="right", labelpad=1)
        ax.legend(loc="best", facecolor=PAPER, edgecolor="none", framealpha=0.8)

    spoken = "; ".join(
        f"{name}: from {plain_text(next(iter(mean.values())))} to {plain_text(list(mean.values())[-1])}"
        for name, mean in means.items()
        if mean
    )
    return Chart(title=title, text=f"Line chart by step. {spoken}.", draw=draw, size=(4.2, 3.0))


def _lines(group: Group, key: str) -> list[dict[int, float]]:
    """The values of each run by step."""
    found = [
        {int(row["step"]): value for row in run.grpo if (value := number(row, key)) is not None}
        for run in group.runs.values()
    ]
    return [line for line in found if line]


def mean_line(lines: Sequence[dict[int, float]]) -> dict[int, float]:
    """The mean by step, at the steps that every line has."""
    steps = sorted(set.intersection(*(set(line) for line in lines)))
    return {step: sum(line[step] for line in lines) / len(lines) for step in steps}
