"""Results in a notebook: JSON objects that are shown as a small table, and converted to pandas frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thinkaloud.domains import BUILTIN
from thinkaloud.errors import UserError, nearest
from thinkaloud.report.comparison_files import DIFFERENCE_COLUMNS, RATE_COLUMNS, difference_rows, rate_rows
from thinkaloud.report.comparison_page import MEASURES, sentences
from thinkaloud.report.run_data import load_run, lookup
from thinkaloud.report.tables import Table, label
from thinkaloud.storage.unicode import printable, well_formed

if TYPE_CHECKING:
    from pandas import DataFrame

_MAX_CHARS = 400


class Evaluation(dict[str, Any]):
    """The object of `eval/summary.json`; a notebook shows the headline and the overall rates of each stage."""

    def frame(self) -> DataFrame:
        """The rates and means by stage and domain: `stage`, `domain`, `measure`, `value`, `low`, `high`, `tasks`.

        `low` and `high` are the 95 % interval; the domain `overall` is all of them.
        """
        from pandas import DataFrame

        rows = [(name, *row) for name, stage in self["stages"].items() for row in rate_rows(stage, BUILTIN)]
        return DataFrame(rows, columns=["stage", *RATE_COLUMNS])

    def _repr_html_(self) -> str:
        headline = lookup(self, "headline", "sentence")
        return as_html([headline] if headline else [], _overall("stage", self["stages"]))


class Comparison(dict[str, Any]):
    """A comparison of runs, as `thinkaloud compare --json` prints it; a notebook shows its sentences and overall rates.

    That of several seeds also has `run`, `runs` and `report`, as `thinkaloud train --seeds --json` prints it.
    """

    def frame(self) -> DataFrame:
        """The differences: `first`, `second`, `domain`, `measure`, `second_minus_first`, `low`, `high`, `tasks`."""
        from pandas import DataFrame

        return DataFrame(difference_rows(self.get("differences", ())), columns=list(DIFFERENCE_COLUMNS))

    def _repr_html_(self) -> str:
        if "results" not in self:
            return as_html([f"Not compared: {', '.join(self['runs'])}"])
        return as_html(sentences(self), _overall("run", self["results"]))


def run_html(path: Path, stage: str, evaluation: Evaluation | None) -> str:
    """What a notebook shows of a run: where it is, which model of it is loaded, and its evaluation."""
    about = as_html([f"Run {path}, {label(stage)} model{'' if evaluation else '; not evaluated'}"])
    return about + (evaluation._repr_html_() if evaluation else "")


def metrics(run: Path, stage: str) -> DataFrame:
    """The metrics of a stage, `cold_start` or `grpo`, one row per step; nested names are joined with dots.

    Raises:
        UserError: There is no run, or another stage.
    """
    from pandas import json_normalize

    found = load_run(run)
    rows = {"cold_start": found.cold_start, "grpo": found.grpo}
    if stage not in rows:
        raise UserError(f"{stage!r} has no metrics{nearest(stage, rows)}")
    return json_normalize(list(rows[stage]))


def _overall(heading: str, results: Mapping[str, Mapping[str, Any]]) -> Table:
    """One row per stage or run with its overall rates."""
    rows = [
        (printable(label(name), 60), *(show(result["overall"]) for _, show in MEASURES))
        for name, result in results.items()
    ]
    captions = [caption for caption, _ in MEASURES]
    return Table(caption="Overall [95 % interval]", header=(heading, *captions), rows=tuple(rows))


def as_html(lines: Iterable[str], table: Table | None = None) -> str:
    """Paragraphs and a table; every text is escaped."""
    from thinkaloud.report.page import environment

    shown = [printable(line, _MAX_CHARS) for line in lines]
    return well_formed(environment().get_template("notebook.html.j2").render(lines=shown, table=table))
